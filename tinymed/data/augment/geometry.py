"""One map of the plane for all geometric changes, and one resampling: the image is blurred once, not once a change.

    image  ->  cropped  ->  quarter turns  ->  flipped  ->  sheared  ->  turned and scaled  ->  shifted  ->  bent

`apply_geometry` resamples by the compiled loops of `loops_geometry.py`; `resample` is their definition.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ... import random
from ..elastic import displacements
from .drawing import Parameters
from .settings import BORDERS

UNBENT, UNBENT_VOLUME = np.zeros((2, 0, 0)), np.zeros((3, 0, 0, 0))  # displacements where nothing is bent


class PlaneMap(NamedTuple):
    """Where a pixel of the output is read: matrix (pixel - middle - shift + displacement) + end, as (y, x).

    matrix: the 2x2 map of offsets, by rows; shift: in pixels; end: the middle of what the crop keeps.
    """

    matrix: tuple[float, float, float, float]
    shift: tuple[float, float]
    end: tuple[float, float]


def quarter_turns(drawn: Parameters, height: int, width: int) -> int:
    """Return the quarter turns of an image of this size: one that is not square turns by halves only."""
    return drawn.turns if height == width else drawn.turns & 2


def inverse_rows(drawn: Parameters, turns: int) -> tuple[float, float, float, float]:
    """Return the 2x2 map from output to input offsets from the centre, (y, x), by rows.

    It is (scale R(angle) S F T / crop)^-1 = crop T^-1 F S^-1 R(-angle) / scale.

    R turns anticlockwise as seen with y downwards, T by quarters; F = diag(+-1, +-1) flips; S = [[1, 0], [tan shear,
    1]] lets columns lean.
    """
    cos, sin = math.cos(drawn.angle) / drawn.scale, math.sin(drawn.angle) / drawn.scale
    a, b, c, d = cos, sin, -sin, cos
    if drawn.shear:
        lean = math.tan(drawn.shear)
        c, d = c - lean * a, d - lean * b
    if drawn.flip_y:
        a, b = -a, -b
    if drawn.flip_x:
        c, d = -c, -d
    for _ in range(turns):
        a, b, c, d = c, d, -a, -b
    if drawn.crop != 1:
        a, b, c, d = a * drawn.crop, b * drawn.crop, c * drawn.crop, d * drawn.crop
    return a, b, c, d


def plane_map(drawn: Parameters, height: int, width: int) -> PlaneMap:
    """Return the map of an image of this size."""
    return PlaneMap(
        inverse_rows(drawn, quarter_turns(drawn, height, width)),
        (drawn.shift_y * height, drawn.shift_x * width),
        ((height - 1) / 2 + drawn.crop_at[1] * height, (width - 1) / 2 + drawn.crop_at[0] * width),
    )


def permutes(drawn: Parameters) -> bool:
    """Return whether pixels only change places, so that nothing is read between them."""
    still = drawn.angle == 0 and drawn.shear == 0 and drawn.shift_x == drawn.shift_y == drawn.elastic == 0
    return still and drawn.scale == 1 and drawn.crop == 1


def apply_geometry(
    image: np.ndarray, drawn: Parameters, order: int = 1, *, fill: float | None = None, reference: bool = False
) -> np.ndarray:
    """Crop, turn, flip, shear, rotate, scale, shift and bend an image by one resampling.

    Args:
        image: [height, width, channels]; floating point for order 1.
        drawn: What `parameters` drew.
        order: 1 bilinear (images), 0 nearest (masks: no value is invented).
        fill: What lies outside where the border is constant; by default what was drawn, and 0 for order 0.
        reference: Compute by the definition in NumPy, not by the compiled loops.

    Returns:
        An array of the same shape and dtype; a view where only flips and quarter turns happen.

    Raises:
        ValueError: order is neither 0 nor 1, or bilinear resampling is asked of integers.

    Example:
        >>> image = np.arange(4.0).reshape(1, 4, 1)
        >>> apply_geometry(image, Parameters(shift_x=0.25, border="edge")).ravel()
        array([0., 0., 1., 2.])
    """
    if order not in (0, 1):
        raise ValueError(f"apply_geometry: order is 0 (nearest) or 1 (bilinear), got {order}")
    if order == 1 and image.dtype.kind != "f":
        raise ValueError(f"apply_geometry: bilinear resampling takes a float image, got {image.dtype}; use order=0")
    height, width = image.shape[:2]
    if permutes(drawn):
        turned = np.rot90(image, quarter_turns(drawn, height, width))
        return turned[:: -1 if drawn.flip_y else 1, :: -1 if drawn.flip_x else 1]
    plane = plane_map(drawn, height, width)
    outside = (drawn.fill if order else 0.0) if fill is None else fill
    if reference or (order == 1 and image.dtype != np.float32):
        field = bending(drawn, (height, width), random.normal)
        return resample(image, *source_points(plane, height, width, field), order, drawn.border, outside)
    from . import loops_geometry, loops_noise

    field = bending(drawn, (height, width), loops_noise.normal)
    how = np.array([*plane.matrix, *plane.shift, *plane.end]), field, BORDERS.index(drawn.border)
    points = np.empty((2, width))
    if order:
        scratch = points, np.empty((2, width), np.int64), np.empty((2, width), np.float32)
        return call_filled(loops_geometry.warp_bilinear, image, scratch, how, outside)
    return call_bits(loops_geometry.warp_nearest, image, (points,), how, outside)


def bending(drawn: Parameters, space: tuple[int, ...], normal: Callable[..., np.ndarray]) -> np.ndarray:
    """Return the displacements [axes, *space] in pixels; without elements where nothing is bent."""
    if not drawn.elastic:
        return UNBENT if len(space) == 2 else UNBENT_VOLUME
    return displacements(space, drawn.elastic, drawn.elastic_grid, drawn.ticket, normal)


def call_filled(loop: Any, image: np.ndarray, scratch: Sequence[Any], how: Sequence[Any], fill: float) -> np.ndarray:
    """Return what a loop writes for a float32 image, in C order."""
    out = np.empty(image.shape, np.float32)
    loop(out, *scratch, np.ascontiguousarray(image), *how, np.float32(fill))
    return out


def call_bits(loop: Any, mask: np.ndarray, scratch: Sequence[Any], how: Sequence[Any], fill: float) -> np.ndarray:
    """Return what a loop that only moves values writes; it sees them as bits, so four compilations serve all dtypes."""
    bits = np.dtype(f"u{mask.dtype.itemsize}")
    out = np.empty(mask.shape, mask.dtype)
    outside = np.array(fill).astype(mask.dtype).reshape(1).view(bits)[0]
    loop(out.view(bits), *scratch, np.ascontiguousarray(mask).view(bits), *how, outside)
    return out


def source_points(plane: PlaneMap, height: int, width: int, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where each pixel is read: y and x, float64 [height, width]."""
    y: Any = np.arange(height)[:, None] - (height - 1) / 2 - plane.shift[0]
    x: Any = np.arange(width)[None, :] - (width - 1) / 2 - plane.shift[1]
    if field.size:
        y, x = y + field[0], x + field[1]
    a, b, c, d = plane.matrix
    return a * y + b * x + plane.end[0], c * y + d * x + plane.end[1]


def resample(
    image: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    order: int = 1,
    border: str = "reflect",
    fill: float = 0.0,
) -> np.ndarray:
    """Read an image [height, width, channels] at the points (y, x), arrays of one shape; bilinear or nearest.

    out = (1-v)(1-u) a[i,j] + (1-v)u a[i,j+1] + v(1-u) a[i+1,j] + v u a[i+1,j+1],  i = floor(y), v = y - i, ...
    """
    if order == 0:
        return fetch(image, np.rint(y).astype(np.intp), np.rint(x).astype(np.intp), border, fill)
    top, left = np.floor(y), np.floor(x)
    v = (y - top).astype(image.dtype)[..., None]
    u = (x - left).astype(image.dtype)[..., None]
    i, j = top.astype(np.intp), left.astype(np.intp)
    upper = (1 - u) * fetch(image, i, j, border, fill) + u * fetch(image, i, j + 1, border, fill)
    lower = (1 - u) * fetch(image, i + 1, j, border, fill) + u * fetch(image, i + 1, j + 1, border, fill)
    mixed: np.ndarray = (1 - v) * upper + v * lower
    return mixed


def fetch(image: np.ndarray, i: np.ndarray, j: np.ndarray, border: str, fill: float) -> np.ndarray:
    """Return image[i, j] with indices beyond the border reflected, clamped, or answered by `fill`."""
    height, width = image.shape[:2]
    if border == "reflect":
        values: np.ndarray = image[reflect(i, height), reflect(j, width)]
    else:
        values = image[np.clip(i, 0, height - 1), np.clip(j, 0, width - 1)]
    if border == "constant":
        outside = (i < 0) | (i >= height) | (j < 0) | (j >= width)
        values[outside] = fill
    return values


def reflect(index: np.ndarray, size: int) -> np.ndarray:
    """Return indices mirrored into 0 ... size - 1 without repeating the edge: -1 -> 1, size -> size - 2."""
    if size == 1:
        return np.zeros_like(index)
    period = 2 * (size - 1)
    folded = np.abs(index) % period
    result: np.ndarray = np.minimum(folded, period - folded)
    return result
