"""What the last layer of a detecting network means: at every pixel which object has its middle there, and its size."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.device_batches import Constant, as_array
from ...nn import functional as F
from ...tensor import Tensor
from .mask_head import MaskHead

LIMIT = 3.0  # a box is at most e^3 times its class's usual box
PRIOR = 4.0  # as if one pixel in 50 were an object's


class BoxHead:
    """Loss, scores and accuracy of outputs (N, 1 + classes + 2, H, W) against maps of classes and sizes.

    loss = cross-entropy of the classes at every pixel + 1 - Dice of the discs + size_weight * mean |log size - truth|
    on the discs.  Dice makes rare, small objects count as much as frequent ones.  PRIOR is added to the background's
    score, so that training does not begin by unlearning objects everywhere (Lin et al., ICCV 2017, section 4.1).
    """

    def __init__(self, classes: int, size_weight: float = 0.2, class_weights: Sequence[float] | None = None):
        self.classes, self.size_weight = classes, size_weight
        self.map = MaskHead(classes + 1, "dice_cross_entropy", class_weights)
        self.outputs = classes + 3
        self.prior = np.array([PRIOR, *[0.0] * classes], np.float32).reshape(1, -1, 1, 1)
        self.shift = Constant(self.prior)

    def targets(self, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (class numbers, log sizes, weights of the sizes that add up to 1) of a loader's maps."""
        classes, sizes = labels
        known = np.isfinite(sizes)
        share = known / max(int(known.sum()), 1)
        return classes, np.where(known, sizes, 0).astype(np.float32), share.astype(np.float32)

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss, a scalar tensor."""
        main = outputs[0] if isinstance(outputs, tuple | list) else outputs
        classes, sizes, share = targets
        loss = self.map(F.narrow(main, 1, 0, self.classes + 1) + self.shift.beside(main), classes)
        wrong = F.abs(F.narrow(main, 1, self.classes + 1, 2) - sizes)
        total: Tensor = loss + self.size_weight * F.sum(wrong * share)
        return total

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return [n, classes + 2, h, w]: the probability of each class, then width and height over the usual ones."""
        maps = Tensor(outputs[:, : self.classes + 1])
        found = F.softmax(maps + self.shift.beside(maps), 1).array[:, 1:]
        return np.concatenate([found, np.exp(np.clip(outputs[:, self.classes + 1 :], -LIMIT, LIMIT))], axis=1)

    def correct(self, outputs: Any, labels: Any) -> float:
        """Return the share of pixels whose class is found, summed over the images of a batch."""
        main = (outputs[0] if isinstance(outputs, tuple | list) else outputs).array
        background, objects = main[:, 0] + PRIOR, main[:, 1 : self.classes + 1]
        found = as_array((objects.max(axis=1) > background) * (objects.argmax(axis=1) + 1))
        return float((found == labels[0]).mean(axis=(1, 2)).sum())

    def unweighted(self) -> "BoxHead":
        """Return the same without class weights, for validation."""
        return BoxHead(self.classes, self.size_weight)
