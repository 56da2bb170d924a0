"""Linear filters on the CPU: a row of sums along depth and height, then sums along that row."""

import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.pixel_rows import divisor, means_of_rows, sums_of_rows, wide_means_of_rows
from ..simd.vectors import address
from .rows import band, bands, continue_row, f4, single_or_whole, store_row, weighted_neighbours, weighted_rows, white

i4 = np.int32
EXACT_IN_SINGLE = 4096  # pixels of a window of bytes whose mean float32 rounds as it should
LARGEST_SUM = 32767  # pixels of a window whose sum of 16 bits int32 holds
IN_SIXTEEN_BITS = 257  # bytes whose sum uint16 holds
WIDE = 16  # columns of a window from which on runs of them are summed first


def filter_work(x: Any, taps0: Any, taps1: Any, taps2: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: a row, continued, and a row of results."""
    n, c = x.shape[2] * x.shape[3], x.shape[3]
    return [(bands(x), n + (taps2.size - 1) * c), (bands(x), n)]


@serial
def filter_row(total: Any, row: Any, xs: Any, taps: Any, at: Any, p: Any, i: Any, h: Any, w: Any, c: Any) -> None:
    """total = row i of plane p summed over its windows."""
    margin = taps[2].size // 2
    middle = row[margin * c : margin * c + w * c]
    weighted_rows(middle, xs, taps[0], taps[1], at[0], at[1], p, i, h)
    continue_row(row, at[2], w, c, margin)
    weighted_neighbours(total, row, taps[2], c)


@kernel(backend="numba", work=filter_work, when=single_or_whole)
def separable_filter(
    y: Any,
    rows: Any,
    totals: Any,
    x: Any,
    taps0: Any,
    taps1: Any,
    taps2: Any,
    at0: Any,
    at1: Any,
    at2: Any,
    whole: Any,
) -> None:
    """y = x summed with weights along depth, height and width, rounded if whole."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        for i in range(first, end):
            filter_row(totals[task], rows[task], xs, (taps0, taps1, taps2), (at0, at1, at2), p, i, h, w, c)
            start = (p * h + i) * n
            store_row(ys[start : start + n], totals[task], white(y), whole)


@serial
def add_detail(total: Any, x: Any, amount: Any) -> None:
    """total = x + amount (x - total)."""
    for j in range(total.size):
        value = f4(x[j])
        total[j] = value + amount * (value - total[j])


@kernel(backend="numba", work=filter_work, when=single_or_whole)
def unsharp_filter(
    y: Any,
    rows: Any,
    totals: Any,
    x: Any,
    taps0: Any,
    taps1: Any,
    taps2: Any,
    at0: Any,
    at1: Any,
    at2: Any,
    amount: Any,
    whole: Any,
) -> None:
    """y = x + amount (x - blurred)."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        for i in range(first, end):
            filter_row(totals[task], rows[task], xs, (taps0, taps1, taps2), (at0, at1, at2), p, i, h, w, c)
            start = (p * h + i) * n
            add_detail(totals[task], xs[start : start + n], amount)
            store_row(ys[start : start + n], totals[task], white(y), whole)


def mean_work(x: Any, sizes: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: sums of columns, those continued, sums and runs."""
    n, c = x.shape[2] * x.shape[3], x.shape[3]
    return [((bands(x), n), np.int32), ((bands(x), 3, n + (sizes[2] - 1) * c), np.int32)]


@serial
def add_row(total: Any, x: Any, sign: Any) -> None:
    """total += sign x, whole numbers."""
    for j in range(total.size):
        total[j] += sign * i4(x[j])


@serial
def add_pairs(y: Any, x: Any, distance: Any) -> None:
    """y[j] = x[j] + x[j + distance], as far as there are such."""
    n = y.size - distance
    near, other = x[:n], x[distance:]
    for j in range(n):
        y[j] = near[j] + other[j]


@serial
def sum_runs(total: Any, row: Any, runs: Any, size: Any, c: Any) -> None:
    """total[j] = the sum of row[j + t c], t < size, by sums of 1, 2, 4, ... neighbours; overwrites row and runs."""
    n, run, done = total.size, 1, 0
    for j in range(n):
        total[j] = 0
    while True:
        if size & run:
            add_row(total, row[done * c : done * c + n], i4(1))
            done += run
        if 2 * run > size:
            return
        add_pairs(runs, row, run * c)
        row, runs = runs, row
        run *= 2


@serial
def add_and_take(total: Any, new: Any, old: Any) -> None:
    """total += new - old, whole numbers."""
    for j in range(total.size):
        total[j] += i4(new[j]) - i4(old[j])


@serial
def divide_row(y: Any, total: Any, count: Any) -> None:
    """y = total / count, rounded; an odd count leaves nothing halfway."""
    inverse = 1.0 / count
    for j in range(y.size):
        y[j] = i4(total[j] * inverse + 0.5)


def small_sum(x: Any, sizes: Any, *_: Any) -> bool:
    """Return whether the pixels are whole numbers and the sum of a window fits in 32 bits."""
    return x.dtype.char in "BH" and math.prod(sizes) <= LARGEST_SUM


@kernel(backend="numba", composite=True, when=small_sum)
def mean_filter(k: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> Any:
    """Call what sums columns of bytes in 16 bits where these hold them, else what sums in 32."""
    high, count = sizes[0] * sizes[1], math.prod(sizes)
    if x.dtype.char != "B" or high > IN_SIXTEEN_BITS or count > EXACT_IN_SINGLE:
        return k.mean_sums(x, sizes, at0, at1, at2)
    return k.mean_bytes(x, sizes, at0, at1, at2, doublings(high, sizes[2]), *(divisor(count) or (0, 0)))


def doublings(high: int, wide: int) -> int:
    """Return how often sums of `high` bytes are added to their neighbours': as long as 16 bits hold the sum of a run.

    Example:
        >>> doublings(5, 5), doublings(31, 31)
        (0, 3)
    """
    times = 0
    while wide >= WIDE and 2 << times <= wide and high * (2 << times) <= IN_SIXTEEN_BITS:
        times += 1
    return times


def bytes_work(x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, times: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: sums of columns, continued, and of runs of 2, 4, ...; addresses of rows."""
    width = (x.shape[2] + sizes[2] - 1) * x.shape[3]
    return [((bands(x), times + 1, width), np.uint16), ((bands(x), max(sizes[0] * sizes[1], sizes[2])), np.int64)]


@serial
def list_runs(table: Any, rows: Any, size: Any, c: Any) -> Any:
    """Fill a table with the addresses of runs that make up `size` columns, the longest first; return their number."""
    count, at = 0, 0
    for level in range(rows.shape[0] - 1, -1, -1):
        while size - at >= 1 << level:
            table[count] = address(rows[level]) + 2 * at * c
            at += 1 << level
            count += 1
    return count


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=bytes_work,
    flops=lambda x, sizes, *_: x.size * sum(sizes),
    when=small_sum,
)
def mean_bytes(
    y: Any,
    rows: Any,
    tables: Any,
    x: Any,
    sizes: Any,
    at0: Any,
    at1: Any,
    at2: Any,
    times: Any,
    multiplier: Any,
    shift: Any,
) -> None:
    """y = the mean of the window of bytes: sums of columns follow the window down, and are summed along the row.

    A sum of the window that 16 bits hold is divided by a multiplication, if there is one that is exact.
    """
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    count, margin = sizes[0] * sizes[1] * sizes[2], sizes[2] // 2
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        runs, table = rows[task], tables[task]
        column = runs[0, margin * c : margin * c + n]
        for i in range(first, end):
            for a in range(sizes[0]):
                base = at0[p + a] * h
                if i > first:
                    new, old = (base + at1[i + sizes[1] - 1]) * n, (base + at1[i - 1]) * n
                    add_and_take(column, xs[new : new + n], xs[old : old + n])
                    continue
                for b in range(sizes[1]):
                    table[a * sizes[1] + b] = address(xs) + (base + at1[i + b]) * n
            if i == first:
                sums_of_rows(address(column), address(table), sizes[0] * sizes[1], n)
            continue_row(runs[0], at2, w, c, margin)
            for level in range(times):
                add_pairs(runs[level + 1], runs[level], c << level)
            terms, to = list_runs(table, runs, sizes[2], c), address(ys) + (p * h + i) * n
            if multiplier > 0:
                means_of_rows(to, address(table), terms, n, count // 2, multiplier, shift)
            else:
                wide_means_of_rows(to, address(table), terms, n, count)


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=mean_work,
    flops=lambda x, sizes, *_: x.size * sum(sizes),
    when=small_sum,
)
def mean_sums(y: Any, columns: Any, rows: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the window: sums of columns follow the window down, runs of them are summed along the row."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    count, margin = sizes[0] * sizes[1] * sizes[2], sizes[2] // 2
    for task in prange(columns.shape[0]):
        p, first, end = band(task, h)
        column, row, total = columns[task], rows[task, 0], rows[task, 1, :n]
        for i in range(first, end):
            if i == first:
                for j in range(n):
                    column[j] = 0
            for a in range(sizes[0]):
                base = at0[p + a] * h
                if i > first:
                    new, old = (base + at1[i + sizes[1] - 1]) * n, (base + at1[i - 1]) * n
                    add_and_take(column, xs[new : new + n], xs[old : old + n])
                    continue
                for b in range(sizes[1]):
                    start = (base + at1[i + b]) * n
                    add_row(column, xs[start : start + n], i4(1))
            middle = row[margin * c : margin * c + n]
            for j in range(n):
                middle[j] = column[j]
            continue_row(row, at2, w, c, margin)
            start = (p * h + i) * n
            sum_runs(total, row, rows[task, 2], sizes[2], c)
            divide_row(ys[start : start + n], total, count)


def sobel_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: a row smoothed down, and one of differences, continued."""
    return [(bands(x), 2, (x.shape[2] + 2) * x.shape[3])]


@serial
def sobel_rows(smooth: Any, slope: Any, above: Any, here: Any, below: Any) -> None:
    """smooth = above + 2 here + below, slope = below - above."""
    for j in range(smooth.size):
        a, b = f4(above[j]), f4(below[j])
        smooth[j] = (a + f4(2) * f4(here[j])) + b
        slope[j] = b - a


@serial
def lengths(y: Any, smooth: Any, slope: Any, c: Any) -> None:
    """y = the length of (slope smoothed along the row, the difference of smooth along the row)."""
    n = y.size
    left, right = smooth[:n], smooth[2 * c : 2 * c + n]
    a, b, d = slope[:n], slope[c : c + n], slope[2 * c : 2 * c + n]
    for j in range(n):
        across, down = right[j] - left[j], (a[j] + f4(2) * b[j]) + d[j]
        y[j] = math.sqrt(down * down + across * across)


@kernel(backend="numba", work=sobel_work, when=single_or_whole)
def sobel_magnitude(y: Any, rows: Any, x: Any, at1: Any, at2: Any) -> None:
    """y = sqrt(down^2 + across^2)."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(rows.shape[0]):
        p, first, end = band(task, h)
        smooth, slope = rows[task, 0], rows[task, 1]
        for i in range(first, end):
            a, b, d = (p * h + at1[i]) * n, (p * h + i) * n, (p * h + at1[i + 2]) * n
            sobel_rows(smooth[c : c + n], slope[c : c + n], xs[a : a + n], xs[b : b + n], xs[d : d + n])
            continue_row(smooth, at2, w, c, 1)
            continue_row(slope, at2, w, c, 1)
            lengths(ys[b : b + n], smooth, slope, c)
