"""MONAI's U-Net: strided convolutions down, transposed ones up, residual units (Kerfoot et al., STACOM 2018).

A level goes down by a residual unit whose first convolution has a stride, and up by a transposed convolution and a
residual unit; the maps of the same size are joined.  Every convolution is followed by a norm, dropout and PReLU
("NDA"), but for the last.  Names of the state are those of `monai.networks.nets.UNet`, so that its weights load:

    model.0                      the way down at the top
    model.1.submodule            everything below, built likewise
    model.2                      the way up at the top
"""

import math
from collections.abc import Sequence
from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .sizes import one_of

SOURCE = "Kerfoot, Clough, Oksuz, Lee, King & Schnabel 2018"
CONVOLUTIONS = {2: (nn.Conv2d, nn.ConvTranspose2d), 3: (nn.Conv3d, nn.ConvTranspose3d)}
NORMS: dict[int, dict[str, Any]] = {
    2: {"instance": nn.InstanceNorm2d, "batch": nn.BatchNorm2d},
    3: {"instance": nn.InstanceNorm3d, "batch": nn.BatchNorm3d},
}


class Settings:
    """What all convolutions of a network share: dimensions, sides of filters, norm, dropout, bias."""

    def __init__(self, axes: int, kernel_size: int, up_kernel_size: int, norm: str, dropout: float, bias: bool):
        self.conv, self.transposed = CONVOLUTIONS[axes]
        self.norm = NORMS[axes][norm]
        self.kernel_size, self.up_kernel_size = kernel_size, up_kernel_size
        self.dropout, self.bias = dropout, bias

    def adn(self, channels: int) -> nn.Sequential:
        """Return norm, dropout and activation, by MONAI's letters."""
        return nn.Sequential({"N": self.norm(channels), "D": nn.Dropout(self.dropout), "A": nn.PReLU()})

    def convolution(self, a: int, b: int, stride: int = 1, bare: bool = False) -> nn.Sequential:
        """Return a convolution of `a` channels to `b` with what follows it; bare: without."""
        kernel = self.kernel_size
        layers = {"conv": self.conv(a, b, kernel, stride, (kernel - 1) // 2, bias=self.bias)}
        return nn.Sequential(layers if bare else layers | {"adn": self.adn(b)})

    def up(self, a: int, b: int, stride: int, bare: bool) -> nn.Sequential:
        """Return a transposed convolution that makes sides `stride` times as long, with what follows it."""
        kernel = self.up_kernel_size
        conv = self.transposed(a, b, kernel, stride, (kernel - 1) // 2, stride - 1, bias=self.bias)
        return nn.Sequential({"conv": conv} if bare else {"conv": conv, "adn": self.adn(b)})


class ResidualUnit(nn.Module):
    """Convolutions one after the other, and a path beside them: a convolution where the shape changes."""

    def __init__(self, settings: Settings, a: int, b: int, stride: int, units: int, last_bare: bool = False):
        super().__init__()
        made = {}
        for i in range(units):
            first = a if i == 0 else b
            bare = last_bare and i == units - 1
            made[f"unit{i}"] = settings.convolution(first, b, stride if i == 0 else 1, bare)
        self.conv = nn.Sequential(made)
        self.residual: nn.Module = nn.Identity()
        if stride != 1 or a != b:
            kernel = settings.kernel_size if stride != 1 else 1
            self.residual = settings.conv(a, b, kernel, stride, (kernel - 1) // 2, bias=settings.bias)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.conv(input) + self.residual(input)


class SkipConnection(nn.Module):
    """Join the input and what a module makes of it."""

    def __init__(self, submodule: nn.Module):
        super().__init__()
        self.submodule = submodule

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return F.cat([input, self.submodule(input)], 1)


class MonaiUNet(nn.Module):
    """MONAI's U-Net, of pictures or volumes.

    As `monai.networks.nets.UNet`, with its names of the state; adn_ordering "NDA", act "prelu".

    Args:
        num_classes: Number of classes, hence of score maps (out_channels there).
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        channels: Channels of each level, at least two levels.
        strides: By how much each level but the deepest is smaller than the one above.
        num_res_units: Convolutions of a residual unit; 0: one convolution instead of each unit.
        kernel_size: Side of a filter, odd.
        up_kernel_size: Side of a transposed one, odd.
        norm: "instance" or "batch".
        dropout: Probability of dropping a unit after each norm.
        bias: Whether convolutions have one.
        axes: 2 of pictures, 3 of volumes (spatial_dims there).

    Shape:
        Images (N, in_channels, *sides), sides multiples of the product of the strides, to scores (N, num_classes,
        *sides), not yet a softmax.

    Raises:
        UserError: An option is unknown, or strides are not one less than channels.
        ValueError: `forward` is given a side that the strides do not divide.

    Example:
        >>> MonaiUNet(channels=(4, 8, 16), strides=(2, 2))(tinymed.zeros(2, 1, 16, 16)).shape
        (2, 2, 16, 16)

    Reference:
        Kerfoot et al., STACOM 2018; Cardoso et al., "MONAI", 2022.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 1,
        channels: Sequence[int] = (16, 32, 64, 128, 256),
        strides: Sequence[int] = (2, 2, 2, 2),
        num_res_units: int = 2,
        kernel_size: int = 3,
        up_kernel_size: int = 3,
        norm: str = "instance",
        dropout: float = 0.0,
        bias: bool = True,
        axes: int = 2,
    ):
        super().__init__()
        one_of("unet_monai", "axes", axes, tuple(CONVOLUTIONS))
        one_of("unet_monai", "norm", norm, tuple(NORMS[axes]))
        if len(channels) < 2 or len(strides) != len(channels) - 1:
            raise UserError(
                f"unet_monai: strides are one fewer than channels, of which there are two or more; got {len(strides)} "
                f"strides, {len(channels)} channels"
            )
        if kernel_size % 2 == 0 or up_kernel_size % 2 == 0:
            raise UserError(f"unet_monai: sides of filters are odd, got {kernel_size} and {up_kernel_size}")
        self.step, self.units = math.prod(strides), num_res_units
        self.smallest = self.step * (2 if norm == "instance" else 1)  # the deepest map of one pixel has no deviation
        self.settings = Settings(axes, kernel_size, up_kernel_size, norm, dropout, bias)
        self.model = self.level(in_channels, num_classes, channels, strides, True)

    def level(self, a: int, b: int, channels: Sequence[int], strides: Sequence[int], top: bool) -> nn.Sequential:
        """Return a level and everything below it: `a` channels in, `b` out."""
        c, stride = channels[0], strides[0]
        if len(channels) > 2:
            below: nn.Module = self.level(c, c, channels[1:], strides[1:], False)
            joined = 2 * c
        else:
            below, joined = self.down(c, channels[1], 1), c + channels[1]
        return nn.Sequential(self.down(a, c, stride), SkipConnection(below), self.up(joined, b, stride, top))

    def down(self, a: int, b: int, stride: int) -> nn.Module:
        """Return the way down: a residual unit, or one convolution."""
        if self.units:
            return ResidualUnit(self.settings, a, b, stride, self.units)
        return self.settings.convolution(a, b, stride)

    def up(self, a: int, b: int, stride: int, top: bool) -> nn.Module:
        """Return the way up: a transposed convolution, perhaps with a residual unit after it."""
        conv = self.settings.up(a, b, stride, bare=top and not self.units)
        if not self.units:
            return conv
        return nn.Sequential(conv, ResidualUnit(self.settings, b, b, 1, 1, last_bare=top))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        sides = input.shape[2:]
        if any(side % self.step for side in sides) or max(sides) < self.smallest:
            raise ValueError(
                f"unet_monai: takes images whose sides are multiples of {self.step}, the longest at least "
                f"{self.smallest}, got {list(sides)}; pad or crop it"
            )
        return self.model(input)


def unet_monai_3d(
    num_classes: int = 2,
    in_channels: int = 1,
    channels: Sequence[int] = (16, 32, 64, 128, 256),
    strides: Sequence[int] = (2, 2, 2, 2),
    num_res_units: int = 2,
    norm: str = "batch",
    dropout: float = 0.0,
) -> MonaiUNet:
    """Build MONAI's U-Net of volumes with batch norm, as its tutorials of spleen and hippocampus do.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        channels: Channels of each level.
        strides: By how much each level but the deepest is smaller than the one above.
        num_res_units: Convolutions of a residual unit.
        norm: "instance" or "batch".
        dropout: Probability of dropping a unit after each norm.

    Returns:
        A network of volumes (N, in_channels, D, H, W) to scores (N, num_classes, D, H, W).

    Raises:
        UserError: As MonaiUNet.

    Example:
        >>> unet_monai_3d(channels=(2, 4), strides=(2,))(tinymed.zeros(2, 1, 4, 4, 4)).shape
        (2, 2, 4, 4, 4)

    Reference:
        Kerfoot et al., STACOM 2018.
    """
    return MonaiUNet(num_classes, in_channels, channels, strides, num_res_units, norm=norm, dropout=dropout, axes=3)


register("unet_monai", SOURCE, (1, 256, 256), "map")(MonaiUNet)
register("unet_monai_3d", SOURCE, (1, 64, 64, 64), "map")(unet_monai_3d)
