"""What `tinymed evaluate` does beside the table: predictions, calibration, a threshold, subgroups, pictures."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..data.lists import Finder, read_table
from ..data.tables import Columns, find_roles
from ..errors import UserError
from ..metrics.calibration import apply_temperature, describe_calibration
from ..metrics.decisions import at_threshold, net_benefit
from ..report.decisions import save_net_benefit, save_precision_recall, save_reliability
from ..report.tables import interval, number, table
from ..tasks.base.options import refuse_idle
from ..tasks.results.rows import Cases
from ..train.run import PREDICTIONS, Run, choose_backend
from .app import check_weights_name, say
from .decision import calibrate, decide, probabilities_of, stored
from .options import Given

MOST_VALUES = 8  # numbers in a column from which on they are cut into thirds
SHOWN = 5  # measures in the table of subgroups
RATES = ("accuracy", "sensitivity", "specificity", "precision", "npv")


def evaluate_command(given: Given) -> int:
    """Measure a run, and what else was asked for; returns the exit code."""
    weights, data = given.get("weights"), given.get("data")
    check_weights_name(weights)
    run = Run.open(given["run"])
    choose_backend(given.get("backend") or run.config.backend, run.config.precision)
    own = "it is of --data: the run's own images are what they were"
    refuse_idle(given, {"skip_bad": (data is not None, own)})
    if given.get("calibrate") and given.get("calibrated"):
        raise UserError("--calibrate fits a temperature and uses it; --calibrated is not needed beside it")
    dataset = run.images(data, given.get("split"), bool(given.get("skip_bad")))
    for name, reason in dataset.skipped:
        say(f"skipped {name}: {reason}")
    model = run.load_model(weights)
    steps, crf = given.get("postprocess"), given.get("crf")
    refined = steps is not None or crf is not None
    if refined:
        refuse_beside_refinement(given)
        measured, details = run.measure_refined(model, dataset, steps, crf), None
    else:
        measured, details = run.measure(model, dataset)
    if data is not None and dataset.split == "all" and str(Path(data).absolute()) == run.config.data.path:
        say("note: these include the images that the run was trained on; without --data its own test part is measured")
    result = {"run": str(given["run"]), "model": run.config.model, "data": dataset.source, "split": dataset.split}
    result |= measured
    title = f"{run.config.model} on {dataset.source or 'data'} [{dataset.split}]"
    texts = [run.task.text(run.config, result, title)]
    if not refined:
        cases = run.cases(dataset, details)
        list_predictions(run, dataset, details, given)
        texts += with_decisions(run, model, cases, given, result)
        texts += with_subgroups(run, dataset, cases, given, result)
    print(json.dumps(result, allow_nan=False) if given.get("as_json") else "\n\n".join(texts))
    return 0


def refuse_beside_refinement(given: Given) -> None:
    """Raise UserError for what is not measured of refined masks."""
    for name in ("predictions", "calibrate", "calibrated", "threshold", "subgroup", "pictures"):
        if given.get(name):
            raise UserError(f"--{name}: not beside --postprocess and --crf, which change masks; evaluate twice")


def list_predictions(run: Run, dataset: Any, details: Any, given: Given) -> None:
    """Write the predictions where they were asked for, or beside the run if its own part is not listed there yet."""
    path = given.get("predictions")
    if path is None and "data" not in given and "weights" not in given:
        last = "test" if dataset.split == "test" or not (run.folder / PREDICTIONS).exists() else dataset.split
        path = run.folder / (PREDICTIONS if last == "test" else f"predictions-{dataset.split}.csv")
        if path.exists():
            return
    if path is not None:
        run.list_cases(dataset, details, path)
        say(f"predictions: {path}")


# ------------------------------------------------------------------------------------------------- decisions


def with_decisions(run: Run, model: Any, cases: Cases, given: Given, result: dict[str, Any]) -> list[str]:
    """Add calibration and threshold to the result where they are asked for; returns their texts."""
    asked = [name for name in ("calibrate", "calibrated", "threshold", "pictures") if given.get(name)]
    if not asked:
        return []
    probabilities, labels = probabilities_of(run, cases)
    config, weights, texts = run.config, given.get("weights"), []
    k = config.data.classes.index(config.positive)
    positive, told = labels == k, {"as trained": probabilities[:, k]}
    val = validation_cases(run, model) if given.get("calibrate") or given.get("threshold") else None
    if val is not None and given.get("calibrate"):
        kept = calibrate(run, weights, val)
        say(f"temperature {kept['temperature']:.4f}, fitted to {kept['n']} images of val, is kept with the run")
    if "calibrate" in asked or "calibrated" in asked:
        kept = stored(run, weights, "temperature")
        name = f"temperature {kept['temperature']:.3f}"
        told[name] = apply_temperature(probabilities, kept["temperature"])[:, k]
    result["calibration"] = {name: describe_calibration(positive, p) for name, p in told.items()}
    texts.append(calibration_text(result["calibration"], config.positive))
    if val is not None and given.get("threshold"):
        chosen = decide(run, weights, val, given["threshold"])
        found = at_threshold(positive, probabilities[:, k], chosen["threshold"], cases.groups, warn=say_note)
        result["decision"] = {"rule": chosen["rule"], "on_val": chosen, **found}
        texts.append(threshold_text(result["decision"], config.positive))
    if folder := given.get("pictures"):
        result["net_benefit"] = {name: benefit_rows(positive, p) for name, p in told.items()}
        save_pictures(folder, positive, told, f"{config.model}, {config.positive}, n = {len(labels)}")
    return texts


def say_note(message: str) -> None:
    """Say a remark on an interval."""
    say(f"note: {message}")


def validation_cases(run: Run, model: Any) -> Cases:
    """Return what is predicted of the run's own validation part, which choices after training are made on."""
    sets = run.splits()
    _, details = run.measure(model, sets["val"])
    return run.cases(sets["val"], details)


def calibration_text(found: dict[str, Any], positive: str) -> str:
    """Return calibration as a table."""
    parts = ("brier", "reliability", "resolution", "uncertainty")
    rows: list[tuple[str, ...]] = [(f"calibration of {positive}", "ECE", "ECE, equal mass", *parts)]
    for name, row in found.items():
        brier = [number(row["brier"][part]) for part in parts]
        rows.append((name, number(row["ece"]), number(row["ece_mass"]), *brier))
    bins = next(iter(found.values()))["bins"]
    note = f"({bins} bins; brier = reliability - resolution + uncertainty, but for spread inside a bin)"
    return "\n".join([table(rows), note])


def threshold_text(found: dict[str, Any], positive: str) -> str:
    """Return a decision as a table."""
    head = f"{positive} from a probability of {found['threshold']:.4f} on, chosen on val by {found['rule']}"
    rows = [(name, number(found[name]), interval(found[f"{name}_interval"])) for name in RATES]
    return f"{head}\n{table(rows)}"


def benefit_rows(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, list[float]]:
    """Return a decision curve as JSON has it."""
    return {name: values.tolist() for name, values in net_benefit(labels, probabilities)._asdict().items()}


def save_pictures(folder: Path, labels: np.ndarray, told: dict[str, np.ndarray], title: str) -> None:
    """Draw reliability, precision against recall, and net benefit."""
    if labels.all() or not labels.any():
        raise UserError("--pictures: all images are of one class, so there is nothing to draw")
    save_reliability(labels, told, folder / "reliability.png", title)
    save_precision_recall(labels, next(iter(told.values())), folder / "precision_recall.png", title)
    save_net_benefit(labels, told, folder / "net_benefit.png", title)
    say(f"reliability.png, precision_recall.png and net_benefit.png: {folder}")


# ------------------------------------------------------------------------------------------------- subgroups


def with_subgroups(run: Run, dataset: Any, cases: Cases, given: Given, result: dict[str, Any]) -> list[str]:
    """Add a table of measures a subgroup to the result, for each column asked for; returns their texts."""
    texts: list[str] = []
    for column in given.get("subgroup", ()):
        values = column_values(run, dataset, given.get("data") or run.config.data.path, column)
        found = measure_subgroups(run, cases, values)
        result.setdefault("subgroups", {})[column] = found
        texts.append(subgroup_text(column, found))
    return texts


def column_values(run: Run, dataset: Any, data: str | None, column: str) -> np.ndarray:
    """Return the value of each image in a column of its list; many numbers are cut into thirds.  Raises UserError."""
    place = Path(data or "")
    path = place / "splits.csv" if place.is_dir() else place
    if path.suffix.lower() not in (".csv", ".tsv") or not path.is_file():
        remedy = f"; write one: tinymed data list {data} --out list.csv, then train on it" if place.is_dir() else ""
        raise UserError(f"--subgroup {column}: {data or 'the synthetic set'} is no list with columns{remedy}")
    listed = read_table(path)
    if column not in listed.header:
        raise UserError(f"--subgroup {column}: {path} has no such column; it has {', '.join(listed.header)}")
    c, find = run.config.data, Finder(path, run.config.data.suffix or "")
    roles = find_roles(listed, Columns(c.path_column, None, c.group_column, c.split_column))
    known = {str(found): row[column] for row in listed.rows if (found := where(find, row[roles.path]))}
    values = [known.get(str(dataset.samples[i])) for i in range(len(dataset))]
    if any(value is None for value in values):
        raise UserError(f"--subgroup {column}: {path} does not list {dataset.name(values.index(None))}")
    return in_thirds([value or "(empty)" for value in values if value is not None])


def where(find: Finder, name: str) -> Path | None:
    """Return the file of a name in a list, or None where there is none."""
    try:
        return find(name)
    except UserError:
        return None


def in_thirds(values: list[str]) -> np.ndarray:
    """Return values as they are, or, of many different numbers, in which third they lie."""
    try:
        numbers = np.array([float(value) for value in values])
    except ValueError:
        return np.array(values, str)
    if len(set(values)) <= MOST_VALUES:
        return np.array(values, str)
    low, high = np.quantile(numbers, [1 / 3, 2 / 3])
    names = [f"to {low:g}", f"above {low:g} to {high:g}", f"above {high:g}"]
    return np.array([names[int(n > low) + int(n > high)] for n in numbers], str)


def measure_subgroups(run: Run, cases: Cases, values: np.ndarray) -> dict[str, Any]:
    """Return {value: {measure: figure}} of the images of each value."""
    measures = dict(list(run.task.figures(run.config, cases).items())[:SHOWN])
    found: dict[str, Any] = {}
    for value in dict.fromkeys(sorted(values.tolist())):
        notes: list[str] = []
        chosen = values == value
        row = {name: m.within(chosen).figure(cases.groups, warn=notes.append).as_json() for name, m in measures.items()}
        found[value] = {"n": int(chosen.sum()), "figures": row, "warnings": list(dict.fromkeys(notes))}
    return found


def subgroup_text(column: str, found: dict[str, Any]) -> str:
    """Return subgroups as a table."""
    names = list(next(iter(found.values()))["figures"])
    rows = [(column, "n", *(cell for name in names for cell in (name.replace("_", " "), "")))]
    for value, row in found.items():
        cells = [c for f in row["figures"].values() for c in (number(f["value"], 3), interval(f["interval"]))]
        rows.append((value + (" *" if row["warnings"] else ""), str(row["n"]), *cells))
    starred = any(row["warnings"] for row in found.values())
    note = "\n* too few images or patients: the interval is rough (see docs/measures.md)" if starred else ""
    return table(rows) + note
