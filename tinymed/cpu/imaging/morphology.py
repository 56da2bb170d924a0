"""Smallest and largest of neighbourhoods on the CPU: rows against rows, then a row against itself moved."""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from .rows import band, bands, continue_row, pad_row, single_or_whole


@serial
def take_better(found: Any, other: Any, largest: Any) -> None:
    """found = the larger, or smaller, of two rows; NaN where one is NaN."""
    if largest:
        for j in range(found.size):
            a, b = found[j], other[j]
            found[j] = b if (b > a) | (b != b) else a
    else:
        for j in range(found.size):
            a, b = found[j], other[j]
            found[j] = b if (b < a) | (b != b) else a


@serial
def copy_row(y: Any, x: Any) -> None:
    """y = x."""
    for j in range(y.size):
        y[j] = x[j]


@serial
def better_of_pairs(y: Any, x: Any, apart: Any, largest: Any) -> None:
    """y[j] = the larger, or smaller, of x[j] and x[j + apart]."""
    n = y.size
    near, other = x[:n], x[apart : apart + n]
    if largest:
        for j in range(n):
            a, b = near[j], other[j]
            y[j] = b if (b > a) | (b != b) else a
    else:
        for j in range(n):
            a, b = near[j], other[j]
            y[j] = b if (b < a) | (b != b) else a


def box_work(x: Any, sizes: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: a row, continued, and one of runs."""
    return [((bands(x), 2, (x.shape[2] + sizes[2] - 1) * x.shape[3]), x.dtype)]


@kernel(backend="numba", work=box_work, when=single_or_whole)
def extreme_box(y: Any, rows: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, largest: Any) -> None:
    """y = the smallest or largest of a box: of rows, then along the row by runs of 1, 2, 4, ... pixels."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    size = sizes[2]
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        margin = size // 2 * c
        for i in range(first, end):
            row, runs = rows[task, 0], rows[task, 1]
            found = row[margin : margin + n]
            start = (at0[p] * h + at1[i]) * n
            copy_row(found, xs[start : start + n])
            for a in range(sizes[0]):
                for b in range(sizes[1]):
                    if a + b > 0:
                        start = (at0[p + a] * h + at1[i + b]) * n
                        take_better(found, xs[start : start + n], largest)
            continue_row(row, at2, w, c, size // 2)
            run = 1
            while 2 * run <= size:
                better_of_pairs(runs[: row.size - run * c], row, run * c, largest)
                row, runs = runs, row
                run *= 2
            start = (p * h + i) * n
            better_of_pairs(ys[start : start + n], row, (size - run) * c, largest)


def footprint_work(x: Any, footprint: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: the rows of a window, continued."""
    d, r, s = footprint.shape
    return [((bands(x), d * r, (x.shape[2] + s - 1) * x.shape[3]), x.dtype)]


@kernel(backend="numba", work=footprint_work, when=single_or_whole)
def extreme_filter(y: Any, rows: Any, x: Any, footprint: Any, at0: Any, at1: Any, at2: Any, largest: Any) -> None:
    """y = the smallest or largest where the footprint is not 0: a place at a time, for whole rows."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    depth, height, width = footprint.shape
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        for i in range(first, end):
            start = (p * h + i) * n
            found = ys[start : start + n]
            copy_row(found, xs[start : start + n])
            for a in range(depth):
                for b in range(height):
                    row = rows[task, a * height + b]
                    start = (at0[p + a] * h + at1[i + b]) * n
                    pad_row(row, xs[start : start + n], at2, w, c, width // 2)
                    for t in range(width):
                        if footprint[a, b, t] > 0:
                            take_better(found, row[t * c : t * c + n], largest)
