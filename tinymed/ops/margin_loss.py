"""Losses that ask for a margin: between classes, between labels, or between distances."""

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .activations import relu
from .clamp import clamp
from .compare import eq
from .distance import pairwise_distance
from .elementwise import add, div, mul, sub, where
from .gather import OneHot, gather
from .loss import check_classes, check_reduction, raw, warn_of_broadcast
from .loss_functions import reduced
from .maximum import minimum
from .reduce import sum
from .reduction import torch_arguments
from .shape import reshape, unsqueeze
from .smooth import logsigmoid
from .unary import neg, sqrt


def margin_gap(value: Any) -> Any:
    """Compute max(0, value); the gradient where it is 0 is 1, as PyTorch's clamp_min has it."""
    return clamp(value, min=0)


@torch_arguments("input1 input2 target margin size_average reduce reduction")
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Compute max(0, margin - target (input1 - input2)).

    Args:
        input1, input2: Scores of one shape.
        target: 1 where the first should rank higher, else -1.
        margin: The difference that is enough.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.margin_ranking_loss(tinymed.tensor([1.0]), tinymed.tensor([3.0]), tinymed.tensor([1.0])).item()
        2.0
    """
    check_reduction("margin_ranking_loss", reduction)
    same_axes("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced(margin_gap(add(mul(target, sub(input2, input1)), float(margin))), reduction)


@torch_arguments("input1 input2 target margin size_average reduce reduction")
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Compute 1 - cos(input1, input2) where target is 1, and max(0, cos - margin) where it is -1.

    Args:
        input1, input2: (N, D), or (D,).
        target: (N,) of 1 and -1, or a number.
        margin: The cosine that dissimilar pairs may have.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        RuntimeError: Shapes do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> a, b = tinymed.tensor([[1.0, 0.0]]), tinymed.tensor([[0.0, 1.0]])
        >>> F.cosine_embedding_loss(a, b, tinymed.tensor([1])).item()
        1.0
    """
    check_reduction("cosine_embedding_loss", reduction)
    if len(target.shape) > 1 or any_other(len(target.shape) + 1, input1, input2):
        raise RuntimeError(
            "cosine_embedding_loss: target (N,) takes inputs (N, D), a number inputs (D,); got "
            f"{list(input1.shape)}, {list(input2.shape)} and target {list(target.shape)}"
        )
    products, tiny = sum(mul(input1, input2), -1), 1e-12
    lengths = mul(add(sum(mul(input1, input1), -1), tiny), add(sum(mul(input2, input2), -1), tiny))
    cosine = div(products, sqrt(lengths))
    near = where(eq(target, 1), sub(1.0, cosine), 0.0)
    far = where(eq(target, -1), margin_gap(sub(cosine, float(margin))), 0.0)
    return reduced(add(near, far), reduction)


@torch_arguments("input target size_average reduce reduction")
def soft_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Compute log(1 + e^(-target input)).

    Args:
        input: Scores, of any shape.
        target: 1 or -1; of the input's shape, or broadcast to it, with a warning.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: The target does not broadcast to the input, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.soft_margin_loss(tinymed.tensor([200.0]), tinymed.tensor([-1.0])).item()
        200.0
    """
    check_reduction("soft_margin_loss", reduction)
    warn_of_broadcast("soft_margin_loss", input, target)
    loss = neg(logsigmoid(mul(target, input)))
    if loss.shape != input.shape:
        shapes = f"target has shape {list(target.shape)}, input {list(input.shape)}"
        raise ValueError(f"soft_margin_loss: {shapes}; the target must be of the input's shape, or broadcast to it")
    return reduced(loss, reduction)


@torch_arguments("input target weight size_average reduce reduction")
def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Compute the mean over classes of the binary cross-entropy of sigmoid(input).

    Args:
        input: Scores (N, C).
        target: (N, C), from 0 to 1.
        weight: (C,), the weights of the classes, or None.
        reduction: "none" for a loss per sample, "sum", or "mean".

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.multilabel_soft_margin_loss(tinymed.tensor([[200.0, 0.0]]), tinymed.tensor([[0.0, 1.0]])).shape
        ()
    """
    check_reduction("multilabel_soft_margin_loss", reduction)
    each = add(mul(target, logsigmoid(input)), mul(sub(1.0, target), logsigmoid(neg(input))))
    loss = neg(each if weight is None else mul(each, weight))
    axis = len(input.shape) - 1  # of the classes, in PyTorch also where the target has more axes
    return reduced(div(sum(loss, axis), float(input.shape[axis])), reduction)


NOT_A_CLASS = np.iinfo(np.int64).min  # nothing is ignored


@torch_arguments("input target p margin weight size_average reduce reduction")
def multi_margin_loss(
    input: Tensor,
    target: Tensor,
    p: int = 1,
    margin: float = 1.0,
    weight: Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the sum over wrong classes c of w[t] max(0, margin - x[t] + x[c])^p / C.

    Args:
        input: Scores (N, C), or (C,).
        target: Class numbers (N,), or one class number t.
        p: 1 or 2.
        margin: The difference that is enough.
        weight: (C,), the weights of the classes, or None.
        reduction: "none" for a loss per sample, "sum", or "mean".

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Raises:
        ValueError: p is neither 1 nor 2, or shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.multi_margin_loss(tinymed.tensor([[1.0, 2.0]]), tinymed.tensor([0])).item()
        1.0

    Reference:
        Crammer & Singer, JMLR 2001.
    """
    check_reduction("multi_margin_loss", reduction)
    if p not in (1, 2):
        raise ValueError(f"multi_margin_loss: p is 1 or 2, got {p}")
    if len(input.shape) < 2:
        one = multi_margin_loss(reshape(input, 1, -1), reshape(target, 1), p, margin, weight=weight, reduction="none")
        return reshape(one, ()) if reduction != "none" or not target.shape else one
    check_classes("multi_margin_loss", input, target, weight, NOT_A_CLASS)
    at_target = unsqueeze(target, 1)
    gap = relu(add(sub(input, gather(input, 1, at_target)), float(margin)))
    gap = gap if p == 1 else mul(gap, gap)
    if weight is not None:
        gap = mul(gap, unsqueeze(gather(input.result_class(raw(weight)), 0, target), 1))
    others = where(eq(OneHot.apply(target, input.shape[1]), 0), gap, 0.0)
    return reduced(div(sum(others, 1), float(input.shape[1])), reduction)


def labels(xp: Any, x: Array, target: Array) -> tuple[Array, Array]:
    """Return (hits, owned): hits[n, j, c], whether the j-th label of sample n is class c; owned[n, c], whether one is.

    The labels of a sample are the numbers before its first -1.
    """
    listed = xp.cumprod(target >= 0, 1).astype(bool)
    hits = (target[:, :, None] == xp.arange(x.shape[1])) & listed[:, :, None]
    return hits, hits.any(1)


def label_gaps(xp: Any, x: Array, target: Array) -> tuple[Array, Array]:
    """Return (gaps, hits): gaps[n, j, c] = 1 - x[label j] + x[c] where that is positive and c is no label, else 0."""
    hits, owned = labels(xp, x, target)
    at_label = (hits * x[:, None]).sum(2, keepdims=True)
    valid = hits.any(2, keepdims=True) & ~owned[:, None]
    return xp.where(valid, xp.maximum(1 - at_label + x[:, None], 0), 0), hits


@kernel(out=lambda x, target: [x.shape[:1]], flops=lambda x, target: 3 * x.size * x.shape[1])
def multilabel_margin_forward(xp: Any, x: Array, target: Array) -> Array:
    """loss[n] = the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]) / C."""
    return label_gaps(xp, x, target)[0].sum((1, 2)) / x.shape[1]


@kernel(out=lambda dy, x, target: [x.shape], flops=lambda dy, x, target: 3 * x.size * x.shape[1])
def multilabel_margin_backward(xp: Any, dy: Array, x: Array, target: Array) -> Array:
    """dx[c] += dy / C and dx[label j] -= dy / C for each pair whose gap is open."""
    gaps, hits = label_gaps(xp, x, target)
    opened = (gaps > 0).astype(x.dtype)
    share = opened.sum(1) - (hits * opened.sum(2, keepdims=True)).sum(1)
    return dy[:, None] * share / x.dtype.type(x.shape[1])


class MultiLabelMargin(Op):
    """loss[n] = sum over labels j, other classes c of max(0, 1 - x[j] + x[c]) / C;  dx: +-dy / C for each open pair.

    The labels of a sample are the class numbers before its first -1.
    """

    def forward(self, x: Array, target: Array) -> Array:
        self.save(x, target)
        return self.k.multilabel_margin_forward(x, target)

    def backward(self, dy: Array) -> Any:
        return self.k.multilabel_margin_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        n, classes = draw.integer(1, 4), draw.integer(1, 5)
        target = draw.integers((n, classes), -1, classes - 1)
        for row in target:  # a label is listed once
            seen: set[int] = set()
            for j, label in enumerate(row.tolist()):
                row[j] = -1 if label in seen else label
                seen.add(label)
        return draw.array((n, classes)), target

    @staticmethod
    def oracle(torch: Any, x: Any, target: Any) -> Any:
        return torch.nn.functional.multilabel_margin_loss(x, target, reduction="none")


@torch_arguments("input target size_average reduce reduction")
def multilabel_margin_loss(input: Tensor, target: Tensor, reduction: str = "mean") -> Tensor:
    """Compute the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]) / C.

    Args:
        input: Scores (N, C), (C,), or one without axes.
        target: Integers of the input's shape: the labels of each sample, then -1.
        reduction: "none" for a loss per sample, "sum", or "mean".

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Raises:
        ValueError: Shapes, dtype or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.multilabel_margin_loss(tinymed.tensor([[1.0, 2.0]]), tinymed.tensor([[0, -1]])).item()
        1.0
    """
    check_reduction("multilabel_margin_loss", reduction)
    if input.shape != target.shape or len(input.shape) > 2 or target.array.dtype.kind != "i":
        raise ValueError(
            "multilabel_margin_loss: input is (N, C), (C,) or (), target integers of that shape; got "
            f"{list(input.shape)} and {target.array.dtype}{list(target.shape)}"
        )
    if len(input.shape) < 2:
        one = MultiLabelMargin.apply(reshape(input, 1, -1), reshape(target, 1, -1))
        return reshape(one, ())
    return reduced(MultiLabelMargin.apply(input, target), reduction)


# -------------------------------------------------------------------------------------------------------- triplets


@torch_arguments("anchor positive negative margin p eps swap size_average reduce reduction")
def triplet_margin_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Compute max(0, margin + |anchor - positive|_p - |anchor - negative|_p).

    Args:
        anchor, positive, negative: (N, D), or (D,).
        margin: The difference of distances that is enough.
        p: The norm.
        eps: Added to the differences, so that the gradient of a distance 0 is finite.
        swap: Take the smaller of the negative's distances to the anchor and to the positive (Balntas et al. 2016).
        reduction: "none" for a loss per sample, "sum", or "mean".

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> anchor, positive, negative = tinymed.zeros(1, 2), tinymed.zeros(1, 2), tinymed.ones(1, 2) * 9
        >>> F.triplet_margin_loss(anchor, positive, negative).item()
        0.0

    Reference:
        Schroff, Kalenichenko & Philbin, CVPR 2015.
    """

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return triplets("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Compute the triplet margin loss with any distance.

    Args:
        anchor, positive, negative: (N, D), or (D,).
        distance_function: Takes two tensors and returns their distances; pairwise_distance if None.
        margin: The difference of distances that is enough.
        swap: Take the smaller of the negative's distances to the anchor and to the positive.
        reduction: "none" for a loss per sample, "sum", or "mean".

    Returns:
        A tensor without axes; (N,) for reduction "none".

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> a, far = tinymed.zeros(1, 2), tinymed.ones(1, 2) * 9
        >>> F.triplet_margin_with_distance_loss(a, a, far, distance_function=lambda x, y: (x - y).abs().sum(-1)).item()
        0.0
    """
    distance = pairwise_distance if distance_function is None else distance_function
    name = "triplet_margin_with_distance_loss"
    return triplets(name, anchor, positive, negative, distance, margin, swap, reduction)


def triplets(
    name: str,
    anchor: Any,
    positive: Any,
    negative: Any,
    distance: Callable[[Any, Any], Any],
    margin: float,
    swap: bool,
    reduction: str,
) -> Any:
    """Compute the loss of triplets under a distance."""
    check_reduction(name, reduction)
    if margin <= 0:
        raise ValueError(f"{name}: margin must be positive, got {margin}")
    same_axes(name, anchor=anchor, positive=positive, negative=negative)
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced(margin_gap(add(sub(near, far), float(margin))), reduction)


def same_axes(name: str, **tensors: Any) -> None:
    """Raise unless all have as many axes."""
    if len({len(t.shape) for t in tensors.values()}) > 1:
        given = ", ".join(f"{n} {list(t.shape)}" for n, t in tensors.items())
        raise RuntimeError(f"{name}: its tensors need the same number of axes; got {given}")


def any_other(axes: int, *tensors: Any) -> bool:
    """Return whether a tensor has another number of axes."""
    return builtins.any(len(t.shape) != axes for t in tensors)


__all__ = [
    "cosine_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]
