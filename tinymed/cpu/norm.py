"""Batch normalisation on the CPU.  Images arrive as rows of c channels, so statistics are sums over rows.

Each direction is two kernels, one that sums over all rows and one that maps every number, so that a recorded program
can fuse either with its neighbours:

    batch_norm_moments            mean, rstd and the map of y, moving the running statistics on
    batch_norm_apply              y = (x - map[0]) map[1] + map[2]
    batch_norm_sums               dweight, dbias and the map of dx
    batch_norm_apply_gradient     dx = map[0] dy + map[1] (x - mean) + map[2]

Rows are taken several at a time, as a strip of `wide` numbers, so that loops stay long when there are few channels.
Sums run in float32 within a block that fits the cache and in float64 between blocks and between the chunks of rows,
whose number depends on the shape alone: the same bits for any number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .compiler.jit import serial
from .simd.passes import pass_affine, pass_deviations, pass_gradient, pass_products, pass_scale
from .simd.streaming import exceeds_cache
from .simd.vectors import address

f4, f8 = np.float32, np.float64
STRIP, BLOCK = 512, 128  # numbers in a strip, and strips whose sums run in float32
CHUNKS, GRAIN = 64, 16384  # most chunks, and numbers that a chunk is worth
LOOK = 1024  # numbers whose mean the first block is summed about


def strip_width(c: int, rows: int = STRIP**2) -> int:
    """Return the length of a strip: whole rows, about STRIP numbers, and of few rows no more than there are strips."""
    return c * max(1, min(math.isqrt(rows), STRIP // max(1, c)))


def rows_of(x: Any) -> int:
    """Return how many numbers a channel has."""
    return int(x.size // max(1, x.shape[1]))


def stats_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch per chunk of rows: two rows of statistics and two of sums in float64, three strips of sums."""
    c, chunks = x.shape[1], max(1, min(CHUNKS, x.size // GRAIN, rows_of(x) // 64))
    return [((chunks, 4, c), np.float64), (chunks, 3, strip_width(c, rows_of(x)))]


def map_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: the map's three numbers of a channel, repeated along strips."""
    return [(3, strip_width(x.shape[1], rows_of(x)))]


@serial
def fill_strip(strip: Any, channel: Any) -> None:
    """Repeat a value per channel along a strip."""
    for a in range(0, strip.size, channel.size):
        row = strip[a : a + channel.size]
        for k in range(row.size):
            row[k] = channel[k]


@serial
def lane_sum(strip: Any, k: Any, c: Any) -> Any:
    """Return the sum of a strip's lanes that belong to channel k."""
    total = 0.0
    for j in range(k, strip.size, c):
        total += f8(strip[j])
    return total


@serial
def add_lanes(total: Any, strip: Any) -> None:
    """Add the strip's lanes of channel k to total[k]."""
    for a in range(0, strip.size, total.size):
        row = strip[a : a + total.size]
        for k in range(row.size):
            total[k] += f8(row[k])


@serial
def deviations(sums: Any, strips: Any, x: Any, mean: Any) -> None:
    """sums[0] = sum (x - mean), sums[1] = sum (x - mean)^2 of a block's rows, the mean rounded to float32."""
    fill_strip(strips[0], mean)
    strips[1:3] = 0
    pass_deviations(x.size, 0, strips.shape[1], address(x), address(strips), address(strips[1]), 0)
    sums[:] = 0
    add_lanes(sums[0], strips[1])
    add_lanes(sums[1], strips[2])


@serial
def chunk_moments(moments: Any, strips: Any, x: Any) -> None:
    """Compute mean and sum of squared deviations of a chunk's rows: moments[0], moments[1].

    Each block's sums are taken about the mean so far, which is close to the block's own, and merged by the update of
    Chan, Golub & LeVeque 1979: no cancellation, and memory is read once.
    """
    mean, m2, sums = moments[0], moments[1], moments[2:]
    c, wide = mean.size, strips.shape[1]
    moments[:] = 0
    block, look = BLOCK * wide, max(1, LOOK // wide) * wide
    if x.size > 0:  # no mean yet: a first look
        first = x[:look]
        deviations(sums, strips, first, mean)
        for k in range(c):
            mean[k] = f8(f4(sums[0, k] / f8(first.size // c)))
    for a in range(0, x.size, block):
        piece = x[a : a + block]
        rows, before = f8(piece.size // c), f8(a // c)
        fraction, each = rows / (before + rows), 1.0 / rows
        deviations(sums, strips, piece, mean)
        for k in range(c):
            off = sums[0, k] * each
            step = f8(f4(mean[k])) + off - mean[k]
            m2[k] += sums[1, k] - off * off * rows + step * step * before * fraction
            mean[k] += step * fraction


@serial
def merge_chunks(moments: Any, n: Any) -> None:
    """Leave the mean and the variance of all n rows in moments[0]."""
    chunks = moments.shape[0]
    for k in range(moments.shape[2]):
        mean, m2, before = 0.0, 0.0, 0.0
        for t in range(chunks):
            rows = f8((t + 1) * n // chunks - t * n // chunks)
            if rows > 0:
                step = moments[t, 0, k] - mean
                m2 += moments[t, 1, k] + step * step * before * rows / (before + rows)
                mean += step * rows / (before + rows)
                before += rows
        moments[0, 0, k], moments[0, 1, k] = mean, m2 / max(1.0, f8(n))


@serial
def update_running(
    moments: Any, n: Any, running_mean: Any, running_var: Any, count: Any, momentum: Any, corrected: Any, unbiased: Any
) -> None:
    """Update the running statistics by the rule of ops/norm.py."""
    rate = f8(momentum)
    if count.size > 0 and n > 0:
        count[0] += 1
        if corrected:
            rate = max(rate, 1.0 / f8(count[0]))
    bessel = f8(n) / f8(n - 1) if unbiased and n > 1 else 1.0
    for k in range(running_mean.size if n > 0 else 0):
        running_mean[k] += rate * (moments[0, 0, k] - running_mean[k])
        running_var[k] += rate * (moments[0, 1, k] * bessel - running_var[k])


@serial
def finish(mean: Any, rstd: Any, exact: Any, var: Any, eps: Any) -> None:
    """Round the mean to float32 and compute rstd = 1 / sqrt(var + eps)."""
    for k in range(mean.size):
        mean[k], rstd[k] = exact[k], 1.0 / np.sqrt(f8(var[k]) + f8(eps))


@serial
def forward_map(map: Any, mean: Any, rstd: Any, exact: Any, weight: Any, bias: Any) -> None:
    """Compute the map y = (x - mean) scale + shift; shift makes up for what rounding the mean to float32 lost."""
    for k in range(mean.size):
        scale = rstd[k] * (weight[k] if weight.size > 0 else f4(1))
        map[0, k], map[1, k] = mean[k], scale
        map[2, k] = f4((f8(mean[k]) - f8(exact[k])) * f8(scale)) + (bias[k] if bias.size > 0 else f4(0))


@serial
def fill_map(strips: Any, map: Any) -> None:
    """Repeat the map along strips."""
    for row in range(3):
        fill_strip(strips[row], map[row])


@serial
def apply_run(y: Any, x: Any, first: Any, strips: Any, nontemporal: Any) -> None:
    """y = (x - mean) scale + shift for numbers first, first + 1, ... of the rows; strips hold the map."""
    wide = strips.shape[1]
    pass_affine(x.size, first % wide, wide, address(x), address(y), address(strips), 0, nontemporal)


def channels_and_map(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of two numbers per channel, and of a map."""
    return [(x.shape[1],), (x.shape[1],), (3, x.shape[1])]


@kernel(
    backend="numba",
    double="numba",
    rows="x",
    flat="count",
    writes="running_mean running_var count",
    out=channels_and_map,
    work=stats_work,
    flops=lambda x, *_: 5 * x.size,
)
def batch_norm_moments(
    mean: Any,
    rstd: Any,
    map: Any,
    moments: Any,
    sums: Any,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    momentum: Any,
    eps: Any,
    corrected: Any,
    unbiased: Any,
) -> None:
    """Compute moments by chunks of rows, merge them, and update the running statistics."""
    (n, c), chunks = x.shape, moments.shape[0]
    xs = x.reshape(x.size)
    for t in prange(chunks):
        rows = xs[t * n // chunks * c : (t + 1) * n // chunks * c]
        chunk_moments(moments[t], sums[t], rows)
    merge_chunks(moments, n)
    update_running(moments, n, running_mean, running_var, count, momentum, corrected, unbiased)
    finish(mean, rstd, moments[0, 0], moments[0, 1], eps)
    forward_map(map, mean, rstd, moments[0, 0], weight, bias)


@kernel(
    backend="numba",
    double="numba",
    rows="y x",
    out=lambda x, map: [x.shape],
    work=map_work,
    flops=lambda x, *_: 3 * x.size,
)
def batch_norm_apply(y: Any, strips: Any, x: Any, map: Any) -> None:
    """y = (x - map[0]) map[1] + map[2], a number of each per channel."""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        apply_run(ys[a:b], xs[a:b], 0, strips, exceeds_cache(y))


@kernel(
    backend="numba",
    double="numba",
    out=lambda running_mean, *_: [running_mean.shape] * 2 + [(3, running_mean.size)],
    flops=lambda running_mean, *_: 6 * running_mean.size,
    parallel=False,
)
def batch_norm_map(
    mean: Any, rstd: Any, map: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: Any
) -> None:
    """Compute the map by running statistics: rstd = 1 / sqrt(running_var + eps)."""
    finish(mean, rstd, running_mean, running_var, eps)
    forward_map(map, mean, rstd, running_mean, weight, bias)


@serial
def chunk_sums(total: Any, strips: Any, dy: Any, x: Any) -> None:
    """total[0] = sum dy, total[1] = sum dy (x - mean) over a chunk's rows; strips[0] holds the mean."""
    wide = strips.shape[1]
    total[:] = 0
    block = BLOCK * wide
    for a in range(0, x.size, block):
        size = min(block, x.size - a)
        strips[1:3] = 0
        pass_products(size, 0, wide, address(dy[a:]), address(x[a:]), address(strips), address(strips[1]), 0)
        add_lanes(total[0], strips[1])
        add_lanes(total[1], strips[2])


@serial
def add_chunks(totals: Any, dbias: Any, dweight: Any, rstd: Any) -> None:
    """Leave the sums over all chunks in totals[0]."""
    for k in range(totals.shape[2]):
        for t in range(1, totals.shape[0]):
            totals[0, 0, k] += totals[t, 0, k]
            totals[0, 1, k] += totals[t, 1, k]
        dbias[k], dweight[k] = totals[0, 0, k], totals[0, 1, k] * f8(rstd[k])


@serial
def backward_map(map: Any, totals: Any, rstd: Any, weight: Any, n: Any) -> None:
    """Compute the map dx = a dy + b (x - mean) + d of a channel;  b = d = 0 if n is 0: running statistics."""
    for k in range(rstd.size):
        a, r = f8(rstd[k]) * (f8(weight[k]) if weight.size > 0 else 1.0), f8(rstd[k])
        map[0, k] = a
        map[1, k] = -a * r * r * totals[0, 1, k] / f8(n) if n > 0 else 0.0
        map[2, k] = -a * totals[0, 0, k] / f8(n) if n > 0 else 0.0


@kernel(
    backend="numba",
    double="numba",
    rows="dy x",
    out=channels_and_map,
    work=stats_work,
    flops=lambda dy, *_: 4 * dy.size,
)
def batch_norm_sums(
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    dy: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """dweight = sum dy xhat;  dbias = sum dy;  dx = weight rstd (dy - dbias / n - xhat dweight / n), as a map.

    With running statistics (not training) dx = weight rstd dy.
    """
    (n, c), chunks = x.shape, totals.shape[0]
    xs, dys = x.reshape(x.size), dy.reshape(dy.size)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        fill_strip(sums[t, 0], mean)
        chunk_sums(totals[t], sums[t], dys[a:b], xs[a:b])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, n if training else 0)


@serial
def gradient_run(dx: Any, dy: Any, x: Any, first: Any, strips: Any, training: Any, nontemporal: Any) -> None:
    """dx = a dy + b (x - mean) + d for numbers first, ... of the rows; with running statistics a dy, whatever x is.

    strips hold a, b, d and the mean.
    """
    wide = strips.shape[1]
    if training:
        pass_gradient(x.size, first % wide, wide, address(dy), address(x), address(dx), address(strips), 0, nontemporal)
    else:
        pass_scale(x.size, first % wide, wide, address(dy), address(dx), address(strips), 0, nontemporal)


@kernel(
    backend="numba",
    double="numba",
    rows="dx dy x",
    work=lambda dy, *_: [(4, strip_width(dy.shape[1], rows_of(dy)))],
    out=lambda dy, *_: [dy.shape],
    flops=lambda dy, *_: 4 * dy.size,
)
def batch_norm_apply_gradient(dx: Any, strips: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any) -> None:
    """dx = map[0] dy + map[1] (x - mean) + map[2]"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    fill_map(strips, map)
    fill_strip(strips[3], mean)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        gradient_run(dxs[a:b], dys[a:b], xs[a:b], 0, strips, training, exceeds_cache(dx))
