"""Residual networks (He, Zhang, Ren & Sun, CVPR 2016): ResNet-18 to 152 and the CIFAR family.

Table 1: conv 7x7 stride 2, 64; batch norm; ReLU; max-pool 3x3 stride 2; four stages of blocks

    stage        1     2     3      4
    width        64    128   256    512
    ResNet-18    2     2     2      2        basic blocks: 3x3 - 3x3
    ResNet-34    3     4     6      3
    ResNet-50    3     4     6      3        bottlenecks: 1x1 - 3x3 - 1x1, out 4 times as wide
    ResNet-101   3     4     23     3
    ResNet-152   3     8     36     3
    map at 224   56    28    14     7

average pool, one output per class.  The first block of a stage projects its shortcut by a 1x1 convolution with batch
norm, and halves the map: on its 3x3 convolution as in torchvision ("v1.5", stride_on="3x3", the default) or on its
first 1x1 as in the paper ("v1", stride_on="1x1").  Names of the state are torchvision's.

The CIFAR family (section 4.2): conv 3x3, 16; three stages of n basic blocks at 16, 32, 64 channels; average pool;
6n + 2 layers.  Shortcuts are free of parameters (option A).  residual=False leaves them out: with depth, such a
network gets worse even on what it trains on, the effect the paper is about.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import one_of, scale_channels

SOURCE = "He, Zhang, Ren & Sun 2016"


class ResNetTrunk(nn.Module):
    """A stem and stages layer1, layer2, ... of residual blocks; `stages` gives the output of each.

    block(in_channels, channels, stride) makes a block of `expansion` x channels; depths and widths: of the stages.
    stem: "imagenet" (7x7 stride 2 and a max-pool) or "cifar" (3x3).
    """

    def __init__(
        self,
        block: Callable[..., nn.Module],
        expansion: int,
        depths: Sequence[int],
        widths: Sequence[int],
        stem: str,
        in_channels: int,
        norm: dict[str, Any],
    ):
        super().__init__()
        large = stem == "imagenet"
        kernel, stride, padding = (7, 2, 3) if large else (3, 1, 1)
        self.conv1 = nn.Conv2d(in_channels, widths[0], kernel, stride, padding, bias=False)
        self.bn1, self.relu = nn.BatchNorm2d(widths[0], **norm), nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, 2, 1) if large else nn.Identity()
        channels, self.outputs = widths[0], [width * expansion for width in widths]
        for i, (depth, width) in enumerate(zip(depths, widths, strict=True)):
            blocks = []
            for j in range(depth):
                blocks.append(block(channels, width, 2 if i and not j else 1))
                channels = width * expansion
            self.register_module(f"layer{i + 1}", nn.Sequential(*blocks))

    def stages(self, input: Tensor) -> list[Any]:
        """Return the output of every stage."""
        y, outputs = self.maxpool(self.relu(self.bn1(self.conv1(input)))), []
        for i in range(len(self.outputs)):
            y = self.get_submodule(f"layer{i + 1}")(y)
            outputs.append(y)
        return outputs


class ResNet(ResNetTrunk):
    """A residual network: a trunk, the mean over its last map, and a dense layer.  `resnet20` and `resnet50` build it.

    Args:
        trunk: Arguments of ResNetTrunk: block, expansion, depths, widths, stem, in_channels, norm.
        num_classes: Number of classes, hence of outputs per image.

    Shape:
        Images (N, in_channels, H, W) to logits (N, num_classes).

    Example:
        >>> resnet20(depth=8).conv1.weight.shape
        (16, 3, 3, 3)

    Reference:
        He, Zhang, Ren & Sun, CVPR 2016.
    """

    def __init__(self, *trunk: Any, num_classes: int):
        super().__init__(*trunk)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(self.outputs[-1], num_classes)
        self.apply(he_convolutions)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.fc(F.flatten(self.avgpool(self.stages(input)[-1]), 1))


def he_convolutions(module: nn.Module) -> None:
    """Draw convolutions by He's normal rule over fan out, as in torchvision; the rest keeps its own values."""
    if isinstance(module, nn.Conv2d):
        init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


DEPTHS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


def bottleneck_trunk(
    depth: int, in_channels: int, width: float, stride_on: str, norm: dict[str, Any]
) -> tuple[Any, ...]:
    """Return the arguments of the trunk of ResNet-50, 101 or 152."""
    one_of(f"resnet{depth}", "stride_on", stride_on, ("3x3", "1x1"))

    def block(in_channels: int, channels: int, stride: int) -> nn.Module:
        return nn.Bottleneck(in_channels, channels, stride, stride_on=stride_on, **norm)

    return block, nn.Bottleneck.expansion, DEPTHS[depth], imagenet_widths(width), "imagenet", in_channels, norm


def imagenet_widths(width: float) -> list[int]:
    """Return the channels of the four stages."""
    return [scale_channels(w, width) for w in (64, 128, 256, 512)]


def resnet50_trunk(in_channels: int, width: float, stride_on: str, norm: dict[str, Any]) -> tuple[Any, ...]:
    """Return the arguments of ResNet-50's trunk."""
    return bottleneck_trunk(50, in_channels, width, stride_on, norm)


def add_basic(depth: int) -> None:
    """Register a network of basic blocks: 18 or 34 layers."""

    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ) -> ResNet:
        norm = {"momentum": bn_momentum, "statistics": statistics}

        def block(in_channels: int, channels: int, stride: int) -> nn.Module:
            return nn.BasicBlock(in_channels, channels, stride, **norm)  # type: ignore[arg-type]

        trunk = block, 1, DEPTHS[depth], imagenet_widths(width), "imagenet", in_channels, norm
        return ResNet(*trunk, num_classes=num_classes)

    register(f"resnet{depth}", SOURCE, (3, 224, 224), "scores")(build)


def add_bottleneck(depth: int) -> None:
    """Register a deeper network of bottlenecks: 101 or 152 layers."""

    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        stride_on: str = "3x3",
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ) -> ResNet:
        norm = {"momentum": bn_momentum, "statistics": statistics}
        return ResNet(*bottleneck_trunk(depth, in_channels, width, stride_on, norm), num_classes=num_classes)

    register(f"resnet{depth}", SOURCE, (3, 224, 224), "scores")(build)


for layers in (18, 34):
    add_basic(layers)
for layers in (101, 152):
    add_bottleneck(layers)


@register("resnet50", SOURCE, (3, 224, 224), "scores")
def resnet50(
    num_classes: int = 1000,
    in_channels: int = 3,
    width: float = 1.0,
    stride_on: str = "3x3",
    bn_momentum: float = nn.TORCH["momentum"],
    statistics: str = "corrected",
) -> ResNet:
    """Build ResNet-50.

    As `torchvision.models.resnet50`; the names of the state are its own.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels.
        stride_on: "3x3" (v1.5, as torchvision) or "1x1" (v1, as the paper), the convolution that halves the map.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Returns:
        A network of images (N, in_channels, H, W), sides at least 32, to logits (N, num_classes).

    Raises:
        UserError: stride_on is unknown, or width is not positive.

    Example:
        >>> resnet50(num_classes=3, width=1 / 16)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        He, Zhang, Ren & Sun, CVPR 2016, table 1.
    """
    norm = {"momentum": bn_momentum, "statistics": statistics}
    return ResNet(*resnet50_trunk(in_channels, width, stride_on, norm), num_classes=num_classes)


@register("resnet20", "He, Zhang, Ren & Sun 2016, section 4.2", (3, 32, 32), "scores")
def resnet20(
    num_classes: int = 10,
    in_channels: int = 3,
    depth: int = 20,
    width: float = 1.0,
    residual: bool = True,
    shortcut: str = "pad",
    bn_momentum: float = nn.TORCH["momentum"],
    statistics: str = "corrected",
) -> ResNet:
    """Build the CIFAR network of `depth` = 6n + 2 layers (8, 20, 32, 44, ...).

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        depth: Number of layers, 6n + 2.
        width: Multiplier of all channels.
        residual: False leaves the shortcuts out: the network without shortcuts, which degrades with depth.
        shortcut: "pad" (option A, without parameters) or "projection".
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Returns:
        A network of images (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        UserError: depth is not 6n + 2, or an option is unknown.

    Example:
        >>> resnet20(depth=8, width=1 / 4)(tinymed.zeros(2, 3, 16, 16)).shape
        (2, 10)

    Reference:
        He, Zhang, Ren & Sun, CVPR 2016, section 4.2.
    """
    n, rest = divmod(depth - 2, 6)
    if rest or n < 1:
        raise UserError(f"resnet20: depth is 6n + 2, such as 8, 20, 32, 56 or 110; got {depth}")
    one_of("resnet20", "shortcut", shortcut, ("pad", "projection"))
    norm = {"momentum": bn_momentum, "statistics": statistics}

    def block(in_channels: int, channels: int, stride: int) -> nn.Module:
        return nn.BasicBlock(in_channels, channels, stride, shortcut, residual, **norm)

    widths = [scale_channels(w, width) for w in (16, 32, 64)]
    return ResNet(
        block, nn.BasicBlock.expansion, (n, n, n), widths, "cifar", in_channels, norm, num_classes=num_classes
    )
