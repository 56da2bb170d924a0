"""A network that restores pictures, with what surrounds it: a picture of any size in, the same without noise out."""

from typing import Any

import numpy as np

from ...data.device_batches import as_array, as_tensors, device_of
from ...data.tiles import slide
from ...tape import no_grad
from ..heads.restoration_head import RestorationHead

TILE, OVERLAP = 256, 0.25  # of a picture that is larger than LARGEST
LARGEST = 512  # side, in pixels


class Restorer:
    """A network as a function of whole pictures.

    A picture up to LARGEST pixels a side passes as it is; a larger one tile by tile, so that memory stays bounded.

    Args:
        model: The network; it is put into evaluation mode.
        head: What its outputs mean.
        forward: The model, captured, where there are many pictures to pay for the recording.
    """

    def __init__(self, model: Any, head: RestorationHead, forward: Any = None):
        self.model, self.head, self.forward = model.eval(), head, forward or model

    def scores(self, pictures: np.ndarray) -> np.ndarray:
        """Return restored pictures [n, channels, height, width] of noisy ones."""
        with no_grad():
            outputs = self.forward(as_tensors(np.ascontiguousarray(pictures), device_of(self.model)))
            return self.head.scores(as_array(outputs))

    def __call__(self, picture: np.ndarray) -> np.ndarray:
        """Return a picture float32 [height, width, channels] in 0...1 without its noise."""
        ready = np.moveaxis(picture, -1, 0)
        if max(ready.shape[1:]) <= LARGEST:
            restored = self.scores(ready[None])[0]
        else:
            restored = slide(self.scores, ready, [TILE, TILE], overlap=OVERLAP)
        result: np.ndarray = np.moveaxis(restored, 0, -1)
        return result
