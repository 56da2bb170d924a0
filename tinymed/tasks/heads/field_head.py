"""What the output of a network that registers means: how far each pixel of the first image moves."""

from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...registration.fields import move
from ...registration.similarity import LOSSES
from ...registration.transforms import roughness
from ...tensor import Tensor


class FieldHead:
    """Loss and meaning of outputs [n, axes, *space]: displacements in pixels.

    The loss is how unlike the first image the second is once it has moved, and the field's roughness times a weight.

    Args:
        loss: "ncc", "local-ncc", "mi" or "ssd", as of `register`.
        window: Side of the window of local-ncc, in pixels.
        smoothness: Weight of the field's mean squared derivative.
    """

    classes = 1
    measure = "displacement"  # the mean length, in pixels

    def __init__(self, loss: str = "ncc", window: int = 9, smoothness: float = 1.0):
        self.loss, self.window, self.smoothness = loss, window, smoothness

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return the pairs of images: nothing else is to be learnt from."""
        return labels

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss, a scalar tensor."""
        if outputs.shape[2:] != targets.shape[2:] or targets.shape[1] != 2:
            raise ValueError(f"a field {list(outputs.shape)} does not fit pairs of images {list(targets.shape)}")
        fixed, moved = targets.narrow(1, 0, 1), move(targets.narrow(1, 1, 1), outputs)
        more = (self.window,) if self.loss == "local-ncc" else ()
        result: Tensor = LOSSES[self.loss](fixed, moved, *more) + self.smoothness * roughness(
            outputs, [1.0] * outputs.shape[1]
        )
        return result

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return the displacements."""
        return outputs

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return the mean length of the displacements, summed over the batch."""
        lengths = np.sqrt((as_array(outputs).astype(np.float64) ** 2).sum(1))
        return float(lengths.reshape(len(lengths), -1).mean(1).sum())

    def unweighted(self) -> "FieldHead":
        """Return itself: there are no class weights."""
        return self
