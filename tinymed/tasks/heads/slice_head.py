"""What the outputs of a network that answers for every slice of a volume mean: does the slice hold the structure?

Slices lie across the first axis.  In training a slice's answer is whether the patch, as it was cut, turned and bent,
holds a voxel of class 1.  A prediction is that of all voxels of the slice, so that masks, measures and files are those
of any segmentation: the accuracy of a volume's voxels is that of its slices, which have as many voxels each.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.slices import slice_numbers
from .mask_head import MaskHead


class SliceHead(MaskHead):
    """Loss and scores of outputs (N, outputs, slices) against class numbers (N, *sides) of the voxels.

    sides: of the patch that the network sees.  The other arguments are MaskHead's.
    """

    def __init__(
        self,
        sides: Sequence[int],
        loss: str = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        sigmoid: bool = False,
        background: bool = False,
    ):
        super().__init__(2, loss, class_weights, sigmoid, background=background)
        self.sides = tuple(sides)

    def targets(self, labels: Any) -> Any:
        """Return the class numbers of the slices, int64 [n, slices]."""
        return slice_numbers(labels)

    def read(self, outputs: Any) -> np.ndarray:
        """Return probabilities float32 [n, 2, *sides]: those of a slice at each of its voxels."""
        scores = super().read(outputs)
        spread: np.ndarray = np.broadcast_to(scores[..., None, None], (*scores.shape[:2], *self.sides))
        return spread

    def space(self, outputs: Sequence[int]) -> tuple[int, ...]:
        """Return the sides of what is scored: the whole patch."""
        return self.sides

    def correct(self, outputs: Any, labels: Any) -> float:
        """Return the share of slices whose class is found, summed over the patches of a batch."""
        return super().correct(outputs, slice_numbers(labels))

    def unweighted(self) -> "SliceHead":
        """Return the same without class weights, for validation."""
        return SliceHead(self.sides, self.loss, None, self.sigmoid, self.background)
