"""ROC and precision-recall curves and the areas under them, exactly as scikit-learn defines them.

Everything is computed once over the whole set: an area averaged over batches is a different, wrong number.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Warn = Callable[[str], None]


class UndefinedMetricWarning(UserWarning):
    """A metric was 0/0 on these data and nan was returned.

    Example:
        >>> import warnings
        >>> with warnings.catch_warnings(record=True) as caught:
        ...     warnings.simplefilter("always")
        ...     auc = roc_auc([1, 1], [0.2, 0.9])
        >>> auc, caught[0].category.__name__
        (nan, 'UndefinedMetricWarning')
    """


def warn_undefined(message: str) -> None:
    """Raise `message` as an UndefinedMetricWarning: the default of every `warn` argument."""
    warnings.warn(message, UndefinedMetricWarning, stacklevel=3)


class RocCurve(NamedTuple):
    """Points of the ROC curve from (0, 0) to (1, 1).

    Attributes:
        false_positive_rate: float64 (points,).
        true_positive_rate: float64 (points,).
        thresholds: float64 (points,), falling from +inf.

    Example:
        >>> roc_curve([0, 1], [0.2, 0.8]).true_positive_rate
        array([0., 1., 1.])
    """

    false_positive_rate: Float
    true_positive_rate: Float
    thresholds: Float


class PrCurve(NamedTuple):
    """Points of the precision-recall curve.

    Attributes:
        precision: float64 (points + 1,), its last value 1.
        recall: float64 (points + 1,), its last value 0.
        thresholds: float64 (points,), rising.

    Example:
        >>> precision_recall_curve([0, 1], [0.2, 0.8]).precision
        array([0.5, 1. , 1. ])
    """

    precision: Float
    recall: Float
    thresholds: Float


def check_binary(name: str, labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[npt.NDArray[np.bool_], Float]:
    """Return labels as bool [n], scores as float64 [n]; raise ValueError for other shapes, values, infinite scores."""
    y, s = np.asarray(labels), np.asarray(scores, np.float64)
    if y.ndim != 1 or s.shape != y.shape or y.size == 0:
        raise ValueError(f"{name}: needs labels (n,) and scores (n,) with n >= 1, got {y.shape} and {s.shape}")
    if y.dtype != np.bool_ and not np.isin(y, (0, 1)).all():
        raise ValueError(f"{name}: labels are 0 or 1 (1 is positive), got {np.unique(y)[:5].tolist()}")
    if not np.isfinite(s).all():
        raise ValueError(f"{name}: {int((~np.isfinite(s)).sum())} of {s.size} scores are not finite")
    return y.astype(np.bool_), s


def threshold_counts(labels: npt.NDArray[np.bool_], scores: Float) -> tuple[Any, Any, Float]:
    """Return TP, FP (int64) and the threshold of "score >= threshold" at each distinct score, highest first."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], labels[order]
    last = np.append(np.flatnonzero(np.diff(ranked)), ranked.size - 1)  # last sample of each run of ties
    tp = np.cumsum(hits)[last]
    return tp, last + 1 - tp, ranked[last]


def roc_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, warn: Warn = warn_undefined) -> RocCurve:
    """Compute the ROC curve: one point per distinct score after the point (0, 0) at threshold inf.

    As `sklearn.metrics.roc_curve(drop_intermediate=False)`.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        RocCurve.  A rate whose class is absent (0/0) is nan, with a warning.

    Raises:
        ValueError: Shapes differ, there is no sample, labels are not 0 or 1, or scores are not finite.

    Example:
        >>> curve = roc_curve([0, 1, 1], [0.1, 0.9, 0.4])
        >>> curve.false_positive_rate.tolist(), curve.true_positive_rate.tolist()
        ([0.0, 0.0, 0.0, 1.0], [0.0, 0.5, 1.0, 1.0])
    """
    y, s = check_binary("roc_curve", labels, scores)
    tp, fp, thresholds = threshold_counts(y, s)
    rates = []
    for counts, name in ((fp, "false positive rate: no negatives"), (tp, "true positive rate: no positives")):
        if counts[-1] == 0:
            warn(f"{name} in {y.size} samples, set to nan")
        rates.append(np.append(0.0, counts / counts[-1]) if counts[-1] else np.full(counts.size + 1, np.nan))
    return RocCurve(rates[0], rates[1], np.append(np.inf, thresholds))


def roc_auc(labels: npt.ArrayLike, scores: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the area under the ROC curve: P(positive scores higher) + P(equal) / 2 = Mann-Whitney U / (P N).

    As `sklearn.metrics.roc_auc_score`.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1; nan with a warning when a class is absent (0/0).

    Raises:
        ValueError: Shapes differ, there is no sample, labels are not 0 or 1, or scores are not finite.

    Example:
        >>> roc_auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.75

    Reference:
        Hanley & McNeil, Radiology 143, 1982.
    """
    y, s = check_binary("roc_auc", labels, scores)
    tp, fp, _ = threshold_counts(y, s)
    if tp[-1] == 0 or fp[-1] == 0:
        warn(f"AUC needs both classes; {int(tp[-1])} of {y.size} samples are positive, set to nan")
        return float("nan")
    tp, fp = np.append(0, tp), np.append(0, fp)
    twice_u = np.sum(np.diff(fp) * (tp[1:] + tp[:-1]))  # integers: exact whatever the order of the sum
    return float(twice_u / (2.0 * tp[-1] * fp[-1]))


def precision_recall_curve(labels: npt.ArrayLike, scores: npt.ArrayLike, warn: Warn = warn_undefined) -> PrCurve:
    """Compute precision and recall of "score >= threshold" at every distinct score, thresholds rising, then (1, 0).

    As `sklearn.metrics.precision_recall_curve`.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        PrCurve.  Without positives recall is 0/0: nan, with a warning.

    Raises:
        ValueError: Shapes differ, there is no sample, labels are not 0 or 1, or scores are not finite.

    Example:
        >>> precision_recall_curve([0, 1, 1], [0.1, 0.9, 0.4]).recall.tolist()
        [1.0, 1.0, 0.5, 0.0]
    """
    y, s = check_binary("precision_recall_curve", labels, scores)
    tp, fp, thresholds = threshold_counts(y, s)
    if tp[-1] == 0:
        warn(f"recall needs positives; none of {y.size} samples is positive, set to nan")
    recall = tp / tp[-1] if tp[-1] else np.full(tp.size, np.nan)
    precision = tp / (tp + fp)
    return PrCurve(np.append(precision[::-1], 1.0), np.append(recall[::-1], 0.0), thresholds[::-1])


def average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike, warn: Warn = warn_undefined) -> float:
    """Compute the area under the precision-recall curve by steps: sum of (recall_k - recall_{k-1}) precision_k.

    As `sklearn.metrics.average_precision_score`, which answers 0 without positives.  Steps, not trapezoids, which are
    too optimistic.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        A number from 0 to 1; nan with a warning without positives (0/0).

    Raises:
        ValueError: Shapes differ, there is no sample, labels are not 0 or 1, or scores are not finite.

    Example:
        >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
        0.8333

    Reference:
        Davis & Goadrich, ICML 2006.
    """
    y, s = check_binary("average_precision", labels, scores)
    tp, fp, _ = threshold_counts(y, s)
    if tp[-1] == 0:
        warn(f"PR-AUC needs positives; none of {y.size} samples is positive, set to nan")
        return float("nan")
    return float(np.sum(np.diff(tp, prepend=0) * (tp / (tp + fp))) / tp[-1])
