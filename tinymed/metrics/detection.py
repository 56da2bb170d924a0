"""Average precision and free-response ROC of detected boxes, with bootstrap intervals over images.

A detection is right if it matches a box of its class that no better detection of its image has taken: by intersection
over union of at least 1/2 (Everingham et al., IJCV 111, 2015), or by its middle, which must lie in the box.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .boxes import Detections, overlaps
from .intervals import count_cells, percentile_interval, resample

__all__ = ["average_precisions", "evaluate_detections", "froc", "match_detections"]

MATCHES = ("iou", "centre")
FROC = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives an image, LUNA16's seven points


def match_detections(detections: Detections, boxes: np.ndarray, kinds: np.ndarray, rule: str = "iou") -> np.ndarray:
    """Say of each detection, best first, whether it takes a box that is still free.

    Args:
        detections: Detections of an image.
        boxes: True boxes [m, 4]: xmin, ymin, xmax, ymax.
        kinds: Their classes [m].
        rule: "iou" (intersection over union of at least 1/2) or "centre" (the detection's middle lies in the box).

    Returns:
        bool [n], in the order of the detections.

    Example:
        >>> detections = Detections(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0.9]), np.array([0]))
        >>> match_detections(detections, np.array([[0.0, 0.0, 4.0, 3.0]]), np.array([0]))
        array([ True])
    """
    right = np.zeros(len(detections.scores), bool)
    free = np.ones(len(boxes), bool)
    share = overlaps(detections.boxes, boxes)
    middle = (detections.boxes[:, :2] + detections.boxes[:, 2:]) / 2
    inside = ((middle[:, None] >= boxes[None, :, :2]) & (middle[:, None] <= boxes[None, :, 2:])).all(axis=2)
    possible = (share >= 0.5) if rule == "iou" else inside
    for i in np.argsort(-detections.scores, kind="stable"):
        candidates = np.flatnonzero(free & possible[i] & (kinds == detections.kinds[i]))
        if candidates.size:
            right[i] = True
            free[candidates[share[i, candidates].argmax()]] = False
    return right


def average_precisions(right: np.ndarray, scores: np.ndarray, weight: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """Compute the area under the precision-recall curve for each row of weights.

    Precision is made to fall with recall first, and the area is exact (PASCAL VOC since 2010).

    Args:
        right: bool [n], whether each detection is right, see `match_detections`.
        scores: Their scores [n].
        weight: How often each detection counts, [r, n].
        truths: How many boxes there are, [r].

    Returns:
        float64 [r], from 0 to 1; nan where there is no box (0/0).

    Example:
        >>> average_precisions(np.array([True, False]), np.array([0.9, 0.8]), np.ones((1, 2)), np.array([2]))
        array([0.5])

    Reference:
        Everingham et al., IJCV 111, 2015.
    """
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(weight[:, order] * right[order], axis=1)
    called = np.cumsum(weight[:, order], axis=1)
    precision = hits / np.maximum(called, 1)
    falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    steps = np.diff(hits, axis=1, prepend=0)
    area: np.ndarray = np.where(truths > 0, (steps * falling).sum(axis=1) / np.maximum(truths, 1), np.nan)
    return area


def evaluate_detections(
    detections: Sequence[Detections],
    boxes: Sequence[np.ndarray],
    kinds: Sequence[np.ndarray],
    classes: Sequence[str],
    seed: int = 0,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute average precision by class and its mean by both matching rules, with intervals, and FROC; ready for JSON.

    Args:
        detections: Detections of each image.
        boxes: True boxes [m, 4] of each image.
        kinds: Their classes [m] of each image.
        classes: Names in class order.
        seed: Seed of the bootstrap over images.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves intervals out (None).

    Returns:
        A dictionary: "ap" (by overlap) and "ap_centre" (by middles), each with `<name>_interval`, "per_class"
        (besides "boxes", "froc", "f1", "threshold") and "warnings".  None stands for undefined (0/0): a class without
        a box.

    Example:
        >>> detections = [Detections(np.array([[0.0, 0.0, 4.0, 4.0]]), np.array([0.9]), np.array([0]))]
        >>> boxes, kinds = [np.array([[0.0, 0.0, 4.0, 4.0]])], [np.array([0])]
        >>> evaluate_detections(detections, boxes, kinds, ["cell"], resamples=0)["ap"]
        1.0

    Reference:
        Everingham et al., IJCV 111, 2015; Bunch et al., Journal of Applied Photographic Engineering 4, 1978 (FROC).
    """
    n = len(detections)
    notes: list[str] = []
    counts = np.array([np.bincount(k, minlength=len(classes)) for k in kinds]).reshape(n, len(classes))
    image = np.repeat(np.arange(n), [len(f.scores) for f in detections])
    scores, kind = (np.concatenate([getattr(f, name) for f in detections]) for name in ("scores", "kinds"))
    weights = np.ones((1, n))
    if resamples:
        drawn = [count_cells(rows, n) for rows in resample(np.zeros(n, np.int64), resamples, seed)]
        weights = np.concatenate([weights, *drawn])
    result: dict[str, Any] = {"n": n, "classes": list(classes), "level": level}
    per_class: dict[str, dict[str, Any]] = {
        name: {"boxes": int(c)} for name, c in zip(classes, counts.sum(0), strict=True)
    }
    for rule, key in zip(MATCHES, ("ap", "ap_centre"), strict=True):
        right = np.concatenate(
            [match_detections(*images, rule) for images in zip(detections, boxes, kinds, strict=True)]
        )
        areas = np.full((len(weights), len(classes)), np.nan)
        for k, name in enumerate(classes):
            mine = kind == k
            areas[:, k] = average_precisions(right[mine], scores[mine], weights[:, image[mine]], weights @ counts[:, k])
            per_class[name] |= with_interval(key, areas[:, k], level, notes)
            if rule == "iou":
                truths = int(counts[:, k].sum())
                per_class[name]["froc"] = froc(right[mine], scores[mine], n, truths)
                per_class[name] |= best_f1(right[mine], scores[mine], truths)
        known = counts.sum(axis=0) > 0
        result |= with_interval(key, np.nanmean(areas[:, known], axis=1) if known.any() else areas[:, 0], level, notes)
    return result | {"per_class": per_class, "warnings": list(dict.fromkeys(notes))}


def with_interval(name: str, values: np.ndarray, level: float, notes: list[str]) -> dict[str, Any]:
    """Return {name: the first value, name_interval: of the others}."""
    value = None if np.isnan(values[0]) else float(values[0])
    interval = (
        percentile_interval(name, values[1:], level, notes.append) if len(values) > 1 and value is not None else None
    )
    return {name: value, f"{name}_interval": None if interval is None else list(interval)}


def best_f1(right: np.ndarray, scores: np.ndarray, truths: int) -> dict[str, float | None]:
    """Return {"f1": the largest F1 of any threshold of the scores, "threshold": the score it is reached at}."""
    if not (truths and scores.size):
        return {"f1": 0.0 if truths else None, "threshold": None}
    order = np.argsort(-scores, kind="stable")
    f1 = 2 * np.cumsum(right[order]) / (np.arange(1, scores.size + 1) + truths)
    best = int(f1.argmax())
    return {"f1": float(f1[best]), "threshold": float(scores[order[best]])}


def froc(right: np.ndarray, scores: np.ndarray, images: int, truths: int) -> dict[str, float | None]:
    """Compute the sensitivity at FROC's numbers of false positives per image.

    Args:
        right: bool [n], whether each detection is right.
        scores: Their scores [n].
        images: Number of images.
        truths: Number of boxes.

    Returns:
        {"0.125": sensitivity, ..., "8": sensitivity}; None where there is no box (0/0).

    Example:
        >>> froc(np.array([True, False]), np.array([0.9, 0.8]), images=1, truths=2)["1"]
        0.5

    Reference:
        Bunch et al. 1978; the seven points are LUNA16's.
    """
    order = np.argsort(-scores, kind="stable")
    hits, false = np.cumsum(right[order]), np.cumsum(~right[order])
    sensitivity = {}
    for allowed in FROC:
        within = int(np.searchsorted(false, allowed * images, side="right"))
        sensitivity[f"{allowed:g}"] = (float(hits[within - 1]) / truths if within else 0.0) if truths else None
    return sensitivity
