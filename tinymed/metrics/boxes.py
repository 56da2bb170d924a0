"""Boxes found in an image, and how far two sets of boxes overlap."""

from typing import NamedTuple

import numpy as np

__all__ = ["Detections", "overlaps"]


class Detections(NamedTuple):
    """Boxes found in an image, the best first.

    Attributes:
        boxes: float64 [n, 4]: xmin, ymin, xmax, ymax in pixels.
        scores: float64 [n].
        kinds: int64 [n], class numbers.

    Example:
        >>> Detections(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([0.9]), np.array([0])).scores
        array([0.9])
    """

    boxes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of every box with every other.

    Args:
        a: Boxes [n, 4]: xmin, ymin, xmax, ymax.
        b: Boxes [m, 4].

    Returns:
        float64 [n, m], from 0 to 1; 0 where both boxes are empty (0/0).

    Example:
        >>> overlaps(np.array([[0.0, 0.0, 2.0, 2.0]]), np.array([[1.0, 0.0, 3.0, 2.0]]))
        array([[0.33333333]])
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    union = area_a[:, None] + area_b[None] - both
    shares: np.ndarray = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares
