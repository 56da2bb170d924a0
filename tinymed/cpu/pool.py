"""Pooling on the CPU: images are [n, h, w, c], and the innermost loops run over channels so that they vectorise.

Backward passes gather: a row of dx collects what its windows send, so rows are independent and need no atomics.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from ..backend import kernel
from .jit import serial

f4 = np.float32


@njit
def wins(value, best):
    """Whether a value replaces the best so far: the first of equals stays, NaN wins.  Compiled without "no NaNs"."""
    return value > best or value != value


def single(*arrays: Any) -> bool:
    """float32 images: what the loops take."""
    return all(a.dtype.char == "f" for a in arrays if hasattr(a, "dtype") and a.dtype.kind == "f") and arrays[0].ndim == 4


def is_halving(kernel: Any, stride: Any, before: Any, dilation: Any) -> bool:
    """2 x 2 windows at stride 2, most networks' only pooling."""
    return (kernel, stride, before) == ((2, 2), (2, 2), (0, 0)) and dilation == (1, 1)


def partners(space: Any, size: Any) -> bool:
    """Whether all 2 x 2 windows lie inside."""
    return all(2 * m <= n for n, m in zip(space, size, strict=True))


# ---------------------------------------------------------------------------------------------------- maximum


@kernel(backend="numba", composite=True, when=lambda x, *_: single(x))
def max_pool2d_forward(k, x, kernel, stride, before, dilation, size):
    """The loop for 2 x 2 windows, or the one for all."""
    if is_halving(kernel, stride, before, dilation) and partners(x.shape[2:], size):
        return k.max_pool_halve(x, size)
    return k.max_pool_window(x, kernel, stride, before, dilation, size, np.zeros(0, index_dtype(kernel)))


@kernel(backend="numba", composite=True, when=lambda dy, index, *_: single(dy))
def max_pool2d_backward(k, dy, index, x_shape, kernel, stride, before, dilation):
    if is_halving(kernel, stride, before, dilation) and partners(x_shape[2:], dy.shape[2:]):
        return k.max_pool_halve_backward(dy, index, x_shape)
    return k.max_pool_window_backward(dy, index, x_shape, kernel, stride, before, dilation)
