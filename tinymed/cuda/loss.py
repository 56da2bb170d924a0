"""Losses, on the GPU: csrc/loss.cu."""

from typing import Any

from ..composites.arguments import all_float32
from ..composites.loss import classes, full, line, reduction_scale
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


@kernel(backend="csrc", composite=True, when=all_float32)
def binary_cross_entropy_backward_target(k: Any, dy: Any, x: Any, weight: Any, reduction: str) -> Any:
    """bce_target_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_target_gradient(dy, x, full(k, x, weight), scale)


@kernel(backend="csrc", composite=True, when=all_float32)
def bce_with_logits_backward_target(k: Any, dy: Any, x: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_target_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_logits_target_gradient(dy, x, full(k, x, weight), full(k, x, pos_weight), scale)


@kernel(backend="csrc", flat="dt dy x weight", out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 6 * x.size)
def bce_target_gradient(dt: Any, dy: Any, x: Any, weight: Any, scale: Any) -> None:
    """dt = dy scale weight (ln(1 - x) - ln x), logarithms at least -100."""


@kernel(
    backend="csrc",
    flat="dt dy x weight pos_weight",
    out=lambda dy, x, *_: [x.shape],
    flops=lambda dy, x, *_: 8 * x.size,
)
def bce_logits_target_gradient(dt: Any, dy: Any, x: Any, weight: Any, pos_weight: Any, scale: Any) -> None:
    """dt = dy scale weight ((q - 1) ln(1 + e^-x) - x), q = pos_weight or 1."""


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
    log_total: Any,
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
    log_total: Any,
    total: Any,
    ignore_index: Any,
    smoothing: Any,
    mean: Any,
) -> None:
    """dx = dy map ((1 - e) w[t] (p - 1[t]) + e / C (p sum w - w)), mean: / total; 0 where ignored or no class."""


# ------------------------------------------------------------------------------------------ negative log likelihood


@kernel(backend="csrc", composite=True, when=all_float32)
def nll_loss_forward(k: Any, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    """nll_rows on pixels as rows, and their sums."""
    loss, share = k.nll_rows(x, classes(k, target), weight, ignore_index)
    total = k.sum_all(share)
    if reduction == "none":
        return loss.reshape(target.shape), total
    value = k.sum_all(loss)
    return (k.div(value, total) if reduction == "mean" else value), total


@kernel(backend="csrc", composite=True, when=all_float32)
def nll_loss_backward(
    k: Any, dy: Any, x: Any, target: Any, weight: Any, total: Any, ignore_index: int, reduction: str
) -> Any:
    """nll_gradient on pixels as rows."""
    total = total if reduction == "mean" else None
    return k.nll_gradient(line(k, dy), classes(k, target), weight, total, x.shape, ignore_index)


@kernel(
    backend="csrc", rows="x", out=lambda x, target, *_: [target.shape, target.shape], flops=lambda x, *_: x.shape[0]
)
def nll_rows(loss: Any, share: Any, x: Any, target: Any, weight: Any, ignore_index: Any) -> None:
    """loss = -share x[t], share = w[t], 0 where t = ignore_index and where it is no class."""


@kernel(
    backend="csrc",
    rows="dx",
    out=lambda dy, target, weight, total, x_shape, *_: [x_shape],
    flops=lambda dy, target, *_: 2 * target.size,
)
def nll_gradient(dx: Any, dy: Any, target: Any, weight: Any, total: Any, x_shape: Any, ignore_index: Any) -> None:
    """dx[c] = -dy w[t] where c = t, else 0, also where t = ignore_index; with a total: dy / total."""
