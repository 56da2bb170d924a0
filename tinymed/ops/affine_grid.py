"""The grid of places that an affine map makes of an image's own places: what grid_sample takes."""

from functools import lru_cache
from typing import Any

import numpy as np

from .. import devices
from ..annotations import Tensor
from ..dispatch import Array
from ..tape import Node
from .matmul import linear
from .shape import movedim, reshape
from .space import Sizes

__all__ = ["affine_grid"]


def centres(n: int, align_corners: bool) -> Array:
    """Return the places of n pixels: from -1 to 1, or half a pixel inside of that."""
    if align_corners:
        return np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(n)
    return (2 * np.arange(n) + 1) / n - 1


@lru_cache(maxsize=16)
def own_places(space: Sizes, align_corners: bool, dtype: str, where: str) -> Array:
    """Return every pixel's place and a 1, the last axis first: (pixels, axes + 1)."""
    lines = [centres(n, align_corners) for n in space]
    own = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(space)], -1)
    return devices.move(own.reshape(-1, len(space) + 1).astype(dtype), where)


def affine_grid(theta: Tensor, size: Any, align_corners: bool | None = None) -> Tensor:
    """Return the places that affine maps make of the pixels of an image, as grid_sample takes them.

    Args:
        theta: (N, 2, 3) for images, (N, 3, 4) for volumes: the matrix and the shift, in units where -1 to 1 spans the
            image, the last axis of space first.
        size: The shape of the image that grid_sample shall return, (N, C, H, W) or (N, C, D, H, W).
        align_corners: Let -1 and 1 be the centres of the outer pixels instead of their outer edges.

    Returns:
        A tensor (N, *space, axes) of theta's dtype.

    Raises:
        ValueError: The shapes do not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> half = tinymed.tensor([[[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]])
        >>> F.affine_grid(half, (1, 1, 1, 2), align_corners=True).tolist()
        [[[[-0.5, 0.0], [0.5, 0.0]]]]

    Reference:
        Jaderberg, Simonyan, Zisserman and Kavukcuoglu, Spatial transformer networks, NeurIPS 2015, equation 1.
    """
    n, _, *space = shape = tuple(int(s) for s in size)
    rank = len(space)
    if rank not in (2, 3) or min(shape) < 1 or tuple(theta.shape) != (n, rank, rank + 1):
        raise ValueError(
            f"affine_grid: theta has shape {list(theta.shape)}, size is {list(shape)}; it takes (N, 2, 3) with "
            "(N, C, H, W), or (N, 3, 4) with (N, C, D, H, W), lengths from 1"
        )
    if theta.dtype.kind != "f":
        raise ValueError(f"affine_grid: theta is {theta.dtype}; it takes floating-point numbers")
    own = own_places(tuple(space), bool(align_corners), theta.dtype.name, devices.of(theta.array))
    places = linear(Node.default(own), reshape(theta, (n * rank, rank + 1)))  # (pixels, N axes): a product for all
    if n == 1:
        return reshape(places, (1, *space, rank))
    return movedim(reshape(places, (*space, n, rank)), -2, 0)
