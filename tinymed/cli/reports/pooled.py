"""What the folds of a cross-validation say together: decisions, calibration, subgroups.

Thresholds and temperatures are of each fold's own validation part, so that no image decides about itself.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dataset import Dataset
from ...errors import UserError
from ...metrics.calibration import apply_temperature, fit_temperature
from ...metrics.classification import normalise_rows
from ...metrics.decisions import at_threshold, choose_threshold
from ...report.document import Block, Heading, Missing, Section, Table, Text
from ...report.tables import interval, number
from ...tasks.results.rows import Cases, read_cases
from ...train.run import Run
from .results import NO_CLASSES, calibration_blocks, note_texts, spaced, subgroup_table
from .source import image_file

VAL = "predictions-val.csv"
RULE = "youden"
RATES = ("sensitivity", "specificity", "precision", "npv", "accuracy")
Runs = Mapping[str, Run]
Scores = tuple[np.ndarray, np.ndarray]  # probabilities [n, classes], class numbers [n]


class Folds:
    """The folds' runs with the list that they share.

    Args:
        runs: Name of a fold -> its run.
        pooled: Every image with its fold and what the network of that fold said of it.
    """

    def __init__(self, runs: Runs, pooled: Cases):
        self.runs, self.pooled = runs, pooled
        self.first = next(iter(runs.values()))

    def probabilities(self, run: Run, cases: Cases) -> Scores | None:
        """Return probabilities and class numbers; None of a task or head that has none."""
        found = run.task.class_scores(run.config, cases)
        rows = None if found is None else normalise_rows(found[0])
        return None if found is None or rows is None else (rows, found[1])

    def of_val(self) -> dict[str, Scores]:
        """Return what each fold's network said of its validation part.  Raises UserError: a list is not there."""
        found = {name: self.probabilities(run, read_cases(run.folder / VAL)) for name, run in self.runs.items()}
        return {name: scores for name, scores in found.items() if scores is not None}

    def members(self, name: str) -> np.ndarray:
        """Return which images of the list a fold tested."""
        mine: np.ndarray = self.pooled["fold"] == name
        return mine


def threshold_over_folds(folds: Folds) -> Section:
    """Return the decision of each fold by the threshold of its own validation part, and of all images together."""
    title, scored = "Decision threshold", folds.probabilities(folds.first, folds.pooled)
    if scored is None:
        return Section("threshold", title, [Missing(NO_CLASSES)])
    positive = folds.first.config.positive
    k = folds.first.config.data.classes.index(positive)
    p, labels = scored[0][:, k], scored[1] == k
    above, rows, notes = np.empty(len(p)), list[tuple[str, ...]](), list[str]()
    try:
        for name, (rows_of_val, labels_of_val) in folds.of_val().items():
            mine, threshold = folds.members(name), choose_threshold(labels_of_val == k, rows_of_val[:, k], RULE)
            above[mine] = p[mine] - threshold
            reached = at_threshold(labels[mine], above[mine], 0.0, warn=notes.append)
            rows.append((name, number(threshold), f"{mine.sum():,}", *(number(reached[rate], 3) for rate in RATES)))
    except UserError as error:
        return Section("threshold", title, [Missing(str(error))])
    reached = at_threshold(labels, above, 0.0, folds.pooled.groups, warn=notes.append)
    cells = (f"{number(reached[rate], 3)} {interval(reached[f'{rate}_interval'])}".rstrip() for rate in RATES)
    rows.append(("all", "each fold's", f"{len(p):,}", *cells))
    caption = f"{positive} from a threshold on that {RULE} chose on each fold's validation part, 95 % intervals of all"
    blocks: list[Block] = [Table(caption, ("fold", "threshold", "n", *map(spaced, RATES)), rows)]
    blocks += note_texts(notes)
    blocks.append(Text("Without a threshold the largest score decides; the results above are by that rule."))
    return Section("threshold", title, blocks)


def calibration_over_folds(folds: Folds) -> Section:
    """Return the calibration of all images, as trained and after a temperature of each fold's validation part."""
    title, scored = "Calibration", folds.probabilities(folds.first, folds.pooled)
    if scored is None:
        return Section("calibration", title, [Missing(NO_CLASSES)])
    rows, labels = scored
    k = folds.first.config.data.classes.index(folds.first.config.positive)
    told, after = {"as trained, all folds": rows[:, k]}, np.empty_like(rows)
    missing: list[Block] = []
    try:
        for name, (rows_of_val, labels_of_val) in folds.of_val().items():
            mine = folds.members(name)
            after[mine] = apply_temperature(rows[mine], fit_temperature(rows_of_val, labels_of_val))
        told["a temperature of each fold's validation part"] = after[:, k]
    except UserError as error:
        missing.append(Missing(f"after a temperature: {error}"))
    blocks = calibration_blocks(labels == k, told, folds.first.config.positive)
    return Section("calibration", title, [*blocks, *missing])


def subgroups_over_folds(folds: Folds, columns: Sequence[str]) -> Section:
    """Return the measures of each value of the columns that were asked for, over all images.

    Raises UserError: the data are no list, or it has no such column.
    """
    from ..evaluating import column_values, measure_subgroups

    if not columns:
        told = "no column was named: tinymed report CV --subgroup COLUMN, for a column of the list"
        return Section("subgroups", "Subgroups", [Missing(told)])
    blocks: list[Block] = []
    data = folds.first.config.data.path
    for column in columns:
        values = column_values(folds.first, listed_images(folds, data), data, column)
        found = measure_subgroups(folds.first, folds.pooled, values)
        blocks += [Heading(column), subgroup_table(column, found)]
    return Section("subgroups", "Subgroups", blocks)


def listed_images(folds: Folds, data: str | None) -> Dataset:
    """Return the images of the list as a set, by their places below the data."""
    files = [image_file(data or "", name) for name in folds.pooled["path"].tolist()]
    return Dataset(files, np.zeros(len(files), np.int64), ["image"])


def open_runs(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Return the folds' runs by name."""
    return {name: Run.open(folder / name) for name in names}
