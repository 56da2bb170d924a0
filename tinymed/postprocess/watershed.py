"""Touching objects told apart: flooding from markers, and Kumar's three classes into instances.

A priority queue holds the pixels at the shore of all basins; the lowest is taken, of equal ones the earliest, and its
neighbours without a basin join its basin.  Each pixel enters the queue once.  Meyer, "Topographic distance and
watershed lines", Signal Processing 38, 1994.
"""

import numpy as np

from ..data.components import components
from .regions import remove_small

__all__ = ["instances_of_classes", "watershed"]


def watershed(height: np.ndarray, markers: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Flood a landscape from markers; neighbours touch by faces.

    Args:
        height: Numbers of any shape; low places are flooded first.
        markers: Integers of the same shape: 0, or the number of a basin that begins there.
        mask: Where basins may go; None for everywhere.

    Returns:
        int32 of the same shape: the basin of each pixel, 0 where none came.

    Raises:
        ValueError: The shapes differ, or a height is no number.

    Example:
        >>> watershed(np.array([0.0, 1.0, 3.0, 1.0, 0.0]), np.array([1, 0, 0, 0, 2])).tolist()
        [1, 1, 1, 2, 2]
    """
    from .flood import flood

    inside = np.ones(height.shape, bool) if mask is None else np.asarray(mask, bool)
    if height.shape != markers.shape or height.shape != inside.shape:
        raise ValueError(f"watershed: the shapes differ: {height.shape}, {markers.shape}, {inside.shape}")
    if not np.isfinite(height).all():
        raise ValueError("watershed: a height is not a finite number")
    values = np.pad(height.astype(np.float64), 1)  # a border that belongs to nothing spares the loop its bounds
    labels = np.pad(np.where(inside, markers, -1).astype(np.int32), 1, constant_values=-1)
    strides = np.array([int(np.prod(values.shape[axis + 1 :])) for axis in range(values.ndim)], np.int64)
    steps = np.concatenate([-strides, strides[::-1]])
    queue = np.empty(values.size, np.int64)
    age = np.empty(values.size, np.int64)
    flood(values.ravel(), labels.reshape(-1), steps, queue, age)
    basins = np.maximum(labels[(slice(1, -1),) * height.ndim], 0)
    return np.ascontiguousarray(basins)


def instances_of_classes(inside: np.ndarray, foreground: np.ndarray, least: int = 1, sure: float = 0.5) -> np.ndarray:
    """Separate objects whose insides a network tells from their boundaries: Kumar's three classes into instances.

    The components of the pixels that surely lie inside are the markers; they grow over the foreground, where the
    inside is likeliest first, so that two objects meet on the boundary between them.

    Args:
        inside: Probability of the inside of an object, of any shape.
        foreground: Booleans of the same shape: inside or boundary.
        least: Markers of fewer pixels are no objects.
        sure: The probability from which a pixel is a marker's.

    Returns:
        int32 of the same shape: 0, or the number of the object.

    Example:
        >>> inside = np.array([[0.9, 0.9, 0.2, 0.3, 0.9, 0.1]])
        >>> instances_of_classes(inside, inside > 0.15).tolist()
        [[1, 1, 1, 2, 2, 0]]

    Reference:
        Kumar et al., "A dataset and a technique for generalized nuclear segmentation for computational pathology",
        IEEE TMI 36, 2017, grow regions from the insides over the boundary class.
    """
    sure_inside = remove_small((inside > sure) & foreground, least)
    return watershed(-np.asarray(inside, np.float64), components(sure_inside), foreground)
