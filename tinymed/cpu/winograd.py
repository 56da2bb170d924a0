"""Winograd's convolution for 3 x 3 filters at stride 1: F(2x2, 3x3) and F(4x4, 3x3), forward and both gradients.

    forward        Y = A^T [ (G w G^T) * (B^T x B) ] A          for tiles of m x m pixels of y, (m + 2)^2 of x
    input          the same, on dy with the turned filter
    weight         dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

The products * of single numbers become, over channels and tiles, (m + 2)^2 matrix products on the microkernel.  Images
are not padded: for the pixels of a tile that lie outside stands a line of zeros, or one that nobody reads.  Which m a
filter was transformed for shows in its shape.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]
from numba.core import config as numba_config

from ..backend import kernel
from .jit import serial
from .microkernel import ACCUMULATE, COLUMNS, LANES, ROWS, TASKS, ZERO, address, ceil_div, sweep
from .winograd_transforms import MATRICES, transform, transposed

TILES = 4 * ROWS  # of one block: 16 or 36 numbers a channel for each stay in L2 while the filters pass
FAR = 8 * ROWS  # of one block of a weight gradient, where its sums do not stay in L2
NEAR = 3 << 16  # floats that stay in L2: 768 KiB
PARALLEL = 8  # pieces of work that the gradient of a weight is cut into, if there are so many
PARTIAL = 1 << 22  # floats of partial weight gradients: 16 MiB, or one copy where that is larger

signal2, signal4 = (transform(f"signal{m}", MATRICES[m].signal, gather=True) for m in (2, 4))
inverse2, inverse4 = (transform(f"inverse{m}", MATRICES[m].inverse, gather=False) for m in (2, 4))
filter2, filter4 = (transform(f"filter{m}", MATRICES[m].filter, gather=True) for m in (2, 4))
gradient2, gradient4 = (transform(f"gradient{m}", transposed(MATRICES[m].inverse), gather=True) for m in (2, 4))
# Of gradients that still lie in pooled windows; a tile begins with a window's first pixel (0) or its second (1).
unpool2_0, unpool2_1, unpool4_0, unpool4_1 = (
    transform(f"unpool{m}_{parity}", MATRICES[m].signal, gather=True, parity=parity)
    for m in (2, 4)
    for parity in (0, 1)
)
ungradient2, ungradient4 = (
    transform(f"ungradient{m}", transposed(MATRICES[m].inverse), gather=True, parity=0) for m in (2, 4)
)
pooled2, pooled4 = (transform(f"pooled{m}", MATRICES[m].inverse, gather=False, parity=0) for m in (2, 4))
weight2, weight4 = (transform(f"weight{m}", transposed(MATRICES[m].filter), gather=False) for m in (2, 4))


@serial
def whole(channels: Any) -> Any:
    """Channels rounded up to whole vectors."""
    return ceil_div(channels, LANES) * LANES


@serial
def place(tile: Any, m: Any, h: Any, w: Any) -> Any:
    """(image, first row, first column) of a tile of m x m pixels of a batch of h x w maps."""
    down, across = ceil_div(h, m), ceil_div(w, m)
    return tile // (down * across), tile // across % down * m, tile % across * m


# -------------------------------------------------------------------------------------------------- the filter


@serial
def filter_rows(u: Any, w: Any, row: Any, m: Any) -> None:
    """u of all filters at one channel: to the transform, a filter is an image of 3 x 3 pixels."""
    c, k = w.shape[2], w.shape[3]
    for p in range(u.shape[0]):
        column = p * COLUMNS
        image, planes = address(w) + 4 * (row * k + column), address(u) + 4 * (p * u[0].size + row * COLUMNS)
        if m == 4:
            filter4(image, 3, 3, 4 * c * k, 0, 0, 0, planes, 4 * c * COLUMNS, min(COLUMNS, k - column))
        else:
            filter2(image, 3, 3, 4 * c * k, 0, 0, 0, planes, 4 * c * COLUMNS, min(COLUMNS, k - column))


@kernel(backend="numba", filter="w",
        out=lambda w, m: [(-(-w.shape[0] // COLUMNS), (m + 2) ** 2, w.shape[1], COLUMNS)])  # fmt: skip
def winograd_filter(u: Any, w: Any, m: Any) -> None:
    """u = G w G^T, [panel of COLUMNS filters][(m + 2)^2][c][COLUMNS], the order in which tiles read it."""
    for row in prange(w.shape[2]):
        filter_rows(u, w, np.int64(row), m)


# ------------------------------------------------------------------------------------------ forward, input gradient


def threads() -> int:
    """Copies of a workspace: one for each thread there can be."""
    config: Any = numba_config
    return int(config.NUMBA_NUM_THREADS)


def count_flops(shape: Any, filters: Any, m: Any, padding: Any) -> float:
    """Of the products, for an image of this shape; the transforms are not counted."""
    n, c, *size = shape
    down, across = (-(-(n + sum(p) - 2) // m) for n, p in zip(size, padding, strict=True))
    return float(2 * (m + 2) ** 2 * n * down * across * c * filters)


def winograd_flops(x: Any, u: Any, bias: Any, filters: Any, padding: Any, *_: Any) -> float:
    """count_flops of a convolution by its arguments."""
    return count_flops(x.shape, filters, 4 if u.shape[1] == 36 else 2, padding)


def winograd_out(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """(N, K, *size) of an x without its padding."""
    return [(x.shape[0], filters, *(n + sum(p) - 2 for n, p in zip(x.shape[2:], padding, strict=True)))]


def winograd_work(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """winograd_space of a convolution by its arguments."""
    return winograd_space(x.shape[1], u.shape[1])


def winograd_space(channels: int, square: int) -> list[Any]:
    """Each thread's transformed tiles, products, zeros and waste, and its table of tiles."""
    c = -(-channels // LANES) * LANES
    return [(threads(), square * (TILES * (c + COLUMNS) + 2 * LANES) + c + COLUMNS), ((threads(), 2, TILES), np.int64)]


@serial
def scratch(ws: Any, square: Any, channels: Any) -> Any:
    """(transformed tiles, their plane, products, their plane, zeros, waste): addresses, and bytes from plane to plane.

    A plane is a line longer than its contents: planes a power of two apart would share few lines of the cache.
    """
    v, plane_v, plane_m = address(ws), 4 * (TILES * channels + LANES), 4 * (TILES * COLUMNS + LANES)
    first = square * (TILES * (channels + COLUMNS) + 2 * LANES)
    for i in range(first, first + channels):
        ws[i] = 0
    zeros = v + 4 * first
    return v, plane_v, v + square * plane_v, plane_m, zeros, zeros + 4 * channels


@serial
def read_tiles(m: Any, first: Any, last: Any, x: Any, index: Any, h: Any, w: Any, top: Any, left: Any, v: Any,
               plane: Any, zeros: Any) -> None:  # fmt: skip
    """v[(m + 2)^2][tile][channel] = B^T x B for tiles first..last of maps of h x w; top, left: padding.

    index: None, or the winners of the windows whose values x holds.
    """
    rows, columns, c = x.shape[1], x.shape[2], x.shape[3]
    for t in range(first, last):
        b, i, j = place(t, m, h, w)
        image, planes = address(x) + 4 * b * x[0].size, v + 4 * whole(c) * (t - first)
        if index is None:
            if m == 4:
                signal4(image, rows, columns, 4 * c, zeros, i - top, j - left, planes, plane, c)
            else:
                signal2(image, rows, columns, 4 * c, zeros, i - top, j - left, planes, plane, c)
        else:
            winners = address(index) + b * x[0].size
            i, j = (i - top) >> 1, (j - left) >> 1
            if m == 4 and top % 2:
                unpool4_1(image, rows, columns, 4 * c, zeros, i, j, planes, plane, c, winners)
            elif m == 4:
                unpool4_0(image, rows, columns, 4 * c, zeros, i, j, planes, plane, c, winners)
            elif top % 2:
                unpool2_1(image, rows, columns, 4 * c, zeros, i, j, planes, plane, c, winners)
            else:
                unpool2_0(image, rows, columns, 4 * c, zeros, i, j, planes, plane, c, winners)


@serial
def multiply(rows: Any, tiles: Any, v: Any, plane_v: Any, u: Any, products: Any, plane_m: Any, channels: Any,
             columns: Any, start: Any, m: Any) -> None:  # fmt: skip
    """products[(m + 2)^2][tile][column] = v times one panel of u, number by number.

    The bias is the start of the products at point (1, 1): A^T is 1 there in every row, so it reaches every pixel.
    """
    square, panel = (m + 2) * (m + 2), 4 * channels * COLUMNS
    loops = (1, 1, channels, 0, 0, 4, 0, 0, 4 * COLUMNS)
    for q in range(square):
        begin = start if q == m + 3 else ZERO
        sweep(rows, tiles, v + q * plane_v, products + q * plane_m, u + q * panel, 0, begin, columns, 0, 1, loops)


@serial
def write_tiles(m: Any, first: Any, last: Any, y: Any, index: Any, h: Any, w: Any, column: Any, columns: Any,
                products: Any, plane: Any, waste: Any) -> None:  # fmt: skip
    """y = A^T products A for tiles first..last of maps of h x w, channels column..column + columns.

    index: None, or where the winners go when y is to have, for each 2 x 2 window, the largest of ReLU.
    """
    rows, across, k = y.shape[1], y.shape[2], y.shape[3]
    for t in range(first, last):
        b, i, j = place(t, m, h, w)
        at = b * y[0].size + column
        image, planes = address(y) + 4 * at, products + 4 * COLUMNS * (t - first)
        if index is None:
            if m == 4:
                inverse4(image, rows, across, 4 * k, waste, i, j, planes, plane, columns)
            else:
                inverse2(image, rows, across, 4 * k, waste, i, j, planes, plane, columns)
        elif m == 4:
            pooled4(image, rows, across, 4 * k, waste, i // 2, j // 2, planes, plane, columns, address(index) + at)
        else:
            pooled2(image, rows, across, 4 * k, waste, i // 2, j // 2, planes, plane, columns, address(index) + at)


@serial
def count_rows(rows: Any, channels: Any) -> None:
    """Offsets of the tiles of a block among transformed tiles and among products."""
    for t in range(TILES):
        rows[0, t], rows[1, t] = 4 * channels * t, 4 * COLUMNS * t


@serial
def winograd_parts(x: Any, u: Any, h: Any, w: Any) -> Any:
    """(blocks of tiles, parts the filters are cut into) for maps of h x w."""
    m = 4 if u.shape[1] == 36 else 2
    blocks = ceil_div(x.shape[0] * ceil_div(h, m) * ceil_div(w, m), TILES)
    return blocks, max(1, min(u.shape[0], TASKS // (2 * max(1, blocks))))


@serial
def winograd_block(y: Any, winners: Any, ws: Any, rows: Any, x: Any, index: Any, u: Any, bias: Any, block: Any,
                   part: Any, parts: Any, h: Any, w: Any, top: Any, left: Any) -> None:  # fmt: skip
    """One block of TILES tiles of maps of h x w, one part of the filters.

    winners, index: those of y and of x, or None (write_tiles, read_tiles).
    """
    c, k, m, panels = x.shape[3], y.shape[3], 4 if u.shape[1] == 36 else 2, u.shape[0]
    first, last = block * TILES, min((block + 1) * TILES, y.shape[0] * ceil_div(h, m) * ceil_div(w, m))
    v, plane_v, products, plane_m, zeros, waste = scratch(ws, u.shape[1], whole(c))
    count_rows(rows, whole(c))
    read_tiles(m, first, last, x, index, h, w, top, left, v, plane_v, zeros)
    for p in range(part * panels // parts, (part + 1) * panels // parts):
        column = p * COLUMNS
        columns = min(COLUMNS, k - column)
        start = address(bias) + 4 * column if bias.size else ZERO
        multiply(rows, ceil_div(last - first, ROWS), v, plane_v, address(u) + 4 * p * u[0].size, products, plane_m, c,
                 columns, start, m)  # fmt: skip
        write_tiles(m, first, last, y, winners, h, w, column, columns, products, plane_m, waste)


@kernel(backend="numba", image="y x", out=winograd_out, work=winograd_work, flops=winograd_flops)
def conv_winograd(y: Any, ws: Any, tables: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """y = bias + x, padded, correlated with the 3 x 3 filters u: (m + 2)^2 products for 9 m^2 multiplications."""
    h, w, top, left = y.shape[1], y.shape[2], padding[0][0], padding[1][0]
    blocks, parts = winograd_parts(x, u, h, w)
    for task in prange(blocks * parts):
        thread, block, part = get_thread_id(), np.int64(task) // parts, np.int64(task) % parts
        winograd_block(y, None, ws[thread], tables[thread], x, None, u, bias, block, part, parts, h, w, top, left)


# ----------------------------------------------------------------------------------------- gradient of the weight


@serial
def weight_plan(channels: Any, filters: Any, tiles: Any, m: Any) -> Any:
    """(tiles of a block, partial sums): a function of the shape only, or the bits would depend on the threads.

    A block's transformed tiles and the sums they go to stay in L2 if they fit; if they cannot, a large block passes
    over the sums less often.  Partial sums cost a pass each: there are as many as give PARALLEL pieces of work with one
    panel of filters in each.
    """
    square, panels = (m + 2) * (m + 2), ceil_div(filters, COLUMNS)
    sums = square * channels * panels * COLUMNS
    near = sums + square * TILES * (ceil_div(channels, COLUMNS) + panels) * COLUMNS <= NEAR
    block = TILES if near else FAR
    cuts = max(1, min(ceil_div(tiles, block), ceil_div(PARALLEL, panels), PARTIAL // max(1, sums)))
    return min(block, max(1, tiles)), cuts


def weight_work(dy: Any, x: Any, m: Any, padding: Any) -> list[Any]:
    """weight_space of a gradient by its arguments."""
    return weight_space(dy.shape, x.shape[1], m)


def weight_space(dy_shape: Any, c: int, m: int) -> list[Any]:
    """Each thread's transformed tiles, the partial sums, and the places of channels."""
    n, k, h, w = dy_shape
    block, cuts = weight_plan.py_func(c, k, n * -(-h // m) * -(-w // m), m)
    square, panels = (m + 2) ** 2, (-(-c // COLUMNS), -(-k // COLUMNS))
    return [
        (threads(), sum(panels) * square * (block * COLUMNS + LANES) + COLUMNS),
        (cuts, panels[1], square, c * COLUMNS),
        ((2, -(-c // ROWS) * ROWS), np.int64),
    ]


@serial
def spread_signals(m: Any, b: Any, x: Any, i: Any, j: Any, planes: Any, plane: Any, zeros: Any) -> None:
    """Transform one tile of x[b] into [panel][(m + 2)^2][tile][COLUMNS]."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    image = address(x) + 4 * b * x[0].size
    for first in range(0, c, COLUMNS):
        at, columns = planes + first // COLUMNS * (m + 2) * (m + 2) * plane, min(COLUMNS, c - first)
        if m == 4:
            signal4(image + 4 * first, h, w, 4 * c, zeros, i, j, at, plane, columns)
        else:
            signal2(image + 4 * first, h, w, 4 * c, zeros, i, j, at, plane, columns)


@serial
def spread_gradients(m: Any, b: Any, dy: Any, index: Any, i: Any, j: Any, planes: Any, plane: Any, zeros: Any,
                     low: Any, high: Any) -> None:  # fmt: skip
    """Transform panels low..high of one tile of dy[b] into [panel][(m + 2)^2][tile][COLUMNS].

    index: None, or the winners of the windows whose gradients dy holds.
    """
    h, w, k = dy.shape[1], dy.shape[2], dy.shape[3]
    for p in range(low, high):
        at, first, columns = planes + (p - low) * (m + 2) * (m + 2) * plane, p * COLUMNS, min(COLUMNS, k - p * COLUMNS)
        offset = b * dy[0].size + first
        image = address(dy) + 4 * offset
        if index is None:
            if m == 4:
                gradient4(image, h, w, 4 * k, zeros, i, j, at, plane, columns)
            else:
                gradient2(image, h, w, 4 * k, zeros, i, j, at, plane, columns)
        elif m == 4:
            ungradient4(image, h, w, 4 * k, zeros, i // 2, j // 2, at, plane, columns, address(index) + offset)
        else:
            ungradient2(image, h, w, 4 * k, zeros, i // 2, j // 2, at, plane, columns, address(index) + offset)


@serial
def channel_rows(table: Any, channels: Any, plane: Any) -> None:
    """Offsets of channels among transformed tiles of x, and of rows of dw; the last is repeated up to a whole tile."""
    for t in range(table.shape[1]):
        c = min(t, channels - 1)
        table[0, t] = c // COLUMNS * plane + c % COLUMNS * 4
        table[1, t] = c * 4 * COLUMNS


@serial
def weight_sums(sums: Any, ws: Any, rows: Any, dy: Any, index: Any, x: Any, h: Any, w: Any, m: Any, top: Any,
                left: Any, first: Any, last: Any, block: Any, low: Any, high: Any) -> None:  # fmt: skip
    """sums = the products of tiles first..last of maps of h x w with the panels low..high of filters.

    Of each block of tiles (m + 2)^2 products, channels x tiles times tiles x filters, are added up.
    """
    k, c, square, plane, v = dy.shape[3], x.shape[3], (m + 2) * (m + 2), 4 * (block * COLUMNS + LANES), address(ws)
    zeros, gradients = v + 4 * (ws.size - COLUMNS), v + ceil_div(c, COLUMNS) * square * plane
    for i in range(ws.size - COLUMNS, ws.size):
        ws[i] = 0
    for begin in range(first, last, block):
        count, start = min(block, last - begin), ZERO if begin == first else ACCUMULATE
        for t in range(count):
            b, i, j = place(begin + t, m, h, w)
            at = 4 * COLUMNS * t
            spread_signals(m, b, x, i - top, j - left, v + at, plane, zeros)
            spread_gradients(m, b, dy, index, i, j, gradients + at, plane, zeros, low, high)
        loops = (1, 1, count, 0, 0, 4 * COLUMNS, 0, 0, 4 * COLUMNS)
        for p in range(low, high):
            for q in range(square):
                sweep(rows, rows.shape[1] // ROWS, v + q * plane, address(sums) + 4 * (p * square + q) * c * COLUMNS,
                      gradients + ((p - low) * square + q) * plane, 0, start, min(COLUMNS, k - p * COLUMNS), 0, 1,
                      loops)  # fmt: skip


@serial
def weight_task(task: Any, parts: Any, sums: Any, ws: Any, rows: Any, dy: Any, index: Any, x: Any, h: Any, w: Any,
                m: Any, top: Any, left: Any) -> None:  # fmt: skip
    """The sums of one cut of the tiles and one part of the filters."""
    cut, part, panels = task // parts, task % parts, sums.shape[1]
    tiles = dy.shape[0] * ceil_div(h, m) * ceil_div(w, m)
    block, cuts = weight_plan(x.shape[3], dy.shape[3], tiles, m)
    blocks = ceil_div(tiles, block)
    weight_sums(sums[cut], ws, rows, dy, index, x, h, w, m, top, left, cut * blocks // cuts * block,
                min((cut + 1) * blocks // cuts * block, tiles), block, part * panels // parts,
                (part + 1) * panels // parts)  # fmt: skip


@serial
def weight_parts(sums: Any, ws: Any, rows: Any, channels: Any, m: Any) -> Any:
    """Parts the filters are cut into, so that each thread has work: that changes no sum.  Fills the table of rows."""
    panels = ceil_div(channels, COLUMNS) + sums.shape[1]
    channel_rows(rows, channels, 4 * ((ws.shape[1] - COLUMNS) // panels))
    return max(1, min(sums.shape[1], ceil_div(ws.shape[0], sums.shape[0])))


@serial
def weight_rows(dw: Any, sums: Any, first: Any, last: Any, m: Any) -> None:
    """dw of all filters at channels first..last: the partial sums added up, then transformed."""
    c, k = dw.shape[2], dw.shape[3]
    for p in range(sums.shape[1]):
        for cut in range(1, sums.shape[0]):
            for q in range(sums.shape[2]):
                total, partial = sums[0, p, q], sums[cut, p, q]
                for i in range(first * COLUMNS, last * COLUMNS):
                    total[i] += partial[i]
        for row in range(first, last):
            image, size = address(dw) + 4 * (row * k + p * COLUMNS), min(COLUMNS, k - p * COLUMNS)
            planes = address(sums) + 4 * (p * sums[0, 0].size + row * COLUMNS)
            if m == 4:
                weight4(image, 3, 3, 4 * c * k, 0, 0, 0, planes, 4 * c * COLUMNS, size)
            else:
                weight2(image, 3, 3, 4 * c * k, 0, 0, 0, planes, 4 * c * COLUMNS, size)


@kernel(backend="numba", image="dy x", filter="dw", work=weight_work,
        out=lambda dy, x, m, padding: [(dy.shape[1], x.shape[1], 3, 3)],
        flops=lambda dy, x, m, padding: count_flops(x.shape, dy.shape[1], m, padding))  # fmt: skip
def conv_winograd_weight(dw: Any, ws: Any, sums: Any, rows: Any, dy: Any, x: Any, m: Any, padding: Any) -> None:
    """dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G"""
    c, h, w, top, left = x.shape[3], dy.shape[1], dy.shape[2], padding[0][0], padding[1][0]
    parts = weight_parts(sums, ws, rows, c, m)
    for task in prange(sums.shape[0] * parts):
        weight_task(np.int64(task), parts, sums, ws[get_thread_id()], rows, dy, None, x, h, w, m, top, left)
    for group in prange(ceil_div(c, ROWS)):
        first = np.int64(group) * ROWS
        weight_rows(dw, sums, first, min(first + ROWS, c), m)
