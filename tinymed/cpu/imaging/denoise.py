"""Bilateral and non-local means on the CPU: a neighbour at a time, for whole rows of pixels.

A band's rows lie continued, each channel by itself, so that every loop runs along neighbouring numbers.  Exponentials
are polynomials, which LLVM vectorises.
"""

import math
from typing import Any

from numba import prange

from ...dispatch import kernel
from ..compiler.jit import inline, serial
from ..simd.elementary import LOG2_E, LOWEST, exp_parts
from .rows import BAND, ROUND, band, bands, f4, i4, single_or_whole, store_row, white

LEAST = f4(-125)  # 2 to this power is a normal float32
# 2^r is 1 + r (0.69... + r (0.24... + ...)) for |r| <= 1/2, within 1e-7: a fit of its relative error.
POWER_TERMS = tuple(
    f4(term)
    for term in (
        1.3264727065445544e-3,
        9.671512648928432e-3,
        5.55073374369065e-2,
        2.4022242085172846e-1,
        0.6931469775988587,
    )
)


@inline
def decay(x: Any) -> Any:
    """Return e^x of numbers that are not positive: without the tests that `exp` makes for others."""
    scale, rest = exp_parts(max(x, LOWEST))
    return scale * rest + scale


@inline
def power_of_two(t: Any) -> Any:
    """Return 2^t of -125 <= t <= 0: the whole part is added to the exponent's bits."""
    shifted = t + ROUND
    r = t - (shifted - ROUND)
    p = POWER_TERMS[0] * r + POWER_TERMS[1]
    p = p * r + POWER_TERMS[2]
    p = p * r + POWER_TERMS[3]
    p = p * r + POWER_TERMS[4]
    bits = f4(p * r + f4(1)).view(i4) + (f4(shifted).view(i4) << i4(23))
    return i4(bits).view(f4)


@serial
def lay_out(planes: Any, xs: Any, at1: Any, at2: Any, p: Any, first: Any, rows: Any, h: Any, w: Any, c: Any) -> None:
    """planes[r, k, j] = channel k of pixel at2[j] of row at1[first + r] of plane p."""
    for r in range(rows):
        start = (p * h + at1[first + r]) * w * c
        for k in range(c):
            row = planes[r, k]
            for j in range(at2.size):
                row[j] = f4(xs[start + at2[j] * c + k])


@serial
def join(row: Any, weighted: Any, total: Any, c: Any) -> None:
    """row[j c + k] = weighted[k, j] / total[j]."""
    for j in range(total.size):
        scale = f4(1) / total[j]
        for k in range(c):
            row[j * c + k] = weighted[k, j] * scale


def bilateral_work(x: Any, space: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: its rows, sums of each channel and of weights, a row of results, logarithms."""
    size, (w, c) = space.shape[0] - 1, x.shape[2:]
    sides = (size + 1, size + 1)
    return [(bands(x), BAND + size, c, w + size), (bands(x), c + 1, w), (bands(x), w * c), (bands(x), *sides)]


@serial
def add_grey(weighted: Any, total: Any, here: Any, other: Any, share: Any, factor: Any) -> None:
    """Add a neighbour of one channel to the sums; share: the logarithm to 2 of its weight by place."""
    for j in range(total.size):
        difference = other[j] - here[j]
        weight = power_of_two(max(difference * difference * factor + share, LEAST))
        total[j] += weight
        weighted[j] += weight * other[j]


@serial
def add_colours(sums: Any, here: Any, other: Any, start: Any, middle: Any, share: Any, factor: Any) -> None:
    """Add a neighbour of three channels to the sums, as `add_grey`."""
    w = sums.shape[1]
    a, b, d = here[0, middle : middle + w], here[1, middle : middle + w], here[2, middle : middle + w]
    e, f, g = other[0, start : start + w], other[1, start : start + w], other[2, start : start + w]
    red, green, blue, total = sums[0], sums[1], sums[2], sums[3]
    for j in range(w):
        difference = abs(e[j] - a[j]) + abs(f[j] - b[j]) + abs(g[j] - d[j])
        weight = power_of_two(max(difference * difference * factor + share, LEAST))
        total[j] += weight
        red[j] += weight * e[j]
        green[j] += weight * f[j]
        blue[j] += weight * g[j]


def grey_or_colours(x: Any, *_: Any) -> bool:
    """Return whether pixels have one or three channels, of float32, uint8 or uint16."""
    return x.shape[3] in (1, 3) and single_or_whole(x)


@kernel(backend="numba", work=bilateral_work, when=grey_or_colours)
def bilateral_filter(
    y: Any,
    planes: Any,
    sums: Any,
    rows: Any,
    shares: Any,
    x: Any,
    space: Any,
    tones: Any,
    factor: Any,
    at1: Any,
    at2: Any,
    whole: Any,
) -> None:
    """y = the mean over the window, weighted by nearness in place and colour; tones are computed, not looked up."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n, size = x.reshape(x.size), y.reshape(y.size), w * c, space.shape[0]
    middle, steep = size // 2, f4(factor) * LOG2_E
    for task in prange(planes.shape[0]):
        p, first, end = band(task, h)
        log_share = shares[task]
        for s in range(size):
            for t in range(size):
                log_share[s, t] = f4(math.log2(space[s, t])) if space[s, t] > 0 else f4(0)
        band_rows, total = planes[task], sums[task]
        lay_out(band_rows, xs, at1, at2, p, first, end - first + size - 1, h, w, c)
        for i in range(first, end):
            for k in range(c + 1):
                for j in range(w):
                    total[k, j] = f4(0)
            here = band_rows[i - first + middle]
            for s in range(size):
                other = band_rows[i - first + s]
                for t in range(size):
                    if space[s, t] > 0 and c == 1:
                        near = other[0, t : t + w]
                        add_grey(total[0], total[1], here[0, middle : middle + w], near, log_share[s, t], steep)
                    elif space[s, t] > 0:
                        add_colours(total, here, other, t, middle, log_share[s, t], steep)
            join(rows[task], total, total[c], c)
            start = (p * h + i) * n
            store_row(ys[start : start + n], rows[task], white(y), whole)


def non_local_work(x: Any, patch: Any, search: Any, *_: Any) -> list[Any]:
    """Return the scratch of each band: its rows, squares, sums of columns, sums of the results, a row of results."""
    reach, (w, c) = patch + search - 2, x.shape[2:]
    wide = w + patch - 1
    count = bands(x)
    return [
        (count, BAND + reach, c, w + reach),
        (count, BAND + patch - 1, wide),
        (count, 2, wide),
        (count, BAND, c + 1, w),
        (count, w * c),
    ]


@serial
def square_row(square: Any, here: Any, other: Any, margin: Any, start: Any) -> None:
    """square = the sum over channels of (other - here)^2."""
    n = square.size
    for k in range(here.shape[0]):
        a, b = here[k, margin : margin + n], other[k, start : start + n]
        for j in range(n):
            difference = b[j] - a[j]
            square[j] = difference * difference + (square[j] if k > 0 else f4(0))


@serial
def sum_patches(columns: Any, squares: Any, first: Any, patch: Any) -> None:
    """columns[0][j] = the sum of squares[first + a][j + b], a and b < patch."""
    down, along = columns[0], columns[1]
    for j in range(down.size):
        down[j] = squares[first, j]
    for a in range(1, patch):
        row = squares[first + a]
        for j in range(down.size):
            down[j] += row[j]
    w = down.size - patch + 1
    for j in range(w):
        along[j] = down[j]
    for b in range(1, patch):
        part = down[b : b + w]
        for j in range(w):
            along[j] += part[j]


@serial
def add_likeness(sums: Any, other: Any, distance: Any, start: Any, scale: Any, noise: Any) -> None:
    """Add a neighbour to the sums, weighted by exp(scale max(0, distance - noise))."""
    c, w = sums.shape[0] - 1, sums.shape[1]
    total = sums[c]
    for j in range(w):
        excess = distance[j] - noise
        distance[j] = decay(scale * (f4(0) if excess < f4(0) else excess))
        total[j] += distance[j]
    for k in range(c):
        weighted, near = sums[k], other[k, start : start + w]
        for j in range(w):
            weighted[j] += distance[j] * near[j]


@kernel(backend="numba", work=non_local_work, when=single_or_whole)
def non_local_filter(
    y: Any,
    planes: Any,
    squares: Any,
    columns: Any,
    sums: Any,
    rows: Any,
    x: Any,
    patch: Any,
    search: Any,
    factor: Any,
    noise: Any,
    at1: Any,
    at2: Any,
    whole: Any,
) -> None:
    """y = the mean over the search window, weighted by the likeness of patches: a shift at a time for a band."""
    h, w, c = x.shape[1], x.shape[2], x.shape[3]
    xs, ys, n = x.reshape(x.size), y.reshape(y.size), w * c
    count = f4(patch * patch * c)
    scale, cut, margin = factor / count, noise * count, search // 2
    for task in prange(planes.shape[0]):
        p, first, end = band(task, h)
        height = end - first
        lay_out(planes[task], xs, at1, at2, p, first, height + patch + search - 2, h, w, c)
        for r in range(height):
            for k in range(c + 1):
                for j in range(w):
                    sums[task, r, k, j] = f4(0)
        for s in range(search):
            for t in range(search):
                for r in range(height + patch - 1):
                    square_row(squares[task, r], planes[task, r + margin], planes[task, r + s], margin, t)
                for r in range(height):
                    sum_patches(columns[task], squares[task], r, patch)
                    near = planes[task, r + s + patch // 2]
                    add_likeness(sums[task, r], near, columns[task, 1], t + patch // 2, scale, cut)
        for r in range(height):
            join(rows[task], sums[task, r], sums[task, r, c], c)
            start = (p * h + first + r) * n
            store_row(ys[start : start + n], rows[task], white(y), whole)
