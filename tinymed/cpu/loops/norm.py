"""Normalisation: the mean and the variance of a set of numbers, then each number less the mean, in units of the spread.

Images come as [pixel, channel].  Sums run in float64, in the order of the pixels.
"""

import math

from numba import njit, prange

from ...dispatch import LOOPS, kernel
from .views import laid, line


@njit
def batch_moments(x, c):
    """Return the mean and the biased variance of channel c: two passes, so that no digits cancel."""
    total, squares = 0.0, 0.0
    for p in range(x.shape[0]):
        total += x[p, c]
    mean = total / max(1, x.shape[0])
    for p in range(x.shape[0]):
        squares += (x[p, c] - mean) ** 2
    return mean, squares / max(1, x.shape[0])


@njit
def affine(value, weight, bias, c):
    """Return weight[c] value + bias[c]; either may be None."""
    scaled = value if weight is None else weight[c] * value
    return scaled if bias is None else scaled + bias[c]


@kernel(backend=LOOPS, rows="y x", writes="running_mean running_var count")
def batch_norm_forward(
    y, mean, rstd, x, weight, bias, running_mean, running_var, count, momentum, eps, corrected, unbiased
):
    """y = weight (x - mean) rstd + bias, moments of each channel; also mean, rstd; the running ones move on.

    running += rate (batch - running), rate = momentum, or max(momentum, 1 / count) if corrected.
    """
    n, rate = x.shape[0], momentum
    if count is not None and n > 0:
        count.flat[0] += 1
        if corrected:
            rate = max(momentum, 1 / count.flat[0])
    for c in prange(x.shape[1]):
        m, v = batch_moments(x, c)
        r = 1 / math.sqrt(v + eps)
        mean[c], rstd[c] = m, r
        if running_mean is not None and n > 0:
            running_mean[c] += rate * (m - running_mean[c])
            running_var[c] += rate * (v * (n / (n - 1) if unbiased and n > 1 else 1) - running_var[c])
        for p in range(n):
            y[p, c] = affine((x[p, c] - m) * r, weight, bias, c)  # m has more digits than mean[c]


@kernel(backend=LOOPS, rows="y x")
def batch_norm_inference(y, used, rstd, x, weight, bias, mean, var, eps):
    """y = weight (x - mean) rstd + bias with the moments given, rstd = 1 / sqrt(var + eps); also mean, rstd."""
    for c in range(x.shape[1]):
        used[c], rstd[c] = mean[c], 1 / math.sqrt(var[c] + eps)
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            y[p, c] = affine((x[p, c] - mean[c]) * rstd[c], weight, bias, c)


@kernel(backend=LOOPS, rows="dx dy x")
def batch_norm_backward(dx, dweight, dbias, dy, x, weight, mean, rstd, training):
    """dx = weight rstd (dy - mean(dy) - xhat mean(dy xhat)), not training: weight rstd dy;  dweight = sum dy xhat;

    dbias = sum dy, with xhat = (x - mean) rstd.
    """
    n = max(1, x.shape[0])
    for c in prange(x.shape[1]):
        total, product = 0.0, 0.0
        for p in range(x.shape[0]):
            total += dy[p, c]
            product += dy[p, c] * (x[p, c] - mean[c]) * rstd[c]
        dbias[c], dweight[c] = total, product
    for p in prange(x.shape[0]):
        for c in range(x.shape[1]):
            d = dy[p, c]
            if training:
                d = d - dbias[c] / n - (x[p, c] - mean[c]) * rstd[c] * (dweight[c] / n)
            dx[p, c] = (rstd[c] if weight is None else rstd[c] * weight[c]) * d


# ---------------------------------------------------------------------------------- over groups of numbers in a row


@njit
def moments(x, l):
    """Return the mean and the biased variance of row l: two passes, so that no digits cancel."""
    total, squares = 0.0, 0.0
    for i in range(x.shape[1]):
        total += x[l, i]
    mean = total / max(1, x.shape[1])
    for i in range(x.shape[1]):
        squares += (x[l, i] - mean) ** 2
    return mean, squares / max(1, x.shape[1])


@kernel(
    name="group_norm_forward_loop",
    backend=LOOPS,
    out=lambda x, *_: [x.shape, x.shape[:1], x.shape[:1]],
    flops=lambda x, *_: 8 * x.size,
)
def row_norm_forward(y, mean, rstd, x, weight, bias, each, eps):
    """y = weight (x - mean) rstd + bias, moments of each row; also mean, rstd.

    Each weight serves `each` neighbours; rows start again with the first weight when the last was used.
    """
    for l in prange(x.shape[0]):
        m, v = moments(x, l)
        mean[l], rstd[l] = m, 1 / math.sqrt(v + eps)
        for i in range(x.shape[1]):
            value, c = (x[l, i] - m) * rstd[l], (l * x.shape[1] + i) // each
            scaled = value if weight is None else value * weight[c % weight.size]
            y[l, i] = scaled if bias is None else scaled + bias[c % bias.size]


@kernel(
    name="group_norm_backward_loop",
    backend=LOOPS,
    out=lambda dy, *_: [dy.shape],
    flops=lambda dy, *_: 10 * dy.size,
)
def row_norm_backward(dx, dy, x, weight, mean, rstd, each):
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy, xhat = (x - mean) rstd, means over each row."""
    n = max(1, x.shape[1])
    for l in prange(x.shape[0]):
        total, product = 0.0, 0.0
        for i in range(x.shape[1]):
            g = dy[l, i] if weight is None else dy[l, i] * weight[(l * x.shape[1] + i) // each % weight.size]
            total += g
            product += g * (x[l, i] - mean[l]) * rstd[l]
        for i in range(x.shape[1]):
            g = dy[l, i] if weight is None else dy[l, i] * weight[(l * x.shape[1] + i) // each % weight.size]
            dx[l, i] = rstd[l] * (g - total / n - (x[l, i] - mean[l]) * rstd[l] * (product / n))


@kernel(
    name="group_norm_weight_loop",
    backend=LOOPS,
    out=lambda dy, x, mean, rstd, each, channels: [(channels,), (channels,)],
    flops=lambda dy, *_: 4 * dy.size,
)
def row_norm_weight(dweight, dbias, dy, x, mean, rstd, each, channels):
    """dweight[c] = the sum of dy xhat, dbias[c] = the sum of dy, over the numbers that weight c serves."""
    for c in prange(channels):
        total, product = 0.0, 0.0
        for first in range(c * each, x.size, channels * each):
            for k in range(first, first + each):
                l, i = k // x.shape[1], k % x.shape[1]
                total += dy[l, i]
                product += dy[l, i] * (x[l, i] - mean[l]) * rstd[l]
        dweight[c], dbias[c] = product, total


@kernel(backend=LOOPS, composite=True)
def group_norm_forward(k, x, weight, bias, groups, eps):
    """Call the loop on a row for each group of channels of each sample."""
    n, each = x.shape[0], x.size // max(1, x.shape[0] * x.shape[1])
    rows = c_order(k, x).reshape(n * groups, x.size // max(1, n * groups))
    y, mean, rstd = k.group_norm_forward_loop(rows, weight, bias, max(1, each), eps)
    return y.reshape(x.shape), mean.reshape(n, groups, 1), rstd.reshape(n, groups, 1)


@kernel(backend=LOOPS, composite=True)
def group_norm_backward(k, dy, x, weight, mean, rstd):
    """Call the loops on a row for each group of channels of each sample."""
    each = max(1, x.size // max(1, x.shape[0] * x.shape[1]))
    rows = [c_order(k, a).reshape(mean.size, x.size // max(1, mean.size)) for a in (dy, x)]
    stats = [line(k, a) for a in (mean, rstd)]
    dweight, dbias = k.group_norm_weight_loop(*rows, *stats, each, x.shape[1])
    return k.group_norm_backward_loop(*rows, weight, *stats, each).reshape(x.shape), dweight, dbias


@kernel(
    name="instance_norm_update_loop",
    backend=LOOPS,
    out=lambda *_: [],
    writes="running_mean running_var",
    flops=lambda x, *_: 4 * x.size,
)
def row_norm_update(x, running_mean, running_var, momentum):
    """Move running statistics by `momentum` to the means over samples of a row's mean and unbiased variance."""
    channels, n = running_mean.size, x.shape[1]
    samples = x.shape[0] // max(1, channels)
    for c in prange(channels if x.size > 0 else 0):
        centre, spread = 0.0, 0.0
        for b in range(samples):
            m, v = moments(x, b * channels + c)
            centre, spread = centre + m / samples, spread + v * (n / max(1, n - 1)) / samples
        running_mean[c] += momentum * (centre - running_mean[c])
        running_var[c] += momentum * (spread - running_var[c])


@kernel(backend=LOOPS, composite=True)
def instance_norm_update(k, x, running_mean, running_var, momentum):
    """Call the loop on a row for each channel of each sample."""
    rows = x.shape[0] * x.shape[1]
    lines = c_order(k, x).reshape(rows, x.size // max(1, rows))
    return k.instance_norm_update_loop(lines, running_mean, running_var, momentum)


@kernel(backend=LOOPS, composite=True)
def layer_norm_forward(k, x, weight, bias, axes, eps):
    """Call the loop on a row for each sample, where every number has a weight of its own."""
    outer = x.shape[: x.ndim - axes]
    rows = c_order(k, x).reshape(math.prod(outer), math.prod(x.shape[x.ndim - axes :]))
    y, mean, rstd = k.group_norm_forward_loop(rows, line(k, weight), line(k, bias), 1, eps)
    return y.reshape(x.shape), mean.reshape(*outer, *[1] * axes), rstd.reshape(*outer, *[1] * axes)


@kernel(backend=LOOPS, composite=True)
def layer_norm_backward(k, dy, x, weight, mean, rstd, axes):
    """Call the loops on a row for each sample, where every number has a weight of its own."""
    inner = x.shape[x.ndim - axes :]
    rows = [c_order(k, a).reshape(mean.size, math.prod(inner)) for a in (dy, x)]
    stats = [line(k, a) for a in (mean, rstd)]
    dweight, dbias = k.group_norm_weight_loop(*rows, *stats, 1, math.prod(inner))
    dx = k.group_norm_backward_loop(*rows, line(k, weight), *stats, 1)
    return dx.reshape(x.shape), dweight.reshape(inner), dbias.reshape(inner)


def c_order(k, x):
    """Return the array in C order in memory."""
    return laid(k, x, tuple(range(x.ndim)))
