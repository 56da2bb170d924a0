"""The weight gradient of Winograd's convolution:  dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G.

The sum runs over tiles: blocks of them are transformed, then (m + 2)^2 products, channels x tiles times tiles x
filters, are added to sums that are transformed back at the end.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ..compiler import elements
from ..compiler.jit import serial
from ..simd.prefetch import fetch_part
from ..simd.tile import ACCUMULATE, ZERO
from ..simd.vectors import BYTES, LANES, TILE_COLUMNS, TILE_ROWS, address, ceil_div
from ..simd.winograd_products import product
from ..simd.winograd_transforms import MATRICES, transform, transposed
from .winograd import (
    FLAT,
    SIDE,
    count_flops,
    next_tile,
    plane_of,
    rows_to_fetch,
    signal2,
    signal4,
    threads,
    tile_position,
)

BLOCK = 8 * TILE_ROWS  # tiles of one block: more would not stay in L2, fewer are short loops
PARALLEL = 8  # pieces of work that the gradient of a weight is cut into, if there are so many
PARTIAL = 1 << 24  # bytes of partial weight gradients, or one copy where that is larger; of a block's tiles
CHANNELS = ceil_div.py_func(TILE_COLUMNS, TILE_ROWS) * TILE_ROWS  # of a panel, in whole tiles
elements.NAMES["CHANNELS"] = ceil_div.py_func(TILE_COLUMNS // 2, TILE_ROWS) * TILE_ROWS

gradient2, gradient4 = (transform(f"gradient{m}", transposed(MATRICES[m].inverse), gather=True) for m in (2, 4))
ungradient2, ungradient4 = (
    transform(f"ungradient{m}", transposed(MATRICES[m].inverse), gather=True, parity=0) for m in (2, 4)
)
weight2, weight4 = (transform(f"weight{m}", transposed(MATRICES[m].filter), gather=False) for m in (2, 4))


@serial
def weight_plan(channels: Any, filters: Any, tiles: Any, m: Any) -> Any:
    """Return (tiles of a block, partial sums), a function of the shape only, or the bits would depend on the threads.

    Each block passes over the sums once more: best it has all tiles.  Partial sums cost a pass each: there are as many
    as give PARALLEL tasks with one panel of filters in each.
    """
    square, panels = (m + 2) * (m + 2), ceil_div(filters, TILE_COLUMNS)
    sums, both = (
        square * channels * panels * TILE_COLUMNS,
        square * TILE_COLUMNS * (ceil_div(channels, TILE_COLUMNS) + panels),
    )
    if panels >= PARALLEL and BYTES * both * tiles <= PARTIAL:
        return max(1, tiles), 1
    cuts = max(1, min(ceil_div(tiles, BLOCK), ceil_div(PARALLEL, panels), PARTIAL // max(1, BYTES * sums)))
    return min(BLOCK, max(1, tiles)), cuts


def weight_work(dy: Any, x: Any, m: Any, padding: Any) -> list[Any]:
    """Return weight_space of a gradient by its arguments."""
    return weight_space(dy.shape, x.shape[1], m)


def weight_space(dy_shape: Any, c: int, m: int) -> list[Any]:
    """Return the scratch: each thread's transformed tiles and zeros, and sums [(m + 2)^2][channel][TILE_COLUMNS].

    The sums are of a panel of channels and one of filters: of each pair and each cut, or one for each thread where a
    block has all tiles.
    """
    n, k, h, w = dy_shape
    tiles, panels, square = n * -(-h // m) * -(-w // m), (-(-c // TILE_COLUMNS), -(-k // TILE_COLUMNS)), (m + 2) ** 2
    block, cuts = weight_plan.py_func(c, k, tiles, m)
    return [
        (threads(), sum(panels) * square * (block * TILE_COLUMNS + LANES) + SIDE * max(c, k)),
        (threads() if tiles <= block else cuts * panels[0] * panels[1], square, CHANNELS * TILE_COLUMNS),
    ]


@serial
def transform_signals(
    m: Any, b: Any, x: Any, i: Any, j: Any, planes: Any, plane: Any, zeros: Any, r: Any, volume: Any
) -> None:
    """Transform one tile of what plane r of the filter sees in x[b] into [panel][(m + 2)^2][tile][TILE_COLUMNS]."""
    w, c = x.shape[2], x.shape[3]
    at, inside = plane_of(b, r, volume)
    image, h = address(x) + BYTES * at * x[0].size, x.shape[1] if inside else 0
    for first in range(0, c, TILE_COLUMNS):
        at, columns = planes + first // TILE_COLUMNS * (m + 2) * (m + 2) * plane, min(TILE_COLUMNS, c - first)
        if m == 4:
            signal4(image + BYTES * first, h, w, BYTES * c, zeros, i, j, at, plane, columns)
        else:
            signal2(image + BYTES * first, h, w, BYTES * c, zeros, i, j, at, plane, columns)


@serial
def transform_gradients(
    m: Any, b: Any, dy: Any, index: Any, i: Any, j: Any, planes: Any, plane: Any, zeros: Any, low: Any, high: Any
) -> None:
    """Transform panels low..high of one tile of dy[b] into [panel][(m + 2)^2][tile][TILE_COLUMNS].

    index: None, or the argmax of the windows whose gradients dy holds.
    """
    h, w, k = dy.shape[1], dy.shape[2], dy.shape[3]
    for p in range(low, high):
        at, first, columns = (
            planes + (p - low) * (m + 2) * (m + 2) * plane,
            p * TILE_COLUMNS,
            min(TILE_COLUMNS, k - p * TILE_COLUMNS),
        )
        offset = b * dy[0].size + first
        image = address(dy) + BYTES * offset
        if index is None:
            if m == 4:
                gradient4(image, h, w, BYTES * k, zeros, i, j, at, plane, columns)
            else:
                gradient2(image, h, w, BYTES * k, zeros, i, j, at, plane, columns)
        elif m == 4:
            ungradient4(image, h, w, BYTES * k, zeros, i // 2, j // 2, at, plane, columns, address(index) + offset)
        else:
            ungradient2(image, h, w, BYTES * k, zeros, i // 2, j // 2, at, plane, columns, address(index) + offset)


@serial
def weight_sums(
    dw: Any,
    ws: Any,
    sums: Any,
    thread: Any,
    dy: Any,
    index: Any,
    x: Any,
    h: Any,
    w: Any,
    m: Any,
    top: Any,
    left: Any,
    cut: Any,
    low: Any,
    high: Any,
    r: Any,
    volume: Any,
) -> None:
    """Sum the products of one cut of the tiles with panels low..high of filters; write dw, if there is one cut.

    Of each block of tiles (m + 2)^2 products, channels x tiles times tiles x filters, are added up.  r, volume: which
    plane of the filter, and of what.
    """
    k, c, tiles, square = dy.shape[3], x.shape[3], dy.shape[0] * ceil_div(h, m) * ceil_div(w, m), (m + 2) * (m + 2)
    block, cuts = weight_plan(c, k, tiles, m)
    blocks, plane, v, zeros = (
        ceil_div(tiles, block),
        BYTES * (block * TILE_COLUMNS + LANES),
        address(ws),
        weight_zeros(ws, c, k),
    )
    gradients, last = v + ceil_div(c, TILE_COLUMNS) * square * plane, min((cut + 1) * blocks // cuts * block, tiles)
    first, column, columns = (
        cut * blocks // cuts * block,
        low * TILE_COLUMNS,
        min(high * TILE_COLUMNS, k) - low * TILE_COLUMNS,
    )
    for begin in range(first, last, block):
        end = min(begin + block, last)
        then, start = min(end + block, last), ZERO if begin == first else ACCUMULATE
        transform_tiles(m, begin, end, x, dy, index, h, w, top, left, v, gradients, plane, zeros, low, high, r, volume)
        reads = (
            rows_to_fetch(x, end, then, m, h, w, m + 2 - top, False, 0, c),
            rows_to_fetch(dy, end, then, m, h, w, m, index is not None, column, columns),
            rows_to_fetch(index, end, then, m, h, w, m, True, column, columns),
        )
        for p in range(low, high):
            for g in range(ceil_div(c, TILE_COLUMNS)):
                slot = thread if tiles <= block else weight_slot(c, k, cut, p, g)
                add_products(
                    sums[slot],
                    v + g * square * plane,
                    gradients + (p - low) * square * plane,
                    plane,
                    start,
                    min(TILE_COLUMNS, c - g * TILE_COLUMNS),
                    min(TILE_COLUMNS, k - p * TILE_COLUMNS),
                    end - begin,
                    m,
                    reads,
                    (p - low) * ceil_div(c, TILE_COLUMNS) + g,
                    (high - low) * ceil_div(c, TILE_COLUMNS),
                )
                if cuts == 1 and end == last:
                    weight_panel(dw, sums[slot], p, g, m)


@serial
def weight_zeros(ws: Any, c: Any, k: Any) -> Any:
    """Return the address of a row of zeros at the end of a workspace."""
    end = ws.size - SIDE * max(c, k)
    for i in range(end, ws.size):
        ws[i] = 0
    return address(ws) + BYTES * end


@serial
def weight_slot(c: Any, k: Any, cut: Any, p: Any, g: Any) -> Any:
    """Return where the sums of one cut, panel p of filters and panel g of channels lie."""
    return (cut * ceil_div(k, TILE_COLUMNS) + p) * ceil_div(c, TILE_COLUMNS) + g


@serial
def transform_tiles(
    m: Any,
    first: Any,
    last: Any,
    x: Any,
    dy: Any,
    index: Any,
    h: Any,
    w: Any,
    top: Any,
    left: Any,
    v: Any,
    gradients: Any,
    plane: Any,
    zeros: Any,
    low: Any,
    high: Any,
    r: Any,
    volume: Any,
) -> None:
    """Transform tiles first..last of x, and of panels low..high of dy, into [panel][(m + 2)^2][tile][TILE_COLUMNS]."""
    b, i, j = tile_position(first, m, h, w)
    for t in range(last - first):
        at = BYTES * TILE_COLUMNS * t
        transform_signals(m, b, x, i - top, j - left, v + at, plane, zeros, r, volume)
        transform_gradients(m, b, dy, index, i, j, gradients + at, plane, zeros, low, high)
        b, i, j = next_tile(b, i, j, m, h, w)


@serial
def add_products(
    sums: Any,
    v: Any,
    gradients: Any,
    plane: Any,
    start: Any,
    channels: Any,
    columns: Any,
    tiles: Any,
    m: Any,
    reads: Any,
    part: Any,
    partitions: Any,
) -> None:
    """sums[(m + 2)^2][channel][column] += the products of one panel of each; one part of some streams is fetched."""
    square, row = (m + 2) * (m + 2), BYTES * CHANNELS * TILE_COLUMNS
    for q in range(square):
        for s in reads:
            fetch_part(s, part * square + q, partitions * square, 0)
        x, dy, y = v + q * plane, gradients + q * plane, address(sums) + q * row
        product(
            x,
            BYTES,
            BYTES * TILE_COLUMNS,
            dy,
            y,
            start,
            columns,
            tiles,
            ceil_div(channels, TILE_ROWS),
            x + plane,
            dy + plane,
            y + row,
        )


@serial
def weight_panel(dw: Any, sums: Any, p: Any, g: Any, m: Any) -> None:
    """Write dw of a panel of filters at a panel of channels: the sums transformed."""
    c, k = dw.shape[2], dw.shape[3]
    for row in range(min(TILE_COLUMNS, c - g * TILE_COLUMNS)):
        image, size = (
            address(dw) + BYTES * ((g * TILE_COLUMNS + row) * k + p * TILE_COLUMNS),
            min(TILE_COLUMNS, k - p * TILE_COLUMNS),
        )
        planes, plane = address(sums) + BYTES * row * TILE_COLUMNS, BYTES * CHANNELS * TILE_COLUMNS
        if m == 4:
            weight4(image, 3, 3, BYTES * c * k, 0, 0, 0, planes, plane, size)
        else:
            weight2(image, 3, 3, BYTES * c * k, 0, 0, 0, planes, plane, size)


@serial
def weight_partitions(sums: Any, ws: Any, filters: Any, cuts: Any) -> Any:
    """Return how many tasks the filters are divided among, so that each thread has work: that changes no sum."""
    return max(1, min(ceil_div(filters, TILE_COLUMNS), ceil_div(ws.shape[0], cuts)))


@serial
def weight_task(
    dw: Any,
    ws: Any,
    sums: Any,
    task: Any,
    partitions: Any,
    dy: Any,
    index: Any,
    x: Any,
    h: Any,
    w: Any,
    m: Any,
    top: Any,
    left: Any,
    r: Any,
    volume: Any,
) -> None:
    """Run weight_sums of one cut of the tiles and one part of the filters."""
    thread, panels, cut, part = (
        get_thread_id(),
        ceil_div(dy.shape[3], TILE_COLUMNS),
        task // partitions,
        task % partitions,
    )
    weight_sums(
        dw,
        ws[thread],
        sums,
        thread,
        dy,
        index,
        x,
        h,
        w,
        m,
        top,
        left,
        cut,
        part * panels // partitions,
        (part + 1) * panels // partitions,
        r,
        volume,
    )


@serial
def weight_total(dw: Any, sums: Any, pair: Any, cuts: Any, m: Any) -> None:
    """Write dw of one pair of panels: the sums of all cuts added up, then transformed."""
    pairs = sums.shape[0] // cuts
    total, panels = sums[pair], ceil_div(dw.shape[2], TILE_COLUMNS)
    for cut in range(1, cuts):
        for q in range(total.shape[0]):
            line, partial = total[q], sums[cut * pairs + pair, q]
            for i in range(line.size):
                line[i] += partial[i]
    weight_panel(dw, total, pair // panels, pair % panels, m)


@kernel(
    backend="numba",
    double="numba",
    image="dy x",
    filter="dw",
    work=weight_work,
    out=lambda dy, x, m, padding: [(dy.shape[1], x.shape[1], 3, 3)],
    flops=lambda dy, x, m, padding: count_flops(x.shape, dy.shape[1], m, padding),
)
def conv_winograd_weight(dw: Any, ws: Any, sums: Any, dy: Any, x: Any, m: Any, padding: Any) -> None:
    """dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G"""
    (n, h, w, k), top, left = dy.shape, padding[0][0], padding[1][0]
    cuts = weight_plan(x.shape[3], k, n * ceil_div(h, m) * ceil_div(w, m), m)[1]
    partitions = weight_partitions(sums, ws, k, cuts)
    for task in prange(cuts * partitions):
        weight_task(dw, ws, sums, np.int64(task), partitions, dy, None, x, h, w, m, top, left, 0, FLAT)
    for pair in prange(sums.shape[0] // cuts if cuts > 1 else 0):
        weight_total(dw, sums, np.int64(pair), cuts, m)
