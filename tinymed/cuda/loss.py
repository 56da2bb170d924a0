"""Losses, on the GPU: csrc/loss.cu."""

from typing import Any

from ..composites.arguments import all_float32, in_order
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


def line(k: Any, a: Any) -> Any:
    """Return an array over pixels in C order, as one line (a view); None as it is."""
    return None if a is None else in_order(k, a, tuple(range(a.ndim))).reshape(-1)


def classes(k: Any, target: Any) -> Any:
    """Targets as a line of int64."""
    return line(k, target if target.dtype.name == "int64" else k.cast(target, "int64"))


@kernel(backend="csrc", composite=True, when=all_float32)
def cross_entropy_forward(
    k: Any, x: Any, target: Any, weight: Any, weight_map: Any, ignore_index: int, smoothing: float, reduction: str
) -> Any:
    """cross_entropy_rows on pixels as rows; gives its loss or reduced value, lse, and the sum of the weights."""
    loss, lse, value, total = k.cross_entropy_rows(
        x, classes(k, target), weight, line(k, weight_map), ignore_index, smoothing, reduction == "mean"
    )
    return (loss.reshape(target.shape) if reduction == "none" else value), lse.reshape(target.shape), total


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


@kernel(backend="csrc", composite=True, when=all_float32)
def cross_entropy_backward(
    k: Any,
    dy: Any,
    x: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    lse: Any,
    total: Any,
    ignore_index: int,
    smoothing: float,
    reduction: str,
) -> Any:
    """cross_entropy_gradient on pixels as rows."""
    return k.cross_entropy_gradient(
        x,
        line(k, dy),
        classes(k, target),
        weight,
        line(k, weight_map),
        line(k, lse),
        total,
        ignore_index,
        smoothing,
        reduction == "mean",
    )


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
