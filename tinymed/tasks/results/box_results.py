"""Results of a detection: tables, boxes as a list, pictures of boxes on images."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.boxes import BoxDataset
from ...files import write_atomic
from ...metrics.boxes import Detections
from ...metrics.detection import match_detections
from ...metrics.measures import Mean, Measure, Weighted
from ...report.boxes import Boxes, BoxExample, save_boxes
from ...report.tables import interval, number, table
from .class_results import ratio
from .rows import Cases, Row

Rows = list[dict[str, Any]]


def box_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text.

    a row a class and their mean, then the sensitivity at several false positives an image.
    """
    lines = [f"{title}: n = {result['n']} images, {100 * result['level']:g} % intervals over images"]
    rows = [("class", "boxes", "AP, overlap 1/2", "", "AP, middles", "", "best F1", "at score")]
    for name in result["classes"]:
        row = result["per_class"][name]
        aps = (
            number(row["ap"]),
            interval(row["ap_interval"]),
            number(row["ap_centre"]),
            interval(row["ap_centre_interval"]),
        )
        rows.append((name, str(row["boxes"]), *aps, number(row["f1"]), number(row["threshold"], 2)))
    mean = (number(result["ap"]), interval(result["ap_interval"]), number(result["ap_centre"]))
    rows.append(("mean", "", *mean, interval(result["ap_centre_interval"]), "", ""))
    points = list(result["per_class"][result["classes"][0]]["froc"])
    sensitivity = [("sensitivity at false positives an image", *points)]
    for name in result["classes"]:
        sensitivity.append((name, *(number(result["per_class"][name]["froc"][point], 3) for point in points)))
    lines += [table(rows), "", table(sensitivity)]
    return "\n".join(lines + [f"note: {note}" for note in result["warnings"]])


def above(found: Detections, least: np.ndarray) -> Detections:
    """Return the detections whose score is not below their class's threshold."""
    kept = found.scores >= least[found.kinds]
    return Detections(found.boxes[kept], found.scores[kept], found.kinds[kept])


def save_box_pictures(
    found: Sequence[Detections], dataset: BoxDataset, least: np.ndarray, path: Path, title: str
) -> None:
    """Draw the boxes of five images, evenly spread over the set, beside those that are right."""
    examples = []
    for index in sorted(set(np.rint(np.linspace(0, len(dataset) - 1, 5)).astype(int).tolist())):
        best = above(found[index], least)
        truth = Boxes(dataset.boxes[index], dataset.kinds[index])
        drawn = Boxes(best.boxes, best.kinds, best.scores)
        examples.append(BoxExample(dataset.image(index), truth, drawn, Path(dataset.name(index)).stem))
    save_boxes(examples, dataset.classes, path, title)


def box_rows(name: str, found: Detections, classes: list[str]) -> list[dict[str, Any]]:
    """Return a row a box, as boxes.csv has them, with its score."""
    rows = []
    for box, score, kind in zip(found.boxes, found.scores, found.kinds, strict=True):
        corners = dict(zip(("xmin", "ymin", "xmax", "ymax"), (round(float(v), 1) for v in box), strict=True))
        rows.append({"path": name, "label": classes[kind], **corners, "score": round(float(score), 4)})
    return rows


def write_boxes(path: Path, rows: list[dict[str, Any]]) -> None:
    """boxes.csv: path, label, corners, score."""
    text = io.StringIO()
    writer = csv.DictWriter(text, ["path", "label", "xmin", "ymin", "xmax", "ymax", "score"])
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, [text.getvalue().encode()])


def image_rows(found: Sequence[Detections], dataset: BoxDataset, least: np.ndarray, names: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each image: its boxes, those found, and how many of these are right."""
    rows = []
    for name, detections, boxes, kinds in zip(names, found, dataset.boxes, dataset.kinds, strict=True):
        best = above(detections, least)
        right = int(match_detections(best, boxes, kinds).sum())
        rows.append({"path": name, "boxes": len(boxes), "found": len(best.scores), "right": right})
    return rows


def box_figures(cases: Cases, seed: int) -> dict[str, Measure]:
    """Return the measures of a list of images with boxes, at the scores that were best on val."""
    boxes, found, right = (cases.numbers(name) for name in ("boxes", "found", "right"))
    everyone = np.ones(boxes.size, bool)
    return {
        "f1": Weighted(ratio(2 * right, boxes + found), everyone, seed=seed),
        "sensitivity": Weighted(ratio(right, boxes), everyone, seed=seed),
        "precision": Weighted(ratio(right, found), everyone, seed=seed),
        "false_positives": Mean(found - right, (0, np.inf), lower_is_better=True),
    }
