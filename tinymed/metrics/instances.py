"""Metrics of objects told apart: the aggregated Jaccard index, and precision and recall of matched objects."""

from typing import NamedTuple

import numpy as np

__all__ = ["ObjectMatches", "aggregated_jaccard", "match_objects"]


class ObjectMatches(NamedTuple):
    """How the objects of two label images overlap.

    Attributes:
        both: int64 [true objects, predicted objects], pixels in both.
        truth: int64, pixels of each true object.
        prediction: int64, pixels of each predicted object.
    """

    both: np.ndarray
    truth: np.ndarray
    prediction: np.ndarray

    @property
    def iou(self) -> np.ndarray:
        """Return intersection over union of every pair, float64."""
        union = self.truth[:, None] + self.prediction[None] - self.both
        return np.asarray(self.both / np.maximum(union, 1))


def match_objects(truth: np.ndarray, prediction: np.ndarray) -> ObjectMatches:
    """Count the pixels that the objects of two label images share.

    Args:
        truth: Integers of any shape: 0 outside, else an object's number.
        prediction: Integers of the same shape.

    Returns:
        The counts, objects in ascending order of their numbers.

    Raises:
        ValueError: The shapes differ, or a number is negative.

    Example:
        >>> match_objects(np.array([1, 1, 2, 0]), np.array([7, 0, 0, 7])).both.tolist()
        [[1], [0]]
    """
    t, p = np.asarray(truth), np.asarray(prediction)
    if t.shape != p.shape:
        raise ValueError(f"match_objects: truth has shape {t.shape}, prediction {p.shape}; they must be equal")
    if min(t.min(initial=0), p.min(initial=0)) < 0:
        raise ValueError("match_objects: an object's number is positive, and 0 is outside")
    names_t, t_index = np.unique(np.append(t.ravel(), 0), return_inverse=True)  # 0 is always the first name
    names_p, p_index = np.unique(np.append(p.ravel(), 0), return_inverse=True)
    pairs = t_index[:-1] * len(names_p) + p_index[:-1]
    table = np.bincount(pairs, minlength=len(names_t) * len(names_p)).reshape(len(names_t), len(names_p))
    return ObjectMatches(table[1:, 1:], table.sum(axis=1)[1:], table.sum(axis=0)[1:])


def aggregated_jaccard(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the aggregated Jaccard index: sum |T n P| / (sum |T u P| + sum of the predictions that nothing matched).

    Each true object is matched with the predicted one of the largest intersection over union, of equal ones the first;
    one that overlaps nothing adds its own size to the denominator.  A predicted object may be matched several times.

    Args:
        truth: Integers of any shape: 0 outside, else an object's number.
        prediction: Integers of the same shape.

    Returns:
        A number from 0 to 1; 1 where there is no object in either image, since nothing was missed.

    Raises:
        ValueError: The shapes differ, or a number is negative.

    Example:
        >>> truth = np.array([1, 1, 1, 0, 2, 2])
        >>> aggregated_jaccard(truth, np.array([5, 5, 0, 6, 0, 0]))  # 2 / (3 + 2 + 1)
        0.3333333333333333

    Reference:
        Kumar et al., IEEE TMI 36, 2017.
    """
    found = match_objects(truth, prediction)
    common, union, used = 0, 0, np.zeros(len(found.prediction), bool)
    iou = found.iou
    for row, size in enumerate(found.truth):
        best = int(np.argmax(iou[row])) if len(found.prediction) else 0
        if not len(found.prediction) or found.both[row, best] == 0:
            union += int(size)
            continue
        shared = int(found.both[row, best])
        common += shared
        union += int(size + found.prediction[best]) - shared
        used[best] = True
    union += int(found.prediction[~used].sum())
    return common / union if union else 1.0
