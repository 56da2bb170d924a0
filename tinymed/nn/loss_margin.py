"""Losses that ask for a margin: between a score and 0, between classes, or between distances."""

from collections.abc import Callable
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .loss import OLDER, Loss


class HingeEmbeddingLoss(Loss):
    """Compute x where target is 1, and max(0, margin - x) where it is -1; x is a distance.

    Args:
        margin: the distance from which unlike pairs cost nothing.  Default: 1.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape, or broadcast with a warning; output a number, or with reduction="none"
        that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.HingeEmbeddingLoss()(tensor([0.5, 0.25]), tensor([1.0, -1.0])).item()
        0.625

    As `torch.nn.HingeEmbeddingLoss`.
    """

    function, options = "hinge_embedding_loss", {"margin": 1.0} | OLDER


class HingeLoss(Loss):
    """Compute max(0, 1 - target input) from scores and targets 1 and -1.

    Args:
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that differ.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.HingeLoss()(tensor([0.5, -1.0]), tensor([1.0, 1.0])).item()
        1.25

    Reference:
        Cortes & Vapnik, "Support-vector networks", 1995.
    """

    function, options = "hinge_loss", {}


class SquaredHingeLoss(Loss):
    """Compute max(0, 1 - target input)^2 from scores and targets 1 and -1.

    Args:
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that differ.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.SquaredHingeLoss()(tensor([0.5, -1.0]), tensor([1.0, 1.0])).item()
        2.125

    Reference:
        Lee & Mangasarian, "SSVM: a smooth support vector machine for classification", 2001.
    """

    function, options = "squared_hinge_loss", {}


class MarginRankingLoss(Loss):
    """Compute max(0, margin - target (input1 - input2)); target 1 asks for input1 to rank higher, -1 for input2.

    Args:
        margin: the difference from which a pair costs nothing.  Default: 0.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input1, input2 and target of the same shape; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast.
        RuntimeError: when called, for different numbers of axes.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MarginRankingLoss(1.0)(tensor([1.0, 0.0]), tensor([0.0, 1.0]), tensor([1.0, 1.0])).item()
        1.0

    As `torch.nn.MarginRankingLoss`.
    """

    function, options = "margin_ranking_loss", {"margin": 0.0} | OLDER


class CosineEmbeddingLoss(Loss):
    """Compute 1 - cos(x1, x2) where target is 1, and max(0, cos - margin) where it is -1.

    Args:
        margin: the cosine, from -1 to 1, up to which unlike pairs cost nothing.  Default: 0.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input1 and input2 (N, D), target (N,); or (D,) and a number; output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, sides that differ.
        RuntimeError: when called, for other numbers of axes.

    Example:
        >>> from tinymed import nn, tensor
        >>> loss = nn.CosineEmbeddingLoss()(tensor([[1.0, 0.0]]), tensor([[0.0, 1.0]]), tensor([1.0]))
        >>> print(f"{loss.item():.3f}")
        1.000

    As `torch.nn.CosineEmbeddingLoss`.
    """

    function, options = "cosine_embedding_loss", {"margin": 0.0} | OLDER


class SoftMarginLoss(Loss):
    """Compute log(1 + exp(-target input)) from scores and targets 1 and -1.

    Args:
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape, or broadcast with a warning; output a number, or with reduction="none"
        that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> print(f"{nn.SoftMarginLoss()(tensor([0.0, 0.0]), tensor([1.0, -1.0])).item():.3f}")
        0.693

    As `torch.nn.SoftMarginLoss`.
    """

    function = "soft_margin_loss"


class MultiLabelSoftMarginLoss(Loss):
    """Compute the mean over classes of the binary cross-entropy of sigmoid(input).

    Args:
        weight: (C,), a factor for each class.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each sample).  Default: "mean".

    Shape:
        Input, scores (N, C), and target, 0 and 1, of the same shape; output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> loss = nn.MultiLabelSoftMarginLoss()(tensor([[0.0, 0.0]]), tensor([[1.0, 0.0]]))
        >>> print(f"{loss.item():.3f}")
        0.693

    As `torch.nn.MultiLabelSoftMarginLoss`.
    """

    function, tensors = "multilabel_soft_margin_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER


class MultiMarginLoss(Loss):
    """Compute the sum over classes c other than the target t of max(0, margin - x[t] + x[c])^p / C.

    Args:
        p: 1 or 2.  Default: 1.
        margin: the lead of the target's score from which a class costs nothing.  Default: 1.
        weight: (C,), a factor for each target class.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each sample).  Default: "mean".

    Shape:
        Input (N, C) with target integers (N,), or (C,) with a number; output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, a p other than 1 or 2, or shapes that do not fit.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MultiMarginLoss()(tensor([[1.0, 0.5]]), tensor([0])).item()
        0.25

    Reference:
        Crammer & Singer, "On the algorithmic implementation of multiclass kernel-based vector machines", 2001.

    As `torch.nn.MultiMarginLoss`.
    """

    function, tensors = "multi_margin_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = {"p": 1, "margin": 1.0, "weight": None} | OLDER


class MultiLabelMarginLoss(Loss):
    """Compute the sum over labels j and other classes c of max(0, 1 - x[j] + x[c]) / C.

    Args:
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each sample).  Default: "mean".

    Shape:
        Input (N, C) or (C,); target integers of that shape, the labels of a sample first and then -1; output a number,
        or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, another shape or dtype of the target.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MultiLabelMarginLoss()(tensor([[1.0, 0.5]]), tensor([[0, -1]])).item()
        0.25

    As `torch.nn.MultiLabelMarginLoss`.
    """

    function = "multilabel_margin_loss"


class TripletMarginLoss(Loss):
    """Compute max(0, margin + |anchor - positive|_p - |anchor - negative|_p).

    Args:
        margin: how much farther the negative must be for a triplet to cost nothing.  Default: 1.
        p: of the norm.  Default: 2.
        eps: added to each difference.  Default: 1e-6.
        swap: whether the negative's distance to the positive counts where it is smaller than that to the anchor.
            Default: False.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each triplet).  Default: "mean".

    Shape:
        Anchor, positive and negative (N, D) or (D,); output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, a margin that is not positive.
        RuntimeError: when called, for different numbers of axes.

    Example:
        >>> from tinymed import nn, tensor
        >>> a, near, far = tensor([[0.0]]), tensor([[1.0]]), tensor([[5.0]])
        >>> nn.TripletMarginLoss()(a, near, far).item()
        0.0

    Reference:
        Schroff et al., "FaceNet: a unified embedding for face recognition and clustering", 2015; swap: Balntas et al.,
        "Learning local feature descriptors with triplets and shallow convolutional neural networks", 2016.

    As `torch.nn.TripletMarginLoss`.
    """

    function = "triplet_margin_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False} | OLDER


class TripletMarginWithDistanceLoss(Loss):
    """Compute max(0, margin + d(anchor, positive) - d(anchor, negative)) for a distance d of one's own.

    Args:
        distance_function: d, a function of two tensors.  Default: None, which is the Euclidean distance.
        margin: how much farther the negative must be for a triplet to cost nothing.  Default: 1.
        swap: whether the negative's distance to the positive counts where it is smaller than that to the anchor.
            Default: False.
        reduction: "mean", "sum" or "none" (one loss for each triplet).  Default: "mean".

    Shape:
        Anchor, positive and negative (N, D) or (D,); output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction or a margin that is not positive.
        RuntimeError: when called, for different numbers of axes.

    Example:
        >>> from tinymed import nn, tensor
        >>> loss = nn.TripletMarginWithDistanceLoss(distance_function=lambda a, b: (a - b).abs().sum(-1))
        >>> loss(tensor([[0.0]]), tensor([[1.0]]), tensor([[1.5]])).item()
        0.5

    As `torch.nn.TripletMarginWithDistanceLoss`.
    """

    function = "triplet_margin_with_distance_loss"

    def __init__(
        self,
        *,
        distance_function: Callable[[Any, Any], Any] | None = None,
        margin: float = 1.0,
        swap: bool = False,
        reduction: str = "mean",
    ):
        super().__init__(reduction=reduction)
        if margin <= 0:
            raise ValueError(f"TripletMarginWithDistanceLoss: margin must be positive, got {margin}")
        self.distance_function = F.pairwise_distance if distance_function is None else distance_function
        self.margin, self.swap = margin, swap

    def forward(self, anchor: Tensor, positive: Tensor, negative: Tensor) -> Any:
        return F.triplet_margin_with_distance_loss(
            anchor,
            positive,
            negative,
            distance_function=self.distance_function,
            margin=self.margin,
            swap=self.swap,
            reduction=self.reduction,
        )
