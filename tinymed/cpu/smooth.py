"""Smooth activations on the CPU, on an exponential that LLVM vectorises."""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import inline, serial

f4, i4 = np.float32, np.int32
LOG2_E, LN2_HIGH, LN2_LOW = f4(1.4426950408889634), f4(0.693359375), f4(-2.12194440e-4)
ROUND = f4(12582912)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
LOWEST, HIGHEST = f4(-87.3), f4(88.7)  # beyond, exp is not a normal float32
SMALLEST = f4(2.0**-126)  # normal float32


@inline
def exp_parts(x: Any) -> Any:
    """(2^n, exp(r) - 1) with x = n ln 2 + r, |r| <= ln 2 / 2.  LLVM vectorises this; it cannot libm's exp.

    The polynomial is that of S. Moshier's Cephes library (expf.c, 1989); the result is within 1e-7, relative.
    """
    n = (x * LOG2_E + ROUND) - ROUND
    r = (x - n * LN2_HIGH) - n * LN2_LOW
    p = f4(1.9875691500e-4) * r + f4(1.3981999507e-3)
    p = p * r + f4(8.3334519073e-3)
    p = p * r + f4(4.1665795894e-2)
    p = p * r + f4(1.6666665459e-1)
    p = p * r + f4(5.0000001201e-1)
    return i4((i4(n) + i4(127)) << i4(23)).view(f4), p * (r * r) + r


@inline
def exp(x: Any) -> Any:
    """e^x; 0 below -87.3, 3e38 above 88.7.  A NaN passes each comparison by, and comes out."""
    scale, rest = exp_parts(min(max(x, LOWEST), HIGHEST))
    return f4(0) if x < LOWEST else scale * rest + scale


@serial
def log(x: Any) -> Any:
    """ln x, within 1e-7; -inf at 0, NaN below.  The polynomial is that of Cephes (logf.c)."""
    scale = f4(2.0**23) if x < SMALLEST else f4(1)
    bits = i4(f4(x * scale).view(i4))
    n = f4(bits >> i4(23)) - (f4(149) if x < SMALLEST else f4(126))
    m = i4((bits & i4(0x007FFFFF)) | i4(0x3F000000)).view(f4)  # x = m 2^n, 1/2 <= m < 1
    low = f4(1) if m < f4(0.70710678) else f4(0)
    n, m = n - low, m * (f4(1) + low) - f4(1)
    p = f4(7.0376836292e-2) * m - f4(1.1514610310e-1)
    p = p * m + f4(1.1676998740e-1)
    p = p * m - f4(1.2420140846e-1)
    p = p * m + f4(1.4249322787e-1)
    p = p * m - f4(1.6668057665e-1)
    p = p * m + f4(2.0000714765e-1)
    p = p * m - f4(2.4999993993e-1)
    p = p * m + f4(3.3333331174e-1)
    y = m + (n * LN2_LOW + (p * m * (m * m) - f4(0.5) * (m * m))) + n * LN2_HIGH
    below = f4(-np.inf) if x == f4(0) else f4(np.nan)
    above = y if x < f4(np.inf) else x
    return above if x > f4(0) else below


@inline
def log1p_unit(z: Any) -> Any:
    """ln(1 + z) for 0 <= z <= 1 = 2 atanh(z / (2 + z)), by its series: exact near 0."""
    s = z / (f4(2) + z)
    q = s * s
    p = f4(2 / 15) * q + f4(2 / 13)
    p = p * q + f4(2 / 11)
    p = p * q + f4(2 / 9)
    p = p * q + f4(2 / 7)
    p = p * q + f4(2 / 5)
    p = p * q + f4(2 / 3)
    return s * (p * q + f4(2))


@inline
def softplus(x: Any) -> Any:
    """ln(1 + e^x), by the exponential that cannot overflow."""
    return max(x, f4(0)) + log1p_unit(exp(-abs(x)))


@inline
def expm1(x: Any) -> Any:
    """e^x - 1 for x <= 0, without cancellation."""
    scale, rest = exp_parts(max(x, f4(-80)))
    return scale * rest + (scale - f4(1))


@inline
def sigmoid(x: Any) -> Any:
    """1 / (1 + e^-x), by the exponential that cannot overflow."""
    e = exp(-abs(x))
    return (f4(1) if x >= f4(0) else e) / (f4(1) + e)


@inline
def tanh(x: Any) -> Any:
    """(1 - e^-2|x|) / (1 + e^-2|x|) with the sign of x."""
    less = expm1(f4(-2) * abs(x))
    t = -less / (f4(2) + less)
    return t if x >= f4(0) else -t


@kernel(backend="numba", flat="y x")
def sigmoid_forward(y: Any, x: Any) -> None:
    """y = 1 / (1 + e^-x)."""
    for i in prange(x.size):
        y[i] = sigmoid(x[i])


@kernel(backend="numba", flat="dx dy y")
def sigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy y (1 - y)."""
    for i in prange(y.size):
        dx[i] = dy[i] * y[i] * (f4(1) - y[i])


@kernel(backend="numba", flat="y x")
def tanh_forward(y: Any, x: Any, amplitude: Any, slope: Any) -> None:
    """y = amplitude tanh(slope x)."""
    for i in prange(x.size):
        y[i] = amplitude * tanh(slope * x[i])


@kernel(backend="numba", flat="dx dy y")
def tanh_backward(dx: Any, dy: Any, y: Any, amplitude: Any, slope: Any) -> None:
    """dx = dy (slope amplitude - slope / amplitude y^2)."""
    top, curve = slope * amplitude, slope / amplitude
    for i in prange(y.size):
        dx[i] = dy[i] * (top - curve * y[i] * y[i])


@kernel(backend="numba", flat="y x")
def elu_forward(y: Any, x: Any, alpha: Any, scale: Any, rate: Any) -> None:
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1)."""
    for i in prange(x.size):
        below = scale * alpha * expm1(rate * min(x[i], f4(0)))
        y[i] = scale * x[i] if x[i] > f4(0) else below


@kernel(backend="numba", flat="dx dy y")
def elu_backward(dx: Any, dy: Any, y: Any, alpha: Any, scale: Any, rate: Any) -> None:
    """dx = scale dy where y > 0, else rate dy (y + scale alpha)."""
    for i in prange(y.size):
        dx[i] = scale * dy[i] if y[i] > f4(0) else rate * dy[i] * (y[i] + scale * alpha)


@kernel(backend="numba", flat="y x")
def softplus_forward(y: Any, x: Any, beta: Any, threshold: Any) -> None:
    """y = ln(1 + e^(beta x)) / beta, x itself where beta x > threshold."""
    for i in prange(x.size):
        z = beta * x[i]
        y[i] = x[i] if z > threshold else softplus(z) / beta


@kernel(backend="numba", flat="dx dy x")
def softplus_backward(dx: Any, dy: Any, x: Any, beta: Any, threshold: Any) -> None:
    """dx = dy sigmoid(beta x), dy itself where beta x > threshold."""
    for i in prange(x.size):
        z = beta * x[i]
        dx[i] = dy[i] if z > threshold else dy[i] * sigmoid(z)


@kernel(backend="numba", flat="y x")
def logsigmoid_forward(y: Any, x: Any) -> None:
    """y = -ln(1 + e^-x)."""
    for i in prange(x.size):
        y[i] = -softplus(-x[i])


@kernel(backend="numba", flat="dx dy y")
def logsigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy (1 - e^y)."""
    for i in prange(y.size):
        dx[i] = -dy[i] * expm1(y[i])


@kernel(backend="numba", flat="y x")
def softsign_forward(y: Any, x: Any) -> None:
    """y = x / (1 + |x|)."""
    for i in prange(x.size):
        y[i] = x[i] / (f4(1) + abs(x[i]))


@kernel(backend="numba", flat="dx dy x")
def softsign_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy / (1 + |x|)^2, NaN where x is infinite, as y is."""
    for i in prange(x.size):
        d = f4(1) + abs(x[i])
        dx[i] = dy[i] / (d * d) + f4(0) * x[i]
