"""Smallest and largest of neighbourhoods on the CPU: rows against rows, then a row against itself moved."""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ..compiler.jit import inline, serial
from .rows import band, bands, continue_row, pad_row, single_or_whole


@inline
def larger(a: Any, b: Any) -> Any:
    """Return the larger of two numbers, NaN where one is NaN."""
    return b if (b > a) | (b != b) else a


@inline
def smaller(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers, NaN where one is NaN."""
    return b if (b < a) | (b != b) else a


@serial
def take_better(found: Any, p: Any, q: Any, r: Any, s: Any, largest: Any) -> None:
    """found = the larger, or smaller, of it and of four rows: one pass, whose cost is the writing."""
    if largest:
        for j in range(found.size):
            found[j] = larger(larger(larger(p[j], q[j]), larger(r[j], s[j])), found[j])
    else:
        for j in range(found.size):
            found[j] = smaller(smaller(smaller(p[j], q[j]), smaller(r[j], s[j])), found[j])


@serial
def copy_row(y: Any, x: Any) -> None:
    """y = x."""
    for j in range(y.size):
        y[j] = x[j]


@serial
def better_of_pairs(y: Any, x: Any, distance: Any, largest: Any) -> None:
    """y[j] = the larger, or smaller, of x[j] and x[j + distance]."""
    n = y.size
    near, other = x[:n], x[distance : distance + n]
    if largest:
        for j in range(n):
            y[j] = larger(near[j], other[j])
    else:
        for j in range(n):
            y[j] = smaller(near[j], other[j])


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
                base = at0[p + a] * h
                for b in range(0 if a > 0 else 1, sizes[1], 4):
                    last = sizes[1] - 1  # taken again where fewer than four are left
                    e, f = (base + at1[i + b]) * n, (base + at1[i + min(b + 1, last)]) * n
                    g, k = (base + at1[i + min(b + 2, last)]) * n, (base + at1[i + min(b + 3, last)]) * n
                    take_better(found, xs[e : e + n], xs[f : f + n], xs[g : g + n], xs[k : k + n], largest)
            continue_row(row, at2, w, c, size // 2)
            run = 1
            while 2 * run <= size:
                better_of_pairs(runs[: row.size - run * c], row, run * c, largest)
                row, runs = runs, row
                run *= 2
            start = (p * h + i) * n
            better_of_pairs(ys[start : start + n], row, (size - run) * c, largest)


@serial
def take_places(found: Any, row: Any, places: Any, c: Any, largest: Any) -> None:
    """found = the larger, or smaller, of it and of the row's numbers where places are not 0, four at a time."""
    n, count = found.size, 0
    e, f, g, k = 0, 0, 0, 0
    for t in range(places.size):
        if places[t] > 0:
            e, f, g, k = f, g, k, t * c
            count += 1
            if count == 4:
                take_better(found, row[e : e + n], row[f : f + n], row[g : g + n], row[k : k + n], largest)
                count = 0
    if count > 0:  # the last one again in the place of those that are missing
        e = k
        f = f if count > 2 else k
        g = g if count > 1 else k
        take_better(found, row[e : e + n], row[f : f + n], row[g : g + n], row[k : k + n], largest)


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
                    take_places(found, row, footprint[a, b], c, largest)
