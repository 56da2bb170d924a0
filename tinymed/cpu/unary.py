"""Element-wise functions of one input on the CPU: one pass over memory, in whatever dense order the arrays lie."""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .compiler import elements
from .compiler.jit import inline
from .simd.elementary import exp, exp_parts, log

f4, i4 = np.float32, np.int32
TWO_OVER_ROOT_PI = 2 / math.sqrt(math.pi)


@inline
def exp_full(x: Any) -> Any:
    """Return e^x in the whole range: 2^n in two factors, so that it becomes subnormal, 0 or infinite as it should."""
    part = min(max(x, f4(-104)), f4(89))
    scale, rest = exp_parts(f4(0.5) * part)
    root = scale * rest + scale
    return root * root


elements.declare_twin(exp_full, lambda: elements.doubled(exp))


@kernel(backend="numba", double="numba", flat="y x")
def exp_forward(y: Any, x: Any) -> None:
    """y = e^x."""
    for i in prange(x.size):
        y[i] = exp_full(x[i])


@kernel(backend="numba", double="numba", flat="y x")
def log_forward(y: Any, x: Any) -> None:
    """y = ln x."""
    for i in prange(x.size):
        y[i] = log(x[i])


@kernel(backend="numba", double="numba", flat="y x")
def sqrt_forward(y: Any, x: Any) -> None:
    """y = sqrt(x)."""
    for i in prange(x.size):
        y[i] = math.sqrt(x[i])


@kernel(backend="numba", double="numba", flat="y x")
def abs_forward(y: Any, x: Any) -> None:
    """y = |x|."""
    for i in prange(x.size):
        y[i] = abs(x[i])


@kernel(backend="numba", double="numba", flat="y x")
def sign_forward(y: Any, x: Any) -> None:
    """y = -1, 0 or 1 with the sign of x; 0 of NaN."""
    for i in prange(x.size):
        y[i] = f4(1) if x[i] > f4(0) else f4(-1) if x[i] < f4(0) else f4(0)


@inline
def erf_near_0(x: Any) -> Any:
    """Return erf x for |x| <= 1, by the Maclaurin series: its first ten terms leave 1e-8."""
    z, y = x * x, f4(-1 / (362880 * 19))
    y = y * z + f4(1 / (40320 * 17))
    y = y * z - f4(1 / (5040 * 15))
    y = y * z + f4(1 / (720 * 13))
    y = y * z - f4(1 / (120 * 11))
    y = y * z + f4(1 / (24 * 9))
    y = y * z - f4(1 / (6 * 7))
    y = y * z + f4(1 / (2 * 5))
    y = y * z - f4(1 / 3)
    return f4(TWO_OVER_ROOT_PI) * (x + x * (y * z))


@inline
def erf_beyond_1(size: Any) -> Any:
    """Return erf x for x >= 1, by Abramowitz & Stegun 7.1.26, within 1.5e-7."""
    t = f4(1) / (f4(1) + f4(0.3275911) * size)
    p = f4(1.061405429) * t - f4(1.453152027)
    p = p * t + f4(1.421413741)
    p = p * t - f4(0.284496736)
    p = p * t + f4(0.254829592)
    return f4(1) - p * t * exp(-size * size)


@kernel(backend="numba", flat="y x")
def erf_forward(y: Any, x: Any) -> None:
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    for i in prange(x.size):
        size = abs(x[i])
        outer = erf_beyond_1(max(size, f4(1)))
        outer = outer if x[i] > f4(0) else -outer
        y[i] = outer if size > f4(1) else erf_near_0(x[i])


@kernel(backend="numba", flat="dx dy x")
def erf_backward(dx: Any, dy: Any, x: Any) -> None:
    """dx = dy 2 / sqrt(pi) e^(-x^2)."""
    for i in prange(x.size):
        dx[i] = dy[i] * (f4(TWO_OVER_ROOT_PI) * exp(-x[i] * x[i]))


@kernel(backend="numba", double="numba", flat="y x")
def rsqrt_forward(y: Any, x: Any) -> None:
    """y = 1 / sqrt(x)."""
    for i in prange(x.size):
        y[i] = f4(1) / math.sqrt(x[i])
