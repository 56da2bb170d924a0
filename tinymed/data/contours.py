"""Insides and boundaries of objects in a mask: what tells touching objects apart.

three classes    background, inside and boundary (Kumar et al. 2017): the last pixels of an object before its border
contour          a band on both sides of every border between classes (Chen et al. 2016): DCAN's second target
"""

from itertools import product

import numpy as np

from .labels import IGNORED


def dilate(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return the pixels at most `radius` from a mask, by Euclidean distance; what lies outside the image is not in it.

    Example:
        >>> dilate(np.array([0, 0, 1, 0, 0], bool), 1).astype(int).tolist()
        [0, 1, 1, 1, 0]
    """
    mask = np.asarray(mask, bool)
    padded, result = np.pad(mask, radius), np.zeros(mask.shape, bool)
    for step in product(range(-radius, radius + 1), repeat=mask.ndim):
        if sum(s * s for s in step) <= radius * radius:
            place = tuple(slice(radius + s, radius + s + n) for s, n in zip(step, mask.shape, strict=True))
            result |= padded[place]
    return result


def mark_boundary(numbers: np.ndarray, radius: int) -> np.ndarray:
    """Return a mask of two classes as three: 1 inside, 2 where an object's pixel is at most `radius` from class 0.

    Args:
        numbers: uint8, 0 outside, 1 in objects, IGNORED where pixels do not count.
        radius: Width of the boundary, in pixels.

    Returns:
        uint8 of the same shape.

    Example:
        >>> mark_boundary(np.array([0, 1, 1, 1, 0], np.uint8), 1).tolist()
        [0, 2, 1, 2, 0]
    """
    result = numbers.copy()
    result[(numbers == 1) & dilate(numbers == 0, radius)] = 2
    return result


def contours(numbers: np.ndarray, radius: int) -> np.ndarray:
    """Return where a border between two classes is at most `radius` away: 1, else 0, and IGNORED where pixels are.

    Args:
        numbers: Class numbers of one image or volume, IGNORED where pixels do not count.
        radius: Half the width of a contour, in pixels; 1 marks the pixels on either side of a border.

    Returns:
        int64 of the same shape.

    Example:
        >>> contours(np.array([0, 0, 0, 1, 1, 1]), 1).tolist()
        [0, 0, 1, 1, 0, 0]
    """
    result, counted = np.zeros(numbers.shape, np.int64), numbers != IGNORED
    for label in np.unique(numbers[counted]).tolist():
        inside = numbers == label
        result[inside & dilate(~inside & counted, radius)] = 1
    result[~counted] = IGNORED
    return result
