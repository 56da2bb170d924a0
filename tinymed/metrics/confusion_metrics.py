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
    """How often a yes-or-no answer was right and wrong.

    Attributes:
        tp: True positives.
        fp: False positives.
        fn: False negatives.
        tn: True negatives.

    Example:
        >>> sum(Counts(tp=3, fp=1, fn=2, tn=4))
        10
    """

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
    """Compute one of RATES from counts.

    sensitivity (recall) = TP/(TP+FN), specificity = TN/(TN+FP), precision (PPV) = TP/(TP+FP), npv = TN/(TN+FN),
    f1 = 2TP/(2TP+FP+FN), accuracy = (TP+TN)/n.

    Args:
        name: Key of RATES.
        counts: tp, fp, fn, tn.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1; nan with a warning for 0/0.

    Raises:
        KeyError: The name is not in RATES.

    Example:
        >>> rate("sensitivity", Counts(tp=3, fp=1, fn=1, tn=5))
        0.75
    """
    numerator, denominator = RATES[name](counts)
    if denominator == 0:
        warn(f"{name} is 0/0: {REASONS[name]}")
        return math.nan
    return numerator / denominator


def rate_interval(name: str, counts: Counts, level: float = 0.95) -> Interval:
    """Compute Wilson's interval of one of RATES; of f1 through the proportion TP/(TP+FP+FN).

    Args:
        name: Key of RATES.
        counts: tp, fp, fn, tn.
        level: Confidence level, above 0 and below 1.

    Returns:
        (low, high); (nan, nan) where the rate is 0/0.

    Raises:
        ValueError: The level is not between 0 and 1.

    Example:
        >>> [round(end, 3) for end in rate_interval("sensitivity", Counts(tp=3, fp=1, fn=1, tn=5))]
        [0.301, 0.954]

    Reference:
        Wilson, JASA 22, 1927.
    """
    if name == "f1":
        return f1_interval(counts.tp, counts.fp, counts.fn, level)
    return wilson_interval(*RATES[name](counts), level)


def confusion_matrix(labels: npt.ArrayLike, predictions: npt.ArrayLike, classes: int) -> Labels:
    """Count how often each class was predicted as each.

    As `sklearn.metrics.confusion_matrix`, with the number of classes given.

    Args:
        labels: Class numbers (n,).
        predictions: Class numbers (n,).
        classes: Number of classes.

    Returns:
        int64 [classes, classes]: row the true class, column the predicted one.

    Raises:
        ValueError: Shapes differ, or values are not integers from 0 to classes - 1.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2)
        array([[1, 1],
               [0, 1]])
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
    """Return the counts of one class against all others.

    Args:
        confusion: Counts (classes, classes), rows true, columns predicted, see `confusion_matrix`.
        positive: Class number.

    Returns:
        Counts of that class.

    Example:
        >>> one_vs_rest([[5, 1], [2, 4]], 1)
        Counts(tp=4, fp=1, fn=2, tn=5)
    """
    c = np.asarray(confusion)
    tp, true, predicted = int(c[positive, positive]), int(c[positive].sum()), int(c[:, positive].sum())
    return Counts(tp, predicted - tp, true - tp, int(c.sum()) - true - predicted + tp)


def balanced_accuracy(confusion: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the mean recall of the classes that occur; for two classes (sensitivity + specificity) / 2.

    Args:
        confusion: Counts (classes, classes), rows true, columns predicted, see `confusion_matrix`.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1.  A class without samples is left out with a warning; nan without any sample.

    Example:
        >>> balanced_accuracy([[3, 1], [1, 1]])
        0.625
    """
    c = np.asarray(confusion)
    support = c.sum(axis=1)
    if not support.all():
        absent = int((support == 0).sum())
        warn(f"balanced accuracy leaves out {absent} of {support.size} classes: no sample has them")
    present = support > 0
    return float(np.mean(c.diagonal()[present] / support[present])) if present.any() else math.nan


def cohen_kappa(confusion: npt.ArrayLike, weights: str = "none", warn: Warn = warn_undefined) -> float:
    """Compute Cohen's kappa: agreement beyond chance, 1 - sum(w observed) / sum(w expected by the margins).

    Args:
        confusion: Counts (classes, classes), rows true, columns predicted, see `confusion_matrix`.
        weights: "none" (w = 1 off the diagonal), "linear" |i - j| or "quadratic" (i - j)^2, for ordered classes such
            as grades.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        At most 1, 0 for chance; nan with a warning when chance alone agrees wholly (0/0).

    Raises:
        ValueError: The weights are unknown.

    Example:
        >>> round(cohen_kappa([[4, 1], [1, 4]]), 3)
        0.6

    Reference:
        Cohen, Psychological Bulletin 70, 1968.
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
    """Return each sample's share (n,) of the Brier score: sum over classes of (p_k - y_k)^2, halved for two classes.

    So for two classes it is (p - y)^2 of either class, and for more Brier's own sum (Monthly Weather Review
    78, 1950).
    """
    truth = np.eye(probabilities.shape[1])[labels]
    terms: Float = np.sum((probabilities - truth) ** 2, axis=1)
    return terms / 2 if probabilities.shape[1] == TWO else terms


def brier_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Compute the Brier score: the mean squared error of probabilities, halved for two classes.

    Args:
        probabilities: Numbers (n, classes), rows summing to 1.
        labels: Class numbers (n,).

    Returns:
        0 is perfect; at most 1 for two classes, 2 for more.

    Example:
        >>> brier_score([[0.5, 0.5], [0.0, 1.0]], [0, 1])
        0.125

    Reference:
        Brier, Monthly Weather Review 78, 1950.
    """
    return float(np.mean(brier_terms(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64))))


def multiclass_auc(scores: npt.ArrayLike, labels: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the macro one-vs-rest AUC: the mean over classes of the AUC of column k against "label is k".

    As `sklearn.metrics.roc_auc_score(multi_class="ovr")`, which refuses absent classes.

    Args:
        scores: Numbers (n, classes).
        labels: Class numbers (n,).
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1.  A class whose AUC is undefined is left out with a warning; nan if all are.

    Raises:
        ValueError: Shapes do not fit, or scores are not finite.

    Example:
        >>> multiclass_auc([[0.8, 0.1, 0.1], [0.2, 0.6, 0.2], [0.3, 0.3, 0.4]], [0, 1, 2])
        1.0
    """
    s, y = np.asarray(scores, np.float64), np.asarray(labels)
    return mean_defined("macro AUC", [roc_auc(y == k, s[:, k], warn) for k in range(s.shape[1])], warn)


def mean_defined(name: str, values: Sequence[float], warn: Warn, weights: Sequence[float] | None = None) -> float:
    """Return the mean of the values that are not nan, weighted if asked; warn of those left out, nan if all are."""
    v = np.asarray(values, np.float64)
    w = np.ones(v.size) if weights is None else np.asarray(weights, np.float64)
    kept = ~np.isnan(v)
    if not kept.all():
        warn(f"{name} leaves out {int((~kept).sum())} of {v.size} classes where it is undefined")
    total = w[kept].sum()
    return float(np.sum(v[kept] * w[kept]) / total) if total > 0 else math.nan
