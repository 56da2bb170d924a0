"""What `tinymed compare RUN RUN` does: two trained runs on the images that both were measured on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_json
from ..metrics.clusters import group_numbers
from ..metrics.measures import Share
from ..metrics.paired import delong_test, mcnemar_test
from ..report.tables import interval, number, table
from ..tasks.results.rows import Cases, read_cases, write_rows
from ..train.run import PREDICTIONS, Run
from .app import say
from .options import Given

CV = "cv.json"  # of a cross-validation
OPTIONS = ("out", "as_json")  # that mean something here


def is_run(name: str) -> bool:
    """Say whether a name is the folder of a run or of a cross-validation."""
    return any((Path(name) / file).is_file() for file in ("config.json", CV))


def compare_runs(names: list[str], given: Given) -> int:
    """Compare two runs image by image; returns the exit code."""
    if len(names) != 2:
        raise UserError(f"compare takes two runs, got {len(names)}: {', '.join(names)}")
    for name in given:
        if name not in OPTIONS:
            raise UserError(
                f"--{name.replace('_', '-')}: has no effect here: two trained runs are compared as they are"
            )
    (run, one), (other, two) = (open_cases(Path(name)) for name in names)
    if run.task.name != other.task.name or list(run.config.data.classes) != list(other.config.data.classes):
        raise UserError(
            f"{names[0]} and {names[1]}: learnt different things: {run.task.name} of "
            f"{', '.join(run.config.data.classes)}, {other.task.name} of {', '.join(other.config.data.classes)}"
        )
    one, two, left = shared(one, two, names)
    report = compare_cases(run, one, two) | {"runs": names, "left_out": left}
    if left:
        say(f"note: {left} images were measured in one of the runs only and are left out")
    if "out" in given:
        given["out"].mkdir(parents=True, exist_ok=True)
        write_rows(given["out"] / "paired.csv", flat_rows(report))
        write_json(given["out"] / "paired.json", report)
        say(f"paired.json and paired.csv: {given['out']}")
    print(json.dumps(report, allow_nan=False) if given.get("as_json") else paired_text(report))
    return 0


def open_cases(folder: Path) -> tuple[Run, Cases]:
    """Return a run, or the first of a cross-validation, and what was predicted of each image."""
    run = folder if (folder / "config.json").is_file() else next(iter(sorted(folder.glob("*fold-1"))), folder)
    return Run.open(run), read_cases(folder / PREDICTIONS)


def keys(cases: Cases) -> list[tuple[str, ...]]:
    """Return what tells the images of a list from each other: their paths, and the repeat they were tested in."""
    repeats = [fold.rpartition("fold-")[0] for fold in cases["fold"].tolist()] if "fold" in cases else None
    paths = cases["path"].tolist()
    return list(zip(paths, repeats, strict=True)) if repeats else [(path,) for path in paths]


def shared(one: Cases, two: Cases, names: list[str]) -> tuple[Cases, Cases, int]:
    """Return both lists with the images that both have, in one order, and how many others there are.

    Raises UserError: none is shared, an image is listed twice, or its truth differs.
    """
    places = []
    for name, cases in zip(names, (one, two), strict=True):
        found = {key: i for i, key in enumerate(keys(cases))}
        if len(found) < len(cases["path"]):
            raise UserError(f"{name}: its list of predictions names an image twice, so that images cannot be matched")
        places.append(found)
    both = [key for key in places[0] if key in places[1]]
    if not both:
        raise UserError(f"{names[0]} and {names[1]}: no image was measured in both, so there is nothing to compare")
    first, second = (cut(cases, [p[key] for key in both]) for cases, p in zip((one, two), places, strict=True))
    if "true" in first and (wrong := np.flatnonzero(first["true"] != second["true"])).size:
        i = int(wrong[0])
        raise UserError(
            f"{first['path'][i]}: is {first['true'][i]!r} in {names[0]} and {second['true'][i]!r} in {names[1]}"
        )
    return first, second, len(places[0]) + len(places[1]) - 2 * len(both)


def cut(cases: Cases, rows: list[int]) -> Cases:
    """Return the rows of a list."""
    return Cases({name: values[rows].tolist() for name, values in cases.items()})


def compare_cases(run: Run, one: Cases, two: Cases) -> dict[str, Any]:
    """Return each measure of both lists and their difference, and the tests, ready for JSON."""
    notes: list[str] = []
    groups = groups_of(one, two)
    pairs = [run.task.figures(run.config, cases) for cases in (one, two)]
    rows: dict[str, Any] = {}
    for name, measure in pairs[0].items():
        other = pairs[1][name]
        apart = measure.against(other, groups, warn=notes.append)
        each = [m.figure(groups, warn=lambda _: None).as_json() for m in (measure, other)]
        rows[name] = {"first": each[0], "second": each[1], "difference": apart.as_json()}
    report: dict[str, Any] = {
        "n": len(one["path"]),
        "groups": None if groups is None else int(groups.max()) + 1,
        "level": 0.95,
    }
    report |= {"measures": rows, "tests": tests(run, one, two, pairs, groups)}
    return report | {"warnings": list(dict.fromkeys(notes))}


def groups_of(one: Cases, two: Cases) -> np.ndarray | None:
    """Return the groups that the images are in by either list; of repeats an image is a group."""
    found = one.groups if one.groups is not None else two.groups
    if found is None and len(set(one["path"].tolist())) < len(one["path"]):
        found = one["path"]
    numbers = None if found is None else group_numbers(found, len(found))
    return None if numbers is None or numbers.max() + 1 == numbers.size else numbers


def tests(run: Run, one: Cases, two: Cases, pairs: list[Any], groups: np.ndarray | None) -> dict[str, Any]:
    """Return McNemar's test of the right answers and DeLong's of the areas, where the task has them."""
    found: dict[str, Any] = {}
    accuracies = [p.get("accuracy") for p in pairs]
    if all(isinstance(a, Share) for a in accuracies):
        result = mcnemar_test(accuracies[0].right, accuracies[1].right)
        found["mcnemar"] = result._asdict() | {"takes_images_for_independent": groups is not None}
    scored = [run.task.class_scores(run.config, cases) for cases in (one, two)]
    if scored[0] is not None and "fold" not in one:
        k = run.config.data.classes.index(run.config.positive)
        labels = scored[0][1] == k
        if labels.any() and not labels.all():
            ranked = [margin(scores, k) for scores, _ in scored]
            found["delong"] = delong_test(labels, ranked[0], ranked[1], groups)._asdict()
    return found


def margin(scores: np.ndarray, positive: int) -> np.ndarray:
    """Return what ranks images for the positive class."""
    from ..metrics.classification import class_scores

    return class_scores(scores, positive)


def flat_rows(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a measure and side."""
    rows = []
    for name, row in report["measures"].items():
        for side, cell in row.items():
            low, high = cell["interval"] or (None, None)
            rows.append({"measure": name, "of": side, "value": cell["value"], "low": low, "high": high, "n": cell["n"]})
    return rows


def paired_text(report: dict[str, Any]) -> str:
    """Return the report as text."""
    first, second = report["runs"]
    who = "" if report["groups"] is None else f" of {report['groups']} patients or other groups, which intervals count"
    lines = [f"A: {first}", f"B: {second}", f"n = {report['n']} images that both were measured on{who}"]
    rows = [("", "A", "B", "A - B", "95 %")]
    for name, row in report["measures"].items():
        cells = [number(row[side]["value"]) for side in ("first", "second", "difference")]
        rows.append((name.replace("_", " "), *cells, interval(row["difference"]["interval"])))
    lines.append(table(rows))
    if found := report["tests"].get("delong"):
        lines.append(f"DeLong's test of the AUCs: z = {found['z']:.3f}, p = {found['p']:.4f}")
    if found := report["tests"].get("mcnemar"):
        told = f"right by A alone {found['first']}, by B alone {found['second']}, p = {found['p']:.4f}"
        doubt = " (takes images for independent; they come in groups)" if report["groups"] is not None else ""
        lines.append(f"McNemar's exact test: {told}{doubt}")
    return "\n".join(lines + [f"note: {note}" for note in report["warnings"]])
