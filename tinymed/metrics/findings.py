"""Measures of several findings an image: each finding on its own, and averages that say what they average.

A finding is measured on the images of which it is known.  Where these have no positive or no negative image, its AUC is
not defined: it is None, named in `undefined`, and no average counts it.

    macro     the mean over the findings that are defined
    micro     all pairs of image and finding in one ranking: frequent findings rule it, and scores that only know how
              frequent each finding is reach more than 0.5
    subset    the share of images, all of whose findings are known, that have every one right

Rates are at a score of 0.5 with Wilson's interval; each AUC's interval resamples inside its classes, those of the
averages resample images.  `evaluate_findings` is the one call.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .classification import to_json
from .confusion_metrics import Counts, rate, rate_interval
from .curves import Float, Warn, average_precision, roc_auc
from .intervals import (
    Indices,
    Statistic,
    auc_interval,
    bootstrap_values,
    count_cells,
    percentile_interval,
    resampled_average_precision,
    wilson_interval,
)

__all__ = ["evaluate_findings", "micro_auc"]

Mask = npt.NDArray[np.bool_]
RATES = ("sensitivity", "specificity", "precision", "f1")
CELLS = 1 << 21  # of the counts that are held at a time


def micro_auc(truth: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """Compute the AUC over all pairs of image and finding that are known.

    As `sklearn.metrics.roc_auc_score(average="micro")`.

    Args:
        truth: 1, 0 or nan (n, findings).
        scores: Numbers (n, findings).

    Returns:
        A number from 0 to 1; nan with a warning where all known pairs are alike.

    Raises:
        ValueError: Shapes differ, no pair is known, or scores are not finite.

    Example:
        >>> micro_auc([[1, 0], [0, np.nan]], [[0.9, 0.2], [0.4, 0.5]])
        1.0
    """
    t, s = np.asarray(truth, np.float64), np.asarray(scores, np.float64)
    known = np.isfinite(t)
    return roc_auc(t[known] == 1, s[known])


def evaluate_findings(
    scores: npt.ArrayLike,
    truth: npt.ArrayLike,
    findings: Sequence[str],
    seed: int = 0,
    *,
    prevalence: Sequence[float] | None = None,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute every measure of several findings over a whole set, ready for JSON.

    Args:
        scores: Probabilities (n, findings).
        truth: 1 there, 0 not there, nan not known (n, findings).
        findings: Names in column order, all different.
        seed: Seed of the bootstrap.
        prevalence: Of each finding in the training set: what a trivial method gives as its score.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves those intervals out (None).

    Returns:
        A dictionary of numbers, lists and None (undefined): macro and micro AUC, subset accuracy, each with
        `<name>_interval`; "per_finding"; "undefined", the findings without an AUC; "floors", those of the scores
        `prevalence`; "warnings".

    Raises:
        UserError: A score is not finite.
        ValueError: Shapes or names do not fit each other.

    Example:
        >>> truth = [[1, 0], [0, 1], [1, np.nan], [0, 0]]
        >>> scores = [[0.9, 0.2], [0.4, 0.6], [0.7, 0.5], [0.1, 0.3]]
        >>> result = evaluate_findings(scores, truth, ["edema", "mass"], resamples=0)
        >>> result["macro_auc"], result["per_finding"]["mass"]["known"], result["subset_accuracy"]
        (1.0, 3, 1.0)
    """
    s, t = check_findings(scores, truth, findings)
    notes: list[str] = []
    known, positive = np.isfinite(t), t == 1
    rows = {
        name: one_finding(s[:, k], positive[:, k], known[:, k], level, prefixed(notes, name))
        for k, name in enumerate(findings)
    }
    defined = [k for k, name in enumerate(findings) if not math.isnan(rows[name]["auc"])]
    whole = known.all(axis=1)
    right = ((s[whole] >= 0.5) == positive[whole]).all(axis=1)
    result: dict[str, Any] = {"n": int(t.shape[0]), "classes": list(findings), "level": level}
    result["macro_auc"] = float(np.mean([rows[findings[k]]["auc"] for k in defined])) if defined else math.nan
    result["micro_auc"] = micro(s, positive, known, notes)
    result |= {"macro_auc_interval": None, "micro_auc_interval": None}
    result["macro_pr_auc"] = float(np.mean([rows[findings[k]]["pr_auc"] for k in defined])) if defined else math.nan
    result["subset_accuracy"] = float(right.mean()) if right.size else math.nan
    result["subset_accuracy_interval"] = wilson_interval(int(right.sum()), right.size, level)
    result |= {"whole": int(right.size), "undefined": [n for k, n in enumerate(findings) if k not in defined]}
    result["per_finding"] = rows
    if prevalence is not None:
        result["floors"] = {"prevalence": prevalence_floor(np.asarray(prevalence, np.float64), t, defined)}
    if resamples > 0:
        add_intervals(result, s, t, defined, seed, resamples, notes)
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def check_findings(scores: npt.ArrayLike, truth: npt.ArrayLike, findings: Sequence[str]) -> tuple[Float, Float]:
    """Return scores and truth as float64 (n, findings), or raise an error that says what is wrong."""
    s, t = np.asarray(scores, np.float64), np.asarray(truth, np.float64)
    if not findings or len(set(findings)) < len(findings):
        raise ValueError(f"evaluate_findings: needs one or more different findings, got {list(findings)}")
    if s.shape != t.shape or s.ndim != 2 or s.shape[1] != len(findings) or not len(s):
        raise ValueError(
            f"evaluate_findings: needs scores and truth (n, {len(findings)}) with n >= 1, got {s.shape} and {t.shape}"
        )
    if not (np.isnan(t) | (t == 0) | (t == 1)).all():
        raise ValueError("evaluate_findings: truth is 1, 0 or nan")
    if not np.isfinite(s).all():
        raise UserError(
            f"{int((~np.isfinite(s)).any(axis=1).sum())} of {len(s)} images have scores that are nan or infinite: the "
            "training has diverged (try a lower learning rate) or the weights are damaged"
        )
    return s, t


def prefixed(notes: list[str], name: str) -> Warn:
    """Return a `warn` that files the message under the finding it is about."""
    return lambda message: notes.append(f"{name}: {message}")


def one_finding(s: Float, positive: Mask, known: Mask, level: float, warn: Warn) -> dict[str, Any]:
    """Return the measures of one finding, on the images of which it is known."""
    truth, score = positive[known], s[known]
    called = score >= 0.5
    tp, fp = int((truth & called).sum()), int((~truth & called).sum())
    counts = Counts(tp, fp, int(truth.sum()) - tp, int((~truth).sum()) - fp)
    result: dict[str, Any] = {"known": int(known.sum()), "positives": int(truth.sum())}
    result["prevalence"] = float(truth.mean()) if truth.size else math.nan
    both = truth.any() and not truth.all()
    if not both:
        kind = "image of which it is known" if not truth.size else "negative image" if truth.all() else "positive image"
        warn(f"there is no {kind}, so its AUC is not defined and no average counts it")
    result["auc"], result["auc_interval"] = (roc_auc(truth, score) if both else math.nan), None
    result["pr_auc"], result["pr_auc_interval"] = (average_precision(truth, score) if both else math.nan), None
    for name in RATES:
        result[name], result[f"{name}_interval"] = rate(name, counts, warn), rate_interval(name, counts, level)
    return result


def micro(s: Float, positive: Mask, known: Mask, notes: list[str]) -> float:
    """Return the AUC over all known pairs, nan where it is not defined."""
    if not known.any():
        return math.nan
    return roc_auc(positive[known], s[known], notes.append)


def prevalence_floor(prevalence: Float, t: Float, defined: Sequence[int]) -> dict[str, Any]:
    """Return what scores reach that are the same for every image: each finding's share in the training set."""
    scores, known = np.broadcast_to(prevalence, t.shape), np.isfinite(t)
    shares = [float((t[known[:, k], k] == 1).mean()) for k in defined]
    return {
        "scores": prevalence.tolist(),
        "macro_auc": 0.5 if defined else math.nan,
        "micro_auc": micro(np.asarray(scores), t == 1, known, []),
        "macro_pr_auc": float(np.mean(shares)) if shares else math.nan,
    }


# ------------------------------------------------------------------------------------------------------ intervals


def add_intervals(
    result: dict[str, Any], s: Float, t: Float, defined: Sequence[int], seed: int, resamples: int, notes: list[str]
) -> None:
    """Fill in the bootstrap's intervals: inside the classes for each AUC, over images for the rest."""
    level, names = result["level"], result["classes"]
    for k in defined:
        known = np.isfinite(t[:, k])
        row, truth, score = result["per_finding"][names[k]], t[known, k] == 1, s[known, k]
        warn = prefixed(notes, names[k])
        row["auc_interval"] = auc_interval(truth, score, level=level, resamples=resamples, seed=seed, warn=warn)
        statistic = {"pr_auc": resampled_average_precision(truth, score)}
        drawn = bootstrap_values(statistic, truth.size, resamples=resamples, seed=seed)
        row["pr_auc_interval"] = percentile_interval("pr_auc", drawn["pr_auc"], level, warn)
    if not defined:
        return
    singles = [pair_auc(s[:, [k]], t[:, [k]]) for k in defined]
    statistics: dict[str, Statistic] = {
        "macro_auc": lambda rows: np.mean([single(rows) for single in singles], axis=0),
        "micro_auc": pair_auc(s, t),
    }
    drawn = bootstrap_values(statistics, len(t), resamples=resamples, seed=seed)
    for name, values in drawn.items():
        result[f"{name}_interval"] = percentile_interval(name, values, level, notes.append)
    for name, floor in result.get("floors", {}).get("prevalence", {}).items():
        if name in drawn and not result[f"{name}_interval"][0] > floor:
            notes.append(f"{name.replace('_', ' ')} is not above that of the floor by its interval")


def pair_auc(s: Float, t: Float) -> Statistic:
    """Return the AUC over the known pairs of resampled images as a `statistic`; nan where it is not defined.

    The scores are ranked once.  What is not known has a cell of its own, which is not counted.
    """
    known = np.isfinite(t)
    distinct, rank = np.unique(s, return_inverse=True)
    places = distinct.size
    cell = np.where(known, rank.reshape(s.shape) + np.where(t == 1, places, 0), 2 * places)

    def statistic(indices: Indices) -> Float:
        step = max(1, CELLS // max(2 * places, indices.shape[1] * s.shape[1]))
        blocks = [indices[i : i + step] for i in range(0, len(indices), step)]
        return np.concatenate([auc_of_cells(cell[rows].reshape(len(rows), -1), places) for rows in blocks])

    return statistic


def auc_of_cells(cells: Indices, places: int) -> Float:
    """Return the AUC of every row of cells: negatives by rank, then positives by rank, then what does not count."""
    counts = count_cells(cells, 2 * places + 1)
    negative, positive = counts[:, :places], counts[:, places : 2 * places]
    twice_below = 2 * np.cumsum(negative, axis=1) - negative
    pairs = positive.sum(axis=1) * negative.sum(axis=1)
    area = np.einsum("ru,ru->r", positive, twice_below) / np.where(pairs == 0, 1, 2 * pairs)
    return np.where(pairs == 0, np.nan, area)
