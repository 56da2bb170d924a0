"""What is drawn for one image: a function of (seed, epoch, image) alone, never of worker, batch or resume."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import random
from ..batched_uniform import uniform_rows
from .settings import Augment

# Numbers drawn for every image, used or not: switching one change on leaves the others as they were.  Positions never
# move, so a run of an earlier version draws what it drew; new changes take the next ones.
WORDS = 40
Triple = tuple[float, float, float]


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
        turns: Quarter turns anticlockwise, 0 to 3.
        shear: Radians.
        crop: Share of each side that is kept.
        crop_at: Middle of what is kept, from the image's, in shares of the sides: x, y, and z of a volume.
        gamma: Exponent of the intensities.
        saturation: Factor on the distance from grey.
        hue: Turns of the colour circle.
        pca_colour: Shares of the deviations along the three principal axes of the colours.
        stain_factor: Factor on the concentration of each stain.
        stain_offset: Added to the concentration of each stain.
        cutout: Side of the square that is covered, as a share of the sides.
        cutout_at: Its middle in shares of the sides from the first pixel: x, y, and z of a volume.

    Example:
        >>> from tinymed.data import apply_geometry
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
    turns: int = 0
    shear: float = 0.0
    crop: float = 1.0
    crop_at: Triple = (0.0, 0.0, 0.0)
    gamma: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    pca_colour: Triple = (0.0, 0.0, 0.0)
    stain_factor: Triple = (1.0, 1.0, 1.0)
    stain_offset: Triple = (0.0, 0.0, 0.0)
    cutout: float = 0.0
    cutout_at: Triple = (0.5, 0.5, 0.5)


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
    u = (draw(seed, epoch, np.array([index]))[0] if uniform is None else uniform).tolist()
    low, high = augment.scale
    drawn: dict[str, Any] = {
        "flip_x": augment.horizontal_flip and u[0] < 0.5,
        "flip_y": augment.vertical_flip and u[1] < 0.5,
        "angle": math.radians(augment.rotate) * (2 * u[2] - 1),
        "shift_x": augment.shift * (2 * u[3] - 1),
        "shift_y": augment.shift * (2 * u[4] - 1),
        "scale": low + (high - low) * u[5],
        "brightness": augment.brightness * (2 * u[6] - 1),
        "contrast": 1 + augment.contrast * (2 * u[7] - 1),
        "noise": augment.noise,
        "elastic": augment.elastic,
        "elastic_grid": augment.elastic_grid,
        "ticket": (seed, step_of(epoch, index)),
        "border": augment.border,
        "fill": augment.fill,
    }
    if augment.turns:
        drawn["turns"] = int(4 * u[8])
    if augment.shear:
        drawn["shear"] = math.radians(augment.shear) * (2 * u[9] - 1)
    if augment.crop != 1:
        crop = drawn["crop"] = augment.crop + (1 - augment.crop) * u[10]
        drawn["crop_at"] = symmetric_triple((1 - crop) / 2, u[11:14])
    if augment.cutout:
        drawn["cutout"], drawn["cutout_at"] = augment.cutout, (u[23], u[24], u[25])
    return Parameters(**drawn, **colour_parameters(augment, u))


def colour_parameters(augment: Augment, u: list[float]) -> dict[str, Any]:
    """Return what is drawn of gamma and colours, by the names of `Parameters`; what is not changed is left out."""
    drawn: dict[str, Any] = {}
    if augment.gamma:
        drawn["gamma"] = (1 + augment.gamma) ** (2 * u[14] - 1)
    if augment.saturation:
        drawn["saturation"] = 1 + augment.saturation * (2 * u[15] - 1)
    if augment.hue:
        drawn["hue"] = augment.hue * (2 * u[16] - 1)
    if augment.stain:
        drawn["stain_factor"] = symmetric_triple(augment.stain, u[17:20], 1.0)
        drawn["stain_offset"] = symmetric_triple(augment.stain, u[20:23])
    if augment.pca_colour:
        one, two, three = normal_triple(u[26:30])
        drawn["pca_colour"] = augment.pca_colour * one, augment.pca_colour * two, augment.pca_colour * three
    return drawn


def symmetric_triple(most: float, u: list[float], middle: float = 0.0) -> Triple:
    """Return three numbers that are uniform in middle +- most."""
    x, y, z = u
    return middle + most * (2 * x - 1), middle + most * (2 * y - 1), middle + most * (2 * z - 1)


def normal_triple(u: list[float]) -> Triple:
    """Return three standard normal numbers of four uniform ones (Box & Muller 1958)."""
    one, two = math.sqrt(-2 * math.log(u[0])), math.sqrt(-2 * math.log(u[2]))
    turn = 2 * math.pi
    return one * math.cos(turn * u[1]), one * math.sin(turn * u[1]), two * math.cos(turn * u[3])
