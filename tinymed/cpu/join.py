"""Concatenation on the CPU: each array is copied once to its place, in the memory order of the first.

Rows of two arrays are copied in turns, so that memory is written from one end to the other.
"""

import math
from typing import Any

from numba import prange

from ..dispatch import kernel
from ..memory import dense_order, inverse_order, is_dense
from .simd.copy_runs import copies_nontemporally, runs
from .simd.partition import TASKS
from .simd.vectors import address


@kernel(backend="numba", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Copy rows of x to the start of wider rows; the rest is for concat_next."""
    for i in prange(x.shape[0]):
        to, row = y[i, : x.shape[1]], x[i]
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Copy rows of x into rows of y, in place, from a column on."""
    for i in prange(x.shape[0]):
        to, row = y[i, start : start + x.shape[1]], x[i]  # y[i, start + j] would be checked for a negative index
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
def concat_pair(y: Any, a: Any, b: Any, width: Any) -> None:
    """Copy rows of a, then of b, to the start of wider rows; the rest is for concat_next."""
    (n, first), second = a.shape, b.shape[1]
    nontemporal = copies_nontemporally(y, first, width)
    for t in prange(TASKS):
        low, high = t * n // TASKS, (t + 1) * n // TASKS
        if low < high:
            runs(
                nontemporal,
                high - low,
                first,
                second,
                address(a[low]),
                4 * first,
                address(b[low]),
                4 * second,
                address(y[low]),
                4 * width,
            )


@kernel(backend="numba", composite=True, when=lambda axis, *xs: {x.dtype.char for x in xs} == {"f"})
def concat(k: Any, axis: int, *xs: Any) -> Any:
    """Call concat_pair, then concat_next for every further array, as rows in the memory order of the first."""
    order = next((o for x in xs if x.size and (o := dense_order(x))), tuple(range(xs[0].ndim)))
    place = order.index(axis)
    shape = [xs[0].shape[a] for a in order]
    shape[place] = sum(x.shape[axis] for x in xs)
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    dense = [x if is_dense(x, order) else k.canonical(x, order) for x in xs]
    first, *rest = [x.transpose(order).reshape(outer, x.shape[axis] * inner) for x in dense]
    width, column = shape[place] * inner, first.shape[1]
    if rest:
        y = k.concat_pair(first, rest[0], width)
        column += rest[0].shape[1]
    else:
        y = k.concat_first(first, width)
    for rows in rest[1:]:
        k.concat_next(y, rows, column)
        column += rows.shape[1]
    return y.reshape(shape).transpose(inverse_order(order))
