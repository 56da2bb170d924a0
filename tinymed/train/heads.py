"""What the last layer means: targets from labels, the loss, and scores from outputs.

    sigmoid    n independent sigmoids against one-hot labels, the mean of n binary cross-entropies (Senthil Kumar et al.
               2022): probabilities that need not add up to 1
    softmax    one distribution over the classes, cross-entropy
    own        the loss that the model defines, on outputs of which the largest is the answer: LeNet-5's distances

The first two take logits, for losses that do not overflow.  All predict the arg-max.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

import numpy as np

from ..data.transform import one_hot
from ..errors import UserError
from ..tensor import Tensor
from .feed import Constant, as_array

HEADS = ("sigmoid", "softmax", "own")


class Head(Protocol):
    """What the trainer asks of a task's head; those of segmentation and detection are in files of their own."""

    classes: int

    def targets(self, labels: Any) -> Any:
        """What the loss compares with, an array or a tuple of them, from the labels of a batch."""

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """The loss, a scalar tensor."""

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """What the outputs mean: probabilities, or the like."""

    def correct(self, outputs: Any, labels: Any) -> float:
        """How many images of a batch are right, for the accuracy of the training; an image may count in part."""

    def unweighted(self) -> Self:
        """The same without class weights, for validation."""


def count_correct(outputs: Any, labels: np.ndarray) -> int:
    """Images whose largest output is at their label."""
    return int((as_array(outputs.array.argmax(axis=1)) == labels).sum())


class SigmoidHead:
    """Mean binary cross-entropy over images and units; class weights multiply an image's terms.

    loss = mean over i, k of w[label_i] * (softplus(z_ik) - t_ik z_ik)
    """

    name = "sigmoid"

    def __init__(self, classes: int, class_weights: Sequence[float] | None = None):
        weights = check_weights(class_weights, classes)
        self.classes, self.weights = classes, None if weights is None else Constant(weights[:, None])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """One-hot float32 [n, classes]."""
        return one_hot(labels, self.classes)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar tensor."""
        from ..nn import functional

        weight = None
        if self.weights is not None:  # [n, 1]: the weight of each image's class
            weight = functional.matmul(targets, self.weights.beside(targets).to(targets.dtype))
        loss: Tensor = functional.binary_cross_entropy_with_logits(outputs, targets, weight)
        return loss

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Sigmoids of the logits, float64 [n, classes]."""
        z = outputs.astype(np.float64)
        small = np.exp(-np.abs(z))
        result: np.ndarray = np.where(z >= 0, 1, small) / (1 + small)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Images whose largest output is at their label."""
        return count_correct(outputs, labels)

    def unweighted(self) -> "SigmoidHead":
        """The same without class weights, for validation."""
        return SigmoidHead(self.classes)


class SoftmaxHead:
    """Cross-entropy over the classes; class weights make it a weighted mean, as in PyTorch.

    loss = sum of w[label_i] (log sum_k exp z_ik - z_i,label_i) / sum of w[label_i]
    """

    name = "softmax"

    def __init__(self, classes: int, class_weights: Sequence[float] | None = None):
        weights = check_weights(class_weights, classes)
        self.classes, self.weights = classes, None if weights is None else Constant(weights)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """The labels themselves, int64 [n]."""
        return np.asarray(labels, np.int64)

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar tensor."""
        from ..nn import functional

        weight = None if self.weights is None else self.weights.beside(outputs)
        loss: Tensor = functional.cross_entropy(outputs, targets, weight)
        return loss

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Softmax of the logits, float64 [n, classes]."""
        z = outputs.astype(np.float64)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        result: np.ndarray = e / e.sum(axis=1, keepdims=True)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Images whose largest output is at their label."""
        return count_correct(outputs, labels)

    def unweighted(self) -> "SoftmaxHead":
        """The same without class weights, for validation."""
        return SoftmaxHead(self.classes)


class OwnHead(SoftmaxHead):
    """The model's own `loss(outputs, labels)`; scores are the softmax of the outputs.

    LeNet-5's outputs are minus squared distances and its loss is equation 9 of LeCun et al. 1998; their softmax is the
    posterior that the equation supposes, and its arg-max the nearest target.
    """

    name = "own"

    def __init__(self, classes: int, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__(classes)
        self.loss = loss

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, a scalar tensor."""
        return self.loss(outputs, targets)

    def unweighted(self) -> "OwnHead":
        """Itself: there are no class weights."""
        return self


def make_head(
    name: str, classes: int, class_weights: Sequence[float] | None = None, model: Any = None
) -> SigmoidHead | SoftmaxHead:
    """The head of this name; "own" asks the model for its loss.  Raises UserError for another name, weights that do not
    fit, or a model to which the head does not."""
    if name not in HEADS:
        raise UserError(f"head {name!r} is unknown; choose one of {', '.join(HEADS)}")
    loss, kind = getattr(model, "loss", None), type(model).__name__
    if name == "sigmoid":
        if loss is not None:
            raise UserError(
                f"{kind} has a loss of its own, for outputs that are no logits; use the head own or softmax"
            )
        return SigmoidHead(classes, class_weights)
    if name == "softmax":
        return SoftmaxHead(classes, class_weights)
    if loss is None:
        raise UserError(f"{kind} defines no loss of its own; use the head sigmoid or softmax")
    if class_weights is not None:
        raise UserError(f"the loss of {kind} takes no class weights; use the head softmax, or balanced sampling")
    return OwnHead(classes, loss)


def check_weights(weights: Sequence[float] | None, classes: int) -> np.ndarray | None:
    """Class weights as float32.  Raises UserError unless there is one positive number a class."""
    if weights is None:
        return None
    array = np.asarray(weights, np.float32)
    if array.shape != (classes,) or not (np.isfinite(array) & (array > 0)).all():
        raise UserError(f"class weights: expected {classes} positive numbers, one a class, got {list(weights)}")
    return array


def balanced_weights(counts: dict[str, int]) -> list[float]:
    """n / (classes * n_k): classes weigh alike in total, the mean weight of an image is 1.  King & Zeng 2001."""
    if min(counts.values(), default=0) < 1:
        raise UserError(f"balanced class weights need an image of every class in the training set, got {counts}")
    total = sum(counts.values())
    return [total / (len(counts) * n) for n in counts.values()]


def tempered_weights(counts: dict[str, int]) -> list[float]:
    """n / (sqrt(n_k) * sum of sqrt(n_j)): half way, in logarithms, from equal weights to balanced ones; mean 1.

    For classes so rare that balanced weights would let a handful of images or pixels rule the loss.
    """
    balanced_weights(counts)  # refuses a class without images
    root = {name: math.sqrt(n) for name, n in counts.items()}
    return [sum(counts.values()) / (r * sum(root.values())) for r in root.values()]


def parse_weights(text: str, classes: Sequence[str], counts: dict[str, int]) -> list[float] | None:
    """The command line's --class-weights: "none", "balanced", "tempered", or numbers in class order such as 1,3.5."""
    if text == "none":
        return None
    if text == "balanced":
        return balanced_weights(counts)
    if text == "tempered":
        return tempered_weights(counts)
    try:
        numbers: list[Any] = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--class-weights {text!r}: write none, balanced, tempered, or {len(classes)} numbers in the order of the "
            f"classes ({', '.join(classes)})"
        ) from None
    check_weights(numbers, len(classes))
    return numbers
