"""Losses as modules.  Each calls the function of its name in `nn.functional`; that docstring has the formula."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor
from . import functional as F
from .module import Module


class Loss(Module):
    """A loss of (input, target) whose named options are passed on; reduction is "mean", "sum" or "none"."""

    function: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}
    tensors: ClassVar[Sequence[str]] = ()  # options that are tensors: buffers, outside the state

    def __init__(self, *args: Any, reduction: str = "mean", **kwargs: Any):
        super().__init__()
        if reduction not in ("mean", "sum", "none"):
            raise ValueError(f"{type(self).__name__}: reduction is 'mean', 'sum' or 'none', got {reduction!r}")
        given = dict(zip(self.options, args, strict=False)) | kwargs
        if len(args) > len(self.options) or any(n not in self.options for n in kwargs):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join([*self.options, 'reduction'])}; got {args} and {kwargs}"
            )
        self.reduction = reduction
        for name, value in (self.options | given).items():
            if name in self.tensors:
                if not (value is None or isinstance(value, Tensor)):
                    value = Tensor(np.array(value, np.float32))
                self.register_buffer(name, value, persistent=False)
            else:
                setattr(self, name, value)

    def forward(self, input: Tensor, target: Tensor) -> Any:
        named = {n: getattr(self, n) for n in self.options}
        return getattr(F, self.function)(input, target, reduction=self.reduction, **named)

    def extra_repr(self) -> str:
        return ", ".join(f"{n}={getattr(self, n)}" for n in ("reduction", *self.options) if n not in self.tensors)


class L1Loss(Loss):
    """|input - target|."""

    function = "l1_loss"


class MSELoss(Loss):
    """(input - target)^2."""

    function = "mse_loss"


class SmoothL1Loss(Loss):
    """(x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2."""

    function, options = "smooth_l1_loss", {"beta": 1.0}


class HuberLoss(Loss):
    """(x - t)^2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2)."""

    function, options = "huber_loss", {"delta": 1.0}


class CrossEntropyLoss(Loss):
    """-log softmax(input)[target], for class indices or class probabilities."""

    function = "cross_entropy"
    options: ClassVar[dict[str, Any]] = {"weight": None, "ignore_index": -100, "label_smoothing": 0.0}
    tensors = ("weight",)


class NLLLoss(Loss):
    """-input[target], for logarithms of probabilities and class indices."""

    function, tensors = "nll_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None, "ignore_index": -100}


class BCELoss(Loss):
    """-t log p - (1 - t) log(1 - p), for probabilities."""

    function, tensors = "binary_cross_entropy", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None}


class BCEWithLogitsLoss(Loss):
    """Binary cross-entropy of sigmoid(input), computed without overflow."""

    function, tensors = "binary_cross_entropy_with_logits", ("weight", "pos_weight")
    options: ClassVar[dict[str, Any]] = {"weight": None, "pos_weight": None}


class KLDivLoss(Loss):
    """target (log target - input), for input as logarithms of probabilities."""

    function, options = "kl_div", {"log_target": False}


class HingeEmbeddingLoss(Loss):
    """x where target is 1, max(0, margin - x) where it is -1."""

    function, options = "hinge_embedding_loss", {"margin": 1.0}


class HingeLoss(Loss):
    """max(0, 1 - target input), for targets 1 and -1."""

    function = "hinge_loss"


class SquaredHingeLoss(Loss):
    """max(0, 1 - target input)^2, for targets 1 and -1."""

    function = "squared_hinge_loss"
