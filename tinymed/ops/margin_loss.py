"""Losses that ask for a margin: between classes, between labels, or between distances."""

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch import Array, kernel
from ..tape import Op
from .activations import relu
from .clamp import clamp
from .compare import eq
from .distance import pairwise_distance
from .elementwise import add, div, minimum, mul, sub, where
from .gather import OneHot, gather
from .loss import check_classes, check_reduction, raw
from .loss_functions import reduced
from .reduce import sum
from .reduction import torch_arguments
from .shape import reshape, unsqueeze
from .smooth import logsigmoid
from .unary import neg, sqrt


def margin_gap(value: Any) -> Any:
    """max(0, value); the gradient where it is 0 is 1, as PyTorch's clamp_min has it."""
    return clamp(value, min=0)


@torch_arguments("input1 input2 target margin size_average reduce reduction")
def margin_ranking_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """max(0, margin - target (input1 - input2)) for targets 1 (the first ranks higher) and -1."""
    check_reduction("margin_ranking_loss", reduction)
    same_axes("margin_ranking_loss", input1=input1, input2=input2, target=target)
    return reduced(margin_gap(add(mul(target, sub(input2, input1)), float(margin))), reduction)


@torch_arguments("input1 input2 target margin size_average reduce reduction")
def cosine_embedding_loss(input1: Any, input2: Any, target: Any, margin: float = 0.0, reduction: str = "mean") -> Any:
    """1 - cos(input1, input2) where target is 1, max(0, cos - margin) where it is -1.

    input1, input2: (N, D) with target (N,), or (D,) with a number.
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
def soft_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """log(1 + exp(-target input)) for targets 1 and -1."""
    check_reduction("soft_margin_loss", reduction)
    if input.shape != target.shape:
        raise ValueError(f"soft_margin_loss: target has shape {list(target.shape)}, input {list(input.shape)}")
    return reduced(neg(logsigmoid(mul(target, input))), reduction)


@torch_arguments("input target weight size_average reduce reduction")
def multilabel_soft_margin_loss(input: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """The mean over classes (the last axis) of the binary cross-entropy of sigmoid(input), weighted by class."""
    check_reduction("multilabel_soft_margin_loss", reduction)
    each = add(mul(target, logsigmoid(input)), mul(sub(1.0, target), logsigmoid(neg(input))))
    loss = neg(each if weight is None else mul(each, weight))
    return reduced(div(sum(loss, -1), float(input.shape[-1])), reduction)


NOT_A_CLASS = np.iinfo(np.int64).min  # nothing is ignored


@torch_arguments("input target p margin weight size_average reduce reduction")
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Any:
    """The sum over classes c that are not the target t of w[t] max(0, margin - x[t] + x[c])^p / C; p is 1 or 2.

    input: (N, C) with target (N,), or (C,) with one class number.  weight: (C,).  Crammer & Singer 2001.
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
    """(hits, owned): hits[n, j, c] says that the j-th label of sample n is class c; owned[n, c] that one is.

    The labels of a sample are the numbers before its first -1.
    """
    listed = xp.cumprod(target >= 0, 1).astype(bool)
    hits = (target[:, :, None] == xp.arange(x.shape[1])) & listed[:, :, None]
    return hits, hits.any(1)


def label_gaps(xp: Any, x: Array, target: Array) -> tuple[Array, Array]:
    """(gaps, hits): gaps[n, j, c] = 1 - x[label j] + x[c] where that is positive and c is no label of n, else 0."""
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
def multilabel_margin_loss(input: Any, target: Any, reduction: str = "mean") -> Any:
    """The sum over labels j and other classes c of max(0, 1 - x[j] + x[c]) / C.

    input: (N, C) or (C,).  target: integers of that shape, the labels of each sample and then -1.
    """
    check_reduction("multilabel_margin_loss", reduction)
    if input.shape != target.shape or len(input.shape) not in (1, 2) or target.array.dtype.kind != "i":
        raise ValueError(
            "multilabel_margin_loss: input is (N, C) or (C,), target integers of that shape; got "
            f"{list(input.shape)} and {target.array.dtype}{list(target.shape)}"
        )
    if len(input.shape) == 1:
        one = MultiLabelMargin.apply(reshape(input, 1, -1), reshape(target, 1, -1))
        return reshape(one, ())
    return reduced(MultiLabelMargin.apply(input, target), reduction)


# -------------------------------------------------------------------------------------------------------- triplets


@torch_arguments("anchor positive negative margin p eps swap size_average reduce reduction")
def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + |anchor - positive|_p - |anchor - negative|_p).  Schroff et al., CVPR 2015.

    swap: the smaller of the negative's distances to the anchor and to the positive counts (Balntas et al. 2016).
    """

    def distance(a: Any, b: Any) -> Any:
        return pairwise_distance(a, b, p, eps)

    return triplets("triplet_margin_loss", anchor, positive, negative, distance, margin, swap, reduction)


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """triplet_margin_loss with a distance of one's own; by default pairwise_distance."""
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
    """The loss of triplets under a distance."""
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
    """Whether a tensor has another number of axes."""
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
