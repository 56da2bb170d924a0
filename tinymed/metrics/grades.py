"""Measures of ordered grades, where a miss by one grade is less than a miss by three.

    accuracy, within_1         shares of images whose grade is right, or off by one at most (Wilson)
    mae                        mean error in grades
    quadratic_kappa            agreement beyond chance, misses weighed by their square (Cohen 1968); linear_kappa too
    rps                        ranked probability score: mean over images of the summed squared error of the cumulative
                               probabilities, over the number of thresholds (Epstein 1969); 0 is perfect
    at least a grade           the AUC, sensitivity and specificity of every threshold, by P(grade >= it)

The rest is bootstrapped over images.  Three rules turn probabilities into a grade: the median of the distribution,
which makes the mean error least; the mean, rounded, which makes the squared error least; the mode, which is right most
often.  `evaluate_grades` is the one call.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .classification import from_confusion, kappa_of, to_json
from .confusion_metrics import (
    Counts,
    Labels,
    balanced_accuracy,
    cohen_kappa,
    confusion_matrix,
    kappa_weights,
    rate,
    rate_interval,
)
from .curves import Float, Warn, roc_auc
from .intervals import Statistic, auc_interval, bootstrap_values, mean_interval, percentile_interval, wilson_interval

__all__ = ["DECISIONS", "decide", "evaluate_grades", "ranked_probability_score"]

DECISIONS = ("median", "mean", "mode")


def decide(probabilities: npt.ArrayLike, decision: str = "median") -> Labels:
    """Return the grade that probabilities speak for.

    Args:
        probabilities: Numbers (n, grades), rows summing to 1.
        decision: "median" of the distribution, its "mean" (rounded to the nearest grade) or its "mode".

    Returns:
        int64 (n,): numbers of grades.

    Raises:
        ValueError: The decision is unknown.

    Example:
        >>> rows = [[0.4, 0.2, 0.1, 0.3]]
        >>> [int(decide(rows, rule)[0]) for rule in DECISIONS]
        [1, 1, 0]
    """
    p = np.asarray(probabilities, np.float64)
    if decision == "median":
        below = np.cumsum(p, axis=1)
        found = np.minimum((below < 0.5 * below[:, -1:]).sum(axis=1), p.shape[1] - 1)
    elif decision == "mean":
        found = np.rint(p @ np.arange(p.shape[1]))
    elif decision == "mode":
        found = p.argmax(axis=1)
    else:
        raise ValueError(f"decide: decision is one of {', '.join(DECISIONS)}, got {decision!r}")
    grades: Labels = found.astype(np.int64)
    return grades


def score_terms(probabilities: Float, labels: Labels) -> Float:
    """Return each image's share (n,) of the ranked probability score."""
    thresholds = np.arange(1, probabilities.shape[1])
    above = 1 - np.cumsum(probabilities, axis=1)[:, :-1]
    truth = labels[:, None] >= thresholds
    terms: Float = ((above - truth) ** 2).mean(axis=1)
    return terms


def ranked_probability_score(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Compute the mean squared error of P(grade >= k), over images and thresholds k.

    Args:
        probabilities: Numbers (n, grades), rows summing to 1.
        labels: Numbers of grades (n,).

    Returns:
        0 is perfect; at most 1.

    Example:
        >>> ranked_probability_score([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0]], [1, 0])
        0.0625

    Reference:
        Epstein, Journal of Applied Meteorology 8, 1969.
    """
    return float(score_terms(np.asarray(probabilities, np.float64), np.asarray(labels, np.int64)).mean())


def evaluate_grades(
    probabilities: npt.ArrayLike,
    labels: npt.ArrayLike,
    grades: Sequence[str],
    seed: int = 0,
    *,
    decision: str = "median",
    floors: Mapping[str, int] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute every measure of grades over a whole set, ready for JSON.

    Args:
        probabilities: Numbers (n, grades), rows summing to 1.
        labels: Numbers of grades (n,).
        grades: Names in their order, two or more.
        seed: Seed of the bootstrap.
        decision: How probabilities become a grade, see `decide`.
        floors: Name -> the one grade that a trivial method always predicts, such as the training set's most frequent.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves those intervals out (None).

    Returns:
        A dictionary of numbers, lists and None (undefined): each measure and `<name>_interval`; "confusion";
        "per_grade": support and sensitivity; "at_least": of each grade but the first; "floors": of each its grade,
        accuracy, within_1, mae, and gain, its mae less that of the predictions, with the paired interval; "warnings".

    Raises:
        UserError: A probability is not finite.
        ValueError: Shapes or names do not fit each other.

    Example:
        >>> rows = [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.6, 0.3]]
        >>> result = evaluate_grades(rows, [0, 1, 2], ["mild", "moderate", "severe"], resamples=0)
        >>> round(result["accuracy"], 3), result["within_1"], result["at_least"]["severe"]["auc"]
        (0.667, 1.0, 1.0)
    """
    p, y = check_grades(probabilities, labels, grades)
    notes: list[str] = []
    found = decide(p, decision)
    error = np.abs(found - y)
    confusion = confusion_matrix(y, found, len(grades))
    result: dict[str, Any] = {"n": int(y.size), "classes": list(grades), "decision": decision, "level": level}
    for name, right in (("accuracy", error == 0), ("within_1", error <= 1)):
        result[name] = float(right.mean())
        result[f"{name}_interval"] = wilson_interval(int(right.sum()), y.size, level)
    result["balanced_accuracy"] = balanced_accuracy(confusion, notes.append)
    result["balanced_accuracy_interval"] = mean_interval(confusion.diagonal(), confusion.sum(axis=1), level)
    for name in ("quadratic", "linear"):
        result[f"{name}_kappa"] = cohen_kappa(confusion, name, notes.append)
        result[f"{name}_kappa_interval"] = None
    result |= {"mae": float(error.mean()), "mae_interval": None}
    result |= {"rps": float(score_terms(p, y).mean()), "rps_interval": None}
    result["confusion"] = confusion
    result["per_grade"] = {name: one_grade(confusion, k, level) for k, name in enumerate(grades)}
    result["at_least"] = {
        name: threshold(p, y, found, k, seed, level, resamples, notes) for k, name in enumerate(grades) if k
    }
    result["floors"] = {name: constant(y, error, int(grade), grades, level) for name, grade in (floors or {}).items()}
    if resamples > 0:
        add_intervals(result, p, y, found, seed, resamples, notes.append)
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def check_grades(probabilities: npt.ArrayLike, labels: npt.ArrayLike, grades: Sequence[str]) -> tuple[Float, Labels]:
    """Return probabilities as float64 and labels as int64, or raise an error that says what is wrong."""
    p, y = np.asarray(probabilities, np.float64), np.asarray(labels)
    if len(grades) < 2 or len(set(grades)) < len(grades):
        raise ValueError(f"evaluate_grades: needs two or more different grades, got {list(grades)}")
    if p.shape != (y.size, len(grades)) or y.ndim != 1 or not y.size:
        raise ValueError(
            f"evaluate_grades: needs probabilities (n, {len(grades)}) and labels (n,) with n >= 1, got {p.shape} and "
            f"{y.shape}"
        )
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= len(grades):
        raise ValueError(f"evaluate_grades: labels are integers from 0 to {len(grades) - 1}")
    if not np.isfinite(p).all():
        raise UserError(
            f"{int((~np.isfinite(p)).any(axis=1).sum())} of {y.size} images have probabilities that are nan or "
            "infinite: the training has diverged (try a lower learning rate) or the weights are damaged"
        )
    return p, y.astype(np.int64)


def one_grade(confusion: Labels, grade: int, level: float) -> dict[str, Any]:
    """Return how many images have a grade, and which share of them is found."""
    right, support = int(confusion[grade, grade]), int(confusion[grade].sum())
    sensitivity = right / support if support else math.nan
    return {
        "support": support,
        "sensitivity": sensitivity,
        "sensitivity_interval": wilson_interval(right, support, level),
    }


def threshold(
    p: Float, y: Labels, found: Labels, grade: int, seed: int, level: float, resamples: int, notes: list[str]
) -> dict[str, Any]:
    """Return the measures of "at least this grade"."""

    def warn(message: str) -> None:
        notes.append(f"at least grade number {grade}: {message}")

    truth, called, score = y >= grade, found >= grade, p[:, grade:].sum(axis=1)
    tp, fp = int((truth & called).sum()), int((~truth & called).sum())
    counts = Counts(tp, fp, int(truth.sum()) - tp, int((~truth).sum()) - fp)
    auc = roc_auc(truth, score, warn)
    defined = resamples > 0 and not math.isnan(auc)
    result: dict[str, Any] = {"support": int(truth.sum()), "auc": auc}
    result["auc_interval"] = (
        auc_interval(truth, score, level=level, resamples=resamples, seed=seed, warn=warn) if defined else None
    )
    for name in ("sensitivity", "specificity"):
        result[name], result[f"{name}_interval"] = rate(name, counts, warn), rate_interval(name, counts, level)
    return result


def constant(y: Labels, error: Labels, grade: int, grades: Sequence[str], level: float) -> dict[str, Any]:
    """Return what predicting one grade always gives, and what the predictions gain over it."""
    missed = np.abs(y - grade)
    return {
        "grade": grades[grade],
        "number": grade,
        "accuracy": float((missed == 0).mean()),
        "within_1": float((missed <= 1).mean()),
        "mae": float(missed.mean()),
        "gain": float((missed - error).mean()),
        "gain_interval": None,
    }


def add_intervals(
    result: dict[str, Any], p: Float, y: Labels, found: Labels, seed: int, resamples: int, warn: Warn
) -> None:
    """Fill in the bootstrap's intervals, all from one set of resamples."""
    classes, error, terms = p.shape[1], np.abs(found - y), score_terms(p, y)

    def mean_of(values: npt.NDArray[Any]) -> Statistic:
        return lambda rows: np.asarray(values[rows].mean(axis=1), np.float64)

    statistics: dict[str, Statistic] = {"mae": mean_of(error), "rps": mean_of(terms)}
    for name in ("quadratic", "linear"):
        if not math.isnan(result[f"{name}_kappa"]):
            kappa = kappa_of(kappa_weights(classes, name))
            statistics[f"{name}_kappa"] = from_confusion(y * classes + found, classes, kappa)
    gains = {f"floor {n}": mean_of(np.abs(y - floor["number"]) - error) for n, floor in result["floors"].items()}
    drawn = bootstrap_values(statistics | gains, y.size, resamples=resamples, seed=seed)
    for name in statistics:
        result[f"{name}_interval"] = percentile_interval(name, drawn[name], result["level"], warn)
    for name, floor in result["floors"].items():
        floor["gain_interval"] = percentile_interval(f"gain over {name}", drawn[f"floor {name}"], result["level"], warn)
        if not floor["gain_interval"][0] > 0:
            warn(f"the mean error is not below that of the floor {name!r}: the interval of the gain holds 0 or less")
