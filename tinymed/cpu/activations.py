"""Activations on the CPU: one pass over memory, in whatever dense order the arrays lie."""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel

f4 = np.float32


@kernel(backend="numba", flat="y x")
def relu_forward(y: Any, x: Any) -> None:
    for i in prange(x.size):
        y[i] = max(x[i], f4(0))


@kernel(backend="numba", flat="dx dy y")
def relu_backward(dx: Any, dy: Any, y: Any) -> None:
    for i in prange(y.size):
        dx[i] = dy[i] if y[i] > 0 else f4(0)


@kernel(backend="numba", flat="y x")
def leaky_relu_forward(y: Any, x: Any, slope: Any) -> None:
    for i in prange(x.size):
        y[i] = x[i] if x[i] > 0 else slope * x[i]


@kernel(backend="numba", flat="dx dy x")
def leaky_relu_backward(dx: Any, dy: Any, x: Any, slope: Any) -> None:
    for i in prange(x.size):
        dx[i] = dy[i] if x[i] > 0 else slope * dy[i]
