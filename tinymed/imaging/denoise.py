"""Filters that keep edges: median, bilateral and non-local means."""

import math
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, check_number, check_size, cube, float_type, is_whole, pixels, white, window
from .filters import filtered, whole_numbers
from .registry import operation

MAX_SIZE_OF_SEARCH = 2048  # patch times search: more would take minutes a picture


@kernel(flops=lambda x, sizes, *_: 8 * x.size * math.prod(sizes))
def median_filter(xp: Any, x: Array, sizes: tuple[int, int, int], at0: Array, at1: Array, at2: Array) -> Array:
    """Return the median of x [depth, height, width, channels] over windows of odd sizes; NaN where one is NaN."""
    d, h, w = x.shape[:3]
    shifts = []
    for i in range(sizes[0]):
        planes = xp.take(x, at0[i : i + d], 0)
        for j in range(sizes[1]):
            rows = xp.take(planes, at1[j : j + h], 1)
            shifts += [xp.take(rows, at2[k : k + w], 2) for k in range(sizes[2])]
    ordered = xp.sort(xp.stack(shifts), axis=0)
    middle = ordered[len(shifts) // 2]
    return middle if is_whole(x) else xp.where(xp.isnan(ordered[-1]), xp.nan, middle).astype(x.dtype)


@operation()
def median(image: Array, size: int = 3, border: str = "edge") -> Array:
    """Return the median of each pixel's square window, channel by channel; of a volume, of its cube.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the window, odd, pixels.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> median(np.array([[5, 5, 5], [5, 200, 5], [5, 5, 5]], np.uint8)).max()
        np.uint8(5)
    """
    found = pixels(image, "median")
    sizes = cube(found, check_size(size))
    return found.back(table().median_filter(found.values, sizes, *window(found, sizes, border)))


@kernel(out=filtered, flops=lambda x, space, *_: 8 * x.size * space.size)
def bilateral_filter(
    xp: Any, x: Array, space: Array, tones: Array, factor: float, at1: Array, at2: Array, whole: bool
) -> Array:
    """Return the mean over a window, weighted by nearness in place and in colour.

    x [depth, height, width, channels], a plane by itself; the difference of two colours is the sum over channels of
    |a - b|.

    Args:
        xp: The array module.
        x: The image.
        space: [size, size], the weights of places; 0 leaves a place out.
        tones: The weight of each whole difference; empty of floating-point images, whose weight is
            exp(factor difference^2).
        factor: See tones.
        at1: Positions of the windows along the height.
        at2: Positions along the width.
        whole: Round the result to x's dtype.
    """
    values = x.astype(float_type(x.dtype))
    h, w = x.shape[1:3]
    weighted, total = xp.zeros_like(values), xp.zeros((*x.shape[:3], 1), values.dtype)
    for i in range(space.shape[0]):
        rows = xp.take(values, at1[i : i + h], 1)
        for j in range(space.shape[1]):
            other = xp.take(rows, at2[j : j + w], 2)
            difference = xp.abs(other - values).sum(axis=3, keepdims=True)
            if whole:
                weight = space[i, j] * xp.take(tones, difference.astype(xp.int64))
            else:
                weight = space[i, j] * xp.exp(values.dtype.type(factor) * difference * difference)
            used = space[i, j] > 0
            weighted = xp.where(used, weighted + weight * other, weighted)
            total = xp.where(used, total + weight, total)
    result = weighted / total
    return whole_numbers(xp, result, x) if whole else result


@operation()
def bilateral(
    image: Array, radius: int = 3, sigma_color: float = 0.1, sigma: float = 2.0, border: str = "reflect"
) -> Array:
    """Return the image smoothed within its edges: the mean of near pixels of like colour.

    A pixel of the disc around weighs exp(-distance^2 / (2 sigma^2)) exp(-difference^2 / (2 sigma_color^2)), the
    difference of two colours being the sum of the channels' differences, as in OpenCV.

    Args:
        image: [height, width] or [height, width, 1 or 3].
        radius: Of the disc, pixels.
        sigma_color: Standard deviation of colours, as a share of white.
        sigma: Standard deviation of places, pixels.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype; whole numbers are rounded.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> bilateral(np.array([[10, 12, 10, 200, 202, 200]], np.uint8), radius=2).tolist()
        [[11, 11, 11, 201, 201, 201]]

    Reference:
        Tomasi & Manduchi, ICCV 1998.
    """
    found = pixels(image, "bilateral", volumes=False, channels=(1, 3))
    x, radius = found.values, int(check_number("radius", radius, 1, 50))
    kind, top = float_type(x.dtype), white(x.dtype)
    factor = -0.5 / (check_number("sigma_color", sigma_color, 0, above=True) * top) ** 2
    offset = np.arange(-radius, radius + 1)
    distance = offset[:, None] ** 2 + offset**2
    space = np.exp(-0.5 * distance / check_number("sigma", sigma, 0, above=True) ** 2) * (distance <= radius**2)
    levels = np.arange(int(top) * x.shape[3] + 1 if is_whole(x) else 0)
    xp = table().xp
    weights, tones = (xp.asarray(a.astype(kind)) for a in (space, np.exp(factor * levels.astype(np.float64) ** 2)))
    _, at1, at2 = window(found, (1, 2 * radius + 1, 2 * radius + 1), border)
    return found.back(table().bilateral_filter(x, weights, tones, factor, at1, at2, is_whole(x)))


@kernel(out=filtered, flops=lambda x, patch, search, *_: x.size * search**2 * (2 * patch + 9))
def non_local_filter(
    xp: Any, x: Array, patch: int, search: int, factor: float, noise: float, at1: Array, at2: Array, whole: bool
) -> Array:
    """Return the mean over a search window, weighted by the likeness of the patches around two pixels.

    x [depth, height, width, channels], a plane by itself.  A weight is exp(factor max(0, D - noise)), D being the mean
    squared difference of two patches over pixels and channels.  at1, at2: positions of windows of patch + search - 1.
    """
    values = x.astype(float_type(x.dtype))
    h, w = x.shape[1:3]
    padded = xp.take(xp.take(values, at1, 1), at2, 2)
    margin = search // 2
    inside = padded[:, margin : margin + h + patch - 1, margin : margin + w + patch - 1]
    weighted, total = xp.zeros_like(values), xp.zeros((*x.shape[:3], 1), values.dtype)
    scale = values.dtype.type(1 / (patch * patch * x.shape[3]))
    for i in range(search):
        for j in range(search):
            moved = padded[:, i : i + h + patch - 1, j : j + w + patch - 1]
            square = ((moved - inside) ** 2).sum(axis=3, keepdims=True)
            distance = sum_runs(sum_runs(square, patch, h, 1), patch, w, 2) * scale
            weight = xp.exp(values.dtype.type(factor) * xp.maximum(distance - values.dtype.type(noise), 0))
            start = patch // 2
            weighted = weighted + weight * moved[:, start : start + h, start : start + w]
            total = total + weight
    result = weighted / total
    return whole_numbers(xp, result, x) if whole else result


def sum_runs(x: Array, size: int, n: int, axis: int) -> Array:
    """Return the sums of the n runs of `size` neighbours along an axis."""
    runs = [x[(slice(None),) * axis + (slice(t, t + n),)] for t in range(size)]
    return sum(runs[1:], start=runs[0])


@operation()
def non_local_means(
    image: Array, h: float = 0.04, patch: int = 5, search: int = 13, noise: float = 0.0, border: str = "reflect"
) -> Array:
    """Return the image denoised by its own repetitions: the mean of pixels whose surroundings are alike.

    A pixel of the search window weighs exp(-max(0, D - 2 noise^2) / h^2), D being the mean squared difference of the
    patches around both.

    Args:
        image: [height, width] or [height, width, 1 or 3].
        h: How unlike patches may be, as a share of white: larger smooths more.
        patch: Side of a patch, odd, pixels.
        search: Side of the search window, odd, pixels.
        noise: Standard deviation of the noise, as a share of white, where it is known.
        border: What stands beyond an edge: "reflect" or "edge".

    Returns:
        The like of the image, in its dtype; whole numbers are rounded.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> flat = np.full((8, 8), 50, np.uint8)
        >>> bool((non_local_means(flat) == flat).all())
        True

    Reference:
        Buades, Coll & Morel, CVPR 2005; Darbon et al., ISBI 2008.
    """
    found = pixels(image, "non_local_means", volumes=False, channels=(1, 3))
    patch, search = check_size(patch, "patch"), check_size(search, "search")
    top = white(found.values.dtype)
    if patch * search > MAX_SIZE_OF_SEARCH:
        raise UserError(f"patch x search is at most {MAX_SIZE_OF_SEARCH}, got {patch} x {search}; make one smaller")
    factor = -1 / (check_number("h", h, 0, above=True) * top) ** 2
    excess = 2 * (check_number("noise", noise, 0) * top) ** 2
    _, at1, at2 = window(found, (1, patch + search - 1, patch + search - 1), border)
    whole = is_whole(found.values)
    return found.back(table().non_local_filter(found.values, patch, search, factor, excess, at1, at2, whole))
