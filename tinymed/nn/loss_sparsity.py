"""The penalty of a sparse auto-encoder: hidden units that are active more, or less, often than they should be."""

import math
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .module import Module

LEAST = 1e-6  # a mean activity, before its logarithm


class SparsityLoss(Module):
    """Compute sum over units of KL(target || mean activity over the batch), of sigmoid units.

    KL(r || q) = r ln(r / q) + (1 - r) ln((1 - r) / (1 - q)), which is 0 where q = r.

    Args:
        target: the mean activity r that each unit is to have, between 0 and 1.  Default: 0.05.

    Shape:
        Hidden values (N, units) from 0 to 1; output a number.

    Raises:
        ValueError: the target is not between 0 and 1.

    Example:
        >>> from tinymed import full, nn
        >>> abs(nn.SparsityLoss(0.25)(full((4, 3), 0.25)).item()) < 1e-5
        True

    Reference:
        Lee, Ekanadham & Ng, "Sparse deep belief net model for visual area V2", NIPS 2007; in this form Ng, "Sparse
        autoencoder", CS294A lecture notes, 2011.
    """

    def __init__(self, target: float = 0.05):
        super().__init__()
        if not 0 < target < 1:
            raise ValueError(f"SparsityLoss: target is a mean activity between 0 and 1, got {target}")
        self.target = target

    def forward(self, hidden: Tensor) -> Any:
        mean, r = F.clamp(F.mean(hidden, 0), LEAST, 1 - LEAST), self.target
        own = r * math.log(r) + (1 - r) * math.log(1 - r)
        return hidden.shape[1] * own - F.sum(r * F.log(mean) + (1 - r) * F.log(1 - mean))

    def extra_repr(self) -> str:
        return f"target={self.target}"
