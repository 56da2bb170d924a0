"""Seeded augmentation: what is drawn depends on (seed, epoch, image) alone, never on worker, batch or resume.

Geometry and intensity are separate, so that a mask can follow its image:

    drawn = parameters(augment, seed, epoch, index)
    image = apply_intensity(apply_geometry(image, drawn), drawn)
    mask = apply_geometry(mask, drawn, order=0)

All geometric changes are one map of the plane and one resampling, so the image is blurred once, not once a change.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import random
from ..errors import UserError
from .batched_uniform import uniform_rows
from .elastic import displacements

BORDERS = ("reflect", "edge", "constant")
WORDS = 8  # numbers drawn for every image, used or not: switching one change on leaves the others as they were


@dataclass(frozen=True)
class Augment:
    """How far images may be changed.  The default changes nothing.

    Args:
        horizontal_flip: Flip left and right with probability 1/2.
        vertical_flip: Flip up and down with probability 1/2.
        rotate: Degrees; the angle is uniform in +-rotate.
        shift: Fraction of height and of width, uniform in +-shift.
        scale: (low, high), uniform; 1.2 shows things 1.2 times as large.
        noise: Standard deviation of Gaussian noise, images being in 0...1.
        brightness: Added, uniform in +-brightness.
        contrast: Factor on the distance from the image's mean, uniform in 1 +- contrast.
        elastic: Standard deviation in pixels of the displacements at the grid's points, see `displacements`.
        elastic_grid: Points of the grid along each axis, 2 to 64.
        border: What lies outside the image: "reflect" (the edge not repeated), "edge", or "constant" (`fill`).
        fill: The constant.

    Raises:
        UserError: A value is negative, not finite or out of range.

    Example:
        >>> augment = Augment(horizontal_flip=True, rotate=10)
        >>> image = np.zeros((8, 8, 3), np.float32)
        >>> augment_image(image, augment, seed=0, epoch=0, index=0).shape
        (8, 8, 3)
    """

    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotate: float = 0.0
    shift: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    noise: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    elastic: float = 0.0
    elastic_grid: int = 3
    border: str = "reflect"
    fill: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        for name in ("rotate", "shift", "noise", "brightness", "contrast", "elastic"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"augment: {name} is a finite number, 0 or more, got {value}")
        if self.contrast > 1:
            raise UserError(f"augment: contrast is at most 1, got {self.contrast}; above, images would be inverted")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise UserError(f"augment: scale is (low, high) with 0 < low <= high, got {self.scale}")
        if not 2 <= self.elastic_grid <= 64:
            raise UserError(f"augment: elastic_grid is from 2 to 64 points a side, got {self.elastic_grid}")
        if self.border not in BORDERS:
            raise UserError(f"augment: border is one of {', '.join(BORDERS)}, got {self.border!r}")


@dataclass(frozen=True)
class Parameters:
    """What was drawn for one image.

    Attributes:
        flip_x: Whether left and right change places.
        flip_y: Whether up and down change places.
        angle: Radians.
        shift_x: Fraction of the width.
        shift_y: Fraction of the height.
        scale: Factor of size.
        brightness: Added to the image.
        contrast: Factor on the distance from the mean.
        noise: Standard deviation.
        elastic: Standard deviation of the displacements in pixels.
        elastic_grid: Points of their grid along each axis.
        ticket: Random counter (seed, step) of the noise and of the displacements.
        border: What lies outside the image.
        fill: The constant outside, for border="constant".

    Example:
        >>> apply_geometry(np.arange(4.0).reshape(1, 4, 1), Parameters(flip_x=True)).ravel()
        array([3., 2., 1., 0.])
    """

    flip_x: bool = False
    flip_y: bool = False
    angle: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0
    scale: float = 1.0
    brightness: float = 0.0
    contrast: float = 1.0
    noise: float = 0.0
    elastic: float = 0.0
    elastic_grid: int = 3
    ticket: tuple[int, int] = (0, 0)  # seed and step of the noise and of the displacements
    border: str = "reflect"
    fill: float = 0.0


def step_of(epoch: int, index: int) -> int:
    """Return the 64-bit step of an image in an epoch: epoch in the upper half, index in the lower."""
    if not (0 <= epoch < 2**32 and 0 <= index < 2**32):
        raise ValueError(f"augment: epoch and index are from 0 to 2^32 - 1, got {epoch} and {index}")
    return epoch << 32 | index


def draw(seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
    """Return uniform numbers [n, WORDS] in (0, 1), a row per image.

    Each row is random.uniform(WORDS, seed, AUGMENT, step_of(epoch, index)).
    """
    step_of(epoch, int(indices.max(initial=0)))
    return uniform_rows(WORDS, seed, random.AUGMENT, indices, epoch)


def parameters(augment: Augment, seed: int, epoch: int, index: int, uniform: np.ndarray | None = None) -> Parameters:
    """Draw what happens to one image in one epoch.

    Args:
        augment: How far images may be changed.
        seed: Seed of the run.
        epoch: From 0.
        index: Number of the image, from 0.
        uniform: This image's row of `draw`, if drawn already.

    Returns:
        Parameters, a function of the arguments alone.

    Raises:
        ValueError: epoch or index is outside 0 to 2^32 - 1.

    Example:
        >>> drawn = parameters(Augment(rotate=10), seed=0, epoch=0, index=3)
        >>> drawn == parameters(Augment(rotate=10), seed=0, epoch=0, index=3), abs(drawn.angle) <= 0.175
        (True, True)
    """
    u = draw(seed, epoch, np.array([index]))[0] if uniform is None else uniform
    symmetric = 2 * u - 1
    low, high = augment.scale
    return Parameters(
        flip_x=augment.horizontal_flip and bool(u[0] < 0.5),
        flip_y=augment.vertical_flip and bool(u[1] < 0.5),
        angle=math.radians(augment.rotate) * float(symmetric[2]),
        shift_x=augment.shift * float(symmetric[3]),
        shift_y=augment.shift * float(symmetric[4]),
        scale=low + (high - low) * float(u[5]),
        brightness=augment.brightness * float(symmetric[6]),
        contrast=1 + augment.contrast * float(symmetric[7]),
        noise=augment.noise,
        elastic=augment.elastic,
        elastic_grid=augment.elastic_grid,
        ticket=(seed, step_of(epoch, index)),
        border=augment.border,
        fill=augment.fill,
    )


def inverse_matrix(drawn: Parameters) -> np.ndarray:
    """Return the 2x2 map from output to input offsets from the centre, (y, x).

    It is (scale R(angle) F)^-1 = F R(-angle) / scale.

    R turns anticlockwise as seen with y downwards; F = diag(+-1, +-1) flips.
    """
    cos, sin = math.cos(drawn.angle) / drawn.scale, math.sin(drawn.angle) / drawn.scale
    flip = np.array([[-1.0 if drawn.flip_y else 1.0], [-1.0 if drawn.flip_x else 1.0]])
    matrix: np.ndarray = flip * np.array([[cos, sin], [-sin, cos]])
    return matrix


def apply_geometry(image: np.ndarray, drawn: Parameters, order: int = 1) -> np.ndarray:
    """Flip, rotate, scale, shift and bend an image by one resampling.

    Args:
        image: [height, width, channels]; floating point for order 1.
        drawn: What `parameters` drew.
        order: 1 bilinear (images), 0 nearest (masks: no value is invented).

    Returns:
        An array of the same shape and dtype; a view where only flips happen.

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
    if drawn.angle == 0 and drawn.scale == 1 and drawn.shift_x == drawn.shift_y == drawn.elastic == 0:
        return image[:: -1 if drawn.flip_y else 1, :: -1 if drawn.flip_x else 1]
    height, width = image.shape[:2]
    matrix = inverse_matrix(drawn)
    y: Any = np.arange(height)[:, None] - (height - 1) / 2 - drawn.shift_y * height
    x: Any = np.arange(width)[None, :] - (width - 1) / 2 - drawn.shift_x * width
    if drawn.elastic:
        dy, dx = displacements((height, width), drawn.elastic, drawn.elastic_grid, drawn.ticket)
        y, x = y + dy, x + dx
    source_y = matrix[0, 0] * y + matrix[0, 1] * x + (height - 1) / 2
    source_x = matrix[1, 0] * y + matrix[1, 1] * x + (width - 1) / 2
    return resample(image, source_y, source_x, order, drawn.border, drawn.fill)


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


def apply_intensity(image: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Change contrast about the image's mean, then brightness, then add noise, and clip to 0...1.

    Args:
        image: Floating point [height, width, channels] in 0...1.
        drawn: What `parameters` drew.

    Returns:
        An array of the same shape and dtype; the image itself where nothing changes.

    Example:
        >>> apply_intensity(np.array([[[0.25], [0.75]]]), Parameters(brightness=0.5)).ravel()
        array([0.75, 1.  ])
    """
    if drawn.contrast == 1 and drawn.brightness == 0 and drawn.noise == 0:
        return image
    out: Any = image
    if drawn.contrast != 1:
        centre = image.mean(dtype=np.float64)
        out = image * image.dtype.type(drawn.contrast) + image.dtype.type(centre * (1 - drawn.contrast))
    if drawn.brightness:
        out = out + image.dtype.type(drawn.brightness)
    if drawn.noise:
        seed, step = drawn.ticket
        values = random.normal(image.size, seed, random.NOISE, step).reshape(image.shape)
        out = out + (values * drawn.noise).astype(image.dtype)
    result: np.ndarray = np.clip(out, 0, 1)
    return result


def augment_image(image: np.ndarray, augment: Augment, seed: int, epoch: int, index: int) -> np.ndarray:
    """Change one image as (seed, epoch, index) says.

    Args:
        image: Floating point [height, width, channels] in 0...1.
        augment: How far it may be changed.
        seed: Seed of the run.
        epoch: From 0.
        index: Number of the image, from 0.

    Returns:
        An array of the same shape and dtype.

    Raises:
        ValueError: The image holds integers, or epoch or index is outside 0 to 2^32 - 1.

    Example:
        >>> image = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4, 1)
        >>> one, two = (augment_image(image, Augment(rotate=20), 0, epoch, 0) for epoch in (0, 1))
        >>> np.array_equal(one, two)
        False
    """
    drawn = parameters(augment, seed, epoch, index)
    return apply_intensity(apply_geometry(image, drawn), drawn)
