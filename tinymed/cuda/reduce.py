"""Sums over any axes in any memory order, on the GPU: csrc/reduce.cu.

The reduced axes are brought into one or two runs of axes, so that three kernels do.
"""

from typing import Any

import numpy as np

from ..dispatch import kernel

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


@kernel(backend="csrc", composite=True, out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_inner(k: Any, x: Any) -> Any:
    """Sum (A, K, C) to (K): sum_rows of the A K rows, then sum_outer."""
    outer, columns, inner = x.shape
    rows = k.sum_rows(x.reshape(outer * columns, inner))
    return k.sum_outer(rows.reshape(outer, columns)) if outer > 1 else rows


@kernel(backend="csrc", composite=True, out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_few(k: Any, x: Any) -> Any:
    """Sum each column of a few rows: sum_outer, which splits only long columns."""
    return k.sum_outer(x)
