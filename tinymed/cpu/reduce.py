"""Sums on the CPU, over any axes in any memory order.

The reduced axes are brought into one or two runs, so that two loops do: over everything, and (A, K, C) to (K).  Sums are
accumulated in float64 (int64 for integers) and cut into a fixed number of chunks: same bits for any number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..backend import is_single, kernel
from ..memory import dense_order, is_dense
from ..ops.reduce import total_type

CHUNKS = 32


def accumulator(x: Any) -> Any:
    """What sums of x are accumulated in."""
    return np.dtype(np.float64 if x.dtype.kind == "f" else np.int64)


@kernel(backend="numba", out=lambda x: [((), total_type(x))], work=lambda x: [((CHUNKS,), accumulator(x))],
        flops=lambda x: x.size)  # fmt: skip
def sum_all(y: Any, partial: Any, x: Any) -> None:
    """Four sums in flight hide the latency of an addition."""
    n = x.size
    for c in prange(CHUNKS):
        start, stop = n * c // CHUNKS, n * (c + 1) // CHUNKS
        zero = partial.dtype.type(0)
        s0, s1, s2, s3 = zero, zero, zero, zero
        whole = start + (stop - start) // 4 * 4
        for i in range(start, whole, 4):
            s0 += x[i]
            s1 += x[i + 1]
            s2 += x[i + 2]
            s3 += x[i + 3]
        for i in range(whole, stop):
            s0 += x[i]
        partial[c] = (s0 + s1) + (s2 + s3)
    total = partial.dtype.type(0)
    for c in range(CHUNKS):
        total += partial[c]
    y[()] = total


@kernel(backend="numba", out=lambda x: [((x.shape[1],), total_type(x))],
        work=lambda x: [((CHUNKS, x.shape[1]), accumulator(x))], flops=lambda x: x.size)  # fmt: skip
def sum_outer(y: Any, partial: Any, x: Any) -> None:
    """(A, K) to (K): rows are added in chunks."""
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


@kernel(backend="numba", out=lambda x: [((x.shape[1],), total_type(x))], flops=lambda x: x.size,
        work=lambda x: [((x.shape[1],), accumulator(x))])  # fmt: skip
def sum_inner(y: Any, total: Any, x: Any) -> None:
    """(A, K, C) to (K): one thread adds up each k."""
    outer, columns, inner = x.shape
    for k in prange(columns):
        s = total.dtype.type(0)
        for i in range(outer):
            for j in range(inner):
                s += x[i, k, j]
        total[k] = s
        y[k] = s


@kernel(backend="numba", composite=True, when=lambda x, axes: is_single((x,)))
def sum_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    order = dense_order(x) or tuple(range(x.ndim))
    run = [i for i, a in enumerate(order) if a in kept]
    first = run[0] if run else 0
    if order[first : first + len(kept)] != kept:  # the kept axes do not lie together
        order, first = (*axes, *kept), len(axes)
    x = x if is_dense(x, order) else k.canonical(x, order)
    sides = [x.shape[a] for a in order]
    x = x.transpose(order)
    if math.prod(shape) == 1:
        return k.sum_all(x.reshape(-1)).reshape(shape)
    outer, inner = math.prod(sides[:first]), math.prod(sides[first + len(kept) :])
    if inner == 1:
        return k.sum_outer(x.reshape(outer, -1)).reshape(shape) if outer else k.xp.zeros(shape, total_type(x))
    if not x.size:
        return k.xp.zeros(shape, total_type(x))
    return k.sum_inner(x.reshape(outer, -1, inner)).reshape(shape)
