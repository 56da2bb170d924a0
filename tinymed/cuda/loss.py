"""Losses, on the GPU: csrc/loss.cu."""

from typing import Any

from ..dispatch import kernel
from .reduce import parts_work

# -------------------------------------------------------------------------------------------- binary cross-entropy


@kernel(backend="csrc", flat="y x target weight", out=lambda x, *_: [x.shape], flops=lambda x, *_: 8 * x.size)
def bce_each(y: Any, x: Any, target: Any, weight: Any) -> None:
    """y = weight (-target ln x - (1 - target) ln(1 - x)), logarithms at least -100."""


@kernel(backend="csrc", flat="y x target weight", out=lambda *_: [()], work=parts_work, flops=lambda x, *_: 8 * x.size)
def bce_sum(y: Any, partial: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_each gives."""


@kernel(
    backend="csrc", flat="dx dy x target weight", out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 6 * x.size
)
def bce_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, scale: Any) -> None:
    """dx = dy scale weight (x - target) / max(x (1 - x), 1e-12)."""


@kernel(
    backend="csrc", flat="y x target weight pos_weight", out=lambda x, *_: [x.shape], flops=lambda x, *_: 8 * x.size
)
def bce_logits_each(y: Any, x: Any, target: Any, weight: Any, pos_weight: Any) -> None:
    """y = weight ((1 - t) x + (1 - t + q t) ln(1 + e^-x)), t = target, q = pos_weight or 1."""


@kernel(
    backend="csrc",
    flat="y x target weight pos_weight",
    out=lambda *_: [()],
    work=parts_work,
    flops=lambda x, *_: 8 * x.size,
)
def bce_logits_sum(y: Any, partial: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """y = scale times the sum of what bce_logits_each gives."""


@kernel(
    backend="csrc",
    flat="dx dy x target weight pos_weight",
    out=lambda dy, x, *_: [x.shape],
    flops=lambda dy, x, *_: 8 * x.size,
)
def bce_logits_gradient(dx: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """dx = dy scale weight ((1 - t + q t) sigmoid(x) - q t), t = target, q = pos_weight or 1."""


# ------------------------------------------------------------------------------------------- softmax cross-entropy


def rows_out(x: Any, target: Any, *_: Any) -> list[tuple[int, ...]]:
    """Loss and log sum exp of each pixel, the reduced loss, the sum of the weights."""
    return [target.shape, target.shape, (), ()]


@kernel(
    backend="csrc",
    rows="x",
    out=rows_out,
    flops=lambda x, *_: 5 * x.size,
    work=lambda x, target, *_: [target.shape, *parts_work(target)],
)
def cross_entropy_rows(
    loss: Any,
    lse: Any,
    value: Any,
    total: Any,
    share: Any,
    partial: Any,
    x: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """loss = map * row_loss, 0 where ignored, inf for no class; value = their sum, mean: / total = sum of map w[t]."""


@kernel(backend="csrc", rows="dx x", out=lambda x, *_: [x.shape], flops=lambda x, *_: 4 * x.size)
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
    """dx = dy map ((1 - e) w[t] (p - 1[t]) + e / C (p sum w - w)), mean: / total; 0 where ignored or no class."""
