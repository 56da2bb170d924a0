"""Measures of segmented images: one row per case, and their averages over cases with intervals.

A case is an image, or a patient's volume.  Averages are over the cases where a measure is defined, as the papers of
segmentation report them; intervals are those of `mean_interval_by_groups`, as everywhere in tinymed.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..data.labels import IGNORED
from .measures import Mean, ignore
from .segmentation import METRICS, label_metrics, mean_over_labels

__all__ = ["averages", "measure_case", "paired_difference", "summarise"]

Row = dict[str, Any]
SHARES = ("accuracy", "aji", "dice", "jaccard")  # of 1
OBJECTS = ("aji", "rand_error", "warping_error")  # of objects told apart


def measure_case(
    name: str,
    loss: float,
    truth: np.ndarray,
    prediction: np.ndarray,
    classes: int,
    spacing: Sequence[float] | None = None,
    regions: Mapping[str, Sequence[int]] | None = None,
) -> Row:
    """Measure one segmented image or volume.

    Args:
        name: What the row is called.
        loss: The case's loss.
        truth: Class numbers of any shape; pixels that are IGNORED (255) do not count.
        prediction: Predicted class numbers of the same shape.
        classes: Number of classes.
        spacing: Distance between neighbouring pixels along each axis, such as mm; with it also the distances between
            surfaces, in its unit.
        regions: Region -> numbers of the classes inside it, which are measured as one.

    Returns:
        {"name", "loss", "accuracy", "pixels", and of `label_metrics` one list per metric with a value per class}; with
        regions also "regions": {region: {metric: value}}.

    Raises:
        ValueError: The shapes differ, or the arrays do not hold integers.

    Example:
        >>> row = measure_case("a", 0.5, np.array([[0, 1], [1, 255]]), np.array([[0, 1], [0, 1]]), 2)
        >>> row["pixels"], round(row["accuracy"], 3), [round(v, 3) for v in row["dice"]]
        ([1, 2], 0.667, [0.667, 0.667])
    """
    counted = truth != IGNORED
    pixels = np.bincount(truth[counted], minlength=classes)
    right = int((truth[counted] == prediction[counted]).sum())
    metrics = label_metrics(
        truth,
        prediction,
        classes,
        1.0 if spacing is None else tuple(spacing),
        ignored=IGNORED,
        distances=spacing is not None,
    )
    accuracy = right / max(int(counted.sum()), 1)
    row: Row = {"name": name, "loss": loss, "accuracy": accuracy, "pixels": pixels.tolist(), **metrics}
    if regions:
        row["regions"] = {
            region: measure_region(truth, prediction, inside, spacing) for region, inside in regions.items()
        }
    return row


def measure_region(
    truth: np.ndarray, prediction: np.ndarray, inside: Sequence[int], spacing: Sequence[float] | None
) -> dict[str, float | None]:
    """Return {metric: value} of classes that are taken for one."""
    real = np.where(truth == IGNORED, IGNORED, np.isin(truth, inside)).astype(np.uint8)
    found = np.isin(prediction, inside).astype(np.uint8)
    space = 1.0 if spacing is None else tuple(spacing)
    values = label_metrics(real, found, 2, space, ignored=IGNORED, distances=spacing is not None)
    return {metric: both[1] for metric, both in values.items()}


def averages(rows: Sequence[Row]) -> dict[str, Any]:
    """Average what an epoch shows over cases: loss, accuracy, and Dice over the classes but the background.

    Args:
        rows: What `measure_case` returns, one per case.

    Returns:
        {"loss", "accuracy", "dice"}; dice is None where it is defined in no case.

    Example:
        >>> averages([{"loss": 1.0, "accuracy": 0.5, "dice": [0.9, 0.6]}])
        {'loss': 1.0, 'accuracy': 0.5, 'dice': 0.6}
    """
    means = [mean_over_labels(row["dice"]) for row in rows]
    dice = [value for value in means if value is not None]
    result = {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "accuracy")}
    return result | {"dice": float(np.mean(dice)) if dice else None}


def summarise(rows: Sequence[Row], classes: Sequence[str], level: float = 0.95) -> dict[str, Any]:
    """Summarise cases: means with intervals, medians, by class and over the classes but the background; ready for JSON.

    Args:
        rows: What `measure_case` returns, one per case.
        classes: Names in class order.
        level: Confidence level, above 0 and below 1.

    Returns:
        A dictionary of `<name>` (mean over the cases where it is defined, None if nowhere), `<name>_interval`,
        `<name>_median`, `<name>_n`, "per_class", "warnings", and "per_region" where cases have regions.

    Example:
        >>> truth = np.array([[0, 1], [1, 1]])
        >>> rows = [measure_case("a", 0.5, truth, truth, 2), measure_case("b", 0.7, truth, 1 - truth, 2)]
        >>> result = summarise(rows, ["background", "lesion"])
        >>> result["dice"], result["dice_n"], result["per_class"]["lesion"]["pixels"]
        (0.5, 2, 6)

    Reference:
        Hall, Journal of the Royal Statistical Society B 54, 1992.
    """
    notes: list[str] = []
    result: dict[str, Any] = {"n": len(rows), "classes": list(classes), "level": level}
    for name in ("loss", "accuracy", *(name for name in OBJECTS if name in rows[0])):
        result |= with_interval(name, [row[name] for row in rows], level, notes)
    per_class: dict[str, Any] = {}
    measures = [name for name in METRICS if name in rows[0]]
    for k, label in enumerate(classes):
        per_class[label] = {"pixels": sum(row["pixels"][k] for row in rows)}
        for name in measures:
            per_class[label] |= with_interval(name, [row[name][k] for row in rows], level, notes, label)
    for name in measures:  # of a case: the mean over its classes
        result |= with_interval(name, [mean_over_labels(row[name]) for row in rows], level, notes)
    regions = {
        region: with_intervals([row["regions"][region] for row in rows], measures, level, notes, region)
        for region in rows[0].get("regions", {})
    }
    result |= {"per_region": regions} if regions else {}
    return result | {"per_class": per_class, "warnings": list(dict.fromkeys(notes))}


def bounds_of(name: str) -> tuple[float, float]:
    """Return the least and largest value of a measure: of shares 0 and 1; an error of volume is signed.

    Example:
        >>> bounds_of("dice"), bounds_of("hd95"), bounds_of("volume_error"), bounds_of("conformity")
        ((0, 1), (0, inf), (-1.0, inf), (-inf, 1))
    """
    least = {"volume_error": -1.0, "conformity": -np.inf}.get(name, 0)
    return least, 1 if name in (*SHARES, *OBJECTS, "conformity") else np.inf


def with_intervals(
    rows: Sequence[Row], names: Sequence[str], level: float, notes: list[str], label: str
) -> dict[str, Any]:
    """Return the mean of each measure over cases, with what `with_interval` gives beside it."""
    found: dict[str, Any] = {}
    for name in names:
        found |= with_interval(name, [row[name] for row in rows], level, notes, label)
    return found


def paired_difference(pairs: Sequence[tuple[float | None, float | None]], level: float = 0.95) -> dict[str, Any]:
    """Compute the mean difference of two measures of the same cases, with the interval that `compare RUN RUN` shows.

    Args:
        pairs: (with, without) of each case; None where it is undefined, which leaves the case out.
        level: Confidence level, above 0 and below 1.

    Returns:
        {"difference": mean of with - without or None, "difference_interval", "difference_median", "difference_n"}.

    Example:
        >>> found = paired_difference([(0.75, 0.5), (0.5, 0.5), (None, 0.1)])
        >>> found["difference"], found["difference_n"]
        (0.125, 2)
    """
    one, two = np.array([(np.nan if a is None else a, np.nan if b is None else b) for a, b in pairs], float).T
    apart = Mean(one).against(Mean(two), None, level, ignore)
    known = (one - two)[np.isfinite(one - two)]
    return {
        "difference": apart.value,
        "difference_interval": None if apart.interval is None else list(apart.interval),
        "difference_median": float(np.median(known)) if known.size else None,
        "difference_n": apart.n,
    }


def with_interval(
    name: str, values: Sequence[float | None], level: float, notes: list[str], label: str = ""
) -> dict[str, Any]:
    """Return {name: mean, name_interval, name_median, name_n} over the cases where it is defined."""
    kept = np.array([v for v in values if v is not None], np.float64)
    if len(kept) < len(values):
        left = f"{len(values) - len(kept)} of {len(values)} cases"
        why = "where the overlap is 0" if name == "conformity" else "where a mask is empty"
        notes.append(f"{label} {name}: no value in {left}, {why}; left out".strip())
    if not kept.size:
        return {name: None, f"{name}_interval": None, f"{name}_median": None, f"{name}_n": 0}
    shown = Mean(kept, bounds_of(name)).figure(None, level, notes.append)
    return {
        name: shown.value,
        f"{name}_interval": None if shown.interval is None else list(shown.interval),
        f"{name}_median": float(np.median(kept)),
        f"{name}_n": int(kept.size),
    }
