"""What the outputs of an auto-encoder mean: the pixels of its input, and hidden values that may have to be sparse."""

from typing import Any

import numpy as np

from ... import nn
from ...data.device_batches import as_array
from ...nn import functional as F
from ...tensor import Tensor
from .head import loss_of_equals


class PixelHead:
    """Loss and meaning of outputs (N, C, H, W), or of (outputs, hidden values of each layer (N, units)).

    loss = mean over pixels of the squared (mse) or absolute (l1) error of normalised pixels, or of the cross-entropy of
    pixels as probabilities + sparsity_weight * the divergence of hidden units from their wanted mean, over the pixels.

    Args:
        loss: mse, l1 or cross_entropy.
        mean: What was subtracted from each channel.
        std: What each channel was divided by.
        sparsity: The mean that hidden units are to have.
        sparsity_weight: Of the divergence; 0: hidden values are not looked at.
    """

    classes = 1
    measure = "mse"

    def __init__(
        self, loss: str, mean: Any = None, std: Any = None, sparsity: float = 0.05, sparsity_weight: float = 0
    ):
        self.loss, self.sparse, self.sparsity_weight = loss, nn.SparsityLoss(sparsity), sparsity_weight
        self.mean = np.asarray(0.0 if mean is None else mean, np.float32).reshape(1, -1, 1, 1)
        self.std = np.asarray(1.0 if std is None else std, np.float32).reshape(1, -1, 1, 1)

    def targets(self, labels: np.ndarray) -> np.ndarray:
        """Return the original images themselves."""
        return labels

    def __call__(self, outputs: Any, targets: Tensor) -> Tensor:
        """Return the loss, a scalar tensor."""
        images, *hidden = outputs if isinstance(outputs, tuple | list) else (outputs,)
        function = {"mse": F.mse_loss, "l1": F.l1_loss, "cross_entropy": F.binary_cross_entropy_with_logits}[self.loss]
        total = loss_of_equals(function, images, targets)
        if self.sparsity_weight:
            share = self.sparsity_weight / float(np.prod(images.shape[1:]))
            for values in hidden:
                total = total + share * self.sparse(values)
        return total

    def scores(self, outputs: Any) -> np.ndarray:
        """Return images from 0 to 1, float32 (N, C, H, W)."""
        images = as_array(outputs[0] if isinstance(outputs, tuple | list) else outputs)
        if self.loss == "cross_entropy":
            images = as_array(F.sigmoid(Tensor(images)))
        return self.originals(images)

    def originals(self, images: np.ndarray) -> np.ndarray:
        """Return normalised images as numbers from 0 to 1."""
        found: np.ndarray = images * self.std + self.mean
        return found

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return the mean squared errors of a batch, summed, of images from 0 to 1."""
        errors = (self.scores(outputs) - self.originals(labels)) ** 2
        return float(errors.mean(axis=(1, 2, 3)).sum())

    def unweighted(self) -> "PixelHead":
        """Return the same without the penalty, for validation."""
        return PixelHead(self.loss, self.mean.ravel(), self.std.ravel())
