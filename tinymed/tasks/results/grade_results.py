"""Results of grading: tables, the confusion matrix, an ROC curve a threshold, predictions of every image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.classification import kappa_of
from ...metrics.confusion_metrics import kappa_weights
from ...metrics.grades import decide
from ...metrics.measures import Mean, Measure, Share, Weighted
from ...report.agreement import RocLine, save_roc_lines
from ...report.plots import save_confusion
from ...report.tables import interval, number, table
from .class_results import weighted_confusion
from .rows import Cases, Row

NAMES = {
    "accuracy": "exact grade",
    "within_1": "within one grade",
    "mae": "mean error in grades",
    "quadratic_kappa": "kappa, quadratic weights",
    "linear_kappa": "kappa, linear weights",
    "balanced_accuracy": "balanced accuracy",
    "rps": "ranked probability score",
}


def grade_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: measures with intervals, floors, thresholds, the confusion matrix."""
    percent = f"{100 * result['level']:g} %"
    lines = [f"{title}: n = {result['n']}, grade by the {result['decision']}, {percent} intervals"]
    rows = [(text, number(result[key]), interval(result.get(f"{key}_interval"))) for key, text in NAMES.items()]
    lines += [table(rows), "", floor_table(result["floors"]), "", threshold_table(result)]
    grades = result["classes"]
    matrix = [("true \\ predicted", *grades)]
    matrix += [(name, *map(str, row)) for name, row in zip(grades, result["confusion"], strict=True)]
    return "\n".join([*lines, "", table(matrix), *(f"note: {note}" for note in result["warnings"])])


def floor_table(floors: dict[str, dict[str, Any]]) -> str:
    """Return what trivial methods reach (kappa 0), and what the network gains over them."""
    rows = [("floor: always train's", "grade", "exact", "within one", "mean error", "gain in it", "")]
    for name, floor in floors.items():
        cells = (number(floor["accuracy"]), number(floor["within_1"]), number(floor["mae"]), number(floor["gain"]))
        rows.append((name, floor["grade"], *cells, interval(floor["gain_interval"])))
    return table(rows)


def threshold_table(result: dict[str, Any]) -> str:
    """Return every threshold: how many images reach it, its AUC, sensitivity and specificity."""
    rows = [("at least", "images", "AUC", "", "sensitivity", "", "specificity", "")]
    for name, row in result["at_least"].items():
        cells = [
            cell
            for key in ("auc", "sensitivity", "specificity")
            for cell in (number(row[key]), interval(row[f"{key}_interval"]))
        ]
        rows.append((name, str(row["support"]), *cells))
    return table(rows)


def save_grade_results(folder: Path, truth: np.ndarray, scores: np.ndarray, result: dict[str, Any], title: str) -> None:
    """Write confusion.png and roc.png."""
    grades = result["classes"]
    save_confusion(result["confusion"], grades, folder / "confusion.png", title)
    lines = {
        f"at least {name}": RocLine(truth >= k, scores[:, k:].sum(axis=1), row["auc"], row["auc_interval"])
        for k, (name, row) in enumerate(result["at_least"].items(), 1)
        if row["auc"] is not None
    }
    save_roc_lines(lines, folder / "roc.png", title)


def grade_rows(
    names: Sequence[str], truth: np.ndarray, scores: np.ndarray, grades: Sequence[str], decision: str
) -> list[Row]:
    """Return what predictions.csv says of each image: its grade, the answer, the probability of every grade."""
    found, expected = decide(scores, decision), scores @ np.arange(len(grades))
    rows = []
    for i, name in enumerate(names):
        row: Row = {"path": name, "true": grades[truth[i]], "predicted": grades[found[i]]}
        row |= {"true_number": int(truth[i]), "predicted_number": int(found[i]), "expected": float(expected[i])}
        rows.append(row | {f"p {grade}": float(p) for grade, p in zip(grades, scores[i], strict=True)})
    return rows


def grade_figures(cases: Cases, grades: Sequence[str], seed: int) -> dict[str, Measure]:
    """Return the measures of a list of graded images."""
    truth, found = cases.number_of("true", grades), cases.number_of("predicted", grades)
    error = np.abs(truth - found).astype(np.float64)
    confusions, kappa = weighted_confusion(truth, found, len(grades)), kappa_of(kappa_weights(len(grades), "quadratic"))
    return {
        "quadratic_kappa": Weighted(lambda w: kappa(confusions(w)), np.ones(truth.size, bool), seed=seed),
        "accuracy": Share(error == 0),
        "within_1": Share(error <= 1),
        "mae": Mean(error, (0, len(grades) - 1), lower_is_better=True),
    }
