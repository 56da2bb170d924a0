"""MedT, the Medical Transformer (Valanarasu et al., MICCAI 2021): a shallow global branch and a deep one on patches.

Global: stem and two stages of gated axial attention on the whole image, two steps of decoder.  Local: a 4 x 4 grid of
patches, one after another through one shared net of four stages (a stem of 64 channels, attention without positions).
What comes out for a patch stands in its place in a second map; the sum of both goes through a 3x3 convolution, ReLU and
1x1 to classes.

    medt   1,560,140 parameters at 128 pixels, 24 of them gates
    logo   the same of plain axial attention, in both branches with positions; 1,529,532
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .axial_unet import SOURCE, AxialPyramid, check_image, check_sizes, freeze_gates
from .registry import register

GRID = 4
LOCAL_STEM = 64


class MedT(nn.Module):
    """Medical Transformer: gated axial attention on the image, attention without positions on its patches.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 128.
        width: Channels of the first stage's attention, a multiple of 16.
        learn_gates: Train the gates, else keep them at 0.1 and 1.
        positions: What the attention of the image knows of positions, and of the patches: "none", "plain", "gated".

    Shape:
        Images (N, in_channels, size, size) to scores (N, num_classes, size, size), not yet a softmax.

    Raises:
        UserError: size or width does not fit.
        ValueError: `forward` is given an image of another size.

    Example:
        >>> MedT()(tinymed.zeros(1, 3, 128, 128)).shape
        (1, 2, 128, 128)

    Reference:
        Valanarasu et al., MICCAI 2021.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        size: int = 128,
        width: int = 16,
        learn_gates: bool = True,
        positions: tuple[str, str] = ("gated", "none"),
    ):
        super().__init__()
        check_sizes("medt", size, 32 * GRID, width)
        self.size, self.input_shape = size, (in_channels, size, size)
        self.whole = AxialPyramid(in_channels, size, width // 2, width, positions[0], stages=2)
        self.patch = AxialPyramid(in_channels, size // GRID, LOCAL_STEM, width, positions[1])
        self.join, self.head = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, num_classes, 1)
        self.unused = nn.Conv2d(width, num_classes, 1)  # a head of the patches that the authors' code owns too
        if not learn_gates:
            freeze_gates(self)

    def forward(self, input: Tensor) -> Any:
        """Compute the scores; the class names the shapes."""
        check_image(self, input, self.size)
        side = self.size // GRID
        rows = []
        for i in range(GRID):
            band = F.narrow(input, 2, i * side, side)
            rows.append(F.cat([self.patch(F.narrow(band, 3, j * side, side)) for j in range(GRID)], 3))
        return self.head(F.relu(self.join(self.whole(input) + F.cat(rows, 2))))


def medt(
    num_classes: int = 2, in_channels: int = 3, size: int = 128, width: int = 16, learn_gates: bool = True
) -> MedT:
    """Build MedT: 1,560,140 parameters at 128 pixels, 3 channels and 2 classes.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 128.
        width: Channels of the first stage's attention, a multiple of 16.
        learn_gates: Train the gates, else keep them at 0.1 and 1.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size or width does not fit.

    Example:
        >>> tinymed.models.count_parameters(medt())
        1560140

    Reference:
        Valanarasu et al., MICCAI 2021.
    """
    return MedT(num_classes, in_channels, size, width, learn_gates)


def logo(num_classes: int = 2, in_channels: int = 3, size: int = 128, width: int = 16) -> MedT:
    """Build LoGo, MedT without gates and with positions in patches too: 1,529,532 parameters at 128 pixels.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 128.
        width: Channels of the first stage's attention, a multiple of 16.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size or width does not fit.

    Example:
        >>> tinymed.models.count_parameters(logo())
        1529532

    Reference:
        Valanarasu et al., MICCAI 2021, the variant without gates.
    """
    return MedT(num_classes, in_channels, size, width, positions=("plain", "plain"))


register("medt", SOURCE, (3, 128, 128), "map")(medt)
register("logo", f"{SOURCE}, without gates", (3, 128, 128), "map")(logo)
