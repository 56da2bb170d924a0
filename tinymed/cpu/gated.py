"""Gated activations on the CPU: x times a smooth gate, in loops that LLVM vectorises."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .compiler.jit import inline
from .simd.elementary import exp, sigmoid

f4 = np.float32
HALF_ROOT, DENSITY = f4(np.sqrt(0.5)), f4(1 / np.sqrt(2 * np.pi))


@inline
def normal(x: Any) -> Any:
    """Return (P(x), exp(-x^2 / 2)): the normal distribution function by Abramowitz & Stegun 7.1.26, within 8e-8.

    It gives erfc(|x| / sqrt 2) = polynomial * exp(-x^2 / 2); 1 - that for positive x.
    """
    t = f4(1) / (f4(1) + f4(0.3275911) * HALF_ROOT * abs(x))
    p = f4(1.061405429) * t - f4(1.453152027)
    p = p * t + f4(1.421413741)
    p = p * t - f4(0.284496736)
    p = p * t + f4(0.254829592)
    e = exp(f4(-0.5) * x * x)
    tail = f4(0.5) * p * t * e
    return (f4(1) - tail if x >= f4(0) else tail), e


@kernel(backend="numba", flat="y x")
def gelu_forward(y: Any, x: Any) -> None:
    """y = x Phi(x), Phi the normal distribution function."""
    for i in prange(x.size):
        below, _ = normal(x[i])
        y[i] = x[i] * below


@kernel(backend="numba", flat="dx dy x")
def gelu_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy (Phi(x) + x phi(x)), phi(x) = e^(-x^2 / 2) / sqrt(2 pi)."""
    for i in prange(x.size):
        below, e = normal(x[i])
        dx[i] = dy[i] * (below + x[i] * e * DENSITY)


@kernel(backend="numba", flat="y x")
def silu_forward(y: Any, x: Any) -> None:
    """y = x sigmoid(x)."""
    for i in prange(x.size):
        y[i] = x[i] * sigmoid(x[i])


@kernel(backend="numba", flat="dx dy x")
def silu_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy s (1 + x (1 - s)), s = sigmoid(x)."""
    for i in prange(x.size):
        s = sigmoid(x[i])
        dx[i] = dy[i] * s * (f4(1) + x[i] * (f4(1) - s))


@inline
def tanh_softplus(x: Any) -> Any:
    """Return (t, 1 - t^2, sigmoid(x)) with t = tanh(ln(1 + e^x)) = n / (n + 2), n = e^2x + 2 e^x."""
    e = exp(min(x, f4(20)))  # beyond, t is 1
    n = e * (e + f4(2))
    t = n / (n + f4(2))
    slope = f4(0) if x > f4(20) else (f4(1) + t) * f4(2) / (n + f4(2))
    return t, slope, e / (f4(1) + e)


@kernel(backend="numba", flat="y x")
def mish_forward(y: Any, x: Any) -> None:
    """y = x tanh(ln(1 + e^x))."""
    for i in prange(x.size):
        t, _, _ = tanh_softplus(x[i])
        y[i] = x[i] * t


@kernel(backend="numba", flat="dx dy x")
def mish_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy (t + x (1 - t^2) sigmoid(x)), t = tanh(ln(1 + e^x))."""
    for i in prange(x.size):
        t, slope, s = tanh_softplus(x[i])
        dx[i] = dy[i] * (t + x[i] * slope * s)


@kernel(backend="numba", flat="y x")
def hardswish_forward(y: Any, x: Any) -> None:
    """y = x min(max(x + 3, 0), 6) / 6."""
    for i in prange(x.size):
        y[i] = x[i] * (min(max(x[i] + f4(3), f4(0)), f4(6)) / f4(6))


@kernel(backend="numba", flat="dx dy x")
def hardswish_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = 0 where x <= -3, dy where x >= 3, between them dy (x / 3 + 1 / 2)."""
    for i in prange(x.size):
        inside = dy[i] * (x[i] / f4(3) + f4(0.5))
        dx[i] = f4(0) if x[i] <= f4(-3) else inside if x[i] < f4(3) else dy[i]
