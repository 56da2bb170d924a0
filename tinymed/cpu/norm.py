"""Batch normalisation on the CPU.  Images arrive as rows of c channels, so statistics are sums over rows.

Rows are taken several at a time, as a strip of `wide` numbers, so that loops stay long when there are few channels.
Sums run in float32 within a block that fits the cache and in float64 between blocks and between the chunks of rows,
whose number depends on the shape alone: the same bits for any number of threads.
"""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import serial

f4, f8 = np.float32, np.float64
STRIP, BLOCK, CHUNKS, GRAIN = 256, 8192, 64, 16384  # numbers in a strip, a block; most chunks; numbers a chunk is worth
ABSENT, UNCOUNTED = np.zeros(0, np.float32), np.zeros(0, np.int64)  # stand for None: one signature, compiled once


def lanes(c: int) -> int:
    """The length of a strip: whole rows, about STRIP numbers."""
    return c * max(1, STRIP // max(1, c))


def stats_work(x: Any, *_: Any) -> list[Any]:
    """Per chunk, rows of statistics in float64 and strips of sums; then the strips of the final map."""
    c, chunks = x.shape[1], max(1, min(CHUNKS, x.size // GRAIN, x.size // max(1, 64 * x.shape[1])))
    return [((chunks, 2, c), np.float64), (chunks, 3, lanes(c)), (3, lanes(c))]


def single(*args: Any) -> bool:
    """Every floating-point array is float32."""
    return all(a.dtype.char == "f" for a in args if hasattr(a, "dtype") and a.dtype.kind == "f")


@serial
def tile(strip: Any, channel: Any) -> None:
    """Repeat a value per channel along a strip."""
    for j in range(strip.size):
        strip[j] = channel[j % channel.size]


@serial
def add_strips(s: Any, q: Any, x: Any, z: Any, shift: Any) -> None:
    """s = sum z, q = sum z (x - shift) over the strips of a block."""
    s[:] = 0
    q[:] = 0
    for e in range(0, x.size, s.size):
        xe, ze = x[e : e + s.size], z[e : e + s.size]
        for j in range(xe.size):
            s[j] += ze[j]
            q[j] += ze[j] * (xe[j] - shift[j])


@serial
def add_deviations(s: Any, q: Any, x: Any, shift: Any) -> None:
    """s = sum (x - shift), q = sum (x - shift)^2 over the strips of a block."""
    s[:] = 0
    q[:] = 0
    for e in range(0, x.size, s.size):
        xe = x[e : e + s.size]
        for j in range(xe.size):
            d = xe[j] - shift[j]
            s[j] += d
            q[j] += d * d


@serial
def folded(strip: Any, k: Any, c: Any) -> Any:
    """The sum of a strip's lanes that belong to channel k."""
    total = 0.0
    for j in range(k, strip.size, c):
        total += f8(strip[j])
    return total


@serial
def chunk_moments(mean: Any, m2: Any, strips: Any, x: Any) -> None:
    """Mean and sum of squared deviations of a chunk's rows.

    Each block's sums are taken about the mean so far, which is close to the block's own, and merged by the update of
    Chan, Golub & LeVeque 1979: no cancellation, and memory is read once.
    """
    c, wide = mean.size, strips.shape[1]
    shift, s, q = strips[0], strips[1], strips[2]
    mean[:] = 0
    m2[:] = 0
    block = max(32, BLOCK // wide) * wide
    for a in range(0, x.size, block):
        piece = x[a : a + block]
        rows, before = f8(piece.size // c), f8(a // c)
        share, each = rows / (before + rows), 1.0 / rows
        if a == 0:  # no mean yet: a first look at the block
            shift[:] = 0
            add_deviations(s, q, piece, shift)
            for k in range(c):
                mean[k] = folded(s, k, c) * each
        tile(shift, mean)
        add_deviations(s, q, piece, shift)
        for k in range(c):
            off = folded(s, k, c) * each
            step = f8(shift[k]) + off - mean[k]
            m2[k] += folded(q, k, c) - off * off * rows + step * step * before * share
            mean[k] += step * share


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
def update_running(moments: Any, n: Any, running_mean: Any, running_var: Any, count: Any, momentum: Any, corrected: Any,
                   unbiased: Any) -> None:  # fmt: skip
    """The rule of ops/norm.py."""
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
    """mean in float32 and rstd = 1 / sqrt(var + eps)."""
    for k in range(mean.size):
        mean[k], rstd[k] = exact[k], 1.0 / np.sqrt(f8(var[k]) + f8(eps))


@serial
def scale_strips(strips: Any, mean: Any, rstd: Any, exact: Any, weight: Any, bias: Any) -> None:
    """The map y = (x - mean) scale + shift; shift takes up what rounding the mean to float32 lost."""
    c = mean.size
    for j in range(strips.shape[1]):
        k = j % c
        scale = rstd[k] * (weight[k] if weight.size > 0 else f4(1))
        strips[0, j], strips[1, j] = mean[k], scale
        strips[2, j] = f4((f8(mean[k]) - f8(exact[k])) * f8(scale)) + (bias[k] if bias.size > 0 else f4(0))


@serial
def apply_strips(y: Any, x: Any, strips: Any) -> None:
    """y = (x - mean) scale + shift, strip by strip."""
    mean, scale, shift = strips[0], strips[1], strips[2]
    for e in range(0, x.size, mean.size):
        xe, ye = x[e : e + mean.size], y[e : e + mean.size]
        for j in range(xe.size):
            ye[j] = (xe[j] - mean[j]) * scale[j] + shift[j]


def channel_stats(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """The shapes of y, mean and rstd."""
    return [x.shape, (x.shape[1],), (x.shape[1],)]


@kernel(backend="numba", composite=True, when=single)
def batch_norm_forward(k: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, count: Any,
                       *rule: Any) -> Any:  # fmt: skip
    """batch_norm_train, with empty arrays for what is None."""
    arrays = [ABSENT if v is None else v for v in (weight, bias, running_mean, running_var)]
    return k.batch_norm_train(x, *arrays, UNCOUNTED if count is None else count, *rule)


@kernel(backend="numba", rows="y x", flat="count", writes="running_mean running_var count", out=channel_stats,
        work=stats_work, flops=lambda x, *_: 8 * x.size)  # fmt: skip
def batch_norm_train(
    y: Any,
    mean: Any,
    rstd: Any,
    moments: Any,
    sums: Any,
    strips: Any,
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
    """y = weight (x - mean) rstd + bias: moments by chunks of rows, merged; the running ones move on."""
    (n, c), chunks = x.shape, moments.shape[0]
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for t in prange(chunks):
        rows = xs[t * n // chunks * c : (t + 1) * n // chunks * c]
        chunk_moments(moments[t, 0], moments[t, 1], sums[t], rows)
    merge_chunks(moments, n)
    update_running(moments, n, running_mean, running_var, count, momentum, corrected, unbiased)
    finish(mean, rstd, moments[0, 0], moments[0, 1], eps)
    scale_strips(strips, mean, rstd, moments[0, 0], weight, bias)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        apply_strips(ys[a:b], xs[a:b], strips)


@kernel(backend="numba", composite=True, when=single)
def batch_norm_inference(k: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """batch_norm_running, with empty arrays for a weight or bias that is None."""
    return k.batch_norm_running(
        x, ABSENT if weight is None else weight, ABSENT if bias is None else bias, mean, var, eps
    )


@kernel(backend="numba", rows="y x", out=channel_stats, work=lambda x, *_: stats_work(x)[2:],
        flops=lambda x, *_: 2 * x.size)  # fmt: skip
def batch_norm_running(
    y: Any,
    mean: Any,
    rstd: Any,
    strips: Any,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    eps: Any,
) -> None:
    """y = weight (x - running_mean) rstd + bias, rstd = 1 / sqrt(running_var + eps); also mean, rstd."""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    finish(mean, rstd, running_mean, running_var, eps)
    scale_strips(strips, mean, rstd, running_mean, weight, bias)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        apply_strips(ys[a:b], xs[a:b], strips)


@kernel(backend="numba", composite=True, when=single)
def batch_norm_backward(k: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, training: bool) -> Any:
    """batch_norm_gradient, with an empty array for a weight that is None."""
    return k.batch_norm_gradient(dy, x, ABSENT if weight is None else weight, mean, rstd, training)


@serial
def chunk_sums(total: Any, strips: Any, dy: Any, x: Any) -> None:
    """total[0] = sum dy, total[1] = sum dy (x - mean) over a chunk's rows; strips[0] holds the mean."""
    c, wide = total.shape[1], strips.shape[1]
    total[:] = 0
    block = max(32, BLOCK // wide) * wide
    for a in range(0, x.size, block):
        add_strips(strips[1], strips[2], x[a : a + block], dy[a : a + block], strips[0])
        for k in range(c):
            total[0, k] += folded(strips[1], k, c)
            total[1, k] += folded(strips[2], k, c)


@serial
def add_chunks(totals: Any, dbias: Any, dweight: Any, rstd: Any) -> None:
    """Leave the sums over all chunks in totals[0]."""
    for k in range(totals.shape[2]):
        for t in range(1, totals.shape[0]):
            totals[0, 0, k] += totals[t, 0, k]
            totals[0, 1, k] += totals[t, 1, k]
        dbias[k], dweight[k] = totals[0, 0, k], totals[0, 1, k] * f8(rstd[k])


@serial
def gradient_strips(strips: Any, totals: Any, mean: Any, rstd: Any, weight: Any, n: Any) -> None:
    """The map dx = a dy + b (x - mean) + d of one channel;  b = d = 0 if n is 0: running statistics."""
    c = mean.size
    for j in range(strips.shape[1]):
        k = j % c
        a, r = f8(rstd[k]) * (f8(weight[k]) if weight.size > 0 else 1.0), f8(rstd[k])
        strips[0, j] = a
        strips[1, j] = -a * r * r * totals[0, 1, k] / f8(n) if n > 0 else 0.0
        strips[2, j] = -a * totals[0, 0, k] / f8(n) if n > 0 else 0.0


@serial
def gradient_of_input(dx: Any, dy: Any, x: Any, strips: Any, mean: Any, training: Any) -> None:
    """dx = a dy + b (x - mean) + d, strip by strip; with running statistics a dy, whatever x is."""
    a, b, d = strips[0], strips[1], strips[2]
    for e in range(0, x.size, a.size):
        xe, de, out = x[e : e + a.size], dy[e : e + a.size], dx[e : e + a.size]
        if training:
            for j in range(xe.size):
                out[j] = a[j] * de[j] + (b[j] * (xe[j] - mean[j]) + d[j])
        else:
            for j in range(xe.size):
                out[j] = a[j] * de[j]


@kernel(backend="numba", rows="dx dy x", out=channel_stats, work=stats_work, flops=lambda dy, *_: 10 * dy.size)
def batch_norm_gradient(
    dx: Any,
    dweight: Any,
    dbias: Any,
    totals: Any,
    sums: Any,
    strips: Any,
    dy: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """dx = weight rstd (dy - mean(dy) - xhat mean(dy xhat)), not training: weight rstd dy; dweight; dbias."""
    (n, c), chunks = x.shape, totals.shape[0]
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        tile(sums[t, 0], mean)
        chunk_sums(totals[t], sums[t], dys[a:b], xs[a:b])
    add_chunks(totals, dbias, dweight, rstd)
    gradient_strips(strips, totals, mean, rstd, weight, n if training else 0)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        gradient_of_input(dxs[a:b], dys[a:b], xs[a:b], strips, sums[t, 0], training)
