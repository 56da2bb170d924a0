"""Sums, products, lengths and order statistics on the CPU, over any axes in any memory order.

The reduced axes are brought into one or two runs of axes, so that three loops are enough.  Sums are accumulated in
float64 and cut into a fixed number of chunks: the same bits for any number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..composites.arguments import in_order
from ..dispatch import is_one_float, kernel
from ..memory import inverse_order, is_dense
from .simd.partition import TASKS
from .simd.reductions import add_four, add_one, row_product, row_product_sum, row_sum
from .simd.selection import KEYS, make_keys, select_places
from .simd.vectors import ceil_div

CHUNKS = 32
STRIP = 512  # columns whose sums stay in L1 while the rows pass
SHORT = 8  # numbers of a row below which vectors do not pay


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [()],
    work=lambda x: [((CHUNKS,), np.float64)],
    flops=lambda x: x.size,
)
def sum_all(y: Any, partial: Any, x: Any) -> None:
    """Sum all numbers."""
    n = x.size
    for c in prange(CHUNKS):
        partial[c] = row_sum(x[n * c // CHUNKS : n * (c + 1) // CHUNKS])
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


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [(x.shape[0], x.shape[2])],
    work=lambda x: [((CHUNKS, STRIP), np.float64)],
    flops=lambda x: x.size,
)
def sum_middle(y: Any, totals: Any, x: Any) -> None:
    """Sum (A, R, K) to (A, K): strips of columns, down whose rows one goes with a strip of sums."""
    outer, rows, columns = x.shape
    strips = ceil_div(columns, STRIP)
    for c in prange(CHUNKS):
        total = totals[c]
        for s in range(outer * strips * c // CHUNKS, outer * strips * (c + 1) // CHUNKS):
            a, first = s // strips, s % strips * STRIP
            size = min(STRIP, columns - first)
            total[:size] = 0
            for i in range(0, rows - rows % 4, 4):
                add_four(total, x[a], i, first, size)
            for i in range(rows - rows % 4, rows):
                add_one(total, x[a, i, first : first + size])
            for k in range(size):
                y[a, first + k] = total[k]


@kernel(backend="numba", double="numba", out=lambda x: [(x.shape[1],)], flops=lambda x: x.size)
def sum_inner(y: Any, x: Any) -> None:
    """Sum (A, K, C) to (K): one thread adds up each k."""
    outer, columns, inner = x.shape
    for k in prange(columns):
        s = 0.0
        for i in range(outer):
            if inner >= SHORT:
                s += row_sum(x[i, k])
            else:
                for j in range(inner):
                    s += x[i, k, j]
        y[k] = s


# ---------------------------------------------------------------------------------------------------- length


def is_length(x: Any, p: float, axes: tuple[int, ...]) -> bool:
    """Return whether the Euclidean norm of an array of floats is wanted."""
    return p == 2 and is_one_float((x,)) and x.size > 0


@kernel(backend="numba", double="numba", composite=True, when=is_length)
def norm_forward(k: Any, x: Any, p: float, axes: tuple[int, ...]) -> Any:
    """Compute y = sqrt(sum x^2): lengths_of_rows where what is summed lies together behind what is kept."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape, order = tuple(x.shape[i] for i in kept), (*kept, *axes)
    if not is_dense(x, order):
        return k.sqrt_forward(k.sum_forward(k.mul(x, x), axes))
    rows = math.prod(shape)
    return k.lengths_of_rows(x.transpose(order).reshape(rows, x.size // rows)).reshape(shape)


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [(x.shape[0],)],
    work=lambda x: [((x.shape[0], parts_of(x)), np.float64)],
    flops=lambda x: 2 * x.size,
)
def lengths_of_rows(y: Any, partial: Any, x: Any) -> None:
    """Compute the length of each row; of few rows in parts."""
    rows, columns = x.shape
    parts = partial.shape[1]
    for t in prange(rows * parts):
        i, c = t // parts, t % parts
        row = x[i, columns * c // parts : columns * (c + 1) // parts]
        partial[i, c] = row_product_sum(row, row, 0)
    for i in range(rows):
        total = 0.0
        for c in range(parts):
            total += partial[i, c]
        y[i] = math.sqrt(total)


def parts_of(x: Any) -> int:
    """Return in how many parts a row is summed, or multiplied."""
    return CHUNKS if x.shape[0] < CHUNKS else 1


@kernel(backend="numba", double="numba", composite=True, when=lambda x, axes: is_one_float((x,)))
def prod_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Call product_of_rows on the lines over the axes."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    if not x.size:
        return k.full(shape, x.dtype, 1)
    rows = math.prod(shape)
    return k.product_of_rows(in_order(k, x, (*kept, *axes)).reshape(rows, x.size // rows)).reshape(shape)


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [(x.shape[0],)],
    work=lambda x: [((x.shape[0], parts_of(x)), np.float64)],
    flops=lambda x: x.size,
)
def product_of_rows(y: Any, partial: Any, x: Any) -> None:
    """Multiply the numbers of each row; of few rows in parts."""
    rows, columns = x.shape
    parts = partial.shape[1]
    for t in prange(rows * parts):
        i, c = t // parts, t % parts
        partial[i, c] = row_product(x[i, columns * c // parts : columns * (c + 1) // parts])
    for i in range(rows):
        product = 1.0
        for c in range(parts):
            product *= partial[i, c]
        y[i] = product


# -------------------------------------------------------------------------------------------------- selection

MOST = 128  # places that are selected and put in order one by one; more are sorted


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, descending, first, count: [((x.shape[0], count), "int64")],
    work=lambda x, *_: [((min(TASKS, x.shape[0]), x.shape[1]), KEYS)],
    flops=lambda x, *_: 20 * x.size,
)
def select_in_lines(places: Any, keys: Any, x: Any, descending: Any, first: Any, count: Any) -> None:
    """places[l] = where the numbers of line l stand that sorting brings to the ranks from `first` on."""
    lines = x.shape[0]
    tasks = min(TASKS, lines)
    for t in prange(tasks):
        for l in range(lines * t // tasks, lines * (t + 1) // tasks):
            make_keys(keys[t], x[l], descending)
            select_places(places[l], keys[t], first)


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: is_one_float((x,)))
def argsort_part_forward(k: Any, x: Any, axis: int, descending: bool, first: int, count: int) -> Any:
    """Call select_in_lines with the axis as the last one; sort for many places, or of one number."""
    if not 0 < count <= MOST or not x.size:
        part = (*[slice(None)] * axis, slice(first, first + count)) if x.ndim else ()
        return k.argsort_forward(x, axis, descending)[part]
    order = (*(a for a in range(x.ndim) if a != axis), axis)
    shape = tuple(x.shape[a] for a in order)
    lines = x.transpose(order)
    lines = (lines if lines.flags.c_contiguous else k.canonical(x, order).transpose(order)).reshape(-1, shape[-1])
    places = k.select_in_lines(lines, descending, first, count)
    return places.reshape(*shape[:-1], count).transpose(inverse_order(order))
