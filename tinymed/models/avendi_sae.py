"""The shape of the left ventricle: the second stage of Avendi et al. (Medical Image Analysis 30, 2016).

    4,096 pixels -> 100 -> 100 sigmoid units -> 4,096 logits: the mask of a region of 64 x 64 pixels

The two hidden layers are learnt as sparse auto-encoders first, one above the other, without masks (`tinymed pretrain
avendi_sae --by autoencoder --sparsity-weight 3`), then the whole from masks (`tinymed train avendi_sae --task
segmentation --init ...`).  As an auto-encoder its outputs are the pixels.  833,496 parameters.
"""

from typing import Any

from .. import nn
from ..tensor import Tensor
from .mlp import dense_initial
from .registry import register


class AvendiSAE(nn.Module):
    """A mask from the pixels by two sigmoid layers.

    Args:
        num_classes: Channels of the output.
        in_channels: Channels of the image.
        size: Side of the image in pixels.
        hidden: Units of each of the two layers.
        codes: Answer (outputs, values of both layers), as a sparse auto-encoder learns from.

    Shape:
        Images (N, in_channels, size, size) to (N, num_classes, size, size); with codes also (N, hidden) twice.

    Example:
        >>> AvendiSAE(size=8, hidden=5)(tinymed.zeros(2, 1, 8, 8)).shape
        (2, 1, 8, 8)

    Reference:
        Avendi, Kheradvar & Jafarkhani, Medical Image Analysis 30, 2016, section 2.3.
    """

    def __init__(
        self, num_classes: int = 1, in_channels: int = 1, size: int = 64, hidden: int = 100, codes: bool = False
    ):
        super().__init__()
        self.input_shape, self.activation, self.codes = (in_channels, size, size), "sigmoid", codes
        self.code_size = hidden
        self.stack = [nn.Linear(in_channels * size**2, hidden), nn.Linear(hidden, hidden)]
        self.first = nn.Sequential(nn.Flatten(), self.stack[0], nn.Sigmoid())
        self.second = nn.Sequential(self.stack[1], nn.Sigmoid())
        self.output = nn.Sequential(
            nn.Linear(hidden, num_classes * size**2), nn.Unflatten(1, (num_classes, size, size))
        )
        self.apply(dense_initial("sigmoid"))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        one = self.first(input)
        two = self.second(one)
        images = self.output(two)
        return (images, one, two) if self.codes else images


register("avendi_sae", "Avendi, Kheradvar & Jafarkhani 2016", (1, 64, 64), "map")(AvendiSAE)
