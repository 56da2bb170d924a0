"""Intensities, pixel by pixel: look-up tables, window and level, gamma, contrast stretch, pseudo-colour.

What changes whole numbers pixel by pixel is a table of all their values, made once in float64; so every backend gives
the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, Pixels, by_pixel, check_number, is_whole, pixels, white
from .registry import operation


def looked_up(x: Array, values: Array) -> list[Any]:
    """Return the output of a look-up: as many channels as the image or the table has."""
    return [((*x.shape[:-1], max(x.shape[-1], values.shape[1])), values.dtype)]


@kernel(out=looked_up, flops=lambda x, values: 0)
def apply_table(xp: Any, x: Array, values: Array) -> Array:
    """Return values[x]: each channel of x [pixels, channels] by its own column of values [levels, channels].

    One column serves all channels, one channel may become several: y[..., c] = values[x[..., c or 0], c or 0].
    """
    if values.shape[1] == 1:
        return xp.take(values[:, 0], x)
    return values[x, xp.arange(values.shape[1])]


@kernel(flops=lambda x, *_: 4 * x.size)
def linear_map(xp: Any, x: Array, scale: float, shift: float) -> Array:
    """Return scale x + shift of floating-point numbers, clipped to 0 ... 1."""
    return xp.clip(x * x.dtype.type(scale) + x.dtype.type(shift), 0, 1)


@kernel(flops=lambda x, *_: 20 * x.size)
def power_map(xp: Any, x: Array, exponent: float) -> Array:
    """Return x^exponent of floating-point numbers, clipped to 0 ... 1 before."""
    return xp.clip(x, 0, 1) ** x.dtype.type(exponent)


def table_of(shares: np.ndarray, dtype: Any) -> Array:
    """Return a column of whole numbers, of shares of white clipped to 0 ... 1, where images lie."""
    column = np.rint(np.clip(shares, 0, 1) * white(dtype)).astype(dtype)
    return table().xp.asarray(column[:, None])


def by_table(image: Pixels, change: Callable[[np.ndarray], np.ndarray]) -> Array:
    """Return whole numbers changed by a function from them, in float64, to shares of white."""
    dtype = image.values.dtype
    return by_pixel(table().apply_table, image.values, table_of(change(np.arange(white(dtype) + 1)), dtype))


@operation()
def window_level(image: Array, window: float = 1.0, level: float = 0.5) -> Array:
    """Return the image with a window of its intensities spread over black to white, as a radiologist sets it.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        window: Width of the window, as a share of white.
        level: Its middle, as a share of white; below level - window / 2 all is black, above level + window / 2 white.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> window_level(np.array([[0, 51, 102, 153, 255]], np.uint8), window=0.4, level=0.4).tolist()
        [[0, 0, 128, 255, 255]]
    """
    found = pixels(image, "window_level")
    low = check_number("level", level, -1e6) - check_number("window", window, 0, above=True) / 2
    if is_whole(found.values):
        top = white(image.dtype)
        return found.back(by_table(found, lambda x: (x - low * top) / (window * top)))
    return found.back(table().linear_map(found.values, 1 / window, -low / window))


@operation()
def gamma(image: Array, exponent: float = 1.0) -> Array:
    """Return image^exponent on the scale 0 (black) to 1 (white): below 1 brightens, above 1 darkens.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        exponent: Above 0.

    Returns:
        The like of the image, in its dtype; floating-point pixels are clipped to 0 ... 1.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> gamma(np.array([[0, 64, 255]], np.uint8), exponent=0.5).tolist()
        [[0, 128, 255]]
    """
    found = pixels(image, "gamma")
    exponent = check_number("exponent", exponent, 0, above=True)
    if is_whole(found.values):
        return found.back(by_table(found, lambda x: (x / white(image.dtype)) ** exponent))
    return found.back(table().power_map(found.values, exponent))


# Colours along each scale at equal steps; between them colours are mixed linearly.
SCALES = {
    "hot": ((0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)),
    "cool": ((0, 1, 1), (1, 0, 1)),
    "bone": ((0, 0, 0), (0.33, 0.33, 0.46), (0.66, 0.78, 0.78), (1, 1, 1)),
    "rainbow": ((0, 0, 1), (0, 1, 1), (0, 1, 0), (1, 1, 0), (1, 0, 0)),
    "viridis": ((0.27, 0, 0.33), (0.23, 0.32, 0.55), (0.13, 0.57, 0.55), (0.37, 0.79, 0.38), (0.99, 0.91, 0.14)),
    "inverse": ((1, 1, 1), (0, 0, 0)),
}


def colour_scale(name: str, count: int = 256) -> np.ndarray:
    """Return red, green and blue from black to white along a scale of colours.

    Args:
        name: "hot", "cool", "bone", "rainbow", "viridis" or "inverse".
        count: Of colours.

    Returns:
        float64 [count, 3], 0 ... 1.

    Raises:
        UserError: There is no such scale.

    Example:
        >>> colour_scale("hot", 4).tolist()
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [1.0, 1.0, 1.0]]
    """
    if name not in SCALES:
        raise UserError(f"scale is {', '.join(SCALES)}, got {name!r}")
    stops = np.array(SCALES[name], float)
    at = np.linspace(0, len(stops) - 1, count)
    return np.stack([np.interp(at, np.arange(len(stops)), stops[:, c]) for c in range(3)], axis=1)


@operation(keeps=False)
def pseudo_colour(image: Array, scale: str = "hot") -> Array:
    """Return a grey image in colours, by a look-up table of 256 of them.

    Args:
        image: [height, width], [height, width, 1] or a volume [depth, height, width, 1].
        scale: "hot", "cool", "bone", "rainbow", "viridis" or "inverse".

    Returns:
        uint8 [..., 3].  Deeper pixels are looked up by the nearest of 256 levels.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> pseudo_colour(np.array([[0, 85, 255]], np.uint8)).tolist()
        [[[0, 0, 0], [255, 0, 0], [255, 255, 255]]]
    """
    found, xp = pixels(image, "pseudo_colour", channels=(1,)), table().xp
    x = found.values
    if x.dtype != np.uint8:
        x = xp.rint(xp.clip(x, 0, white(x.dtype)) * (255 / white(x.dtype))).astype(np.uint8)
    colours = xp.asarray(np.rint(colour_scale(scale) * 255).astype(np.uint8))
    return found.back(by_pixel(table().apply_table, x, colours))
