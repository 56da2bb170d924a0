"""VoxResNet (Chen, Dou, Yu, Qin & Heng, NeuroImage 170, 2018): residual voxel-wise labels with deep supervision.

conv 3x3x3 32, BN-ReLU, conv 32 [tap 1], BN-ReLU, conv stride 2 64, 2 VoxRes [tap 2], BN-ReLU, conv stride 2, 2 VoxRes
[tap 3], BN-ReLU, conv stride 2, 2 VoxRes [tap 4].  A VoxRes block adds BN-ReLU-conv-BN-ReLU-conv to its input.  Each
tap goes through a transposed convolution to full size (stride 1, 2, 4, 8; 32 channels for the first, 64 for the others)
and a classifier; the scores are the sum of the four, and each tap is trained by a loss of its own besides.

Where the paper is silent: the transposed convolutions have kernels 3, 4, 6, 10 and the classifiers 3, as in an open
port, and a ReLU lies between the two.  Auto-context, the paper's second pass over image and probabilities, is
`AutoContext`.
"""

from typing import Any

from .. import nn, tape
from ..nn import functional as F
from ..nn.blocks_segmentation import PreActBlock3d
from ..tensor import Tensor
from .registry import register
from .unet import he_normal

STRIDES = (1, 2, 4, 8)


class Stage(nn.Sequential):
    """BN-ReLU, convolution of stride 2, two VoxRes blocks."""

    def __init__(self, in_channels: int, channels: int):
        down = nn.Conv3d(in_channels, channels, 3, 2, 1)
        super().__init__(nn.BatchNorm3d(in_channels), nn.ReLU(), down, PreActBlock3d(channels), PreActBlock3d(channels))


class Head(nn.Sequential):
    """A tap's transposed convolution to full size, ReLU, and classifier."""

    def __init__(self, channels: int, num_classes: int, stride: int):
        up = nn.ConvTranspose3d(channels, channels, stride + 2, stride, 1)
        super().__init__(up, nn.ReLU(), nn.Conv3d(channels, num_classes, 3, padding=1))


class VoxResNet(nn.Module):
    """VoxResNet: a residual network of volumes whose scores are the sum of four taps.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        base: Channels of the first two convolutions; the others have twice as many.
        auxiliary: In training return (scores, scores of tap 1, ..., of tap 4), for `nn.DeepSupervision`.

    Shape:
        Volumes (N, in_channels, D, H, W), sides multiples of 8, to scores (N, num_classes, D, H, W).

    Raises:
        ValueError: `forward` is given a side that is not a multiple of 8.

    Example:
        >>> VoxResNet(base=2)(tinymed.zeros(2, 1, 8, 8, 8)).shape
        (2, 4, 8, 8, 8)

    Reference:
        Chen, Dou, Yu, Qin & Heng, NeuroImage 170, 2018.
    """

    def __init__(self, num_classes: int = 4, in_channels: int = 1, base: int = 32, auxiliary: bool = False):
        super().__init__()
        self.auxiliary, wide = auxiliary, 2 * base
        self.conv1a, self.bn1a = nn.Conv3d(in_channels, base, 3, padding=1), nn.BatchNorm3d(base)
        self.conv1b = nn.Conv3d(base, base, 3, padding=1)
        self.stages = nn.ModuleList(Stage(a, wide) for a in (base, wide, wide))
        taps = (base, wide, wide, wide)
        self.heads = nn.ModuleList(Head(a, num_classes, s) for a, s in zip(taps, STRIDES, strict=True))
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        if any(side % STRIDES[-1] for side in input.shape[2:]):
            raise ValueError(
                f"voxresnet: the sides of a volume are multiples of {STRIDES[-1]}, got "
                f"{list(input.shape[2:])}; pad or crop it"
            )
        taps: list[Any] = [self.conv1b(F.relu(self.bn1a(self.conv1a(input))))]
        for stage in self.stages:
            taps.append(stage(taps[-1]))
        scores = [head(tap) for head, tap in zip(self.heads, taps, strict=True)]
        total = scores[0] + scores[1] + scores[2] + scores[3]
        return (total, *scores) if self.auxiliary and self.training else total


class AutoContext(nn.Module):
    """A second network that sees the image and the probabilities of the first.

    The networks are trained one after the other, so no gradient reaches `first`.

    Args:
        first: A network of images to scores, run in evaluation mode.
        second: A network of in_channels + num_classes channels.

    Shape:
        Volumes (N, in_channels, D, H, W) to what `second` returns.

    Example:
        >>> model = AutoContext(VoxResNet(2, 1, base=2), VoxResNet(2, 3, base=2))
        >>> model(tinymed.zeros(2, 1, 8, 8, 8)).shape
        (2, 2, 8, 8, 8)

    Reference:
        Chen, Dou, Yu, Qin & Heng, NeuroImage 170, 2018, section 2.4.
    """

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        self.first, self.second = first, second

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        mode = self.first.training
        self.first.eval()
        with tape.no_grad():
            context = F.softmax(self.first(input), 1)
        self.first.train(mode)
        return self.second(F.cat([input, context], 1))


register("voxresnet", "Chen, Dou, Yu, Qin & Heng 2018", (1, 80, 80, 80), "map")(VoxResNet)
