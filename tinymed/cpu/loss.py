"""Losses on the CPU: one pass forward, one backward; sums run in a fixed number of pieces, in float64."""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import inline, serial
from .norm import ABSENT, single
from .smooth import exp, sigmoid
from .softmax import exponentials, in_order, peak

f4, f8 = np.float32, np.float64
PIECES, GRAIN = 64, 4096  # at most so many pieces, of at least so many elements
LARGEST, SMALLEST = f4(100), f4(1e-12)  # see ops/loss.py


def pieces(x: Any, *_: Any) -> list[Any]:
    """Partial sums in float64."""
    return [((max(1, min(PIECES, x.size // GRAIN)), 2), np.float64)]


def full(k: Any, x: Any, weight: Any) -> Any:
    """A weight of every element, or the stand-in for None."""
    return ABSENT if weight is None else k.xp.broadcast_to(weight, x.shape)


def share(size: int, reduction: str) -> float:
    """What the sum is multiplied by."""
    return 1.0 if reduction == "sum" else 1.0 / size if size else float("nan")


@serial
def add_pieces(partial: Any) -> None:
    """Leave the totals in the first piece."""
    for t in range(1, partial.shape[0]):
        partial[0, 0] += partial[t, 0]
        partial[0, 1] += partial[t, 1]


# -------------------------------------------------------------------------------------------- binary cross-entropy


@inline
def log_at_least(x: Any) -> Any:
    """log(x), at least -100; NaN of NaN."""
    return max(np.log(x), -LARGEST)


@inline
def bce(p: Any, t: Any) -> Any:
    """-(t log p + (1 - t) log(1 - p)) with clamped logarithms."""
    return -t * log_at_least(p) - (f4(1) - t) * max(np.log1p(-p), -LARGEST)


@inline
def log1p_unit(z: Any) -> Any:
    """log(1 + z) for 0 <= z <= 1 = 2 atanh(z / (2 + z)), by its series: LLVM vectorises it, and cannot libm's."""
    s = z / (f4(2) + z)
    q = s * s
    p = f4(2 / 15) * q + f4(2 / 13)
    p = p * q + f4(2 / 11)
    p = p * q + f4(2 / 9)
    p = p * q + f4(2 / 7)
    p = p * q + f4(2 / 5)
    p = p * q + f4(2 / 3)
    return s * (p * q + f4(2))


@inline
def bce_logits(x: Any, t: Any, q: Any) -> Any:
    """(1 - t) x + (1 + (q - 1) t) softplus(-x)."""
    softplus = max(-x, f4(0)) + log1p_unit(exp(-abs(x)))
    return (f4(1) - t) * x + (f4(1) - t + q * t) * softplus


@kernel(backend="numba", composite=True, when=single)
def binary_cross_entropy_forward(k: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_each for reduction "none", else bce_sum."""
    weight = full(k, x, weight)
    if reduction == "none":
        return k.bce_each(x, target, weight)
    return k.bce_sum(x, target, weight, share(x.size, reduction))


@kernel(backend="numba", flat="y x target weight", out=lambda x, *_: [x.shape], flops=lambda x, *_: 8 * x.size)
def bce_each(y: Any, x: Any, target: Any, weight: Any) -> None:
    """y = weight (-target ln x - (1 - target) ln(1 - x)), logarithms at least -100."""
    for i in prange(x.size):
        y[i] = bce(x[i], target[i]) * (weight[i] if weight.size > 0 else f4(1))


@kernel(backend="numba", flat="y x target weight", out=lambda *_: [()], work=pieces, flops=lambda x, *_: 8 * x.size)
def bce_sum(y: Any, partial: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_each gives, in float64 pieces."""
    parts = partial.shape[0]
    for part in prange(parts):
        total = 0.0
        for i in range(part * x.size // parts, (part + 1) * x.size // parts):
            total += f8(bce(x[i], target[i]) * (weight[i] if weight.size > 0 else f4(1)))
        partial[part, 0], partial[part, 1] = total, 0.0
    add_pieces(partial)
    y[0] = partial[0, 0] * f8(scale)


@kernel(backend="numba", composite=True, when=single)
def binary_cross_entropy_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_gradient, scaled by 1 / size for a mean."""
    scale = share(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_gradient(dy, x, target, full(k, x, weight), scale)


@kernel(
    backend="numba", flat="dx dy x target weight", out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 6 * x.size
)
def bce_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """dx = dy scale weight (x - target) / max(x (1 - x), 1e-12)."""
    step = 1 if dy.size == x.size else 0  # a reduced loss has one gradient for all elements
    for i in prange(x.size):
        g = dy[i * step] * scale * (weight[i] if weight.size > 0 else f4(1))
        dx[i] = g * (x[i] - target[i]) / max(x[i] * (f4(1) - x[i]), SMALLEST)


@kernel(backend="numba", composite=True, when=single)
def bce_with_logits_forward(k: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_each for reduction "none", else bce_logits_sum."""
    weight, pos_weight = full(k, x, weight), full(k, x, pos_weight)
    if reduction == "none":
        return k.bce_logits_each(x, target, weight, pos_weight)
    return k.bce_logits_sum(x, target, weight, pos_weight, share(x.size, reduction))


@kernel(backend="numba", flat="y x target weight pos_weight", out=lambda x, *_: [x.shape],
        flops=lambda x, *_: 8 * x.size)  # fmt: skip
def bce_logits_each(y: Any, x: Any, target: Any, weight: Any, pos_weight: Any) -> None:
    """y = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1."""
    for i in prange(x.size):
        q = pos_weight[i] if pos_weight.size > 0 else f4(1)
        y[i] = bce_logits(x[i], target[i], q) * (weight[i] if weight.size > 0 else f4(1))


@kernel(backend="numba", flat="y x target weight pos_weight", out=lambda *_: [()], work=pieces,
        flops=lambda x, *_: 8 * x.size)  # fmt: skip
def bce_logits_sum(y: Any, partial: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_logits_each gives, in float64 pieces."""
    parts = partial.shape[0]
    for part in prange(parts):
        total = 0.0
        for i in range(part * x.size // parts, (part + 1) * x.size // parts):
            q = pos_weight[i] if pos_weight.size > 0 else f4(1)
            total += f8(bce_logits(x[i], target[i], q) * (weight[i] if weight.size > 0 else f4(1)))
        partial[part, 0], partial[part, 1] = total, 0.0
    add_pieces(partial)
    y[0] = partial[0, 0] * f8(scale)


@kernel(backend="numba", composite=True, when=single)
def bce_with_logits_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_gradient, scaled by 1 / size for a mean."""
    scale = share(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_logits_gradient(dy, x, target, full(k, x, weight), full(k, x, pos_weight), scale)


@kernel(backend="numba", flat="dx dy x target weight pos_weight", out=lambda dy, x, *_: [x.shape],
        flops=lambda dy, x, *_: 8 * x.size)  # fmt: skip
def bce_logits_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """dx = dy scale weight ((1 - t + q t) sigmoid(x) - q t), t = target, q = pos_weight or 1."""
    step = 1 if dy.size == x.size else 0
    for i in prange(x.size):
        positive = target[i] * (pos_weight[i] if pos_weight.size > 0 else f4(1))
        g = dy[i * step] * scale * (weight[i] if weight.size > 0 else f4(1))
        dx[i] = g * ((f4(1) - target[i] + positive) * sigmoid(x[i]) - positive)


# ------------------------------------------------------------------------------------------- softmax cross-entropy


def line(k: Any, a: Any) -> Any:
    """An array over pixels in C order, as one line (a view); None as its stand-in."""
    return ABSENT if a is None else in_order(k, a, tuple(range(a.ndim))).reshape(-1)


@kernel(backend="numba", composite=True, when=single)
def cross_entropy_forward(k: Any, x: Any, target: Any, weight: Any, weight_map: Any, ignore_index: int,
                          smoothing: float, reduction: str) -> Any:  # fmt: skip
    """cross_entropy_rows on pixels as rows; gives its loss or reduced value, lse, and the sum of the weights."""
    weight = ABSENT if weight is None else weight
    loss, lse, value, total = k.cross_entropy_rows(x, line(k, target), weight, line(k, weight_map), ignore_index,
                                                   smoothing, reduction == "mean")  # fmt: skip
    return (loss.reshape(target.shape) if reduction == "none" else value), lse.reshape(target.shape), total


def rows_out(x: Any, target: Any, *_: Any) -> list[tuple[int, ...]]:
    """Loss and log sum exp of each pixel, the reduced loss, the sum of the weights."""
    return [target.shape, target.shape, (), ()]


@serial
def row_loss(x: Any, row: Any, t: Any, weight: Any, smoothing: Any) -> Any:
    """(log sum exp, the weight of class t, the loss) of one pixel's scores."""
    top = peak(x)
    log_total = f4(np.log(exponentials(row, x, top)))
    share = weight[t] if weight.size > 0 else f4(1)
    loss = share * (log_total - (x[t] - top))
    if smoothing > 0:
        even = f4(0)
        for j in range(x.size):
            even += (weight[j] if weight.size > 0 else f4(1)) * (log_total - (x[j] - top))
        loss = (f4(1) - smoothing) * loss + smoothing / f4(x.size) * even
    return top + log_total, share, loss


@kernel(backend="numba", rows="x", out=rows_out, flops=lambda x, *_: 5 * x.size,
        work=lambda x, *_: [*pieces(x), (pieces(x)[0][0][0], x.shape[1])])  # fmt: skip
def cross_entropy_rows(
    loss: Any,
    lse: Any,
    value: Any,
    total: Any,
    partial: Any,
    row: Any,
    x: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """loss = map * row_loss, 0 where ignored, inf for no class; value = their sum, mean: / total = sum of map w[t]."""
    n, parts = x.shape[0], partial.shape[0]
    for part in prange(parts):
        losses, shares = 0.0, 0.0
        for i in range(part * n // parts, (part + 1) * n // parts):
            t = target[i]
            counts, known = t != ignore_index, 0 <= t < x.shape[1]
            lse[i], share, loss[i] = row_loss(x[i], row[part], t if known else 0, weight, smoothing)
            used = (weight_map[i] if weight_map.size > 0 else f4(1)) if counts else f4(0)
            loss[i] = (
                f4(0) if not counts else loss[i] * used if known else f4(np.inf)
            )  # no class: loud, and no wild read
            losses += f8(loss[i])
            shares += f8(share * used)
        partial[part, 0], partial[part, 1] = losses, shares
    add_pieces(partial)
    total[()] = partial[0, 1]
    value[()] = partial[0, 0] / partial[0, 1] if mean else partial[0, 0]


@kernel(backend="numba", composite=True, when=single)
def cross_entropy_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, weight_map: Any, lse: Any, total: Any,
                           ignore_index: int, smoothing: float, reduction: str) -> Any:  # fmt: skip
    """cross_entropy_gradient on pixels as rows."""
    weight = ABSENT if weight is None else weight
    return k.cross_entropy_gradient(x, line(k, dy), line(k, target), weight, line(k, weight_map), line(k, lse), total,
                                    ignore_index, smoothing, reduction == "mean")  # fmt: skip


@serial
def row_gradient(dx: Any, x: Any, lse: Any, t: Any, weight: Any, smoothing: Any, g: Any) -> None:
    """dx = g ((1 - e) w[t] (p - 1[t]) + e / C (p sum w - w)) with p = exp(x - lse)."""
    share, spread = (f4(1) - smoothing) * (weight[t] if weight.size > 0 else f4(1)), smoothing / f4(x.size)
    weights = f4(0)
    for j in range(weight.size):
        weights += weight[j]
    even = spread * (weights if weight.size > 0 else f4(x.size))
    for j in range(x.size):
        w = weight[j] if weight.size > 0 else f4(1)
        dx[j] = g * ((share + even) * exp(x[j] - lse) - spread * w)
    dx[t] -= g * share


@kernel(backend="numba", rows="dx x", out=lambda x, *_: [x.shape], flops=lambda x, *_: 4 * x.size)
def cross_entropy_gradient(
    dx: Any,
    x: Any,
    dy: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    lse: Any,
    total: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """dx = row_gradient with g = dy map, mean: / total; 0 where the target is ignored or no class."""
    n = x.shape[0]
    step = 1 if dy.size == n else 0
    scale = f4(1) / total[()] if mean else f4(1)
    for part in prange(PIECES):
        for i in range(part * n // PIECES, (part + 1) * n // PIECES):
            if target[i] == ignore_index or target[i] < 0 or target[i] >= x.shape[1]:
                dx[i, :] = f4(0)
            else:
                g = dy[i * step] * scale * (weight_map[i] if weight_map.size > 0 else f4(1))
                row_gradient(dx[i], x[i], lse[i], target[i], weight, smoothing, g)
