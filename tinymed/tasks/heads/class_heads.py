"""What the last layer means: targets from labels, the loss, and scores from outputs.

    sigmoid    n independent sigmoids against one-hot labels, the mean of n binary cross-entropies (Senthil Kumar et al.
               2022): probabilities that need not add up to 1
    softmax    one distribution over the classes, cross-entropy or, with a gamma, the focal loss
    own        the loss that the model defines, on outputs of which the largest is the answer: LeNet-5's distances

The first two take logits, for losses that do not overflow.  All predict the arg-max.  A network that gives several
outputs in training, of which the first is its answer, has the same loss of each; the further ones count AUXILIARY.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import numpy as np

from ...data.device_batches import Constant, as_array
from ...data.transform import one_hot
from ...errors import UserError
from ...tensor import Tensor
from .class_weights import check_weights

HEADS = ("sigmoid", "softmax", "own")
AUXILIARY = 0.3  # of the losses of further outputs


Loss = TypeVar("Loss", bound=Callable[..., Tensor])


def over_outputs(loss: Loss) -> Loss:
    """Return a head's loss as one of several outputs: that of the first, and AUXILIARY times that of each other."""

    @functools.wraps(loss)
    def summed(head: Any, outputs: Any, targets: Tensor) -> Tensor:
        first, *more = outputs if isinstance(outputs, tuple | list) else (outputs,)
        total = loss(head, first, targets)
        for output in more:
            total = total + loss(head, output, targets) * AUXILIARY
        return total

    return cast(Loss, summed)


def count_correct(outputs: Any, labels: np.ndarray) -> float:
    """Count images whose largest output is at their label; of soft labels each counts by the share of that class.

    Of several outputs the first is the answer.
    """
    first = outputs[0] if isinstance(outputs, tuple | list) else outputs
    answers = as_array(first.array.argmax(axis=1))
    if is_soft(labels):
        return float(np.take_along_axis(labels, answers[:, None], axis=1).sum(dtype=np.float64))
    return int((answers == labels).sum())


def is_soft(labels: np.ndarray) -> bool:
    """Return whether labels are shares of the classes, [n, classes], not class numbers."""
    return labels.dtype.kind == "f"


class SigmoidHead:
    """Mean binary cross-entropy over images and units; class weights multiply an image's terms.

    loss = mean over i, k of w[label_i] * (softplus(z_ik) - t_ik z_ik)
    """

    name = "sigmoid"

    def __init__(self, classes: int, class_weights: Sequence[float] | None = None):
        weights = check_weights(class_weights, classes)
        self.classes, self.weights = classes, None if weights is None else Constant(weights[:, None])

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return float32 [n, classes], one-hot or the shares of soft labels."""
        return labels if is_soft(labels) else one_hot(labels, self.classes)

    @over_outputs
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        from ...nn import functional as F

        weight = None
        if self.weights is not None:  # [n, 1]: the weight of each image's class
            weight = F.matmul(targets, self.weights.beside(targets).to(targets.dtype))
        loss: Tensor = F.binary_cross_entropy_with_logits(outputs, targets, weight)
        return loss

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return sigmoids of the logits, float64 [n, classes]."""
        z = outputs.astype(np.float64)
        small = np.exp(-np.abs(z))
        result: np.ndarray = np.where(z >= 0, 1, small) / (1 + small)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Count images whose largest output is at their label."""
        return count_correct(outputs, labels)

    def unweighted(self) -> "SigmoidHead":
        """Return the same without class weights, for validation."""
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
        """Return the labels themselves: int64 [n], or float32 [n, classes], the shares of soft labels."""
        return labels if is_soft(labels) else np.asarray(labels, np.int64)

    @over_outputs
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        from ...nn import functional as F

        weight = None if self.weights is None else self.weights.beside(outputs)
        loss: Tensor = F.cross_entropy(outputs, targets, weight)
        return loss

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return softmax of the logits, float64 [n, classes]."""
        z = outputs.astype(np.float64)
        e = np.exp(z - z.max(axis=1, keepdims=True))
        result: np.ndarray = e / e.sum(axis=1, keepdims=True)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Count images whose largest output is at their label."""
        return count_correct(outputs, labels)

    def unweighted(self) -> "SoftmaxHead":
        """Return the same without class weights, for validation."""
        return SoftmaxHead(self.classes)


class FocalHead(SoftmaxHead):
    """The focal loss over the classes, (1 - p_t)^gamma times cross-entropy: easy images count less.

    loss = sum of w[label_i] (1 - p_i)^gamma (-log p_i) / sum of w[label_i], p_i the softmax at the label.  Lin et al.
    2017.
    """

    def __init__(self, classes: int, class_weights: Sequence[float] | None = None, gamma: float = 2.0):
        super().__init__(classes, class_weights)
        self.gamma = gamma

    @over_outputs
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        from ...nn import functional as F

        weight = None if self.weights is None else self.weights.beside(outputs)
        loss: Tensor = F.softmax_focal_loss(outputs, targets, weight, self.gamma)
        return loss

    def unweighted(self) -> "FocalHead":
        """Return the same without class weights, for validation."""
        return FocalHead(self.classes, gamma=self.gamma)


class OwnHead(SoftmaxHead):
    """The model's own `loss(outputs, labels)`; scores are the softmax of the outputs.

    LeNet-5's outputs are minus squared distances and its loss is equation 9 of LeCun et al. 1998; their softmax is the
    posterior that the equation supposes, and its arg-max the nearest target.
    """

    name = "own"

    def __init__(self, classes: int, loss: Callable[[Tensor, Tensor], Tensor]):
        super().__init__(classes)
        self.loss = loss

    @over_outputs
    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        return self.loss(outputs, targets)

    def unweighted(self) -> "OwnHead":
        """Itself: there are no class weights."""
        return self


def make_head(
    name: str, classes: int, class_weights: Sequence[float] | None = None, model: Any = None, gamma: float = 0.0
) -> SigmoidHead | SoftmaxHead:
    """Return the head of this name; "own" asks the model for its loss, and gamma makes softmax's the focal loss.

    Raises UserError for another name, weights that do not fit, or a model to which the head does not.
    """
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
        return FocalHead(classes, class_weights, gamma) if gamma else SoftmaxHead(classes, class_weights)
    if loss is None:
        raise UserError(f"{kind} defines no loss of its own; use the head sigmoid or softmax")
    if class_weights is not None:
        raise UserError(f"the loss of {kind} takes no class weights; use the head softmax, or balanced sampling")
    return OwnHead(classes, loss)
