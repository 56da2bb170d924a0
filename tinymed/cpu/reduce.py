"""Sums on the CPU, over any axes in any memory order.

The reduced axes are brought into one or two runs of axes, so that three loops are enough.  Sums are accumulated in
float64 and cut into a fixed number of chunks: the same bits for any number of threads.
"""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel

CHUNKS = 32


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [()],
    work=lambda x: [((CHUNKS,), np.float64)],
    flops=lambda x: x.size,
)
def sum_all(y: Any, partial: Any, x: Any) -> None:
    """Sum all numbers; four sums in flight hide the latency of an addition."""
    n = x.size
    for c in prange(CHUNKS):
        start, stop = n * c // CHUNKS, n * (c + 1) // CHUNKS
        s0, s1, s2, s3 = 0.0, 0.0, 0.0, 0.0
        whole = start + (stop - start) // 4 * 4
        for i in range(start, whole, 4):
            s0 += x[i]
            s1 += x[i + 1]
            s2 += x[i + 2]
            s3 += x[i + 3]
        for i in range(whole, stop):
            s0 += x[i]
        partial[c] = (s0 + s1) + (s2 + s3)
    total = 0.0
    for c in range(CHUNKS):
        total += partial[c]
    y[()] = total


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [(x.shape[1],)],
    work=lambda x: [((CHUNKS, x.shape[1]), np.float64)],
    flops=lambda x: x.size,
)
def sum_outer(y: Any, partial: Any, x: Any) -> None:
    """Sum (A, K) to (K): rows are added in chunks."""
    rows, columns = x.shape
    for c in prange(CHUNKS):
        partial[c, :] = 0
        for i in range(rows * c // CHUNKS, rows * (c + 1) // CHUNKS):
            for k in range(columns):
                partial[c, k] += x[i, k]
    for k in range(columns):
        total = partial[0, k]
        for c in range(1, CHUNKS):
            total += partial[c, k]
        y[k] = total


@kernel(backend="numba", double="numba", out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_few(y: Any, x: Any) -> None:
    """Sum (A, K) to (K) for a handful of rows: each column by itself, without partial sums."""
    rows, columns = x.shape
    for c in prange(CHUNKS):
        for k in range(columns * c // CHUNKS, columns * (c + 1) // CHUNKS):
            s = 0.0
            for i in range(rows):
                s += x[i, k]
            y[k] = s


@kernel(backend="numba", double="numba", out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_inner(y: Any, x: Any) -> None:
    """Sum (A, K, C) to (K): one thread adds up each k."""
    outer, columns, inner = x.shape
    for k in prange(columns):
        s = 0.0
        for i in range(outer):
            for j in range(inner):
                s += x[i, k, j]
        y[k] = s
