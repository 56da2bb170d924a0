"""Sums over any axes in any memory order, on the GPU: csrc/reduce.cu.

The reduced axes are brought into one or two runs of axes, so that three kernels do.
"""

import math
from typing import Any

import numpy as np

from ..dispatch import is_single, kernel
from ..memory import dense_order, is_dense

PARTS, GRAIN = 1024, 4096  # most parts of a sum to one number, and numbers that a part is worth
BLOCKS, ROWS = 512, 128  # blocks that fill a GPU, and rows that a chunk of a matrix is worth


def chunks_of(n: int, c: int) -> int:
    """Chunks of n rows of c channels."""
    return max(1, min(BLOCKS // -(-max(c, 1) // 32), n // ROWS))


def sums_work(sums: int, n: int, c: int) -> tuple[tuple[int, int, int], Any]:
    """Return the workspace of a number of sums per channel, over n rows of c channels."""
    return (chunks_of(n, c), sums, c), np.float64


def rows_of(x: Any) -> tuple[int, int]:
    """(rows, channels) of an image seen as a matrix of pixels x channels."""
    c = int(x.shape[1] if x.ndim > 1 else x.size)
    return x.size // max(1, c), c


def parts_work(x: Any, *_: Any) -> list[Any]:
    """Return the workspace of a sum of all elements: a number for each part, by the size alone."""
    return [((max(1, min(PARTS, x.size // GRAIN)),), np.float64)]


def long_rows(x: Any) -> list[Any]:
    """Return the workspace of sums of rows: none where a warp suffices for each."""
    rows, length = x.shape
    parts = 0 if length < 1024 else max(1, min(PARTS // max(1, rows), length // GRAIN))
    return [((rows, parts), np.float64)]


@kernel(backend="csrc", out=lambda x: [()], work=parts_work, flops=lambda x: x.size)
def sum_all(y: Any, partial: Any, x: Any) -> None:
    """Compute the sum of a line."""


@kernel(backend="csrc", out=lambda x: [(x.shape[1],)], work=lambda x: [sums_work(1, *x.shape)], flops=lambda x: x.size)
def sum_outer(y: Any, partial: Any, x: Any) -> None:
    """Sum each column: (A, K) to (K)."""


@kernel(backend="csrc", out=lambda x: [(x.shape[0],)], work=long_rows, flops=lambda x: x.size)
def sum_rows(y: Any, partial: Any, x: Any) -> None:
    """(K, C) to (K): the sum of each row."""


@kernel(backend="csrc", composite=True, when=lambda x, axes: is_single((x,)))
def sum_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """sum_all, sum_outer, sum_rows or both on x in its memory order, or on a copy whose kept axes lie together."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    if not x.size:
        return k.full(shape, x.dtype, 0)
    order = dense_order(x) or tuple(range(x.ndim))
    run = [i for i, a in enumerate(order) if a in kept]
    first = run[0] if run else 0
    if order[first : first + len(kept)] != kept:  # the kept axes do not lie together
        order, first = (*axes, *kept), len(axes)
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    columns, outer = math.prod(shape), math.prod(x.shape[:first])
    if columns == 1:
        return k.sum_all(x.reshape(-1)).reshape(shape)
    inner = x.size // (outer * columns)
    rows = k.sum_rows(x.reshape(outer * columns, inner)) if inner > 1 else x
    return (k.sum_outer(rows.reshape(outer, columns)) if outer > 1 or inner == 1 else rows).reshape(shape)
