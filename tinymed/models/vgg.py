"""VGG-11 to VGG-19 (Simonyan & Zisserman, ICLR 2015), configurations A, B, D and E of table 1.

Five stages of 3x3 convolutions (padding 1, ReLU), each ended by a 2x2 max-pool that halves the map: 224 -> 7.

    channels    64    128   256   512   512
    VGG-11      1     1     2     2     2
    VGG-13      2     2     2     2     2
    VGG-16      2     2     3     3     3
    VGG-19      2     2     4     4     4

Then dense 4096, ReLU, dropout .5; dense 4096, ReLU, dropout .5; one output per class.  The `_bn` networks have batch
norm between convolution and ReLU, which the paper lacks.  The names in the state are torchvision's; as there, an
average pool brings a map of any size to 7x7, which at 224 pixels changes nothing.

The authors' weights take BGR images of 0 to 255 less (103.939, 116.779, 123.68); torchvision's take RGB of 0 to 1,
less (.485, .456, .406), over (.229, .224, .225).  Initial weights: He's normal, as in torchvision; the paper's
N(0, 0.1^2) does not train the deep ones without the shallow one's weights (section 3.1).
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels

WIDTHS = (64, 128, 256, 512, 512)
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
SOURCE = "Simonyan & Zisserman 2015, configuration"


def vgg_features(
    depth: int,
    in_channels: int = 3,
    width: float = 1.0,
    batch_norm: bool = False,
    first_padding: int = 1,
    ceil_mode: bool = False,
) -> nn.Sequential:
    """Return the convolutional base: 512 x width channels, a 32nd of the side."""
    layers: list[nn.Module] = []
    channels = in_channels
    for wide, times in zip(WIDTHS, CONVOLUTIONS[depth], strict=True):
        for _ in range(times):
            out = scale_channels(wide, width)
            layers += [nn.Conv2d(channels, out, 3, padding=1 if layers else first_padding)]
            layers += [nn.BatchNorm2d(out), nn.ReLU()] if batch_norm else [nn.ReLU()]
            channels = out
        layers += [nn.MaxPool2d(2, ceil_mode=ceil_mode)]
    return nn.Sequential(*layers)


def he_normal(module: nn.Module) -> None:
    """Set torchvision's initial values: convolutions by He over fan out, dense N(0, 0.01^2), biases 0."""
    if isinstance(module, nn.Conv2d):
        init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(module, nn.Linear):
        init.normal_(module.weight, 0.0, 0.01)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        init.zeros_(module.bias)


class VGG(nn.Module):
    """VGG-11, 13, 16 or 19, with or without batch norm.

    As `torchvision.models.vgg16`, its sisters and their `_bn` forms; the names of the state are its own.

    Args:
        depth: 11, 13, 16 or 19 layers.
        batch_norm: Put batch norm between convolution and ReLU.
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels and dense units; 1 is the published network.
        dropout: Probability of dropping a unit.
        pooled: Side to which the last map is averaged.

    Shape:
        Images (N, in_channels, side, side), side at least 32, to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> VGG(16, num_classes=5, width=1 / 32, pooled=1)(tinymed.zeros(1, 3, 32, 32)).shape
        (1, 5)

    Reference:
        Simonyan & Zisserman, ICLR 2015, configurations A, B, D and E.
    """

    def __init__(
        self,
        depth: int = 16,
        batch_norm: bool = False,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
        pooled: int = 7,
    ):
        super().__init__()
        self.features = vgg_features(depth, in_channels, width, batch_norm)
        self.avgpool = nn.AdaptiveAvgPool2d(pooled)
        dense = scale_channels(4096, width)
        self.classifier = nn.Sequential(
            nn.Linear(scale_channels(WIDTHS[-1], width) * pooled**2, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, num_classes),
        )
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(F.flatten(self.avgpool(self.features(input)), 1))


def add(name: str, depth: int, batch_norm: bool) -> None:
    """Register one configuration."""

    def build(
        num_classes: int = 1000, in_channels: int = 3, width: float = 1.0, dropout: float = 0.5, pooled: int = 7
    ) -> VGG:
        return VGG(depth, batch_norm, num_classes, in_channels, width, dropout, pooled)

    letter = {11: "A", 13: "B", 16: "D", 19: "E"}[depth]
    register(name, f"{SOURCE} {letter}{' with batch norm' if batch_norm else ''}", (3, 224, 224), "scores")(build)


for layers in CONVOLUTIONS:
    add(f"vgg{layers}", layers, False)
    add(f"vgg{layers}_bn", layers, True)
