"""V-Net (Milletari, Navab & Ahmadi, 3DV 2016): residual stages of 5x5x5 convolutions, and the Dice loss.

Going down, stages of 16, 32, 64, 128, 256 channels, each followed by a convolution 2x2x2 of stride 2; going up,
transposed convolutions 2x2x2 to half the channels, concatenated with the map of the other side, and stages of 256, 128,
64, 32 channels.  A stage adds its input to the result of its convolutions (the first broadcasts the grey input to 16
channels).  PReLU, one slope a channel, after every convolution; after a stage's last one it follows the addition.

The numbers of convolutions are those of the authors' released network (1, 1, 2, 3, 3 down; 3, 2, 1, 1 up; then 5x5x5
and 1x1x1 to the classes), with 61,979,512 parameters of convolutions.  stages="figure" gives those of the paper's
figure 2 (1, 2, 3, 3, 3; 3, 3, 2, 1; then 1x1x1), 65,171,858.  Slopes are learned besides.  No batch norm: others added
it.  Loss: `nn.DiceLoss(squared=True)`, section 3.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn.blocks_segmentation import ResidualConvs3d
from ..tensor import Tensor
from .registry import register
from .sizes import one_of
from .unet import he_normal

STAGES = {"released": ((1, 1, 2, 3, 3), (3, 2, 1, 1)), "figure": ((1, 2, 3, 3, 3), (3, 3, 2, 1))}


class VNet(nn.Module):
    """V-Net: residual stages of 5x5x5 convolutions on volumes.

    Several input channels cannot be broadcast to the first stage's, so a 1x1x1 convolution, which the paper does not
    have, brings them there first.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        base: Channels of the first stage, doubled at each level.
        stages: "released" (the authors' network) or "figure" (the paper's figure 2), the numbers of convolutions.

    Shape:
        Volumes (N, in_channels, D, H, W), sides multiples of 16, to scores (N, num_classes, D, H, W).

    Raises:
        UserError: stages is unknown.
        ValueError: `forward` is given a side that is not a multiple of 16.

    Example:
        >>> VNet(base=2)(tinymed.zeros(1, 1, 16, 16, 16)).shape
        (1, 2, 16, 16, 16)

    Reference:
        Milletari, Navab & Ahmadi, 3DV 2016.
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 1, base: int = 16, stages: str = "released"):
        super().__init__()
        downs, ups = STAGES[one_of("vnet", "stages", stages, tuple(STAGES))]
        widths = [base << i for i in range(len(downs))]
        self.entry = nn.Conv3d(in_channels, base, 1) if in_channels > 1 else nn.Identity()
        self.halve, self.down = nn.ModuleList(), nn.ModuleList()
        for level, (width, count) in enumerate(zip(widths, downs, strict=True)):
            if level:
                self.halve.append(nn.Sequential(nn.Conv3d(width // 2, width, 2, 2), nn.PReLU(width)))
            first = width if level or in_channels > 1 else 1
            self.down.append(ResidualConvs3d(first, width, count, nn.PReLU))
        self.enlarge, self.up = nn.ModuleList(), nn.ModuleList()
        below = widths[-1]
        for width, count in zip(reversed(widths[:-1]), ups, strict=True):
            self.enlarge.append(nn.Sequential(nn.ConvTranspose3d(below, width, 2, 2), nn.PReLU(width)))
            self.up.append(ResidualConvs3d(2 * width, 2 * width, count, nn.PReLU))
            below = 2 * width
        last = [
            nn.Conv3d(below, num_classes, 5, padding=2),
            nn.PReLU(num_classes),
            nn.Conv3d(num_classes, num_classes, 1),
        ]
        self.head = nn.Sequential(*last) if stages == "released" else nn.Conv3d(below, num_classes, 1)
        self.apply(he_normal)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        step = 1 << len(self.halve)
        if any(side % step for side in input.shape[2:]):
            raise ValueError(
                f"vnet: the sides of a volume are multiples of {step}, got {list(input.shape[2:])}; pad or crop it"
            )
        skips = [self.down[0](self.entry(input))]
        for halve, stage in zip(self.halve, list(self.down)[1:], strict=True):
            skips.append(stage(halve(skips[-1])))
        y = skips.pop()
        for enlarge, stage in zip(self.enlarge, self.up, strict=True):
            y = stage(F.cat([enlarge(y), skips.pop()], 1))
        return self.head(y)


register("vnet", "Milletari, Navab & Ahmadi 2016", (1, 64, 128, 128), "map")(VNet)
