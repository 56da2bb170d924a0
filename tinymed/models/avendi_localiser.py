"""Where the left ventricle lies: the first stage of Avendi, Kheradvar & Jafarkhani (Medical Image Analysis 30, 2016).

    convolution 11x11    100 filters on 64 x 64 pixels: 54 x 54, sigmoid
    average pooling 6x6  9 x 9
    dense                8,100 -> 1,024 logits: a mask of 32 x 32

The paper's filters are those of a sparse auto-encoder of 11 x 11 patches (sigmoid units, 121 - 100 - 121), which
`tinymed pretrain` does not learn: here they begin at random.  8,307,624 parameters.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import side_after

KERNEL, POOL = 11, 6


class AvendiLocaliser(nn.Module):
    """A coarse mask of one organ from one convolution and one dense layer.

    Args:
        num_classes: Channels of the mask.
        in_channels: Channels of the image.
        size: Side of the image in pixels, even, at least 16.
        filters: Channels of the convolution.
        full_size: Repeat each pixel of the mask 2 x 2 times, so that it has the image's size.

    Shape:
        Images (N, in_channels, size, size) to logits (N, num_classes, size / 2, size / 2), or of the image's size.

    Raises:
        UserError: The image is too small.

    Example:
        >>> AvendiLocaliser(size=16, filters=4)(tinymed.zeros(2, 1, 16, 16)).shape
        (2, 1, 8, 8)

    Reference:
        Avendi, Kheradvar & Jafarkhani, Medical Image Analysis 30, 2016, section 2.2.
    """

    def __init__(
        self,
        num_classes: int = 1,
        in_channels: int = 1,
        size: int = 64,
        filters: int = 100,
        full_size: bool = False,
    ):
        super().__init__()
        side, half = side_after("avendi_localiser", size, (KERNEL, 1), (POOL, POOL)), size // 2
        self.input_shape, self.full_size = (in_channels, size, size), full_size
        self.size, self.half_size, self.num_classes = size, half, num_classes
        self.conv, self.pool = nn.Conv2d(in_channels, filters, KERNEL), nn.AvgPool2d(POOL)
        self.mask = nn.Linear(filters * side**2, num_classes * half**2)
        for layer in (self.conv, self.mask):
            init.xavier_uniform_(layer.weight)
            assert layer.bias is not None
            init.zeros_(layer.bias)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.pool(F.sigmoid(self.conv(input)))
        y = F.reshape(self.mask(F.flatten(y, 1)), (len(y), self.num_classes, self.half_size, self.half_size))
        return F.interpolate(y, (self.size, self.size), mode="nearest") if self.full_size else y


register("avendi_localiser", "Avendi, Kheradvar & Jafarkhani 2016", (1, 64, 64))(AvendiLocaliser)
