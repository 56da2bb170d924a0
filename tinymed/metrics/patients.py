"""Scores of patients: the mean over a patient's images, measured like those of images.

What is decided about a patient is decided once, from all images together; a rate over images counts a patient with many
images many times.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .classification import evaluate_scores

KEPT = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc")


def patient_scores(
    scores: npt.ArrayLike, labels: npt.ArrayLike, patients: npt.ArrayLike
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], int]:
    """Compute the mean scores of the patients whose images are all of one class.

    Args:
        scores: Numbers (n, classes) of the images.
        labels: Class numbers (n,).
        patients: Who each image is of (n,).

    Returns:
        (scores (p, classes), class numbers (p,), how many patients have images of several classes and are left out).

    Raises:
        ValueError: The shapes do not fit each other.

    Example:
        >>> s, y, mixed = patient_scores([[1, 0], [0, 1], [0, 1]], [0, 0, 1], ["a", "a", "b"])
        >>> s.tolist(), y.tolist(), mixed
        ([[0.5, 0.5], [0.0, 1.0]], [0, 1], 0)
    """
    values, truth = np.asarray(scores, np.float64), np.asarray(labels, np.int64)
    names, place = np.unique(np.asarray(patients), return_inverse=True)
    place = place.reshape(-1)
    if values.ndim != 2 or len(values) != len(truth) or len(place) != len(truth):
        raise ValueError(
            f"patient_scores: scores {list(values.shape)}, {len(truth)} labels and {len(place)} patients do not fit"
        )
    counts = np.bincount(place, minlength=len(names))
    means = np.stack([np.bincount(place, column, len(names)) for column in values.T], axis=1) / counts[:, None]
    lowest, highest = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), -1)
    np.minimum.at(lowest, place, truth)
    np.maximum.at(highest, place, truth)
    alike = lowest == highest
    return means[alike], lowest[alike], int((~alike).sum())


def evaluate_patients(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    patients: npt.ArrayLike,
    classes: Sequence[str],
    positive: str,
    seed: int,
) -> dict[str, Any]:
    """Compute the measures of patients, with intervals over patients.

    Args:
        scores: Numbers (n, classes) of the images.
        labels: Class numbers (n,).
        patients: Who each image is of (n,).
        classes: Names in column order.
        positive: The class that sensitivity speaks of.
        seed: Of the bootstrap.

    Returns:
        {"n": patients that are measured, "mixed": those left out, "confusion": ..., measure and interval of KEPT}; only
        the two numbers where fewer than two patients are left.

    Example:
        >>> scores, labels = [[0.8, 0.2], [0.4, 0.6], [0.1, 0.9]], [0, 0, 1]
        >>> found = evaluate_patients(scores, labels, ["a", "a", "b"], ["clear", "ill"], "ill", seed=0)
        >>> found["n"], found["accuracy"]
        (2, 1.0)
    """
    means, truth, mixed = patient_scores(scores, labels, patients)
    found: dict[str, Any] = {"n": len(truth), "mixed": mixed}
    if len(truth) < 2:
        return found
    whole = evaluate_scores(means, truth, classes, positive, seed)
    found |= {name: whole[name] for name in KEPT} | {f"{name}_interval": whole[f"{name}_interval"] for name in KEPT}
    return found | {"confusion": whole["confusion"]}
