"""Smallest and largest of neighbourhoods on the CPU: rows against rows, then a row against itself moved."""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.pixel_rows import extreme_rows
from ..simd.vectors import address
from .rows import BAND, band, band_of, bands, continue_row, pad_row, single_or_whole

RUNS = 16  # rows that are compared at once along a row; of a wider box first runs are made, of 4, 16, ... numbers


TALL = 64  # rows of a band of an opening: what is eroded stays in the second cache, and little of it is done twice


def box_work(x: Any, sizes: Any, *_: Any, tall: int = BAND) -> list[Any]:
    """Return the scratch of each band: a row, continued, and one of runs; addresses of rows."""
    rows, count = max(sizes[0] * sizes[1], RUNS), bands(x, tall)
    return [
        ((count, 2, (x.shape[2] + sizes[2] - 1) * x.shape[3]), x.dtype),
        ((count, rows), np.int64),
    ]


@serial
def extreme_along(y: Any, row: Any, runs: Any, table: Any, n: Any, size: Any, c: Any, largest: Any) -> None:
    """Store at address y the extreme of each number and the next ones, c apart; row and runs are overwritten."""
    width, run = row.itemsize, 1
    while size > RUNS * run:
        for t in range(4):
            table[t] = address(row) + t * run * c * width
        extreme_rows(address(runs), address(table), 4, row.size - 3 * run * c, width, largest)
        row, runs = runs, row
        run *= 4
    count = -(-size // run)
    for t in range(count):
        table[t] = address(row) + min(t * run, size - run) * c * width
    extreme_rows(y, address(table), count, n, width, largest)


@serial
def extreme_across(y: Any, rows: Any, table: Any, count: Any, at: Any, w: Any, c: Any, size: Any, largest: Any) -> None:
    """Store at address y the extremes of a row of boxes: of the `count` rows in the table, then along the row."""
    n, width, margin = w * c, rows.itemsize, size // 2
    extreme_rows(address(rows[0]) + margin * c * width, address(table), count, n, width, largest)
    continue_row(rows[0], at, w, c, margin)
    extreme_along(y, rows[0], rows[1], table, n, size, c, largest)


@kernel(backend="numba", work=box_work, when=single_or_whole)
def extreme_box(y: Any, rows: Any, tables: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, largest: Any) -> None:
    """y = the smallest or largest of a box: of rows, then along the row."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    width, count = x.itemsize, sizes[0] * sizes[1]
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        table = tables[task]
        for i in range(first, end):
            for a in range(sizes[0]):
                for b in range(sizes[1]):
                    table[a * sizes[1] + b] = address(xs) + (at0[p + a] * h + at1[i + b]) * n * width
            to = address(ys) + (p * h + i) * n * width
            extreme_across(to, rows[task], table, count, at2, w, c, sizes[2], largest)


@kernel(backend="numba", composite=True, when=single_or_whole)
def opened_box(k: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, closed: Any) -> Any:
    """Call what opens a picture band by band; a volume is eroded as a whole, then dilated."""
    if sizes[0] == 1:
        return k.opened_planes(x, sizes, at0, at1, at2, closed)
    return k.extreme_box(k.extreme_box(x, sizes, at0, at1, at2, closed), sizes, at0, at1, at2, not closed)


def opened_work(x: Any, sizes: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: its rows, eroded, and those around it; what `box_work` says."""
    around = bands(x, TALL), TALL + sizes[1] - 1, x.shape[2] * x.shape[3]
    return [(around, x.dtype), *box_work(x, sizes, tall=TALL)]


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=opened_work,
    flops=lambda x, sizes, *_: 2 * x.size * sum(sizes),
    when=single_or_whole,
)
def opened_planes(
    y: Any, eroded: Any, rows: Any, tables: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, closed: Any
) -> None:
    """y = each plane eroded over boxes, then dilated, band by band; if closed, dilated, then eroded."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    width, margin = x.itemsize, sizes[1] // 2
    for task in prange(rows.shape[0]):
        p, first, end = band_of(task, h, TALL)
        top, bottom = max(first - margin, 0), min(end + margin, h)
        inner, table = eroded[task], tables[task]
        for i in range(top, bottom):
            for b in range(sizes[1]):
                table[b] = address(xs) + (at0[p] * h + at1[i + b]) * n * width
            extreme_across(address(inner[i - top]), rows[task], table, sizes[1], at2, w, c, sizes[2], closed)
        for i in range(first, end):
            for b in range(sizes[1]):
                table[b] = address(inner[at1[i + b] - top])
            to = address(ys) + (p * h + i) * n * width
            extreme_across(to, rows[task], table, sizes[1], at2, w, c, sizes[2], not closed)


def footprint_work(x: Any, footprint: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: the rows that its windows reach, continued; addresses of a window's places."""
    d, r, s = footprint.shape
    return [
        ((bands(x), d, BAND + r - 1, (x.shape[2] + s - 1) * x.shape[3]), x.dtype),
        ((bands(x), footprint.size + 1), np.int64),
    ]


@kernel(backend="numba", work=footprint_work, when=single_or_whole)
def extreme_filter(
    y: Any, windows: Any, tables: Any, x: Any, footprint: Any, at0: Any, at1: Any, at2: Any, largest: Any
) -> None:
    """y = the smallest or largest of x itself and of the places where the footprint is not 0."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    (depth, height, across), width = footprint.shape, x.itemsize
    for task in prange(windows.shape[0]):
        p, first, end = band(task, h)
        rows, table = windows[task], tables[task]
        for a in range(depth):
            for r in range(end - first + height - 1):
                start = (at0[p + a] * h + at1[first + r]) * n
                pad_row(rows[a, r], xs[start : start + n], at2, w, c, across // 2)
        for i in range(first, end):
            start, count = (p * h + i) * n * width, 1
            table[0] = address(xs) + start
            for a in range(depth):
                for b in range(height):
                    for t in range(across):
                        if footprint[a, b, t] > 0:
                            table[count] = address(rows[a, i - first + b]) + t * c * width
                            count += 1
            extreme_rows(address(ys) + start, address(table), count, n, width, largest)
