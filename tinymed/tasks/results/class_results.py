"""Results of a classification: tables, ROC curve, confusion matrix, predictions."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dataset import Dataset
from ...metrics.classification import class_scores, kappa_of
from ...metrics.confusion_metrics import kappa_weights
from ...metrics.intervals import Interval, f1_interval, mean_interval, wilson_interval
from ...metrics.measures import Area, Measure, Share, Weighted
from ...metrics.patients import KEPT
from ...report.plots import save_confusion, save_roc
from ...report.tables import interval, number, table
from .rows import Cases, Row

Statistic = Callable[[np.ndarray], np.ndarray]  # from how often each image counts, [r, n], to a value a row
Formula = Callable[[np.ndarray, float], Interval]  # from which images count, and a level, to an interval
RATES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auc", "pr_auc")
TOLD = ("0/0", "patients", "interval is")  # in remarks that are printed; those on resamples stay in the JSON


def class_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text.

    the rates with intervals, each class where there are several, the confusion matrix.
    """
    percent = f"{100 * result['level']:g} %"
    lines = [f"{title}: n = {result['n']}, positive class: {result['positive']}, {percent} intervals"]
    rows = [(name.replace("_", " "), number(result[name]), interval(result.get(f"{name}_interval"))) for name in RATES]
    lines.append(table(rows))
    classes = result["classes"]
    if len(classes) > 2:
        names = ("support", "sensitivity", "specificity", "precision", "f1", "auc")
        rows_by_class = [("each class against the rest", *names)]
        for name in classes:
            row = result["per_class"][name]
            rows_by_class.append((name, str(row["support"]), *(number(row[key]) for key in names[1:])))
        lines += ["", table(rows_by_class)]
    matrix = [("true \\ predicted", *classes)]
    matrix += [(name, *map(str, row)) for name, row in zip(classes, result["confusion"], strict=True)]
    lines += ["", table(matrix)]
    if "patients" in result:
        lines += ["", patient_text(result["patients"])]
    lines += [f"note: {note}" for note in result["warnings"] if any(part in note for part in TOLD)]
    return "\n".join(lines)


def patient_text(found: dict[str, Any]) -> str:
    """Return the measures of patients as text, or why there are none."""
    mixed = f"; {found['mixed']} with images of several classes are left out" if found["mixed"] else ""
    head = f"by patient, the mean score of a patient's images: n = {found['n']} patients of one class{mixed}"
    rows = [
        (name.replace("_", " "), number(found[name]), interval(found[f"{name}_interval"]))
        for name in KEPT
        if name in found
    ]
    return f"{head}\n{table(rows)}" if "accuracy" in found else head


def save_class_pictures(
    folder: Path, metrics: dict[str, Any], scores: np.ndarray, dataset: Dataset, title: str
) -> None:
    """Draw the ROC curve, where the set has both kinds of images, and the confusion matrix."""
    classes, positive = dataset.classes, metrics["positive"]
    save_roc(scores, dataset.labels, classes, positive, folder / "roc.png", metrics)
    save_confusion(metrics["confusion"], classes, folder / "confusion.png", title)


def class_rows(names: Sequence[str], labels: np.ndarray, scores: np.ndarray, classes: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each image: its class, the answer, the score of every class."""
    found = scores.argmax(axis=1)
    return [
        {"path": name, "true": classes[labels[i]], "predicted": classes[found[i]]}
        | {f"score {each}": float(score) for each, score in zip(classes, scores[i], strict=True)}
        for i, name in enumerate(names)
    ]


def class_figures(cases: Cases, classes: Sequence[str], positive: str, seed: int) -> dict[str, Measure]:
    """Return the measures of a list of predictions; sensitivity, specificity and AUC are of the positive class."""
    labels, scores = cases.number_of("true", classes), cases.table("score", classes)
    found, k, several = scores.argmax(axis=1), list(classes).index(positive), len(classes) > 2
    confusions = weighted_confusion(labels, found, len(classes))
    everyone = np.ones(labels.size, bool)
    pairs = [((labels == i).astype(np.float64), class_scores(scores, i)) for i in range(len(classes))]
    figures: dict[str, Measure] = {
        "accuracy": Share(found == labels),
        "sensitivity": Share(found == k, labels == k),
        "specificity": Share(found != k, labels != k),
        "auc": Area([pairs[k]], cases.folds),
    }
    if several:
        figures["macro_auc"] = Area(pairs, cases.folds)
    yes, no, is_k, is_not = found == k, found != k, labels == k, labels != k

    def recalls(kept: np.ndarray, level: float) -> Interval:
        matrix = confusions(kept[None].astype(np.float64))[0]
        return mean_interval(matrix.diagonal(), matrix.sum(axis=1), level)

    formulas: dict[str, Formula] = {
        "balanced_accuracy": recalls,
        "precision": lambda kept, level: share_of(kept & yes, is_k, level),
        "npv": lambda kept, level: share_of(kept & no, is_not, level),
        "f1": lambda kept, level: f1_interval(
            count(kept & yes & is_k), count(kept & yes & is_not), count(kept & no & is_k), level
        ),
    }
    kappa = kappa_of(kappa_weights(len(classes), "none"))
    resampled = {
        "balanced_accuracy": lambda w: mean_recall(confusions(w)),
        "precision": ratio((found == k) & (labels == k), found == k),
        "npv": ratio((found != k) & (labels != k), found != k),
        "f1": ratio(2.0 * ((found == k) & (labels == k)), 1.0 * (found == k) + (labels == k)),
        "pr_auc": weighted_precision(pairs[k][0], pairs[k][1], cases.folds),
        "kappa": lambda w: kappa(confusions(w)),
    }
    figures |= {
        name: Weighted(each, everyone, seed=seed, formula=formulas.get(name)) for name, each in resampled.items()
    }
    return {name: figures[name] for name in dict.fromkeys(["accuracy", "balanced_accuracy", *figures])}


def count(chosen: np.ndarray) -> int:
    """Return how many are chosen."""
    return int(np.count_nonzero(chosen))


def share_of(chosen: np.ndarray, right: np.ndarray, level: float) -> Interval:
    """Return Wilson's interval of the share of the chosen that are right."""
    return wilson_interval(count(chosen & right), count(chosen), level)


def ratio(above: np.ndarray, below: np.ndarray) -> Statistic:
    """Return the function from weights [r, n] to a ratio of weighted sums; nan where it is 0/0."""

    def of(weights: np.ndarray) -> np.ndarray:
        total = weights @ below
        share: np.ndarray = weights @ above / np.where(total > 0, total, np.nan)
        return share

    return of


def weighted_precision(labels: np.ndarray, scores: np.ndarray, folds: np.ndarray | None) -> Statistic:
    """Return the function from weights [r, n] to average precisions, of folds each by itself and averaged."""
    parts = [np.arange(labels.size)] if folds is None else [np.flatnonzero(folds == f) for f in np.unique(folds)]
    order = [part[np.argsort(-scores[part], kind="stable")] for part in parts]
    last = [np.append(np.flatnonzero(np.diff(scores[rows])), rows.size - 1) for rows in order]  # of equal scores

    def of(weights: np.ndarray) -> np.ndarray:
        areas = []
        for rows, ends in zip(order, last, strict=True):
            hits = np.cumsum(weights[:, rows] * labels[rows], axis=1)[:, ends]
            called = np.cumsum(weights[:, rows], axis=1)[:, ends]
            total = hits[:, -1:]
            steps = np.diff(hits, axis=1, prepend=0) * hits / np.maximum(called, 1)
            areas.append(steps.sum(axis=1) / np.where(total > 0, total, np.nan)[:, 0])
        found = np.stack(areas)
        known = np.isfinite(found)
        mean: np.ndarray = np.where(known, found, 0).sum(axis=0) / np.where(
            known.any(axis=0), known.sum(axis=0), np.nan
        )
        return mean

    return of


def weighted_confusion(labels: np.ndarray, found: np.ndarray, classes: int) -> Statistic:
    """Return the function from weights [r, n] to confusion matrices [r, classes, classes]."""
    cells = np.eye(classes * classes)[labels * classes + found]

    def of(weights: np.ndarray) -> np.ndarray:
        matrices: np.ndarray = (weights @ cells).reshape(-1, classes, classes)
        return matrices

    return of


def mean_recall(confusions: np.ndarray) -> np.ndarray:
    """Return the mean recall of the classes that occur, of many confusion matrices."""
    support = confusions.sum(axis=2)
    recall = np.einsum("rkk->rk", confusions) / np.where(support > 0, support, np.nan)
    known = np.isfinite(recall)
    total: np.ndarray = np.where(known, recall, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1)
    return total
