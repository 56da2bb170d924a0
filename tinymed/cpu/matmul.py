"""Matrix products and linear layers on the microkernel.

One loop, `gemm`, takes both operands by address and stride, so a transposed one costs no copy unless its rows are to
be read as vectors; packing into panels pays when a panel is read often enough.  A handful of rows (inference on one
image) would leave the tile's rows or columns empty: `dots` and `row_sums` stream the large operand once instead.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .arguments import ABSENT, matrices
from .compiler.jit import serial
from .simd.pack import pack_columns, pack_rows
from .simd.partition import partition_work
from .simd.tile import ACCUMULATE, ZERO, channel_tile, sweep
from .simd.transpose import transpose
from .simd.vectors import BYTES, TILE_COLUMNS, TILE_ROWS, address, ceil_div

BLOCK = 16 * TILE_ROWS  # rows of a whose slice of DEPTH terms stays in L2 while the panels of b pass
DEPTH = 512  # terms of the reduction run at once
SLICE = 16  # rows of b, or terms, walked side by side: as many streams as prefetchers and the TLB follow
FEW = 4 * TILE_ROWS  # rows of a up to which packing b costs more than it saves
PAGED = 256  # columns from which the numbers of one column fall into few lines of L1
HANDFUL = 4  # rows up to which the other operand is streamed instead of tiled
OUTPUTS, RUN = 8 * TILE_ROWS, 1024  # dots, and columns, of one piece of work


# ------------------------------------------------------------------------------------------------- composites


@kernel(backend="numba", double="numba", composite=True, when=matrices)
def matmul(k: Any, a: Any, b: Any) -> Any:
    """Compute a b, (m, depth) by (depth, n): call gemm, after pack_matrix where a has many rows."""
    (m, depth), n = a.shape, b.shape[1]
    return multiply(k, a, (depth, 1), b, (m, n, depth))


@kernel(backend="numba", double="numba", composite=True, when=matrices)
def matmul_ta(k: Any, a: Any, b: Any) -> Any:
    """a^T b, (depth, m) by (depth, n): call gemm reading a by columns, after pack_matrix where m is large.

    Where columns are long and far apart both are packed: it is the weight gradient of a convolution of one pixel.
    """
    (depth, m), n = a.shape, b.shape[1]
    if depth > DEPTH and m >= PAGED and n >= TILE_COLUMNS:
        weight = k.conv_packed_weight(pixels(b), pixels(a), (n, m, 1, 1), (1, 1), (1, 1))
        return weight.transpose(2, 3, 1, 0).reshape(m, n)
    return multiply(k, a, (1, m), b, (m, n, depth))


def pixels(rows: Any) -> Any:
    """Return a matrix as one image whose pixels are its rows, without a copy."""
    return rows.reshape(1, 1, *rows.shape).transpose(0, 3, 1, 2)


def multiply(k: Any, a: Any, a_strides: Any, b: Any, size: Any) -> Any:
    """Return a @ b, with b as it lies if few rows of a pass over it, else packed."""
    if size[0] <= HANDFUL:
        return k.row_sums(a, b, size, a_strides)
    packed = size[0] > FEW
    return k.gemm(a, k.pack_matrix(b, False) if packed else b, ABSENT, size, a_strides, packed)


@kernel(backend="numba", double="numba", composite=True, when=matrices)
def matmul_tb(k: Any, a: Any, b: Any) -> Any:
    """Compute a b^T, (m, depth) by (n, depth): call linear_forward without bias."""
    return linear_forward(k, a, b, ABSENT)


@kernel(backend="numba", double="numba", composite=True, when=matrices)
def linear_forward(k: Any, x: Any, weight: Any, bias: Any) -> Any:
    """x weight^T + bias, with the smaller operand packed: a large weight is read once, as it lies, for any batch."""
    (m, depth), n = x.shape, weight.shape[0]
    bias = ABSENT if bias is None else bias
    if m <= HANDFUL:
        return k.dots(x, weight, bias)
    if m < n:
        y = k.gemm(weight, k.pack_matrix(x, True), ABSENT, (n, m, depth), (depth, 1), True)
        return k.transpose_add(y, bias)
    return k.gemm(x, k.pack_matrix(weight, True), bias, (m, n, depth), (depth, 1), True)


# ------------------------------------------------------------------------------------------------------ parts


def panels_shape(b: Any, transposed: Any) -> list[Any]:
    """Return the shape of a packed matrix: panels of TILE_COLUMNS columns, and what one holds."""
    depth, n = b.shape[::-1] if transposed else b.shape
    return [(-(-n // TILE_COLUMNS), depth * TILE_COLUMNS)]


@kernel(backend="numba", double="numba", out=panels_shape)
def pack_matrix(packed: Any, b: Any, transposed: Any) -> None:
    """[depth][n] (or its transpose, as it lies) -> [panel of TILE_COLUMNS][depth][TILE_COLUMNS], padded with zeros."""
    n = b.shape[0] if transposed else b.shape[1]
    depth = b.shape[1] if transposed else b.shape[0]
    for t in prange(ceil_div(depth, SLICE)):
        first, last = t * SLICE, min((t + 1) * SLICE, depth)
        for p in range(packed.shape[0]):
            size = min(TILE_COLUMNS, n - p * TILE_COLUMNS)
            if transposed:
                pack_columns(packed[p], b, p * TILE_COLUMNS, size, first, last)
            else:
                pack_rows(packed[p], b, p * TILE_COLUMNS, size, first, last)


def gemm_work(a: Any, b: Any, bias: Any, size: Any, a_strides: Any, packed: Any) -> list[Any]:
    """Return the scratch: one table of rows per task."""
    blocks, partitions = partition_work.py_func(-(-size[0] // BLOCK), -(-size[1] // TILE_COLUMNS))
    return [((blocks * partitions, 2, BLOCK), np.int64)]


@kernel(
    backend="numba",
    double="numba",
    work=gemm_work,
    out=lambda a, b, bias, size, *_: [size[:2]],
    flops=lambda a, b, bias, size, *_: 2 * math.prod(size),
)
def gemm(y: Any, tables: Any, a: Any, b: Any, bias: Any, size: Any, a_strides: Any, packed: Any) -> None:
    """y[m, n] = bias[n] + sum_k a[m * a_strides[0] + k * a_strides[1]] * b[k, n], b packed or as it lies."""
    m, n, depth = size
    step = BYTES * (TILE_COLUMNS if packed else n)
    panel = step * depth if packed else BYTES * TILE_COLUMNS
    slab = DEPTH if packed else SLICE
    blocks, panels = ceil_div(m, BLOCK), ceil_div(n, TILE_COLUMNS)
    cuts, partitions = partition_work(blocks, panels)
    for task in prange(cuts * partitions):
        cut, part, table = task // partitions, task % partitions, tables[task]
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, m)
            for i in range(BLOCK):
                row = min(first + i, last - 1)
                table[0, i], table[1, i] = row * BYTES * a_strides[0], row * BYTES * n
            start = address(bias) if bias.size else ZERO
            for d in range(0, max(depth, 1), slab):
                loops = (1, 1, min(slab, depth - d), 0, 0, BYTES * a_strides[1], 0, 0, step)
                sweep(
                    table,
                    ceil_div(last - first, TILE_ROWS),
                    address(a) + BYTES * d * a_strides[1],
                    address(y),
                    address(b) + d * step,
                    panel,
                    start,
                    n,
                    part * panels // partitions,
                    (part + 1) * panels // partitions,
                    loops,
                )
                start = ACCUMULATE


@kernel(backend="numba", double="numba", out=lambda x, bias: [x.shape[::-1]])
def transpose_add(y: Any, x: Any, bias: Any) -> None:
    """y[m, n] = x[n, m] + bias[n]"""
    m, n = y.shape
    for t in prange(ceil_div(n, SLICE)):
        first = t * SLICE
        size = min(SLICE, n - first)
        transpose(address(x[first:]), BYTES * m, size, m, address(y[:, first:]), BYTES * n)
        if bias.size:
            for i in range(m):
                for j in range(first, first + size):
                    y[i, j] += bias[j]


# ---------------------------------------------------------------------------------------------- a handful of rows


def dots_work(x: Any, weight: Any, bias: Any) -> list[Any]:
    """Return the scratch: per task a table of rows and a tile of running sums."""
    pieces = -(-weight.shape[0] // OUTPUTS)
    return [((pieces, 2, TILE_ROWS), np.int64), (pieces, TILE_ROWS, TILE_COLUMNS)]


@kernel(
    backend="numba",
    double="numba",
    work=dots_work,
    out=lambda x, weight, bias: [(x.shape[0], weight.shape[0])],
    flops=lambda x, weight, bias: 2 * x.shape[0] * weight.size,
)
def dots(y: Any, tables: Any, sums: Any, x: Any, weight: Any, bias: Any) -> None:
    """y[i, j] = bias[j] + x[i] . weight[j]: a tile's rows are rows of weight, its columns TILE_COLUMNS running sums."""
    (m, depth), n = x.shape, weight.shape[0]
    whole, step = depth // TILE_COLUMNS, BYTES * TILE_COLUMNS
    for t in prange(tables.shape[0]):
        table, lanes = tables[t], sums[t]
        for first in range(t * OUTPUTS, min((t + 1) * OUTPUTS, n), TILE_ROWS):
            for r in range(TILE_ROWS):
                table[0, r], table[1, r] = min(first + r, n - 1) * BYTES * depth, r * step
            for i in range(m):
                start, at, columns, terms = ZERO, 0, TILE_COLUMNS, whole
                while terms >= 0:  # whole vectors, then what is left of the rows
                    channel_tile(
                        address(table[0]),
                        address(weight) + at,
                        address(table[1]),
                        address(lanes),
                        address(x[i]) + at,
                        start,
                        columns,
                        (1, 1, terms, 0, 0, step, 0, 0, step),
                        address(weight) + at,
                        0,
                    )
                    terms = 1 if start == ZERO and depth % TILE_COLUMNS else -1
                    start, at, columns = ACCUMULATE, whole * step, depth % TILE_COLUMNS
                for r in range(min(TILE_ROWS, n - first)):
                    y[i, first + r] = sum_lanes(lanes[r]) + (bias[first + r] if bias.size else np.float32(0))


@serial
def sum_lanes(lanes: Any) -> Any:
    """Return the sum of TILE_COLUMNS numbers, by halves; overwrites them."""
    half = TILE_COLUMNS // 2
    while half > 0:
        for j in range(half):
            lanes[j] += lanes[half + j]
        half //= 2
    return lanes[0]


@kernel(
    backend="numba",
    double="numba",
    out=lambda a, b, size, *_: [size[:2]],
    flops=lambda a, b, size, *_: 2 * size[0] * b.size,
)
def row_sums(y: Any, a: Any, b: Any, size: Any, a_strides: Any) -> None:
    """y[i] = sum_k a[i * a_strides[0] + k * a_strides[1]] b[k], four rows of b at a time."""
    m, n, depth = size
    flat = a.reshape(a.size)
    for t in prange(ceil_div(n, RUN)):
        first, last = t * RUN, min((t + 1) * RUN, n)
        for i in range(m):
            total, start = y[i, first:last], i * a_strides[0]
            total[:] = 0
            for k in range(0, depth // 4 * 4, 4):
                at = start + k * a_strides[1]
                f0, f1 = flat[at], flat[at + a_strides[1]]
                f2, f3 = flat[at + 2 * a_strides[1]], flat[at + 3 * a_strides[1]]
                r0, r1, r2, r3 = b[k, first:last], b[k + 1, first:last], b[k + 2, first:last], b[k + 3, first:last]
                for j in range(total.size):
                    total[j] += (f0 * r0[j] + f1 * r1[j]) + (f2 * r2[j] + f3 * r3[j])
            for k in range(depth // 4 * 4, depth):
                factor, row = flat[start + k * a_strides[1]], b[k, first:last]
                for j in range(total.size):
                    total[j] += factor * row[j]
