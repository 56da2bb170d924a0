"""Softmax on the CPU: one row at a time, which stays in the cache."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import serial
from .norm import single
from .smooth import exp

f4 = np.float32
PARTS = 64  # pieces of the rows; each row is summed by itself, so their number changes no bits


def rowwise(k: Any, fn: Callable[..., Any], arrays: Any, axis: int) -> Any:
    """Call fn on arrays whose rows run along the axis: as they are for channels, else as matrices (views)."""
    shape, n = arrays[0].shape, arrays[0].ndim
    if axis == 1:
        return fn(*arrays)
    order = (*(i for i in range(n) if i != axis), axis)
    back = tuple(order.index(i) for i in range(n))
    moved = tuple(shape[i] for i in order)
    matrix = (math.prod(moved[:-1]), moved[-1])
    return fn(*[in_order(k, a, order).reshape(matrix) for a in arrays]).reshape(moved).transpose(back)


def in_order(k: Any, a: Any, order: tuple[int, ...]) -> Any:
    """The array with its axes in this order, in C order."""
    t = a.transpose(order)
    return t if t.flags.c_contiguous else k.canonical(a, order).transpose(order)


@kernel(backend="numba", composite=True, when=single)
def softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """softmax_rows along the axis."""
    return rowwise(k, k.softmax_rows, (x,), axis)


@kernel(backend="numba", composite=True, when=single)
def log_softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """log_softmax_rows along the axis."""
    return rowwise(k, k.log_softmax_rows, (x,), axis)


@kernel(backend="numba", composite=True, when=single)
def softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """softmax_rows_backward along the axis."""
    return rowwise(k, k.softmax_rows_backward, (dy, y), axis)


@kernel(backend="numba", composite=True, when=single)
def log_softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """log_softmax_rows_backward along the axis."""
    return rowwise(k, k.log_softmax_rows_backward, (dy, y), axis)


def like(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """One output of the input's shape."""
    return [x.shape]


@serial
def peak(x: Any) -> Any:
    """The maximum of a row, four in flight: each waits for the last comparison of its own."""
    a, b, c, d = f4(-np.inf), f4(-np.inf), f4(-np.inf), f4(-np.inf)
    whole = x.size // 4 * 4
    for j in range(0, whole, 4):
        a, b, c, d = max(a, x[j]), max(b, x[j + 1]), max(c, x[j + 2]), max(d, x[j + 3])
    for j in range(whole, x.size):
        a = max(a, x[j])
    return max(max(a, b), max(c, d))


@serial
def total(y: Any) -> Any:
    """The sum of a row in float64, eight sums in flight."""
    s0, s1, s2, s3, s4, s5, s6, s7 = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    whole = y.size // 8 * 8
    for j in range(0, whole, 8):
        s0, s1, s2, s3 = s0 + y[j], s1 + y[j + 1], s2 + y[j + 2], s3 + y[j + 3]
        s4, s5, s6, s7 = s4 + y[j + 4], s5 + y[j + 5], s6 + y[j + 6], s7 + y[j + 7]
    for j in range(whole, y.size):
        s0 += y[j]
    return ((s0 + s1) + (s2 + s3)) + ((s4 + s5) + (s6 + s7))


@serial
def total_product(x: Any, y: Any) -> Any:
    """The sum of x y in float64, four sums in flight."""
    s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
    whole = y.size // 4 * 4
    for j in range(0, whole, 4):
        s0, s1 = s0 + x[j] * y[j], s1 + x[j + 1] * y[j + 1]
        s2, s3 = s2 + x[j + 2] * y[j + 2], s3 + x[j + 3] * y[j + 3]
    for j in range(whole, y.size):
        s0 += x[j] * y[j]
    return (s0 + s1) + (s2 + s3)


@serial
def exponentials(y: Any, x: Any, top: Any) -> Any:
    """y = exp(x - top); returns their sum."""
    for j in range(x.size):
        y[j] = exp(x[j] - top)
    return total(y)


@serial
def softmax_row(y: Any, x: Any) -> None:
    """y = exp(x - max x) / sum."""
    scale = f4(1.0 / exponentials(y, x, peak(x)))
    for j in range(x.size):
        y[j] *= scale


@serial
def log_softmax_row(y: Any, x: Any) -> None:
    """y = (x - max x) - log sum exp(x - max x)."""
    top = peak(x)
    log_total = f4(np.log(exponentials(y, x, top)))
    for j in range(x.size):
        y[j] = (x[j] - top) - log_total


@kernel(backend="numba", rows="y x", out=like, flops=lambda x: 4 * x.size)
def softmax_rows(y: Any, x: Any) -> None:
    """y = e^(x - m) / sum e^(x - m) for each row, m = max x."""
    n = x.shape[0]
    for part in prange(PARTS):
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            softmax_row(y[i], x[i])


@kernel(backend="numba", rows="y x", out=like, flops=lambda x: 4 * x.size)
def log_softmax_rows(y: Any, x: Any) -> None:
    """y = x - m - ln sum e^(x - m) for each row, m = max x."""
    n = x.shape[0]
    for part in prange(PARTS):
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            log_softmax_row(y[i], x[i])


@serial
def softmax_row_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y))."""
    mean = f4(total_product(dy, y))
    for j in range(y.size):
        dx[j] = y[j] * (dy[j] - mean)


@serial
def log_softmax_row_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - exp(y) sum(dy)."""
    s = f4(total(dy))
    for j in range(y.size):
        dx[j] = dy[j] - exp(y[j]) * s


@kernel(backend="numba", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y)) for each row."""
    n = y.shape[0]
    for part in prange(PARTS):
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            softmax_row_backward(dx[i], dy[i], y[i])


@kernel(backend="numba", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def log_softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - e^y sum(dy) for each row."""
    n = y.shape[0]
    for part in prange(PARTS):
        for i in range(part * n // PARTS, (part + 1) * n // PARTS):
            log_softmax_row_backward(dx[i], dy[i], y[i])
