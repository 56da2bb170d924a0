"""Has a generator learnt its training pictures by heart?  Each drawn picture's nearest one, beside that of real ones.

A drawn picture is as near to its nearest training picture as real pictures that were held out are to theirs, or
farther.  One that lies nearer than all but a hundredth of these is suspect.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .curves import Float
from .intervals import wilson_interval

__all__ = ["Neighbours", "memorising", "nearest"]

SUSPECT = 0.01  # of held-out pictures lie nearer
BLOCK = 256


@dataclass
class Neighbours:
    """The nearest training picture of each drawn one.

    Attributes:
        index: Number of that training picture (n,).
        distance: Root of the mean squared difference of pixels (n,).
        nearer: Share of held-out pictures that lie nearer to theirs (n,); small where a picture is suspect.
        summary: {"nearest": median distance, "held_out_nearest": the same of held-out pictures, "suspect": share of
            drawn pictures that are, "suspect_interval": Wilson's}.
    """

    index: npt.NDArray[np.int64]
    distance: Float
    nearer: Float
    summary: dict[str, Any]


def nearest(pictures: npt.ArrayLike, train: npt.ArrayLike) -> tuple[npt.NDArray[np.int64], Float]:
    """Find the training picture that is nearest to each picture.

    Args:
        pictures: (n, ...), of pixels from 0 to 1.
        train: (m, ...), of the same shape each.

    Returns:
        (number of the training picture (n,), root of the mean squared difference of pixels (n,)).

    Raises:
        ValueError: Shapes differ, or there is no training picture.

    Example:
        >>> [part.round(4).tolist() for part in nearest([[0.0, 0.0], [1.0, 1.0]], [[0.9, 1.0], [0.0, 0.2]])]
        [[1, 0], [0.1414, 0.0707]]
    """
    x, t = (np.asarray(a, np.float64).reshape(len(np.asarray(a)), -1) for a in (pictures, train))
    if not len(t) or x.shape[1] != t.shape[1]:
        raise ValueError(
            f"nearest: needs pictures of one shape and at least one for training, got {x.shape}, {t.shape}"
        )
    index = np.empty(len(x), np.int64)
    distance = np.empty(len(x))
    squares = (t**2).sum(axis=1)
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        found = (squares - 2 * block @ t.T).argmin(axis=1)
        index[start : start + BLOCK] = found
        distance[start : start + BLOCK] = np.sqrt(((block - t[found]) ** 2).mean(axis=1))
    return index, distance


def memorising(train: npt.ArrayLike, drawn: npt.ArrayLike, held_out: npt.ArrayLike, level: float = 0.95) -> Neighbours:
    """Compare how near drawn pictures are to training pictures with how near real ones are that were held out.

    Args:
        train: Training pictures (m, ...), from 0 to 1.
        drawn: Pictures of the generator (n, ...).
        held_out: Real pictures that were not trained on (k, ...).
        level: Confidence level of the interval.

    Returns:
        The neighbours of the drawn pictures.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> train, other = rng.random((50, 4)), rng.random((40, 4))
        >>> memorising(train, train[:20], other).summary["suspect"]
        1.0
    """
    index, distance = nearest(drawn, train)
    real = np.sort(nearest(held_out, train)[1])
    nearer = np.searchsorted(real, distance, side="right") / len(real)
    count = int((nearer < SUSPECT).sum())
    summary = {
        "nearest": float(np.median(distance)),
        "held_out_nearest": float(np.median(real)),
        "suspect": count / len(distance),
        "suspect_interval": list(wilson_interval(count, len(distance), level)),
    }
    return Neighbours(index, distance, nearer, summary)
