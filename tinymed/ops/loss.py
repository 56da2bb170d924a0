"""Losses of classification, each one fused op: binary cross-entropy and softmax cross-entropy.

`reduction` is PyTorch's: "none" gives a loss per element, "sum" their sum, "mean" their weighted mean.  Losses that are
compositions of other ops are in loss_functions.py.
"""

import sys
import warnings
from typing import Any

import numpy as np

from .. import devices
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op, host_read_listeners
from .binary_loss import REDUCTIONS, BCEWithLogits, BinaryCrossEntropy, times
from .cast import Cast
from .promotion import floating
from .reduction import torch_arguments
from .shape import reshape

# ------------------------------------------------------------------------------------------- softmax cross-entropy


def class_mask(xp: Any, x: Array, target: Array) -> Array:
    """Return where the class axis equals the target: one True per pixel, none where the target is no class."""
    classes = xp.arange(x.shape[1]).reshape((1, -1) + (1,) * (x.ndim - 2))
    return classes == xp.expand_dims(target, 1)


def class_weights(x: Array, weight: Any) -> Any:
    """Return class weights that broadcast over (N, C, *space), or 1."""
    return 1 if weight is None else weight.reshape((1, -1) + (1,) * (x.ndim - 2))


def pixel_weights(xp: Any, x: Array, target: Array, weight: Any, weight_map: Any, ignore_index: int) -> Array:
    """Return each pixel's share of the loss: the weight of its class times the map; 0 where the target is ignored."""
    share = (class_mask(xp, x, target) * class_weights(x, weight)).sum(1).astype(x.dtype)
    return times(xp.where(target == ignore_index, 0, share), weight_map)


def entropy_shapes(x: Array, *args: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the loss, of log_total of each pixel, and of the sum of the weights."""
    pixels = (x.shape[0], *x.shape[2:])
    return [pixels if args[-1] == "none" else (), pixels, ()]


@kernel(out=entropy_shapes, flops=lambda x, *_: 5 * x.size)
def cross_entropy_forward(
    xp: Any, x: Array, target: Array, weight: Any, weight_map: Any, ignore_index: int, smoothing: float, reduction: str
) -> Any:
    """loss = m ((1 - e) w[t] nll[t] + e / C sum w nll), m = map, e = smoothing; log_total; sum of m w[t].

    nll = log_total - (x - max x), log_total = ln sum e^(x - max x).
    """
    z = x - x.max(1, keepdims=True)
    log_total = xp.log(xp.exp(z).sum(1))
    nll = xp.expand_dims(log_total, 1) - z
    share = pixel_weights(xp, x, target, weight, weight_map, ignore_index)
    loss = share * xp.where(class_mask(xp, x, target), nll, 0).sum(1)
    if smoothing:
        even = (nll * class_weights(x, weight)).sum(1) * (smoothing / x.shape[1])
        loss = (1 - smoothing) * loss + times(xp.where(target == ignore_index, 0, even), weight_map)
    total = share.sum()
    if reduction != "none":
        loss = loss.sum() / total if reduction == "mean" else loss.sum()
    return loss, log_total, total


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 4 * x.size)
def cross_entropy_backward(
    xp: Any,
    dy: Array,
    x: Array,
    target: Array,
    weight: Any,
    weight_map: Any,
    log_total: Array,
    total: Array,
    ignore_index: int,
    smoothing: float,
    reduction: str,
) -> Array:
    """dx = dy m ((1 - e) w[t] (p - 1[t]) + e / C (p sum(w) - w)), p = e^-nll; mean: dy / total."""
    g = dy / total if reduction == "mean" else dy
    share = pixel_weights(xp, x, target, weight, weight_map, ignore_index)
    p = xp.exp(x - x.max(1, keepdims=True) - xp.expand_dims(log_total, 1))
    dx = xp.expand_dims((1 - smoothing) * share, 1) * (p - class_mask(xp, x, target))
    if smoothing:
        w, used = (
            class_weights(x, weight) * xp.ones_like(p),
            times((target != ignore_index).astype(x.dtype), weight_map),
        )
        dx = dx + (smoothing / x.shape[1]) * xp.expand_dims(used, 1) * (p * w.sum(1, keepdims=True) - w)
    return xp.where(xp.expand_dims(target == ignore_index, 1), 0, dx * (xp.expand_dims(g, 1) if g.ndim else g))


class CrossEntropy(Op):
    """loss = w[t] nll[t], nll = ln sum e^x - x over the classes;  dx = w[t] (softmax(x) - 1[t]).

    Smoothing e: (1 - e) of that plus e / C sum_c w[c] nll[c]  (Szegedy et al., CVPR 2016, section 7).
    The mean divides by the sum of w[t], times the map, over pixels not ignored; the gradient of an ignored pixel is 0,
    whatever its scores.  Not the softmax is saved but log_total = ln sum e^(x - max x), a number for each pixel; max x
    is found again, for added to log_total it would take its last digits.
    """

    promotes = floating("cross_entropy")

    def forward(
        self, x: Array, target: Array, weight: Any, weight_map: Any, ignore_index: int, smoothing: float, reduction: str
    ) -> Array:
        options = (ignore_index, smoothing, reduction)
        loss, log_total, total = self.k.cross_entropy_forward(x, target, weight, weight_map, *options)
        self.save(x, target, weight, weight_map, log_total, total, *options)
        return loss

    def backward(self, dy: Array) -> Any:
        return self.k.cross_entropy_backward(dy, *self.saved), *[None] * 6

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        classes = draw.choice((3, 1, 2, 17))
        pixels = draw.choice(((draw.integer(1, 5), *draw.shape(0, 3, max_side=4)), (300,)))
        target = draw.integers(pixels, 0, classes - 1)
        if draw.boolean():
            target.flat[draw.integer(0, target.size - 1)] = IGNORED
            target.flat[0] = 0
        weight = draw.array((classes,), 0.2, 2, constant=True) if draw.boolean() else None
        weight_map = draw.array(pixels, 0.2, 2, constant=True) if not draw.integer(0, 3) else None
        x = draw.array((pixels[0], classes, *pixels[1:]), *draw.choice(((-4, 4), (90, 98), (4990, 4998))))
        x = np.round(x * 64) / 64  # large scores, too, are float32 numbers: what is lost is lost in the kernel
        return x, target, weight, weight_map, IGNORED, draw.choice((0.0, 0.1)), draw.choice(REDUCTIONS)

    @staticmethod
    def oracle(
        torch: Any,
        x: Any,
        target: Any,
        weight: Any,
        weight_map: Any,
        ignore_index: int,
        smoothing: float,
        reduction: str,
    ) -> Any:
        options = {"ignore_index": ignore_index, "label_smoothing": smoothing}
        loss = torch.nn.functional.cross_entropy
        if weight_map is None:
            return loss(x, target, weight, reduction=reduction, **options)
        each = loss(x, target, weight, reduction="none", **options) * weight_map
        shares = weight_map * (target != ignore_index) * (1 if weight is None else weight[target.clamp(min=0)])
        return each if reduction == "none" else each.sum() / (shares.sum() if reduction == "mean" else 1)


IGNORED = -100


@kernel(out=lambda x, *args: entropy_shapes(x, *args)[::2], flops=lambda x, *_: 2 * x.size)
def nll_loss_forward(xp: Any, x: Array, target: Array, weight: Any, ignore_index: int, reduction: str) -> Any:
    """loss = -w[t] x[t], 0 where t = ignore_index; mean: the sum / total, total = sum of w[t]; also total."""
    share = pixel_weights(xp, x, target, weight, None, ignore_index)
    loss = -share * xp.where(class_mask(xp, x, target), x, 0).sum(1)
    total = share.sum()
    return (loss if reduction == "none" else loss.sum() / total if reduction == "mean" else loss.sum()), total


@kernel(out=lambda dy, x, *_: [x.shape], flops=lambda dy, x, *_: 2 * x.size)
def nll_loss_backward(
    xp: Any, dy: Array, x: Array, target: Array, weight: Any, total: Array, ignore_index: int, reduction: str
) -> Array:
    """dx[c] = -dy w[t] where c = t, else 0, also where t = ignore_index; mean: dy / total."""
    g = (dy / total if reduction == "mean" else dy) * pixel_weights(xp, x, target, weight, None, ignore_index)
    return xp.where(class_mask(xp, x, target), -xp.expand_dims(g, 1), 0)


class NLLLoss(Op):
    """loss = -w[t] x[t] for log-probabilities x (N, C, *space);  dx = -w[t] at the target's class, else 0."""

    def forward(self, x: Array, target: Array, weight: Any, ignore_index: int, reduction: str) -> Array:
        loss, total = self.k.nll_loss_forward(x, target, weight, ignore_index, reduction)
        self.save(x, target, weight, total, ignore_index, reduction)
        return loss

    def backward(self, dy: Array) -> Any:
        return self.k.nll_loss_backward(dy, *self.saved), None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, target, weight, _, ignored, _, reduction = CrossEntropy.samples(draw)
        return x, target, weight, ignored, reduction

    @staticmethod
    def oracle(torch: Any, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
        loss = torch.nn.functional.nll_loss
        return loss(x, target, weight, ignore_index=ignore_index, reduction=reduction)


# ------------------------------------------------------------------------------------------------ public functions


@torch_arguments("input target weight size_average reduce reduction")
def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, reduction: str = "mean"
) -> Tensor:
    """Compute -(t log p + (1 - t) log(1 - p)) of probabilities, each logarithm at least -100.

    The form with logits does not saturate. A recorded step, and one on a GPU, does not read values; an input outside 0
    to 1 then gives NaN instead of an error.

    Args:
        input: Probabilities p, of any shape.
        target: Of the input's shape, from 0 to 1.
        weight: Broadcasts to the input, or None.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: Shapes differ, or an element of input or target is not from 0 to 1.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.binary_cross_entropy(tinymed.tensor([1.0, 0.0]), tinymed.tensor([1.0, 0.0])).item()
        0.0
        >>> F.binary_cross_entropy(tinymed.tensor([0.0]), tinymed.tensor([1.0])).item()
        100.0
    """
    target = checked_target("binary_cross_entropy", input, target, reduction)
    for what, given in (("input", input), ("target", target)):
        check_unit("binary_cross_entropy", what, given)
    return BinaryCrossEntropy.apply(input, target, raw(weight), reduction)


@torch_arguments("input target weight size_average reduce reduction pos_weight")
def binary_cross_entropy_with_logits(
    input: Tensor,
    target: Tensor,
    weight: Tensor | None = None,
    reduction: str = "mean",
    pos_weight: Tensor | None = None,
) -> Tensor:
    """Compute the binary cross-entropy of sigmoid(input) without forming the sigmoid.

    Args:
        input: Scores, of any shape.
        target: Of the input's shape, from 0 to 1.
        weight: A weight of each element; it broadcasts to the input.
        reduction: "none" for a loss per element, "sum", or "mean".
        pos_weight: The weight of positives; it broadcasts to the input.

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: Shapes or reduction do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> scores, target = tinymed.tensor([-200.0, 8.0]), tinymed.tensor([1.0, 0.5])
        >>> F.binary_cross_entropy_with_logits(scores, target, reduction="none")[0].item()
        200.0
    """
    target = checked_target("binary_cross_entropy_with_logits", input, target, reduction)
    return BCEWithLogits.apply(input, target, raw(weight), raw(pos_weight), reduction)


@torch_arguments("input target weight size_average ignore_index reduce reduction")
def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, ignore_index: int = IGNORED, reduction: str = "mean"
) -> Tensor:
    """Compute -input[target], weighted by class: cross_entropy is nll_loss of log_softmax.

    Args:
        input: Log-probabilities (N, C), (N, C, *space) or (C,).
        target: Class numbers (N, *space).
        weight: (C,), the weights of the classes, or None.
        ignore_index: A class number that does not count.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; (N, *space) for reduction "none".

    Raises:
        ValueError: Shapes or reduction do not fit.
        TypeError: Class numbers are not integers.
        IndexError: A target is not a class.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.nll_loss(tinymed.tensor([[-1.0, -2.0], [-3.0, -4.0]]), tinymed.tensor([0, 1])).item()
        2.5
    """
    check_reduction("nll_loss", reduction)
    if len(input.shape) == 1:
        one = nll_loss(
            reshape(input, 1, -1), reshape(target, 1), weight, ignore_index=ignore_index, reduction=reduction
        )
        return reshape(one, ()) if reduction == "none" else one
    check_classes("nll_loss", input, target, weight, ignore_index)
    return NLLLoss.apply(input, target, raw(weight), int(ignore_index), reduction)


def raw(weight: Any) -> Any:
    """Return a weight's array: losses are not differentiated by their weights."""
    if isinstance(weight, Node) and weight.requires_grad:
        raise ValueError("loss: a weight that requires a gradient is not supported; detach() it")
    return weight.array if isinstance(weight, Node) else weight


def check_reduction(name: str, reduction: str) -> None:
    """Raise unless it is one of PyTorch's."""
    if reduction not in REDUCTIONS:
        raise ValueError(f"{name}: reduction is one of {', '.join(REDUCTIONS)}, got {reduction!r}")


def checked_target(name: str, input: Any, target: Any, reduction: str) -> Any:
    """Return the target in the input's dtype, of the input's shape."""
    check_reduction(name, reduction)
    if target.shape != input.shape:
        raise ValueError(
            f"{name}: target has shape {list(target.shape)}, input {list(input.shape)}; they must be equal"
        )
    return of_one_dtype(input, target)


def broadcast_target(name: str, input: Any, target: Any, reduction: str) -> Any:
    """Return the target in the input's dtype; one of another shape broadcasts with the input, with a warning."""
    check_reduction(name, reduction)
    warn_of_broadcast(name, input, target)
    return of_one_dtype(input, target)


def of_one_dtype(input: Any, target: Any) -> Any:
    """Return the target in the input's dtype."""
    return target if target.array.dtype == input.array.dtype else Cast.apply(target, input.array.dtype)


def warn_of_broadcast(name: str, input: Any, target: Any) -> None:
    """Warn where a loss broadcasts a target of another shape, as PyTorch's does.

    Raises:
        ValueError: The shapes do not broadcast.
    """
    if input.shape == target.shape:
        return
    shapes = f"{name}: target has shape {list(target.shape)}, input {list(input.shape)}"
    try:
        np.broadcast_shapes(input.shape, target.shape)
    except ValueError:
        raise ValueError(f"{shapes}; they must be equal, or at least broadcast") from None
    message = f"{shapes}; they are broadcast, which is nearly always a mistake"
    warnings.warn(message, stacklevel=frames_of_the_package())


def frames_of_the_package() -> int:
    """Return the `stacklevel` by which the caller's warning names the first line outside the package."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("tinymed."):
        frame, level = frame.f_back, level + 1
    return level


def check_unit(name: str, what: str, given: Any) -> None:
    """Raise unless all elements are from 0 to 1; a recorded step's and a GPU's are not read (the loss is NaN)."""
    a = given.array
    if host_read_listeners or devices.of(a) == "cuda" or not a.size:
        return
    if not (a.min() >= 0 and a.max() <= 1):
        raise ValueError(
            f"{name}: all elements of {what} are from 0 to 1, got {a.min():g} to {a.max():g}; for scores use "
            "binary_cross_entropy_with_logits, or apply sigmoid"
        )


def within(numbers: Array, classes: int) -> bool:
    """Return whether all integers are from 0 to classes - 1, in one pass: seen as unsigned, negative ones are large."""
    unsigned = numbers.view(f"u{numbers.itemsize}")
    return bool(np.maximum.reduce(unsigned, axis=None, initial=0) < classes)


def check_classes(name: str, input: Any, target: Any, weight: Any, ignore_index: int) -> None:
    """Raise unless target holds class numbers of input (N, C, *space), or the ignored one; a GPU's are not read."""
    pixels, classes = (input.shape[0], *input.shape[2:]), input.shape[1]
    if target.shape != pixels:
        raise ValueError(
            f"{name}: input {list(input.shape)} takes a target of shape {list(pixels)}, got {list(target.shape)}"
        )
    if target.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: class numbers are integers, got {target.array.dtype}")
    if weight is not None and weight.shape != (classes,):
        raise ValueError(f"{name}: weight has shape {list(weight.shape)}, input has {classes} classes")
    if devices.of(target.array) == "cuda":  # the host would wait for it; kernels answer inf to what is no class
        return
    if within(target.array, classes):
        return
    if (wrong := target.array[(target.array != ignore_index) & ((target.array < 0) | (target.array >= classes))]).size:
        raise IndexError(f"{name}: target {int(wrong[0])} is no class; input has {classes}, numbered from 0")


__all__ = ["binary_cross_entropy", "binary_cross_entropy_with_logits", "nll_loss"]
