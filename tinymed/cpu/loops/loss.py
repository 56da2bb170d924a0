"""Losses: that of each element or pixel in a loop, then, of classification, their sum or mean.

Logits come as [pixel, class]; what there is one of for each pixel as one line.
"""

import math

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...ops.binary_loss import LARGEST, SMALLEST
from .smooth import log_one_plus_exp, logistic
from .softmax import largest
from .views import each, large, line

# -------------------------------------------------------------------------------------------- binary cross-entropy


@njit
def log_clamped(p):
    """Return ln p, at least -100; NaN stays NaN."""
    value = math.log(p)
    return -LARGEST if value < -LARGEST else value


@each("x target weight")
def binary_cross_entropy_each(y, x, target, weight):
    """y = weight (-target ln x - (1 - target) ln(1 - x)), logarithms at least -100."""
    for i in prange(x.size):
        loss = -target[i] * log_clamped(x[i]) - (1 - target[i]) * log_clamped(1 - x[i])
        y[i] = loss if weight is None else weight[i] * loss


@each("dy x target weight", out="dx")
def binary_cross_entropy_slope(dx, dy, x, target, weight):
    """dx = dy weight (x - target) / max(x (1 - x), 1e-12)."""
    for i in prange(x.size):
        slope = (x[i] - target[i]) / max(x[i] * (1 - x[i]), SMALLEST)
        dx[i] = dy[i] * slope if weight is None else dy[i] * weight[i] * slope


@each("dy x weight", out="dtarget")
def binary_cross_entropy_target(dtarget, dy, x, weight):
    """dtarget = dy weight (ln(1 - x) - ln x), logarithms at least -100."""
    for i in prange(x.size):
        slope = log_clamped(1 - x[i]) - log_clamped(x[i])
        dtarget[i] = dy[i] * slope if weight is None else dy[i] * weight[i] * slope


@each("x target weight pos_weight")
def bce_with_logits_each(y, x, target, weight, pos_weight):
    """y = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1."""
    for i in prange(x.size):
        positive = target[i] if pos_weight is None else pos_weight[i] * target[i]
        loss = (1 - target[i]) * x[i] + (1 - target[i] + positive) * log_one_plus_exp(-x[i])
        y[i] = loss if weight is None else weight[i] * loss


@each("dy x target weight pos_weight", out="dx")
def bce_with_logits_slope(dx, dy, x, target, weight, pos_weight):
    """dx = dy weight ((1 - t + q t) sigmoid(x) - q t), t = target, q = pos_weight or 1."""
    for i in prange(x.size):
        positive = target[i] if pos_weight is None else pos_weight[i] * target[i]
        slope = (1 - target[i] + positive) * logistic(x[i]) - positive
        dx[i] = dy[i] * slope if weight is None else dy[i] * weight[i] * slope


@each("dy x weight pos_weight", out="dtarget")
def bce_with_logits_target(dtarget, dy, x, weight, pos_weight):
    """dtarget = dy weight ((q - 1) ln(1 + e^-x) - x), q = pos_weight or 1."""
    for i in prange(x.size):
        slope = -x[i] if pos_weight is None else (pos_weight[i] - 1) * log_one_plus_exp(-x[i]) - x[i]
        dtarget[i] = dy[i] * slope if weight is None else dy[i] * weight[i] * slope


# ------------------------------------------------------------------------------------------------- cross-entropy


@kernel(
    backend=LOOPS,
    rows="x",
    out=lambda x, target, *_: [target.shape] * 3,
    flops=lambda x, *_: 5 * x.size,
)
def cross_entropy_pixels(loss, log_total, share, x, target, weight, weight_map, ignore_index, smoothing):
    """loss = m ((1 - e) w[t] nll[t] + e / C sum w nll), nll = log_total - (x - max x); share = m w[t]."""
    for p in prange(x.shape[0]):
        top, total, even = largest(x, p), 0.0, 0.0
        for c in range(x.shape[1]):
            total += math.exp(x[p, c] - top)
        log_total[p] = math.log(total)
        t, m = target[p], 1.0 if weight_map is None else weight_map[p]
        known = 0 <= t < x.shape[1] and t != ignore_index
        share[p] = m * (1.0 if weight is None else weight[t]) if known else 0.0
        loss[p] = (1 - smoothing) * share[p] * (log_total[p] - (x[p, t] - top)) if known else 0.0
        if smoothing > 0 and t != ignore_index:
            for c in range(x.shape[1]):
                even += (log_total[p] - (x[p, c] - top)) * (1.0 if weight is None else weight[c])
            loss[p] += m * even * smoothing / x.shape[1]


@kernel(
    backend=LOOPS,
    rows="dx x",
    out=lambda dy, x, *_: [x.shape],
    flops=lambda dy, x, *_: 4 * x.size,
)
def cross_entropy_slope(dx, dy, x, target, weight, weight_map, log_total, ignore_index, smoothing):
    """dx = dy m ((1 - e) w[t] (p - 1[t]) + e / C (p sum(w) - w)), p = e^(x - max x - log_total), m = map."""
    weights = float(x.shape[1])
    if weight is not None:
        weights = 0.0
        for c in range(x.shape[1]):
            weights += weight[c]
    for p in prange(x.shape[0]):
        top, t, m = largest(x, p), target[p], dy[p] * (1.0 if weight_map is None else weight_map[p])
        known = 0 <= t < x.shape[1]
        share = (1 - smoothing) * (1.0 if weight is None else weight[t]) if known else 0.0
        for c in range(x.shape[1]):
            probability = math.exp((x[p, c] - top) - log_total[p])
            even = smoothing / x.shape[1] * (probability * weights - (1.0 if weight is None else weight[c]))
            slope = share * (probability - (1 if c == t else 0)) + even
            dx[p, c] = 0 if t == ignore_index else m * slope


@kernel(backend=LOOPS, rows="x", out=lambda x, target, *_: [target.shape] * 2, flops=lambda x, *_: 2 * x.size)
def nll_loss_pixels(loss, share, x, target, weight, ignore_index):
    """loss = -w[t] x[t], share = w[t], both 0 where t = ignore_index."""
    for p in prange(x.shape[0]):
        t = target[p]
        known = 0 <= t < x.shape[1] and t != ignore_index
        share[p] = (1.0 if weight is None else weight[t]) if known else 0.0
        loss[p] = -share[p] * x[p, t] if known else 0.0


@kernel(backend=LOOPS, rows="dx x", out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 2 * x.size)
def nll_loss_slope(dx, dy, x, target, weight, ignore_index):
    """dx[c] = -dy w[t] where c = t, else 0, also where t = ignore_index."""
    for p in prange(x.shape[0]):
        t = target[p]
        for c in range(x.shape[1]):
            chosen = c == t and t != ignore_index
            dx[p, c] = -dy[p] * (1.0 if weight is None else weight[c]) if chosen else 0.0


# ------------------------------------------------------------------------------------------------ reduced losses


def reduced(k, loss, reduction, count):
    """Return the losses, their sum, or their sum / count, where count is a number or an array of one element."""
    if reduction == "none":
        return loss
    total = k.sum_forward(loss, tuple(range(loss.ndim)))
    return total if reduction == "sum" else k.div(total, count)


def spread(k, dy, reduction, count):
    """Return the gradient of every loss, of which one number stands for all unless reduction is "none"."""
    return k.div(dy, count) if reduction == "mean" else dy


@kernel(backend=LOOPS, composite=True)
def binary_cross_entropy_forward(k, x, target, weight, reduction):
    """Reduce the loss of each element."""
    return reduced(k, k.binary_cross_entropy_each(x, target, weight), reduction, float(x.size))


@kernel(backend=LOOPS, composite=True)
def binary_cross_entropy_backward(k, dy, x, target, weight, reduction):
    """Spread dy over the elements."""
    return k.binary_cross_entropy_slope(spread(k, dy, reduction, float(max(1, x.size))), x, target, weight)


@kernel(backend=LOOPS, composite=True)
def binary_cross_entropy_backward_target(k, dy, x, weight, reduction):
    """Spread dy over the elements."""
    return k.binary_cross_entropy_target(spread(k, dy, reduction, float(max(1, x.size))), x, weight)


@kernel(backend=LOOPS, composite=True)
def bce_with_logits_forward(k, x, target, weight, pos_weight, reduction):
    """Reduce the loss of each element."""
    return reduced(k, k.bce_with_logits_each(x, target, weight, pos_weight), reduction, float(x.size))


@kernel(backend=LOOPS, composite=True)
def bce_with_logits_backward(k, dy, x, target, weight, pos_weight, reduction):
    """Spread dy over the elements."""
    return k.bce_with_logits_slope(spread(k, dy, reduction, float(max(1, x.size))), x, target, weight, pos_weight)


@kernel(backend=LOOPS, composite=True)
def bce_with_logits_backward_target(k, dy, x, weight, pos_weight, reduction):
    """Spread dy over the elements."""
    return k.bce_with_logits_target(spread(k, dy, reduction, float(max(1, x.size))), x, weight, pos_weight)


@kernel(backend=LOOPS, composite=True)
def cross_entropy_forward(k, x, target, weight, weight_map, ignore_index, smoothing, reduction):
    """Reduce the loss of each pixel; also log_total, and the sum of the shares."""
    lines = line(k, target), weight, line(k, weight_map)
    loss, log_total, share = k.cross_entropy_pixels(x, *lines, ignore_index, float(smoothing))
    total = k.sum_forward(share, (0,))
    return reduced(k, loss.reshape(target.shape), reduction, total), log_total.reshape(target.shape), total


@kernel(backend=LOOPS, composite=True)
def cross_entropy_backward(k, dy, x, target, weight, weight_map, log_total, total, ignore_index, smoothing, reduction):
    """Spread dy over the pixels."""
    dy = line(k, np.broadcast_to(spread(k, dy, reduction, total), target.shape))
    lines = line(k, target), weight, line(k, weight_map), line(k, log_total)
    return k.cross_entropy_slope(dy, x, *lines, ignore_index, float(smoothing))


@kernel(backend=LOOPS, composite=True, worth=large)
def nll_loss_forward(k, x, target, weight, ignore_index, reduction):
    """Reduce the loss of each pixel; also the sum of the shares."""
    loss, share = k.nll_loss_pixels(x, line(k, target), weight, ignore_index)
    total = k.sum_forward(share, (0,))
    return reduced(k, loss.reshape(target.shape), reduction, total), total


@kernel(backend=LOOPS, composite=True, worth=lambda dy, x, *_: large(x))
def nll_loss_backward(k, dy, x, target, weight, total, ignore_index, reduction):
    """Spread dy over the pixels."""
    dy = line(k, np.broadcast_to(spread(k, dy, reduction, total), target.shape))
    return k.nll_loss_slope(dy, x, line(k, target), weight, ignore_index)


# ------------------------------------------------------------------------------------------------------ regression


@njit
def cut(d, delta):
    """Return min(max(d, -delta), delta); NaN stays NaN."""
    return -delta if d < -delta else delta if d > delta else d


@kernel(backend=LOOPS, flat="y a b")
def huber_forward(y, a, b, delta):
    """y = c (d - c / 2), d = a - b, c = min(max(d, -delta), delta)."""
    for i in prange(y.size):
        d = a[i] - b[i]
        c = cut(d, delta)
        y[i] = c * (d - c / 2)


@kernel(backend=LOOPS, flat="da dy a b")
def huber_backward(da, dy, a, b, delta):
    """da = dy min(max(a - b, -delta), delta)."""
    for i in prange(dy.size):
        da[i] = dy[i] * cut(a[i] - b[i], delta)
