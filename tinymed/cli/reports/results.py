"""What a run reaches: figures with intervals, curves, calibration, confusion, threshold, subgroups."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ...errors import UserError
from ...metrics.calibration import apply_temperature, describe_calibration
from ...metrics.confusion_metrics import confusion_matrix
from ...metrics.curves import average_precision, roc_auc
from ...metrics.decisions import at_threshold
from ...report.decisions import save_precision_recall, save_reliability
from ...report.document import Block, Heading, Missing, Section, Table, Text
from ...report.plots import save_confusion, save_roc
from ...report.tables import interval, number
from .pictures import drawn
from .source import Source, kept, probabilities

NO_CLASSES = "it is of runs that give each image one class with a probability"
COUNTS = ("tp", "fp", "fn", "tn")  # of each class: the confusion matrix has them
Told = dict[str, np.ndarray]


SHORT = {"auc": "AUC", "pr": "PR", "npv": "NPV", "f1": "F1", "brier": "Brier score", "mae": "MAE", "rmse": "RMSE"}
SHORT |= {"tp": "TP", "fp": "FP", "fn": "FN", "tn": "TN", "ap": "AP", "hd95": "HD95", "asd": "ASD", "psnr": "PSNR"}


def spaced(name: str) -> str:
    """Return a key as words."""
    return " ".join(SHORT.get(word, word) for word in name.split("_"))


def measures_of(found: Mapping[str, Any]) -> list[str]:
    """Return the names of what was measured with an interval."""
    return [name for name in found if f"{name}_interval" in found]


def results_section(source: Source) -> Section:
    """Return the table with intervals, each class, the floors, and what is to be said of them."""
    blocks: list[Block] = []
    parts = {name: found for name in ("test", "val") if isinstance(found := source.metrics.get(name), dict)}
    blocks.append(parts_table(parts))
    found = source.measured
    for key, title in (
        ("per_class", "each class"),
        ("per_region", "each whole region"),
        ("per_finding", "each finding"),
        ("at_least", "each threshold"),
    ):
        if isinstance(found.get(key), dict) and found[key]:
            blocks.append(nested_table(f"{source.part}: {title}", found[key], bool(found.get("groups"))))
    if isinstance(found.get("floors"), dict) and found["floors"]:
        blocks.append(nested_table(f"{source.part}: what trivial methods reach", found["floors"]))
    blocks += note_texts(found.get("warnings", ()))
    blocks.append(Text("How intervals are computed, and how often they hold the truth: docs/measures.md of tinymed."))
    return Section("results", "Results with intervals", blocks)


def parts_table(parts: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return a row a measure, with its interval on each part."""
    names = list(dict.fromkeys(name for found in parts.values() for name in measures_of(found)))
    rows = []
    for name in names:
        cells = [(number(row.get(name)), interval(row.get(f"{name}_interval"))) for row in parts.values()]
        rows.append((spaced(name), *(cell for pair in cells for cell in pair)))
    first = next(iter(parts.values()))
    positive = f", positive class {first['positive']}" if first.get("positive") else ""
    level = f"{100 * first.get('level', 0.95):g} %"
    head = [cell for part, row in parts.items() for cell in (f"{part}, n = {row.get('n', '-')}", level)]
    return Table(f"Measures with {level} intervals{positive}", ("measure", *head), rows)


def nested_table(caption: str, found: Mapping[str, Mapping[str, Any]], grouped: bool = False) -> Table:
    """Return {name: measures} as a table: numbers with their intervals, all else left out.

    grouped: the images come in groups, which these intervals do not count: they are left out.
    """
    first = next(iter(found.values()))
    names = [k for k, v in first.items() if not k.endswith("_interval") and isinstance(v, int | float | None | str)]
    names = [k for k in names if k not in COUNTS]
    rows = []
    for name, row in found.items():
        ends = {key: "" if grouped else together(interval(row.get(f"{key}_interval"))) for key in names}
        rows.append((name, *(f"{cell_of(row.get(key))} {ends[key]}".rstrip() for key in names)))
    if grouped:
        caption += " (without intervals: those that count patients are above)"
    return Table(caption, ("", *map(spaced, names)), rows)


def together(text: str) -> str:
    """Return an interval that no line divides."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def cell_of(value: Any) -> str:
    """Return a value of an evaluation as a cell."""
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    return number(value, 3)


# ---------------------------------------------------------------------------------------- of probabilities


def discrimination_section(source: Source) -> Section:
    """Return ROC, precision against recall, and the confusion matrix."""
    found = source.run.task.class_scores(source.config, source.cases)
    if found is None:
        return Section("curves-of-scores", "ROC, precision and recall, confusion", [Missing(NO_CLASSES)])
    scores, labels = found
    config = source.config
    return scores_section(scores, labels, config.data.classes, config.positive, counting_groups(source.measured))


def counting_groups(measured: Mapping[str, Any]) -> Any:
    """Return an evaluation whose classes have no interval but those that count patients, where images have patients."""
    if not measured.get("groups"):
        return measured
    classes = {
        name: {k: v for k, v in row.items() if k != "auc_interval"} for name, row in measured["per_class"].items()
    }
    if "auc_interval" in measured:
        classes[measured["positive"]]["auc_interval"] = measured["auc_interval"]
    return {**measured, "per_class": classes}


def scores_section(
    scores: np.ndarray, labels: np.ndarray, classes: Sequence[str], positive: str, measured: Any = None
) -> Section:
    """Return the pictures of scores [n, classes] against class numbers [n]."""
    k = list(classes).index(positive)
    y, p = labels == k, scores[:, k]
    blocks: list[Block] = []
    if y.any() and not y.all():
        auc, area = roc_auc(y, p), average_precision(y, p)
        blocks.append(
            drawn(
                lambda path: save_roc(scores, labels, classes, positive, path, measured),
                f"ROC curve of {positive}: area {auc:.3f} over {len(y)} images.",
                f"Sensitivity against 1 - specificity; the point is the decision for {positive} by the largest score.",
            )
        )
        blocks.append(
            drawn(
                lambda path: save_precision_recall(y, p, path, f"{positive}, n = {len(y)}"),
                f"Precision against recall of {positive}: average precision {area:.3f}, {y.mean():.3f} by chance.",
                f"Precision against recall of {positive}; the dotted line is the share of {positive}.",
            )
        )
    else:
        blocks.append(Missing(f"all images are of one class, so there is no curve of {positive}"))
    matrix = confusion_matrix(labels, scores.argmax(axis=1), len(classes))
    told = "; ".join(f"{name}: {', '.join(map(str, row))}" for name, row in zip(classes, matrix.tolist(), strict=True))
    blocks.append(
        drawn(
            lambda path: save_confusion(matrix, classes, path, f"n = {len(labels)}"),
            f"Confusion matrix, a row a true class, columns in the order {', '.join(classes)}: {told}.",
            "Confusion matrix: rows true, columns predicted; each cell its count and its share of the row.",
        )
    )
    rows = [(name, *map(str, row)) for name, row in zip(classes, matrix.tolist(), strict=True)]
    blocks.append(Table("Confusion matrix: rows true, columns predicted", ("true", *classes), rows))
    return Section("curves-of-scores", "ROC, precision and recall, confusion", blocks)


def calibration_section(source: Source) -> Section:
    """Return whether what is called 80 % likely is there in 80 of 100 images, before and after the temperature."""
    found = probabilities(source)
    if found is None:
        return Section("calibration", "Calibration", [Missing(NO_CLASSES)])
    rows, labels = found
    k = source.config.data.classes.index(source.config.positive)
    told: Told = {"as trained": rows[:, k]}
    temperature, why = kept(source, "temperature")
    if temperature is not None:
        name = f"temperature {temperature['temperature']:.3f}"
        told[name] = apply_temperature(rows, temperature["temperature"])[:, k]
    blocks = calibration_blocks(labels == k, told, source.config.positive)
    if temperature is None:
        blocks.append(Missing(f"calibration after a temperature: {why}"))
    else:
        blocks.append(Text(f"The temperature was fitted to {temperature['n']} images of {temperature['part']}."))
        blocks += on_its_own(source)
    return Section("calibration", "Calibration", blocks)


def calibration_blocks(positive: np.ndarray, told: Told, name: str) -> list[Block]:
    """Return the table of calibration and the reliability diagram of probabilities of one class."""
    rows, alts = [], []
    for text, p in told.items():
        row = describe_calibration(positive, p)
        brier = row["brier"]
        cells = [number(brier[part]) for part in ("brier", "reliability", "resolution", "uncertainty")]
        rows.append((text, number(row["ece"]), number(row["ece_mass"]), *cells))
        alts.append(f"{text}: expected calibration error {row['ece']:.3f}, Brier score {brier['brier']:.3f}")
    head = ("probabilities", "ECE", "ECE, equal mass", "Brier", "reliability", "resolution", "uncertainty")
    return [
        Table(f"Calibration of {name}, 10 bins", head, rows),
        drawn(
            lambda path: save_reliability(positive, told, path, f"{name}, n = {len(positive)}"),
            f"Reliability diagram of {name}. {'; '.join(alts)}.",
            f"How often images are {name} against how likely they were said to be, and how many there are of each.",
        ),
    ]


def threshold_section(source: Source) -> Section:
    """Return the decision by the threshold that was chosen on val."""
    found, title = probabilities(source), "Decision threshold"
    if found is None:
        return Section("threshold", title, [Missing(NO_CLASSES)])
    rows, labels = found
    chosen, why = kept(source, "threshold")
    by_default = "Without a threshold the largest score decides; the results above are by that rule."
    if chosen is None:
        return Section("threshold", title, [Missing(why), Text(by_default)])
    positive = source.config.positive
    k = source.config.data.classes.index(positive)
    notes: list[str] = []
    reached = at_threshold(labels == k, rows[:, k], chosen["threshold"], source.cases.groups, warn=notes.append)
    names = ("accuracy", "sensitivity", "specificity", "precision", "npv")
    cells = [
        (
            spaced(name),
            *([number(chosen.get(name))] if source.part != "val" else []),
            number(reached.get(name)),
            interval(reached.get(f"{name}_interval")),
        )
        for name in names
    ]
    of_val = f"val, n = {chosen['n']}"
    heads = (of_val,) if source.part == "val" else (of_val, source.part)
    caption = f"{positive} from a probability of {chosen['threshold']:.4f} on, chosen on val by {chosen['rule']}"
    blocks: list[Block] = [Table(caption, ("measure", *heads, "95 %"), cells), *on_its_own(source)]
    blocks += note_texts(notes)
    return Section("threshold", title, blocks)


def on_its_own(source: Source) -> list[Block]:
    """Return what is to be said where what val has chosen is measured on val."""
    if source.part != "val":
        return []
    return [Text("It is measured on the images that it was chosen by, for want of a test part: that flatters it.")]


def note_texts(notes: Iterable[str]) -> list[Block]:
    """Return a line for each note; of those that differ in numbers alone the first, and how many more there are."""
    kinds: dict[str, list[str]] = {}
    for note in dict.fromkeys(notes):
        kinds.setdefault(re.sub(r"\d+", "#", note), []).append(note)
    more = {1: "."}
    return [
        Text(f"Note: {found[0]}" + more.get(len(found), f" (and {len(found) - 1} more with other counts)."))
        for found in kinds.values()
    ]


# ------------------------------------------------------------------------------------------------ subgroups


def subgroup_section(source: Source, sets: Any, columns: Sequence[str]) -> Section:
    """Return the measures of each value of the columns that were asked for."""
    from ..evaluating import column_values, measure_subgroups

    title = "Subgroups"
    blocks: list[Block] = []
    if not columns:
        blocks.append(Missing("no column was named: tinymed report RUN --subgroup COLUMN, for a column of the list"))
    elif sets is None:
        blocks.append(Missing("the images cannot be read now, and with them the list's columns"))
    for column in columns if sets is not None else ():
        values = column_values(source.run, sets[source.part], source.config.data.path, column)
        if len(values) != len(source.cases["path"]):
            raise UserError(f"--subgroup {column}: the predictions are of other images than the {source.part} part")
        found = measure_subgroups(source.run, source.cases, values)
        blocks += [Heading(column), subgroup_table(column, found)]
    return Section("subgroups", title, blocks)


def subgroup_table(column: str, found: dict[str, Any]) -> Table:
    """Return {value: measures} as a table."""
    names = list(next(iter(found.values()))["figures"])
    rows = []
    for value, row in found.items():
        star = " *" if row["warnings"] else ""
        cells = [f"{number(f['value'], 3)} {interval(f['interval'])}".rstrip() for f in row["figures"].values()]
        rows.append((value + star, str(row["n"]), *cells))
    note = "; * too few images or patients: the interval is rough" if any(r["warnings"] for r in found.values()) else ""
    return Table(f"By {column}{note}", (column, "n", *map(spaced, names)), rows)
