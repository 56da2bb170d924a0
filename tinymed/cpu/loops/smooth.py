"""Smooth activations: each is written so that no exponential overflows."""

import math

from numba import njit, prange

from ...dispatch import LOOPS, kernel


@njit
def logistic(x):
    """Return 1 / (1 + e^-x), by the exponential that cannot overflow."""
    e = math.exp(-abs(x))
    return 1 / (1 + e) if x >= 0 else e / (1 + e)


@njit
def log_one_plus_exp(x):
    """Return ln(1 + e^x) = max(x, 0) + ln(1 + e^-|x|)."""
    return (0 if x < 0 else x) + math.log1p(math.exp(-abs(x)))


@kernel(backend=LOOPS, flat="y x")
def sigmoid_forward(y, x):
    """y = 1 / (1 + e^-x)."""
    for i in prange(x.size):
        y[i] = logistic(x[i])


@kernel(backend=LOOPS, flat="dx dy y")
def sigmoid_backward(dx, dy, y):
    """dx = dy y (1 - y)."""
    for i in prange(dy.size):
        dx[i] = dy[i] * y[i] * (1 - y[i])


@kernel(backend=LOOPS, flat="y x")
def logsigmoid_forward(y, x):
    """y = -ln(1 + e^-x)."""
    for i in prange(x.size):
        y[i] = -log_one_plus_exp(-x[i])


@kernel(backend=LOOPS, flat="dx dy y")
def logsigmoid_backward(dx, dy, y):
    """dx = dy (1 - e^y)."""
    for i in prange(dy.size):
        dx[i] = -dy[i] * math.expm1(y[i])


@kernel(backend=LOOPS, flat="y x")
def tanh_forward(y, x, amplitude, slope):
    """y = amplitude tanh(slope x)."""
    for i in prange(x.size):
        y[i] = amplitude * math.tanh(slope * x[i])


@kernel(backend=LOOPS, flat="dx dy y")
def tanh_backward(dx, dy, y, amplitude, slope):
    """dx = dy (slope amplitude - slope / amplitude y^2)."""
    for i in prange(dy.size):
        dx[i] = dy[i] * (slope * amplitude - slope / amplitude * y[i] * y[i])


@kernel(backend=LOOPS, flat="y x")
def softtanh_forward(y, x, beta):
    """y = (ln(1 + e^(beta (x + 1))) - ln(1 + e^(beta (x - 1)))) / beta - 1, an odd function of x."""
    for i in prange(x.size):
        size = abs(x[i])
        rest = math.log1p(math.exp(-beta * (size + 1))) - math.log1p(math.exp(-beta * abs(size - 1)))
        value = (1 if size > 1 else size) + rest / beta
        y[i] = -value if x[i] < 0 else value


@kernel(backend=LOOPS, flat="dx dy x")
def softtanh_backward(dx, dy, x, beta):
    """dx = dy (sigmoid(beta (x + 1)) - sigmoid(beta (x - 1)))."""
    for i in prange(dy.size):
        dx[i] = dy[i] * (logistic(beta * (x[i] + 1)) - logistic(beta * (x[i] - 1)))


@kernel(backend=LOOPS, flat="y x")
def softsign_forward(y, x):
    """y = x / (1 + |x|)."""
    for i in prange(x.size):
        y[i] = x[i] / (1 + abs(x[i]))


@kernel(backend=LOOPS, flat="dx dy x")
def softsign_backward(dx, dy, x):
    """dx = dy / (1 + |x|)^2, NaN where x is infinite, as y is."""
    for i in prange(dy.size):
        d = 1 + abs(x[i])
        dx[i] = dy[i] / (d * d) + 0 * x[i]


@kernel(backend=LOOPS, flat="y x")
def softplus_forward(y, x, beta, threshold):
    """y = ln(1 + e^(beta x)) / beta, x itself where beta x > threshold."""
    for i in prange(x.size):
        y[i] = x[i] if beta * x[i] > threshold else log_one_plus_exp(beta * x[i]) / beta


@kernel(backend=LOOPS, flat="dx dy x")
def softplus_backward(dx, dy, x, beta, threshold):
    """dx = dy sigmoid(beta x), dy itself where beta x > threshold."""
    for i in prange(dy.size):
        dx[i] = dy[i] if beta * x[i] > threshold else dy[i] * logistic(beta * x[i])


@kernel(backend=LOOPS, flat="y x")
def elu_forward(y, x, alpha, scale, rate):
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1)."""
    for i in prange(x.size):
        y[i] = scale * x[i] if x[i] > 0 else scale * alpha * math.expm1(rate * x[i])


@kernel(backend=LOOPS, flat="dx dy y")
def elu_backward(dx, dy, y, alpha, scale, rate):
    """dx = scale dy where y > 0 or NaN, else rate dy (y + scale alpha)."""
    for i in prange(dy.size):
        dx[i] = rate * dy[i] * (y[i] + scale * alpha) if y[i] <= 0 else scale * dy[i]
