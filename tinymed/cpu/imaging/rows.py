"""What the filters share: bands of rows, rows continued beyond their ends, sums and rounding of whole rows.

An image is one line of numbers, a row of it `n = width x channels` of them, so that one loop serves any number of
channels: the neighbour of number j on the right is j + channels.  A filter works on bands of rows, each with scratch of
its own.
"""

from typing import Any

import numpy as np

from ..compiler.jit import inline, serial

f4, i4, i8 = np.float32, np.int32, np.int64
BAND = 16  # rows of a task
ROUND = f4(12582912)  # 1.5 * 2^23: adding it leaves the nearest whole number in the low bits
ROUND_BITS = i4(0x4B400000)


def bands(x: Any, rows: int = BAND) -> int:
    """Return how many bands an image [depth, height, width, channels] is worked on in; none spans two planes."""
    return int(x.shape[0] * -(-x.shape[1] // rows))


def single_or_whole(x: Any, *_: Any) -> bool:
    """Return whether pixels are float32, uint8 or uint16."""
    return x.dtype.char in "fBH"


@inline
def band_of(task: Any, h: Any, rows: Any) -> Any:
    """Return (plane, first row, end) of a band of so many rows."""
    count = (h + rows - 1) // rows
    plane = i8(task) // count
    first = (i8(task) - plane * count) * rows
    return plane, first, min(first + rows, h)


@inline
def band(task: Any, h: Any) -> Any:
    """Return (plane, first row, end) of a band."""
    return band_of(task, h, BAND)


@serial
def continue_row(row: Any, at: Any, w: Any, c: Any, margin: Any) -> None:
    """Fill the first and last `margin` pixels of a row whose middle w pixels are set, by the positions of windows."""
    for j in range(margin):
        for k in range(c):
            row[j * c + k] = row[(margin + at[j]) * c + k]
    for j in range(margin + w, margin + w + margin):
        for k in range(c):
            row[j * c + k] = row[(margin + at[j]) * c + k]


@serial
def pad_row(row: Any, x: Any, at: Any, w: Any, c: Any, margin: Any) -> None:
    """Copy a row of an image, and continue it."""
    middle = row[margin * c : (margin + w) * c]
    for j in range(middle.size):
        middle[j] = x[j]
    continue_row(row, at, w, c, margin)


@serial
def add_four(total: Any, a: Any, b: Any, c: Any, d: Any, ta: Any, tb: Any, tc: Any, td: Any) -> None:
    """total += ta a + tb b + tc c + td d."""
    for j in range(total.size):
        total[j] += (ta * f4(a[j]) + tb * f4(b[j])) + (tc * f4(c[j]) + td * f4(d[j]))


@serial
def add_one(total: Any, a: Any, ta: Any) -> None:
    """total += ta a."""
    for j in range(total.size):
        total[j] += ta * f4(a[j])


@serial
def weighted_rows(total: Any, xs: Any, taps0: Any, taps1: Any, at0: Any, at1: Any, p: Any, i: Any, h: Any) -> None:
    """total = the weighted sum of the rows that the window of row i of plane p covers."""
    n = total.size
    for j in range(n):
        total[j] = f4(0)
    for a in range(taps0.size):
        t0, base = taps0[a], at0[p + a] * h
        whole = taps1.size // 4 * 4
        for b in range(0, whole, 4):
            s, t = (base + at1[i + b]) * n, (base + at1[i + b + 1]) * n
            u, v = (base + at1[i + b + 2]) * n, (base + at1[i + b + 3]) * n
            w0, w1, w2, w3 = t0 * taps1[b], t0 * taps1[b + 1], t0 * taps1[b + 2], t0 * taps1[b + 3]
            add_four(total, xs[s : s + n], xs[t : t + n], xs[u : u + n], xs[v : v + n], w0, w1, w2, w3)
        for b in range(whole, taps1.size):
            s = (base + at1[i + b]) * n
            add_one(total, xs[s : s + n], t0 * taps1[b])


@serial
def weighted_neighbours(total: Any, row: Any, taps: Any, c: Any) -> None:
    """total[j] = the sum of taps[t] row[j + t c]."""
    n = total.size
    for j in range(n):
        total[j] = f4(0)
    whole = taps.size // 4 * 4
    for t in range(0, whole, 4):
        s = t * c
        add_four(
            total,
            row[s : s + n],
            row[s + c : s + c + n],
            row[s + 2 * c : s + 2 * c + n],
            row[s + 3 * c : s + 3 * c + n],
            taps[t],
            taps[t + 1],
            taps[t + 2],
            taps[t + 3],
        )
    for t in range(whole, taps.size):
        add_one(total, row[t * c : t * c + n], taps[t])


@serial
def store_row(y: Any, values: Any, top: Any, whole: Any) -> None:
    """y = values; if whole, the nearest whole numbers from 0 to top."""
    if whole:
        for j in range(y.size):
            bits = f4(min(max(values[j], f4(0)), top) + ROUND).view(i4)
            y[j] = bits - ROUND_BITS
    else:
        for j in range(y.size):
            y[j] = values[j]


@inline
def white(x: Any) -> Any:
    """Return the value of a white pixel of whole numbers."""
    return f4(255) if x.itemsize == 1 else f4(65535)
