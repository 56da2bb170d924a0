"""3D U-Net (Cicek, Abdulkadir, Lienkamp, Brox & Ronneberger, MICCAI 2016).

Analysis: (conv 3x3x3, batch norm, ReLU) twice, max-pool 2x2x2.  The channels double inside a pair, before the pooling,
so that no bottleneck forms: 32-64, 64-128, 128-256, 256-512.  Synthesis: up-convolution 2x2x2 that keeps the channels,
the cropped map of the other side concatenated, two convolutions to 256, 128, 64.  1x1x1 to labels.

The paper's 19,069,955 parameters are the convolutions with biases and the up-convolutions without; the scales and
offsets of batch norm, 4,672 more, are learned too.  Nothing is padded: 132 x 132 x 116 voxels become 44 x 44 x 28.
Loss: cross-entropy with weight 0 on voxels that nobody labelled (`weight_map` or `ignore_index` of `cross_entropy`).
"""

from typing import Any

from .. import nn
from ..nn.blocks_segmentation import DoubleConv
from .registry import register
from .sizes import one_of
from .unet import UShape, he_normal


class UNet3d(UShape):
    """3D U-Net: batch norm, and channels that double before each pooling.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        base: Channels of the first convolution.
        depth: Number of poolings.
        padding: "valid" (D' = D - 88 at depth 3; maps to be pooled must have even sides) or "same" (any size, D' =
            D).

    Shape:
        Volumes (N, in_channels, D, H, W) to scores (N, num_classes, D', H', W').

    Raises:
        UserError: padding is unknown.
        ValueError: `forward` is given a side that the poolings do not fit.

    Example:
        >>> UNet3d(in_channels=1, base=2, depth=1, padding="same")(tinymed.zeros(1, 1, 4, 6, 8)).shape
        (1, 3, 4, 6, 8)

    Reference:
        Cicek, Abdulkadir, Lienkamp, Brox & Ronneberger, MICCAI 2016.
    """

    def __init__(
        self, num_classes: int = 3, in_channels: int = 3, base: int = 32, depth: int = 3, padding: str = "valid"
    ):
        super().__init__()
        self.padding, self.depth = one_of("unet3d", "padding", padding, ("valid", "same")), depth
        options: dict[str, Any] = {"rank": 3, "padding": padding, "norm": True, "bias": True}
        widths = [2 * base << i for i in range(depth + 1)]  # 64, 128, 256, 512
        inputs = [in_channels, *widths]
        self.down = nn.ModuleList(DoubleConv(a, b, b // 2, **options) for a, b in zip(inputs, widths, strict=False))
        self.pool, self.dropout = nn.MaxPool3d(2), nn.Identity()
        self.up, self.join = nn.ModuleList(), nn.ModuleList()
        for skip, below in zip(reversed(widths[:-1]), reversed(widths[1:]), strict=True):
            self.up.append(nn.ConvTranspose3d(below, below, 2, 2, bias=False))
            self.join.append(DoubleConv(below + skip, skip, **options))
        self.head = nn.Conv3d(widths[0], num_classes, 1)
        self.apply(he_normal)


register("unet3d", "Cicek, Abdulkadir, Lienkamp, Brox & Ronneberger 2016", (3, 132, 132, 116))(UNet3d)
