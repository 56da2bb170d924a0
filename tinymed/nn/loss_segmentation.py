"""Losses of segmentation as modules: from scores (N, C, *space), before a softmax or sigmoid, and class numbers.

The functions of the same names in `nn.functional` take probabilities and have the formulas.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .container import ModuleList
from .loss import Loss
from .module import Module

IGNORED = -100
SHARED: dict[str, Any] = {"weight": None, "ignore_index": IGNORED}


def probabilities(scores: Tensor) -> Any:
    """Softmax over the classes; of one class the sigmoid."""
    return F.softmax(scores, 1) if scores.shape[1] > 1 else F.sigmoid(scores)


class OverlapLoss(Loss):
    """A loss of overlaps; target: class numbers (N, *space), or probabilities of the input's shape.

    One class: the sigmoid of its score against 0 and 1; more: the softmax.  weight: one number a class, 0 leaves it
    out.
    """

    tensors = ("weight",)

    def forward(self, input: Tensor, target: Tensor, weight_map: Tensor | None = None) -> Any:
        named = {n: getattr(self, n) for n in self.options} | {"weight_map": weight_map}
        return getattr(F, self.function)(probabilities(input), target, reduction=self.reduction, **named)


class DiceLoss(OverlapLoss):
    """1 - Dice; squared=True is V-Net's (Milletari et al. 2016)."""

    function = "dice_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"squared": False, "smooth": 1e-5, "batch": False}


class JaccardLoss(OverlapLoss):
    """1 - intersection over union."""

    function = "jaccard_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"squared": False, "smooth": 1e-5, "batch": False}


class TanimotoLoss(OverlapLoss):
    """1 - Tanimoto's index."""

    function = "tanimoto_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"smooth": 1e-5, "batch": False}


class TverskyLoss(OverlapLoss):
    """1 - Tversky's index; alpha weighs false positives, beta false negatives."""

    function = "tversky_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"alpha": 0.5, "beta": 0.5, "smooth": 1e-5, "batch": False}


class FocalTverskyLoss(OverlapLoss):
    """(1 - Tversky's index)^gamma, by default as DC-UNet was trained."""

    function = "focal_tversky_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {
        "alpha": 0.25,
        "beta": 0.75,
        "gamma": 0.75,
        "smooth": 1.0,
        "batch": True,
    }


class PixelCrossEntropyLoss(Loss):
    """Cross-entropy of every pixel, weighted by `weight` of its class and by `weight_map` (N, *space) of the pixel.

    target: class numbers (N, *space); pixels of `ignore_index` do not count.  One class: binary cross-entropy against 0
    and 1, weight being that of a 1.  The mean divides by the sum of the weights.  U-Net: reduction="mean" with its map;
    FCN: reduction="sum", ignore_index=255.
    """

    function, tensors = "cross_entropy", ("weight",)
    options: ClassVar[dict[str, Any]] = SHARED | {"label_smoothing": 0.0}

    def forward(self, input: Tensor, target: Tensor, weight_map: Tensor | None = None) -> Any:
        if input.shape[1] == 1:  # scores 0 and x have the softmax 1 - sigmoid(x) and sigmoid(x)
            input = F.cat([input * 0.0, input], 1)
            named = {"weight": None if self.weight is None else F.cat([self.weight * 0.0 + 1.0, self.weight], 0)}
        else:
            named = {"weight": self.weight}
        return F.cross_entropy(
            input,
            target,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
            weight_map=weight_map,
            **named,
        )


class FocalLoss(Loss):
    """Cross-entropy that counts easy pixels less: (1 - p_t)^gamma times it.  Lin et al. 2017.

    target: class numbers (N, *space).  One class: the sigmoid's form, as of two scores 0 and x.
    """

    function, tensors = "softmax_focal_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = SHARED | {"gamma": 2.0}

    def forward(self, input: Tensor, target: Tensor) -> Any:
        if input.shape[1] == 1:
            input = F.cat([input * 0.0, input], 1)
        return F.softmax_focal_loss(input, target, self.weight, self.gamma, self.ignore_index, self.reduction)


class SumLoss(Module):
    """A weighted sum of losses of the same (input, target): sum of weights[i] losses[i]; all 1 by default."""

    def __init__(self, losses: Sequence[Module], weights: Sequence[float] | None = None):
        super().__init__()
        self.losses, self.weights = ModuleList(losses), list(weights or [1.0] * len(losses))
        if not losses or len(self.weights) != len(losses):
            raise ValueError(f"SumLoss: {len(losses)} losses take {len(losses)} weights, got {len(self.weights)}")

    def forward(self, input: Tensor, target: Tensor, *more: Any) -> Any:
        total: Any = None
        for weight, loss in zip(self.weights, self.losses, strict=True):
            term = loss(input, target, *more) * weight
            total = term if total is None else total + term
        return total

    def extra_repr(self) -> str:
        return f"weights={self.weights}"


def dice_cross_entropy(cross_entropy: float = 0.5, dice: float = 0.5, **options: Any) -> SumLoss:
    """cross_entropy x PixelCrossEntropyLoss + dice x DiceLoss(**options); of one class, binary cross-entropy and Dice.

    `weight` and `ignore_index` go to both.  TransUNet: the defaults with squared=True (Chen et al. 2021).
    """
    both = {n: options[n] for n in SHARED if n in options}
    return SumLoss([PixelCrossEntropyLoss(**both), DiceLoss(**options)], [cross_entropy, dice])


class DeepSupervision(Module):
    """sum of weights[i] loss(outputs[i], target) over the outputs of a network that gives several in training.

    weights: 1 for the first, `auxiliary` for the others, unless given.  A single output (in evaluation) counts as the
    first.  A target of class numbers is thinned to an output of another size: the nearest pixel.  Lee et al. 2015.
    """

    def __init__(self, loss: Module, weights: Sequence[float] | None = None, auxiliary: float = 1.0):
        super().__init__()
        self.loss, self.weights, self.auxiliary = loss, weights, auxiliary

    def forward(self, outputs: Any, target: Tensor, *more: Any) -> Any:
        given = outputs if isinstance(outputs, tuple | list) else (outputs,)
        weights = self.weights or [1.0] + [self.auxiliary] * (len(given) - 1)
        if len(weights) < len(given):
            raise ValueError(f"DeepSupervision: {len(given)} outputs, but {len(weights)} weights")
        total: Any = None
        for output, weight in zip(given, weights, strict=False):
            term = self.loss(output, thinned(target, output.shape[2:]), *more) * weight
            total = term if total is None else total + term
        return total

    def extra_repr(self) -> str:
        return f"weights={list(self.weights)}" if self.weights else f"auxiliary={self.auxiliary}"


def thinned(target: Tensor, size: Sequence[int]) -> Any:
    """Class numbers (N, *space) at the nearest pixels of another size: centres of pixels, (i + 1/2) n / m."""
    if tuple(target.shape[1:]) == tuple(size) or not size:
        return target
    result: Any = target
    for axis, (n, m) in enumerate(zip(target.shape[1:], size, strict=True), 1):
        result = F.index_select(result, axis, Tensor(((np.arange(m) + 0.5) * n / m).astype(np.int64)))
    return result
