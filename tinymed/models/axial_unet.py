"""U-Nets of axial attention, plain and gated (Valanarasu et al., MICCAI 2021): the encoder is attention.

Stem: 7x7 of stride 2 to 8, 3x3 to 128, 3x3 to 8 channels, each with batch norm and ReLU.  Four stages of 1, 2, 4, 1
blocks of axial attention (widths 16, 32, 64, 128, out twice that), the last three halving the map.  Decoder: 3x3
convolutions, the first of stride 2, each followed by bilinear up-sampling and ReLU, adding the stages' outputs.  1x1 to
classes.  Positions are learned for one side of image, so a network takes images of its own size only.

    gated_axial_unet   gates on the terms with positions; 1,326,914 parameters at 128 pixels, 64 of them gates
    axial_unet         without gates; 1,326,850

The authors train the gates from the tenth epoch on; here from the first, or never (`learn_gates=False`).
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..nn.axial import GATES, axial_stage
from ..tensor import Tensor
from .registry import register

BLOCKS = (1, 2, 4, 1)
SOURCE = "Valanarasu et al. 2021"


class Stem(nn.Sequential):
    """Halve the image: 7x7 of stride 2, then 3x3 to a wide map and 3x3 back, each with batch norm and ReLU."""

    def __init__(self, in_channels: int, width: int, wide: int = 128):
        layers: list[nn.Module] = []
        for a, b, side in ((in_channels, width, 7), (width, wide, 3), (wide, width, 3)):
            stride = 2 if side == 7 else 1
            layers += [nn.Conv2d(a, b, side, stride, side // 2, bias=False), nn.BatchNorm2d(b), nn.ReLU()]
        super().__init__(*layers)


class AxialPyramid(nn.Module):
    """Stem, stages of axial attention and the decoder: images (N, C, H, W) to features (N, 2 width, H, W).

    Args:
        in_channels: Channels of the image.
        size: Side of the image.
        stem: Channels of the stem.
        width: Channels of the first stage's attention.
        positions: As of `nn.axial.AxialAttention`.
        stages: Number of stages: 4, or 2 without the convolution of stride 2.
    """

    def __init__(self, in_channels: int, size: int, stem: int, width: int, positions: str, stages: int = 4):
        super().__init__()
        self.stem, self.stages, self.decoder = Stem(in_channels, stem), nn.ModuleList(), nn.ModuleList()
        channels, side = stem, size // 2
        for level in range(stages):
            stride = 2 if level else 1
            self.stages.append(axial_stage(channels, width << level, BLOCKS[level], side, positions, stride))
            channels, side = 2 * width << level, side // stride
        if stages == len(BLOCKS):
            self.decoder.append(nn.Conv2d(channels, channels, 3, 2, 1))
        for level in reversed(range(stages)):
            self.decoder.append(nn.Conv2d(2 * width << level, width << level, 3, 1, 1))

    def forward(self, input: Tensor) -> Any:
        """Compute the features; the class names the shapes."""
        y, skips = self.stem(input), []
        for stage in self.stages:
            y = stage(y)
            skips.append(y)
        if len(self.decoder) == len(self.stages):
            skips.pop()
        for convolution in self.decoder:
            y = F.relu(F.interpolate(convolution(y), scale_factor=2, mode="bilinear", align_corners=False))
            y = y + skips.pop() if skips else y
        return y


class AxialUNet(nn.Module):
    """U-Net whose encoder is axial attention with learned relative positions.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 32.
        width: Channels of the first stage's attention, a multiple of 16.
        gated: Weigh the terms with positions by learned gates.
        learn_gates: Train the gates, else keep them at 0.1 and 1.

    Shape:
        Images (N, in_channels, size, size) to scores (N, num_classes, size, size), not yet a softmax.

    Raises:
        UserError: size or width does not fit.
        ValueError: `forward` is given an image of another size.

    Example:
        >>> AxialUNet(size=32)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 2, 32, 32)

    Reference:
        Valanarasu et al., MICCAI 2021; Wang et al., ECCV 2020.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        size: int = 128,
        width: int = 16,
        gated: bool = False,
        learn_gates: bool = True,
    ):
        super().__init__()
        check_sizes("gated_axial_unet" if gated else "axial_unet", size, 32, width)
        self.size, self.input_shape = size, (in_channels, size, size)
        self.pyramid = AxialPyramid(in_channels, size, width // 2, width, "gated" if gated else "plain")
        self.head = nn.Conv2d(width, num_classes, 1)
        if gated and not learn_gates:
            freeze_gates(self)

    def forward(self, input: Tensor) -> Any:
        """Compute the scores; the class names the shapes."""
        check_image(self, input, self.size)
        return self.head(self.pyramid(input))


def gated_axial_unet(
    num_classes: int = 2, in_channels: int = 3, size: int = 128, width: int = 16, learn_gates: bool = True
) -> AxialUNet:
    """Build a U-Net of gated axial attention: 1,326,914 parameters at 128 pixels, 3 channels and 2 classes.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 32.
        width: Channels of the first stage's attention, a multiple of 16.
        learn_gates: Train the gates, else keep them at 0.1 and 1.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size or width does not fit.

    Example:
        >>> gated_axial_unet(size=32)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 2, 32, 32)

    Reference:
        Valanarasu et al., MICCAI 2021.
    """
    return AxialUNet(num_classes, in_channels, size, width, True, learn_gates)


def axial_unet(num_classes: int = 2, in_channels: int = 3, size: int = 128, width: int = 16) -> AxialUNet:
    """Build a U-Net of axial attention without gates: 1,326,850 parameters at 128 pixels, 3 channels and 2 classes.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 32.
        width: Channels of the first stage's attention, a multiple of 16.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size or width does not fit.

    Example:
        >>> axial_unet(size=32)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 2, 32, 32)

    Reference:
        Valanarasu et al., MICCAI 2021, the variant without gates.
    """
    return AxialUNet(num_classes, in_channels, size, width)


def check_sizes(name: str, size: int, step: int, width: int) -> None:
    """Raise UserError unless the side of an image and the width of attention fit a network."""
    if size < step or size % step:
        raise UserError(f"model {name}: size is {size}; it takes a multiple of {step}")
    if width < 16 or width % 16:
        raise UserError(f"model {name}: width is {width}; it takes a multiple of 16, for 8 heads of queries and keys")


def check_image(model: nn.Module, input: Tensor, size: int) -> None:
    """Raise ValueError unless an image has the side that positions are learned for."""
    if tuple(input.shape[2:]) != (size, size):
        raise ValueError(
            f"{type(model).__name__}: images of {list(input.shape[2:])} pixels; its positions are learned for {size} x "
            f"{size}, make it with another size"
        )


def freeze_gates(model: nn.Module) -> None:
    """Keep the gates at their first values."""
    for name, parameter in model.named_parameters():
        if name.rpartition(".")[2] in GATES:
            parameter.requires_grad = False


register("gated_axial_unet", SOURCE, (3, 128, 128), "map")(gated_axial_unet)
register("axial_unet", f"{SOURCE}, without gates", (3, 128, 128), "map")(axial_unet)
