"""Losses as modules.  Each calls the function of its name in `nn.functional`; that docstring has the formula."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..ops.reduction import LEGACY, legacy_reduction
from ..tensor import Tensor
from . import functional as F
from .module import Module

OLDER: dict[str, Any] = {"size_average": None, "reduce": None, "reduction": "mean"}


class Loss(Module):
    """Hold the named options of a loss of (input, target) and pass them on.

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
    """Compute the absolute error |input - target|.

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
        >>> nn.L1Loss()(tensor([1.0, 2.0]), tensor([0.0, 4.0])).item()
        1.5

    As `torch.nn.L1Loss`.
    """

    function = "l1_loss"


class MSELoss(Loss):
    """Compute the squared error (input - target)^2.

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
        >>> nn.MSELoss()(tensor([1.0, 2.0]), tensor([0.0, 4.0])).item()
        2.5

    As `torch.nn.MSELoss`.
    """

    function = "mse_loss"


class SmoothL1Loss(Loss):
    """Compute (x - t)^2 / (2 beta) where |x - t| < beta, else |x - t| - beta / 2.

    Args:
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".
        beta: the error, in the units of the input, from which the loss is linear.  Default: 1.

    Shape:
        Input and target of the same shape, or broadcast with a warning; output a number, or with reduction="none"
        that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast or a negative beta.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.SmoothL1Loss()(tensor([1.0, 2.0]), tensor([1.0, 4.0])).item()
        0.75

    Reference:
        Girshick, "Fast R-CNN", 2015, equation 3.

    As `torch.nn.SmoothL1Loss`.
    """

    function, options = "smooth_l1_loss", OLDER | {"beta": 1.0}


class HuberLoss(Loss):
    """Compute (x - t)^2 / 2 where |x - t| < delta, else delta (|x - t| - delta / 2).

    Args:
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".
        delta: the error, in the units of the input, from which the loss is linear.  Default: 1.

    Shape:
        Input and target of the same shape, or broadcast with a warning; output a number, or with reduction="none"
        that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast or a delta that is not positive.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.HuberLoss()(tensor([1.0, 2.0]), tensor([1.0, 4.0])).item()
        0.75

    Reference:
        Huber, "Robust estimation of a location parameter", 1964.

    As `torch.nn.HuberLoss`.
    """

    function, options = "huber_loss", {"reduction": "mean", "delta": 1.0}


WEIGHTED: dict[str, Any] = {
    "weight": None,
    "size_average": None,
    "ignore_index": -100,
    "reduce": None,
    "reduction": "mean",
}


class CrossEntropyLoss(Loss):
    """Compute -log softmax(input)[target] from scores and class numbers or class probabilities.

    Args:
        weight: (C,), a factor for each class; the mean divides by the sum of the factors.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        ignore_index: the class number of targets that do not count.  Default: -100.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each target).  Default: "mean".
        label_smoothing: share of the target, from 0 to 1, that is spread evenly over all classes.  Default: 0.

    Shape:
        Input (N, C, *space) or (C,), scores before a softmax; target integers (N, *space), or probabilities of the
        input's shape; output a number, or (N, *space) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.
        IndexError: when called, for a target that is no class.

    Example:
        >>> from tinymed import nn, tensor
        >>> scores = tensor([[0.0, 0.0], [0.0, 0.0]])
        >>> print(f"{nn.CrossEntropyLoss()(scores, tensor([0, 1])).item():.3f}")
        0.693

    As `torch.nn.CrossEntropyLoss`.
    """

    function = "cross_entropy"
    options: ClassVar[dict[str, Any]] = WEIGHTED | {"label_smoothing": 0.0}
    tensors = ("weight",)


class NLLLoss(Loss):
    """Compute -input[target] from logarithms of probabilities and class numbers.

    Args:
        weight: (C,), a factor for each class; the mean divides by the sum of the factors.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        ignore_index: the class number of targets that do not count.  Default: -100.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each target).  Default: "mean".

    Shape:
        Input (N, C, *space) or (C,), such as LogSoftmax gives; target integers (N, *space) or (); output a number, or
        (N, *space) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit.
        IndexError: when called, for a target that is no class.
        TypeError: when called, for a target that is not made of integers.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.NLLLoss()(tensor([[-0.5, -1.0], [-2.0, -0.25]]), tensor([0, 1])).item()
        0.375

    As `torch.nn.NLLLoss`.
    """

    function, tensors = "nll_loss", ("weight",)
    options: ClassVar[dict[str, Any]] = WEIGHTED


class BCELoss(Loss):
    """Compute -t log p - (1 - t) log(1 - p) from probabilities p and targets t; logarithms are at least -100.

    Args:
        weight: factors that broadcast to the input.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape, both from 0 to 1; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that differ or an input outside [0, 1].

    Example:
        >>> from tinymed import nn, tensor
        >>> print(f"{nn.BCELoss()(tensor([0.5, 0.5]), tensor([1.0, 0.0])).item():.3f}")
        0.693

    As `torch.nn.BCELoss`.
    """

    function, tensors = "binary_cross_entropy", ("weight",)
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER


class BCEWithLogitsLoss(Loss):
    """Compute the binary cross-entropy of sigmoid(input) from scores, without overflow.

    Args:
        weight: factors that broadcast to the input.  Default: None.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".
        pos_weight: a factor for the positive targets, which broadcasts to the input: above 1 it favours recall.
            Default: None.

    Shape:
        Input, scores, and target, from 0 to 1, of the same shape; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that differ.

    Example:
        >>> from tinymed import nn, tensor
        >>> print(f"{nn.BCEWithLogitsLoss()(tensor([0.0, 0.0]), tensor([1.0, 0.0])).item():.3f}")
        0.693

    As `torch.nn.BCEWithLogitsLoss`.
    """

    function, tensors = "binary_cross_entropy_with_logits", ("weight", "pos_weight")
    options: ClassVar[dict[str, Any]] = {"weight": None} | OLDER | {"pos_weight": None}


class KLDivLoss(Loss):
    """Compute target (log target - input) from logarithms of probabilities: the Kullback-Leibler divergence.

    Args:
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "batchmean" (the sum divided by N: the divergence itself), "sum" or "none".  Default: "mean".
        log_target: whether target, too, holds logarithms.  Default: False.

    Shape:
        Input, logarithms of probabilities, and target, probabilities, of the same shape; output a number, or with
        reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.KLDivLoss(reduction="sum", log_target=True)(tensor([0.0, -1.0]), tensor([0.0, -1.0])).item()
        0.0

    Reference:
        Kullback & Leibler, "On information and sufficiency", 1951.

    As `torch.nn.KLDivLoss`.
    """

    function, options = "kl_div", OLDER | {"log_target": False}
    reductions = ("mean", "batchmean", "sum", "none")


class PoissonNLLLoss(Loss):
    """Compute the negative log-likelihood of counts under a Poisson distribution: exp(input) - target input.

    Args:
        log_input: whether input is the logarithm of the rate; if not, the loss is input - target log(input + eps).
            Default: True.
        full: whether Stirling's approximation of log(target!) is added where target > 1.  Default: False.
        size_average: PyTorch's older word for reduction; with `reduce` it overrides `reduction`.  Default: None.
        eps: keeps the logarithm finite without log_input.  Default: 1e-8.
        reduce: PyTorch's older word for reduction.  Default: None.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape; output a number, or with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that differ.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.PoissonNLLLoss()(tensor([0.0]), tensor([2.0])).item()
        1.0

    As `torch.nn.PoissonNLLLoss`.
    """

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
    """Compute the negative log-likelihood of a normal variable: (log var + (input - target)^2 / var) / 2.

    Args:
        full: whether the constant log(2 pi) / 2 is added.  Default: False.
        eps: the least variance that counts.  Default: 1e-6.
        reduction: "mean", "sum" or "none" (one loss for each element).  Default: "mean".

    Shape:
        Input and target of the same shape, var that shape or with 1, or nothing, as its last side; output a number, or
        with reduction="none" that shape.

    Raises:
        ValueError: an unknown reduction, or, when called, shapes that do not fit or a negative var.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.GaussianNLLLoss()(tensor([1.0]), tensor([3.0]), tensor([1.0])).item()
        2.0

    Reference:
        Nix & Weigend, "Estimating the mean and variance of the target probability distribution", 1994.

    As `torch.nn.GaussianNLLLoss`.
    """

    function = "gaussian_nll_loss"
    options: ClassVar[dict[str, Any]] = {"full": False, "eps": 1e-6, "reduction": "mean"}

    def __init__(self, *, full: bool = False, eps: float = 1e-6, reduction: str = "mean"):
        super().__init__(full=full, eps=eps, reduction=reduction)


class CTCLoss(Loss):
    """Compute -log p(labels), summed over all alignments of a sequence of labels with a longer sequence of scores.

    Called with (log_probs, targets, input_lengths, target_lengths).

    Args:
        blank: the class number that stands for no label.  Default: 0.
        reduction: "mean" (of each loss divided by its number of labels), "sum" or "none".  Default: "mean".
        zero_infinity: whether an infinite loss, of a sequence too short for its labels, and its gradient become 0.
            Default: False.

    Shape:
        log_probs (T, N, C) or (T, C), logarithms of probabilities; targets integers (N, S), or all labels in a row;
        input_lengths and target_lengths (N,); output a number, or (N,) with reduction="none".

    Raises:
        ValueError: an unknown reduction, or, when called, shapes or lengths that do not fit.

    Example:
        >>> from tinymed import nn, zeros
        >>> log_probs = zeros(4, 1, 3).log_softmax(2)
        >>> print(f"{nn.CTCLoss()(log_probs, zeros(1, 1).long() + 1, [4], [1]).item():.3f}")
        2.092

    Reference:
        Graves et al., "Connectionist temporal classification", 2006.

    As `torch.nn.CTCLoss`.
    """

    function = "ctc_loss"
    options: ClassVar[dict[str, Any]] = {"blank": 0, "reduction": "mean", "zero_infinity": False}
