"""DCGAN (Radford, Metz & Chintala, ICLR 2016): a generator draws pictures, a discriminator tells them from real ones.

    generator       latent numbers -> transposed conv 4x4 to 4 x 4, then doubled by transposed conv 4x4 of stride 2;
                    batch norm and ReLU after each but the last, which ends in tanh: pictures from -1 to 1
    discriminator   conv 4x4 of stride 2, halved down to 4 x 4; batch norm after each but the first and the last,
                    leaky ReLU of slope .2; a last conv 4x4 to one number, positive of what looks real

The side is 4, 8, 16, ... times 2; channels double where the side halves, from `base` at half the picture's side.
Weights begin normal with a deviation of .02, batch norm's factors at 1 with the same deviation.  With 64 latent
numbers, 3 channels, 32 pixels and base 64: 921,475 learned values in the generator, 663,361 in the discriminator.
"""

from itertools import pairwise

from .. import nn
from ..errors import UserError
from ..nn import init
from ..tensor import Tensor
from .registry import register

SLOPE = 0.2
DEVIATION = 0.02


class DCGAN(nn.Module):
    """DCGAN: `generator` from latent numbers to pictures, `discriminator` from pictures to one number each.

    Calling the module draws pictures; the discriminator serves in training only.

    Args:
        latent: Numbers that a picture is drawn from, standard normal.
        channels: Of pictures, 1 (grey) or 3 (RGB).
        size: Side of pictures in pixels: 8, 16, 32, 64, 128 or 256.
        base: Channels at half of that side.

    Shape:
        Latent numbers (N, latent, 1, 1) or (N, latent) to pictures (N, channels, size, size) from -1 to 1.

    Raises:
        UserError: size is none of these, or another number is below 1.
        ValueError: The input is no row of latent numbers for each picture.

    Example:
        >>> model = DCGAN(latent=8, size=16, base=4)
        >>> pictures = model(tinymed.randn(2, 8, 1, 1))
        >>> pictures.shape, model.discriminator(pictures).shape
        ((2, 3, 16, 16), (2, 1, 1, 1))

    Reference:
        Radford, Metz & Chintala, "Unsupervised representation learning with deep convolutional generative adversarial
        networks", ICLR 2016.
    """

    def __init__(self, latent: int = 64, channels: int = 3, size: int = 32, base: int = 64):
        super().__init__()
        if size not in (8, 16, 32, 64, 128, 256):
            raise UserError(f"dcgan: size is 8, 16, 32, 64, 128 or 256 pixels, got {size}")
        if min(latent, channels, base) < 1:
            raise UserError(f"dcgan: latent, channels and base are at least 1, got {latent}, {channels} and {base}")
        self.input_shape = (latent, 1, 1)
        widths = [base * 2**i for i in range(size.bit_length() - 3)]  # at sides size / 2, size / 4, ..., 4
        self.generator = make_generator(latent, channels, widths)
        self.discriminator = make_discriminator(channels, widths)
        self.apply(small_normal)

    def forward(self, input: Tensor) -> Tensor:
        """Draw pictures; the class names the shapes."""
        if tuple(input.shape[1:]) not in (self.input_shape, self.input_shape[:1]):
            raise ValueError(
                f"dcgan: takes latent numbers (N, {self.input_shape[0]}, 1, 1), got an array {tuple(input.shape)}"
            )
        pictures: Tensor = self.generator(input.reshape(len(input), -1, 1, 1))
        return pictures


def make_generator(latent: int, channels: int, widths: list[int]) -> nn.Sequential:
    """Return the generator; widths: channels from the largest map to the smallest."""
    layers: list[nn.Module] = [nn.ConvTranspose2d(latent, widths[-1], 4, bias=False)]
    for wide, narrow in zip(widths[:0:-1], widths[-2::-1], strict=True):
        layers += [nn.BatchNorm2d(wide), nn.ReLU(), nn.ConvTranspose2d(wide, narrow, 4, 2, 1, bias=False)]
    layers += [nn.BatchNorm2d(widths[0]), nn.ReLU(), nn.ConvTranspose2d(widths[0], channels, 4, 2, 1), nn.Tanh()]
    return nn.Sequential(*layers)


def make_discriminator(channels: int, widths: list[int]) -> nn.Sequential:
    """Return the discriminator; widths: channels from the largest map to the smallest."""
    layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 4, 2, 1), nn.LeakyReLU(SLOPE)]
    for narrow, wide in pairwise(widths):
        layers += [nn.Conv2d(narrow, wide, 4, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(SLOPE)]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))


def small_normal(module: nn.Module) -> None:
    """Draw a layer's weights as the paper does."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        init.normal_(module.weight, 0.0, DEVIATION)
        if module.bias is not None:
            init.zeros_(module.bias)
    elif isinstance(module, nn.BatchNorm2d) and module.weight is not None:
        init.normal_(module.weight, 1.0, DEVIATION)


register("dcgan", "Radford, Metz & Chintala 2016", (64, 1, 1))(DCGAN)
