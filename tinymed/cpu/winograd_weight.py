"""The weight gradient of Winograd's convolution:  dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G.

Tiles are what is summed over: blocks of them are transformed, then (m + 2)^2 products, channels x tiles times tiles x
filters, are added to sums that are transformed back at the end.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ..backend import kernel
from .jit import serial
from .microkernel import ACCUMULATE, COLUMNS, LANES, ROWS, ZERO, address, ceil_div, sweep
from .prefetch import fetch_part
from .winograd import SIDE, TILES, after, count_flops, place, signal2, signal4, threads, touched
from .winograd_transforms import MATRICES, transform, transposed

FAR = 8 * ROWS  # tiles of one block where its sums do not stay in L2
NEAR = 3 << 16  # floats that stay in L2: 768 KiB
PARALLEL = 8  # pieces of work that the gradient of a weight is cut into, if there are so many
PARTIAL = 1 << 22  # floats of partial weight gradients: 16 MiB, or one copy where that is larger

gradient2, gradient4 = (transform(f"gradient{m}", transposed(MATRICES[m].inverse), gather=True) for m in (2, 4))
ungradient2, ungradient4 = (
    transform(f"ungradient{m}", transposed(MATRICES[m].inverse), gather=True, parity=0) for m in (2, 4)
)
weight2, weight4 = (transform(f"weight{m}", transposed(MATRICES[m].filter), gather=False) for m in (2, 4))


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
        (threads(), sum(panels) * square * (block * COLUMNS + LANES) + SIDE * max(c, k)),
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
def channel_rows(table: Any, channels: Any, panel: Any) -> None:
    """Offsets of channels among transformed tiles of x, and of rows of sums; the last is repeated up to a whole tile.

    panel: bytes of the (m + 2)^2 planes of COLUMNS channels.
    """
    for t in range(table.shape[1]):
        c = min(t, channels - 1)
        table[0, t] = c // COLUMNS * panel + c % COLUMNS * 4
        table[1, t] = c * 4 * COLUMNS


@serial
def weight_sums(sums: Any, ws: Any, rows: Any, dy: Any, index: Any, x: Any, h: Any, w: Any, m: Any, top: Any,
                left: Any, first: Any, last: Any, block: Any, low: Any, high: Any) -> None:  # fmt: skip
    """sums = the products of tiles first..last of maps of h x w with the panels low..high of filters.

    Of each block of tiles (m + 2)^2 products, channels x tiles times tiles x filters, are added up.
    """
    k, c, square, plane, v = dy.shape[3], x.shape[3], (m + 2) * (m + 2), 4 * (block * COLUMNS + LANES), address(ws)
    end = ws.size - SIDE * max(c, k)
    zeros, gradients = v + 4 * end, v + ceil_div(c, COLUMNS) * square * plane
    for i in range(end, ws.size):
        ws[i] = 0
    for begin in range(first, last, block):
        count, start = min(block, last - begin), ZERO if begin == first else ACCUMULATE
        b, i, j = place(begin, m, h, w)
        for t in range(count):
            at = 4 * COLUMNS * t
            spread_signals(m, b, x, i - top, j - left, v + at, plane, zeros)
            spread_gradients(m, b, dy, index, i, j, gradients + at, plane, zeros, low, high)
            b, i, j = after(b, i, j, m, h, w)
        loops = (1, 1, count, 0, 0, 4 * COLUMNS, 0, 0, 4 * COLUMNS)
        soon, then, column = begin + count, min(begin + count + block, last), low * COLUMNS
        columns = min(high * COLUMNS, k) - column
        reads = (touched(x, soon, then, m, h, w, m + 2 - top, False, 0, c),
                 touched(dy, soon, then, m, h, w, m, index is not None, column, columns),
                 touched(index, soon, then, m, h, w, m, True, column, columns))  # fmt: skip
        for p in range(low, high):
            for q in range(square):
                if p == high - 1:
                    for s in reads:
                        fetch_part(s, q, square, 0)
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
def weight_parts(sums: Any, ws: Any, rows: Any, dy: Any, x: Any, h: Any, w: Any, m: Any) -> Any:
    """Parts the filters are cut into, so that each thread has work: that changes no sum.  Fills the table of rows."""
    block, _ = weight_plan(x.shape[3], dy.shape[3], dy.shape[0] * ceil_div(h, m) * ceil_div(w, m), m)
    channel_rows(rows, x.shape[3], 4 * (m + 2) * (m + 2) * (block * COLUMNS + LANES))
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
    parts = weight_parts(sums, ws, rows, dy, x, h, w, m)
    for task in prange(sums.shape[0] * parts):
        weight_task(np.int64(task), parts, sums, ws[get_thread_id()], rows, dy, None, x, h, w, m, top, left)
    for group in prange(ceil_div(c, ROWS)):
        first = np.int64(group) * ROWS
        weight_rows(dw, sums, first, min(first + ROWS, c), m)
