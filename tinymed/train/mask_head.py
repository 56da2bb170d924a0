"""What the last layer of a segmenting network means: a class for every pixel.

    softmax    one distribution over the classes a pixel: num_classes outputs
    sigmoid    one probability of class 1 a pixel, where there are two classes: one output

A network may answer with several outputs, the scores first: each further one has the same loss, times `auxiliary`
(deep supervision; Lee et al., AISTATS 2015).  Pixels of class IGNORED count nowhere.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.labels import IGNORED
from ..data.transform import one_hot
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .heads import check_weights

LOSSES = ("cross_entropy", "dice", "dice_cross_entropy", "tversky", "focal_tversky")
SMALLEST = 1e-7  # a probability, before its logarithm


class MaskHead:
    """Loss, scores and accuracy of outputs (N, outputs, *space) against class numbers (N, *space).

    loss: one of LOSSES.  Overlap losses are of each class but the background, over the batch, and averaged.
    class_weights: in the cross-entropy, in class order.
    """

    def __init__(self, classes: int, loss: str = "cross_entropy", class_weights: Sequence[float] | None = None,
                 sigmoid: bool = False, auxiliary: float = 0.0):  # fmt: skip
        if sigmoid and classes != 2:
            raise UserError(
                f"the head sigmoid is for two classes of pixels, the masks have {classes}; use --head softmax"
            )
        self.classes, self.loss, self.weights = classes, loss, check_weights(class_weights, classes)
        self.sigmoid, self.auxiliary = sigmoid, auxiliary
        self.outputs = 1 if sigmoid else classes

    def targets(self, labels: Any) -> tuple[np.ndarray, ...]:
        """(class numbers int64, weights float32 that add up to 1) of labels, or of (labels, weights of the pixels);
        for overlap losses also one float32 map a class but the background, and what counts.

        The weights are those of the map, of the class, and 0 where ignored.
        """
        numbers, weights = labels if isinstance(labels, tuple) else (labels, None)
        counted = (numbers != IGNORED).astype(np.float32)
        known = np.where(numbers == IGNORED, 0, numbers)
        share = counted if weights is None else counted * weights
        if self.weights is not None:
            share = share * self.weights[known]
        parts = [known, (share / max(float(share.sum(dtype=np.float64)), SMALLEST)).astype(np.float32)]
        if self.loss != "cross_entropy":
            hot = np.moveaxis(one_hot(known, self.classes)[..., 1:], -1, 1) * counted[:, None]
            parts += [np.ascontiguousarray(hot), counted[:, None]]
        return tuple(parts)

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """The loss, a scalar tensor."""
        if not isinstance(outputs, tuple | list):
            return self.single(outputs, targets)
        total = self.single(outputs[0], targets)
        for extra in outputs[1:]:
            total = total + self.auxiliary * self.single(extra, targets)
        return total

    def single(self, outputs: Any, targets: tuple[Tensor, ...]) -> Any:
        """The loss of one output."""
        classes, share, *maps = targets
        if self.loss == "cross_entropy":
            return self.entropy(outputs, classes, share)
        overlap = self.overlap(outputs, *maps)
        return overlap + self.entropy(outputs, classes, share) if self.loss == "dice_cross_entropy" else overlap

    def entropy(self, outputs: Any, classes: Tensor, share: Tensor) -> Any:
        """sum of share * -log p(class): the weighted mean cross-entropy."""
        if self.sigmoid:
            wanted = F.unsqueeze(classes.to(outputs.dtype), 1)
            return F.binary_cross_entropy_with_logits(outputs, wanted, F.unsqueeze(share, 1), "sum")
        return F.sum(F.cross_entropy(outputs, classes, reduction="none") * share)

    def overlap(self, outputs: Any, wanted: Tensor, counted: Tensor) -> Any:
        """1 - TP / (TP + a FN + b FP) of soft counts, averaged over classes; a = b = 1/2 is Dice.  Salehi et al. 2017.

        Tversky's a is .7; the focal one has a = .75 and is raised to .75 (Lou et al. 2021).
        """
        found = (
            F.sigmoid(outputs) if self.sigmoid else F.narrow(F.softmax(outputs, 1), 1, 1, self.classes - 1)
        ) * counted
        axes = (0, *range(2, len(outputs.shape)))
        missed = {"tversky": 0.7, "focal_tversky": 0.75}.get(self.loss, 0.5)
        hit = F.sum(found * wanted, axes)
        miss, false = F.sum(wanted, axes) - hit, F.sum(found, axes) - hit
        loss = 1.0 - (hit + 1.0) / (hit + missed * miss + (1 - missed) * false + 1.0)
        return F.mean(F.pow(F.clamp(loss, min=SMALLEST), 0.75) if self.loss == "focal_tversky" else loss)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Probabilities float32 [n, classes, *space]."""
        if self.sigmoid:
            found = F.sigmoid(Tensor(outputs)).data
            return np.concatenate([1 - found, found], axis=1)
        probabilities: np.ndarray = F.softmax(Tensor(outputs), 1).data
        return probabilities

    def logits(self, scores: np.ndarray) -> np.ndarray:
        """Outputs that have these scores."""
        logs = np.log(np.maximum(scores, SMALLEST))
        return logs[:, 1:] - logs[:, :1] if self.sigmoid else logs

    def correct(self, outputs: Any, labels: Any) -> float:
        """The share of counted pixels whose class is found, summed over the images of a batch."""
        main = (outputs[0] if isinstance(outputs, tuple | list) else outputs).data
        numbers = labels[0] if isinstance(labels, tuple) else labels
        found = main[:, 0] > 0 if self.sigmoid else main.argmax(axis=1)
        counted = (numbers != IGNORED).reshape(len(numbers), -1)
        right = ((found == numbers).reshape(len(numbers), -1) & counted).sum(axis=1)
        return float((right / np.maximum(counted.sum(axis=1), 1)).sum())

    def unweighted(self) -> "MaskHead":
        """The same without class weights, for validation."""
        return MaskHead(self.classes, self.loss, None, self.sigmoid, self.auxiliary)
