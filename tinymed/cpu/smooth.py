"""Smooth activations on the CPU, on an exponential that LLVM vectorises."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .simd.elementary import expm1, sigmoid, softplus, tanh

f4 = np.float32


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
    """dx = scale dy where y > 0 or NaN, else rate dy (y + scale alpha)."""
    for i in prange(y.size):
        dx[i] = rate * dy[i] * (y[i] + scale * alpha) if y[i] <= f4(0) else scale * dy[i]


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
