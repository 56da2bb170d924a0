"""The multi-modality patch network of Zhang et al., NeuroImage 108, 2015: isointense infant brains.

T1, T2 and FA patches of 13x13 pixels, stacked as channels, tell the tissue of the pixel in the middle (CSF, grey or
white matter):

    conv 5x5, 64 (9x9)   conv 5x5, 256 (5x5)   conv 5x5, 768 (1x1)   dropout   one output per class

with ReLU and local response normalisation after each convolution.  The constants of the normalisation are AlexNet's, to
which the paper refers, and dropout is .5.  The paper compared sides of 9, 13, 17 and 22; any from 13 up can be built.
Initial weights are N(0, 0.01^2) in the paper, which trains slowly; here He's.
"""

import itertools
from typing import Any

from .. import nn
from ..tensor import Tensor
from .alexnet import LRN
from .registry import register
from .sizes import scale_channels, side_after
from .vgg import he_normal


class Zhang2015(nn.Module):
    """The multi-modality patch network: three convolutions tell the tissue of the pixel in the middle.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the patch in pixels, at least 13.
        width: Multiplier of the channels.
        dropout: Probability of dropping a unit.

    Shape:
        Patches (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The patch is too small, or width is not positive.

    Example:
        >>> Zhang2015(width=1 / 16)(tinymed.zeros(2, 3, 13, 13)).shape
        (2, 3)

    Reference:
        Zhang et al., NeuroImage 108, 2015.
    """

    def __init__(
        self, num_classes: int = 3, in_channels: int = 3, size: int = 13, width: float = 1.0, dropout: float = 0.5
    ):
        super().__init__()
        self.input_shape = (in_channels, size, size)
        side = side_after("zhang2015", size, (5, 1), (5, 1), (5, 1))
        widths = (in_channels, *(scale_channels(w, width) for w in (64, 256, 768)))
        layers: list[nn.Module] = []
        for a, b in itertools.pairwise(widths):
            layers += [nn.Conv2d(a, b, 5), nn.ReLU(), nn.LocalResponseNorm(**LRN)]  # type: ignore[arg-type]
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(widths[-1] * side**2, num_classes))
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


register("zhang2015", "Zhang, Li, Deng, Wang, Lin, Ji & Shen 2015", (3, 13, 13), "scores")(Zhang2015)
