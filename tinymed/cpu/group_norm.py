"""Group, instance and layer normalisation on the CPU.

A sample's pixels arrive as rows of c channels and are summed as in batch norm, then over the channels of a group.  In
C order, and in float64, a group is one run of numbers and a channel is a plane of it, each with one mean and scale.
Layer norm takes its last axes as rows.  Samples, groups and rows are independent, so threads change no bits.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from ..ops.batch_norm import channel_stats
from .arguments import ABSENT, all_alike, all_float32, in_order
from .compiler.jit import serial
from .norm import CHUNKS, GRAIN, apply_run, chunk_moments, chunk_sums, fill_map, fill_strip, gradient_run, strip_width
from .simd.reductions import row_product_sum, row_sum
from .simd.streaming import exceeds_cache

f4, f8 = np.float32, np.float64
PIECE, FIRST = 4096, 64  # numbers summed in float32; of a row, those whose mean comes first


@serial
def normalise_sample(
    y: Any,
    mean: Any,
    rstd: Any,
    moments: Any,
    strips: Any,
    coefficients: Any,
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    nontemporal: Any,
) -> None:
    """Normalise one sample, pixel by pixel: moments of channels, merged to groups, and the affine map."""
    groups, c = mean.shape[0], moments.shape[1]
    size, rows = c // groups, x.size // c
    chunk_moments(moments, strips, x)
    for g in range(groups):
        centre, m2 = 0.0, 0.0
        for k in range(g * size, (g + 1) * size):
            centre += moments[0, k] / size
        for k in range(g * size, (g + 1) * size):
            m2 += moments[1, k] + rows * (moments[0, k] - centre) ** 2
        mean[g, 0], rstd[g, 0] = centre, 1.0 / np.sqrt(m2 / max(1, rows * size) + f8(eps))
        for k in range(g * size, (g + 1) * size):
            scale = rstd[g, 0] * (weight[k] if weight.size > 0 else f4(1))
            coefficients[0, k], coefficients[1, k] = mean[g, 0], scale
            lost = f4((f8(mean[g, 0]) - centre) * f8(scale))  # by rounding the mean to float32
            coefficients[2, k] = lost + (bias[k] if bias.size > 0 else f4(0))
    fill_map(strips, coefficients)
    apply_run(y, x, 0, strips, nontemporal)


@kernel(backend="numba", double="numba", composite=True, when=all_alike)
def group_norm_forward(k: Any, x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    """Call group_norm_planes or group_norm_samples, with an empty array for a weight or bias that is None."""
    weight, bias = (ABSENT if v is None else v for v in (weight, bias))
    if not lies_in_planes(x):
        return k.group_norm_samples(x, weight, bias, groups, eps)
    y, mean, rstd = k.group_norm_planes(planes_of(k, x), weight, bias, groups, eps)
    return y.reshape(x.shape), mean, rstd


def lies_in_planes(x: Any) -> bool:
    """Return whether a channel's numbers lie one behind the other, enough for vectors; in float64 they are made to."""
    return bool(x.dtype.char == "d" or (x.flags.c_contiguous and x.size >= 16 * x.shape[0] * x.shape[1]))


def planes_of(k: Any, x: Any) -> Any:
    """Return an array (N, C, *space) as (N, C, pixels) in C order."""
    n, c = x.shape[:2]
    return in_order(k, x, tuple(range(x.ndim))).reshape(n, c, x.size // max(1, n * c))


def sample_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch per sample: moments and sums in float64, strips, and four coefficients for each channel."""
    n, c = x.shape[:2]
    return [((n, 4, c), np.float64), (n, 4, strip_width(c)), (n, 4, c)]


@kernel(
    backend="numba",
    rows="y x",
    work=sample_work,
    flops=lambda x, *_: 8 * x.size,
    out=lambda x, weight, bias, groups, eps: [x.shape, *[(x.shape[0], groups, 1)] * 2],
)
def group_norm_samples(
    y: Any,
    mean: Any,
    rstd: Any,
    moments: Any,
    strips: Any,
    coefficients: Any,
    x: Any,
    weight: Any,
    bias: Any,
    groups: Any,
    eps: Any,
) -> None:
    """y = weight (x - mean) rstd + bias, moments of each group of channels; one sample is one task."""
    samples = mean.shape[0]
    xs, ys, each = x.reshape(x.size), y.reshape(y.size), x.size // max(1, samples)
    for b in prange(samples):
        a, e = b * each, (b + 1) * each
        normalise_sample(
            ys[a:e],
            mean[b],
            rstd[b],
            moments[b],
            strips[b],
            coefficients[b],
            xs[a:e],
            weight,
            bias,
            eps,
            exceeds_cache(y),
        )


@serial
def sample_gradient(
    dx: Any,
    sums: Any,
    strips: Any,
    coefficients: Any,
    dy: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    nontemporal: Any,
) -> None:
    """dx = scale dy + slope (x - mean) + rest of one sample; leaves sum dy and sum dy xhat per channel in sums."""
    groups, c = mean.shape[0], sums.shape[1]
    size, n = c // groups, max(1, x.size // groups)
    centre, scale, slope, rest = coefficients[3], coefficients[0], coefficients[1], coefficients[2]
    for k in range(c):
        centre[k] = mean[k // size, 0]
        scale[k] = rstd[k // size, 0] * (weight[k] if weight.size > 0 else f4(1))
    fill_strip(strips[0], centre)
    chunk_sums(sums, strips, dy, x)
    for g in range(groups):
        r, total, weighted = f8(rstd[g, 0]), 0.0, 0.0
        for k in range(g * size, (g + 1) * size):
            w = f8(weight[k]) if weight.size > 0 else 1.0
            sums[1, k] *= r
            total, weighted = total + w * sums[0, k], weighted + w * sums[1, k]
        for k in range(g * size, (g + 1) * size):
            slope[k], rest[k] = -r * r * weighted / n, -r * total / n
    fill_strip(strips[3], centre)
    fill_map(strips, coefficients)
    gradient_run(dx, dy, x, 0, strips, True, nontemporal)


@kernel(backend="numba", double="numba", composite=True, when=all_alike)
def group_norm_backward(k: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any) -> Any:
    """Call group_norm_planes_gradient or group_norm_gradient, with an empty array for a weight that is None."""
    weight = ABSENT if weight is None else weight
    if not lies_in_planes(x):
        return k.group_norm_gradient(dy, x, weight, mean, rstd)
    dx, *sums = k.group_norm_planes_gradient(planes_of(k, dy), planes_of(k, x), weight, mean, rstd)
    return dx.reshape(x.shape), *sums


@kernel(backend="numba", rows="dx dy x", out=channel_stats, work=sample_work, flops=lambda dy, *_: 10 * dy.size)
def group_norm_gradient(
    dx: Any,
    dweight: Any,
    dbias: Any,
    sums: Any,
    strips: Any,
    coefficients: Any,
    dy: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
) -> None:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy; dweight, dbias: the samples' sums added up."""
    samples = mean.shape[0]
    xs, dys, dxs, each = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size), x.size // max(1, samples)
    for b in prange(samples):
        a, e = b * each, (b + 1) * each
        sample_gradient(
            dxs[a:e],
            sums[b],
            strips[b],
            coefficients[b],
            dys[a:e],
            xs[a:e],
            weight,
            mean[b],
            rstd[b],
            exceeds_cache(dx),
        )
    for k in range(dbias.size):
        first, second = 0.0, 0.0
        for b in range(samples):
            first, second = first + sums[b, 0, k], second + sums[b, 1, k]
        dbias[k], dweight[k] = first, second


# ---------------------------------------------------------------------------------------------- groups in C order

PARTS, WIDE = 64, 256  # most tasks, and numbers of a strip


def plane_work(x: Any, groups: int) -> list[Any]:
    """Return the scratch of each task: moments of a group in float64, and four strips."""
    tasks = max(1, min(PARTS, x.shape[0] * groups))
    return [((tasks, 4, 1), np.float64), (tasks, 4, max(1, min(WIDE, x.shape[2])))]


@kernel(
    backend="numba",
    double="numba",
    work=lambda x, weight, bias, groups, eps: plane_work(x, groups),
    flops=lambda x, *_: 8 * x.size,
    out=lambda x, weight, bias, groups, eps: [x.shape, *[(x.shape[0], groups, 1)] * 2],
)
def group_norm_planes(
    y: Any, mean: Any, rstd: Any, moments: Any, strips: Any, x: Any, weight: Any, bias: Any, groups: Any, eps: Any
) -> None:
    """y = weight (x - mean) rstd + bias, moments of each group, whose channels are planes of one run of numbers."""
    n, size, tasks = x.shape[0], x.shape[1] // groups, moments.shape[0]
    for t in prange(tasks):
        for u in range(t * n * groups // tasks, (t + 1) * n * groups // tasks):
            b, g = u // groups, u % groups
            first, last = g * size, (g + 1) * size
            normalise_planes(
                y[b, first:last],
                mean[b, g],
                rstd[b, g],
                moments[t],
                strips[t],
                x[b, first:last],
                weight[first:last],
                bias[first:last],
                eps,
                exceeds_cache(y),
            )


@serial
def normalise_planes(
    y: Any,
    mean: Any,
    rstd: Any,
    moments: Any,
    strips: Any,
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    nontemporal: Any,
) -> None:
    """Normalise one group: its moments, and a map for each of its planes."""
    chunk_moments(moments, strips, x.reshape(x.size))
    centre = moments[0, 0]
    mean[0], rstd[0] = centre, 1.0 / np.sqrt(moments[1, 0] / max(1, x.size) + f8(eps))
    strips[0] = mean[0]
    for k in range(x.shape[0]):
        scale = rstd[0] * (weight[k] if weight.size > 0 else f4(1))
        lost = f4((f8(mean[0]) - centre) * f8(scale))  # by rounding the mean to float32
        strips[1] = scale
        strips[2] = lost + (bias[k] if bias.size > 0 else f4(0))
        apply_run(y[k], x[k], 0, strips, nontemporal)


@kernel(
    backend="numba",
    double="numba",
    work=lambda dy, x, weight, mean, rstd: [((*x.shape[:2], 2, 1), np.float64), *plane_work(x, mean.shape[1])[1:]],
    flops=lambda dy, *_: 10 * dy.size,
    out=channel_stats,
)
def group_norm_planes_gradient(
    dx: Any, dweight: Any, dbias: Any, sums: Any, strips: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any
) -> None:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy; dweight, dbias: the samples' sums added up."""
    (n, c), groups, tasks = x.shape[:2], mean.shape[1], strips.shape[0]
    size = c // groups
    for t in prange(tasks):
        for u in range(t * n * groups // tasks, (t + 1) * n * groups // tasks):
            b, g = u // groups, u % groups
            first, last = g * size, (g + 1) * size
            planes_gradient(
                dx[b, first:last],
                sums[b, first:last],
                strips[t],
                dy[b, first:last],
                x[b, first:last],
                weight[first:last],
                mean[b, g, 0],
                rstd[b, g, 0],
                exceeds_cache(dx),
            )
    for k in range(c):
        first, second = 0.0, 0.0
        for b in range(n):
            first, second = first + sums[b, k, 0, 0], second + sums[b, k, 1, 0]
        dbias[k], dweight[k] = first, second


@serial
def planes_gradient(
    dx: Any, sums: Any, strips: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, nontemporal: Any
) -> None:
    """dx = scale dy + slope (x - mean) + rest of one group; leaves sum dy and sum dy xhat of each plane in sums."""
    r, n, total, weighted = f8(rstd), max(1, x.size), 0.0, 0.0
    strips[0] = mean
    for k in range(x.shape[0]):
        chunk_sums(sums[k], strips, dy[k], x[k])
        w = f8(weight[k]) if weight.size > 0 else 1.0
        sums[k, 1, 0] *= r
        total, weighted = total + w * sums[k, 0, 0], weighted + w * sums[k, 1, 0]
    strips[1], strips[2], strips[3] = -r * r * weighted / n, -r * total / n, mean
    for k in range(x.shape[0]):
        strips[0] = rstd * (weight[k] if weight.size > 0 else f4(1))
        gradient_run(dx[k], dy[k], x[k], 0, strips, True, nontemporal)


@kernel(backend="numba", double="numba", composite=True, when=all_alike)
def instance_norm_update(k: Any, x: Any, running_mean: Any, running_var: Any, momentum: float) -> Any:
    """Call follow_instances on planes."""
    return k.follow_instances(planes_of(k, x), running_mean, running_var, momentum)


@kernel(
    backend="numba",
    double="numba",
    writes="running_mean running_var",
    work=lambda x, *_: [((x.shape[1], 4, 1), np.float64), (x.shape[1], 3, max(1, min(WIDE, x.shape[2])))],
    flops=lambda x, *_: 6 * x.size,
    out=lambda *_: [],
)
def follow_instances(moments: Any, strips: Any, x: Any, running_mean: Any, running_var: Any, momentum: Any) -> None:
    """Move running statistics by `momentum` to the means over samples of a plane's mean and unbiased variance."""
    samples, channels, n = x.shape
    for k in prange(channels if x.size > 0 else 0):
        centre, spread = 0.0, 0.0
        for b in range(samples):
            chunk_moments(moments[k], strips[k], x[b, k])
            centre, spread = centre + moments[k, 0, 0] / samples, spread + moments[k, 1, 0] / max(1, n - 1) / samples
        running_mean[k] += f8(momentum) * (centre - running_mean[k])
        running_var[k] += f8(momentum) * (spread - running_var[k])


# ------------------------------------------------------------------------------------------------------ layer norm


@kernel(backend="numba", composite=True, when=all_float32)
def layer_norm_forward(k: Any, x: Any, weight: Any, bias: Any, axes: int, eps: float) -> Any:
    """Call layer_norm_rows on the last axes as rows."""
    outer = x.shape[: x.ndim - axes] + (1,) * axes
    weight, bias = (ABSENT if v is None else v.reshape(-1) for v in (weight, bias))
    y, mean, rstd = k.layer_norm_rows(as_rows(k, x, axes), weight, bias, eps)
    return y.reshape(x.shape), mean.reshape(outer), rstd.reshape(outer)


def as_rows(k: Any, x: Any, axes: int) -> Any:
    """Return a matrix whose rows are the last axes, in C order."""
    size = math.prod(x.shape[x.ndim - axes :])
    return in_order(k, x, tuple(range(x.ndim))).reshape(math.prod(x.shape[: x.ndim - axes]), size)


@kernel(backend="numba", out=lambda x, *_: [x.shape, x.shape[:1], x.shape[:1]], flops=lambda x, *_: 8 * x.size)
def layer_norm_rows(y: Any, mean: Any, rstd: Any, x: Any, weight: Any, bias: Any, eps: Any) -> None:
    """y = weight (x - mean) rstd + bias; moments of each row about a first mean, while it is in the L1 cache.

    The mean of FIRST numbers is within sqrt(size / FIRST) standard deviations of the row's: near enough for short rows.
    """
    n, size = x.shape
    look = FIRST if size <= PIECE else size
    for i in prange(n):
        row, out = x[i], y[i]
        m = f4(row_sum(row[:look]) / max(1, min(look, size)))
        for j in range(size):
            out[j] = row[j] - m
        off, square = row_sum(out) / max(1, size), row_product_sum(out, out, f4(0))
        r, lost = f4(1.0 / np.sqrt(square / max(1, size) - off * off + f8(eps))), f4(off)
        for j in range(size):
            out[j] = (out[j] - lost) * r
        if weight.size > 0:
            for j in range(size):
                out[j] *= weight[j]
        if bias.size > 0:
            for j in range(size):
                out[j] += bias[j]
        mean[i], rstd[i] = f8(m) + off, r


@kernel(backend="numba", composite=True, when=all_float32)
def layer_norm_backward(k: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, axes: int) -> Any:
    """Call layer_norm_gradient on the last axes as rows."""
    inner, rows = x.shape[x.ndim - axes :], as_rows(k, x, axes)
    dx, dweight, dbias = k.layer_norm_gradient(
        as_rows(k, dy, axes), rows, ABSENT if weight is None else weight.reshape(-1), mean.reshape(-1), rstd.reshape(-1)
    )
    return dx.reshape(x.shape), dweight.reshape(inner), dbias.reshape(inner)


def row_chunks(dy: Any, *_: Any) -> list[Any]:
    """Return the scratch per chunk of rows: sums of dweight and dbias, and a row of weight dy."""
    n, size = dy.shape
    chunks = max(1, min(CHUNKS, n, dy.size // GRAIN))
    return [(chunks, 2, size), (chunks, size)]


@serial
def layer_row(dx: Any, dweight: Any, dbias: Any, g: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any) -> None:
    """Compute dx of one row; add dy xhat and dy to dweight and dbias."""
    for j in range(x.size):
        dweight[j] += dy[j] * ((x[j] - mean) * rstd)
    for j in range(x.size):
        dbias[j] += dy[j]
    for j in range(x.size):
        g[j] = dy[j] * weight[j] if weight.size > 0 else dy[j]
    a, b = f4(row_sum(g) / x.size), f4(row_product_sum(g, x, mean) / x.size) * rstd * rstd
    for j in range(x.size):
        dx[j] = rstd * (g[j] - a - (x[j] - mean) * b)


@kernel(
    backend="numba",
    out=lambda dy, *_: [dy.shape, dy.shape[1:], dy.shape[1:]],
    work=row_chunks,
    flops=lambda dy, *_: 10 * dy.size,
)
def layer_norm_gradient(
    dx: Any, dweight: Any, dbias: Any, sums: Any, scratch: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any
) -> None:
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy; dweight = sum dy xhat, dbias = sum dy, by chunks."""
    n, chunks = x.shape[0], sums.shape[0]
    for t in prange(chunks):
        sums[t] = 0
        for i in range(t * n // chunks, (t + 1) * n // chunks):
            layer_row(dx[i], sums[t, 0], sums[t, 1], scratch[t], dy[i], x[i], weight, mean[i], rstd[i])
    dweight[:] = 0
    dbias[:] = 0
    for t in range(chunks):
        for j in range(dbias.size):
            dweight[j] += sums[t, 0, j]
            dbias[j] += sums[t, 1, j]
