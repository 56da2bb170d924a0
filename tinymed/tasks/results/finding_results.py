"""Results of several findings: a table, an ROC curve each, predictions of every image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.measures import Area, Measure, Share, Weighted
from ...report.agreement import RocLine, save_roc_lines
from ...report.tables import interval, number, table
from .class_results import ratio, weighted_precision
from .rows import Cases, Row

RATES = ("sensitivity", "specificity", "precision", "f1")


def finding_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: a row a finding, the averages, and what scores without an image reach."""
    lines = [f"{title}: n = {result['n']}, {100 * result['level']:g} % intervals, rates at a score of 0.5"]
    rows = [("finding", "known", "there", "AUC", "", "PR-AUC", *RATES)]
    for name, row in result["per_finding"].items():
        auc = "not defined" if name in result["undefined"] else number(row["auc"])
        cells = (auc, interval(row["auc_interval"]), number(row["pr_auc"]), *(number(row[rate]) for rate in RATES))
        rows.append((name, str(row["known"]), str(row["positives"]), *cells))
    lines += [table(rows), "", average_table(result)]
    subset = f"{number(result['subset_accuracy'])} {interval(result['subset_accuracy_interval'])}".rstrip()
    lines.append(f"images with every finding right: {subset}, of {result['whole']} that have all of them known")
    return "\n".join([*lines, *(f"note: {note}" for note in result["warnings"])])


def average_table(result: dict[str, Any]) -> str:
    """Return the averages beside the floor: the same score for every image, each finding's share in train."""
    floor = result.get("floors", {}).get("prevalence", {})
    rows = [("average", "", "", "floor: train's shares as scores")]
    for name in ("macro_auc", "micro_auc", "macro_pr_auc"):
        cells = (number(result[name]), interval(result.get(f"{name}_interval")), number(floor.get(name)))
        rows.append((name.replace("_", " ").replace("auc", "AUC").replace("pr ", "PR-"), *cells))
    return table(rows)


def save_finding_results(
    folder: Path, truth: np.ndarray, scores: np.ndarray, result: dict[str, Any], title: str
) -> None:
    """Write roc.png."""
    findings = result["classes"]
    lines = {}
    for k, finding in enumerate(findings):
        known, row = np.isfinite(truth[:, k]), result["per_finding"][finding]
        if row["auc"] is not None:
            lines[finding] = RocLine(truth[known, k] == 1, scores[known, k], row["auc"], row["auc_interval"])
    save_roc_lines(lines, folder / "roc.png", title)


def finding_rows(names: Sequence[str], truth: np.ndarray, scores: np.ndarray, findings: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each image: each finding as it is known, and its score."""
    rows = []
    for i, name in enumerate(names):
        row: Row = {"path": name}
        for k, finding in enumerate(findings):
            row[finding] = None if np.isnan(truth[i, k]) else int(truth[i, k])
            row[f"score {finding}"] = float(scores[i, k])
        rows.append(row)
    return rows


def finding_figures(cases: Cases, findings: Sequence[str]) -> dict[str, Measure]:
    """Return the measures of a list of findings."""
    truth, scores = np.stack([cases.numbers(name) for name in findings], axis=1), cases.table("score", findings)
    known = np.isfinite(truth).all(axis=1)
    pairs = [(truth[:, k], scores[:, k]) for k in range(len(findings))]
    each: dict[str, Measure] = {
        f"auc {name}": Area([pair], cases.folds) for name, pair in zip(findings, pairs, strict=True)
    }
    return {
        "macro_auc": Area(pairs, cases.folds),
        "subset_accuracy": Share(((scores >= 0.5) == (truth == 1)).all(axis=1), known),
    } | each


def finding_tables(cases: Cases, findings: Sequence[str], seed: int) -> dict[str, dict[str, dict[str, Measure]]]:
    """Return the measures of each finding, on the images of which it is known."""
    figures = finding_figures(cases, findings)
    found: dict[str, dict[str, Measure]] = {}
    for name in findings:
        truth, score = cases.numbers(name), cases.numbers(f"score {name}")
        known, there, called = np.isfinite(truth), truth == 1, score >= 0.5
        resampled = {
            "pr_auc": weighted_precision(there.astype(np.float64), score, cases.folds),
            "precision": ratio(there & called, called),
            "f1": ratio(2.0 * (there & called), 1.0 * called + there),
        }
        found[name] = {
            "auc": figures[f"auc {name}"],
            "sensitivity": Share(called, there),
            "specificity": Share(~called, known & ~there),
            **{measure: Weighted(each, known, seed=seed) for measure, each in resampled.items()},
        }
    return {"per_finding": found}
