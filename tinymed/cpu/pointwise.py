"""The weight gradient of 1x1 convolutions with many channels: a matrix product over pixels, both operands packed.

A tile reads ROWS channels of x and COLUMNS of dy pixel by pixel.  Where a pixel has hundreds of channels those reads
are a page apart and fall into few lines of the first-level cache; packed they are one stream each.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils

from ..backend import kernel
from . import generated
from .jit import serial
from .microkernel import (
    ACCUMULATE,
    COLUMNS,
    I64,
    LANES,
    ROWS,
    SHAPE,
    TASKS,
    ZERO,
    Vectors,
    address,
    ceil_div,
    tile,
)

PIXELS = 512  # of a slab: ROWS channels of them are half of a first-level cache
WIDE = 1 << 16  # weights from which packing pays


def pays(weight_shape: Any, groups: int) -> bool:
    """Whether a convolution's weight gradient is worth packing for."""
    filters, channels, *kernel = weight_shape
    return groups == 1 and max(kernel) == 1 and filters * channels >= WIDE and min(filters, channels) >= COLUMNS


def pair(wide: int) -> Callable[[ir.IRBuilder, dict[str, ir.Value]], None]:
    """What writes a loop over pixels that copies two neighbouring runs of `wide` channels to two places.

    y[i] = x[i][:wide], y[i] + gap = x[i][wide : 2 wide], zeros where there are fewer than `size` channels; both runs at
    once, because they share a cache line that may be gone soon.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Vectors(b, SHAPE)
        every = v.below(I64(wide))
        first, second = (b.and_(every, v.below(b.sub(arg["size"], I64(n)))) for n in (0, wide))
        with cgutils.for_range(b, arg["pixels"]) as loop:
            at = b.add(arg["x"], b.mul(loop.index, arg["step"]))
            to = b.add(arg["y"], b.mul(loop.index, I64(4 * wide if wide == ROWS else 4 * COLUMNS)))
            v.store(v.load(at, first), to, every)
            v.store(v.load(b.add(at, I64(4 * wide)), second), b.add(to, arg["gap"]), every)

    return emit


PARAMETERS = ["x", "step", "size", "pixels", "y", "gap"]
pack_two_tiles = generated.function("pack_two_tiles", PARAMETERS, pair(ROWS))
pack_panel = generated.function("pack_panel", PARAMETERS, pair(LANES))


@serial
def pack_slab(y: Any, gap: Any, image: Any, first: Any, last: Any, width: Any, stride: Any, channel: Any, size: Any,
              panel: Any) -> None:  # fmt: skip
    """Channels channel..channel + size of output pixels first..last, as two tiles or as a panel.

    image: [image, row, column, channel];  width: output rows and columns of an image;  stride: of both.
    """
    step = 4 * image.shape[3]
    at, wide = first, 2 * ROWS
    while at < last:
        b, i, j = at // (width[0] * width[1]), at // width[1] % width[0], at % width[1]
        run = last - at if stride == (1, 1) else min(width[1] - j, last - at)
        x = address(image[b, i * stride[0], j * stride[1], channel:])
        to = address(y) + 4 * (at - first) * (COLUMNS if panel else ROWS)
        if panel:
            pack_panel(x, step * stride[1], size, run, to, 4 * LANES)
        else:
            pack_two_tiles(x, step * stride[1], min(size, wide), run, to, gap)
        at += run


def pieces(channels: int) -> int:
    """Pieces that the channels of x are cut into: pairs of tiles."""
    return max(1, min(-(-channels // (2 * ROWS)), TASKS))


def work(dy: Any, x: Any, *_: Any) -> list[Any]:
    """A slab of dy in panels; for each piece two tiles of x, and where the rows of a tile lie there and in dw."""
    tasks = pieces(x.shape[1])
    return [(-(-dy.shape[1] // COLUMNS), PIXELS, COLUMNS), (tasks, 2, PIXELS, ROWS), ((tasks, 2, ROWS), np.int64)]


@kernel(backend="numba", image="dy x", filter="dw", work=work, out=lambda dy, x, shape, *_: [shape],
        flops=lambda dy, x, shape, *_: 2 * shape[1] * dy.size)  # fmt: skip
def conv_pointwise_weight(dw: Any, panels: Any, tiles: Any, tables: Any, dy: Any, x: Any, shape: Any,
                          stride: Any) -> None:  # fmt: skip
    """dw[c, k] = sum_nhw x[n, h*sh, w*sw, c] * dy[n, h, w, k]"""
    n, h, w, k = dy.shape
    c, pixels, tasks, two = shape[1], n * h * w, tables.shape[0], 2 * ROWS
    pairs = ceil_div(c, two)
    for first in range(0, max(pixels, 1), PIXELS):
        last, start = min(first + PIXELS, pixels), ACCUMULATE if first else ZERO
        for p in prange(panels.shape[0]):
            pack_slab(panels[p], 0, dy, first, last, (h, w), (1, 1), p * COLUMNS, k - p * COLUMNS, True)
        for task in prange(tasks):
            for t in range(task * pairs // tasks, (task + 1) * pairs // tasks):
                pack_slab(tiles[task, 0], 4 * PIXELS * ROWS, x, first, last, (h, w), stride, t * two, c - t * two,
                          False)  # fmt: skip
                for half in range(2):
                    size = min(ROWS, c - t * two - half * ROWS)
                    if size > 0:
                        products(address(dw) + 4 * k * (t * two + half * ROWS), tiles[task, half], panels,
                                 tables[task], size, k, last - first, start)  # fmt: skip


@serial
def products(dw: Any, x: Any, panels: Any, table: Any, size: Any, k: Any, pixels: Any, start: Any) -> None:
    """`size` rows of dw, k numbers each, from an address on; a tile's rows beyond them repeat the last."""
    for r in range(ROWS):
        table[0, r], table[1, r] = 4 * min(r, size - 1), 4 * k * min(r, size - 1)
    loops = (1, 1, pixels, 0, 0, 4 * ROWS, 0, 0, 4 * COLUMNS)
    for p in range(panels.shape[0]):
        tile(address(table[0]), address(x), address(table[1]), dw + 4 * COLUMNS * p, address(panels[p]), start,
             min(COLUMNS, k - p * COLUMNS), loops)  # fmt: skip
