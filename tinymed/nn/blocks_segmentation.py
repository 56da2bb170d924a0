"""Blocks of segmentation networks: double convolutions, DC and MultiRes blocks, ResPath, residual 3-D blocks."""

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from ..tensor import Tensor
from . import functional as F
from .activation import ReLU
from .container import ModuleList, Sequential
from .conv import Conv2d, Conv3d
from .module import Module
from .norm import KERAS, BatchNorm2d, BatchNorm3d

# ------------------------------------------------------------------------------------------------ geometry


def fit(input: Tensor, size: Sequence[int]) -> Any:
    """Crop (N, C, *space), or pad it with zeros, to `size` about its centre; an odd rest falls on the upper side.

    The copy-and-crop of Ronneberger et al. 2015, figure 1.
    """
    widths: list[int] = []
    for have, want in zip(reversed(input.shape[2:]), reversed(size), strict=True):
        before = (want - have) // 2 if want >= have else -((have - want) // 2)
        widths += [before, want - have - before]
    return F.pad(input, widths) if any(widths) else input


def join(skip: Tensor, up: Tensor, crop: bool) -> Any:
    """Concatenate channels of two maps that may differ in size: crop the skip, or pad what was up-sampled."""
    skip, up = (fit(skip, up.shape[2:]), up) if crop else (skip, fit(up, skip.shape[2:]))
    return F.cat([skip, up], 1)


# ------------------------------------------------------------------------------------- two or three dimensions


class DoubleConv(Sequential):
    """Apply (3x3 convolution, [batch norm,] ReLU) twice, in two or three dimensions: the unit of the U-Nets.

    padding: "valid", or "same".  mid_channels: between the two (default: out_channels).  norm: with batch norm.  bias:
    of the convolutions (default: where no batch norm follows).
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        mid_channels: int | None = None,
        rank: int = 2,
        padding: str = "valid",
        norm: bool = False,
        bias: bool | None = None,
    ):
        conv, batch_norm = ((Conv2d, BatchNorm2d), (Conv3d, BatchNorm3d))[rank - 2]
        mid = mid_channels or out_channels
        layers: list[Module] = []
        for a, b in ((in_channels, mid), (mid, out_channels)):
            layers.append(conv(a, b, 3, padding=padding, bias=not norm if bias is None else bias))
            layers += [batch_norm(b), ReLU()] if norm else [ReLU()]
        super().__init__(*layers)


class PreActBlock3d(Module):
    """Compute x + conv3(relu(bn(conv3(relu(bn(x)))))): the VoxRes module.

    Chen et al. 2018, figure 2; He et al. 2016b.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.bn1, self.conv1 = BatchNorm3d(channels), Conv3d(channels, channels, 3, padding=1)
        self.bn2, self.conv2 = BatchNorm3d(channels), Conv3d(channels, channels, 3, padding=1)
        self.relu = ReLU()

    def forward(self, input: Tensor) -> Any:
        y = self.conv1(self.relu(self.bn1(input)))
        return input + self.conv2(self.relu(self.bn2(y)))


class ResidualConvs3d(Module):
    """Apply `count` convolutions 5x5x5 (padding 2) with an activation between them, add the input, apply an activation.

    A stage of V-Net: Milletari et al. 2016, section 2.  The input is broadcast where it has one channel.
    """

    def __init__(self, in_channels: int, channels: int, count: int, activation: Callable[[int], Module]):
        super().__init__()
        if in_channels not in (1, channels):
            raise ValueError(f"ResidualConvs3d: an input of {in_channels} channels cannot be added to {channels}")
        widths = (in_channels, *[channels] * count)
        self.convs = ModuleList(Conv3d(a, b, 5, padding=2) for a, b in itertools.pairwise(widths))
        self.activations = ModuleList(activation(channels) for _ in range(count))

    def forward(self, input: Tensor) -> Any:
        y: Any = input
        last = len(self.convs) - 1
        for i, (conv, activation) in enumerate(zip(self.convs, self.activations, strict=True)):
            y = conv(y)
            y = activation(y + input if i == last else y)
        return y


# ------------------------------------------------------------------------------------- MultiResUNet and DC-UNet


def keras_norm(channels: int, affine: bool | str = True) -> BatchNorm2d:
    """Make batch norm with Keras's constants."""
    return BatchNorm2d(channels, KERAS["eps"], KERAS["momentum"], affine)


class ConvBN(Sequential):
    """Apply a convolution that keeps the size, batch norm with an offset and no scale, and ReLU unless told otherwise.

    The `conv2d_bn` of Ibtehaj & Rahman 2020, in Keras's constants.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int = 3, activation: bool = True):
        convolution = Conv2d(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        norm = keras_norm(out_channels, "offset")
        super().__init__(convolution, norm, *([ReLU()] if activation else []))


def chain_widths(filters: int, alpha: float = 1.67) -> tuple[int, int, int]:
    """Return the channels of three convolutions that stand for 3x3, 5x5 and 7x7: W/6, W/3, W/2, W = alpha x filters.

    Rounded down, with the factors .167, .333 and .5: 8, 17, 26 for 32 filters.  Ibtehaj & Rahman 2020, section 4.1.
    """
    wide = alpha * filters
    return int(wide * 0.167), int(wide * 0.333), int(wide * 0.5)


class Chain(Module):
    """Apply three 3x3 convolutions in a row, concatenate their outputs, apply batch norm."""

    def __init__(self, in_channels: int, widths: tuple[int, int, int]):
        super().__init__()
        a, b, c = widths
        self.convs = ModuleList([ConvBN(in_channels, a), ConvBN(a, b), ConvBN(b, c)])
        self.norm = keras_norm(a + b + c)

    def forward(self, input: Tensor) -> Any:
        outputs: list[Any] = [input]
        for conv in self.convs:
            outputs.append(conv(outputs[-1]))
        return self.norm(F.cat(outputs[1:], 1))


class MultiResBlock(Module):
    """Compute bn(relu(chain(x) + a 1x1 ConvBN of x)); `out_channels` follow from filters.

    Ibtehaj & Rahman 2020, figure 3c.
    """

    def __init__(self, in_channels: int, filters: int, alpha: float = 1.67):
        super().__init__()
        widths = chain_widths(filters, alpha)
        self.out_channels = sum(widths)
        self.shortcut = ConvBN(in_channels, self.out_channels, 1, activation=False)
        self.chain, self.relu = Chain(in_channels, widths), ReLU()
        self.norm = keras_norm(self.out_channels)

    def forward(self, input: Tensor) -> Any:
        return self.norm(self.relu(self.shortcut(input) + self.chain(input)))


class DCBlock(Module):
    """Compute bn(relu(chain(x) + chain(x))) with two chains of their own: the dual channel block.

    Lou et al. 2021, figure 4.
    """

    def __init__(self, in_channels: int, filters: int, alpha: float = 1.67):
        super().__init__()
        widths = chain_widths(filters, alpha)
        self.out_channels = sum(widths)
        self.left, self.right, self.relu = Chain(in_channels, widths), Chain(in_channels, widths), ReLU()
        self.norm = keras_norm(self.out_channels)

    def forward(self, input: Tensor) -> Any:
        return self.norm(self.relu(self.left(input) + self.right(input)))


class ResPathStep(Module):
    """Compute bn(relu(1x1 ConvBN without activation + 3x3 ConvBN))."""

    def __init__(self, in_channels: int, filters: int):
        super().__init__()
        self.shortcut, self.conv = ConvBN(in_channels, filters, 1, activation=False), ConvBN(in_channels, filters)
        self.relu, self.norm = ReLU(), keras_norm(filters)

    def forward(self, input: Tensor) -> Any:
        return self.norm(self.relu(self.shortcut(input) + self.conv(input)))


class ResPath(Sequential):
    """Apply `length` residual steps to a skip connection.  Ibtehaj & Rahman 2020, figure 4."""

    def __init__(self, in_channels: int, filters: int, length: int):
        super().__init__(*(ResPathStep(in_channels if i == 0 else filters, filters) for i in range(length)))
