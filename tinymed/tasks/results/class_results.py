"""Results of a classification: tables, ROC curve, confusion matrix, predictions."""

from pathlib import Path
from typing import Any

import numpy as np

from ...data.dataset import Dataset
from ...report.plots import save_confusion, save_roc
from ...report.tables import interval, number, table

RATES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "npv", "f1", "auc", "pr_auc")


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
    lines += [f"note: {note}" for note in result["warnings"] if "0/0" in note]
    return "\n".join(lines)


def save_class_pictures(
    folder: Path, metrics: dict[str, Any], scores: np.ndarray, dataset: Dataset, title: str
) -> None:
    """Draw the ROC curve, where the set has both kinds of images, and the confusion matrix."""
    classes, positive = dataset.classes, metrics["positive"]
    save_roc(scores, dataset.labels, classes, positive, folder / "roc.png", metrics)
    save_confusion(metrics["confusion"], classes, folder / "confusion.png", title)
