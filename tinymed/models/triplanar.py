"""The 2.5-D triplanar network of Prasoon, Petersen, Igel, Lauze, Dam & Nielsen, MICCAI 2013.

Three 2-D networks see the 28x28 patches that cut through a voxel in the planes xy, yz and zx; their features are
concatenated for one classifier, and all are trained together.  The weights are not shared.

    each plane    conv 5x5, 32   mean-pool 2   conv 5x5, 64   mean-pool 2   1024 features        28 -> 4
    together      3072 features, one output per class

The widths, and ReLU, are our choice; the paper gives the scheme.  It optimised by L-BFGS with weight decay.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels, side_after

PLANES = 3


class Triplanar(nn.Module):
    """The 2.5-D network: three planes through a voxel, each through a network of its own, one classifier.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of all three planes together, a multiple of 3.
        size: Side of the patches in pixels.
        width: Multiplier of the layers' channels.

    Shape:
        One input (N, in_channels, size, size), the channels of plane xy first, then yz, zx; or three inputs of a
        third of the channels each; to logits (N, num_classes).

    Raises:
        UserError: in_channels is not a multiple of 3, or the patch is too small.
        ValueError: `forward` is given another number of planes or channels.

    Example:
        >>> model = Triplanar(width=1 / 8)
        >>> model(tinymed.zeros(2, 3, 28, 28)).shape
        (2, 2)

    Reference:
        Prasoon, Petersen, Igel, Lauze, Dam & Nielsen, MICCAI 2013.
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 3, size: int = 28, width: float = 1.0):
        super().__init__()
        if in_channels % PLANES:
            raise UserError(f"triplanar: in_channels is a multiple of {PLANES}, the planes; got {in_channels}")
        self.in_channels = in_channels // PLANES
        self.input_shape = (in_channels, size, size)
        side = side_after("triplanar", size, (5, 1), (2, 2), (5, 1), (2, 2))
        a, b = scale_channels(32, width), scale_channels(64, width)
        self.planes = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(self.in_channels, a, 5),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Conv2d(a, b, 5),
                nn.ReLU(),
                nn.AvgPool2d(2),
                nn.Flatten(),
            )
            for _ in range(PLANES)
        )
        self.classifier = nn.Linear(PLANES * b * side**2, num_classes)

    def forward(self, *inputs: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        c, patches = self.in_channels, list(inputs)
        if len(inputs) == 1:
            (whole,) = inputs
            if whole.shape[1] != PLANES * c:
                raise ValueError(
                    f"triplanar: takes {PLANES} planes of {c} channels, one after the other, "
                    f"got {whole.shape[1]} channels"
                )
            patches = [whole[:, i * c : (i + 1) * c] for i in range(PLANES)]
        if len(patches) != PLANES:
            raise ValueError(f"triplanar: takes one input of all planes or {PLANES} of one each, got {len(inputs)}")
        return self.classifier(F.cat([see(patch) for see, patch in zip(self.planes, patches, strict=True)], 1))


register("triplanar", "Prasoon, Petersen, Igel, Lauze, Dam & Nielsen 2013", (3, 28, 28), "scores")(Triplanar)
