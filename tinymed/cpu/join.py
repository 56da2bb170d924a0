"""Concatenation on the CPU: each array is copied once to its place, in the memory order of the first.

Rows of two arrays are copied in turns, so that memory is written from one end to the other.
"""

from typing import Any

from numba import prange

from ..dispatch import kernel
from .simd.copy_runs import copies_nontemporally, runs
from .simd.partition import TASKS
from .simd.vectors import BYTES, address


@kernel(backend="numba", double="numba", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Copy rows of x to the start of wider rows; the rest is for concat_next."""
    for i in prange(x.shape[0]):
        to, row = y[i, : x.shape[1]], x[i]
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", double="numba", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Copy rows of x into rows of y, in place, from a column on."""
    for i in prange(x.shape[0]):
        to, row = y[i, start : start + x.shape[1]], x[i]  # y[i, start + j] would be checked for a negative index
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", double="numba", out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
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
                BYTES * first,
                address(b[low]),
                BYTES * second,
                address(y[low]),
                BYTES * width,
            )
