"""Losses on the CPU: one pass forward, one backward; sums run in a fixed number of pieces, in float64.

Cross-entropy over classes is in cross_entropy.py.
"""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .jit import inline, serial
from .norm import ABSENT, single
from .rows import total
from .smooth import log, sigmoid, softplus

f4, f8 = np.float32, np.float64
PIECES, GRAIN = 64, 4096  # at most so many pieces, of at least so many elements
STRIP = 1024  # losses computed at once, in the first cache, and then summed: neither loop waits for the other
LARGEST, SMALLEST = f4(100), f4(1e-12)  # see ops/loss.py


def pieces(x: Any, *_: Any) -> list[Any]:
    """Partial sums in float64."""
    return [((max(1, min(PIECES, x.size // GRAIN)), 2), np.float64)]


def strips(x: Any, *_: Any) -> list[Any]:
    """Partial sums in float64, and the losses of a strip of each piece."""
    return [*pieces(x), (pieces(x)[0][0][0], STRIP)]


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
    return max(log(x), -LARGEST)


@inline
def bce(p: Any, t: Any) -> Any:
    """-(t log p + (1 - t) log(1 - p)) with clamped logarithms."""
    q = f4(1) - p
    lost = ((f4(1) - q) - p) / max(q, SMALLEST)  # what rounding 1 - p left out, to first order
    return -t * log_at_least(p) - (f4(1) - t) * max(log(q) + lost, -LARGEST)


@inline
def bce_logits(x: Any, t: Any, q: Any) -> Any:
    """(1 - t) x + (1 + (q - 1) t) softplus(-x)."""
    return (f4(1) - t) * x + (f4(1) - t + q * t) * softplus(-x)


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


@serial
def bce_piece(line: Any, x: Any, target: Any, weight: Any, first: Any, last: Any) -> Any:
    """The sum over elements first to last."""
    loss = 0.0
    for a in range(first, last, line.size):
        e = min(a + line.size, last)
        here, xe, te, we = line[: e - a], x[a:e], target[a:e], weight[a:e]
        for i in range(here.size):
            here[i] = bce(xe[i], te[i]) * (we[i] if weight.size > 0 else f4(1))
        loss += total(here)
    return loss


@kernel(backend="numba", flat="y x target weight", out=lambda *_: [()], work=strips, flops=lambda x, *_: 8 * x.size)
def bce_sum(y: Any, partial: Any, lines: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_each gives, in float64 pieces."""
    parts = partial.shape[0]
    for part in prange(parts):
        first, last = part * x.size // parts, (part + 1) * x.size // parts
        partial[part, 0], partial[part, 1] = bce_piece(lines[part], x, target, weight, first, last), 0.0
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


@kernel(
    backend="numba", flat="y x target weight pos_weight", out=lambda x, *_: [x.shape], flops=lambda x, *_: 8 * x.size
)
def bce_logits_each(y: Any, x: Any, target: Any, weight: Any, pos_weight: Any) -> None:
    """y = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1."""
    for i in prange(x.size):
        q = pos_weight[i] if pos_weight.size > 0 else f4(1)
        y[i] = bce_logits(x[i], target[i], q) * (weight[i] if weight.size > 0 else f4(1))


@serial
def bce_logits_piece(line: Any, x: Any, target: Any, weight: Any, pos_weight: Any, first: Any, last: Any) -> Any:
    """The sum over elements first to last."""
    loss = 0.0
    for a in range(first, last, line.size):
        e = min(a + line.size, last)
        here, xe, te, we, qe = line[: e - a], x[a:e], target[a:e], weight[a:e], pos_weight[a:e]
        for i in range(here.size):
            q = qe[i] if pos_weight.size > 0 else f4(1)
            here[i] = bce_logits(xe[i], te[i], q) * (we[i] if weight.size > 0 else f4(1))
        loss += total(here)
    return loss


@kernel(
    backend="numba",
    flat="y x target weight pos_weight",
    out=lambda *_: [()],
    work=strips,
    flops=lambda x, *_: 8 * x.size,
)
def bce_logits_sum(
    y: Any, partial: Any, lines: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any
) -> None:
    """y = scale times the sum of what bce_logits_each gives, in float64 pieces."""
    parts = partial.shape[0]
    for part in prange(parts):
        first, last = part * x.size // parts, (part + 1) * x.size // parts
        partial[part, 0] = bce_logits_piece(lines[part], x, target, weight, pos_weight, first, last)
        partial[part, 1] = 0.0
    add_pieces(partial)
    y[0] = partial[0, 0] * f8(scale)


@kernel(backend="numba", composite=True, when=single)
def bce_with_logits_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_gradient, scaled by 1 / size for a mean."""
    scale = share(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_logits_gradient(dy, x, target, full(k, x, weight), full(k, x, pos_weight), scale)


@kernel(
    backend="numba",
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
