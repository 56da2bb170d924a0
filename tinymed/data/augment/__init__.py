"""Seeded augmentation: what is drawn depends on (seed, epoch, image) alone, never on worker, batch or resume.

Geometry and intensity are separate, so that masks, boxes and landmarks can follow their image:

    drawn = parameters(augment, seed, epoch, index)
    image = apply_intensity(apply_geometry(image, drawn), drawn)
    mask = apply_geometry(mask, drawn, order=0)
    landmarks = apply_points(landmarks, drawn, mask.shape[:2])

Each change is defined in NumPy and computed by a compiled loop, which has its results:

    settings            Augment: how far images may be changed
    drawing             Parameters: what was drawn for one image
    geometry, points    one map of the plane: of images and masks, of landmarks and boxes
    volume_map          the same of space, for augment3d.py
    intensity, colour   what happens to values, image by image
    mixing              mixup and cutmix, which act on batches
    loops_geometry, loops_colour, loops_noise, loops_mixing    the same, compiled
"""

import numpy as np

from .drawing import WORDS, Parameters, draw, parameters, step_of
from .geometry import apply_geometry, reflect, resample
from .intensity import apply_intensity
from .mixing import Mixing, mix_batch
from .points import apply_boxes, apply_points
from .settings import BORDERS, Augment

__all__ = [
    "BORDERS",
    "WORDS",
    "Augment",
    "Mixing",
    "Parameters",
    "apply_boxes",
    "apply_geometry",
    "apply_intensity",
    "apply_points",
    "augment_image",
    "draw",
    "mix_batch",
    "parameters",
    "reflect",
    "resample",
    "step_of",
]


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
