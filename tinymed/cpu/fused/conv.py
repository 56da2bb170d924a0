"""Convolution with what follows it: ReLU, or ReLU and 2 x 2 max-pooling, while its numbers are still in cache.

The loops are those of convolution/direct.py and winograd.py; a tile, or two rows of pixels, goes to a buffer instead of
to memory.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..convolution.direct import BLOCK, direct_flops, direct_out, direct_work, lies_in_blocks, locate
from ..convolution.winograd import (
    FLAT,
    TILES,
    threads,
    tile_position,
    winograd_block,
    winograd_flops,
    winograd_out,
    winograd_partitions,
    winograd_work,
)
from ..simd.partition import partition_work
from ..simd.pool_windows import relu_max_pool_2x2
from ..simd.streaming import read_ahead
from ..simd.tile import ZERO, sweep
from ..simd.vectors import BYTES, TILE_COLUMNS, TILE_ROWS, address, ceil_div

f4, u1 = np.float32, np.uint8


def images(draw: Any) -> dict[str, Any]:
    """Draw a convolution's input, bias and filter sizes: small maps of even and odd sides, few and many channels."""
    n, c, k = draw.choice(((2, 3, 5), (1, 16, 33), (3, 8, 40), (1, 1, 1)))
    h, w = draw.choice(((4, 4), (5, 7), (9, 6), (12, 13)))
    return {"x": draw.array((n, c, h, w)), "bias": draw.array((k,)), "filters": k, "channels": c}


def winograd_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_winograd takes."""
    v, m, edge = images(draw), draw.choice((2, 4)), draw.choice((0, 1))
    panels = -(-v["filters"] // TILE_COLUMNS)
    padding = ((edge, edge), (edge, edge))
    h, w = (n + 2 * edge - 2 for n in v["x"].shape[2:])
    return v | {
        "u": draw.array((panels, (m + 2) ** 2, v["channels"], TILE_COLUMNS)),
        "padding": padding,
        "size": (h // 2, w // 2),
    }


def direct_sample(draw: Any) -> dict[str, Any]:
    """Draw what conv_direct takes."""
    v, (kh, kw) = images(draw), draw.choice(((3, 3), (1, 1), (2, 3)))
    shape, panels = (v["filters"], v["channels"], kh, kw), -(-v["filters"] // TILE_COLUMNS)
    h, w = (n - k + 1 for n, k in zip(v["x"].shape[2:], (kh, kw), strict=True))
    return v | {
        "packed": draw.array((panels, kh * kw * v["channels"] * TILE_COLUMNS)),
        "shape": shape,
        "stride": (1, 1),
        "dilation": (1, 1),
        "groups": 1,
        "size": (h // 2, w // 2),
    }


@serial
def positive(v: Any) -> Any:
    """Return max(v, 0), NaN staying NaN."""
    return f4(0) if v <= 0 else v


# ------------------------------------------------------------------------------------------------- Winograd


WINOGRAD_RELU_POOL = define(
    "conv + relu + pool",
    """
    y = conv_winograd(x, u, bias, filters, padding)
    z = relu_forward(y)
    p, i = max_pool_2x2(z, size)
    """,
    "p, i = conv_winograd_relu_pool(x, u, bias, filters, padding, size)",
    backend="numba",
    samples=winograd_sample,
)
WINOGRAD_RELU = define(
    "conv + relu",
    """
    y = conv_winograd(x, u, bias, filters, padding)
    z = relu_forward(y)
    """,
    "z = conv_winograd_relu(x, u, bias, filters, padding)",
    backend="numba",
    samples=winograd_sample,
)


def pooled_shapes(out: Any) -> Any:
    """Return a rule for the shapes of a pooled map and of its argmax."""
    return lambda *args: [(shape := (*out(*args[:-1])[0][:2], *args[-1])), (shape, u1)]


@kernel(
    backend="numba",
    double="numba",
    image="y index x",
    out=pooled_shapes(winograd_out),
    work=lambda *args: winograd_work(*args[:-1]),
    flops=winograd_flops,
)
def conv_winograd_relu_pool(
    y: Any, index: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any, size: Any
) -> None:
    """Compute conv_winograd, ReLU and 2 x 2 max-pooling; the map itself is never written."""
    (top, bottom), (left, right) = padding
    h, w = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    blocks, partitions = winograd_partitions(x, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(y, index, ws[thread], x, None, u, bias, block, part, partitions, h, w, top, left, FLAT)


@serial
def relu_tiles(y: Any, first: Any, m: Any, low: Any, high: Any) -> None:
    """Apply ReLU in place to tiles first..first + TILES of y, channels low..high."""
    h, w = y.shape[1], y.shape[2]
    for t in range(first, min(first + TILES, y.shape[0] * ceil_div(h, m) * ceil_div(w, m))):
        b, i, j = tile_position(t, m, h, w)
        for r in range(i, min(i + m, h)):
            for s in range(j, min(j + m, w)):
                pixel = y[b, r, s, low:high]
                for o in range(pixel.size):
                    pixel[o] = positive(pixel[o])


@kernel(backend="numba", double="numba", image="y x", out=winograd_out, work=winograd_work, flops=winograd_flops)
def conv_winograd_relu(y: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """Compute conv_winograd and ReLU."""
    h, w, m, top, left = y.shape[1], y.shape[2], 4 if u.shape[1] == 36 else 2, padding[0][0], padding[1][0]
    blocks, partitions = winograd_partitions(x, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(y, None, ws[thread], x, None, u, bias, block, part, partitions, h, w, top, left, FLAT)
        low, high = part * u.shape[0] // partitions * TILE_COLUMNS, (part + 1) * u.shape[0] // partitions * TILE_COLUMNS
        relu_tiles(y, block * TILES, m, low, min(high, y.shape[3]))


# --------------------------------------------------------------------------------------------------- direct


DIRECT_RELU_POOL = define(
    "conv + relu + pool",
    """
    y = conv_direct(x, packed, bias, shape, stride, dilation, groups)
    z = relu_forward(y)
    p, i = max_pool_2x2(z, size)
    """,
    "p, i = conv_direct_relu_pool(x, packed, bias, shape, stride, dilation, groups, size)",
    backend="numba",
    samples=direct_sample,
)
DIRECT_RELU = define(
    "conv + relu",
    """
    y = conv_direct(x, packed, bias, shape, stride, dilation, groups)
    z = relu_forward(y)
    """,
    "z = conv_direct_relu(x, packed, bias, shape, stride, dilation, groups)",
    backend="numba",
    samples=direct_sample,
)


@serial
def direct_loops(x: Any, shape: Any, dilation: Any) -> Any:
    """Return the microkernel's loops over a filter: (I, J, L) and their steps in x and in a packed panel."""
    pixel, depth = BYTES * x.shape[3], shape[1]
    return (
        shape[2],
        shape[3],
        depth,
        dilation[0] * x.shape[2] * pixel,
        dilation[1] * pixel,
        BYTES,
        shape[3] * depth * BYTES * TILE_COLUMNS,
        depth * BYTES * TILE_COLUMNS,
        BYTES * TILE_COLUMNS,
    )


@serial
def direct_pixels(
    y: Any,
    table: Any,
    x: Any,
    packed: Any,
    bias: Any,
    first: Any,
    last: Any,
    h: Any,
    w: Any,
    k: Any,
    shape: Any,
    stride: Any,
    groups: Any,
    low: Any,
    high: Any,
    loops: Any,
) -> None:
    """Compute pixels first..last of a batch of h x w maps of k channels, panels low..high; y: address of pixel 0."""
    pixel, per_group, panels, panel = (
        BYTES * x.shape[3],
        k // groups,
        packed.shape[0] // groups,
        BYTES * packed.shape[1],
    )
    row = x.shape[2] * pixel
    if lies_in_blocks(x, shape, stride):
        read_ahead(address(x) + first * pixel, (last - first) * pixel, address(table[2]))
    tiles = locate(
        table,
        first,
        last,
        h,
        w,
        (x.shape[1] * row, stride[0] * row, stride[1] * pixel),
        (h * w * k * BYTES, w * k * BYTES, k * BYTES),
    )
    for g in range(groups):
        start = address(bias) + BYTES * g * per_group if bias.size else ZERO
        sweep(
            table,
            tiles,
            address(x) + BYTES * g * shape[1],
            y + BYTES * g * per_group,
            address(packed) + g * panels * panel,
            panel,
            start,
            per_group,
            low,
            high,
            loops,
        )


def pooled_work(x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any, size: Any) -> Any:
    """Return the scratch: the offsets of two rows of the map, and for each thread those rows."""
    width = direct_out(x, packed, bias, shape, stride, dilation, groups)[0][3]
    return [((2, -(-2 * width // TILE_ROWS) * TILE_ROWS), np.int64), (threads(), 2 * width * shape[0])]


@kernel(
    backend="numba",
    double="numba",
    image="y index x",
    out=pooled_shapes(direct_out),
    work=pooled_work,
    flops=direct_flops,
)
def conv_direct_relu_pool(
    y: Any,
    index: Any,
    table: Any,
    buffers: Any,
    x: Any,
    packed: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    dilation: Any,
    groups: Any,
    size: Any,
) -> None:
    """Compute conv_direct, ReLU and 2 x 2 max-pooling, two rows of the map at a time, never the whole.

    All pairs of rows have one table: they differ in where they begin.
    """
    n, rows, columns, k = y.shape
    w, pixel = (x.shape[2] - dilation[1] * (shape[3] - 1) - 1) // stride[1] + 1, BYTES * x.shape[3]
    row = stride[0] * x.shape[2] * pixel
    tiles = locate(table, 0, 2 * w, 2, w, (0, row, stride[1] * pixel), (0, w * k * BYTES, k * BYTES))
    for task in prange(n * rows):
        b, i = np.int64(task) // rows, np.int64(task) % rows
        buffer = buffers[get_thread_id()]
        direct_tiles(
            table, tiles, address(x[b]) + 2 * i * row, address(buffer), packed, bias, x, shape, dilation, groups, k
        )
        relu_max_pool_2x2(
            address(y[b, i]), address(index[b, i]), address(buffer), address(buffer) + BYTES * w * k, columns, k
        )


@serial
def direct_tiles(
    table: Any,
    tiles: Any,
    x_at: Any,
    y_at: Any,
    packed: Any,
    bias: Any,
    x: Any,
    shape: Any,
    dilation: Any,
    groups: Any,
    k: Any,
) -> None:
    """Compute the located pixels, all filters, from the address x_at to y_at; a block of tiles at a time."""
    per_group, panels, panel = k // groups, packed.shape[0] // groups, BYTES * packed.shape[1]
    loops = direct_loops(x, shape, dilation)
    for first in range(0, tiles, BLOCK // TILE_ROWS):
        count = min(BLOCK // TILE_ROWS, tiles - first)
        for g in range(groups):
            start = address(bias) + BYTES * g * per_group if bias.size else ZERO
            sweep(
                table[:, first * TILE_ROWS :],
                count,
                x_at + BYTES * g * shape[1],
                y_at + BYTES * g * per_group,
                address(packed) + g * panels * panel,
                panel,
                start,
                per_group,
                0,
                panels,
                loops,
            )


@kernel(backend="numba", double="numba", image="y x", out=direct_out, work=direct_work, flops=direct_flops)
def conv_direct_relu(
    y: Any, tables: Any, x: Any, packed: Any, bias: Any, shape: Any, stride: Any, dilation: Any, groups: Any
) -> None:
    """Compute conv_direct and ReLU."""
    n, h, w, k = y.shape
    loops, panels, per_group = direct_loops(x, shape, dilation), packed.shape[0] // groups, k // groups
    blocks, pixels = ceil_div(n * h * w, BLOCK), y.reshape(n * h * w, k)
    cuts, partitions = partition_work(blocks, panels)
    for task in prange(cuts * partitions):
        cut, part = np.int64(task) // partitions, np.int64(task) % partitions
        low, high = part * panels // partitions, (part + 1) * panels // partitions
        for block in range(cut * blocks // cuts, (cut + 1) * blocks // cuts):
            first, last = block * BLOCK, min((block + 1) * BLOCK, n * h * w)
            direct_pixels(
                address(y), tables[task], x, packed, bias, first, last, h, w, k, shape, stride, groups, low, high, loops
            )
            for g in range(groups):
                end = min(high * TILE_COLUMNS, per_group) + g * per_group
                for p in range(first, last):
                    row = pixels[p, g * per_group + low * TILE_COLUMNS : end]
                    for o in range(row.size):
                        row[o] = positive(row[o])
