"""Displacement fields in pixels of the fixed image, as a network predicts them: what they do to the moving image."""

from typing import Any

import numpy as np

from ..data.device_batches import as_array
from ..nn import functional as F
from ..program import capture
from ..tape import no_grad
from .spaces import Image
from .transforms import Dense, Rigid, constant, warp


def move(moving: Any, field: Any) -> Any:
    """Sample images where a field of displacements says; beyond its border an image goes on as it ends.

    Args:
        moving: (N, channels, *space).
        field: (N, axes, *space): how far each pixel's place lies from it, in pixels, in the order of the axes.

    Returns:
        (N, channels, *space), with gradients to both.

    Example:
        >>> import tinymed
        >>> row = tinymed.tensor([[[[1.0, 2.0, 3.0]]]])
        >>> move(row, tinymed.tensor([[[[0.0, 0.0, 0.0]], [[1.0, 1.0, 1.0]]]])).tolist()
        [[[[2.0, 3.0, 3.0]]]]
    """
    space, rank = tuple(field.shape[2:]), field.shape[1]
    still = constant(np.eye(rank, rank + 1)[None].repeat(field.shape[0], 0))
    size = constant(2 / np.asarray(space[::-1], float))
    by = F.flip(F.movedim(field, 1, -1), [-1]) * size
    grid = F.affine_grid(still, (field.shape[0], 1, *space), align_corners=False) + by
    return F.grid_sample(moving, grid, padding_mode="border", align_corners=False)


def brought(fixed: Image, moving: Image, start: Rigid) -> np.ndarray:
    """Return the moving image's grey values on the fixed one's pixels after a map, float32 [*space]."""
    return warp(moving.grey[..., None], start, fixed.space.size)[..., 0]


class FieldPredictor:
    """A network that was trained to predict fields, asked about pairs of images of any size.

    Args:
        model: From pairs (1, 2, *space) to fields (1, axes, *space).

    Example:
        >>> from pathlib import Path
        >>> from tinymed.models import create
        >>> from tinymed.registration.spaces import Space
        >>> image = Image(np.zeros((8, 8, 1)), np.eye(8, dtype=np.float32), Space((8, 8), np.eye(3)), None, Path())
        >>> ask = FieldPredictor(create("field_unet", rank=2, base=2, depth=1).eval())
        >>> transform = ask(image, image, Rigid(image.space, image.space, np.zeros(2)))
        >>> bool(np.abs(transform.field.numpy()).max() < 0.01)
        True
    """

    def __init__(self, model: Any):
        self.forward = capture(lambda pair: model(pair), fallback=True)

    def field(self, pair: np.ndarray) -> np.ndarray:
        """Return the displacements [axes, *space] of a pair [2, *space], in pixels."""
        with no_grad():
            found: np.ndarray = as_array(self.forward(constant(pair[None])))[0]
        return found

    def __call__(self, fixed: Image, moving: Image, start: Rigid) -> Dense:
        """Return the map from the fixed image to the moving one: what the network says, then `start`."""
        return dense(start, self.field(np.stack([fixed.grey, brought(fixed, moving, start)])))


def dense(start: Rigid, field: np.ndarray) -> Dense:
    """Return a map of the world: displacements [axes, *space] in pixels of the fixed image, then a rigid or affine map.

    A displacement is turned and stretched by the map that follows it, so that it can be added behind.
    """
    turn = start.world()[:-1, :-1] @ start.fixed.affine[:-1, :-1]
    result = Dense(start, start.fixed.size)
    with no_grad():
        result.field.copy_(constant(np.einsum("ij,j...->i...", turn, field.astype(np.float64))[None]))
    return result
