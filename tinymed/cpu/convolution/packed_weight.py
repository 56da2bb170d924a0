"""The weight gradient of convolutions with many channels, both operands packed.

A tile reads TILE_ROWS channels of x and TILE_COLUMNS of dy pixel by pixel.  Where a pixel has hundreds of channels
these reads are a page apart and fall into few lines of the L1 cache; packed, each operand is one stream.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.pack import pack_panel, pack_two_tiles
from ..simd.partition import TASKS
from ..simd.streaming import read_ahead
from ..simd.tile import ACCUMULATE, ZERO, tile
from ..simd.vectors import BYTES, LANES, TILE_COLUMNS, TILE_ROWS, address, ceil_div

PIXELS = 512  # of a slab: TILE_ROWS channels of them are half of a first-level cache
RUN = 64  # pixels of a slab that one task fetches and packs
WIDE, TAP = 1 << 14, 1 << 12  # weights, and weights of one tap, from which packing pays


def pays(weight_shape: Any, groups: int) -> bool:
    """Return whether packing pays for a convolution's weight gradient."""
    filters, channels = weight_shape[:2]
    enough = math.prod(weight_shape) >= WIDE and filters * channels >= TAP
    return groups == 1 and enough and min(filters, channels) >= TILE_COLUMNS


@serial
def pack_slab(
    y: Any, gap: Any, image: Any, first: Any, last: Any, size: Any, start: Any, stride: Any, channels: Any, panel: Any
) -> None:
    """Pack `channels` channels of pixels first..last of the output, as two tiles or as a panel.

    image: [image, row, column, channel];  size: output rows and columns of an image;  start: row, column and channel of
    the first pixel;  stride: of both.
    """
    step, at, whole = BYTES * image.shape[3], first, stride == (1, 1) and image.shape[1:3] == size
    while at < last:
        b, i, j = at // (size[0] * size[1]), at // size[1] % size[0], at % size[1]
        run = last - at if whole else min(size[1] - j, last - at)
        x = address(image[b, start[0] + i * stride[0], start[1] + j * stride[1], start[2] :])
        if panel:
            pack_panel(
                x, step * stride[1], channels, run, address(y) + BYTES * (at - first) * TILE_COLUMNS, BYTES * LANES
            )
        else:
            pack_two_tiles(x, step * stride[1], channels, run, address(y) + BYTES * (at - first) * TILE_ROWS, gap)
        at += run


def work(dy: Any, x: Any, shape: Any, *_: Any) -> list[Any]:
    """Return the scratch: a slab of dy in panels; per task two tiles of x, and the offsets of a tile's rows."""
    tasks = max(1, min(-(-shape[1] // (2 * TILE_ROWS)) * shape[2] * shape[3], TASKS))
    return [
        (-(-dy.shape[1] // TILE_COLUMNS), PIXELS, TILE_COLUMNS),
        (tasks, 2, PIXELS, TILE_ROWS),
        ((tasks, 2, TILE_ROWS), np.int64),
    ]


@kernel(
    backend="numba",
    double="numba",
    image="dy x",
    filter="dw",
    work=work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * math.prod(shape[1:]) * dy.size,
)
def conv_packed_weight(
    dw: Any, panels: Any, tiles: Any, tables: Any, dy: Any, x: Any, shape: Any, stride: Any, dilation: Any
) -> None:
    """dw[r, s, c, k] = sum_nhw x[n, h*sh + r*dh, w*sw + s*dw, c] * dy[n, h, w, k], x already padded."""
    (n, h, w, k), c, tasks = dy.shape, shape[1], tables.shape[0]
    pixels, pairs, whole = n * h * w, ceil_div(c, 2 * TILE_ROWS), x.shape[1:3] == (h, w)  # a pixel of x for each of dy
    for first in range(0, max(pixels, 1), PIXELS):
        last, begin = min(first + PIXELS, pixels), ACCUMULATE if first else ZERO
        for run in prange(PIXELS // RUN):
            low, high = first + run * RUN, min(first + (run + 1) * RUN, last)
            if low < high:
                unused = address(panels[0, run * RUN])  # is packed afterwards
                read_ahead(address(dy) + BYTES * low * k, BYTES * (high - low) * k, unused)
                if whole:
                    read_ahead(address(x) + BYTES * low * x.shape[3], BYTES * (high - low) * x.shape[3], unused)
                for p in range(panels.shape[0]):
                    pack_slab(
                        panels[p, run * RUN :],
                        0,
                        dy,
                        low,
                        high,
                        (h, w),
                        (0, 0, p * TILE_COLUMNS),
                        (1, 1),
                        k - p * TILE_COLUMNS,
                        True,
                    )
        for task in prange(tasks):
            count = shape[2] * shape[3] * pairs
            for t in range(task * count // tasks, (task + 1) * count // tasks):
                tap, channel = t // pairs, t % pairs * 2 * TILE_ROWS
                start = tap // shape[3] * dilation[0], tap % shape[3] * dilation[1], channel
                pack_slab(
                    tiles[task, 0],
                    BYTES * PIXELS * TILE_ROWS,
                    x,
                    first,
                    last,
                    (h, w),
                    start,
                    stride,
                    c - channel,
                    False,
                )
                for half in range(2):
                    size = min(TILE_ROWS, c - channel - half * TILE_ROWS)
                    if size > 0:
                        products(
                            address(dw) + BYTES * k * (tap * c + channel + half * TILE_ROWS),
                            tiles[task, half],
                            panels,
                            tables[task],
                            size,
                            k,
                            last - first,
                            begin,
                        )


@serial
def products(dw: Any, x: Any, panels: Any, table: Any, size: Any, k: Any, pixels: Any, start: Any) -> None:
    """Add products to `size` rows of k numbers from the address dw on; a tile's rows beyond repeat the last."""
    for r in range(TILE_ROWS):
        table[0, r], table[1, r] = BYTES * min(r, size - 1), BYTES * k * min(r, size - 1)
    loops = (1, 1, pixels, 0, 0, BYTES * TILE_ROWS, 0, 0, BYTES * TILE_COLUMNS)
    for p in range(panels.shape[0]):
        tile(
            address(table[0]),
            address(x),
            address(table[1]),
            dw + BYTES * TILE_COLUMNS * p,
            address(panels[p]),
            start,
            min(TILE_COLUMNS, k - p * TILE_COLUMNS),
            loops,
            address(panels[p]),
            0,
        )
