"""Metrics that need no order of the scores: the confusion matrix and what follows from it, kappa and Brier.

Where a metric is 0/0 the value is nan and a warning says which and why.
"""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .curves import Float, Warn, roc_auc, warn_undefined
from .intervals import Interval, f1_interval, wilson_interval

Labels = npt.NDArray[np.int64]
TWO = 2  # classes of a binary problem


class Counts(NamedTuple):
    """How often a yes-or-no answer was right and wrong."""

    tp: int
    fp: int
    fn: int
    tn: int


# name: (numerator, denominator) of each rate.  Values, intervals and the audit share this one definition.
RATES: dict[str, Callable[[Counts], tuple[int, int]]] = {
    "accuracy": lambda c: (c.tp + c.tn, sum(c)),
    "sensitivity": lambda c: (c.tp, c.tp + c.fn),
    "specificity": lambda c: (c.tn, c.tn + c.fp),
    "precision": lambda c: (c.tp, c.tp + c.fp),
    "npv": lambda c: (c.tn, c.tn + c.fn),
    "f1": lambda c: (2 * c.tp, 2 * c.tp + c.fp + c.fn),
}
REASONS = {
    "accuracy": "there is no sample",
    "sensitivity": "no sample has this class",
    "specificity": "every sample has this class",
    "precision": "this class was never predicted",
    "npv": "this class was always predicted",
    "f1": "this class is neither present nor predicted",
}


def rate(name: str, counts: Counts, warn: Warn = warn_undefined) -> float:
    """Return one of RATES: accuracy, sensitivity (recall), specificity, precision (PPV), npv, f1.

    sensitivity = TP/(TP+FN), specificity = TN/(TN+FP), precision = TP/(TP+FP), npv = TN/(TN+FN),
    f1 = 2TP/(2TP+FP+FN), accuracy = (TP+TN)/n.  0/0 is nan with a warning.
    """
    numerator, denominator = RATES[name](counts)
    if denominator == 0:
        warn(f"{name} is 0/0: {REASONS[name]}")
        return math.nan
    return numerator / denominator


def rate_interval(name: str, counts: Counts, level: float = 0.95) -> Interval:
    """Return Wilson's interval of one of RATES; for f1 through the proportion TP/(TP+FP+FN)."""
    if name == "f1":
        return f1_interval(counts.tp, counts.fp, counts.fn, level)
    return wilson_interval(*RATES[name](counts), level)


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Labels:
    """int64[classes, classes]: row the true class, column the predicted one.

    labels, predictions: (n,) integers from 0 to classes - 1; ValueError for anything else.
    """
    y, p = np.asarray(labels), np.asarray(predictions)
    if y.ndim != 1 or y.shape != p.shape:
        raise ValueError(f"confusion_matrix: needs labels (n,) and predictions (n,), got {y.shape} and {p.shape}")
    for name, values in (("labels", y), ("predictions", p)):
        if values.size and (values.dtype.kind not in "iub" or values.min() < 0 or values.max() >= classes):
            raise ValueError(
                f"confusion_matrix: {name} are integers from 0 to {classes - 1}, got {values.dtype} "
                f"from {values.min()} to {values.max()}"
            )
    cells = y.astype(np.int64) * classes + p.astype(np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def one_vs_rest(confusion: npt.ArrayLike, positive: int) -> Counts:
    """Return the counts of class number `positive` against all others, from a confusion matrix (rows true)."""
    c = np.asarray(confusion)
    tp, true, predicted = int(c[positive, positive]), int(c[positive].sum()), int(c[:, positive].sum())
    return Counts(tp, predicted - tp, true - tp, int(c.sum()) - true - predicted + tp)


def balanced_accuracy(confusion: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Return mean recall of the classes that occur; for two classes (sensitivity + specificity) / 2.

    confusion: (classes, classes).  A class without samples is left out with a warning; nan without any
    sample.
    """
    c = np.asarray(confusion)
    support = c.sum(axis=1)
    if not support.all():
        absent = int((support == 0).sum())
        warn(f"balanced accuracy leaves out {absent} of {support.size} classes: no sample has them")
    present = support > 0
    return float(np.mean(c.diagonal()[present] / support[present])) if present.any() else math.nan


def cohen_kappa(confusion: npt.ArrayLike, weights: str = "none", warn: Warn = warn_undefined) -> float:
    """Return agreement beyond chance, 1 - sum(w observed) / sum(w expected); expected from the margins.

    confusion: (classes, classes).  weights: "none" (w = 1 off the diagonal), "linear" |i - j| or "quadratic"
    (i - j)^2, for ordered classes such as grades.  nan with a warning when chance alone agrees wholly.  Cohen
    1968.
    """
    c = np.asarray(confusion, np.float64)
    expected = np.outer(c.sum(axis=1), c.sum(axis=0)) / max(c.sum(), 1.0)
    disagreement = float(np.sum(kappa_weights(c.shape[0], weights) * expected))
    if disagreement == 0:
        warn("kappa is 0/0: labels and predictions hold one and the same class")
        return math.nan
    return 1 - float(np.sum(kappa_weights(c.shape[0], weights) * c)) / disagreement


def kappa_weights(classes: int, weights: str) -> Float:
    """Return the disagreement weights (classes, classes) of cohen_kappa."""
    distance = np.abs(np.subtract.outer(np.arange(classes), np.arange(classes))).astype(np.float64)
    rules = {"none": np.sign(distance), "linear": distance, "quadratic": distance**2}
    if weights not in rules:
        raise ValueError(f"cohen_kappa: weights is one of {', '.join(rules)}, got {weights!r}")
    return rules[weights]


def brier_terms(probabilities: Float, labels: Labels) -> Float:
    """Each sample's share (n,) of the Brier score: sum over classes of (p_k - y_k)^2, halved for two classes.

    So for two classes it is (p - y)^2 of either class, and for more Brier's own sum (Monthly Weather Review
    78, 1950).
    """
    truth = np.eye(probabilities.shape[1])[labels]
    terms: Float = np.sum((probabilities - truth) ** 2, axis=1)
    return terms / 2 if probabilities.shape[1] == TWO else terms


def brier_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Return mean squared error of probabilities (n, classes), rows summing to 1; 0 is perfect (see brier_terms)."""
    return float(np.mean(brier_terms(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64))))


def multiclass_auc(scores: npt.ArrayLike, labels: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Return macro one-vs-rest AUC: the mean over classes of the AUC of column k against "label is k".

    scores (n, classes), labels (n,).  A class whose AUC is undefined is left out with a warning.
    """
    s, y = np.asarray(scores, np.float64), np.asarray(labels)
    return mean_defined("macro AUC", [roc_auc(y == k, s[:, k], warn) for k in range(s.shape[1])], warn)


def mean_defined(name: str, values: Sequence[float], warn: Warn, weights: Sequence[float] | None = None) -> float:
    """Return mean of the values that are not nan, weighted if asked; warns of those left out, nan if all are."""
    v = np.asarray(values, np.float64)
    w = np.ones(v.size) if weights is None else np.asarray(weights, np.float64)
    kept = ~np.isnan(v)
    if not kept.all():
        warn(f"{name} leaves out {int((~kept).sum())} of {v.size} classes where it is undefined")
    total = w[kept].sum()
    return float(np.sum(v[kept] * w[kept]) / total) if total > 0 else math.nan
