"""Losses on the CPU: one pass forward, one backward; sums run in a fixed number of pieces, in float64.

Softmax cross-entropy takes pixels as rows of scores, a strip at a time while it is in the L1 cache.
"""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .compiler.jit import inline, serial
from .simd.elementary import exp, log, sigmoid, softplus
from .simd.reductions import row_max, row_sum
from .softmax import column_logs, columns_to_rows, exponentials, rows_to_columns, shift_columns

f4, f8 = np.float32, np.float64
PIECES, GRAIN = 64, 4096  # at most so many pieces, of at least so many elements
STRIP = 1024  # losses computed at once, in the first cache, and then summed: neither loop waits for the other
LARGEST, SMALLEST = 100.0, 1e-12  # see ops/binary_loss.py


def pieces(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: partial sums in float64."""
    return [((max(1, min(PIECES, x.size // GRAIN)), 2), np.float64)]


def strips(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: partial sums in float64, and the losses of a strip of each piece."""
    return [*pieces(x), (pieces(x)[0][0][0], STRIP)]


@serial
def add_pieces(partial: Any) -> None:
    """Leave the totals in the first piece."""
    for t in range(1, partial.shape[0]):
        partial[0, 0] += partial[t, 0]
        partial[0, 1] += partial[t, 1]


# -------------------------------------------------------------------------------------------- binary cross-entropy


@inline
def log_at_least(x: Any) -> Any:
    """Return log(x), at least -100; NaN of NaN."""
    return max(log(x), -f4(LARGEST))


@inline
def bce(p: Any, t: Any) -> Any:
    """-(t log p + (1 - t) log(1 - p)) with clamped logarithms."""
    q = f4(1) - p
    lost = ((f4(1) - q) - p) / max(q, f4(SMALLEST))  # what rounding 1 - p left out, to first order
    return -t * log_at_least(p) - (f4(1) - t) * max(log(q) + lost, -f4(LARGEST))


@inline
def bce_logits(x: Any, t: Any, q: Any) -> Any:
    """(1 - t) x + (1 + (q - 1) t) softplus(-x)."""
    return (f4(1) - t) * x + (f4(1) - t + q * t) * softplus(-x)


@kernel(
    backend="numba",
    double="numba",
    flat="y x target weight",
    out=lambda x, *_: [x.shape],
    flops=lambda x, *_: 8 * x.size,
)
def bce_each(y: Any, x: Any, target: Any, weight: Any) -> None:
    """y = weight (-target ln x - (1 - target) ln(1 - x)), logarithms at least -100."""
    for i in prange(x.size):
        y[i] = bce(x[i], target[i]) * (weight[i] if weight.size > 0 else f4(1))


@serial
def bce_piece(line: Any, x: Any, target: Any, weight: Any, first: Any, last: Any) -> Any:
    """Return the sum over elements first to last."""
    loss = 0.0
    for a in range(first, last, line.size):
        e = min(a + line.size, last)
        here, xe, te, we = line[: e - a], x[a:e], target[a:e], weight[a:e]
        for i in range(here.size):
            here[i] = bce(xe[i], te[i]) * (we[i] if weight.size > 0 else f4(1))
        loss += row_sum(here)
    return loss


@kernel(
    backend="numba",
    double="numba",
    flat="y x target weight",
    out=lambda *_: [()],
    work=strips,
    flops=lambda x, *_: 8 * x.size,
)
def bce_sum(y: Any, partial: Any, lines: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_each gives, in float64 pieces."""
    partitions = partial.shape[0]
    for part in prange(partitions):
        first, last = part * x.size // partitions, (part + 1) * x.size // partitions
        partial[part, 0], partial[part, 1] = bce_piece(lines[part], x, target, weight, first, last), 0.0
    add_pieces(partial)
    y[0] = partial[0, 0] * f8(scale)


@kernel(
    backend="numba",
    double="numba",
    flat="dx dy x target weight",
    out=lambda dy, x, *_: [x.shape],
    flops=lambda dy, x, *_: 6 * x.size,
)
def bce_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """dx = dy scale weight (x - target) / max(x (1 - x), 1e-12)."""
    step = 1 if dy.size == x.size else 0  # a reduced loss has one gradient for all elements
    for i in prange(x.size):
        g = dy[i * step] * scale * (weight[i] if weight.size > 0 else f4(1))
        dx[i] = g * (x[i] - target[i]) / max(x[i] * (f4(1) - x[i]), f4(SMALLEST))


@kernel(
    backend="numba",
    double="numba",
    flat="y x target weight pos_weight",
    out=lambda x, *_: [x.shape],
    flops=lambda x, *_: 8 * x.size,
)
def bce_logits_each(y: Any, x: Any, target: Any, weight: Any, pos_weight: Any) -> None:
    """y = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1."""
    for i in prange(x.size):
        q = pos_weight[i] if pos_weight.size > 0 else f4(1)
        y[i] = bce_logits(x[i], target[i], q) * (weight[i] if weight.size > 0 else f4(1))


@serial
def bce_logits_piece(line: Any, x: Any, target: Any, weight: Any, pos_weight: Any, first: Any, last: Any) -> Any:
    """Return the sum over elements first to last."""
    loss = 0.0
    for a in range(first, last, line.size):
        e = min(a + line.size, last)
        here, xe, te, we, qe = line[: e - a], x[a:e], target[a:e], weight[a:e], pos_weight[a:e]
        for i in range(here.size):
            q = qe[i] if pos_weight.size > 0 else f4(1)
            here[i] = bce_logits(xe[i], te[i], q) * (we[i] if weight.size > 0 else f4(1))
        loss += row_sum(here)
    return loss


@kernel(
    backend="numba",
    double="numba",
    flat="y x target weight pos_weight",
    out=lambda *_: [()],
    work=strips,
    flops=lambda x, *_: 8 * x.size,
)
def bce_logits_sum(
    y: Any, partial: Any, lines: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any
) -> None:
    """y = scale times the sum of what bce_logits_each gives, in float64 pieces."""
    partitions = partial.shape[0]
    for part in prange(partitions):
        first, last = part * x.size // partitions, (part + 1) * x.size // partitions
        partial[part, 0] = bce_logits_piece(lines[part], x, target, weight, pos_weight, first, last)
        partial[part, 1] = 0.0
    add_pieces(partial)
    y[0] = partial[0, 0] * f8(scale)


@kernel(
    backend="numba",
    double="numba",
    flat="dx dy x target weight pos_weight",
    out=lambda dy, x, *_: [x.shape],
    flops=lambda dy, x, *_: 8 * x.size,
)
def bce_logits_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """dx = dy scale weight ((1 - t + q t) sigmoid(x) - q t), t = target, q = pos_weight or 1."""
    step = 1 if dy.size == x.size else 0
    for i in prange(x.size):
        positive = target[i] * (pos_weight[i] if pos_weight.size > 0 else f4(1))
        g = dy[i * step] * scale * (weight[i] if weight.size > 0 else f4(1))
        dx[i] = g * ((f4(1) - target[i] + positive) * sigmoid(x[i]) - positive)


# ------------------------------------------------------------------------------------- softmax cross-entropy

LONG = 32  # classes from which rows are long enough for vectors


def rows_out(x: Any, target: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the pixels' losses and log sum exp, of the reduced loss, and of the sum of the weights."""
    return [target.shape, target.shape, (), ()]


def row_strips(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: partial sums, and per piece four strips: numbers of some rows, and three for each row."""
    partitions = pieces(x)[0][0][0]
    return [*pieces(x), (partitions, 4, max(STRIP, x.shape[1]))]


# A row of few classes is too short for vectors: rows become columns, a strip at a time.


@serial
def column_losses(loss: Any, target_weight: Any, z: Any, logs: Any, target: Any, weight: Any, smoothing: Any) -> None:
    """loss = w[t] (log sum exp - x[t]) of each row, smoothed;  target_weight = w[t]."""
    rows, c = loss.size, z.size // loss.size
    loss[:] = 0
    target_weight[:] = 0
    for j in range(c):
        column, w = z[j * rows : (j + 1) * rows], weight[j] if weight.size > 0 else f4(1)
        for i in range(rows):
            one, before = w * (logs[i] - column[i]), loss[i]
            loss[i] = one if target[i] == j else before
        for i in range(rows):
            before = target_weight[i]
            target_weight[i] = w if target[i] == j else before
    if smoothing > 0:
        for i in range(rows):
            loss[i] *= f4(1) - smoothing
        for j in range(c):
            column, w = z[j * rows : (j + 1) * rows], weight[j] if weight.size > 0 else f4(1)
            for i in range(rows):
                loss[i] += smoothing / f4(c) * (w * (logs[i] - column[i]))


# A row of many classes is summed several numbers at a time.


@serial
def row_losses(
    loss: Any, target_weight: Any, top: Any, logs: Any, z: Any, x: Any, target: Any, weight: Any, smoothing: Any
) -> None:
    """Compute column_losses for long rows x; leave their maxima, and the logarithms of what is left of their sums."""
    rows, c = x.shape
    for i in range(rows):
        row, shifted, t = x[i], z[:c], target[i]
        top[i] = row_max(row)
        logs[i] = f4(np.log(exponentials(shifted, row, top[i])))
        target_weight[i] = loss[i] = f4(0)
        if 0 <= t < c:
            target_weight[i] = weight[t] if weight.size > 0 else f4(1)
            loss[i] = target_weight[i] * (logs[i] - (row[t] - top[i]))
        if smoothing > 0:
            even = f4(0)
            for j in range(c):
                even += (weight[j] if weight.size > 0 else f4(1)) * (logs[i] - (row[j] - top[i]))
            loss[i] = (f4(1) - smoothing) * loss[i] + smoothing / f4(c) * even


@serial
def apply_pixel_weights(loss: Any, target_weight: Any, c: Any, target: Any, weight_map: Any, ignore_index: Any) -> None:
    """Multiply loss and target_weight by the pixels' weights: 0 where ignored; an infinite loss where t is no class."""
    for i in range(loss.size):
        t = target[i]
        by = f4(0) if t == ignore_index else weight_map[i] if weight_map.size > 0 else f4(1)
        one = loss[i] * by if 0 <= t < c else f4(np.inf)
        loss[i] = f4(0) if t == ignore_index else one
        target_weight[i] *= by


@kernel(backend="numba", double="numba", rows="x", out=rows_out, flops=lambda x, *_: 5 * x.size, work=row_strips)
def cross_entropy_rows(
    loss: Any,
    log_total: Any,
    value: Any,
    sum_weights: Any,
    partial: Any,
    strips: Any,
    x: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """loss = map * the loss of a row, 0 where ignored; value = their sum, mean: / sum_weights = sum of map w[t].

    log_total = ln sum e^(x - max x) of a row.
    """
    (n, c), partitions = x.shape, partial.shape[0]
    step = max(1, STRIP // max(1, c))
    for part in prange(partitions):
        losses, weight_total, last = 0.0, 0.0, (part + 1) * n // partitions
        for a in range(part * n // partitions, last, step):
            e = min(a + step, last)
            z, top, target_weight = strips[part, 0, : (e - a) * c], strips[part, 1, : e - a], strips[part, 2, : e - a]
            logs = log_total[a:e]
            if c < LONG:
                rows_to_columns(z, x[a:e])
                column_logs(top, logs, z)
                column_losses(loss[a:e], target_weight, z, logs, target[a:e], weight, smoothing)
            else:
                row_losses(loss[a:e], target_weight, top, logs, z, x[a:e], target[a:e], weight, smoothing)
            apply_pixel_weights(loss[a:e], target_weight, c, target[a:e], weight_map[a:e], ignore_index)
            losses += row_sum(loss[a:e])
            weight_total += row_sum(target_weight)
        partial[part, 0], partial[part, 1] = losses, weight_total
    add_pieces(partial)
    sum_weights[()] = partial[0, 1]
    value[()] = partial[0, 0] / partial[0, 1] if mean else partial[0, 0]


@serial
def weight_sum(weight: Any) -> Any:
    """Return the sum of the classes' weights; weight.sum() would be a parallel loop, which allocates."""
    total = 0.0
    for j in range(weight.size):
        total += f8(weight[j])
    return f4(total)


@serial
def column_gradients(
    dx: Any,
    z: Any,
    g: Any,
    target_weight: Any,
    top: Any,
    x: Any,
    log_total: Any,
    target: Any,
    weight: Any,
    weights: Any,
    smoothing: Any,
    ignore_index: Any,
) -> None:
    """Compute row_gradients for short rows, by columns."""
    rows, c = x.shape
    rows_to_columns(z, x)
    shift_columns(top, z)
    target_weight[:] = 1
    for j in range(c if weight.size > 0 else 0):
        for i in range(rows):
            target_weight[i] = weight[j] if target[i] == j else target_weight[i]
    spread = smoothing / f4(max(1, c))
    for j in range(c):
        column, w = z[j * rows : (j + 1) * rows], weight[j] if weight.size > 0 else f4(1)
        for i in range(rows):
            own = (f4(1) - smoothing) * target_weight[i]
            p = (own + spread * weights) * exp(column[i] - log_total[i]) - spread * w
            p = g[i] * (p - own if target[i] == j else p)
            column[i] = p if (target[i] >= 0) & (target[i] < c) & (target[i] != ignore_index) else f4(0)
    columns_to_rows(dx, z)


@serial
def row_gradients(
    dx: Any, g: Any, x: Any, log_total: Any, target: Any, weight: Any, weights: Any, smoothing: Any, ignore_index: Any
) -> None:
    """dx = g ((1 - e) w[t] (p - 1[t]) + e / C (p sum w - w)), p the softmax of a row; 0 where ignored or no class."""
    c = x.shape[1]
    for i in range(x.shape[0]):
        row, to, t = x[i], dx[i], target[i]
        if t == ignore_index or t < 0 or t >= c:
            to[:] = 0
        else:
            top = row_max(row)
            target_weight, spread = (f4(1) - smoothing) * (weight[t] if weight.size > 0 else f4(1)), smoothing / f4(c)
            for j in range(c):
                w = weight[j] if weight.size > 0 else f4(1)
                to[j] = g[i] * ((target_weight + spread * weights) * exp((row[j] - top) - log_total[i]) - spread * w)
            to[t] -= g[i] * target_weight


@kernel(
    backend="numba",
    double="numba",
    rows="dx x",
    out=lambda x, *_: [x.shape],
    flops=lambda x, *_: 4 * x.size,
    work=row_strips,
)
def cross_entropy_gradient(
    dx: Any,
    partial: Any,
    strips: Any,
    x: Any,
    dy: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    log_total: Any,
    total: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """dx = row_gradients with g = dy map, mean: / total; 0 where the target is ignored or no class."""
    (n, c), partitions = x.shape, partial.shape[0]
    step, stride = max(1, STRIP // max(1, c)), 1 if dy.size == n else 0
    scale = f4(1) / total[()] if mean else f4(1)
    weights = weight_sum(weight) if weight.size > 0 else f4(c)
    for part in prange(partitions):
        last = (part + 1) * n // partitions
        for a in range(part * n // partitions, last, step):
            e = min(a + step, last)
            z, g = strips[part, 0, : (e - a) * c], strips[part, 1, : e - a]
            for i in range(a, e):
                g[i - a] = dy[i * stride] * scale * (weight_map[i] if weight_map.size > 0 else f4(1))
            if c < LONG:
                column_gradients(
                    dx[a:e],
                    z,
                    g,
                    strips[part, 2, : e - a],
                    strips[part, 3, : e - a],
                    x[a:e],
                    log_total[a:e],
                    target[a:e],
                    weight,
                    weights,
                    smoothing,
                    ignore_index,
                )
            else:
                row_gradients(dx[a:e], g, x[a:e], log_total[a:e], target[a:e], weight, weights, smoothing, ignore_index)


# ------------------------------------------------------------------------------------------------------ regression


@kernel(backend="numba", flat="y a b")
def huber_forward(y: Any, a: Any, b: Any, delta: Any) -> None:
    """y = c (d - c / 2), d = a - b, c = min(max(d, -delta), delta)."""
    for i in prange(y.size):
        d = a[i] - b[i]
        c = -delta if d < -delta else delta if d > delta else d
        y[i] = c * (d - f4(0.5) * c)


@kernel(backend="numba", flat="da dy a b")
def huber_backward(da: Any, dy: Any, a: Any, b: Any, delta: Any) -> None:
    """da = dy min(max(a - b, -delta), delta)."""
    for i in prange(dy.size):
        d = a[i] - b[i]
        da[i] = dy[i] * (-delta if d < -delta else delta if d > delta else d)
