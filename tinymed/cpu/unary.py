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
