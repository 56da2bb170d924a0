"""Xception (Chollet, CVPR 2017), figure 5: separable convolutions in residual modules.

A separable convolution is a depthwise 3x3 and a pointwise 1x1, without bias and with nothing in between; batch norm
follows every convolution of either kind.

    entry    conv 3x3 stride 2, 32; conv 3x3, 64 (no padding, ReLU after each)             block1     299 -> 147
             modules of two separable convolutions to 128, 256, 728, halving the map       block2-4   74, 37, 19
    middle   eight modules of three separable convolutions, 728, with an identity          block5-12  19
    exit     a module to 728, then 1024, halving the map                                   block13    10
             separable 1536, ReLU, separable 2048, ReLU; average pool; dropout; classes    block14

The modules begin with a ReLU, but for the first.  Numbers of blocks, batch norm (momentum .99, epsilon 1e-3) and
initial values (Glorot uniform) are those of the author's Keras code.  Images x / 127.5 - 1.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .dcnn import glorot
from .registry import register
from .sizes import scale_channels


class Xception(nn.Module):
    """Xception: depthwise separable convolutions in residual modules.

    As `keras.applications.Xception`: same blocks, batch norm constants and initial values.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels.
        dropout: Probability of dropping a unit.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        bn_eps: Batch norm's epsilon.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, side, side), side at least 15, to logits (N, num_classes).

    Raises:
        UserError: width is not positive.

    Example:
        >>> Xception(num_classes=3, width=1 / 32)(tinymed.zeros(2, 3, 31, 31)).shape
        (2, 3)

    Reference:
        Chollet, CVPR 2017, figure 5.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_channels: int = 3,
        width: float = 1.0,
        dropout: float = 0.5,
        bn_momentum: float = nn.KERAS["momentum"],
        bn_eps: float = nn.KERAS["eps"],
        statistics: str = "corrected",
    ):
        super().__init__()
        norm: dict[str, Any] = {"momentum": bn_momentum, "eps": bn_eps, "statistics": statistics}
        a, b, c, d, e, f, g, h = (scale_channels(n, width) for n in (32, 64, 128, 256, 728, 1024, 1536, 2048))
        self.block1 = nn.Sequential(
            nn.Conv2d(in_channels, a, 3, 2, bias=False),
            nn.BatchNorm2d(a, **norm),
            nn.ReLU(),
            nn.Conv2d(a, b, 3, bias=False),
            nn.BatchNorm2d(b, **norm),
            nn.ReLU(),
        )
        self.block2 = nn.SeparableResidual(b, (c, c), 2, activated=False, **norm)
        self.block3 = nn.SeparableResidual(c, (d, d), 2, **norm)
        self.block4 = nn.SeparableResidual(d, (e, e), 2, **norm)
        for i in range(5, 13):
            self.register_module(f"block{i}", nn.SeparableResidual(e, (e, e, e), **norm))
        self.block13 = nn.SeparableResidual(e, (e, f), 2, **norm)
        self.block14 = nn.Sequential(
            nn.SeparableConv2d(f, g, 3, padding=1, bias=False),
            nn.BatchNorm2d(g, **norm),
            nn.ReLU(),
            nn.SeparableConv2d(g, h, 3, padding=1, bias=False),
            nn.BatchNorm2d(h, **norm),
            nn.ReLU(),
        )
        self.avgpool, self.dropout = nn.AdaptiveAvgPool2d(1), nn.Dropout(dropout)
        self.fc = nn.Linear(h, num_classes)
        self.apply(glorot)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y: Any = input
        for i in range(1, 15):
            y = self.get_submodule(f"block{i}")(y)
        return self.fc(self.dropout(F.flatten(self.avgpool(y), 1)))


register("xception", "Chollet 2017", (3, 299, 299), "scores")(Xception)
