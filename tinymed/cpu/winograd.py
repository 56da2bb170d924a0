"""Winograd's convolution for 3 x 3 filters at stride 1: F(2x2, 3x3) and F(4x4, 3x3), forward and both gradients.

    forward        Y = A^T [ (G w G^T) * (B^T x B) ] A          for tiles of m x m pixels of y, (m + 2)^2 of x
    input          the same, on dy with the turned filter
    weight         dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

The products * of single numbers become, over channels and tiles, (m + 2)^2 matrix products on the microkernel.  Images
are not padded: tables of addresses send the pixels of a tile that lie outside to a line of zeros (or a line nobody
reads).  Which m a filter was transformed for shows in its shape.
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
FAR = 16 * ROWS  # of one block of a weight gradient, where its sums do not stay in L2
NEAR = 3 << 16  # floats that stay in L2: 768 KiB
PARTIAL = 1 << 22  # floats of partial weight gradients: 16 MiB, or one copy where that is larger

signal2, signal4 = (transform(MATRICES[m].signal, gather=True) for m in (2, 4))
inverse2, inverse4 = (transform(MATRICES[m].inverse, gather=False) for m in (2, 4))
filter2, filter4 = (transform(MATRICES[m].filter, gather=True) for m in (2, 4))
gradient2, gradient4 = (transform(transposed(MATRICES[m].inverse), gather=True) for m in (2, 4))
weight2, weight4 = (transform(transposed(MATRICES[m].filter), gather=False) for m in (2, 4))


@serial
def whole(channels: Any) -> Any:
    """Channels rounded up to whole vectors."""
    return ceil_div(channels, LANES) * LANES


@serial
def place(tile: Any, m: Any, h: Any, w: Any) -> Any:
    """(image, first row, first column) of a tile of m x m pixels of a batch of h x w maps."""
    down, across = ceil_div(h, m), ceil_div(w, m)
    return tile // (down * across), tile // across % down * m, tile % across * m


@serial
def look(table: Any, i: Any, j: Any, size: Any, image: Any, outside: Any) -> None:
    """table[r * size + s] = address of pixel (i + r, j + s) of an image, or `outside` where there is none.

    image: (address, h, w, bytes from pixel to pixel)
    """
    start, h, w, pixel = image
    for r in range(size):
        first = start + ((i + r) * w + j) * pixel
        row = table[r * size : (r + 1) * size]
        if 0 <= i + r < h and j >= 0 and j + size <= w:
            for s in range(size):
                row[s] = first + s * pixel
        else:
            for s in range(size):
                row[s] = first + s * pixel if 0 <= i + r < h and 0 <= j + s < w else outside


# -------------------------------------------------------------------------------------------------- the filter


@kernel(backend="numba", filter="w", out=lambda w, m: [(-(-w.shape[0] // COLUMNS), (m + 2) ** 2, w.shape[1], COLUMNS)])
def winograd_filter(u: Any, w: Any, m: Any) -> None:
    """u = G w G^T, [panel of COLUMNS filters][(m + 2)^2][c][COLUMNS], the order in which tiles read it."""
    c, k = w.shape[2], w.shape[3]
    taps = 4 * c * k * np.arange(9)
    for t in prange(c):
        for p in range(u.shape[0]):
            pixels, planes = address(w) + 4 * (t * k + p * COLUMNS), address(u[p]) + 4 * t * COLUMNS
            size = min(COLUMNS, k - p * COLUMNS)
            if m == 4:
                filter4(pixels, address(taps), planes, 4 * c * COLUMNS, size)
            else:
                filter2(pixels, address(taps), planes, 4 * c * COLUMNS, size)


# ------------------------------------------------------------------------------------------ forward, input gradient


def threads() -> int:
    """Copies of a workspace: one for each thread there can be."""
    config: Any = numba_config
    return int(config.NUMBA_NUM_THREADS)


def winograd_out(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    return [(x.shape[0], filters, *(n + sum(p) - 2 for n, p in zip(x.shape[2:], padding, strict=True)))]


def winograd_work(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    c, square = -(-x.shape[1] // LANES) * LANES, u.shape[1]
    floats = square * (TILES * (c + COLUMNS) + 2 * LANES) + c + COLUMNS
    return [(threads(), floats), ((threads(), 2, TILES + square), np.int64)]


@serial
def scratch(ws: Any, square: Any, channels: Any) -> Any:
    """(transformed tiles, their plane, products, their plane, zeros, waste): addresses, and bytes from plane to plane.

    A plane is a line longer than its contents: planes a power of two apart would share few lines of the cache.
    """
    v, plane_v, plane_m = address(ws), 4 * (TILES * channels + LANES), 4 * (TILES * COLUMNS + LANES)
    zeros = v + square * (plane_v + plane_m)
    ws[ws.size - channels - COLUMNS :] = 0
    return v, plane_v, v + square * plane_v, plane_m, zeros, zeros + 4 * channels


@serial
def read_tiles(m: Any, first: Any, last: Any, x: Any, size: Any, origin: Any, table: Any, v: Any, plane: Any,
               zeros: Any) -> None:  # fmt: skip
    """v[(m + 2)^2][tile][channel] = B^T x B for tiles first..last; size: (h, w) of y; origin: of y's pixel 0 in x."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    for t in range(first, last):
        b, i, j = place(t, m, size[0], size[1])
        look(table, i + origin[0], j + origin[1], m + 2, (address(x[b]), h, w, 4 * c), zeros)
        planes = v + 4 * whole(c) * (t - first)
        if m == 4:
            signal4(0, address(table), planes, plane, c)
        else:
            signal2(0, address(table), planes, plane, c)


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
def write_tiles(m: Any, first: Any, last: Any, y: Any, column: Any, columns: Any, table: Any, products: Any,
                plane: Any, waste: Any) -> None:  # fmt: skip
    """y = A^T products A for tiles first..last, channels column..column + columns."""
    h, w, k = y.shape[1], y.shape[2], y.shape[3]
    for t in range(first, last):
        b, i, j = place(t, m, h, w)
        look(table, i, j, m, (address(y[b]) + 4 * column, h, w, 4 * k), waste)
        planes = products + 4 * COLUMNS * (t - first)
        if m == 4:
            inverse4(0, address(table), planes, plane, columns)
        else:
            inverse2(0, address(table), planes, plane, columns)


@serial
def count_rows(rows: Any, channels: Any) -> None:
    """Offsets of the tiles of a block among transformed tiles and among products."""
    for t in range(TILES):
        rows[0, t], rows[1, t] = 4 * channels * t, 4 * COLUMNS * t


@kernel(backend="numba", image="y x", out=winograd_out, work=winograd_work)
def conv_winograd(y: Any, ws: Any, tables: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """y = bias + x, padded, correlated with the 3 x 3 filters u: (m + 2)^2 products for 9 m^2 multiplications."""
    n, h, w, k = y.shape
    c, m, panels = x.shape[3], 4 if u.shape[1] == 36 else 2, u.shape[0]
    tiles = n * ceil_div(h, m) * ceil_div(w, m)
    blocks = ceil_div(tiles, TILES)
    parts = max(1, min(panels, TASKS // (2 * max(1, blocks))))
    top, left = padding[0][0], padding[1][0]
    for task in prange(blocks * parts):
        thread, part = get_thread_id(), task % parts
        rows, table = tables[thread], tables[thread, 0, TILES:]
        v, plane_v, products, plane_m, zeros, waste = scratch(ws[thread], u.shape[1], whole(c))
        count_rows(rows, whole(c))
        first, last = task // parts * TILES, min((task // parts + 1) * TILES, tiles)
        read_tiles(m, first, last, x, (h, w), (-top, -left), table, v, plane_v, zeros)
        for p in range(part * panels // parts, (part + 1) * panels // parts):
            column, columns = p * COLUMNS, min(COLUMNS, k - p * COLUMNS)
            start = address(bias) + 4 * column if bias.size else ZERO
            multiply(rows, ceil_div(last - first, ROWS), v, plane_v, address(u[p]), products, plane_m, c, columns,
                     start, m)  # fmt: skip
            write_tiles(m, first, last, y, column, columns, table, products, plane_m, waste)


# ----------------------------------------------------------------------------------------- gradient of the weight


@serial
def weight_plan(channels: Any, filters: Any, tiles: Any, m: Any) -> Any:
    """(tiles of a block, partial sums, parts the filters are cut into): a function of the shape only.

    A block's transformed tiles and the sums they go to stay in L2 if they fit; if they cannot, a large block passes
    over the sums less often.
    """
    square, columns = (m + 2) * (m + 2), ceil_div(filters, COLUMNS) * COLUMNS
    sums = square * channels * columns
    near = sums + square * TILES * (ceil_div(channels, COLUMNS) * COLUMNS + columns) <= NEAR
    block = TILES if near else FAR
    cuts = max(1, min(ceil_div(tiles, block), TASKS // 2, PARTIAL // max(1, sums)))
    return min(block, max(1, tiles)), cuts, max(1, min(columns // COLUMNS, TASKS // 4 // cuts))


def weight_work(dy: Any, x: Any, m: Any, padding: Any) -> list[Any]:
    n, k, h, w = dy.shape
    c, square = x.shape[1], (m + 2) ** 2
    block, cuts, parts = weight_plan.py_func(c, k, n * -(-h // m) * -(-w // m), m)
    panels = -(-c // COLUMNS), -(-k // COLUMNS)
    return [
        (threads(), (panels[0] + -(-panels[1] // parts)) * square * (block * COLUMNS + LANES) + max(c, k)),
        (cuts, panels[1], square, c * COLUMNS),
        ((2, -(-c // ROWS) * ROWS), np.int64),
        ((threads(), square), np.int64),
    ]


@serial
def spread_tile(m: Any, image: Any, i: Any, j: Any, low: Any, high: Any, table: Any, planes: Any, plane: Any,
                zeros: Any, gradient: Any) -> None:  # fmt: skip
    """Transform channels low..high of one tile of x, or of dy, into [panel][(m + 2)^2][tile][COLUMNS]."""
    look(table, i, j, m if gradient else m + 2, image, zeros)
    for first in range(low, high, COLUMNS):
        at, columns = planes + (first - low) // COLUMNS * (m + 2) * (m + 2) * plane, min(COLUMNS, high - first)
        if m == 4 and gradient:
            gradient4(4 * first, address(table), at, plane, columns)
        elif m == 4:
            signal4(4 * first, address(table), at, plane, columns)
        elif gradient:
            gradient2(4 * first, address(table), at, plane, columns)
        else:
            signal2(4 * first, address(table), at, plane, columns)


@serial
def channel_rows(table: Any, channels: Any, plane: Any) -> None:
    """Offsets of channels among transformed tiles of x, and of rows of dw; the last is repeated up to a whole tile."""
    for t in range(table.shape[1]):
        c = min(t, channels - 1)
        table[0, t] = c // COLUMNS * plane + c % COLUMNS * 4
        table[1, t] = c * 4 * COLUMNS


@kernel(backend="numba", image="dy x", filter="dw", work=weight_work,
        out=lambda dy, x, m, padding: [(dy.shape[1], x.shape[1], 3, 3)])  # fmt: skip
def conv_winograd_weight(dw: Any, ws: Any, sums: Any, rows: Any, tables: Any, dy: Any, x: Any, m: Any,
                         padding: Any) -> None:  # fmt: skip
    """dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

    Of each block of tiles, (m + 2)^2 products of channels x tiles and tiles x filters are added to partial sums.
    """
    n, h, w, k = dy.shape
    c, square = x.shape[3], (m + 2) * (m + 2)
    top, left, tiles = padding[0][0], padding[1][0], n * ceil_div(h, m) * ceil_div(w, m)
    block, cuts, parts = weight_plan(c, k, tiles, m)
    blocks, plane = ceil_div(tiles, block), 4 * (block * COLUMNS + LANES)
    channel_rows(rows, c, square * plane)
    if tiles == 0:
        sums[:] = 0
    for task in prange(cuts * parts):
        cut, low, high = (
            task // parts,
            task % parts * sums.shape[1] // parts,
            (task % parts + 1) * sums.shape[1] // parts,
        )
        table, scratch = tables[get_thread_id()], ws[get_thread_id()]
        zeros, v = address(scratch[scratch.size - max(c, k) :]), address(scratch)
        scratch[scratch.size - max(c, k) :] = 0
        gradients = v + ceil_div(c, COLUMNS) * square * plane
        begin = cut * blocks // cuts * block
        for first in range(begin, min((cut + 1) * blocks // cuts * block, tiles), block):
            count, start = min(block, tiles - first), ZERO if first == begin else ACCUMULATE
            for t in range(count):
                b, i, j = place(first + t, m, h, w)
                at = 4 * COLUMNS * t
                spread_tile(m, (address(x[b]), x.shape[1], x.shape[2], 4 * c), i - top, j - left, 0, c, table, v + at,
                            plane, zeros, False)  # fmt: skip
                spread_tile(m, (address(dy[b]), h, w, 4 * k), i, j, low * COLUMNS, min(high * COLUMNS, k), table,
                            gradients + at, plane, zeros, True)  # fmt: skip
            loops = (1, 1, count, 0, 0, 4 * COLUMNS, 0, 0, 4 * COLUMNS)
            for p in range(low, high):
                for q in range(square):
                    sweep(rows, rows.shape[1] // ROWS, v + q * plane, address(sums[cut, p, q]),
                          gradients + ((p - low) * square + q) * plane, 0, start, min(COLUMNS, k - p * COLUMNS), 0, 1,
                          loops)  # fmt: skip
    taps = 4 * c * k * np.arange(9)
    for t in prange(c):
        for p in range(sums.shape[1]):
            total = sums[0, p, :, t * COLUMNS : (t + 1) * COLUMNS]
            for cut in range(1, cuts):
                for q in range(square):
                    for o in range(COLUMNS):
                        total[q, o] += sums[cut, p, q, t * COLUMNS + o]
            pixels, size = address(dw) + 4 * (t * k + p * COLUMNS), min(COLUMNS, k - p * COLUMNS)
            if m == 4:
                weight4(pixels, address(taps), address(total), 4 * c * COLUMNS, size)
            else:
                weight2(pixels, address(taps), address(total), 4 * c * COLUMNS, size)
