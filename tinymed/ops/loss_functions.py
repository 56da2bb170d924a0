"""Losses composed of other ops: regression, hinge, focal, divergence.  Fused losses of classification: loss.py.

reduction: "none" a loss per element, "sum", or "mean".
"""

from typing import Any

from .activations import relu
from .clamp import clamp
from .compare import lt, ne
from .elementwise import add, div, mul, pow, sub, where
from .loss import IGNORED, binary_cross_entropy_with_logits, check_reduction, checked_target, nll_loss
from .reduce import mean, sum
from .reduction import torch_arguments
from .shape import reshape
from .smooth import sigmoid
from .softmax import log_softmax
from .unary import abs, exp, expm1, log, neg


def reduced(loss: Any, reduction: str) -> Any:
    """The loss per element, its sum or its mean."""
    return loss if reduction == "none" else sum(loss) if reduction == "sum" else mean(loss)


def difference(name: str, input: Any, target: Any, reduction: str) -> Any:
    """input - target, of equal shapes: PyTorch only warns when they broadcast, which is nearly always a mistake."""
    return sub(input, checked_target(name, input, target, reduction))


def weighted(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    """The loss per element times its weight, reduced; the mean is the weighted mean."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError(f"{name}: weight has shape {list(weight.shape)}, input {list(loss.shape)}; they must be equal")
    loss = mul(loss, weight)
    return div(sum(loss), sum(weight)) if reduction == "mean" else reduced(loss, reduction)


@torch_arguments("input target size_average reduce reduction weight")
def mse_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target)^2, times a weight for each element; the mean divides by the sum of the weights."""
    d = difference("mse_loss", input, target, reduction)
    return weighted("mse_loss", mul(d, d), weight, reduction)


@torch_arguments("input target size_average reduce reduction weight")
def l1_loss(input: Any, target: Any, reduction: str = "mean", weight: Any = None) -> Any:
    """|input - target|, times a weight for each element; the gradient where they are equal is 0.

    The mean divides by the sum of the weights.
    """
    return weighted("l1_loss", abs(difference("l1_loss", input, target, reduction)), weight, reduction)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), for d = input - target.  Huber 1964.

    weight: of each element; the mean divides by the number of elements, as PyTorch's does here.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    d = difference("huber_loss", input, target, reduction)
    size = abs(d)
    loss = where(lt(size, delta), mul(mul(d, d), 0.5), mul(sub(size, 0.5 * delta), delta))
    if weight is not None and weight.shape != loss.shape:
        raise ValueError(f"huber_loss: weight has shape {list(weight.shape)}, input {list(loss.shape)}")
    return reduced(loss if weight is None else mul(loss, weight), reduction)


@torch_arguments("input target size_average reduce reduction beta")
def smooth_l1_loss(input: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target.  Girshick, ICCV 2015."""
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    return div(huber_loss(input, target, reduction, beta), beta)


# ---------------------------------------------------------------------------------------------------------- hinge


def hinge_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """max(0, 1 - target * input) for targets -1 and 1: the support vector machine's.  Cortes & Vapnik 1995."""
    target = checked_target("hinge_loss", input, target, reduction)
    return reduced(relu(sub(1.0, mul(target, input))), reduction)


def squared_hinge_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """max(0, 1 - target * input)^2 for targets -1 and 1."""
    target = checked_target("squared_hinge_loss", input, target, reduction)
    gap = relu(sub(1.0, mul(target, input)))
    return reduced(mul(gap, gap), reduction)


@torch_arguments("input target margin size_average reduce reduction")
def hinge_embedding_loss(input: Any, target: Any, margin: float = 1.0, reduction: str = "mean") -> Any:
    """input where target is 1, max(0, margin - input) where it is -1 (both where it is neither, as in PyTorch)."""
    target = checked_target("hinge_embedding_loss", input, target, reduction)
    near = where(ne(target, -1), input, 0.0)
    far = where(ne(target, 1), clamp(sub(margin, input), min=0), 0.0)
    return reduced(add(near, far), reduction)


# ---------------------------------------------------------------------------------------------------------- focal


def sigmoid_focal_loss(
    input: Any, target: Any, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Any:
    """alpha_t (1 - p_t)^gamma times the binary cross-entropy of sigmoid(input): easy elements count less.

    p_t is the probability given to the target, alpha_t = alpha for positives and 1 - alpha for negatives (a negative
    alpha: 1 for both).  The name, arguments and defaults are torchvision's.  Lin et al., ICCV 2017, equation 5.
    """
    target = checked_target("sigmoid_focal_loss", input, target, reduction)
    loss = binary_cross_entropy_with_logits(input, target, reduction="none")
    if gamma:
        wrong = add(mul(sigmoid(input), sub(1.0, target)), mul(sigmoid(neg(input)), target))  # 1 - p_t
        loss = mul(loss, pow(clamp(wrong, min=TINY), gamma))
    if alpha >= 0:
        loss = mul(loss, add(mul(target, 2 * alpha - 1), 1 - alpha))
    return reduced(loss, reduction)


TINY = 1e-12  # keeps the power's gradient finite where nothing is wrong


def softmax_focal_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    gamma: float = 2.0,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Any:
    """w[t] (1 - p_t)^gamma times the cross-entropy of softmax(input); shapes, weights and mean as in cross_entropy.

    Lin et al., ICCV 2017, section 3, for several classes.
    """
    log_p = log_softmax(input, 1 if len(input.shape) > 1 else 0)
    if gamma:
        log_p = mul(log_p, pow(clamp(neg(expm1(log_p)), min=TINY), gamma))
    return nll_loss(log_p, target, weight, ignore_index=ignore_index, reduction=reduction)


# ----------------------------------------------------------------------------------------------------- divergence


@torch_arguments("input target size_average reduce reduction log_target")
def kl_div(input: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """target (log target - input), 0 where target is 0: input holds log-probabilities, target probabilities.

    log_target: target holds logarithms too.  reduction may be "batchmean", the sum over the first axis's length, which
    is the divergence; "mean" divides by the number of elements.  Kullback & Leibler 1951.
    """
    target = checked_target("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
    if log_target:
        loss = mul(exp(target), sub(target, input))
    else:
        safe = where(ne(target, 0), target, 1.0)  # of a negative target the logarithm is NaN, and so is the loss
        loss = sub(mul(target, log(safe)), mul(target, input))
    if reduction == "batchmean":
        return div(sum(loss), max(1, input.shape[0] if input.shape else 1))
    return reduced(loss, reduction)


def soft_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
    weight_map: Any = None,
) -> Any:
    """-sum_c weight[c] target[c] log softmax(input)[c]: what cross_entropy does for class probabilities."""
    check_reduction("cross_entropy", reduction)
    target = checked_target("cross_entropy", input, target, reduction)
    axis = 1 if len(input.shape) > 1 else 0
    classes, pixels = input.shape[axis], (input.shape[0], *input.shape[2:]) if axis else ()
    for name, v, shape in (("weight", weight, (classes,)), ("weight_map", weight_map, pixels)):
        if v is not None and v.shape != shape:
            raise ValueError(
                f"cross_entropy: {name} has shape {list(v.shape)}, input {list(input.shape)} takes {list(shape)}"
            )
    if label_smoothing:
        target = add(mul(target, 1 - label_smoothing), label_smoothing / max(1, classes))
    share = mul(target, log_softmax(input, axis))
    if weight is not None:
        share = mul(share, reshape(weight, (-1, *[1] * (len(input.shape) - 1 - axis))))
    loss = neg(sum(share, axis))
    if weight_map is None:
        return reduced(loss, reduction)
    loss = mul(loss, weight_map)
    return div(sum(loss), sum(weight_map)) if reduction == "mean" else reduced(loss, reduction)


__all__ = [
    "hinge_embedding_loss",
    "hinge_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "sigmoid_focal_loss",
    "smooth_l1_loss",
    "softmax_focal_loss",
    "squared_hinge_loss",
]
