"""DeepMedic (Kamnitsas et al., Medical Image Analysis 36, 2017): two 3-D pathways at two resolutions.

Each pathway has eight convolutions 3x3x3 without padding (30, 30, 40, 40, 40, 40, 50, 50 channels; receptive field 17).
The second sees the image shrunk three times, hence a field of 51; its result is enlarged by repetition and
concatenated.  Then 1x1x1 convolutions to 150, 150 and the classes.  Trained densely: a segment of 25^3 voxels gives 9^3
labels.

Batch norm and PReLU follow every convolution but the last, dropout precedes the last two.  The fully connected CRF
is a step after the network.  Newer releases have a third pathway and residual sums; this is the one published.
"""

from collections.abc import Sequence
from typing import Any

from .. import nn
from ..nn import functional as F
from ..nn.blocks_segmentation import fit
from ..tensor import Tensor
from .registry import register
from .sizes import one_of
from .unet import he_normal

WIDTHS = (30, 30, 40, 40, 40, 40, 50, 50)
FACTOR = 3  # by which the second pathway's image is smaller


def unit(in_channels: int, out_channels: int, kernel: int) -> list[nn.Module]:
    """Return a convolution without padding, batch norm and PReLU."""
    return [nn.Conv3d(in_channels, out_channels, kernel), nn.BatchNorm3d(out_channels), nn.PReLU(out_channels)]


class DeepMedic(nn.Module):
    """DeepMedic: two 3-D pathways, one on the segment and one on its surroundings at a third of the resolution.

    `model(fine, coarse)` takes both; a fine side S needs a coarse one of ceil((S - 16) / 3) + 16, see `coarse_side`,
    about the same centre.  `model(wide)` cuts both from one segment of side W, a multiple of 3: the fine one is its
    centre, the coarse one the mean of 3^3 voxels.  Sides of 25 and 19, or one of 57, are the paper's.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        widths: Channels of the pathways' convolutions; the paper's by default.
        hidden: Channels of the two 1x1x1 convolutions.
        kernel: 3, or 5 with every second width: the paper's comparison, one 5^3 for two 3^3 with the same field.
        dropout: Probability of dropping a unit.

    Shape:
        Fine (N, in_channels, S, S, S) to scores (N, num_classes, S - 16, S - 16, S - 16); wide to W - 48.

    Raises:
        UserError: The kernel is neither 3 nor 5.
        ValueError: Sides do not belong together or are too small.

    Example:
        >>> model = DeepMedic(num_classes=2, in_channels=1, widths=[2] * 8, hidden=4)
        >>> model(tinymed.zeros(2, 1, 51, 51, 51)).shape
        (2, 2, 3, 3, 3)

    Reference:
        Kamnitsas et al., Medical Image Analysis 36, 2017.
    """

    def __init__(
        self,
        num_classes: int = 5,
        in_channels: int = 4,
        widths: Sequence[int] | None = None,
        hidden: int = 150,
        kernel: int = 3,
        dropout: float = 0.5,
    ):
        super().__init__()
        one_of("deepmedic", "kernel", kernel, (3, 5))
        widths = list(widths or (WIDTHS if kernel == 3 else WIDTHS[1::2]))
        self.reach = len(widths) * (kernel - 1)
        inputs = [in_channels, *widths]
        self.fine, self.coarse = (
            nn.Sequential(*(layer for a, b in zip(inputs, widths, strict=False) for layer in unit(a, b, kernel)))
            for _ in range(2)
        )
        self.head = nn.Sequential(
            *unit(2 * widths[-1], hidden, 1),
            nn.Dropout(dropout),
            *unit(hidden, hidden, 1),
            nn.Dropout(dropout),
            nn.Conv3d(hidden, num_classes, 1),
        )
        self.apply(he_normal)

    def forward(self, input: Tensor, coarse: Tensor | None = None) -> Any:
        """Compute the output; the class names the shapes."""
        fine: Any = input
        if coarse is None:
            fine, coarse = self.split(input)
        wanted = [self.coarse_side(side) for side in fine.shape[2:]]
        if list(coarse.shape[2:]) != wanted:
            raise ValueError(
                f"deepmedic: a segment of {list(fine.shape[2:])} voxels takes coarse surroundings of "
                f"{wanted}, got {list(coarse.shape[2:])}"
            )
        near = self.fine(fine)
        far = F.interpolate(self.coarse(coarse), scale_factor=FACTOR, mode="nearest")
        return self.head(F.cat([near, fit(far, near.shape[2:])], 1))

    def split(self, wide: Tensor) -> tuple[Any, Any]:
        """Return (fine, coarse) of one wide segment."""
        least = FACTOR * (self.reach + 1)
        if any(side % FACTOR or side < least for side in wide.shape[2:]):
            raise ValueError(
                f"deepmedic: the sides of a wide segment are multiples of {FACTOR}, from {least} on, got "
                f"{list(wide.shape[2:])}"
            )
        cut = (FACTOR - 1) * self.reach
        return fit(wide, [side - cut for side in wide.shape[2:]]), F.avg_pool3d(wide, FACTOR)

    def coarse_side(self, side: int) -> int:
        """Return the side of the coarse segment that belongs to a fine one."""
        if side <= self.reach:
            raise ValueError(f"deepmedic: a segment of side {side} is too small; the smallest is {self.reach + 1}")
        return -(-(side - self.reach) // FACTOR) + self.reach


register(
    "deepmedic", "Kamnitsas et al. 2017; one wide segment of 57^3 voxels is cut into 25^3 and 19^3", (4, 57, 57, 57)
)(DeepMedic)
