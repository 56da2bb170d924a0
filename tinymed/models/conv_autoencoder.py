"""A convolutional auto-encoder: pixels to a small stack of maps and back (Masci, Meier, Ciresan & Schmidhuber 2011).

    encoder    (conv 3x3, ReLU, max-pool 2) for 16 and 32 channels, conv 3x3 to the code's channels
    decoder    conv 3x3 to 32 channels, ReLU, (transposed conv 2x2 of stride 2, ReLU) for 32 and 16, conv 3x3

The code has a quarter of the image's side.  The widths are ours.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels
from .vgg import he_normal

WIDTHS, REDUCTION = (16, 32), 4


class ConvAutoencoder(nn.Module):
    """A convolutional auto-encoder.

    Args:
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 4; it decides `code_size` alone.
        channels: Channels of the code.
        width: Multiplier of the other channels.
        codes: Answer (images, values of the code), as a sparse auto-encoder learns from; the code is then a sigmoid's.

    Shape:
        Images (N, in_channels, H, W), sides multiples of 4, to the same; with codes also (N, channels * H * W / 16).

    Raises:
        UserError: The side is no multiple of 4.

    Example:
        >>> model = ConvAutoencoder(size=16, channels=2)
        >>> model(tinymed.zeros(2, 1, 16, 16)).shape, model.code_size
        ((2, 1, 16, 16), 32)

    Reference:
        Masci, Meier, Ciresan & Schmidhuber, "Stacked convolutional auto-encoders for hierarchical feature extraction",
        ICANN 2011.
    """

    def __init__(
        self, in_channels: int = 1, size: int = 32, channels: int = 4, width: float = 1.0, codes: bool = False
    ):
        super().__init__()
        if size % REDUCTION or size < REDUCTION:
            raise UserError(f"conv_autoencoder: the side is halved twice, so it is a multiple of 4; got {size}")
        self.input_shape, self.codes = (in_channels, size, size), codes
        self.code_size = channels * (size // REDUCTION) ** 2
        first, second = (scale_channels(wide, width) for wide in WIDTHS)
        self.encoder = nn.Sequential(
            nn.Conv2d(in_channels, first, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(second, channels, 3, padding=1),
            nn.Sigmoid() if codes else nn.Identity(),
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(channels, second, 3, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(second, second, 2, stride=2),
            nn.ReLU(),
            nn.ConvTranspose2d(second, first, 2, stride=2),
            nn.ReLU(),
            nn.Conv2d(first, in_channels, 3, padding=1),
        )
        self.flatten = nn.Flatten()
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        code = self.encoder(input)
        images = self.decoder(code)
        return (images, self.flatten(code)) if self.codes else images


register("conv_autoencoder", "Masci, Meier, Ciresan & Schmidhuber 2011", (1, 32, 32), "picture")(ConvAutoencoder)
