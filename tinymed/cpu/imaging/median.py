"""Medians on the CPU: a network of exchanges, run for a block of neighbouring pixels at a time.

A window's numbers are laid out a row for each place, a column for each pixel of the block; an exchange leaves the
smaller numbers of two rows in one and the larger in the other, in vectors.  Which exchanges does not depend on the
numbers, so nothing branches.  They are those of Batcher's odd-even merge sort that the middle row depends on.

Reference:
    Batcher, AFIPS Spring Joint Computer Conference 1968.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import inline, serial
from .rows import band, bands, continue_row, pad_row, single_or_whole

BLOCK = 512  # bytes of a row of a block: long enough for vectors, and the rows of a window stay in the first cache
LARGEST = 361  # numbers of a window; the exchanges of larger ones would take too long


@functools.cache
def exchanges(count: int) -> np.ndarray:
    """Return int32 [exchanges, 2]: rows, the smaller and the larger, that bring the median to the middle."""
    size = 1 << (count - 1).bit_length()
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                for i in range(min(k, size - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        pairs.append((i + j, i + j + k))
            k //= 2
        p *= 2
    needed, kept = {count // 2}, []
    for low, high in reversed([pair for pair in pairs if pair[1] < count]):  # beyond count stands infinity, which stays
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return np.array(kept[::-1], np.int32).reshape(-1, 2)


def fits(x: Any, sizes: Any, *_: Any) -> bool:
    """Return whether the pixels are float32, uint8 or uint16 and the window is not too large."""
    return x.dtype.char in "fBH" and math.prod(sizes) <= LARGEST


@kernel(backend="numba", composite=True, when=fits)
def median_filter(k: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> Any:
    """Call the network with the exchanges of this size; of 3 x 3 pixels what keeps them in registers."""
    if sizes == (1, 3, 3):
        return k.median_of_nine(x, at0, at1, at2)
    return k.median_network(x, exchanges(math.prod(sizes)), sizes, at0, at1, at2)


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


@inline
def low(a: Any, b: Any) -> Any:
    """Return the smaller of two numbers."""
    return a if a < b else b


@inline
def high(a: Any, b: Any) -> Any:
    """Return the larger of two numbers."""
    return b if a < b else a


@inline
def middle_of(a: Any, b: Any, c: Any) -> Any:
    """Return the median of three numbers."""
    return high(low(a, b), low(high(a, b), c))


@serial
def sort_columns(rows: Any, a: Any, b: Any, c: Any, start: Any) -> None:
    """rows[0], [1], [2] = the smallest, middle and largest of each column of three rows; rows[3] NaN or 0."""
    n = a.size
    inside = slice(start, start + n)
    first, second, third, mark = rows[0, inside], rows[1, inside], rows[2, inside], rows[3, inside]
    for j in range(n):
        small, large = low(a[j], b[j]), high(a[j], b[j])
        first[j] = low(small, c[j])
        second[j] = high(small, low(large, c[j]))
        third[j] = high(large, c[j])
    if rows.itemsize == 4:
        for j in range(n):
            broken = (a[j] != a[j]) | (b[j] != b[j]) | (c[j] != c[j])
            mark[j] = np.float32(np.nan) if broken else np.float32(0)


@serial
def median_row(y: Any, rows: Any, c: Any) -> None:
    """y = the median of the largest of the smallest, the middle of the middle, the smallest of the largest."""
    n = y.size
    a, b, d = rows[0, :n], rows[0, c : c + n], rows[0, 2 * c : 2 * c + n]
    e, f, g = rows[1, :n], rows[1, c : c + n], rows[1, 2 * c : 2 * c + n]
    p, q, r = rows[2, :n], rows[2, c : c + n], rows[2, 2 * c : 2 * c + n]
    for j in range(n):
        smallest, largest = high(high(a[j], b[j]), d[j]), low(low(p[j], q[j]), r[j])
        y[j] = middle_of(smallest, middle_of(e[j], f[j], g[j]), largest)
    if rows.itemsize == 4:
        u, v, w = rows[3, :n], rows[3, c : c + n], rows[3, 2 * c : 2 * c + n]
        for j in range(n):
            y[j] = y[j] + (u[j] + v[j] + w[j])


def nine_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: sorted columns and their marks, continued."""
    return [((bands(x), 4, (x.shape[2] + 2) * x.shape[3]), x.dtype)]


@kernel(
    backend="numba",
    out=lambda x, *_: [x.shape],
    work=nine_work,
    flops=lambda x, *_: 24 * x.size,
    when=single_or_whole,
)
def median_of_nine(y: Any, columns: Any, x: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the median of 3 x 3 pixels, of columns that are sorted once for the three windows they lie in."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    for task in prange(columns.shape[0]):
        p, first, end = band(task, h)
        rows = columns[task]
        for i in range(first, end):
            a, b, d = (p * h + at1[i]) * n, (p * h + at1[i + 1]) * n, (p * h + at1[i + 2]) * n
            sort_columns(rows, xs[a : a + n], xs[b : b + n], xs[d : d + n], c)
            for r in range(4 if rows.itemsize == 4 else 3):
                continue_row(rows[r], at2, w, c, 1)
            start = (p * h + i) * n
            median_row(ys[start : start + n], rows, c)
