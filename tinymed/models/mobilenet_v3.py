"""MobileNetV3 (Howard et al., ICCV 2019), tables 1 and 2: inverted residuals found by search, with squeeze-and-excite.

Conv 3x3 stride 2, 16; blocks; conv 1x1 to six times the channels; average pool; dense, hard swish, dropout; one output
per class.  A row is a block: kernel, expanded channels, channels out, squeeze-and-excitation, activation, stride.  RE
is ReLU, HS hard swish; the gate is a hard sigmoid.  Batch norm has epsilon 1e-3 and momentum .01, which is .99 in
Keras's words.  Names of the state are torchvision's, as is the rule by which channels are rounded to eights.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .inverted_residual import ConvNorm, InvertedResidual, SqueezeExcitation, round_channels
from .registry import register
from .sizes import one_of
from .vgg import he_normal

RE, HS = nn.ReLU, nn.Hardswish
Row = tuple[int, int, int, bool, type[nn.Module], int]
LARGE: tuple[Row, ...] = (
    (3, 16, 16, False, RE, 1),
    (3, 64, 24, False, RE, 2),
    (3, 72, 24, False, RE, 1),
    (5, 72, 40, True, RE, 2),
    (5, 120, 40, True, RE, 1),
    (5, 120, 40, True, RE, 1),
    (3, 240, 80, False, HS, 2),
    (3, 200, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 184, 80, False, HS, 1),
    (3, 480, 112, True, HS, 1),
    (3, 672, 112, True, HS, 1),
    (5, 672, 160, True, HS, 2),
    (5, 960, 160, True, HS, 1),
    (5, 960, 160, True, HS, 1),
)
SMALL: tuple[Row, ...] = (
    (3, 16, 16, True, RE, 2),
    (3, 72, 24, False, RE, 2),
    (3, 88, 24, False, RE, 1),
    (5, 96, 40, True, HS, 2),
    (5, 240, 40, True, HS, 1),
    (5, 240, 40, True, HS, 1),
    (5, 120, 48, True, HS, 1),
    (5, 144, 48, True, HS, 1),
    (5, 288, 96, True, HS, 2),
    (5, 576, 96, True, HS, 1),
    (5, 576, 96, True, HS, 1),
)
TABLES = {"large": (LARGE, 1280), "small": (SMALL, 1024)}  # blocks, units of the dense layer


class MobileNetV3(nn.Module):
    """MobileNetV3, large or small.

    As `torchvision.models.mobilenet_v3_large` and `mobilenet_v3_small`; the names of the state are its own.

    Args:
        variant: "large" or "small".
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels, which are rounded to multiples of 8.
        dropout: Probability of dropping a unit before the outputs.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        bn_eps: Batch norm's epsilon.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, H, W) to logits (N, num_classes).

    Raises:
        UserError: width is not positive, or the variant is unknown.

    Example:
        >>> MobileNetV3("small", num_classes=3, width=1 / 4)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 3)

    Reference:
        Howard et al., ICCV 2019.
    """

    def __init__(
        self,
        variant: str = "large",
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "eps": bn_eps, "statistics": statistics}
        rows, units = TABLES[one_of("mobilenet_v3", "variant", variant, tuple(TABLES))]
        channels = round_channels(16, width)
        layers: list[nn.Module] = [ConvNorm(in_channels, channels, 3, 2, activation=HS, **norm)]
        for kernel, expanded, out, squeezed, activation, stride in rows:
            wide, narrow = round_channels(expanded, width), round_channels(out, width)
            gate = SqueezeExcitation(wide, round_channels(wide // 4), nn.ReLU, nn.Hardsigmoid) if squeezed else None
            sizes = channels, wide, narrow, kernel, stride
            layers.append(InvertedResidual("block", *sizes, activation, gate, **norm))
            channels = narrow
        layers.append(ConvNorm(channels, 6 * channels, 1, activation=HS, **norm))
        self.features = nn.Sequential(*layers)
        dense = round_channels(units, width)
        self.classifier = nn.Sequential(
            nn.Linear(6 * channels, dense), nn.Hardswish(), nn.Dropout(dropout), nn.Linear(dense, num_classes)
        )
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(F.flatten(F.adaptive_avg_pool2d(self.features(input), 1), 1))


def add(variant: str) -> None:
    """Register one of the two."""

    def build(
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.2,
        bn_momentum: float = 0.01,
        bn_eps: float = 1e-3,
        statistics: str = "corrected",
    ) -> MobileNetV3:
        return MobileNetV3(variant, num_classes, in_channels, width, dropout, bn_momentum, bn_eps, statistics)

    register(f"mobilenet_v3_{variant}", "Howard et al. 2019", (3, 224, 224), "scores")(build)


for each in TABLES:
    add(each)
