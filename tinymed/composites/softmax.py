"""Softmax along any axis, from kernels that take rows."""

import math
from collections.abc import Callable
from typing import Any

from ..dispatch import kernel
from .arguments import all_alike, in_order


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


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """softmax_rows along the axis."""
    return rowwise(k, k.softmax_rows, (x,), axis)


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def log_softmax_forward(k: Any, x: Any, axis: int) -> Any:
    """log_softmax_rows along the axis."""
    return rowwise(k, k.log_softmax_rows, (x,), axis)


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """softmax_rows_backward along the axis."""
    return rowwise(k, k.softmax_rows_backward, (dy, y), axis)


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def log_softmax_backward(k: Any, dy: Any, y: Any, axis: int) -> Any:
    """log_softmax_rows_backward along the axis."""
    return rowwise(k, k.log_softmax_rows_backward, (dy, y), axis)
