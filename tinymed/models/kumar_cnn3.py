"""CNN3 of Kumar, Verma, Sharma, Bhargava, Vahadane & Sethi, IEEE TMI 36, 2017: nuclei that touch are told apart.

The pixel in the middle of a 51x51 RGB patch, after colour normalisation, lies inside a nucleus, on a boundary or
outside:

    conv 4x4, 25 (48)   max 2 (24)   conv 5x5, 50 (20)   max 2 (10)   conv 6x6, 80 (5)   max 2, rounded up (3)
    dense 1024   dense 1024   3 classes

with ReLU after every layer but the last, and dropout .5 after the dense ones.
"""

from typing import Any

from .. import nn
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels, side_after
from .vgg import he_normal


class KumarCNN3(nn.Module):
    """CNN3: is the pixel in the middle of a patch inside a nucleus, on a boundary or outside?

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the patch in pixels, at least 35.
        width: Multiplier of all channels and dense units; 1 is the published network.
        dropout: Probability of dropping a unit.

    Shape:
        Patches (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The patch is too small, or width is not positive.

    Example:
        >>> KumarCNN3(size=35, width=1 / 16)(tinymed.zeros(2, 3, 35, 35)).shape
        (2, 3)

    Reference:
        Kumar, Verma, Sharma, Bhargava, Vahadane & Sethi, IEEE TMI 36, 2017.
    """

    def __init__(
        self, num_classes: int = 3, in_channels: int = 3, size: int = 51, width: float = 1.0, dropout: float = 0.5
    ):
        super().__init__()
        self.input_shape = (in_channels, size, size)
        side = -(-side_after("kumar_cnn3", size, (4, 1), (2, 2), (5, 1), (2, 2), (6, 1)) // 2)
        a, b, c, dense = (scale_channels(n, width) for n in (25, 50, 80, 1024))
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, a, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(a, b, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(b, c, 6),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(c * side**2, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, num_classes),
        )
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


register("kumar_cnn3", "Kumar, Verma, Sharma, Bhargava, Vahadane & Sethi 2017", (3, 51, 51), "scores")(KumarCNN3)
