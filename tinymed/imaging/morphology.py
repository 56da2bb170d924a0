"""Morphology: the smallest and the largest of a neighbourhood, and what is made of them."""

import functools
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from ..errors import UserError
from .arrays import Array, Pixels, check_size, cube, pixels, window
from .registry import operation

SHAPES = ("square", "disk", "cross")


@kernel(flops=lambda x, sizes, *_: x.size * sum(sizes))
def extreme_box(
    xp: Any, x: Array, sizes: tuple[int, int, int], at0: Array, at1: Array, at2: Array, largest: bool
) -> Array:
    """Return the smallest or largest of x [depth, height, width, channels] over boxes; NaN where one is NaN."""
    better = xp.maximum if largest else xp.minimum
    for axis, at in enumerate((at0, at1, at2)):
        n = x.shape[axis]
        result = xp.take(x, at[:n], axis)
        for t in range(1, sizes[axis]):
            result = better(result, xp.take(x, at[t : t + n], axis))
        x = result
    return x


@kernel(flops=lambda x, sizes, *_: 2 * x.size * sum(sizes))
def opened_box(
    xp: Any, x: Array, sizes: tuple[int, int, int], at0: Array, at1: Array, at2: Array, closed: bool
) -> Array:
    """Return x eroded over boxes, then dilated; if closed, dilated, then eroded."""
    inner = extreme_box(xp, x, sizes, at0, at1, at2, closed)
    return extreme_box(xp, inner, sizes, at0, at1, at2, not closed)


@kernel(flops=lambda x, footprint, *_: x.size * footprint.size)
def extreme_filter(xp: Any, x: Array, footprint: Array, at0: Array, at1: Array, at2: Array, largest: bool) -> Array:
    """Return the smallest or largest of x over the places where footprint [depth, height, width] is not 0."""
    better = xp.maximum if largest else xp.minimum
    d, h, w = x.shape[:3]
    result = x
    for i in range(footprint.shape[0]):
        planes = xp.take(x, at0[i : i + d], 0)
        for j in range(footprint.shape[1]):
            rows = xp.take(planes, at1[j : j + h], 1)
            for k in range(footprint.shape[2]):
                result = xp.where(footprint[i, j, k] > 0, better(result, xp.take(rows, at2[k : k + w], 2)), result)
    return result


def footprint_of(image: Pixels, size: int, shape: str) -> np.ndarray:
    """Return uint8 [depth, height, width]: which neighbours belong; the middle always does.

    Args:
        image: A picture's footprint is flat.
        size: Its side, odd.
        shape: square (a cube of a volume), disk (a ball: distance <= size / 2), cross (one axis at a time).

    Raises:
        UserError: Another shape.
    """
    if shape not in SHAPES:
        raise UserError(f"shape is {', '.join(SHAPES)}, got {shape!r}")
    return places(cube(image, size), size, shape)


@functools.lru_cache(maxsize=64)
def places(sizes: tuple[int, int, int], size: int, shape: str) -> np.ndarray:
    """Return the footprint of a shape within a box, as `footprint_of` says."""
    offsets = np.meshgrid(*(np.arange(n) - n // 2 for n in sizes), indexing="ij")
    squares = np.stack([o**2 for o in offsets])
    inside = np.ones(squares.shape[1:], bool)
    if shape == "disk":
        inside = squares.sum(axis=0) <= (size / 2) ** 2
    elif shape == "cross":
        inside = (squares > 0).sum(axis=0) <= 1
    return inside.astype(np.uint8)


def extreme(image: Pixels, size: int, shape: str, largest: bool) -> Pixels:
    """Return the smallest or largest of each pixel's neighbourhood; what lies beyond the edge does not count.

    An edge is continued by its own pixels, which lie in every neighbourhood that reaches over it.
    """
    size, k = check_size(size), table()
    footprint = footprint_of(image, size, shape)
    at = window(image, footprint.shape, "edge")
    if footprint.all():
        return image._replace(values=k.extreme_box(image.values, footprint.shape, *at, largest))
    return image._replace(values=k.extreme_filter(image.values, k.xp.asarray(footprint), *at, largest))


def opened(image: Pixels, size: int, shape: str, closed: bool) -> Array:
    """Return the opening of an image as kernels take it, or its closing."""
    footprint = footprint_of(image, check_size(size), shape)
    if footprint.all():
        at = window(image, footprint.shape, "edge")
        return table().opened_box(image.values, footprint.shape, *at, closed)
    return extreme(extreme(image, size, shape, closed), size, shape, not closed).values


@operation()
def erode(image: Array, size: int = 3, shape: str = "square") -> Array:
    """Return the smallest value of each pixel's neighbourhood.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.  What lies beyond an edge does not count.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> erode(np.array([[1, 1, 1, 0, 1]], np.uint8)).tolist()
        [[1, 1, 0, 0, 0]]
    """
    found = pixels(image, "erode")
    return found.back(extreme(found, size, shape, False).values)


@operation()
def dilate(image: Array, size: int = 3, shape: str = "square") -> Array:
    """Return the largest value of each pixel's neighbourhood.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.  What lies beyond an edge does not count.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> dilate(np.array([[0, 0, 0, 1, 0]], np.uint8)).tolist()
        [[0, 0, 1, 1, 1]]
    """
    found = pixels(image, "dilate")
    return found.back(extreme(found, size, shape, True).values)


@operation()
def opening(image: Array, size: int = 3, shape: str = "square") -> Array:
    """Return the image eroded, then dilated: bright spots smaller than the neighbourhood go.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> opening(np.array([[0, 1, 0, 1, 1, 1]], np.uint8)).tolist()
        [[0, 0, 0, 1, 1, 1]]
    """
    found = pixels(image, "opening")
    return found.back(opened(found, size, shape, False))


@operation()
def closing(image: Array, size: int = 3, shape: str = "square") -> Array:
    """Return the image dilated, then eroded: dark spots smaller than the neighbourhood go.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> closing(np.array([[1, 1, 0, 1, 1, 1]], np.uint8)).tolist()
        [[1, 1, 1, 1, 1, 1]]
    """
    found = pixels(image, "closing")
    return found.back(opened(found, size, shape, True))


@operation()
def top_hat(image: Array, size: int = 15, shape: str = "square") -> Array:
    """Return what the opening takes away: bright detail smaller than the neighbourhood, on black.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> top_hat(np.array([[9, 9, 50, 9, 9, 9]], np.uint8), size=3).tolist()
        [[0, 0, 41, 0, 0, 0]]
    """
    found = pixels(image, "top_hat")
    return found.back(found.values - opened(found, size, shape, False))


@operation()
def black_hat(image: Array, size: int = 15, shape: str = "square") -> Array:
    """Return what the closing adds: dark detail smaller than the neighbourhood, bright on black.

    Args:
        image: [height, width], [height, width, channels] or a volume [depth, height, width, channels].
        size: Side of the neighbourhood, odd, pixels.
        shape: "square", "disk" or "cross"; of a volume a cube, a ball or six arms.

    Returns:
        The like of the image, in its dtype.

    Raises:
        UserError: The image or an option is not one of these.

    Example:
        >>> black_hat(np.array([[9, 9, 2, 9, 9, 9]], np.uint8), size=3).tolist()
        [[0, 0, 7, 0, 0, 0]]
    """
    found = pixels(image, "black_hat")
    return found.back(opened(found, size, shape, True) - found.values)
