"""U-Net (Ronneberger, Fischer & Brox, MICCAI 2015), with the variants that later work calls by its name.

Contracting: (conv 3x3, ReLU) twice, max-pool 2x2, widths 64-128-256-512-1024.  Expanding: up-convolution 2x2 that
halves the channels, the cropped map of the other side concatenated, (conv 3x3, ReLU) twice.  1x1 to classes: 23
convolutions.  As published nothing is padded: 572 pixels become 388, and a large image is cut into overlapping tiles
with mirrored borders.

    unet        as published
    unet_bn     padded, batch norm after every convolution (without bias); upsample="bilinear" has no up-convolution
    unet_small  padded, 32 channels at the top: the baseline of Lou et al. 2021

The paper puts dropout "at the end of the contracting path": here after its last two levels, as in the authors' release.
"""

import math
from typing import Any

from .. import nn
from ..nn import init
from ..nn.blocks_segmentation import DoubleConv, join
from ..nn.conv import Convolution
from ..tensor import Tensor
from .registry import register
from .sizes import one_of

SOURCE = "Ronneberger, Fischer & Brox 2015"


PADDED = 'padding="same" (--option padding=same) takes smaller ones'


class UShape(nn.Module):
    """What the U-Nets share: the way down and up again, with a map of every level carried across.

    A subclass sets `down` and `join` (a block per level), `up`, `pool`, `head`, `dropout` (after the last two levels
    going down), `depth` and `padding`.
    """

    padding: str
    depth: int

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        for side in input.shape[2:]:
            self.output_side(side)
        skips: list[Any] = []
        y: Any = input
        for level, block in enumerate(self.down):
            y = block(self.pool(y) if level else y)
            y = self.dropout(y) if level >= self.depth - 1 else y
            skips.append(y)
        skips.pop()
        for up, block in zip(self.up, self.join, strict=True):
            y = block(join(skips.pop(), up(y), crop=self.padding == "valid"))
        return self.head(y)

    def output_side(self, side: int) -> int:
        """Return the side of the scores of an image of this side; raise ValueError where a pooled map would be odd."""
        if self.padding == "same":
            return side
        inner = side
        for _ in range(self.depth):
            inner -= 4
            if inner < 2 or inner % 2:
                fits = self.input_side(side - self.shrinkage())
                raise ValueError(
                    f"{type(self).__name__}: without padding a side of {side} leaves {inner} pixels to be "
                    f"halved; the next side that fits is {fits}; {PADDED}"
                )
            inner //= 2
        if side <= self.shrinkage():
            smallest = self.input_side(1)
            raise ValueError(
                f"{type(self).__name__}: a side of {side} is too small; the smallest is {smallest}; {PADDED}"
            )
        return side - self.shrinkage()

    def input_side(self, output: int) -> int:
        """Return the smallest side of an image whose scores have a side of at least `output`: the tile to cut."""
        if self.padding == "same":
            return output
        step = 1 << self.depth
        bottom = -(-(max(output, 1) + 4 * (step - 1)) // step)  # of the deepest level, after its convolutions
        return step * (bottom + 4) + 4 * (step - 1)

    def shrinkage(self) -> int:
        """Return the pixels by which the scores are smaller than the image: 184 at depth 4."""
        return 4 * (3 * (1 << self.depth) - 2) if self.padding == "valid" else 0


class UNet(UShape):
    """U-Net: contracting and expanding paths with the map of every level carried across.

    Weights are drawn from N(0, 2 / fan-in).

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        base: Channels of the first level, doubled at each pooling.
        depth: Number of poolings.
        padding: "valid" (as published, H' = H - 184 at depth 4, see `output_side`) or "same" (any size, H' = H).
        norm: Add batch norm; convolutions then have no bias.
        upsample: "transposed", or "bilinear" (corners aligned; the deepest level and the expanding path are half as
            wide).
        dropout: Probability of dropping a unit after the last two levels going down.

    Shape:
        Images (N, in_channels, H, W) to scores (N, num_classes, H', W'), not yet a softmax.

    Raises:
        UserError: padding or upsample is unknown.
        ValueError: `forward` is given a side that the poolings do not fit.

    Example:
        >>> model = UNet(base=4, depth=2)
        >>> model.input_side(4), model(tinymed.zeros(1, 1, 44, 44)).shape
        (44, (1, 2, 4, 4))

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 1,
        base: int = 64,
        depth: int = 4,
        padding: str = "valid",
        norm: bool = False,
        upsample: str = "transposed",
        dropout: float = 0.5,
    ):
        super().__init__()
        one_of("unet", "padding", padding, ("valid", "same"))
        one_of("unet", "upsample", upsample, ("transposed", "bilinear"))
        self.padding, self.depth, bilinear = padding, depth, upsample == "bilinear"
        widths = [base << i for i in range(depth + 1)]
        if bilinear:
            widths[-1] //= 2
        options: dict[str, Any] = {"padding": padding, "norm": norm}
        self.down = nn.ModuleList(
            DoubleConv(a, b, **options) for a, b in zip([in_channels, *widths], widths, strict=False)
        )
        self.pool, self.dropout = nn.MaxPool2d(2), nn.Dropout(dropout)
        ups: list[nn.Module] = []
        joins: list[nn.Module] = []
        for level in reversed(range(depth)):
            wide = widths[level]
            out = wide // 2 if bilinear and level else wide
            ups.append(
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
                if bilinear
                else nn.ConvTranspose2d(widths[level + 1], wide, 2, 2)
            )
            joins.append(DoubleConv(2 * wide, out, wide, **options))
        self.up, self.join = nn.ModuleList(ups), nn.ModuleList(joins)
        self.head = nn.Conv2d(widths[0], num_classes, 1)
        self.apply(he_normal)


def he_normal(module: nn.Module) -> None:
    """Draw weights from N(0, 2 / n), n the inputs that one output sums; set biases to 0."""
    if not isinstance(module, Convolution):
        return
    inputs = module.in_channels // module.groups * math.prod(module.kernel_size)
    if module.transposed:
        inputs = max(inputs // math.prod(module.stride), 1)
    init.normal_(module.weight, 0.0, math.sqrt(2 / inputs))
    if module.bias is not None:
        init.zeros_(module.bias)


def unet_bn(
    num_classes: int = 2,
    in_channels: int = 3,
    base: int = 64,
    depth: int = 4,
    upsample: str = "transposed",
    dropout: float = 0.0,
) -> UNet:
    """Build a U-Net with padding and batch norm: 31,037,698 parameters at 3 channels and 2 classes.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        base: Channels of the first level, doubled at each pooling.
        depth: Number of poolings.
        upsample: "transposed" or "bilinear".
        dropout: Probability of dropping a unit after the last two levels going down.

    Returns:
        A network of images (N, in_channels, H, W) to scores (N, num_classes, H, W).

    Raises:
        UserError: upsample is unknown.

    Example:
        >>> unet_bn(base=4, depth=2)(tinymed.zeros(2, 3, 16, 16)).shape
        (2, 2, 16, 16)

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015; batch norm and padding are later additions.
    """
    return UNet(num_classes, in_channels, base, depth, "same", True, upsample, dropout)


def unet_small(
    num_classes: int = 1, in_channels: int = 1, base: int = 32, depth: int = 4, dropout: float = 0.0
) -> UNet:
    """Build a U-Net with padding and half the channels: 7,759,521 parameters at 1 channel and 1 class.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        base: Channels of the first level, doubled at each pooling.
        depth: Number of poolings.
        dropout: Probability of dropping a unit after the last two levels going down.

    Returns:
        A network of images (N, in_channels, H, W) to scores (N, num_classes, H, W).

    Example:
        >>> unet_small(base=4, depth=2)(tinymed.zeros(1, 1, 16, 16)).shape
        (1, 1, 16, 16)

    Reference:
        The baseline of Lou, Guan & Loew, SPIE Medical Imaging 2021.
    """
    return UNet(num_classes, in_channels, base, depth, "same", dropout=dropout)


register("unet", SOURCE, (1, 572, 572))(UNet)
register("unet_bn", f"{SOURCE}; padded, with batch norm", (3, 256, 256), "map")(unet_bn)
register("unet_small", f"{SOURCE}; padded, base 32, the baseline of Lou, Guan & Loew 2021", (1, 256, 256), "map")(
    unet_small
)
