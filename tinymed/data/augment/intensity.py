"""What happens to the intensities of an image, one change after the other; never to its mask, boxes or landmarks.

    stains -> saturation -> hue -> principal colours -> gamma -> contrast, brightness, noise -> clipped -> cutout

`apply_intensity` computes by the compiled loops of loops_colour.py and loops_noise.py; the functions here and in
colour.py are their definitions.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import random
from . import colour
from .drawing import Parameters

NO_NOISE = np.zeros(0, np.float32)


def apply_intensity(image: np.ndarray, drawn: Parameters, *, reference: bool = False) -> np.ndarray:
    """Change colours and intensities, and clip to 0...1.

    Args:
        image: Floating point [height, width, channels] in 0...1.
        drawn: What `parameters` drew.
        reference: Compute by the definitions in NumPy, not by the compiled loops.

    Returns:
        An array of the same shape and dtype; the image itself where nothing changes.

    Raises:
        ValueError: A change of colours is asked of an image that has not three channels.

    Example:
        >>> apply_intensity(np.array([[[0.25], [0.75]]]), Parameters(brightness=0.5)).ravel()
        array([0.75, 1.  ])
    """
    if image.shape[-1] != 3 and (drawn.saturation != 1 or drawn.hue or changes_stains(drawn)):
        raise ValueError(f"apply_intensity: colours are of red, green and blue, got {image.shape[-1]} channel(s)")
    compute = by_definition if reference or image.dtype != np.float32 else by_loops
    changed = compute(image, drawn)
    return cover(changed, drawn, changed is image) if drawn.cutout else changed


def changes_stains(drawn: Parameters) -> bool:
    """Return whether the stains are changed."""
    return drawn.stain_factor != (1.0, 1.0, 1.0) or drawn.stain_offset != (0.0, 0.0, 0.0)


def changes_tone(drawn: Parameters) -> bool:
    """Return whether contrast, brightness or noise change the image."""
    return drawn.contrast != 1 or drawn.brightness != 0 or drawn.noise != 0


def by_definition(image: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Return the image after all changes but the cutout, in NumPy."""
    out = image
    if changes_stains(drawn):
        out = colour.change_stains(out, drawn.stain_factor, drawn.stain_offset).astype(image.dtype)
    if drawn.saturation != 1:
        out = colour.change_saturation(out, drawn.saturation)
    if drawn.hue:
        out = colour.change_hue(out, drawn.hue)
    if any(drawn.pca_colour):
        out = np.clip(out + colour.principal_shift(out, drawn.pca_colour).astype(image.dtype), 0, 1)
    if drawn.gamma != 1:
        out = change_gamma(out, drawn.gamma, 0.0, 1.0)
    if changes_tone(drawn):
        out = np.clip(change_tone(out, drawn, out.mean(dtype=np.float64)), 0, 1)
    return out


def change_gamma(image: np.ndarray, exponent: float, low: float, span: float) -> np.ndarray:
    """Return low + span ((image - low) / span)^exponent."""
    kind = image.dtype.type
    share = np.maximum(image - kind(low), 0) / kind(span)
    changed: np.ndarray = kind(low) + kind(span) * share ** kind(exponent)
    return changed


def change_tone(image: np.ndarray, drawn: Parameters, middle: float) -> np.ndarray:
    """Return middle + contrast (image - middle) + brightness + noise."""
    kind = image.dtype.type
    out: Any = image
    if drawn.contrast != 1:
        out = image * kind(drawn.contrast) + kind(middle * (1 - drawn.contrast))
    if drawn.brightness:
        out = out + kind(drawn.brightness)
    if drawn.noise:
        seed, step = drawn.ticket
        values = random.normal(image.size, seed, random.NOISE, step).reshape(image.shape)
        out = out + (values * drawn.noise).astype(image.dtype)
    changed: np.ndarray = out
    return changed


def by_loops(image: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Return the image after all changes but the cutout, by the compiled loops: as by_definition, to rounding."""
    stains, tone, principal = changes_stains(drawn), changes_tone(drawn), any(drawn.pca_colour)
    if not (stains or tone or principal or drawn.saturation != 1 or drawn.hue or drawn.gamma != 1):
        return image
    from . import loops_colour as loops

    out = image.copy(order="C")
    flat, pixels, f4 = out.reshape(-1), out.reshape(-1, out.shape[-1]), np.float32
    if stains:
        matrix, offset = colour.stain_map(drawn.stain_factor, drawn.stain_offset)
        loops.change_stains(flat, matrix.astype(f4), offset.astype(f4))
    if drawn.saturation != 1:
        loops.change_saturation(pixels, f4(drawn.saturation), f4(1 - drawn.saturation))
    if drawn.hue:
        loops.change_hue(pixels, np.empty((3, len(pixels)), f4), f4(6 * drawn.hue))
    if principal:
        sums, products = np.empty(pixels.shape[1]), np.empty((pixels.shape[1], pixels.shape[1]))
        loops.colour_sums(pixels, sums, products)
        loops.add_colour(pixels, colour.shift_along_axes(sums, products, len(pixels), drawn.pca_colour))
    if drawn.gamma != 1:
        loops.change_gamma(flat, f4(drawn.gamma), f4(0), f4(1))
    if tone:
        middle = out.mean(dtype=np.float64) if drawn.contrast != 1 else 0.0
        tone_by_loop(flat, drawn, middle, (0.0, 1.0))
    return out


def tone_by_loop(flat: np.ndarray, drawn: Parameters, middle: float, limits: tuple[float, float]) -> None:
    """Do what `change_tone` does in place, and hold the result to the limits."""
    from . import loops_colour, loops_noise

    f4, (seed, step) = np.float32, drawn.ticket
    noise = loops_noise.noise(flat.size, drawn.noise, seed, random.NOISE, step) if drawn.noise else NO_NOISE
    contrast, centre = f4(drawn.contrast), f4(middle * (1 - drawn.contrast))
    loops_colour.change_tone(flat, noise, contrast, centre, f4(drawn.brightness), f4(limits[0]), f4(limits[1]))


def cover(image: np.ndarray, drawn: Parameters, copied: bool) -> np.ndarray:
    """Return an image with a square covered by the mean of its values; what lies outside the image is cut.

    The middle is anywhere in the image.  copied: do not write into the image that was given.

    Reference:
        DeVries & Taylor, arXiv 1708.04552, 2017, who cover by the mean of the training set.
    """
    out = image.copy() if copied else image
    out[covered(image.shape[:-1], drawn)] = image.mean(dtype=np.float64)
    return out


def covered(space: Sequence[int], drawn: Parameters) -> tuple[slice, ...]:
    """Return the place of the square, or cube, in an image of these sides."""
    x, y, z = drawn.cutout_at
    middles = (y, x) if len(space) == 2 else (x, y, z)
    return tuple(slice(*side_covered(m, drawn.cutout, n)) for m, n in zip(middles, space, strict=True))


def side_covered(middle: float, share: float, size: int) -> tuple[int, int]:
    """Return the first pixel and the one after the last, along an axis of `size` pixels."""
    length = round(share * size)
    start = int(middle * size) - length // 2
    return max(start, 0), min(start + length, size)
