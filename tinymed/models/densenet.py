"""DenseNets (Huang, Liu, van der Maaten & Weinberger, CVPR 2017), table 1: compression .5.

Conv 7x7 stride 2, twice the growth; batch norm; ReLU; max-pool 3x3 stride 2.  Four dense blocks; a layer adds `growth`
channels to all that came before: BN, ReLU, 1x1 (4 times the growth), BN, ReLU, 3x3, concatenated.  Between blocks a
transition: BN, ReLU, 1x1 to half the channels, average pool 2x2.  BN, ReLU, average pool, one output per class.

                    growth   layers
    DenseNet-121    32       6    12    24    16
    DenseNet-169    32       6    12    32    32
    DenseNet-201    32       6    12    48    32
    DenseNet-161    48       6    12    36    24
    map at 224               56   28    14    7

No biases but the last.  The paper drops .2 only on small sets without augmentation: `dropout` is 0.
Names of the state are torchvision's.
"""

import re
from collections.abc import Mapping
from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .resnet import he_convolutions
from .sizes import one_of, scale_channels

SOURCE = "Huang, Liu, van der Maaten & Weinberger 2017"
LAYERS = {121: (6, 12, 24, 16), 161: (6, 12, 36, 24), 169: (6, 12, 32, 32), 201: (6, 12, 48, 32)}
GROWTH = {121: 32, 161: 48, 169: 32, 201: 32}
# The published files of 2017 put a point before the number of a layer's part: norm.1 for norm1.
DOTTED = re.compile(r"^(.*denselayer\d+\.(?:norm|conv))\.([12]\.\w+)$")


class DenseNet(nn.Module):
    """A DenseNet: four blocks whose layers see everything before them.

    As `torchvision.models.densenet121` and its sisters; the names of the state are its own.

    Args:
        depth: 121, 161, 169 or 201 layers.
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of the growth in channels per layer.
        dropout: Probability after each layer; the paper drops .2 only on small sets without augmentation.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, side, side), side at least 32, to logits (N, num_classes).

    Raises:
        UserError: width is not positive, or there is no such depth.

    Example:
        >>> DenseNet(169, num_classes=3, width=1 / 16)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Huang, Liu, van der Maaten & Weinberger, CVPR 2017.
    """

    def __init__(
        self,
        depth: int = 121,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "statistics": statistics}
        layers_of_blocks = LAYERS[one_of("densenet", "depth", depth, tuple(LAYERS))]
        growth = scale_channels(GROWTH[depth], width)
        channels = 2 * growth
        layers: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(in_channels, channels, 7, 2, 3, bias=False),
            "norm0": nn.BatchNorm2d(channels, **norm),
            "relu0": nn.ReLU(),
            "pool0": nn.MaxPool2d(3, 2, 1),
        }
        for i, times in enumerate(layers_of_blocks, 1):
            block = {
                f"denselayer{j + 1}": nn.DenseLayer(channels + j * growth, growth, dropout=dropout, **norm)
                for j in range(times)
            }
            layers[f"denseblock{i}"] = nn.Sequential(block)
            channels += times * growth
            if i < len(layers_of_blocks):
                layers[f"transition{i}"] = nn.Transition(channels, channels // 2, **norm)
                channels //= 2
        layers["norm5"] = nn.BatchNorm2d(channels, **norm)
        self.features = nn.Sequential(layers)
        self.classifier = nn.Linear(channels, num_classes)
        self.apply(he_convolutions)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = F.relu(self.features(input))
        return self.classifier(F.flatten(F.adaptive_avg_pool2d(y, 1), 1))

    def adapted_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a state with the names of today for those of the files that torchvision published in 2017."""
        return {DOTTED.sub(r"\1\2", name): value for name, value in state.items()}


class DenseNet121(DenseNet):
    """DenseNet-121, as `DenseNet(121)`.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of the growth of 32 channels per layer.
        dropout: Probability after each layer; the paper drops .2 only on small sets without augmentation.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, side, side), side at least 32, to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> DenseNet121(num_classes=3, width=1 / 16)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Huang, Liu, van der Maaten & Weinberger, CVPR 2017.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__(121, num_classes, in_channels, width, dropout, bn_momentum, statistics)


def add(depth: int) -> None:
    """Register one of the deeper networks."""

    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.0,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ) -> DenseNet:
        return DenseNet(depth, num_classes, in_channels, width, dropout, bn_momentum, statistics)

    register(f"densenet{depth}", SOURCE, (3, 224, 224), "scores")(build)


register("densenet121", SOURCE, (3, 224, 224), "scores")(DenseNet121)
for layers in (161, 169, 201):
    add(layers)
