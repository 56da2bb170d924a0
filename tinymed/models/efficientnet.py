"""EfficientNet-B0 (Tan & Le, ICML 2019), table 1: inverted residuals with squeeze-and-excitation, scaled together.

Conv 3x3 stride 2, 32; blocks; conv 1x1, 1280; average pool; dropout .2; one output per class.  SiLU everywhere.

    expansion    1    6    6    6    6     6     6
    kernel       3    3    5    3    5     5     3
    channels     16   24   40   80   112   192   320
    blocks       1    2    2    3    3     4     1
    stride       1    2    2    2    1     2     1
    map at 224   112  56   28   14   14    7     7

Squeeze-and-excitation narrows to a quarter of a block's input.  In training, block i of 16 is left out with probability
.2 i / 16 (stochastic depth).  Names of the state are torchvision's.
"""

import math
from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .inverted_residual import ConvNorm, InvertedResidual, SqueezeExcitation, round_channels
from .registry import register

STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
BLOCKS = sum(row[-1] for row in STAGES)


class EfficientNetB0(nn.Module):
    """EfficientNet-B0.

    As `torchvision.models.efficientnet_b0`; the names of the state are its own.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels, which are rounded to multiples of 8.
        dropout: Probability of dropping a unit before the outputs.
        drop_path: Probability of leaving the last block out in training; earlier ones less, in proportion.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> EfficientNetB0(num_classes=3, width=1 / 4)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Tan & Le, ICML 2019; Huang et al., "Deep networks with stochastic depth", ECCV 2016.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
        drop_path: float = 0.2,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "statistics": statistics}
        channels, number = round_channels(32, width), 0
        layers: list[nn.Module] = [ConvNorm(in_channels, channels, 3, 2, activation=nn.SiLU, **norm)]
        for expansion, kernel, stride, wanted, times in STAGES:
            out, stage = round_channels(wanted, width), []
            for i in range(times):
                expanded = channels if expansion == 1 else round_channels(channels * expansion)
                gate = SqueezeExcitation(expanded, max(1, channels // 4), nn.SiLU, nn.Sigmoid)
                sizes = channels, expanded, out, kernel, stride if i == 0 else 1
                left_out = drop_path * number / BLOCKS
                stage.append(InvertedResidual("block", *sizes, nn.SiLU, gate, left_out, **norm))
                channels, number = out, number + 1
            layers.append(nn.Sequential(*stage))
        layers.append(ConvNorm(channels, 4 * channels, 1, activation=nn.SiLU, **norm))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(4 * channels, num_classes))
        self.apply(initialise)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(F.flatten(F.adaptive_avg_pool2d(self.features(input), 1), 1))


def initialise(module: nn.Module) -> None:
    """Set torchvision's initial values: convolutions by He over fan out, dense uniform by outputs, biases 0."""
    if isinstance(module, nn.Conv2d):
        init.kaiming_normal_(module.weight, mode="fan_out")
    elif isinstance(module, nn.Linear):
        reach = 1 / math.sqrt(module.out_features)
        init.uniform_(module.weight, -reach, reach)
    if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
        init.zeros_(module.bias)


register("efficientnet_b0", "Tan & Le 2019", (3, 224, 224), "scores")(EfficientNetB0)
