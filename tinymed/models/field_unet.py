"""A small U-Net that predicts a displacement field, after VoxelMorph (Balakrishnan et al., IEEE TMI 2019).

    down   conv 3, leaky ReLU .2; then `depth` times a stride of two, each a convolution to twice `base` channels
    up     `depth` times enlarged twice by the nearest pixel, the map of that size concatenated, conv 3, leaky ReLU .2
    field  conv 3 to one number an axis, drawn near 0: registration begins with no displacement

The two images come as channels, the one that stays first.  A displacement is in pixels of the first image, its
components in the order of the array's axes.  Sides that 2^depth does not divide are filled by zeros and cut off again.
Widths are ours, about half of the paper's.
"""

from itertools import pairwise
from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .vgg import he_normal

SMALL = 1e-5  # deviation of the weights of the last convolution


class FieldUNet(nn.Module):
    """U-Net from two images to the displacement that brings the second onto the first.

    Args:
        rank: Axes of space: 2 of pictures, 3 of volumes.
        base: Channels at the images' own size; deeper maps have twice as many.
        depth: How often the sides are halved, at least 1.

    Shape:
        Pairs (N, 2, *space) to fields (N, rank, *space), in pixels.

    Raises:
        UserError: rank is not 2 or 3, or base or depth is below 1.

    Example:
        >>> FieldUNet(rank=2, base=4, depth=2)(tinymed.zeros(1, 2, 18, 13)).shape
        (1, 2, 18, 13)

    Reference:
        Balakrishnan, Zhao, Sabuncu, Guttag & Dalca, VoxelMorph, IEEE Transactions on Medical Imaging, 2019.
    """

    def __init__(self, rank: int = 3, base: int = 8, depth: int = 3):
        super().__init__()
        if rank not in (2, 3) or base < 1 or depth < 1:
            raise UserError(f"field_unet: rank is 2 or 3, base and depth at least 1; got {rank}, {base} and {depth}")
        self.rank, self.depth = rank, depth
        conv = nn.Conv2d if rank == 2 else nn.Conv3d
        widths = [base, *[2 * base] * depth]

        def block(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
            return nn.Sequential(conv(inputs, outputs, 3, stride, 1), nn.LeakyReLU(0.2))

        self.first = block(2, base)
        self.down = nn.ModuleList(block(a, b, 2) for a, b in pairwise(widths))
        self.up = nn.ModuleList(block(2 * base + skip, 2 * base) for skip in reversed(widths[:-1]))
        self.field = conv(2 * base, rank, 3, padding=1)
        self.apply(he_normal)
        init.normal_(self.field.weight, 0.0, SMALL)

    def forward(self, input: Tensor) -> Any:
        """Compute the field; the class names the shapes."""
        space, step = input.shape[2:], 1 << self.depth
        lack = [end for side in reversed(space) for end in (0, -side % step)]
        x = self.first(F.pad(input, lack) if any(lack) else input)
        maps = [x]
        for down in self.down:
            maps.append(down(maps[-1]))
        x = maps.pop()
        for up in self.up:
            x = up(F.cat([F.interpolate(x, scale_factor=2, mode="nearest"), maps.pop()], 1))
        field = self.field(x)
        return field[(slice(None), slice(None), *map(slice, space))] if any(lack) else field


register("field_unet", "Balakrishnan et al. 2019, our widths", (2, 32, 32, 32), "field")(FieldUNet)
