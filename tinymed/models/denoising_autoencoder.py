"""A convolutional denoising auto-encoder in the manner of Gondara (IEEE ICDM Workshops, 2016).

    encoder   (conv 3x3, ReLU, max-pool 2x2) `depth` times
    middle    conv 3x3, ReLU
    decoder   (enlarged twice by its nearest pixels, conv 3x3, ReLU) `depth` times
    output    conv 3x3

The picture passes through maps of a quarter of its sides, and nothing is carried across: what is not in them is lost,
noise and fine detail alike.  Sides that `2 ** depth` does not divide are filled by zeros and cut off again.  Widths and
the number of levels are ours; the paper has 64 channels and two levels.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .vgg import he_normal


class DenoisingAutoencoder(nn.Module):
    """Convolutional auto-encoder that gives a picture back without its noise.

    Args:
        in_channels: Channels of the picture, 1 (grey) or 3 (RGB).
        base: Channels of the maps.
        depth: Levels, each of which halves the sides; at least 1.

    Shape:
        Pictures (N, in_channels, H, W) to the same.

    Raises:
        UserError: depth or base is below 1.

    Example:
        >>> DenoisingAutoencoder(base=8)(tinymed.zeros(2, 1, 20, 31)).shape
        (2, 1, 20, 31)

    Reference:
        Gondara, Medical image denoising using convolutional denoising autoencoders, IEEE ICDM Workshops, 2016.
    """

    def __init__(self, in_channels: int = 1, base: int = 64, depth: int = 2):
        super().__init__()
        if depth < 1 or base < 1:
            raise UserError(f"denoising_autoencoder: depth and base are at least 1, got {depth} and {base}")
        self.depth = depth
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for level in range(depth):
            inputs = base if level else in_channels
            down += [nn.Conv2d(inputs, base, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
            up += [nn.Upsample(scale_factor=2), nn.Conv2d(base, base, 3, padding=1), nn.ReLU()]
        self.encoder = nn.Sequential(*down, nn.Conv2d(base, base, 3, padding=1), nn.ReLU())
        self.decoder = nn.Sequential(*up, nn.Conv2d(base, in_channels, 3, padding=1))
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        height, width = input.shape[2:]
        step = 1 << self.depth
        more = [-side % step for side in (width, height)]
        filled = F.pad(input, (0, more[0], 0, more[1])) if any(more) else input
        return self.decoder(self.encoder(filled))[:, :, :height, :width]


register("denoising_autoencoder", "Gondara 2016, our widths", (1, 40, 40), "picture")(DenoisingAutoencoder)
