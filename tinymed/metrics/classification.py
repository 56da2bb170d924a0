"""Classification metrics over a whole set, with intervals: what `evaluate` prints and a run folder keeps.

`evaluate_scores` is the one call; `confusion_metrics`, `curves` and `intervals` hold the parts, named here too.  A mean
over batches is a different, wrong number for most of these, so nothing here takes a batch.

The prediction is the arg-max, the first class winning ties.  AUC and PR-AUC rank by `class_scores`.  Brier
takes the scores divided by their row's sum and is undefined unless all lie in [0, 1].  per_class repeats the
metrics for every class; with more than two, macro, micro and weighted average them.  `<name>_interval` is
[low, high]: Wilson's for rates, square-and-add for balanced accuracy, and for the rest `resamples` seeded
bootstrap resamples, inside each class for AUC (None with resamples=0, for use at every epoch).  `warnings`
lists what was 0/0 and everything left out.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .confusion_metrics import (
    RATES,
    TWO,
    Counts,
    Labels,
    balanced_accuracy,
    brier_score,
    brier_terms,
    cohen_kappa,
    confusion_matrix,
    kappa_weights,
    mean_defined,
    multiclass_auc,
    one_vs_rest,
    rate,
    rate_interval,
)
from .curves import (
    Float,
    PrCurve,
    RocCurve,
    UndefinedMetricWarning,
    Warn,
    average_precision,
    precision_recall_curve,
    roc_auc,
    roc_curve,
)
from .intervals import (
    Indices,
    Statistic,
    auc_interval,
    bootstrap_values,
    count_cells,
    mean_interval,
    percentile_interval,
    resampled_auc,
    resampled_average_precision,
    wilson_interval,
)

__all__ = [
    "RATES",
    "Counts",
    "PrCurve",
    "RocCurve",
    "UndefinedMetricWarning",
    "auc_interval",
    "average_precision",
    "balanced_accuracy",
    "brier_score",
    "class_scores",
    "cohen_kappa",
    "confusion_matrix",
    "evaluate_scores",
    "multiclass_auc",
    "one_vs_rest",
    "precision_recall_curve",
    "rate",
    "rate_interval",
    "roc_auc",
    "roc_curve",
    "wilson_interval",
]

CLASS_RATES = ("sensitivity", "specificity", "precision", "npv", "f1")
CLASS_METRICS = (*CLASS_RATES, "auc", "pr_auc")


def evaluate_scores(
    scores: npt.ArrayLike,
    labels: npt.ArrayLike,
    classes: Sequence[str],
    positive: str,
    seed: int = 0,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute every classification metric of a whole set, ready for JSON.

    See the module for predictions, ranking and intervals.

    Args:
        scores: Numbers (n, classes): softmax, or sigmoids whose rows need not sum to 1.
        labels: Class numbers (n,).
        classes: Names in column order, two or more, all different.
        positive: The class that tp ... tn, sensitivity, specificity, precision, npv, f1, auc, pr_auc speak of,
            against all others; the rest speaks of all classes.
        seed: Seed of the bootstrap.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves those intervals out (None).

    Returns:
        A dictionary of numbers, lists and None (undefined, 0/0): each metric, `<name>_interval` as [low, high],
        "confusion", "per_class", with more than two classes "macro", "micro" and "weighted", and "warnings".

    Raises:
        UserError: The positive class is unknown, or scores are not finite.
        ValueError: Shapes, labels or names do not fit each other.

    Example:
        >>> scores = [[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0.8, 0.2]]
        >>> result = evaluate_scores(scores, [0, 0, 1, 1], ["benign", "malignant"], "malignant", resamples=0)
        >>> result["accuracy"], result["sensitivity"], result["auc"]
        (0.75, 0.5, 0.75)
        >>> [round(end, 3) for end in result["accuracy_interval"]]
        [0.301, 0.954]
    """
    s, y = check_evaluation(scores, labels, classes, positive)
    notes: list[str] = []
    confusion = confusion_matrix(y, np.argmax(s, axis=1), len(classes))
    per_class = {
        name: describe_class(confusion, k, class_scores(s, k), y == k, level, prefix_warnings(notes, name))
        for k, name in enumerate(classes)
    }
    result = {
        "n": int(y.size),
        "classes": list(classes),
        "positive": positive,
        "level": level,
        **describe_whole(confusion, s, y, level, notes.append),
        **per_class[positive],
        "confusion": confusion,
        "per_class": per_class,
    }
    if len(classes) > TWO:
        result |= averages(confusion, list(per_class.values()), notes.append)
        result["macro"]["sensitivity_interval"] = result["balanced_accuracy_interval"]  # they are one number
    if resamples > 0:
        add_bootstrap(result, s, y, seed, resamples, notes.append)
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def class_scores(scores: npt.ArrayLike, target: int) -> Float:
    """Return the scores that rank samples for one class.

    Args:
        scores: Numbers (n, classes).
        target: Class number.

    Returns:
        float64 (n,).  Two classes: score_target - score_other, which for softmax has the order of p_target and for
        two sigmoids agrees with the arg-max at 0.  More classes: the class's own column, as in one-vs-rest elsewhere.

    Example:
        >>> class_scores([[0.75, 0.25], [0.5, 0.5]], 1)
        array([-0.5,  0. ])
    """
    s = np.asarray(scores, np.float64)
    column: Float = s[:, target] - s[:, 1 - target] if s.shape[1] == TWO else s[:, target]
    return column


def check_evaluation(
    scores: npt.ArrayLike, labels: npt.ArrayLike, classes: Sequence[str], positive: str
) -> tuple[Float, Labels]:
    """Return scores as float64 (n, classes) and labels as int64 (n,), or raise an error that says what is wrong."""
    s, y = np.asarray(scores, np.float64), np.asarray(labels)
    if len(classes) < TWO or len(set(classes)) < len(classes):
        raise ValueError(f"evaluate_scores: needs two or more different class names, got {list(classes)}")
    if s.ndim != TWO or s.shape != (y.size, len(classes)) or y.ndim != 1 or y.size == 0:
        raise ValueError(
            f"evaluate_scores: needs scores (n, {len(classes)}) and labels (n,) with n >= 1, "
            f"got {s.shape} and {y.shape}"
        )
    if y.dtype.kind not in "iub" or y.min() < 0 or y.max() >= len(classes):
        raise ValueError(
            f"evaluate_scores: labels are integers from 0 to {len(classes) - 1}, "
            f"got {y.dtype} from {y.min()} to {y.max()}"
        )
    if positive not in classes:
        raise UserError(f"positive class {positive!r} is not one of the classes: {', '.join(classes)}")
    bad = int((~np.isfinite(s)).any(axis=1).sum())
    if bad:
        raise UserError(
            f"{bad} of {y.size} samples have scores that are nan or infinite, so no metric can be computed: "
            "the training has diverged (try a lower learning rate) or the weights are damaged"
        )
    return s, y.astype(np.int64)


def prefix_warnings(notes: list[str], name: str) -> Warn:
    """Return a `warn` that files the message under the class it is about."""
    return lambda message: notes.append(f"{name}: {message}")


def describe_class(
    confusion: Labels, target: int, scores: Float, present: npt.NDArray[np.bool_], level: float, warn: Warn
) -> dict[str, Any]:
    """Return one class against all others: support, counts, rates with intervals, AUC and PR-AUC."""
    counts = one_vs_rest(confusion, target)
    result: dict[str, Any] = {"support": counts.tp + counts.fn, **counts._asdict()}
    for name in CLASS_RATES:
        result[name] = rate(name, counts, warn)
        result[f"{name}_interval"] = rate_interval(name, counts, level)
    result["auc"], result["auc_interval"] = roc_auc(present, scores, warn), None
    result["pr_auc"], result["pr_auc_interval"] = average_precision(present, scores, warn), None
    return result


def describe_whole(confusion: Labels, scores: Float, labels: Labels, level: float, warn: Warn) -> dict[str, Any]:
    """Return what speaks of all classes at once: accuracy, balanced accuracy, kappas, Brier."""
    correct, n = int(np.trace(confusion)), int(confusion.sum())
    probabilities = normalise_rows(scores)
    if probabilities is None:
        warn("brier needs scores in [0, 1]; these are not probabilities, so it is undefined")
    return {
        "accuracy": correct / n,
        "accuracy_interval": wilson_interval(correct, n, level),
        "balanced_accuracy": balanced_accuracy(confusion, warn),
        "balanced_accuracy_interval": mean_interval(confusion.diagonal(), confusion.sum(axis=1), level),
        "kappa": cohen_kappa(confusion, "none", warn),
        "kappa_interval": None,
        "quadratic_kappa": cohen_kappa(confusion, "quadratic", warn),
        "quadratic_kappa_interval": None,
        "brier": math.nan if probabilities is None else brier_score(probabilities, labels),
        "brier_interval": None,
    }


def normalise_rows(scores: Float) -> Float | None:
    """Return scores divided by their row's sum (a row of zeros: all alike), or None unless all lie in [0, 1]."""
    if scores.min() < 0 or scores.max() > 1:
        return None
    total = scores.sum(axis=1, keepdims=True)
    even = np.full_like(scores, 1 / scores.shape[1])
    result: Float = np.divide(scores, total, out=even, where=total > 0)
    return result


def averages(confusion: Labels, rows: Sequence[dict[str, Any]], warn: Warn) -> dict[str, dict[str, Any]]:
    """Return macro (classes alike), weighted (by support) and micro (counts pooled) averages of per-class metrics.

    A class where a metric is undefined is left out of it, with a warning.  Micro sensitivity, precision and
    f1 all equal the accuracy, since every sample has one label and one prediction.
    """
    support = [float(row["support"]) for row in rows]
    pooled = Counts(*(sum(row[field] for row in rows) for field in Counts._fields))
    columns = {name: [row[name] for row in rows] for name in CLASS_METRICS}
    return {
        "macro": {name: mean_defined(f"macro {name}", v, warn) for name, v in columns.items()},
        "weighted": {name: mean_defined(f"weighted {name}", v, warn, support) for name, v in columns.items()},
        "micro": {name: rate(name, pooled, warn) for name in CLASS_RATES},
    }


def add_bootstrap(result: dict[str, Any], scores: Float, labels: Labels, seed: int, resamples: int, warn: Warn) -> None:
    """Fill in an evaluation's bootstrap intervals, from one stratified and one simple set of resamples."""
    classes, level = result["classes"], result["level"]
    two = len(classes) == TWO
    columns = {name: (labels == k, class_scores(scores, k)) for k, name in enumerate(classes)}
    columns = {name: pair for name, pair in columns.items() if pair[0].any() and not pair[0].all()}
    ranked = dict(list(columns.items())[-1:]) if two else columns  # of two classes each has the other's AUC
    inside = bootstrap_values(
        {name: resampled_auc(*pair) for name, pair in ranked.items()},
        labels.size,
        groups=labels,
        resamples=resamples,
        seed=seed,
    )
    whole = whole_statistics(result, scores, labels)
    across = bootstrap_values(
        whole | {f"{name}: pr_auc": resampled_average_precision(*pair) for name, pair in columns.items()},
        labels.size,
        resamples=resamples,
        seed=seed,
    )
    for name in columns:
        auc = inside[name if name in inside else next(iter(inside))]
        result["per_class"][name]["auc_interval"] = percentile_interval(f"{name}: auc", auc, level, warn)
        key = f"{name}: pr_auc"
        result["per_class"][name]["pr_auc_interval"] = percentile_interval(key, across[key], level, warn)
    for key in ("auc_interval", "pr_auc_interval"):
        result[key] = result["per_class"][result["positive"]][key]
    for key in whole:
        average, _, name = key.rpartition(" ")
        room = result[average] if average else result
        room[f"{name}_interval"] = percentile_interval(key, across[key], level, warn)
    if not two and inside:
        macro = np.mean(list(inside.values()), axis=0)
        result["macro"]["auc_interval"] = percentile_interval("macro auc", macro, level, warn)


def whole_statistics(result: dict[str, Any], scores: Float, labels: Labels) -> dict[str, Statistic]:
    """Return statistics of resamples for those of brier, kappas, macro f1 and macro specificity that are defined."""
    classes = len(result["classes"])
    cells = labels * classes + np.argmax(scores, axis=1)
    statistics: dict[str, Statistic] = {}
    for key, weights in (("kappa", "none"), ("quadratic_kappa", "quadratic")):
        if not math.isnan(result[key]):
            statistics[key] = from_confusion(cells, classes, kappa_of(kappa_weights(classes, weights)))
    probabilities = normalise_rows(scores)
    if probabilities is not None:
        terms = brier_terms(probabilities, labels)
        statistics["brier"] = lambda indices: np.mean(terms[indices], axis=1)
    if classes > TWO:
        statistics["macro f1"] = from_confusion(cells, classes, macro_f1)
        statistics["macro specificity"] = from_confusion(cells, classes, macro_specificity)
    return statistics


def from_confusion(cells: Indices, classes: int, metric: Callable[[Float], Float]) -> Statistic:
    """Return a statistic of resamples from a metric of confusion matrices (r, classes, classes) -> (r,)."""

    def statistic(indices: Indices) -> Float:
        counts = count_cells(cells[indices], classes * classes)
        return metric(counts.reshape(-1, classes, classes).astype(np.float64))

    return statistic


def kappa_of(weights: Float) -> Callable[[Float], Float]:
    """Return cohen_kappa as a function of many confusion matrices at once; nan where it is 0/0."""

    def kappa(confusions: Float) -> Float:
        rows, columns = confusions.sum(axis=2), confusions.sum(axis=1)
        expected = np.einsum("ri,rj,ij->r", rows, columns, weights) / rows.sum(axis=1)
        observed = np.einsum("rij,ij->r", confusions, weights)
        undefined = expected == 0
        return np.where(undefined, np.nan, 1 - observed / np.where(undefined, 1, expected))

    return kappa


def macro_f1(confusions: Float) -> Float:
    """Return the macro F1 of many confusion matrices at once, over the classes present or predicted in each."""
    hits = np.einsum("rkk->rk", confusions)
    total = confusions.sum(axis=2) + confusions.sum(axis=1)
    values: Float = np.sum(2 * hits / np.maximum(total, 1), axis=1) / np.sum(total > 0, axis=1)
    return values


def macro_specificity(confusions: Float) -> Float:
    """Return the macro specificity of many confusion matrices, over the classes that do not fill a resample."""
    total, rows = confusions.sum(axis=(1, 2))[:, None], confusions.sum(axis=2)
    negatives = total - rows
    rejected = negatives - confusions.sum(axis=1) + np.einsum("rkk->rk", confusions)
    share = np.divide(rejected, negatives, out=np.zeros(rows.shape), where=negatives > 0)
    values: Float = share.sum(axis=1) / np.sum(negatives > 0, axis=1)
    return values


def to_json(value: Any) -> Any:
    """Return a value as JSON knows it."""
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return to_json(value.tolist())
    if isinstance(value, tuple) and any(isinstance(v, float) and math.isnan(v) for v in value):
        return None
    if isinstance(value, list | tuple):
        return [to_json(item) for item in value]
    if isinstance(value, np.generic):
        return to_json(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value
