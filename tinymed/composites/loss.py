"""Binary cross-entropy, from kernels for each element, for their sum and for their gradient."""

from typing import Any

from ..dispatch import kernel
from .arguments import all_float32


def full(k: Any, x: Any, weight: Any) -> Any:
    """Return a weight for every element, or what stands for None on this backend."""
    return k.absent if weight is None else k.xp.broadcast_to(weight, x.shape)


def reduction_scale(size: int, reduction: str) -> float:
    """Return what the sum of the losses is multiplied by."""
    return 1.0 if reduction == "sum" else 1.0 / size if size else float("nan")


@kernel(backend="numba csrc", composite=True, when=all_float32)
def binary_cross_entropy_forward(k: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_each for reduction "none", else bce_sum."""
    weight = full(k, x, weight)
    if reduction == "none":
        return k.bce_each(x, target, weight)
    return k.bce_sum(x, target, weight, reduction_scale(x.size, reduction))


@kernel(backend="numba csrc", composite=True, when=all_float32)
def binary_cross_entropy_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, reduction: str) -> Any:
    """bce_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_gradient(dy, x, target, full(k, x, weight), scale)


@kernel(backend="numba csrc", composite=True, when=all_float32)
def bce_with_logits_forward(k: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_each for reduction "none", else bce_logits_sum."""
    weight, pos_weight = full(k, x, weight), full(k, x, pos_weight)
    if reduction == "none":
        return k.bce_logits_each(x, target, weight, pos_weight)
    return k.bce_logits_sum(x, target, weight, pos_weight, reduction_scale(x.size, reduction))


@kernel(backend="numba csrc", composite=True, when=all_float32)
def bce_with_logits_backward(k: Any, dy: Any, x: Any, target: Any, weight: Any, pos_weight: Any, reduction: str) -> Any:
    """bce_logits_gradient, scaled by 1 / size for a mean."""
    scale = reduction_scale(x.size, reduction) if reduction == "mean" else 1.0
    return k.bce_logits_gradient(dy, x, target, full(k, x, weight), full(k, x, pos_weight), scale)
