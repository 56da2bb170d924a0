"""DCAN: one encoder, a head for objects and a head for their contours (Chen, Qi, Yu & Heng, CVPR 2016).

    encoder    five levels of (conv 3x3, batch norm, ReLU) twice, max-pool 2x2 between: widths 64-128-256-512-512
    each head  of the three deepest levels: conv 1x1 to two classes, enlarged to the image, the three added up

A contour between two objects that touch tells them apart: a pixel is an object's where the first head says so and the
second does not say contour (the fusion is in `tasks/heads/contour_head.py`).  Both heads' scores lie in one array, the
contours' two channels last.  In training each head's three maps have losses of their own, as the paper's weighted
auxiliary classifiers.  The paper gives no table of layers: widths, batch
norm and bilinear enlarging are our reading, and the width an argument.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn.blocks_segmentation import DoubleConv
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels
from .unet import he_normal

WIDTHS = (64, 128, 256, 512, 512)
TAPS = 3  # of the deepest levels, each with a score map for each head


class DCAN(nn.Module):
    """Deep contour-aware network: score maps of objects and of contours from one encoder.

    Args:
        num_classes: Number of classes of the first head, background among them.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels.
        auxiliary: In training, return each head's maps of single levels as well.

    Shape:
        Images (N, in_channels, H, W), sides of at least 16, to scores (N, num_classes + 2, H, W): of the objects, then
        of contour or not, each not yet a softmax.  With `auxiliary`, in training, a tuple: these, and three such maps.

    Raises:
        ValueError: `forward` is given a side below 16.

    Example:
        >>> scores = DCAN(width=1 / 16)(tinymed.zeros(2, 3, 20, 24))
        >>> scores.shape
        (2, 4, 20, 24)

    Reference:
        Chen, Qi, Yu & Heng, "DCAN: deep contour-aware networks for accurate gland segmentation", CVPR 2016.
    """

    contours = True  # the last two channels are of contours

    def __init__(self, num_classes: int = 2, in_channels: int = 3, width: float = 1.0, auxiliary: bool = False):
        super().__init__()
        self.auxiliary = auxiliary
        wide = [scale_channels(n, width) for n in WIDTHS]
        pairs = zip([in_channels, *wide], wide, strict=False)
        self.down = nn.ModuleList(DoubleConv(a, b, padding="same", norm=True) for a, b in pairs)
        self.pool = nn.MaxPool2d(2)
        self.objects = nn.ModuleList(nn.Conv2d(n, num_classes, 1) for n in wide[-TAPS:])
        self.outlines = nn.ModuleList(nn.Conv2d(n, 2, 1) for n in wide[-TAPS:])
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        space, least = input.shape[2:], 1 << len(WIDTHS) - 1
        if min(space) < least:
            raise ValueError(f"dcan: the sides of an image are at least {least}, got {list(space)}")
        levels: list[Any] = []
        y: Any = input
        for level, block in enumerate(self.down):
            y = block(self.pool(y) if level else y)
            levels.append(y)
        maps = [
            F.interpolate(F.cat([objects(tap), outlines(tap)], 1), space, mode="bilinear")
            for objects, outlines, tap in zip(self.objects, self.outlines, levels[-TAPS:], strict=True)
        ]
        scores = maps[0] + maps[1] + maps[2]
        return (scores, *maps) if self.auxiliary and self.training else scores


register("dcan", "Chen, Qi, Yu & Heng 2016 (our reading)", (3, 256, 256))(DCAN)
