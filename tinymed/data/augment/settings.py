"""How far images may be changed: what a user sets, checked."""

import math
from dataclasses import dataclass

from ...errors import UserError

BORDERS = ("reflect", "edge", "constant")
# (name, least, most, what lies beyond) of the settings that are one number
RANGES = (
    ("rotate", 0, math.inf, ""),
    ("shear", 0, 89, "at 90 degrees an image would be a line"),
    ("shift", 0, math.inf, ""),
    ("noise", 0, math.inf, ""),
    ("brightness", 0, math.inf, ""),
    ("contrast", 0, 1, "above, images would be inverted"),
    ("gamma", 0, math.inf, ""),
    ("saturation", 0, 1, "above, colours would be inverted"),
    ("hue", 0, 0.5, "half a turn reaches every colour"),
    ("pca_colour", 0, math.inf, ""),
    ("stain", 0, 1, "above, stains would be inverted"),
    ("cutout", 0, 1, "the square would be larger than the image"),
    ("elastic", 0, math.inf, ""),
)
COLOUR = ("saturation", "hue", "stain")  # what only images of red, green and blue have


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
        turns: Turn by 0, 90, 180 or 270 degrees, each with probability 1/4; what is not square by 0 or 180.
        shear: Degrees; columns lean by an angle that is uniform in +-shear.
        crop: Smallest share of each side that a random crop keeps; it is enlarged to the image's size.
        gamma: The exponent of the intensities is (1 + gamma)^u, u uniform in +-1.
        saturation: Factor on the distance from the pixel's grey, uniform in 1 +- saturation.
        hue: Turns of the colour circle, uniform in +-hue; at most 0.5.
        pca_colour: Deviation of the shares of the colours' own deviations that are added along their principal axes.
        stain: Factor 1 +- stain on each stain's concentration, and +-stain added to it.
        cutout: Side of a square that is covered by the image's mean, as a share of the image's sides.

    Raises:
        UserError: A value is negative, not finite or out of range.

    Example:
        >>> from tinymed.data import augment_image
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
    turns: bool = False
    shear: float = 0.0
    crop: float = 1.0
    gamma: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    pca_colour: float = 0.0
    stain: float = 0.0
    cutout: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", tuple(self.scale))
        for name, least, most, beyond in RANGES:
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= least):
                raise UserError(f"augment: {name} is a finite number, {least} or more, got {value}")
            if value > most:
                raise UserError(f"augment: {name} is at most {most}, got {value}; {beyond}")
        if len(self.scale) != 2 or not 0 < self.scale[0] <= self.scale[1] < math.inf:
            raise UserError(f"augment: scale is (low, high) with 0 < low <= high, got {self.scale}")
        if not 0 < self.crop <= 1:
            raise UserError(f"augment: crop is a share of the side above 0 and at most 1, got {self.crop}")
        if not 2 <= self.elastic_grid <= 64:
            raise UserError(f"augment: elastic_grid is from 2 to 64 points a side, got {self.elastic_grid}")
        if self.border not in BORDERS:
            raise UserError(f"augment: border is one of {', '.join(BORDERS)}, got {self.border!r}")
        if not math.isfinite(self.fill):
            raise UserError(f"augment: fill is a finite number, got {self.fill}")

    def check_channels(self, channels: int) -> None:
        """Raise UserError where colours are to be changed of images that have none."""
        for name in COLOUR:
            if getattr(self, name) and channels != 3:
                raise UserError(f"augment: {name} is of red, green and blue, and the images have {channels} channel(s)")
