"""Depthwise convolution (one filter per channel) on the microkernel's channelwise tile: no panels, no packing.

The composites of conv.py lead here when groups == channels == filters.  Images are NHWC and already padded, filters
are [kernel row][kernel column][1][channel]; the loops are conv.py's with the reduction over channels left out.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .conv import BLOCK, direct_out, locate, taps, weight_cuts
from .microkernel import ACCUMULATE, ROWS, ZERO, address, ceil_div, share, sweep_channels


def out_shape(x: Any, w: Any, bias: Any, stride: Any, dilation: Any) -> list[Any]:
    """(N, K, *size) over an x that is padded already."""
    return direct_out(x, None, bias, w.shape, stride, dilation, 1)


def direct_work(*args: Any) -> list[Any]:
    """A table of places for each piece of work."""
    n, _, h, w = out_shape(*args)[0]
    return [((share.py_func(-(-n * h * w // BLOCK), 1)[0], 2, BLOCK), np.int64)]


@kernel(backend="numba", image="y x", filter="w", out=out_shape, work=direct_work,
        flops=lambda x, w, *how: 2 * math.prod(w.shape[2:]) * math.prod(out_shape(x, w, *how)[0]))  # fmt: skip
def depthwise_direct(y: Any, tables: Any, x: Any, w: Any, bias: Any, stride: Any, dilation: Any) -> None:
    """y[n, h, w, c] = bias[c] + sum_rs x[n, h*sh + r*dh, w*sw + s*dw, c] * weight[r, s, c]"""
    n, h, width, c = y.shape
    kh, kw, pixel = w.shape[0], w.shape[1], 4 * c
    row = x.shape[2] * pixel
    loops = (kh, kw, 1, dilation[0] * row, dilation[1] * pixel, 0, kw * pixel, pixel, 0)
    blocks, cuts = ceil_div(n * h * width, BLOCK), tables.shape[0]
    start = address(bias) if bias.size else ZERO
    for cut in prange(cuts):
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, n * h * width)
            tiles = locate(tables[cut], first, last, h, width, (x.shape[1] * row, stride[0] * row, stride[1] * pixel),
                           (h * width * pixel, width * pixel, pixel))  # fmt: skip
            sweep_channels(tables[cut], tiles, address(x), address(y), address(w), start, c, loops)


@kernel(backend="numba", image="dx dy", filter="turned", out=lambda dy, turned, x_shape, *_: [x_shape],
        work=lambda dy, *_: [((dy.shape[0], 2, BLOCK), np.int64)],
        flops=lambda dy, turned, *_: 2 * math.prod(turned.shape[2:]) * dy.size)  # fmt: skip
def depthwise_scatter(dx: Any, tables: Any, dy: Any, turned: Any, x_shape: Any, stride: Any, dilation: Any) -> None:
    """dx[n, h*sh + r*dh, w*sw + s*dw, c] += dy[n, h, w, c] * weight[r, s, c], into a padded dx."""
    n, h, width, c = dy.shape
    kh, kw, pixel = turned.shape[0], turned.shape[1], 4 * c
    row = dx.shape[2] * pixel
    for b in prange(n):
        dx[b] = 0
        for first in range(0, h * width, BLOCK):
            tiles = locate(tables[b], first, min(first + BLOCK, h * width), h, width, (0, width * pixel, pixel),
                           (0, stride[0] * row, stride[1] * pixel))  # fmt: skip
            for t in range(kh * kw):
                y = address(dx[b]) + t // kw * dilation[0] * row + t % kw * dilation[1] * pixel
                sweep_channels(tables[b], tiles, address(dy[b]), y, address(turned) + (kh * kw - 1 - t) * pixel,
                               ACCUMULATE, c, (1, 1, 1, 0, 0, 0, 0, 0, 0))  # fmt: skip


def weight_work(dy: Any, x: Any, shape: Any, stride: Any, dilation: Any) -> list[Any]:
    """The table of taps, and partial sums."""
    n, k, h, w = dy.shape
    size = int(np.prod(shape))
    cuts = weight_cuts.py_func(n, h, w, 2 * k, size)[4]
    return [((2, -(-shape[2] * shape[3] // ROWS) * ROWS), np.int64), (cuts, size)]


@kernel(
    backend="numba",
    image="dy x",
    filter="dw",
    work=weight_work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * math.prod(shape[2:]) * dy.size,
)
def depthwise_weight(dw: Any, table: Any, partial: Any, dy: Any, x: Any, shape: Any, stride: Any,
                     dilation: Any) -> None:  # fmt: skip
    """dw[r, s, c] = sum_nhw x[n, h*sh + r*dh, w*sw + s*dw, c] * dy[n, h, w, c]: rows of a tile are taps (r, s)."""
    n, h, w, c = dy.shape
    pixel = 4 * c
    row = x.shape[2] * pixel
    taps(table, shape, (dilation[0] * row, dilation[1] * pixel), c)
    images, rows, per_image, count, cuts = weight_cuts(n, h, w, 2 * c, dw.size)
    for cut in prange(cuts):
        start = ZERO
        if count == 0:
            partial[cut] = 0
        for unit in range(cut * count // cuts, (cut + 1) * count // cuts):
            b, i = unit // per_image * images, unit % per_image * rows
            loops = (min(images, n - b), min(rows, h - i), w, x.shape[1] * row, stride[0] * row, stride[1] * pixel,
                     h * w * pixel, w * pixel, pixel)  # fmt: skip
            sweep_channels(table, table.shape[1] // ROWS, address(x[b]) + i * stride[0] * row, address(partial[cut]),
                           address(dy[b, i]), start, c, loops)  # fmt: skip
            start = ACCUMULATE
    total = dw.reshape(-1)
    total[:] = 0
    for cut in range(cuts):
        for i in range(total.size):
            total[i] += partial[cut, i]
