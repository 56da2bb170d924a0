"""Linear filters: mean and Gaussian blur, sharpening.  Each is a sum over a window, an axis after the other."""

import math
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from .arrays import (
    Array,
    Pixels,
    check_number,
    check_size,
    cube,
    float_type,
    is_whole,
    pixels,
    white,
    window,
)
from .registry import operation

MAX_SIGMA = 100.0


def filtered(x: Array, *args: Any) -> list[Any]:
    """Return the output of a filter: like x, or floating-point where `whole`, the last argument, is False."""
    return [(x.shape, x.dtype if args[-1] else float_type(x.dtype))]


def window_sum(xp: Any, x: Array, taps: Array, at: Array, axis: int) -> Array:
    """Return the weighted sum of x over the windows along one axis, a tap after the other."""
    n = x.shape[axis]
    total = xp.take(x, at[:n], axis) * taps[0]
    for t in range(1, taps.size):
        total = total + xp.take(x, at[t : t + n], axis) * taps[t]
    return total


def whole_numbers(xp: Any, values: Array, like: Array) -> Array:
    """Return the nearest whole numbers, of two the even one, within the range of the image's dtype."""
    return xp.clip(xp.rint(values), 0, white(like.dtype)).astype(like.dtype)


@kernel(out=filtered, flops=lambda x, t0, t1, t2, *_: 2 * x.size * (t0.size + t1.size + t2.size))
def separable_filter(
    xp: Any, x: Array, taps0: Array, taps1: Array, taps2: Array, at0: Array, at1: Array, at2: Array, whole: bool
) -> Array:
    """Return x [depth, height, width, channels] summed with weights along depth, then height, then width.

    at0, at1, at2: the positions of the windows, see `arrays`.  whole: round the result to x's dtype.
    """
    total = x.astype(float_type(x.dtype))
    for axis, (taps, at) in enumerate(((taps0, at0), (taps1, at1), (taps2, at2))):
        total = window_sum(xp, total, taps, at, axis)
    return whole_numbers(xp, total, x) if whole else total


@kernel(out=filtered, flops=lambda x, t0, t1, t2, *_: 2 * x.size * (t0.size + t1.size + t2.size + 2))
def unsharp_filter(
    xp: Any,
    x: Array,
    taps0: Array,
    taps1: Array,
    taps2: Array,
    at0: Array,
    at1: Array,
    at2: Array,
    amount: float,
    whole: bool,
) -> Array:
    """Return x + amount (x - blurred), blurred by separable_filter."""
    values = x.astype(float_type(x.dtype))
    amount = values.dtype.type(amount)
    sharp = values + amount * (values - separable_filter(xp, x, taps0, taps1, taps2, at0, at1, at2, False))
    return whole_numbers(xp, sharp, x) if whole else sharp


@kernel(flops=lambda x, sizes, *_: x.size * sum(sizes))
def mean_filter(xp: Any, x: Array, sizes: tuple[int, int, int], at0: Array, at1: Array, at2: Array) -> Array:
    """Return the mean of whole numbers x [depth, height, width, channels] over windows, exactly summed and rounded."""
    total = x.astype(xp.int64)
    for axis, at in enumerate((at0, at1, at2)):
        total = window_sum(xp, total, xp.ones(sizes[axis], xp.int64), at, axis)
    return whole_numbers(xp, total / math.prod(sizes), x)


def gaussian_taps(sigma: float, truncate: float = 4.0) -> np.ndarray:
    """Return float64 weights of a Gaussian, cut at `truncate` standard deviations, that sum to 1.

    Example:
        >>> gaussian_taps(0.5).round(3).tolist()
        [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    radius = int(truncate * sigma + 0.5)
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / max(sigma, 1e-12)) ** 2)
    taps: np.ndarray = weights / weights.sum()
    return taps


def window_of_taps(image: Pixels, taps: np.ndarray, border: str) -> list[Array]:
    """Return the weights along three axes and their positions, of the same blur along each axis of an image."""
    xp, kind = table().xp, float_type(image.values.dtype)
    weights = [xp.asarray((taps if size > 1 else np.ones(1)).astype(kind)) for size in cube(image, taps.size)]
    return [*weights, *window(image, [w.size for w in weights], border)]


def blur(image: Pixels, taps: np.ndarray, border: str) -> Array:
    """Return a blurred image as kernels take it, in its own dtype."""
    return table().separable_filter(image.values, *window_of_taps(image, taps, border), is_whole(image.values))


@operation()
def mean(image: Array, size: int = 3, border: str = "reflect") -> Array:
    """Return the mean of each pixel's square window; of a volume, of its cube.

    Whole numbers are summed exactly; their mean is rounded, of two equally near to the even one.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the window, odd, pixels.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> mean(np.array([[0, 0, 9], [0, 0, 0], [0, 0, 0]], np.uint8)).tolist()
        [[0, 1, 1], [0, 1, 1], [0, 0, 0]]
    """
    found, size = pixels(image, "mean"), check_size(size)
    if not is_whole(found.values):
        return found.back(blur(found, np.full(size, 1 / size), border))
    sizes = cube(found, size)
    return found.back(table().mean_filter(found.values, sizes, *window(found, sizes, border)))


@operation()
def gaussian(image: Array, sigma: float = 1.0, border: str = "reflect") -> Array:
    """Return the image blurred by a Gaussian, cut at four standard deviations.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        sigma: Standard deviation, pixels; 0 changes nothing.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype; whole numbers are rounded.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> gaussian(np.array([[0, 0, 0, 0, 80, 0, 0, 0, 0]], np.uint8), sigma=0.5).tolist()
        [[0, 0, 0, 9, 63, 9, 0, 0, 0]]
    """
    found = pixels(image, "gaussian")
    return found.back(blur(found, gaussian_taps(check_number("sigma", sigma, 0, MAX_SIGMA)), border))


@operation()
def sharpen(image: Array, sigma: float = 1.0, amount: float = 1.0, border: str = "reflect") -> Array:
    """Return the image with its fine detail enlarged: an unsharp mask.

    The detail is what a Gaussian blur takes away, image - blurred; `amount` times it is added.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        sigma: Standard deviation of the blur, pixels.
        amount: Factor of the detail; 0 changes nothing.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype; whole numbers are rounded and clipped, others may leave 0 ... 1.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> sharpen(np.array([[90, 90, 90, 120, 120, 120]], np.uint8), sigma=0.5).tolist()
        [[90, 90, 87, 123, 120, 120]]
    """
    found = pixels(image, "sharpen")
    taps = gaussian_taps(check_number("sigma", sigma, 0, MAX_SIGMA))
    amount = float(check_number("amount", amount, 0, 100))
    whole = is_whole(found.values)
    return found.back(table().unsharp_filter(found.values, *window_of_taps(found, taps, border), amount, whole))
