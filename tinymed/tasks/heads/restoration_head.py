"""What the output of a network that restores pictures means: the clean picture itself."""

from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...nn import functional as F
from ...tensor import Tensor
from .head import loss_of_equals

LOSSES = ("mse", "l1")


class RestorationHead:
    """Loss and meaning of outputs [n, channels, height, width]: pictures in 0...1.

    mse is what PSNR is made of; l1 leaves edges sharper.
    """

    classes = 1
    measure = "psnr"

    def __init__(self, loss: str = "mse"):
        self.loss = loss

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return the clean pictures."""
        return labels

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        function = {"mse": F.mse_loss, "l1": F.l1_loss}[self.loss]
        return loss_of_equals(function, outputs, targets)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return the pictures, clipped to 0...1."""
        pictures: np.ndarray = np.clip(outputs, 0, 1)
        return pictures

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return the PSNR of the pictures of a batch, summed."""
        error = (self.scores(as_array(outputs)).astype(np.float64) - labels) ** 2
        return float(-10 * np.log10(np.maximum(error.mean(axis=(1, 2, 3)), 1e-12)).sum())

    def unweighted(self) -> "RestorationHead":
        """Return itself: there are no class weights."""
        return self
