"""Winograd's convolution for 3 x 3 filters at stride 1: F(2x2, 3x3) and F(4x4, 3x3), forward and input gradient.

    forward        Y = A^T [ (G w G^T) * (B^T x B) ] A          for tiles of m x m pixels of y, (m + 2)^2 of x
    input          the same, on dy with the flipped filter

The products * of single numbers become, over channels and tiles, (m + 2)^2 matrix products on the microkernel.  Images
are not padded: the transforms find the borders.  A filter's shape says for which m it was transformed.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]
from numba.core import config as numba_config

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.prefetch import fetch_part, stream
from ..simd.streaming import store_fence, whole_vectors
from ..simd.tile import ZERO
from ..simd.vectors import BYTES, LANES, TILE_COLUMNS, TILE_ROWS, address, ceil_div
from ..simd.winograd_products import product
from ..simd.winograd_transforms import MATRICES, transform

TILES = 4 * TILE_ROWS  # of one block: 16 or 36 numbers a channel for each stay in L2 while the filters pass
NONTEMPORAL_BYTES = 1 << 24  # bytes of a transformed filter from which it bypasses the caches
SIDE = 6  # pixels: the most that a row of a tile has, of zeros where the image has none
# What a batch of images is of volumes: planes of the filter, planes of y and of x in a volume, padding before them.
# A plane of y is a map whose tiles read `planes` planes of x, one behind the other in the channels.
FLAT = 1, 1, 1, 0

signal2, signal4 = (transform(f"signal{m}", MATRICES[m].signal, gather=True) for m in (2, 4))
inverse2, inverse4 = (transform(f"inverse{m}", MATRICES[m].inverse, gather=False) for m in (2, 4))
filter2, filter4 = (transform(f"filter{m}", MATRICES[m].filter, gather=True) for m in (2, 4))
nontemporal_filter4 = transform("nontemporal_filter4", MATRICES[4].filter, gather=True, nontemporal=True)
# Of gradients that still lie in pooled windows; a tile begins with a window's first pixel (0) or its second (1).
unpool2_0, unpool2_1, unpool4_0, unpool4_1 = (
    transform(f"unpool{m}_{parity}", MATRICES[m].signal, gather=True, parity=parity)
    for m in (2, 4)
    for parity in (0, 1)
)
pooled2, pooled4 = (transform(f"pooled{m}", MATRICES[m].inverse, gather=False, parity=0) for m in (2, 4))


@serial
def padded_channels(channels: Any) -> Any:
    """Return the channels rounded up to whole vectors."""
    return ceil_div(channels, LANES) * LANES


@serial
def tile_position(tile: Any, m: Any, h: Any, w: Any) -> Any:
    """Return (image, first row, first column) of a tile of m x m pixels of a batch of h x w maps."""
    down, across = ceil_div(h, m), ceil_div(w, m)
    return tile // (down * across), tile // across % down * m, tile % across * m


@serial
def next_tile(b: Any, i: Any, j: Any, m: Any, h: Any, w: Any) -> Any:
    """Return the position of the next tile: counting on is cheaper than dividing for each."""
    j += m
    if j < w:
        return b, i, j
    i += m
    if i < h:
        return b, i, 0
    return b + 1, 0, 0


@serial
def rows_touched(tile: Any, m: Any, h: Any, w: Any, edge: Any, rows: Any, half: Any) -> Any:
    """Return how many rows of a batch of images, `rows` each, come before the first that no tile before `tile` touches.

    edge: rows from the first of a tile to the end of what it touches;  half: of pooling windows, not of pixels.
    """
    if tile <= 0:
        return 0
    b, i, _ = tile_position(tile - 1, m, h, w)
    last = (i + edge + 1) // 2 if half else i + edge
    return b * rows + max(0, min(last, rows))


@serial
def rows_to_fetch(
    image: Any, first: Any, last: Any, m: Any, h: Any, w: Any, edge: Any, half: Any, column: Any, columns: Any
) -> Any:
    """Return, as a stream, the rows of an image that tiles first..last touch and earlier ones do not.

    column, columns: which channels;  edge, half: those of rows_touched.
    """
    if image is None:
        return 0, 0, 0, 0
    rows = image.shape[1]
    return stream(
        image,
        rows_touched(first, m, h, w, edge, rows, half),
        rows_touched(last, m, h, w, edge, rows, half),
        column,
        columns,
    )


# -------------------------------------------------------------------------------------------------- the filter


@serial
def filter_rows(u: Any, w: Any, row: Any, at: Any, m: Any) -> None:
    """Transform one input channel of all filters, to row `at` of u: a filter is an image of 3 x 3 pixels."""
    plane = BYTES * u.shape[2] * TILE_COLUMNS
    c, k, nontemporal = w.shape[2], w.shape[3], BYTES * u.size >= NONTEMPORAL_BYTES and whole_vectors(u, TILE_COLUMNS)
    for p in range(u.shape[0]):
        column = p * TILE_COLUMNS
        image, planes = (
            address(w) + BYTES * (row * k + column),
            address(u) + BYTES * (p * u[0].size + at * TILE_COLUMNS),
        )
        if m == 4 and nontemporal:
            nontemporal_filter4(image, 3, 3, BYTES * c * k, 0, 0, 0, planes, plane, min(TILE_COLUMNS, k - column))
        elif m == 4:
            filter4(image, 3, 3, BYTES * c * k, 0, 0, 0, planes, plane, min(TILE_COLUMNS, k - column))
        else:
            filter2(image, 3, 3, BYTES * c * k, 0, 0, 0, planes, plane, min(TILE_COLUMNS, k - column))
    if nontemporal:
        store_fence()


@kernel(
    backend="numba",
    double="numba",
    filter="w",
    out=lambda w, m: [(-(-w.shape[0] // TILE_COLUMNS), (m + 2) ** 2, w.shape[1], TILE_COLUMNS)],
)
def winograd_filter(u: Any, w: Any, m: Any) -> None:
    """u = G w G^T, [panel of TILE_COLUMNS filters][(m + 2)^2][c][TILE_COLUMNS], the order in which tiles read it."""
    for row in prange(w.shape[2]):
        filter_rows(u, w, np.int64(row), np.int64(row), m)


# ------------------------------------------------------------------------------------------ forward, input gradient


def threads() -> int:
    """Return the copies of a workspace: one for each thread there can be."""
    config: Any = numba_config
    return int(config.NUMBA_NUM_THREADS)


def count_flops(shape: Any, filters: Any, m: Any, padding: Any) -> float:
    """Return the operations of the products for an image of this shape; the transforms are not counted."""
    n, c, *size = shape
    down, across = (-(-(n + sum(p) - 2) // m) for n, p in zip(size, padding, strict=True))
    return float(2 * (m + 2) ** 2 * n * down * across * c * filters)


def winograd_flops(x: Any, u: Any, bias: Any, filters: Any, padding: Any, *_: Any) -> float:
    """Return count_flops of a convolution by its arguments."""
    return count_flops(x.shape, filters, 4 if u.shape[1] == 36 else 2, padding)


def winograd_out(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """Return the shape (N, K, *size) of the output over an x without its padding."""
    return [(x.shape[0], filters, *(n + sum(p) - 2 for n, p in zip(x.shape[2:], padding, strict=True)))]


def winograd_work(x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> list[Any]:
    """Return winograd_space of a convolution by its arguments."""
    return winograd_space(x.shape[1], u.shape[1])


def winograd_space(channels: int, square: int) -> list[Any]:
    """Return the scratch: each thread's transformed tiles, products and zeros."""
    c = -(-channels // LANES) * LANES
    return [(threads(), square * (TILES * (c + TILE_COLUMNS) + 2 * LANES) + SIDE * c)]


@serial
def scratch(ws: Any, square: Any, channels: Any) -> Any:
    """Return (transformed tiles, their plane, products, their plane, zeros): addresses, and bytes from plane to plane.

    A plane is a line longer than its contents: planes a power of two apart would compete for few lines of the cache.
    """
    v, plane_v, plane_m = address(ws), BYTES * (TILES * channels + LANES), BYTES * (TILES * TILE_COLUMNS + LANES)
    first = square * (TILES * (channels + TILE_COLUMNS) + 2 * LANES)
    for i in range(first, first + SIDE * channels):
        ws[i] = 0
    return v, plane_v, v + square * plane_v, plane_m, v + BYTES * first


@serial
def plane_of(b: Any, r: Any, volume: Any) -> Any:
    """Return (plane of x, whether it is inside) that plane r of a filter sees for plane b of a batch of volumes."""
    _, planes, depth, front = volume
    z = b % planes + r - front
    inside = 0 <= z < depth
    return b // planes * depth + (z if inside else 0), inside


@serial
def read_tiles(
    m: Any,
    first: Any,
    last: Any,
    x: Any,
    index: Any,
    h: Any,
    w: Any,
    top: Any,
    left: Any,
    v: Any,
    plane: Any,
    zeros: Any,
    volume: Any,
) -> None:
    """v[(m + 2)^2][tile][channel] = B^T x B for tiles first..last of maps of h x w; top, left: padding.

    index: None, or the argmax of the windows whose values x holds;  volume: see FLAT.  A plane outside a volume has no
    rows, so its pixels are zeros.
    """
    rows, columns, c = x.shape[1], x.shape[2], x.shape[3]
    depth, tile = volume[0], BYTES * padded_channels(volume[0] * c)
    b, i, j = tile_position(first, m, h, w)
    for t in range(first, last):
        image, planes = address(x) + BYTES * b * x[0].size, v + tile * (t - first)
        if index is None:
            for r in range(depth):
                at, inside = plane_of(b, r, volume)
                image, height = address(x) + BYTES * at * x[0].size, rows if inside else 0
                if m == 4:
                    signal4(
                        image, height, columns, BYTES * c, zeros, i - top, j - left, planes + BYTES * r * c, plane, c
                    )
                else:
                    signal2(
                        image, height, columns, BYTES * c, zeros, i - top, j - left, planes + BYTES * r * c, plane, c
                    )
        else:
            argmax = address(index) + b * x[0].size
            r, s = (i - top) >> 1, (j - left) >> 1
            if m == 4 and top % 2:
                unpool4_1(image, rows, columns, BYTES * c, zeros, r, s, planes, plane, c, argmax)
            elif m == 4:
                unpool4_0(image, rows, columns, BYTES * c, zeros, r, s, planes, plane, c, argmax)
            elif top % 2:
                unpool2_1(image, rows, columns, BYTES * c, zeros, r, s, planes, plane, c, argmax)
            else:
                unpool2_0(image, rows, columns, BYTES * c, zeros, r, s, planes, plane, c, argmax)
        b, i, j = next_tile(b, i, j, m, h, w)


@serial
def multiply(
    tiles: Any,
    v: Any,
    plane_v: Any,
    u: Any,
    products: Any,
    plane_m: Any,
    channels: Any,
    columns: Any,
    start: Any,
    m: Any,
    reads: Any,
    writes: Any,
) -> None:
    """products[(m + 2)^2][tile][column] = v times one panel of u, number by number; meanwhile streams are fetched.

    The bias is the start of the products at point (1, 1): A^T is 1 there in every row, so it reaches every pixel.
    """
    square, panel, row = (m + 2) * (m + 2), BYTES * channels * TILE_COLUMNS, BYTES * padded_channels(channels)
    for q in range(square):
        begin = start if q == m + 3 else ZERO
        for s in reads:
            fetch_part(s, q, square, 0)
        for s in writes:
            fetch_part(s, q, square, 1)
        x, w, y = v + q * plane_v, u + q * panel, products + q * plane_m
        product(x, row, BYTES, w, y, begin, columns, channels, tiles, x + plane_v, w + panel, y + plane_m)


@serial
def write_tiles(
    m: Any,
    first: Any,
    last: Any,
    y: Any,
    index: Any,
    h: Any,
    w: Any,
    column: Any,
    columns: Any,
    products: Any,
    plane: Any,
) -> None:
    """y = A^T products A for tiles first..last of maps of h x w, channels column..column + columns.

    index: None; or, if y is to hold the largest ReLU of each 2 x 2 window, where its argmax goes.
    """
    rows, across, k = y.shape[1], y.shape[2], y.shape[3]
    b, i, j = tile_position(first, m, h, w)
    for t in range(first, last):
        at = b * y[0].size + column
        image, planes = address(y) + BYTES * at, products + BYTES * TILE_COLUMNS * (t - first)
        if index is None:
            if m == 4:
                inverse4(image, rows, across, BYTES * k, 0, i, j, planes, plane, columns)
            else:
                inverse2(image, rows, across, BYTES * k, 0, i, j, planes, plane, columns)
        elif m == 4:
            pooled4(image, rows, across, BYTES * k, 0, i // 2, j // 2, planes, plane, columns, address(index) + at)
        else:
            pooled2(image, rows, across, BYTES * k, 0, i // 2, j // 2, planes, plane, columns, address(index) + at)
        b, i, j = next_tile(b, i, j, m, h, w)


@serial
def winograd_partitions(x: Any, u: Any, h: Any, w: Any, ws: Any) -> Any:
    """Return (blocks of tiles, parts that the filters are divided into) for maps of h x w.

    As few parts as keep all threads at work, because each transforms its blocks anew.  No number depends on them.
    """
    m, partitions, threads = 4 if u.shape[1] == 36 else 2, 1, ws.shape[0]
    blocks = ceil_div(x.shape[0] * ceil_div(h, m) * ceil_div(w, m), TILES)
    while partitions < u.shape[0] and blocks * partitions < 4 * threads and blocks * partitions % threads:
        partitions += 1
    return blocks, partitions


def make_block(write: Any) -> Any:
    """Return winograd_block(), which writes its tiles by a function such as write_tiles."""

    @serial
    def winograd_block(
        y: Any,
        y_index: Any,
        ws: Any,
        x: Any,
        x_index: Any,
        u: Any,
        bias: Any,
        block: Any,
        part: Any,
        partitions: Any,
        h: Any,
        w: Any,
        top: Any,
        left: Any,
        volume: Any,
    ) -> None:
        """Compute one block of TILES tiles of maps of h x w, one part of the filters.

        y_index, x_index: the argmax that goes with a pooled y or x, or None (write_tiles, read_tiles);  volume: see
        FLAT.
        """
        channels = u.shape[2]
        c, k, m, panels = x.shape[3], y.shape[3], 4 if u.shape[1] == 36 else 2, u.shape[0]
        tiles = y.shape[0] * ceil_div(h, m) * ceil_div(w, m)
        first, last = block * TILES, min((block + 1) * TILES, tiles)
        v, plane_v, products, plane_m, zeros = scratch(ws, u.shape[1], padded_channels(channels))
        read_tiles(m, first, last, x, x_index, h, w, top, left, v, plane_v, zeros, volume)
        end, pooled = (part + 1) * panels // partitions, y_index is not None
        for p in range(part * panels // partitions, end):
            column = p * TILE_COLUMNS
            columns, ahead = min(TILE_COLUMNS, k - column), min(last + TILES, tiles) if p == end - 1 else last
            reads = (
                rows_to_fetch(x, last, ahead, m, h, w, m + 2 - top, x_index is not None, 0, c),
                rows_to_fetch(x_index, last, ahead, m, h, w, m + 2 - top, True, 0, c),
            )
            writes = (
                rows_to_fetch(y, first, last, m, h, w, m, pooled, column, columns),
                rows_to_fetch(y_index, first, last, m, h, w, m, True, column, columns),
            )
            start = address(bias) + BYTES * column if bias.size else ZERO
            multiply(
                ceil_div(last - first, TILE_ROWS),
                v,
                plane_v,
                address(u) + BYTES * p * u[0].size,
                products,
                plane_m,
                channels,
                columns,
                start,
                m,
                reads,
                writes,
            )
            write(m, first, last, y, y_index, h, w, column, columns, products, plane_m)

    return winograd_block


winograd_block = make_block(write_tiles)


@kernel(backend="numba", double="numba", image="y x", out=winograd_out, work=winograd_work, flops=winograd_flops)
def conv_winograd(y: Any, ws: Any, x: Any, u: Any, bias: Any, filters: Any, padding: Any) -> None:
    """y = bias + x, padded, correlated with the 3 x 3 filters u: (m + 2)^2 products for 9 m^2 multiplications."""
    h, w, top, left = y.shape[1], y.shape[2], padding[0][0], padding[1][0]
    blocks, partitions = winograd_partitions(x, u, h, w, ws)
    for task in prange(blocks * partitions):
        thread, block, part = get_thread_id(), np.int64(task) // partitions, np.int64(task) % partitions
        winograd_block(y, None, ws[thread], x, None, u, bias, block, part, partitions, h, w, top, left, FLAT)
