"""Softmax, on the GPU: csrc/softmax.cu."""

import math
from collections.abc import Callable
from typing import Any

from ..dispatch import kernel
from .norm import single


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


def like(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """One output of the input's shape."""
    return [x.shape]


@kernel(backend="csrc", composite=True, when=single)
def softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """softmax_rows along the axis."""
    return rowwise(k, k.softmax_rows, (x,), axis)


@kernel(backend="csrc", composite=True, when=single)
def log_softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """log_softmax_rows along the axis."""
    return rowwise(k, k.log_softmax_rows, (x,), axis)


@kernel(backend="csrc", composite=True, when=single)
def softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """softmax_rows_backward along the axis."""
    return rowwise(k, k.softmax_rows_backward, (dy, y), axis)


@kernel(backend="csrc", composite=True, when=single)
def log_softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """log_softmax_rows_backward along the axis."""
    return rowwise(k, k.log_softmax_rows_backward, (dy, y), axis)


@kernel(backend="csrc", rows="y x", out=like, flops=lambda x: 4 * x.size)
def softmax_rows(y: Any, x: Any) -> None:
    """y = e^(x - m) / sum e^(x - m) for each row, m = max x."""


@kernel(backend="csrc", rows="y x", out=like, flops=lambda x: 4 * x.size)
def log_softmax_rows(y: Any, x: Any) -> None:
    """y = x - m - ln sum e^(x - m) for each row, m = max x."""


@kernel(backend="csrc", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y)) for each row."""


@kernel(backend="csrc", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def log_softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - e^y sum(dy) for each row."""
