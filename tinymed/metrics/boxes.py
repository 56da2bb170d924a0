"""Boxes found in an image, and how far two sets of boxes overlap."""

from typing import NamedTuple

import numpy as np


class Detections(NamedTuple):
    """Boxes found in an image, the best first: float64 [n, 4], scores float64 [n], classes int64 [n]."""

    boxes: np.ndarray
    scores: np.ndarray
    kinds: np.ndarray


def overlaps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return intersection over union of boxes [n, 4] with boxes [m, 4]: float64 [n, m]; boxes are xmin, ymin, xmax,
    ymax.
    """
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = np.clip(high - low, 0, None).prod(axis=2)
    area_a, area_b = ((box[:, 2:] - box[:, :2]).prod(axis=1) for box in (a, b))
    union = area_a[:, None] + area_b[None] - both
    shares: np.ndarray = np.divide(both, union, out=np.zeros_like(both), where=union > 0)
    return shares
