"""Smooth activations on the CPU, on an exponential that LLVM vectorises."""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import inline

f4, i4 = np.float32, np.int32
LOG2_E, LN2_HIGH, LN2_LOW = f4(1.4426950408889634), f4(0.693359375), f4(-2.12194440e-4)
ROUND = f4(12582912)  # 1.5 * 2^23: adding it leaves the nearest integer in the low bits
LOWEST, HIGHEST = f4(-87.3), f4(88.7)  # beyond, exp is not a normal float32


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
