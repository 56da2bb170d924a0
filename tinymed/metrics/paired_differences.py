"""How two classifiers differ on the same images: the difference of their measures, with its interval.

Images on which both are right or both are wrong tell nothing of a difference, so an interval of the difference is
narrower than those of the two figures suggest.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .classification import class_scores
from .curves import roc_auc
from .intervals import Statistic, bootstrap_values, percentile_interval, resampled_auc

__all__ = ["paired_differences"]


def paired_differences(
    one: npt.ArrayLike,
    other: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compute by how much one classifier's accuracy, balanced accuracy and AUC exceed another's on the same images.

    Args:
        one: Scores (n, classes) of the first; the arg-max is its prediction.
        other: Scores (n, classes) of the second.
        labels: Class numbers (n,).
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples of the images, inside each class for the AUC and for balanced accuracy.
        seed: Seed of the bootstrap.

    Returns:
        {"accuracy", "balanced_accuracy", "auc"}: differences, the AUC that of each class against the rest averaged,
        None where a class is absent; `<name>_interval` as [low, high]; and "better" and "worse", the numbers of images
        that only the first, and only the second, has right.

    Raises:
        ValueError: Shapes do not fit.

    Example:
        >>> sure = np.eye(2)[[0, 1, 1, 0]]
        >>> result = paired_differences(sure, sure[::-1], [0, 1, 1, 0], resamples=50)
        >>> result["accuracy"], result["better"], result["worse"]
        (0.0, 0, 0)
    """
    a, b, y = np.asarray(one, np.float64), np.asarray(other, np.float64), np.asarray(labels, np.int64)
    if a.shape != b.shape or a.ndim != 2 or len(a) != len(y):
        raise ValueError(f"paired_differences: needs scores of one shape (n, classes), got {a.shape} and {b.shape}")
    right = [s.argmax(axis=1) == y for s in (a, b)]
    gain = right[0].astype(np.float64) - right[1]
    present = np.unique(y)
    drawn = bootstrap_values({"accuracy": mean_of(gain)}, len(y), resamples=resamples, seed=seed)
    inside: dict[str, Statistic] = {"balanced_accuracy": balanced(gain, y)}
    result: dict[str, Any] = {
        "accuracy": float(gain.mean()),
        "balanced_accuracy": float(np.mean([gain[y == c].mean() for c in present])),
        "auc": None,
    }
    if len(present) > 1:
        columns = [(y == c, class_scores(a, c), class_scores(b, c)) for c in ([1] if a.shape[1] == 2 else present)]
        result["auc"] = float(np.mean([roc_auc(mine, s) - roc_auc(mine, t) for mine, s, t in columns]))
        areas = [(resampled_auc(mine, s), resampled_auc(mine, t)) for mine, s, t in columns]
        inside["auc"] = lambda rows: np.mean([s(rows) - t(rows) for s, t in areas], axis=0)
    drawn |= bootstrap_values(inside, len(y), groups=y, resamples=resamples, seed=seed)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        found = percentile_interval(name, drawn[name], level, lambda _: None) if name in drawn else None
        result[f"{name}_interval"] = None if found is None else list(found)
    return result | {"better": int((gain > 0).sum()), "worse": int((gain < 0).sum())}


def mean_of(values: npt.NDArray[np.float64]) -> Statistic:
    """Return the mean of resamples as a statistic."""
    return lambda rows: np.asarray(values[rows].mean(axis=1))


def balanced(values: npt.NDArray[np.float64], labels: npt.NDArray[np.int64]) -> Statistic:
    """Return the mean over classes of the mean in each, as a statistic of resamples inside classes."""
    weight = 1 / (len(np.unique(labels)) * np.bincount(labels)[labels])
    return lambda rows: np.asarray((values * weight)[rows].sum(axis=1))
