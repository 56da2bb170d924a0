"""Measures of segmented images: a row a case, and their averages over cases with intervals.

A case is an image, or a patient's volume.  Averages are over the cases where a measure is defined, as the papers of
segmentation report them; intervals are percentiles of a bootstrap over cases (Efron and Tibshirani 1993, chapter 13).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.labels import IGNORED
from .intervals import bootstrap_values, percentile_interval
from .segmentation import METRICS, label_metrics, mean_over_labels

Row = dict[str, Any]


def measure_case(
    name: str, loss: float, truth: np.ndarray, found: np.ndarray, classes: int, spacing: Sequence[float] | None = None
) -> Row:
    """Return {"name", "loss", "accuracy", "pixels", and of `label_metrics` one list a metric with a value a class}
    of a case.

    truth, found: class numbers of one shape; pixels that are IGNORED in truth do not count.  spacing: with it also the
    distances between surfaces, in its unit.
    """
    counted = truth != IGNORED
    pixels = np.bincount(truth[counted], minlength=classes)
    right = int((truth[counted] == found[counted]).sum())
    metrics = label_metrics(
        truth,
        found,
        classes,
        1.0 if spacing is None else tuple(spacing),
        ignored=IGNORED,
        distances=spacing is not None,
    )
    accuracy = right / max(int(counted.sum()), 1)
    return {"name": name, "loss": loss, "accuracy": accuracy, "pixels": pixels.tolist(), **metrics}


def averages(rows: Sequence[Row]) -> dict[str, Any]:
    """Return loss, accuracy and Dice, the last averaged over cases and classes but the background: what an epoch
    shows.
    """
    means = [mean_over_labels(row["dice"]) for row in rows]
    dice = [value for value in means if value is not None]
    result = {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "accuracy")}
    return result | {"dice": float(np.mean(dice)) if dice else None}


def summarise(rows: Sequence[Row], classes: Sequence[str], seed: int = 0, level: float = 0.95) -> dict[str, Any]:
    """Return averages over cases with intervals, by class, and over the classes but the background; plain values for
    JSON.
    """
    notes: list[str] = []
    result: dict[str, Any] = {"n": len(rows), "classes": list(classes), "level": level}
    for name in ("loss", "accuracy"):
        result |= described(name, [row[name] for row in rows], seed, level, notes)
    per_class: dict[str, Any] = {}
    measures = [name for name in METRICS if name in rows[0]]
    for k, label in enumerate(classes):
        per_class[label] = {"pixels": sum(row["pixels"][k] for row in rows)}
        for name in measures:
            per_class[label] |= described(name, [row[name][k] for row in rows], seed, level, notes, label)
    for name in measures:  # of a case: the mean over its classes
        result |= described(name, [mean_over_labels(row[name]) for row in rows], seed, level, notes)
    return result | {"per_class": per_class, "warnings": list(dict.fromkeys(notes))}


def described(
    name: str, values: Sequence[float | None], seed: int, level: float, notes: list[str], label: str = ""
) -> dict[str, Any]:
    """Return {name: mean, name_interval, name_median, name_n} over the cases where it is defined."""
    kept = np.array([v for v in values if v is not None], np.float64)
    if len(kept) < len(values):
        left = f"{len(values) - len(kept)} of {len(values)} cases"
        notes.append(f"{label} {name}: no value in {left}, where a mask is empty; left out".strip())
    if not kept.size:
        return {name: None, f"{name}_interval": None, f"{name}_median": None, f"{name}_n": 0}
    drawn = bootstrap_values({"mean": lambda index: kept[index].mean(axis=1)}, kept.size, seed=seed)["mean"]
    low, high = percentile_interval(name, drawn, level, notes.append)
    return {
        name: float(kept.mean()),
        f"{name}_interval": [low, high],
        f"{name}_median": float(np.median(kept)),
        f"{name}_n": int(kept.size),
    }
