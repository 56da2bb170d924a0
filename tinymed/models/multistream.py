"""Multi-resolution-tract CNN (Kawahara & Hamarneh, MLMI 2016): skin lesions seen at two resolutions.

Every tract sees the whole image at its own resolution (227 and 454 pixels) through AlexNet's convolutions; average
pooling brings the larger map to the size of the smaller; new layers then merge the tracts.  A classifier on each tract
has a loss of its own, and all is trained end to end.

Where the paper is silent, or weights are pre-trained on ImageNet: the trunk is the one-tower AlexNet
(64-192-384-256-256) at a quarter of its width by default; a tract's own layer and the merging layer are dense, `hidden`
units each.  The image is given once, at the largest resolution, and shrunk by averaging.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .alexnet import TOWERS, features
from .registry import register
from .sizes import scale_channels
from .unet import he_normal

GRID = 6  # side of AlexNet's last map at 227 pixels


class Tract(nn.Module):
    """One resolution: trunk, average pooling to GRID x GRID, a dense layer, dropout."""

    def __init__(self, in_channels: int, width: float, hidden: int, dropout: float):
        super().__init__()
        self.trunk, self.pool = features("torch", in_channels, width), nn.AdaptiveAvgPool2d(GRID)
        flat = scale_channels(TOWERS["torch"][-1], width) * GRID * GRID
        self.dense = nn.Sequential(nn.Flatten(), nn.Dropout(dropout), nn.Linear(flat, hidden), nn.ReLU())

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.dense(self.pool(self.trunk(input)))


class MultiStream(nn.Module):
    """A multi-resolution-tract CNN: the image at full size and shrunk by 2, 4, ..., each through a tract of its own.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        streams: Number of tracts, each half as large as the one before.
        width: Multiplier of AlexNet's channels.
        hidden: Units of a tract's dense layer and of the merging layer.
        dropout: Probability of dropping a unit.
        auxiliary: Put a classifier on each tract; in training the result is then (scores, scores of each tract,
            largest first), for `nn.DeepSupervision`.

    Shape:
        Images (N, in_channels, H, W), whose smallest shrunk side is at least 63, to scores (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> MultiStream(num_classes=3, width=1 / 32, hidden=8)(tinymed.zeros(1, 3, 128, 128)).shape
        (1, 3)

    Reference:
        Kawahara & Hamarneh, MLMI 2016.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_channels: int = 3,
        streams: int = 2,
        width: float = 0.25,
        hidden: int = 256,
        dropout: float = 0.5,
        auxiliary: bool = False,
    ):
        super().__init__()
        self.tracts = nn.ModuleList(Tract(in_channels, width, hidden, dropout) for _ in range(streams))
        self.auxiliary = nn.ModuleList(nn.Linear(hidden, num_classes) for _ in range(streams if auxiliary else 0))
        self.merge = nn.Sequential(nn.Dropout(dropout), nn.Linear(streams * hidden, hidden), nn.ReLU())
        self.classifier = nn.Linear(hidden, num_classes)
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        seen = []
        for level, tract in enumerate(self.tracts):
            seen.append(tract(F.avg_pool2d(input, 1 << level) if level else input))
        scores = self.classifier(self.merge(F.cat(seen, 1)))
        if not (len(self.auxiliary) and self.training):
            return scores
        return (scores, *(classify(f) for classify, f in zip(self.auxiliary, seen, strict=True)))


register("multistream", "Kawahara & Hamarneh 2016", (3, 454, 454), "scores")(MultiStream)
