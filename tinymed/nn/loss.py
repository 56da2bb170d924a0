"""Losses as modules.  Each calls the function of its name in `nn.functional`; that docstring has the formula."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from ..ops.reduction import LEGACY, legacy_reduction
from ..tensor import Tensor
from . import functional as F
from .module import Module

OLDER: dict[str, Any] = {"size_average": None, "reduce": None, "reduction": "mean"}


class Loss(Module):
    """A loss of (input, target) whose named options are passed on.

    `options` are the arguments and their defaults in PyTorch's order; reduction is one of `reductions`.  size_average
    and reduce are PyTorch's older words for it.  Options that are tensors are buffers, part of the state; a state
    without them is loaded all the same, as it was written before they were.
    """

    function: ClassVar[str]
    options: ClassVar[dict[str, Any]] = OLDER
    tensors: ClassVar[Sequence[str]] = ()
    reductions: ClassVar[Sequence[str]] = ("mean", "sum", "none")

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()
        name, known = type(self).__name__, self.options | {"reduction": "mean"}
        twice = [n for n in list(self.options)[: len(args)] if n in kwargs]
        if len(args) > len(self.options) or twice or any(n not in known for n in kwargs):
            raise TypeError(f"{name} takes {', '.join(known)}; got {args} and {kwargs}")
        given = known | dict(zip(self.options, args, strict=False)) | kwargs
        averaged, reduce = (given.pop(n, None) for n in LEGACY)
        reduction = legacy_reduction(averaged, reduce, given.pop("reduction"))
        if reduction not in self.reductions:
            accepted = ", ".join(map(repr, self.reductions))
            raise ValueError(f"{name}: reduction is one of {accepted}, got {reduction!r}")
        self.reduction = reduction
        for option, value in given.items():
            if option in self.tensors:
                if not (value is None or isinstance(value, Tensor)):
                    value = Tensor(np.array(value, np.float32))
                self.register_buffer(option, value)
            else:
                setattr(self, option, value)

    _optional_state = property(lambda self: self.tensors)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        named = {n: getattr(self, n) for n in self.options if n not in OLDER}
        return getattr(F, self.function)(*args, **kwargs, reduction=self.reduction, **named)

    def extra_repr(self) -> str:
        shown = ("reduction", *(n for n in self.options if n not in OLDER))
        return ", ".join(f"{n}={getattr(self, n)}" for n in shown if n not in self.tensors)


class L1Loss(Loss):
    """|input - target|."""

    function = "l1_loss"


class MSELoss(Loss):
    """(input - target)^2."""

    function = "mse_loss"


class SmoothL1Loss(Loss):
    """(x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2."""

    function, options = "smooth_l1_loss", OLDER | {"beta": 1.0}


class HuberLoss(Loss):
    """(x - t)^2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2)."""

    function, options = "huber_loss", {"reduction": "mean", "delta": 1.0}


WEIGHTED: dict[str, Any] = {
    "weight": None,
    "size_average": None,
    "ignore_index": -100,
    "reduce": None,
    "reduction": "mean",
}


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target], for class indices or class probabilities."""

    function = "cross_entropy"
    options: ClassVar[dict[str, Any]] = WEIGHTED | {"label_smoothing": 0.0}
    tensors = ("weight",)


class NLLLoss(Loss):
    """-input[target], for logarithms of probabilities and class indices."""

    function, tensors = "nll_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = WEIGHTED


class BCELoss(Loss):
    """-t log p - (1 - t) log(1 - p), for probabilities."""

    function, tensors = "binary_cross_entropy", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of sigmoid(input), computed without overflow."""

    function, tensors = "binary_cross_entropy_with_logits", ("weight", "pos_weight")
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER | {"pos_weight": None}


class KLDivLoss(Loss):
    """target (log target - input), for input as logarithms of probabilities."""

    function, options = "kl_div", OLDER | {"log_target": False}
    reductions = ("mean", "batchmean", "sum", "none")


class HingeEmbeddingLoss(Loss):
    """x where target is 1, max(0, margin - x) where it is -1."""

    function, options = "hinge_embedding_loss", {"margin": 1.0} | OLDER


class HingeLoss(Loss):
    """max(0, 1 - target input), for targets 1 and -1."""

    function, options = "hinge_loss", {}


class SquaredHingeLoss(Loss):
    """max(0, 1 - target input)^2, for targets 1 and -1."""

    function, options = "squared_hinge_loss", {}


class MarginRankingLoss(Loss):
    """max(0, margin - target (input1 - input2))."""

    function, options = "margin_ranking_loss", {"margin": 0.0} | OLDER


class CosineEmbeddingLoss(Loss):
    """1 - cos where target is 1, max(0, cos - margin) where it is -1."""

    function, options = "cosine_embedding_loss", {"margin": 0.0} | OLDER


class SoftMarginLoss(Loss):
    """log(1 + exp(-target input)), for targets 1 and -1."""

    function = "soft_margin_loss"


class MultiLabelSoftMarginLoss(Loss):
    """The mean over classes of the binary cross-entropy of sigmoid(input)."""

    function, tensors = "multilabel_soft_margin_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER


class MultiMarginLoss(Loss):
    """max(0, margin - x[target] + x[c])^p, averaged over the classes c."""

    function, tensors = "multi_margin_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = {"p": 1, "margin": 1.0, "weight": None} | OLDER


class MultiLabelMarginLoss(Loss):
    """max(0, 1 - x[label] + x[c]) over labels and other classes c."""

    function = "multilabel_margin_loss"


class TripletMarginLoss(Loss):
    """max(0, margin + |anchor - positive|_p - |anchor - negative|_p)."""

    function = "triplet_margin_loss"
    options: ClassVar[dict[str, Any]] = {"margin": 1.0, "p": 2.0, "eps": 1e-6, "swap": False} | OLDER


class TripletMarginWithDistanceLoss(Loss):
    """TripletMarginLoss with a distance of one's own."""

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


class PoissonNLLLoss(Loss):
    """exp(input) - target input: the negative log-likelihood of counts."""

    function = "poisson_nll_loss"
    options: ClassVar[dict[str, Any]] = {
        "log_input": True,
        "full": False,
        "size_average": None,
        "eps": 1e-8,
        "reduce": None,
        "reduction": "mean",
    }


class GaussianNLLLoss(Loss):
    """(log var + (input - target)^2 / var) / 2, for (input, target, var): the likelihood of a normal variable."""

    function = "gaussian_nll_loss"
    options: ClassVar[dict[str, Any]] = {"full": False, "eps": 1e-6, "reduction": "mean"}

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(full=full, eps=eps, reduction=reduction)


class CTCLoss(Loss):
    """-log p(labels) over all alignments; (log_probs, targets, input_lengths, target_lengths)."""

    function = "ctc_loss"
    options: ClassVar[dict[str, Any]] = {"blank": 0, "reduction": "mean", "zero_infinity": False}
