"""Cross-entropy losses, from kernels for each element or row, for their sum and for their gradient."""

from typing import Any

from ..dispatch import kernel
from .arguments import all_alike, in_order


def full(k: Any, x: Any, weight: Any) -> Any:
    """Return a weight for every element, or what stands for None on this backend."""
    return k.absent if weight is None else k.xp.broadcast_to(weight, x.shape)


def reduction_scale(size: int, reduction: str) -> float:
    """Return what the sum of the losses is multiplied by."""
    return 1.0 if reduction == "sum" else 1.0 / size if size else float("nan")


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def binary_cross_entropy_forward(k: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_each for reduction "none", else bce_sum."""
    weight = full(k, x, weight)
    if reduction == "none":
        return k.bce_each(x, target, weight)
    return k.bce_sum(x, target, weight, reduction_scale(x.size, reduction))


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def binary_cross_entropy_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_gradient(dy, x, target, full(k, x, weight), scale)


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def bce_with_logits_forward(k: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_each for reduction "none", else bce_logits_sum."""
    weight, pos_weight = full(k, x, weight), full(k, x, pos_weight)
    if reduction == "none":
        return k.bce_logits_each(x, target, weight, pos_weight)
    return k.bce_logits_sum(x, target, weight, pos_weight, reduction_scale(x.size, reduction))


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def bce_with_logits_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_logits_gradient(dy, x, target, full(k, x, weight), full(k, x, pos_weight), scale)


# ------------------------------------------------------------------------------------------- softmax cross-entropy


def line(k: Any, a: Any) -> Any:
    """View an array over pixels as one line in C order; return what stands for None on this backend."""
    if a is None:
        return k.absent
    return a.reshape(-1) if a.flags.c_contiguous else in_order(k, a, tuple(range(a.ndim))).reshape(-1)


def classes(k: Any, target: Any) -> Any:
    """Return the targets as a line of int64."""
    return line(k, target if target.dtype.kind == "i" and target.dtype.itemsize == 8 else k.cast(target, "int64"))


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def cross_entropy_forward(
    k: Any, x: Any, target: Any, weight: Any, weight_map: Any, ignore_index: int, smoothing: float, reduction: str
) -> Any:
    """Call cross_entropy_rows on pixels as rows; return its loss or reduced value, log_total, the weights' sum."""
    weight, weight_map = k.absent if weight is None else weight, line(k, weight_map)
    loss, log_total, value, total = k.cross_entropy_rows(
        x, classes(k, target), weight, weight_map, ignore_index, smoothing, reduction == "mean"
    )
    return (loss.reshape(target.shape) if reduction == "none" else value), log_total.reshape(target.shape), total


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def cross_entropy_backward(
    k: Any,
    dy: Any,
    x: Any,
    target: Any,
    weight: Any,
    weight_map: Any,
    log_total: Any,
    total: Any,
    ignore_index: int,
    smoothing: float,
    reduction: str,
) -> Any:
    """Call cross_entropy_gradient on pixels as rows."""
    weight, rule = k.absent if weight is None else weight, (ignore_index, smoothing, reduction == "mean")
    return k.cross_entropy_gradient(
        x, line(k, dy), classes(k, target), weight, line(k, weight_map), line(k, log_total), total, *rule
    )
