"""Edges: Sobel's derivatives, and the length of the gradient."""

from typing import Any

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, float_type, is_whole, pixels, white, window
from .registry import operation


@kernel(out=lambda x, *_: [(x.shape, float_type(x.dtype))], flops=lambda x, *_: 14 * x.size)
def sobel_magnitude(xp: Any, x: Array, at1: Array, at2: Array) -> Array:
    """Return sqrt(down^2 + across^2) of Sobel's two derivatives of x [depth, height, width, channels], in a plane."""
    values, (h, w) = x.astype(float_type(x.dtype)), x.shape[1:3]
    above, here, below = (xp.take(values, at1[t : t + h], 1) for t in range(3))
    smooth, slope = above + 2 * here + below, below - above
    left, _, right = (xp.take(smooth, at2[t : t + w], 2) for t in range(3))
    a, b, c = (xp.take(slope, at2[t : t + w], 2) for t in range(3))
    down, across = a + 2 * b + c, right - left
    return xp.sqrt(down * down + across * across)


def edge_picture(result: Array, image: Array) -> Array:
    """Return gradients as a picture in the image's dtype: a step from black to white, 4 white, is white."""
    shown = table().xp.abs(result) / 4
    if not is_whole(image):
        return shown.clip(0, 1).astype(image.dtype)
    return shown.clip(0, white(image.dtype)).round().astype(image.dtype)


@operation(show=edge_picture)
def sobel(image: Array, axis: str = "both", border: str = "reflect") -> Array:
    """Return the gradient by Sobel's windows, the weights 1 2 1 across the difference of two neighbours.

    Args:
        image: [height, width] or [height, width, channels]; each channel by itself.
        axis: "rows" (the derivative from one row to the next), "columns", or "both", the length of the gradient.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        float32 (of float64 images float64), in the image's units: 4 times white at a step from black to white.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> sobel(np.array([[0, 0, 1, 1]] * 3, np.uint8)).tolist()[1]
        [0.0, 4.0, 4.0, 0.0]
    """
    found = pixels(image, "sobel", volumes=False)
    if axis == "both":
        _, at1, at2 = window(found, (1, 3, 3), border)
        return found.back(table().sobel_magnitude(found.values, at1, at2))
    if axis not in ("rows", "columns"):
        raise UserError(f"axis is both, rows or columns, got {axis!r}")
    xp, kind = table().xp, float_type(found.values.dtype)
    one, smooth, slope = (xp.asarray(np.array(t, kind)) for t in ((1,), (1, 2, 1), (-1, 0, 1)))
    taps = (one, slope, smooth) if axis == "rows" else (one, smooth, slope)
    return found.back(table().separable_filter(found.values, *taps, *window(found, (1, 3, 3), border), False))
