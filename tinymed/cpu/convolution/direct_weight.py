"""The direct gradient of a convolution's weight: a tile's rows are elements of the filter, and pixels are summed over.

Pixels are summed unit by unit, each as large as stays in the second-level cache; how many partial sums there are, which
threads divide among them, is a function of the shape only, so the bits do not depend on the threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.partition import TASKS
from ..simd.streaming import read_ahead
from ..simd.tile import ACCUMULATE, TALL, ZERO, sweep, tall_sweep
from ..simd.vectors import BYTES, TILE_COLUMNS, TILE_ROWS, address, ceil_div

PARTIAL = 1 << 22  # floats of partial weight gradients: 16 MiB, or one copy where that is larger
WIDTH = 4096  # numbers that one task adds up


@serial
def units(n: Any, h: Any, w: Any, channels: Any) -> Any:
    """Return (images, rows of dy) of one unit of work: about as many pixels as keep x and dy in L2."""
    pixels = max(256, 98304 // channels)
    rows = max(1, min(h, pixels // max(1, w)))
    return (max(1, min(n, pixels // max(1, h * w))) if rows == h else 1), rows


@serial
def weight_cuts(n: Any, h: Any, w: Any, channels: Any, size: Any) -> Any:
    """Return (images, rows, units per image or 1, units, partial sums), a function of the shape only."""
    images, rows = units(n, h, w, channels)
    per_image = ceil_div(h, rows)
    count = ceil_div(n, images) * per_image
    return images, rows, per_image, count, max(1, min(count, TASKS // 2, PARTIAL // size))


@serial
def height(taps: Any) -> Any:
    """Return the rows of the tile for a filter's elements: of the two heights the one that leaves fewer rows idle."""
    return TALL if ceil_div(taps, TALL) * TALL < ceil_div(taps, TILE_ROWS) * TILE_ROWS else TILE_ROWS


def weight_space(dy_shape: Any, channels: int, shape: Any) -> list[Any]:
    """Return the scratch: offsets of the taps, one row that dummy stores write to, and the partial sums."""
    (n, k, h, w), size = dy_shape, int(np.prod(shape))
    tall = height.py_func(size // k)
    return [((3, -(-size // k // tall) * tall), np.int64), (weight_cuts.py_func(n, h, w, channels + k, size)[4], size)]


@serial
def taps(table: Any, shape: Any, steps: Any, filters: Any) -> None:
    """Write offsets in x and in dw of the elements (r, s, c) of a filter; the last is repeated to fill a tile."""
    depth = shape[1]
    for m in range(table.shape[1]):
        q = min(m, depth * shape[2] * shape[3] - 1)
        table[0, m] = q // (depth * shape[3]) * steps[0] + q // depth % shape[3] * steps[1] + q % depth * BYTES
        table[1, m] = q * filters * BYTES


@kernel(
    backend="numba",
    double="numba",
    image="dy x",
    filter="dw",
    work=lambda dy, x, shape, *_: weight_space(dy.shape, x.shape[1], shape),
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * math.prod(shape[1:]) * dy.size,
)
def conv_direct_weight(
    dw: Any, table: Any, partial: Any, dy: Any, x: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """dw[r, s, c, k] = sum_nhw x[n, h*sh + r*dh, w*sw + s*dw, c] * dy[n, h, w, k]

    The rows of a tile are elements (r, s, c) of the filter.
    """
    n, h, w, k = dy.shape
    images, rows, per_image, count, cuts = weight_cuts(n, h, w, x.shape[3] + k, dw.size)
    image, row, pixel = weight_steps(table, x, k, shape, stride, dilation)
    partitions = weight_partitions(k // groups, cuts)
    for task in prange(cuts * partitions):
        cut, part, start = task // partitions, task % partitions, ZERO
        if count == 0:
            partial[cut] = 0
        for unit in range(cut * count // cuts, (cut + 1) * count // cuts):
            b, i = unit // per_image * images, unit % per_image * rows
            loops = (
                min(images, n - b),
                min(rows, h - i),
                w,
                image,
                row,
                pixel,
                h * w * k * BYTES,
                w * k * BYTES,
                k * BYTES,
            )
            if part == 0 and shape[2:] == (1, 1) and stride == (1, 1):
                for each in range(b, b + loops[0]):
                    read_ahead(address(x[each, i]), BYTES * loops[1] * w * x.shape[3], address(table[2]))
                    read_ahead(address(dy[each, i]), BYTES * loops[1] * w * k, address(table[2]))
            weight_unit(
                partial[cut],
                table,
                address(x[b]) + i * row,
                address(dy[b, i]),
                loops,
                shape,
                groups,
                start,
                part,
                partitions,
            )
            start = ACCUMULATE
    total = dw.reshape(-1)
    for t in prange(ceil_div(total.size, WIDTH)):
        add_partials(total[t * WIDTH : (t + 1) * WIDTH], partial, t * WIDTH)


@serial
def weight_steps(table: Any, x: Any, filters: Any, shape: Any, stride: Any, dilation: Any) -> Any:
    """Return bytes of x per image, row and pixel of dy, after filling the table of taps."""
    pixel = BYTES * x.shape[3]
    row = x.shape[2] * pixel
    taps(table, shape, (dilation[0] * row, dilation[1] * pixel), filters)
    return x.shape[1] * row, stride[0] * row, stride[1] * pixel


@serial
def weight_partitions(per_group: Any, cuts: Any) -> Any:
    """Return how many tasks the filters of a group are divided among."""
    return max(1, min(ceil_div(per_group, TILE_COLUMNS), TASKS // cuts))


@serial
def weight_unit(
    total: Any, table: Any, x: Any, dy: Any, loops: Any, shape: Any, groups: Any, start: Any, part: Any, partitions: Any
) -> None:
    """Add to total the products of the pixels that loops walk, from x and dy on, for one part of the filters."""
    per_group, tall = shape[0] // groups, height(shape[1] * shape[2] * shape[3])
    panels = ceil_div(per_group, TILE_COLUMNS)
    for g in range(groups):
        rows_of = (
            x + BYTES * g * shape[1],
            address(total) + BYTES * g * per_group,
            dy + BYTES * g * per_group,
            BYTES * TILE_COLUMNS,
            start,
            per_group,
            part * panels // partitions,
            (part + 1) * panels // partitions,
            loops,
        )
        if tall == TALL:
            tall_sweep(table, table.shape[1] // TALL, *rows_of)
        else:
            sweep(table, table.shape[1] // TILE_ROWS, *rows_of)


@serial
def add_partials(piece: Any, partial: Any, first: Any) -> None:
    """Write the sum of the partial sums, from number `first` on, into piece."""
    piece[:] = 0
    for cut in range(partial.shape[0]):
        for i in range(piece.size):
            piece[i] += partial[cut, first + i]
