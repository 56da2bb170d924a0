"""What the one output of a network that predicts a number means: standard deviations from the training set's mean."""

from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...nn import functional as F
from ...tensor import Tensor
from .head import loss_of_equals

LOSSES = ("huber", "l1", "mse")


class ValueHead:
    """Loss and meaning of outputs [n, 1]: number = mean + std * output.

    The loss is of the standardised numbers, so that learning rates do not depend on the unit.  huber, the default, is
    the squared error within one standard deviation and grows like the absolute error beyond: one mistaken label among
    a few hundred then does not rule the fit.  l1 aims at the median, mse at the mean.
    """

    classes = 1
    measure = "mae"

    def __init__(self, mean: float, std: float, loss: str = "huber"):
        self.mean, self.std, self.loss = mean, std, loss

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return standardised numbers, float32 [n, 1]."""
        result: np.ndarray = ((labels - self.mean) / self.std).astype(np.float32)[:, None]
        return result

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        function = {"huber": F.huber_loss, "l1": F.l1_loss, "mse": F.mse_loss}[self.loss]
        return loss_of_equals(function, outputs, targets)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return the numbers in their own unit, float64 [n, 1]."""
        result: np.ndarray = self.mean + self.std * outputs.astype(np.float64)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return the absolute errors of a batch, summed, in the unit of the numbers."""
        return float(np.abs(self.scores(as_array(outputs))[:, 0] - labels).sum())

    def unweighted(self) -> "ValueHead":
        """Return itself: there are no class weights."""
        return self
