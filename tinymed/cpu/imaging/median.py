"""Medians on the CPU: a network of exchanges, run for a block of neighbouring pixels at a time.

A window's numbers are laid out a row for each place, a column for each pixel of the block; an exchange leaves the
smaller numbers of two rows in one and the larger in the other, in vectors.  Which exchanges does not depend on the
numbers, so nothing branches (`exchanges` in simd/pixel_rows.py).
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.pixel_rows import exchanges, median_of_columns, median_rows, sort_columns
from ..simd.vectors import address
from .rows import BAND, band, bands, continue_row, pad_row, single_or_whole

BLOCK = 512  # bytes of a row of a block: long enough for vectors, and the rows of a window stay in the first cache
LARGEST = 361  # numbers of a window; the exchanges of larger ones would take too long


def fits(x: Any, sizes: Any, *_: Any) -> bool:
    """Return whether the pixels are float32, uint8 or uint16 and the window is not too large."""
    return x.dtype.char in "fBH" and math.prod(sizes) <= LARGEST


@kernel(backend="numba", composite=True, when=fits)
def median_filter(k: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> Any:
    """Call the network with the exchanges of this size; of 3 x 3 and 5 x 5 pixels what keeps them in registers."""
    if sizes == (1, 3, 3):
        return k.median_of_nine(x, at0, at1, at2)
    if sizes == (1, 5, 5):
        return k.median_of_25(x, at0, at1, at2)
    pairs = np.array(exchanges(math.prod(sizes)), np.int32).reshape(-1, 2)
    return k.median_network(x, pairs, sizes, at0, at1, at2)


def network_work(x: Any, pairs: Any, sizes: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: the rows of its windows, continued, a block, and the marks of NaN."""
    c, count, rows = x.shape[3], math.prod(sizes), sizes[0] * sizes[1]
    block = BLOCK // x.dtype.itemsize
    width = (x.shape[2] + sizes[2] - 1) * c + block
    return [((bands(x), rows, width), x.dtype), ((bands(x), count, block), x.dtype), ((bands(x), block), x.dtype)]


@serial
def exchange(a: Any, b: Any) -> None:
    """Leave the smaller numbers in a, the larger in b."""
    for j in range(a.size):
        low, high = a[j], b[j]
        a[j] = low if low < high else high
        b[j] = high if low < high else low


@serial
def load(block: Any, marks: Any, row: Any) -> None:
    """block = row; a mark becomes NaN where the row is."""
    for j in range(block.size):
        block[j] = row[j]
    if row.itemsize == 4:
        for j in range(block.size):
            marks[j] = marks[j] + (row[j] - row[j] if row[j] != row[j] else block.dtype.type(0))


@serial
def medians(y: Any, block: Any, marks: Any, rows: Any, pairs: Any, start: Any, width: Any, c: Any) -> None:
    """y = the medians of a block of pixels whose windows begin at `start`."""
    middle, length = block.shape[0] // 2, block.shape[1]
    for j in range(length):
        marks[j] = 0
    for r in range(rows.shape[0]):
        for t in range(width):
            at = start + t * c
            load(block[r * width + t], marks, rows[r, at : at + length])
    for q in range(pairs.shape[0]):
        exchange(block[pairs[q, 0]], block[pairs[q, 1]])
    found = block[middle]
    for j in range(y.size):
        y[j] = found[j] + marks[j]


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=network_work,
    flops=lambda x, pairs, *_: 2 * x.size * len(pairs),
    when=single_or_whole,
)
def median_network(
    y: Any, windows: Any, blocks: Any, marks: Any, x: Any, pairs: Any, sizes: Any, at0: Any, at1: Any, at2: Any
) -> None:
    """y = the median of the window, NaN where one is NaN."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(windows.shape[0]):
        p, first, end = band(task, h)
        rows = windows[task]
        for i in range(first, end):
            for a in range(sizes[0]):
                for b in range(sizes[1]):
                    start = (at0[p + a] * h + at1[i + b]) * n
                    pad_row(rows[a * sizes[1] + b], xs[start : start + n], at2, w, c, sizes[2] // 2)
            base = (p * h + i) * n
            length = blocks.shape[2]
            for j in range(0, n, length):
                last = min(j + length, n)
                medians(ys[base + j : base + last], blocks[task], marks[task], rows, pairs, j, sizes[2], c)


def columns_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: the smallest, middle and largest of columns, continued; addresses of rows."""
    return [((bands(x), 3, (x.shape[2] + 2) * x.shape[3]), x.dtype), ((bands(x), 3), np.int64)]


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=columns_work,
    flops=lambda x, *_: 18 * x.size,
    when=single_or_whole,
)
def median_of_nine(y: Any, columns: Any, tables: Any, x: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the median of 3 x 3 pixels, NaN where one is NaN: columns are sorted once, and serve three windows."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n, width = x.reshape(x.size), y.reshape(y.size), w * c, x.itemsize
    for task in prange(columns.shape[0]):
        p, first, end = band(task, h)
        rows, table = columns[task], tables[task]
        start, pitch = address(rows), rows.shape[1] * width
        for i in range(first, end):
            for b in range(3):
                table[b] = address(xs) + (at0[p] * h + at1[i + b]) * n * width
            sort_columns(start + c * width, address(table), pitch, n, width)
            for r in range(3):
                continue_row(rows[r], at2, w, c, 1)
            median_of_columns(address(ys) + (p * h + i) * n * width, start, pitch, c * width, n, width)


def rows_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: the rows that its windows reach, continued, and the addresses of a window."""
    return [((bands(x), BAND + 4, (x.shape[2] + 4) * x.shape[3]), x.dtype), ((bands(x), 25), np.int64)]


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=rows_work,
    flops=lambda x, *_: 2 * x.size * len(exchanges(25)),
    when=single_or_whole,
)
def median_of_25(y: Any, windows: Any, tables: Any, x: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the median of 5 x 5 pixels, NaN where one is NaN: rows of a window against each other."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(windows.shape[0]):
        p, first, end = band(task, h)
        rows, table = windows[task], tables[task]
        for r in range(end - first + 4):
            start = (at0[p] * h + at1[first + r]) * n
            pad_row(rows[r], xs[start : start + n], at2, w, c, 2)
        for i in range(first, end):
            for b in range(5):
                for t in range(5):
                    table[b * 5 + t] = address(rows[i - first + b]) + t * c * x.itemsize
            start = (p * h + i) * n
            median_rows(address(ys) + start * x.itemsize, address(table), n, x.itemsize)
