"""FCRN-50: a residual network made fully convolutional, after Yu, Chen, Dou, Qin & Heng, IEEE TMI 36(4), 2017.

The paper segments skin lesions with a deep residual network whose maps of several scales are fused; it leaves the
wiring open.  Our reading: ResNet-50 without its head; 1x1 scores of the stages at strides 8, 16 and 32 (512, 1024, 2048
channels); the coarser enlarged twice by bilinear interpolation and added to the finer, twice, as in FCN-8s; the sum
enlarged 8 times.  Interpolation is fixed; scores begin at 0, as FCN's (section 4.3 there).  Trunk names are
ResNet-50's, so its weights load by name.
"""

from typing import Any

from .. import nn
from ..nn import init
from ..tensor import Tensor
from .fcn import BilinearUpsampling, crop
from .registry import register
from .resnet import ResNetTrunk, he_convolutions, resnet50_trunk


class FCRN50(ResNetTrunk):
    """FCRN-50: ResNet-50 made fully convolutional, its scores at strides 8, 16 and 32 added up.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels.
        stride_on: "3x3" (v1.5) or "1x1" (v1), the convolution of a block that halves the map.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Images (N, in_channels, H, W) to scores (N, num_classes, H, W).

    Raises:
        UserError: stride_on is unknown, or width is not positive.

    Example:
        >>> FCRN50(width=1 / 16)(tinymed.zeros(2, 3, 32, 32)).shape
        (2, 2, 32, 32)

    Reference:
        Yu, Chen, Dou, Qin & Heng, IEEE TMI 36(4), 2017; the wiring is our reading.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        width: float = 1.0,
        stride_on: str = "3x3",
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        norm = {"momentum": bn_momentum, "statistics": statistics}
        super().__init__(*resnet50_trunk(in_channels, width, stride_on, norm))
        self.score8, self.score16, self.score32 = (nn.Conv2d(c, num_classes, 1) for c in self.outputs[1:])
        self.apply(he_convolutions)
        for score in (self.score8, self.score16, self.score32):  # so that training begins at log(num_classes)
            for parameter in score.parameters():
                init.zeros_(parameter)
        self.upscore = nn.ModuleList(BilinearUpsampling(num_classes, factor, factor // 2) for factor in (2, 2, 8))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        _, eighth, sixteenth, last = self.stages(input)
        y = self.score32(last)
        for finer, enlarge in ((self.score16(sixteenth), self.upscore[0]), (self.score8(eighth), self.upscore[1])):
            y = finer + crop(enlarge(y), 0, finer)
        return crop(self.upscore[2](y), 0, input)


register("fcrn50", "Yu, Chen, Dou, Qin & Heng 2017, our reading", (3, 480, 480), "map")(FCRN50)
