"""Winograd's convolution of volumes, 5 x 5 in the planes: F(2 x 2, 5 x 5), 36 products where direct has 100.

Two outputs of five taps take six points, as four outputs of three taps do: F(2, 5) has F(4, 3)'s points and so its B^T
(winograd_transforms.py), and blocks of its tiles are multiplied by the same loops.  What differs is G, of five columns,
A^T, of two rows, and that tiles lie two pixels apart.  Planes are treated as in winograd_volume.py.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.tile import ACCUMULATE, ZERO
from ..simd.vectors import BYTES, LANES, TILE_COLUMNS, TILE_ROWS, address, ceil_div
from ..simd.winograd_transforms import POINTS, transform, transposed, winograd_matrices
from .winograd import (
    SIDE,
    TILES,
    multiply,
    next_tile,
    padded_channels,
    plane_of,
    rows_to_fetch,
    scratch,
    signal4,
    threads,
    tile_position,
    winograd_space,
)
from .winograd_weight import (
    CHANNELS,
    add_products,
    transform_signals,
    weight_partitions,
    weight_plan,
    weight_slot,
    weight_zeros,
)

M, TAPS, SQUARE = 2, 5, 36  # pixels of a tile and taps of a filter along an axis; numbers of a transformed tile
LIKE = 4  # the m of F(m, 3) with the same points
MATRICES = winograd_matrices(POINTS[LIKE], TAPS)

filter5 = transform("filter5", MATRICES.filter, gather=True)
inverse5 = transform("inverse5", MATRICES.inverse, gather=False)
gradient5 = transform("gradient5", transposed(MATRICES.inverse), gather=True)
weight5 = transform("weight5", transposed(MATRICES.filter), gather=False)


def flops_of(places: Any, products: int) -> float:
    """Return the operations of the products at places (N, planes, H, W) of y; the transforms are not counted."""
    n, d, h, w = places
    return float(2 * SQUARE * n * d * -(-h // M) * -(-w // M) * products)


@kernel(
    backend="numba",
    filter="w",
    out=lambda w: [(-(-w.shape[0] // TILE_COLUMNS), SQUARE, w.shape[2] * w.shape[1], TILE_COLUMNS)],
)
def winograd_filter_five(u: Any, w: Any) -> None:
    """u = G w G^T for each plane of the filter, [panel][SQUARE][plane and channel][TILE_COLUMNS]."""
    c, k, plane = w.shape[3], w.shape[4], BYTES * u.shape[2] * TILE_COLUMNS
    for row in prange(w.shape[0] * c):
        r = np.int64(row) // c
        for p in range(u.shape[0]):
            first = p * TILE_COLUMNS
            image = address(w[r]) + BYTES * ((np.int64(row) - r * c) * k + first)
            planes = address(u[p]) + BYTES * np.int64(row) * TILE_COLUMNS
            filter5(image, TAPS, TAPS, BYTES * c * k, 0, 0, 0, planes, plane, min(TILE_COLUMNS, k - first))


# ------------------------------------------------------------------------------------------ forward, input gradient


def five_out(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """Return the shape (N, K, *size) of the output over an x without its padding."""
    kernel = u.shape[2] // x.shape[1], TAPS, TAPS
    sizes = [n + sum(p) - k + 1 for n, p, k in zip(x.shape[2:], padding, kernel, strict=True)]
    return [(x.shape[0], filters, *sizes)]


@serial
def five_partitions(y: Any, u: Any, ws: Any) -> Any:
    """Return (blocks of tiles, parts that the filters are divided into): as few as keep all threads at work."""
    partitions, count = 1, ws.shape[0]
    blocks = ceil_div(y.shape[0] * ceil_div(y.shape[1], M) * ceil_div(y.shape[2], M), TILES)
    while partitions < u.shape[0] and blocks * partitions < 4 * count and blocks * partitions % count:
        partitions += 1
    return blocks, partitions


@serial
def five_block(
    y: Any, ws: Any, x: Any, u: Any, bias: Any, block: Any, part: Any, partitions: Any, top: Any, left: Any, volume: Any
) -> None:
    """Compute one block of tiles of maps, one part of the filters."""
    h, w, k, c, panels = y.shape[1], y.shape[2], y.shape[3], x.shape[3], u.shape[0]
    tiles, step = y.shape[0] * ceil_div(h, M) * ceil_div(w, M), BYTES * padded_channels(u.shape[2])
    first, last = block * TILES, min((block + 1) * TILES, tiles)
    v, plane_v, products, plane_m, zeros = scratch(ws, SQUARE, padded_channels(u.shape[2]))
    b, i, j = tile_position(first, M, h, w)
    for t in range(last - first):
        for r in range(volume[0]):
            at, inside = plane_of(b, r, volume)
            image, height, to = address(x[at]), x.shape[1] if inside else 0, v + step * t + BYTES * r * c
            signal4(image, height, x.shape[2], BYTES * c, zeros, i - top, j - left, to, plane_v, c)
        b, i, j = next_tile(b, i, j, M, h, w)
    end = (part + 1) * panels // partitions
    for p in range(part * panels // partitions, end):
        column = p * TILE_COLUMNS
        columns, ahead = min(TILE_COLUMNS, k - column), min(last + TILES, tiles) if p == end - 1 else last
        reads = (rows_to_fetch(x, last, ahead, M, h, w, SIDE - top, False, 0, c),)
        writes = (rows_to_fetch(y, first, last, M, h, w, M, False, column, columns),)
        start = address(bias) + BYTES * column if bias.size else ZERO
        rows = ceil_div(last - first, TILE_ROWS)
        multiply(rows, v, plane_v, address(u[p]), products, plane_m, u.shape[2], columns, start, LIKE, reads, writes)
        b, i, j = tile_position(first, M, h, w)
        for t in range(last - first):
            image, planes = address(y[b]) + BYTES * column, products + BYTES * TILE_COLUMNS * t
            inverse5(image, h, w, BYTES * k, 0, i, j, planes, plane_m, columns)
            b, i, j = next_tile(b, i, j, M, h, w)


@kernel(
    backend="numba",
    image="y x",
    out=five_out,
    work=lambda x, u, *_: winograd_space(u.shape[2], SQUARE),
    flops=lambda x, u, bias, filters, padding: flops_of(
        [x.shape[0], *five_out(x, u, bias, filters, padding)[0][2:]], u.shape[2] * filters
    ),
)
def conv3d_winograd_five(y: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """y = bias + x, padded, correlated with the filters u of kd x 5 x 5."""
    top, left = padding[1][0], padding[2][0]
    seen = x.reshape(x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4])  # planes one behind the other
    written = y.reshape(y.shape[0] * y.shape[1], y.shape[2], y.shape[3], y.shape[4])
    volume = u.shape[2] // x.shape[4], y.shape[1], x.shape[1], padding[0][0]
    blocks, partitions = five_partitions(written, u, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        five_block(written, ws[thread], seen, u, bias, block, part, partitions, top, left, volume)


# ----------------------------------------------------------------------------------------- gradient of the weight


def five_weight_space(dy: Any, x: Any, *_: Any) -> list[Any]:
    """Return the scratch: each thread's transformed tiles and zeros, and sums of pairs of panels, as weight_space."""
    n, k, d, h, w = dy.shape
    c, tiles = x.shape[1], n * d * -(-h // M) * -(-w // M)
    panels, (block, cuts) = (-(-c // TILE_COLUMNS), -(-k // TILE_COLUMNS)), weight_plan.py_func(c, k, tiles, LIKE)
    return [
        (threads(), sum(panels) * SQUARE * (block * TILE_COLUMNS + LANES) + SIDE * max(c, k)),
        (threads() if tiles <= block else cuts * panels[0] * panels[1], SQUARE, CHANNELS * TILE_COLUMNS),
    ]


@serial
def five_transforms(
    first: Any,
    last: Any,
    x: Any,
    dy: Any,
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
    """Transform tiles first..last of x, and of panels low..high of dy, into [panel][SQUARE][tile][TILE_COLUMNS]."""
    h, w, k = dy.shape[1], dy.shape[2], dy.shape[3]
    b, i, j = tile_position(first, M, h, w)
    for t in range(last - first):
        at = BYTES * TILE_COLUMNS * t
        transform_signals(LIKE, b, x, i - top, j - left, v + at, plane, zeros, r, volume)
        for p in range(low, high):
            column = p * TILE_COLUMNS
            image, to = address(dy[b]) + BYTES * column, gradients + at + (p - low) * SQUARE * plane
            gradient5(image, h, w, BYTES * k, zeros, i, j, to, plane, min(TILE_COLUMNS, k - column))
        b, i, j = next_tile(b, i, j, M, h, w)


@serial
def five_weight_sums(
    dw: Any,
    ws: Any,
    sums: Any,
    thread: Any,
    dy: Any,
    x: Any,
    top: Any,
    left: Any,
    cut: Any,
    low: Any,
    high: Any,
    r: Any,
    volume: Any,
) -> None:
    """Sum the products of one cut of the tiles with panels low..high of filters; write dw, if there is one cut."""
    h, w, k, c = dy.shape[1], dy.shape[2], dy.shape[3], x.shape[3]
    tiles, panels = dy.shape[0] * ceil_div(h, M) * ceil_div(w, M), ceil_div(c, TILE_COLUMNS)
    block, cuts = weight_plan(c, k, tiles, LIKE)
    blocks, plane = ceil_div(tiles, block), BYTES * (block * TILE_COLUMNS + LANES)
    v, zeros = address(ws), weight_zeros(ws, c, k)
    gradients, last = v + panels * SQUARE * plane, min((cut + 1) * blocks // cuts * block, tiles)
    first, column = cut * blocks // cuts * block, low * TILE_COLUMNS
    columns = min(high * TILE_COLUMNS, k) - column
    for begin in range(first, last, block):
        end = min(begin + block, last)
        then, start = min(end + block, last), ZERO if begin == first else ACCUMULATE
        five_transforms(begin, end, x, dy, top, left, v, gradients, plane, zeros, low, high, r, volume)
        reads = (
            rows_to_fetch(x, end, then, M, h, w, SIDE - top, False, 0, c),
            rows_to_fetch(dy, end, then, M, h, w, M, False, column, columns),
        )
        for p in range(low, high):
            for g in range(panels):
                slot = thread if tiles <= block else weight_slot(c, k, cut, p, g)
                add_products(
                    sums[slot],
                    v + g * SQUARE * plane,
                    gradients + (p - low) * SQUARE * plane,
                    plane,
                    start,
                    min(TILE_COLUMNS, c - g * TILE_COLUMNS),
                    min(TILE_COLUMNS, k - p * TILE_COLUMNS),
                    end - begin,
                    LIKE,
                    reads,
                    (p - low) * panels + g,
                    (high - low) * panels,
                )
                if cuts == 1 and end == last:
                    five_weight_panel(dw, sums[slot], p, g)


@serial
def five_weight_panel(dw: Any, sums: Any, p: Any, g: Any) -> None:
    """Write dw of a panel of filters at a panel of channels: the sums transformed."""
    c, k, plane = dw.shape[2], dw.shape[3], BYTES * CHANNELS * TILE_COLUMNS
    for row in range(min(TILE_COLUMNS, c - g * TILE_COLUMNS)):
        image = address(dw) + BYTES * ((g * TILE_COLUMNS + row) * k + p * TILE_COLUMNS)
        planes, size = address(sums) + BYTES * row * TILE_COLUMNS, min(TILE_COLUMNS, k - p * TILE_COLUMNS)
        weight5(image, TAPS, TAPS, BYTES * c * k, 0, 0, 0, planes, plane, size)


@serial
def five_weight_total(dw: Any, sums: Any, pair: Any, cuts: Any) -> None:
    """Write dw of one pair of panels: the sums of all cuts added up, then transformed."""
    pairs, panels = sums.shape[0] // cuts, ceil_div(dw.shape[2], TILE_COLUMNS)
    total = sums[pair]
    for cut in range(1, cuts):
        for q in range(total.shape[0]):
            line, partial = total[q], sums[cut * pairs + pair, q]
            for i in range(line.size):
                line[i] += partial[i]
    five_weight_panel(dw, total, pair // panels, pair % panels)


@kernel(
    backend="numba",
    image="dy x",
    filter="dw",
    work=five_weight_space,
    out=lambda dy, x, planes, padding: [(dy.shape[1], x.shape[1], planes, TAPS, TAPS)],
    flops=lambda dy, x, planes, padding: planes * flops_of(dy.shape[:1] + dy.shape[2:], x.shape[1] * dy.shape[1]),
)
def conv3d_winograd_five_weight(dw: Any, ws: Any, sums: Any, dy: Any, x: Any, planes: Any, padding: Any) -> None:
    """dw[r] = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G, x in the planes that plane r of the filter sees."""
    h, w, top, left = dy.shape[2], dy.shape[3], padding[1][0], padding[2][0]
    seen = x.reshape(x.shape[0] * x.shape[1], x.shape[2], x.shape[3], x.shape[4])
    given = dy.reshape(dy.shape[0] * dy.shape[1], h, w, dy.shape[4])
    volume, panels = (planes, dy.shape[1], x.shape[1], padding[0][0]), ceil_div(dy.shape[4], TILE_COLUMNS)
    cuts = weight_plan(x.shape[4], dy.shape[4], given.shape[0] * ceil_div(h, M) * ceil_div(w, M), LIKE)[1]
    partitions = weight_partitions(sums, ws, dy.shape[4], cuts)
    for r in range(planes):
        for task in prange(cuts * partitions):
            thread, cut, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
            low, high = part * panels // partitions, (part + 1) * panels // partitions
            five_weight_sums(
                dw[r], ws[thread], sums, thread, given, seen, top, left, cut, low, high, np.int64(r), volume
            )
        for pair in prange(sums.shape[0] // cuts if cuts > 1 else 0):
            five_weight_total(dw[r], sums, np.int64(pair), cuts)
