"""Convolution whose filters are standardised before each use (Qiao et al., 2019), as networks with group norm have."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .conv import Conv2d


class StandardisedConv2d(Conv2d):
    """Apply a convolution with filters of mean 0 and variance 1: (w - mean) / sqrt(variance + 1e-5), filter by filter.

    Args:
        args: those of `Conv2d`.

    Shape:
        As `Conv2d`.

    Example:
        >>> from tinymed import ones
        >>> StandardisedConv2d(3, 6, 3, padding=1)(ones(2, 3, 8, 8)).shape
        (2, 6, 8, 8)

    Reference:
        Qiao et al., "Micro-batch training with batch-channel normalization and weight standardization", 2019.
    """

    eps = 1e-5

    def forward(self, input: Tensor) -> Any:
        axes = (1, 2, 3)
        centred = self.weight - F.mean(self.weight, axes, keepdim=True)
        variance = F.mean(centred * centred, axes, keepdim=True)
        weight = centred * F.rsqrt(variance + self.eps)
        return F.conv2d(input, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)
