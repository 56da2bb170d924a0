"""What the last layer of a segmenting network means: a class for every pixel.

    softmax    one distribution over the classes a pixel: num_classes outputs
    sigmoid    one probability of class 1 a pixel, where there are two classes: one output

The losses are those of `nn/loss_segmentation.py`.  A network may answer with several outputs, the scores first: each
further one has the same loss, times `auxiliary`.  Pixels of class IGNORED count nowhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...data.device_batches import as_array
from ...data.labels import IGNORED
from ...errors import UserError
from ...nn import functional as F
from ...tensor import Tensor
from .class_weights import check_weights

OVERLAPS: dict[str, Any] = {
    "dice": nn.DiceLoss,
    "jaccard": nn.JaccardLoss,
    "tversky": nn.TverskyLoss,
    "focal_tversky": nn.FocalTverskyLoss,
}
LOSSES = ("cross_entropy", "dice_cross_entropy", "focal", *OVERLAPS)
SMALLEST = 1e-7  # a probability, before its logarithm


def takes_background(loss: Any, head: Any) -> tuple[bool, str]:
    """Return whether a loss can count the background among the classes that overlap, and why it cannot."""
    if head == "sigmoid":
        return False, "--head sigmoid has no score of the background"
    return loss in (*OVERLAPS, "dice_cross_entropy"), f"--loss {loss} takes no overlap of classes"


class MaskHead:
    """Loss, scores and accuracy of outputs (N, outputs, *space) against class numbers (N, *space).

    loss: one of LOSSES.  Overlaps are means over the classes, of the whole batch, smoothed by 1; Tversky's weighs false
    negatives .7.  class_weights: in the cross-entropy and the focal loss, in class order.  background: whether it is
    one of the classes that overlap; beside a cross-entropy it need not be, but where an overlap is all that is
    minimised, nothing else keeps the answers of several classes off the background.
    """

    def __init__(
        self,
        classes: int,
        loss: str = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        sigmoid: bool = False,
        auxiliary: float = 0.0,
        background: bool = False,
    ):
        if sigmoid and classes != 2:
            raise UserError(f"the head sigmoid is for two classes of pixels, there are {classes}; use --head softmax")
        if loss not in LOSSES:
            raise UserError(f"loss {loss!r} is unknown; choose one of {', '.join(LOSSES)}")
        self.classes, self.loss, self.weights = classes, loss, check_weights(class_weights, classes)
        self.sigmoid, self.auxiliary, self.background = sigmoid, auxiliary, background
        self.outputs = 1 if sigmoid else classes
        self.module = nn.DeepSupervision(self.make_loss(), auxiliary=auxiliary)

    def make_loss(self) -> nn.Module:
        """Return the loss of one output."""
        weight = None
        if self.weights is not None:
            weight = Tensor(self.weights[1:] / self.weights[:1] if self.sigmoid else self.weights)
        every = self.sigmoid or self.background
        counted = None if every else Tensor(np.array([0, *[1] * (self.classes - 1)], np.float32))
        overlap: dict[str, Any] = {"weight": counted, "ignore_index": IGNORED, "smooth": 1.0, "batch": True}
        entropy = nn.PixelCrossEntropyLoss(weight=weight, ignore_index=IGNORED)
        if self.loss == "cross_entropy":
            return entropy
        if self.loss == "focal":
            return nn.FocalLoss(weight=weight, ignore_index=IGNORED)
        if self.loss == "dice_cross_entropy":
            return nn.SumLoss([entropy, nn.DiceLoss(**overlap)])
        more = {"alpha": 0.3, "beta": 0.7} if self.loss == "tversky" else {}
        module: nn.Module = OVERLAPS[self.loss](**overlap, **more)
        return module

    def targets(self, labels: Any) -> Any:
        """Return class numbers int64, or (class numbers, weights of the pixels), as the loader gives them."""
        return labels

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss, a scalar tensor."""
        main = outputs[0] if isinstance(outputs, tuple | list) else outputs
        loss: Tensor = self.module.to(main.device)(outputs, *(targets if isinstance(targets, tuple) else (targets,)))
        return loss

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return probabilities float32 [n, classes, *space]."""
        if self.sigmoid:
            found = F.sigmoid(Tensor(outputs)).array
            return np.concatenate([1 - found, found], axis=1)
        probabilities: np.ndarray = F.softmax(Tensor(outputs), 1).array
        return probabilities

    def read(self, outputs: Any) -> np.ndarray:
        """Return probabilities float32 [n, classes, *space] of what the network gave: one output, or several."""
        return self.scores(as_array(outputs[0] if isinstance(outputs, tuple | list) else outputs))

    def space(self, outputs: Sequence[int]) -> tuple[int, ...]:
        """Return the sides of what is scored, for outputs with these sides; () of the middle of a patch."""
        return tuple(outputs)

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """Return outputs that have these scores."""
        logs: np.ndarray = np.log(np.maximum(scores, SMALLEST))
        return logs[:, 1:] - logs[:, :1] if self.sigmoid else logs

    def correct(self, outputs: Any, labels: Any) -> float:
        """Return the share of counted pixels whose class is found, summed over the images of a batch."""
        main = (outputs[0] if isinstance(outputs, tuple | list) else outputs).array
        numbers = labels[0] if isinstance(labels, tuple) else labels
        found = as_array(main[:, 0] > 0 if self.sigmoid else main.argmax(axis=1))
        counted = (numbers != IGNORED).reshape(len(numbers), -1)
        right = ((found == numbers).reshape(len(numbers), -1) & counted).sum(axis=1)
        return float((right / np.maximum(counted.sum(axis=1), 1)).sum())

    def unweighted(self) -> "MaskHead":
        """Return the same without class weights, for validation."""
        return MaskHead(self.classes, self.loss, None, self.sigmoid, self.auxiliary, self.background)
