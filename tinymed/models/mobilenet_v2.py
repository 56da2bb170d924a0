"""MobileNetV2 (Sandler, Howard, Zhu, Zhmoginov & Chen, CVPR 2018), table 2: inverted residuals with linear bottlenecks.

Conv 3x3 stride 2, 32; blocks; conv 1x1, 1280; average pool; dropout; one output per class.  ReLU6 everywhere.

    expansion    1    6    6    6    6    6     6
    channels     16   24   32   64   96   160   320
    blocks       1    2    3    4    3    3     1
    stride       1    2    2    2    1    2     1
    map at 224   112  56   28   14   14   7     7

Names of the state are torchvision's, as is the rule by which widths are rounded to eights.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .inverted_residual import ConvNorm, InvertedResidual, round_channels
from .registry import register
from .vgg import he_normal

STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(nn.Module):
    """MobileNetV2: depthwise convolutions between narrow maps that carry the residual.

    As `torchvision.models.mobilenet_v2`; the names of the state are its own.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels, which are rounded to multiples of 8.
        dropout: Probability of dropping a unit before the outputs.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> MobileNetV2(num_classes=3, width=1 / 4)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Sandler, Howard, Zhu, Zhmoginov & Chen, CVPR 2018.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "statistics": statistics}
        channels = round_channels(32, width)
        layers: list[nn.Module] = [ConvNorm(in_channels, channels, 3, 2, activation=nn.ReLU6, **norm)]
        for expansion, wanted, times, stride in STAGES:
            out = round_channels(wanted, width)
            for i in range(times):
                sizes = channels, channels * expansion, out, 3, stride if i == 0 else 1
                layers.append(InvertedResidual("conv", *sizes, nn.ReLU6, **norm))
                channels = out
        last = round_channels(1280, max(1.0, width))
        layers.append(ConvNorm(channels, last, 1, activation=nn.ReLU6, **norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(last, num_classes))
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(F.flatten(F.adaptive_avg_pool2d(self.features(input), 1), 1))


register("mobilenet_v2", "Sandler, Howard, Zhu, Zhmoginov & Chen 2018", (3, 224, 224), "scores")(MobileNetV2)
