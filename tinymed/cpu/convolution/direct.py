"""Direct convolution on the microkernel: any size, stride, padding, dilation and groups.

A tile's rows are pixels of the output, found through tables of offsets; its columns are filters.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.space import slides
from ..compiler.jit import serial
from ..simd.partition import partition_work
from ..simd.streaming import exceeds_cache, read_ahead, store_fence, whole_vectors
from ..simd.tile import ACCUMULATE, ZERO, nontemporal_sweep, sweep
from ..simd.vectors import BYTES, TILE_COLUMNS, TILE_ROWS, address, ceil_div
from .borders import NO_PADDING

BLOCK = 16 * TILE_ROWS  # rows of one indirection table: their inputs stay in L2 while the panels of the filter pass


def direct_out(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the shape (N, K, *size) of the output over an x that is padded already."""
    return [(x.shape[0], shape[0], *slides(x.shape[2:], shape[2:], stride, NO_PADDING, dilation))]


def direct_work(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the scratch: one table of input and output offsets per task, and one row that dummy stores write to."""
    n, _, h, w = direct_out(x, packed, bias, shape, stride, dilation, groups)[0]
    blocks, panels = partition_work.py_func(-(-n * h * w // BLOCK), packed.shape[0] // groups)
    return [((blocks * panels, 3, BLOCK), np.int64)]


@serial
def locate(tables: Any, first: Any, last: Any, h: Any, w: Any, x_steps: Any, y_steps: Any) -> Any:
    """Write offsets in x and in y of pixels first..last of a batch of h x w maps; the last is repeated to fill a tile.

    steps: (bytes from image to image, from row to row, from pixel to pixel).  Returns the number of tiles.
    """
    tiles = ceil_div(last - first, TILE_ROWS)
    b, i, j = first // (h * w), first // w % h, first % w
    for at in range(tiles * TILE_ROWS):
        tables[0, at] = b * x_steps[0] + i * x_steps[1] + j * x_steps[2]
        tables[1, at] = b * y_steps[0] + i * y_steps[1] + j * y_steps[2]
        if first + at + 1 < last:  # counting on is cheaper than dividing for every pixel
            j += 1
            if j == w:
                i, j = i + 1, 0
                if i == h:
                    b, i = b + 1, 0
    return tiles


@serial
def lies_in_blocks(x: Any, shape: Any, stride: Any) -> Any:
    """Return whether a block's rows lie one behind the other in memory, not in a cache: they are read ahead."""
    return exceeds_cache(x) and shape[2:] == (1, 1) and stride == (1, 1)


def direct_flops(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any, *_: Any) -> float:
    """Return the operations: a multiplication and an addition for each weight at each pixel of the output."""
    out = direct_out(x, packed, bias, shape, stride, dilation, groups)[0]
    return float(2 * math.prod(shape[1:]) * math.prod(out))


@kernel(backend="numba", double="numba", image="y x", out=direct_out, work=direct_work, flops=direct_flops)
def conv_direct(
    y: Any, tables: Any, x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """y[n, h, w, k] = bias[k] + sum_rsc x[n, h*sh + r*dh, w*sw + s*dw, c] * weight[r, s, c, k], x already padded."""
    n, h, w, k = y.shape
    c, depth, per_group = x.shape[3], shape[1], k // groups
    pixel = BYTES * c
    row = x.shape[2] * pixel
    loops = (
        shape[2],
        shape[3],
        depth,
        dilation[0] * row,
        dilation[1] * pixel,
        BYTES,
        shape[3] * depth * BYTES * TILE_COLUMNS,
        depth * BYTES * TILE_COLUMNS,
        BYTES * TILE_COLUMNS,
    )
    panels, panel = packed.shape[0] // groups, BYTES * packed.shape[1]
    blocks = ceil_div(n * h * w, BLOCK)
    cuts, partitions = partition_work(blocks, panels)
    reads_ahead = lies_in_blocks(x, shape, stride)
    nontemporal = exceeds_cache(y) and per_group % TILE_COLUMNS == 0 and whole_vectors(y, k)
    for task in prange(cuts * partitions):
        cut, part, table = task // partitions, task % partitions, tables[task]
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, n * h * w)
            tiles = locate(
                table,
                first,
                last,
                h,
                w,
                (x.shape[1] * row, stride[0] * row, stride[1] * pixel),
                (h * w * k * BYTES, w * k * BYTES, k * BYTES),
            )
            if reads_ahead:
                read_ahead(address(x) + first * pixel, (last - first) * pixel, address(table[2]))
            for g in range(groups):
                start = address(bias) + BYTES * g * per_group if bias.size else ZERO
                block_of = (
                    table,
                    tiles,
                    address(x) + BYTES * g * depth,
                    address(y) + BYTES * g * per_group,
                    address(packed) + g * panels * panel,
                    panel,
                    start,
                    per_group,
                    part * panels // partitions,
                    (part + 1) * panels // partitions,
                    loops,
                )
                if nontemporal:
                    nontemporal_sweep(*block_of)
                else:
                    sweep(*block_of)
        if nontemporal:
            store_fence()


@serial
def images_per_task(n: Any, h: Any, w: Any) -> Any:
    """Return how many images one task takes: a block of small images reads the filter once."""
    return max(1, min(n, BLOCK // max(1, h * w)))


def scatter_work(dy: Any, packed: Any, x_shape: Any, shape: Any, stride: Any, dilation: Any, groups: Any) -> list[Any]:
    """Return the scratch: one table of offsets per task."""
    n, _, h, w = dy.shape
    tasks = -(-n // images_per_task.py_func(n, h, w))
    return [((tasks * partition_work.py_func(tasks, packed.shape[0])[1], 2, BLOCK), np.int64)]


@serial
def taps_disjoint(shape: Any, stride: Any, dilation: Any) -> Any:
    """Return whether no pixel is read by two taps."""
    return shape[2] <= stride[0] and shape[3] <= stride[1] and dilation == (1, 1)


@kernel(
    backend="numba",
    double="numba",
    image="dx dy",
    work=scatter_work,
    out=lambda dy, packed, x_shape, *_: [x_shape],
    flops=lambda dy, packed, x_shape, shape, *_: 2 * math.prod(shape[1:]) * dy.size,
)
def conv_scatter(
    dx: Any, tables: Any, dy: Any, packed: Any, x_shape: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """dx[n, h*sh + r*dh, w*sw + s*dw, c] += sum_k dy[n, h, w, k] * weight[r, s, c, k], into a padded dx.

    The pixels of one tap never coincide, so a tile can add to them; those of two taps do, so an image is one task.
    """
    n, h, w, k = dy.shape
    kh, kw, c, depth = shape[2], shape[3], dx.shape[3], k // groups
    per_group, disjoint = c // groups, taps_disjoint(shape, stride, dilation)
    row, tap = dx.shape[2] * c * BYTES, depth * BYTES * TILE_COLUMNS
    loops = (1, 1, depth, 0, 0, BYTES, 0, 0, BYTES * TILE_COLUMNS)
    panels, panel, images = packed.shape[0], BYTES * packed.shape[1], images_per_task(n, h, w)
    tasks, start = ceil_div(n, images), ZERO if disjoint else ACCUMULATE
    _, partitions = partition_work(tasks, panels)
    dy_steps = h * w * k * BYTES, w * k * BYTES, k * BYTES
    dx_steps = dx.shape[1] * row, stride[0] * row, stride[1] * c * BYTES
    nontemporal = disjoint and exceeds_cache(dx) and per_group % TILE_COLUMNS == 0 and whole_vectors(dx, c)
    for task in prange(tasks * partitions):
        b, part, table = task // partitions * images, task % partitions, tables[task]
        low, high, count = part * panels // partitions, (part + 1) * panels // partitions, min(images, n - b) * h * w
        if not (disjoint and (kh, kw) == stride and dx.shape[1] == kh * h and dx.shape[2] == kw * w):
            clear(dx, b, min(b + images, n), low, high, panels // groups, per_group)
        for first in range(0, count, BLOCK):
            tiles = locate(table, first, min(first + BLOCK, count), h, w, dy_steps, dx_steps)
            for t in range(kh * kw):
                y = address(dx[b]) + t // kw * dilation[0] * row + t % kw * dilation[1] * c * BYTES
                for p in range(low, high):
                    g, q = p // (panels // groups), p % (panels // groups)
                    one = (
                        table,
                        tiles,
                        address(dy[b]) + BYTES * g * depth,
                        y + BYTES * g * per_group,
                        address(packed) + g * (panels // groups) * panel + (kh * kw - 1 - t) * tap,
                        panel,
                        start,
                        per_group,
                        q,
                        q + 1,
                        loops,
                    )
                    if nontemporal:
                        nontemporal_sweep(*one)
                    else:
                        sweep(*one)
        if nontemporal:
            store_fence()


@serial
def clear(x: Any, first: Any, last: Any, low: Any, high: Any, panels: Any, per_group: Any) -> None:
    """Zero the channels of column panels low..high, `panels` of them to a group, of some images."""
    for p in range(low, high):
        column = p // panels * per_group + p % panels * TILE_COLUMNS
        x[first:last, :, :, column : min(column + TILE_COLUMNS, (p // panels + 1) * per_group)] = 0
