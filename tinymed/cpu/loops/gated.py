"""Gated activations: x times a gate that depends on x."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from ...ops.gated import CUBIC, GELU_SLOPE
from .smooth import log_one_plus_exp, logistic

ROOT_HALF, DENSITY = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)


@kernel(backend=LOOPS, flat="y x")
def gelu_forward(y, x):
    """y = x Phi(x), Phi(x) = (1 + erf(x / sqrt(2))) / 2."""
    for i in prange(x.size):
        y[i] = 0.5 * x[i] * (1 + math.erf(x[i] * ROOT_HALF))


@kernel(backend=LOOPS, flat="dx dy x")
def gelu_backward(dx, dy, x):
    """dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""
    for i in prange(dy.size):
        density = DENSITY * math.exp(-0.5 * x[i] * x[i])
        dx[i] = dy[i] * (0.5 * (1 + math.erf(x[i] * ROOT_HALF)) + x[i] * density)


@kernel(backend=LOOPS, flat="y x")
def gelu_tanh_forward(y, x):
    """y = x (1 + tanh(s (x + 0.044715 x^3))) / 2, s = sqrt(2 / pi)."""
    for i in prange(x.size):
        y[i] = 0.5 * x[i] * (1 + math.tanh(GELU_SLOPE * (x[i] + CUBIC * x[i] * x[i] * x[i])))


@kernel(backend=LOOPS, flat="dx dy x")
def gelu_tanh_backward(dx, dy, x):
    """dx = dy ((1 + t) / 2 + x (1 - t^2) s (1 + 3 c x^2) / 2), t = tanh(s (x + c x^3)), c = 0.044715."""
    for i in prange(dy.size):
        t = math.tanh(GELU_SLOPE * (x[i] + CUBIC * x[i] * x[i] * x[i]))
        slope = 0.5 * x[i] * (1 - t * t) * GELU_SLOPE * (1 + 3 * CUBIC * x[i] * x[i])
        dx[i] = dy[i] * (0.5 * (1 + t) + slope)


@kernel(backend=LOOPS, flat="y x")
def silu_forward(y, x):
    """y = x sigmoid(x)."""
    for i in prange(x.size):
        y[i] = x[i] * logistic(x[i])


@kernel(backend=LOOPS, flat="dx dy x")
def silu_backward(dx, dy, x):
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)."""
    for i in prange(dy.size):
        s = logistic(x[i])
        dx[i] = dy[i] * s * (1 + x[i] * (1 - s))


@kernel(backend=LOOPS, flat="y x")
def mish_forward(y, x):
    """y = x tanh(ln(1 + e^x))."""
    for i in prange(x.size):
        y[i] = x[i] * math.tanh(log_one_plus_exp(x[i]))


@kernel(backend=LOOPS, flat="dx dy x")
def mish_backward(dx, dy, x):
    """dx = dy (t + x (1 - t^2) sigmoid(x)), t = tanh(ln(1 + e^x))."""
    for i in prange(dy.size):
        t = math.tanh(log_one_plus_exp(x[i]))
        dx[i] = dy[i] * (t + x[i] * (1 - t * t) * logistic(x[i]))


@kernel(backend=LOOPS, flat="y x")
def hardswish_forward(y, x):
    """y = x min(max(x + 3, 0), 6) / 6."""
    for i in prange(x.size):
        y[i] = x[i] * min(max(x[i] + 3, 0), 6) / 6


@kernel(backend=LOOPS, flat="dx dy x")
def hardswish_backward(dx, dy, x):
    """dx = 0 where x <= -3, dy where x >= 3, between them dy (x / 3 + 1 / 2)."""
    for i in prange(dy.size):
        dx[i] = 0 if x[i] <= -3 else dy[i] * (x[i] / 3 + 0.5) if x[i] < 3 else dy[i]
