"""A network in the manner of BoNet (Spampinato et al., Medical Image Analysis 36, 2017): a number from a radiograph.

    five times conv 3x3, ReLU     32, 64, 128, 128, 128 channels; a max-pool 2x2 after the first four
    deformation                   the maps are resampled by an affine transform that a small net reads off them
    dense 256, ReLU, dropout      one output

What is known of BoNet here is its plan: five convolutions with ReLU and pooling, a learnt deformation layer before the
dense part, one output.  Channels, sides and the kind of deformation are ours: it is a spatial transformer (Jaderberg,
Simonyan, Zisserman & Kavukcuoglu, NIPS 2015) that begins as the identity.

At 128 pixels and grey: convolutions 387,840 - 8 x 8 maps - transform 262,374, dense 2,097,408, output 257.
"""

from typing import Any

import numpy as np

from .. import nn
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels, side_after
from .vgg import he_normal

WIDTHS = (32, 64, 128, 128, 128)
DENSE, HIDDEN, AFFINE = 256, 32, 6


class AffineDeformation(nn.Module):
    """Resample square maps by an affine transform of each image, which a dense net reads off the maps themselves.

    (x_o, y_o) = o + change (o, 1), for every pixel o in coordinates from -1 to 1
    y[o] = sum over pixels p of max(0, 1 - |x_o - p_x|) max(0, 1 - |y_o - p_y|) input[p], bilinear with zeros outside,
    as `torch.nn.functional.grid_sample(align_corners=False)` after `affine_grid`.  The sum over all pixels is a product
    of matrices, which is cheap for the small maps that it is used on, and differentiable as it stands.

    Args:
        channels: Of the maps.
        side: Of the maps, in pixels.
        hidden: Units of the dense net.

    Shape:
        Maps (N, channels, side, side) to the same.

    Example:
        >>> maps = tinymed.rand(1, 2, 4, 4)
        >>> bool(np.allclose(AffineDeformation(2, 4)(maps).numpy(), maps.numpy(), atol=1e-6))
        True

    Reference:
        Jaderberg, Simonyan, Zisserman & Kavukcuoglu, NIPS 2015, equations 1 and 5.
    """

    def __init__(self, channels: int, side: int, hidden: int = HIDDEN):
        super().__init__()
        self.side = side
        self.localisation = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * side**2, hidden), nn.ReLU(), nn.Linear(hidden, AFFINE)
        )
        self.start()
        doubled = 2 * np.arange(side, dtype=np.float32) + 1 - side  # side times the coordinates: whole numbers
        y, x = np.meshgrid(doubled, doubled, indexing="ij")
        grid = np.stack([x.ravel(), y.ravel(), np.full(side**2, side, np.float32)])
        self.register_buffer("grid", Tensor(grid), persistent=False)
        self.register_buffer("pixels", Tensor(np.arange(side, dtype=np.float32)), persistent=False)

    def start(self) -> None:
        """Begin as the identity: the last layer, which gives the change of the transform, is zero."""
        init.zeros_(self.localisation[3].weight)
        init.zeros_(self.localisation[3].bias)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        n, channels, side = input.shape[0], input.shape[1], self.side
        change = F.reshape(self.localisation(input), (n, 2, 3))
        moved = F.matmul(change, self.grid) + F.narrow(self.grid, 0, 0, 2)
        places = 0.5 * (moved + (side - 1))  # in pixels: x, then y, of every output
        distance = F.abs(F.reshape(places, (n, 2, side**2, 1)) - self.pixels)
        hat = F.relu(1 - distance)
        across, down = F.narrow(hat, 1, 0, 1), F.narrow(hat, 1, 1, 1)
        down = F.reshape(down, (n, side**2, side, 1))
        weights = F.reshape(down * F.reshape(across, (n, side**2, 1, side)), (n, side**2, side**2))
        maps = F.reshape(input, (n, channels, side**2))
        return F.reshape(F.matmul(maps, F.transpose(weights, 1, 2)), (n, channels, side, side))


class BoNet(nn.Module):
    """A number from a radiograph: five convolutions, a learnt deformation of their maps, a dense layer.

    Args:
        num_classes: Number of outputs per image: 1 for a number.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, at least 16.
        width: Multiplier of the channels and dense units.
        dropout: Probability of dropping a dense unit.
        deform: Leave the deformation out with False.

    Shape:
        Images (N, in_channels, size, size) to (N, num_classes).

    Raises:
        UserError: The image is too small, or width is not positive.

    Example:
        >>> BoNet(size=32, width=1 / 8)(tinymed.zeros(2, 1, 32, 32)).shape
        (2, 1)

    Reference:
        Spampinato, Palazzo, Giordano, Aldinucci & Leonardi, Medical Image Analysis 36, 2017.
    """

    def __init__(
        self,
        num_classes: int = 1,
        in_channels: int = 1,
        size: int = 128,
        width: float = 1.0,
        dropout: float = 0.5,
        deform: bool = True,
    ):
        super().__init__()
        self.input_shape = (in_channels, size, size)
        side = side_after("bonet", size, *[(2, 2)] * 4)
        channels, layers = in_channels, []
        for i, wide in enumerate(WIDTHS):
            out = scale_channels(wide, width)
            layers += [nn.Conv2d(channels, out, 3, padding=1), nn.ReLU()]
            layers += [nn.MaxPool2d(2)] if i < len(WIDTHS) - 1 else []
            channels = out
        self.features = nn.Sequential(*layers)
        dense = scale_channels(DENSE, width)
        self.deformation = AffineDeformation(channels, side) if deform else nn.Identity()
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * side**2, dense),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(dense, num_classes),
        )
        self.apply(he_normal)
        if deform:
            self.deformation.start()

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.deformation(self.features(input)))


register("bonet", "Spampinato et al. 2017, by its plan", (1, 128, 128), "scores")(BoNet)
