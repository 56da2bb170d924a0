"""Losses composed of other ops: regression, hinge, focal, divergence.  Fused losses of classification: loss.py.

reduction: "none" a loss per element, "sum", or "mean".
"""

from typing import Any

import numpy as np

from ..annotations import Tensor
from .activations import relu
from .clamp import clamp
from .compare import ne
from .elementwise import add, div, mul, pow, sub, where
from .huber import Huber
from .loss import (
    IGNORED,
    binary_cross_entropy_with_logits,
    broadcast_target,
    check_reduction,
    checked_target,
    nll_loss,
    warn_of_broadcast,
)
from .reduce import mean, sum
from .reduction import torch_arguments
from .shape import expand, reshape
from .smooth import sigmoid
from .softmax import log_softmax
from .unary import abs, exp, expm1, log, neg


def reduced(loss: Any, reduction: str) -> Any:
    """Return the loss per element, its sum or its mean."""
    return loss if reduction == "none" else sum(loss) if reduction == "sum" else mean(loss)


def difference(name: str, input: Any, target: Any, reduction: str) -> Any:
    """Compute input - target; shapes that differ are broadcast, with a warning."""
    return sub(input, broadcast_target(name, input, target, reduction))


def weighted(name: str, loss: Any, weight: Any, reduction: str) -> Any:
    """Return the loss per element times its weight, reduced; the mean is the weighted mean."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != loss.shape:
        raise ValueError(f"{name}: weight has shape {list(weight.shape)}, the loss {list(loss.shape)}")
    loss = mul(loss, weight)
    return div(sum(loss), sum(weight)) if reduction == "mean" else reduced(loss, reduction)


@torch_arguments("input target size_average reduce reduction weight")
def mse_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """Compute the squared error (input - target)^2.

    Args:
        input, target: Tensors of one shape; others are broadcast, with a warning.
        reduction: "none" for a loss per element, "sum", or "mean".
        weight: A weight of each element; the mean divides by the sum of the weights.

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: Shapes do not broadcast, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.mse_loss(tinymed.tensor([1.0, 4.0]), tinymed.tensor([1.0, 2.0])).item()
        2.0
    """
    d = difference("mse_loss", input, target, reduction)
    return weighted("mse_loss", mul(d, d), weight, reduction)


@torch_arguments("input target size_average reduce reduction weight")
def l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", weight: Tensor | None = None) -> Tensor:
    """Compute the absolute error |input - target|; its gradient where they are equal is 0.

    Args:
        input, target: Tensors of one shape; others are broadcast, with a warning.
        reduction: "none" for a loss per element, "sum", or "mean".
        weight: A weight of each element; the mean divides by the sum of the weights.

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: Shapes do not broadcast, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.l1_loss(tinymed.tensor([1.0, 4.0]), tinymed.tensor([1.0, 2.0])).item()
        1.0
    """
    return weighted("l1_loss", abs(difference("l1_loss", input, target, reduction)), weight, reduction)


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Compute d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), for d = input - target.

    Args:
        input, target: Tensors of one shape; others are broadcast, with a warning.
        reduction: "none" for a loss per element, "sum", or "mean".
        delta: Where the parabola becomes a line; positive.
        weight: A weight of each element; the mean divides by the number of elements, as PyTorch's does here.

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: Shapes do not broadcast, delta is not positive, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.huber_loss(tinymed.tensor([1.0, 4.0]), tinymed.zeros(2), delta=2.0, reduction="none").tolist()
        [0.5, 6.0]

    Reference:
        Huber, Annals of Mathematical Statistics 1964.
    """
    if delta <= 0:
        raise ValueError(f"huber_loss: delta must be positive, got {delta}")
    loss = parabola_and_line("huber_loss", input, target, delta, reduction)
    if weight is not None and weight.shape != loss.shape:
        raise ValueError(f"huber_loss: weight has shape {list(weight.shape)}, the loss {list(loss.shape)}")
    return reduced(loss if weight is None else mul(loss, weight), reduction)


def parabola_and_line(name: str, input: Any, target: Any, delta: float, reduction: str) -> Any:
    """Compute d^2 / 2 where |d| < delta, else delta (|d| - delta / 2); shapes that differ broadcast, with a warning."""
    target = broadcast_target(name, input, target, reduction)
    shape = np.broadcast_shapes(input.shape, target.shape)
    same = (a if a.shape == shape else expand(a, shape) for a in (input, target))
    return Huber.apply(*same, float(delta))


@torch_arguments("input target size_average reduce reduction beta")
def smooth_l1_loss(input: Tensor, target: Tensor, reduction: str = "mean", beta: float = 1.0) -> Tensor:
    """Compute d^2 / (2 beta) where |d| < beta, else |d| - beta / 2, for d = input - target.

    Args:
        input, target: Tensors of one shape; others are broadcast, with a warning.
        reduction: "none" for a loss per element, "sum", or "mean".
        beta: Where the parabola becomes a line; 0 gives l1_loss.

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: Shapes do not broadcast, beta is negative, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.smooth_l1_loss(tinymed.tensor([1.0, 4.0]), tinymed.zeros(2), beta=2.0, reduction="none").tolist()
        [0.25, 3.0]

    Reference:
        Girshick, ICCV 2015, section 2.3.
    """
    if beta < 0:
        raise ValueError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    if beta == 0:
        return l1_loss(input, target, reduction=reduction)
    loss = parabola_and_line("smooth_l1_loss", input, target, beta, reduction)
    return div(reduced(loss, reduction), beta)


# ---------------------------------------------------------------------------------------------------------- hinge


def hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Compute max(0, 1 - target input), the support vector machine's loss.

    PyTorch has no such function.

    Args:
        input: Scores, of any shape.
        target: Of the input's shape, 1 or -1.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: Shapes differ, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> scores, target = tinymed.tensor([0.5, 3.0]), tinymed.tensor([1.0, -1.0])
        >>> F.hinge_loss(scores, target, reduction="none").tolist()
        [0.5, 4.0]

    Reference:
        Cortes & Vapnik, Machine Learning 1995.
    """
    target = checked_target("hinge_loss", input, target, reduction)
    return reduced(relu(sub(1.0, mul(target, input))), reduction)


def squared_hinge_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Compute max(0, 1 - target input)^2.

    PyTorch has no such function.

    Args:
        input: Scores, of any shape.
        target: Of the input's shape, 1 or -1.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: Shapes differ, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> scores, target = tinymed.tensor([0.5, 3.0]), tinymed.tensor([1.0, -1.0])
        >>> F.squared_hinge_loss(scores, target, reduction="none").tolist()
        [0.25, 16.0]
    """
    target = checked_target("squared_hinge_loss", input, target, reduction)
    gap = relu(sub(1.0, mul(target, input)))
    return reduced(mul(gap, gap), reduction)


@torch_arguments("input target margin size_average reduce reduction")
def hinge_embedding_loss(input: Tensor, target: Tensor, margin: float = 1.0, reduction: str = "mean") -> Tensor:
    """Compute input where target is 1, and max(0, margin - input) where it is -1.

    Where target is neither, both are added, as in PyTorch.

    Args:
        input: Distances, of any shape.
        target: 1 or -1; of the input's shape, or broadcast with it, with a warning.
        margin: The distance that dissimilar pairs should have.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: reduction is unknown, or shapes do not broadcast.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> distances, target = tinymed.tensor([0.5, 0.25]), tinymed.tensor([1.0, -1.0])
        >>> F.hinge_embedding_loss(distances, target, reduction="none").tolist()
        [0.5, 0.75]

    Reference:
        Hadsell, Chopra & LeCun, CVPR 2006.
    """
    check_reduction("hinge_embedding_loss", reduction)
    warn_of_broadcast("hinge_embedding_loss", input, target)
    near = where(ne(target, -1), input, 0.0)
    far = where(ne(target, 1), clamp(sub(margin, input), min=0), 0.0)
    return reduced(add(near, far), reduction)


# ---------------------------------------------------------------------------------------------------------- focal


def sigmoid_focal_loss(
    input: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0, reduction: str = "none"
) -> Tensor:
    """Compute alpha_t (1 - p_t)^gamma times the binary cross-entropy of sigmoid(input).

    p_t is the probability given to the target, so easy elements count less. alpha_t is alpha for positives and 1 -
    alpha for negatives. Name, arguments and defaults are torchvision's.

    Args:
        input: Scores, of any shape.
        target: Of the input's shape, from 0 to 1.
        alpha: The weight of positives; a negative one gives weight 1 to both.
        gamma: The power; 0 gives the weighted cross-entropy.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: Shapes differ, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.sigmoid_focal_loss(tinymed.tensor([100.0, -100.0]), tinymed.tensor([1.0, 0.0]), reduction="sum").item()
        0.0

    Reference:
        Lin et al., ICCV 2017, equation 5.
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
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    gamma: float = 2.0,
    ignore_index: int = IGNORED,
    reduction: str = "mean",
) -> Tensor:
    """Compute (1 - p_t)^gamma times the cross-entropy of softmax(input): the focal loss of several classes.

    PyTorch has no such function; shapes, weights and mean are those of cross_entropy.

    Args:
        input: Scores (N, C), (N, C, *space) or (C,).
        target: Class numbers (N, *space).
        weight: (C,), the weights of the classes, or None.
        gamma: The power; 0 gives the cross-entropy.
        ignore_index: A class number that does not count.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; (N, *space) for reduction "none".

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softmax_focal_loss(tinymed.tensor([[0.0, 100.0]]), tinymed.tensor([0])).item()
        100.0

    Reference:
        Lin et al., ICCV 2017, section 3.
    """
    log_p = log_softmax(input, 1 if len(input.shape) > 1 else 0)
    if gamma:
        log_p = mul(log_p, pow(clamp(neg(expm1(log_p)), min=TINY), gamma))
    return nll_loss(log_p, target, weight, ignore_index=ignore_index, reduction=reduction)


# ----------------------------------------------------------------------------------------------------- divergence


@torch_arguments("input target size_average reduce reduction log_target")
def kl_div(input: Tensor, target: Tensor, reduction: str = "mean", log_target: bool = False) -> Tensor:
    """Compute target (log target - input), the summands of the Kullback-Leibler divergence.

    Args:
        input: Log-probabilities, of any shape.
        target: Probabilities of the input's shape, or broadcast with it, with a warning; 0 contributes 0.
        reduction: "none", "sum", "mean" over the elements, or "batchmean": the sum over the length of the first axis,
            which is the divergence.
        log_target: Take target as log-probabilities too.

    Returns:
        A tensor without axes; of the broadcast shape for reduction "none".

    Raises:
        ValueError: Shapes do not broadcast, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.kl_div(tinymed.tensor([[0.0, -1.0]]), tinymed.tensor([[1.0, 0.0]]), reduction="batchmean").item()
        0.0

    Reference:
        Kullback & Leibler, Annals of Mathematical Statistics 1951.
    """
    target = broadcast_target("kl_div", input, target, "sum" if reduction == "batchmean" else reduction)
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
    """Compute -sum_c weight[c] target[c] log softmax(input)[c]: what cross_entropy does for class probabilities."""
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
