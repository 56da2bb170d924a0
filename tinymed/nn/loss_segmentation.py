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
    """Compute the softmax over the classes; of one class the sigmoid."""
    return F.softmax(scores, 1) if scores.shape[1] > 1 else F.sigmoid(scores)


class OverlapLoss(Loss):
    """Compute a loss of overlaps from scores and class numbers (N, *space), or probabilities of the scores' shape.

    One class: the sigmoid of its score against 0 and 1; more: the softmax.  weight: one number for each class, 0 leaves
    it out.
    """

    tensors = ("weight",)

    def forward(self, input: Tensor, target: Tensor, weight_map: Tensor | None = None) -> Any:
        named = {n: getattr(self, n) for n in self.options} | {"weight_map": weight_map}
        return getattr(F, self.function)(probabilities(input), target, reduction=self.reduction, **named)


class DiceLoss(OverlapLoss):
    """Compute 1 - Dice, the share of overlap 2 |A B| / (|A| + |B|), from scores.

    One class: the sigmoid of its score against 0 and 1; several: the softmax.

    Args:
        weight: (C,), a factor for each class; 0 leaves it out.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        squared: whether the denominator sums squares.  Default: False.
        smooth: added to numerator and denominator, in pixels.  Default: 1e-5.
        batch: whether overlaps are summed over the batch before they are divided; if not, in each sample.  Default:
            False.
        reduction: "mean", "sum" or "none".  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space), or probabilities of the scores' shape; weight_map (N,
        *space), an argument of the call; output a number, or with reduction="none" one for each sample and class.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).reshape(1, 2, 1, 2)
        >>> print(f"{nn.DiceLoss()(scores, tensor([[[0, 0]]])).item():.3f}")
        0.667

    Reference:
        Milletari, Navab & Ahmadi, "V-Net", 2016, whose form is squared=True.
    """

    function = "dice_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"squared": False, "smooth": 1e-5, "batch": False}


class JaccardLoss(OverlapLoss):
    """Compute 1 - Jaccard, intersection over union |A B| / |A or B|, from scores.

    One class: the sigmoid of its score against 0 and 1; several: the softmax.

    Args:
        weight: (C,), a factor for each class; 0 leaves it out.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        squared: whether the denominator sums squares.  Default: False.
        smooth: added to numerator and denominator, in pixels.  Default: 1e-5.
        batch: whether overlaps are summed over the batch before they are divided; if not, in each sample.  Default:
            False.
        reduction: "mean", "sum" or "none".  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space), or probabilities of the scores' shape; weight_map (N,
        *space), an argument of the call; output a number, or with reduction="none" one for each sample and class.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).reshape(1, 2, 1, 2)
        >>> print(f"{nn.JaccardLoss()(scores, tensor([[[0, 0]]])).item():.3f}")
        0.750

    Reference:
        Rahman & Wang, "Optimizing intersection-over-union in deep neural networks for image segmentation", 2016.
    """

    function = "jaccard_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"squared": False, "smooth": 1e-5, "batch": False}


class TanimotoLoss(OverlapLoss):
    """Compute 1 - Tanimoto's index, A B / (A^2 + B^2 - A B), from scores.

    One class: the sigmoid of its score against 0 and 1; several: the softmax.

    Args:
        weight: (C,), a factor for each class; 0 leaves it out.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        smooth: added to numerator and denominator, in pixels.  Default: 1e-5.
        batch: whether overlaps are summed over the batch before they are divided; if not, in each sample.  Default:
            False.
        reduction: "mean", "sum" or "none".  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space), or probabilities of the scores' shape; weight_map (N,
        *space), an argument of the call; output a number, or with reduction="none" one for each sample and class.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).reshape(1, 2, 1, 2)
        >>> print(f"{nn.TanimotoLoss()(scores, tensor([[[0, 0]]])).item():.3f}")
        0.750
    """

    function = "tanimoto_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"smooth": 1e-5, "batch": False}


class TverskyLoss(OverlapLoss):
    """Compute 1 - Tversky's index, TP / (TP + alpha FP + beta FN), from scores.

    One class: the sigmoid of its score against 0 and 1; several: the softmax.

    Args:
        weight: (C,), a factor for each class; 0 leaves it out.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        alpha: weight of false positives.  Default: 0.5.
        beta: weight of false negatives.  Default: 0.5.
        smooth: added to numerator and denominator, in pixels.  Default: 1e-5.
        batch: whether overlaps are summed over the batch before they are divided; if not, in each sample.  Default:
            False.
        reduction: "mean", "sum" or "none".  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space), or probabilities of the scores' shape; weight_map (N,
        *space), an argument of the call; output a number, or with reduction="none" one for each sample and class.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).reshape(1, 2, 1, 2)
        >>> print(f"{nn.TverskyLoss()(scores, tensor([[[0, 0]]])).item():.3f}")
        0.667

    Reference:
        Salehi, Erdogmus & Gholipour, "Tversky loss function for image segmentation", 2017.
    """

    function = "tversky_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {"alpha": 0.5, "beta": 0.5, "smooth": 1e-5, "batch": False}


class FocalTverskyLoss(OverlapLoss):
    """Compute (1 - Tversky's index)^gamma from scores, by default as DC-UNet was trained.

    One class: the sigmoid of its score against 0 and 1; several: the softmax.

    Args:
        weight: (C,), a factor for each class; 0 leaves it out.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        alpha: weight of false positives.  Default: 0.25.
        beta: weight of false negatives.  Default: 0.75.
        gamma: the exponent.  Default: 0.75.
        smooth: added to numerator and denominator, in pixels.  Default: 1.
        batch: whether overlaps are summed over the batch before they are divided; if not, in each sample.  Default:
            True.
        reduction: "mean", "sum" or "none".  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space), or probabilities of the scores' shape; weight_map (N,
        *space), an argument of the call; output a number, or with reduction="none" one for each sample and class.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[[50.0, -50.0]], [[-50.0, 50.0]]]).reshape(1, 2, 1, 2)
        >>> print(f"{nn.FocalTverskyLoss()(scores, tensor([[[0, 0]]])).item():.3f}")
        0.338

    Reference:
        Abraham & Khan, "A novel focal Tversky loss function with improved attention U-Net for lesion segmentation",
        2019.
    """

    function = "focal_tversky_loss"
    options: ClassVar[dict[str, Any]] = SHARED | {
        "alpha": 0.25,
        "beta": 0.75,
        "gamma": 0.75,
        "smooth": 1.0,
        "batch": True,
    }


class PixelCrossEntropyLoss(Loss):
    """Compute the cross-entropy of every pixel, weighted by its class and by a map.

    One class: binary cross-entropy against 0 and 1, weight being that of a 1.  The mean divides by the sum of the
    weights.  U-Net: reduction="mean" with its map; FCN: reduction="sum", ignore_index=255.

    Args:
        weight: (C,), a factor for each class.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        label_smoothing: share of the target that is spread evenly over all classes.  Default: 0.
        reduction: "mean", "sum" or "none" (one loss for each pixel).  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space); weight_map (N, *space), an argument of the call; output
        a number, or (N, *space) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.
        IndexError: when called, for a target that is no class.

    Example:
        >>> from tinymed import nn, ones, zeros
        >>> loss = nn.PixelCrossEntropyLoss(reduction="sum")(zeros(1, 2, 2, 2), zeros(1, 2, 2).long(), ones(1, 2, 2))
        >>> print(f"{loss.item():.3f}")
        2.773

    Reference:
        Ronneberger, Fischer & Brox, "U-Net: convolutional networks for biomedical image segmentation", 2015, equation
        1.
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
    """Compute the cross-entropy times (1 - p_t)^gamma, which counts easy pixels less; p_t is the target's probability.

    One class: the sigmoid's form, as of two scores 0 and x.

    Args:
        weight: (C,), a factor for each class.  Default: None.
        ignore_index: the class number of pixels that do not count.  Default: -100.
        gamma: the exponent; 0 is cross-entropy.  Default: 2.
        reduction: "mean", "sum" or "none" (one loss for each pixel).  Default: "mean".

    Shape:
        Scores (N, C, *space); target class numbers (N, *space); output a number, or (N, *space) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.

    Example:
        >>> from tinymed import nn, zeros
        >>> print(f"{nn.FocalLoss(gamma=0.0)(zeros(1, 2, 2, 2), zeros(1, 2, 2).long()).item():.3f}")
        0.693

    Reference:
        Lin et al., "Focal loss for dense object detection", 2017.
    """

    function, tensors = "softmax_focal_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = SHARED | {"gamma": 2.0}

    def forward(self, input: Tensor, target: Tensor) -> Any:
        if input.shape[1] == 1:
            input = F.cat([input * 0.0, input], 1)
        return F.softmax_focal_loss(input, target, self.weight, self.gamma, self.ignore_index, self.reduction)


class SumLoss(Module):
    """Compute a weighted sum of losses of the same (input, target).

    Args:
        losses: modules, at least one.
        weights: a factor for each.  Default: None, all 1.

    Shape:
        As of the losses.

    Raises:
        ValueError: no loss, or another number of weights.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.SumLoss([nn.L1Loss(), nn.MSELoss()], [1.0, 0.5])(tensor([2.0]), tensor([0.0])).item()
        4.0
    """

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
    """Make the sum of cross-entropy and Dice; of one class, binary cross-entropy and Dice.

    Args:
        cross_entropy: weight of PixelCrossEntropyLoss.  Default: 0.5.
        dice: weight of DiceLoss.  Default: 0.5.
        options: of DiceLoss; `weight` and `ignore_index` go to both.

    Returns:
        The loss, a SumLoss.

    Raises:
        TypeError: an option that DiceLoss does not take.

    Example:
        >>> from tinymed import nn
        >>> nn.dice_cross_entropy(squared=True).weights
        [0.5, 0.5]

    Reference:
        Chen et al., "TransUNet", 2021: the defaults with squared=True.
    """
    both = {n: options[n] for n in SHARED if n in options}
    return SumLoss([PixelCrossEntropyLoss(**both), DiceLoss(**options)], [cross_entropy, dice])


class DeepSupervision(Module):
    """Compute a weighted sum of one loss over the outputs of a network that gives several in training.

    A single output (in evaluation) counts as the first.  A target of class numbers is thinned to an output of another
    size: the nearest pixel.

    Args:
        loss: a loss of (input, target).
        weights: a factor for each output.  Default: None, 1 for the first and `auxiliary` for the others.
        auxiliary: the factor of all outputs but the first.  Default: 1.

    Shape:
        Outputs, a tensor (N, C, *space) or several; target (N, *space); output as of the loss.

    Raises:
        ValueError: when called, with more outputs than weights.

    Example:
        >>> from tinymed import nn, zeros
        >>> loss = nn.DeepSupervision(nn.PixelCrossEntropyLoss(), auxiliary=0.5)
        >>> outputs = zeros(1, 2, 4, 4), zeros(1, 2, 2, 2)
        >>> print(f"{loss(outputs, zeros(1, 4, 4).long()).item():.3f}")
        1.040

    Reference:
        Lee et al., "Deeply-supervised nets", 2015.
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
    """Take class numbers (N, *space) at the nearest pixels of another size: centres of pixels, (i + 1/2) n / m."""
    if tuple(target.shape[1:]) == tuple(size) or not size:
        return target
    result: Any = target
    for axis, (n, m) in enumerate(zip(target.shape[1:], size, strict=True), 1):
        result = F.index_select(result, axis, Tensor(((np.arange(m) + 0.5) * n / m).astype(np.int64)))
    return result
