"""What `tinymed cv` does: a run a fold, each image measured by a network that did not see it, one table and figure.

OUT/fold-1 ... fold-K (or repeat-1-fold-1 ...)   run folders, as `tinymed train` makes them
OUT/fold-1/inner/SETTING/fold-1 ...              nested: the runs that chose fold 1's setting
OUT/folds.csv                                    which image is tested in which fold
OUT/predictions.csv                              what was said of each image, with its fold and patient
OUT/cv.json, cv.csv, cv.png                      pooled and per-fold figures with intervals
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import tasks
from ..data.folds import fold_indices, join
from ..data.remarks import split_text
from ..data.splits import chosen_rule
from ..errors import UserError
from ..files import write_json
from ..metrics import lower_is_better
from ..metrics.clusters import group_numbers
from ..metrics.measures import Figure, Measure
from ..report.cross_validation import save_folds
from ..report.tables import interval, number, table
from ..tasks.base.config import FoldConfig
from ..tasks.results.rows import Cases, read_cases, write_rows
from ..train.run import METRICS, PREDICTIONS, Run
from .app import say
from .comparing import open_or_plan
from .grids import Setting, combinations, parse_grid, setting_text
from .options import Given
from .start_run import config_from_options, fit, with_data_fields

OWN = ("folds", "repeats", "with_test", "grid", "inner", "out", "as_json")  # options that are not those of train
CHOSEN = "chosen.json"


@dataclass
class Plan:
    """What is divided into folds, and how."""

    given: Given  # options of train
    sets: Any  # the data, as they divide themselves
    whole: Any  # their parts that are divided into folds, put together
    config: Any  # before a fold is chosen
    out: Path
    parts: list[str]
    folds: int
    repeats: int
    grid: list[Setting]
    inner: int

    @property
    def task(self) -> Any:
        """Return the task of the runs."""
        return tasks.find(self.config.task)


def cv_command(given: Given) -> int:
    """Train what is not there yet, then put the folds together; returns the exit code."""
    plan = plan_folds(given)
    for place in places(plan):
        setting: Setting = {}
        if plan.grid:
            code, setting = choose_setting(plan, place)
            if code:
                return interrupted(code)
        run, sets = fold_run(plan, place, setting, plan.out / name_of(plan, place))
        if code := train_fold(run, sets):
            return interrupted(code)
    report = collect(plan)
    print(json.dumps(report, allow_nan=False) if given.get("as_json") else report_text(report))
    say(f"cv.json, .csv, .png, folds.csv and predictions.csv: {plan.out}")
    return 0


def interrupted(code: int) -> int:
    """Say how to go on."""
    say("nothing is lost: repeat the command to go on")
    return code


# ------------------------------------------------------------------------------------------------- the plan


def plan_folds(given: Given) -> Plan:
    """Return what is to be done; raise UserError before anything is written."""
    own = {name: given[name] for name in OWN if name in given}
    options = {name: value for name, value in given.items() if name not in OWN}
    folds, repeats = own.get("folds", 5), own.get("repeats", 1)
    if folds < 2 or repeats < 1:
        raise UserError(f"--folds {folds} --repeats {repeats}: cross-validation needs at least 2 folds and 1 repeat")
    if own.get("inner") is not None and "grid" not in own:
        raise UserError("--inner: has no effect here: the inner folds choose between what --grid names")
    if own.get("inner", 3) < 2:
        raise UserError(f"--inner {own['inner']}: choosing needs at least 2 inner folds")
    if options.get("split") == "last":
        raise UserError("--split last makes no folds; use --split stratified or grouped")
    task = tasks.find(options.get("task", tasks.DEFAULT))
    named = parse_grid(own.get("grid", []), task.options)
    for name in named:
        if name in options:
            raise UserError(f"--{name.replace('_', '-')}: is given twice: once in --grid")
    grid = combinations(named) if named else []
    for setting in grid or [{}]:
        config = config_from_options(options | setting)  # each is refused before images are read
    config = config_from_options(options)
    sets = task.read_data(config)
    parts = parts_to_fold(sets, bool(own.get("with_test")))
    whole = join([sets[name] for name in parts])
    out = own.get("out", Path("runs/cv"))
    plan = Plan(options, sets, whole, config, out, parts, folds, repeats, grid, own.get("inner", 3))
    announce(plan)
    return plan


def parts_to_fold(sets: Any, with_test: bool) -> list[str]:
    """Return the parts of the data that are divided into folds: all, but for a test part that the data set aside."""
    if with_test and "test" not in sets:
        raise UserError("--with-test: has no effect here: the data name no test part")
    if "all" in sets:
        return ["all"]
    parts = [name for name in sets if name != "test" or with_test]
    if not parts:
        raise UserError("the data have a test part alone; give --with-test to cross-validate on it")
    return parts


def announce(plan: Plan) -> None:
    """Say which images are divided, and by what."""
    for name, reason in plan.whole.skipped:
        say(f"skipped {name}: {reason}")
    say(division_text(plan))
    if "test" in plan.sets and "test" not in plan.parts:
        say(f"the test part, {len(plan.sets['test'])} images, is left untouched (--with-test divides it too)")


def division_text(plan: Plan) -> str:
    """Return how the folds are divided: by patient or by image."""
    whole, rule = plan.whole, chosen_rule(plan.whole, plan.config.data.split)
    tests = {str(i): whole.subset(rows) for i, rows in enumerate(folds_of(plan, 1))}
    for part in tests.values():
        part.divided = rule
    repeated = f", {plan.repeats} times" if plan.repeats > 1 else ""
    return f"{len(whole)} images in {plan.folds} folds{repeated}: {split_text(tests)}"


def folds_of(plan: Plan, repeat: int) -> list[np.ndarray]:
    """Return the images of each fold of a repeat."""
    return fold_indices(plan.whole, plan.folds, plan.config.seed + repeat - 1, plan.config.data.split)


def places(plan: Plan) -> Iterator[FoldConfig]:
    """Yield every fold of every repeat."""
    for repeat in range(1, plan.repeats + 1):
        for fold in range(1, plan.folds + 1):
            yield FoldConfig(parts=plan.parts, folds=plan.folds, fold=fold, repeat=repeat, images=trained_on(plan))


def trained_on(plan: Plan) -> int:
    """Return how many images a fold is trained on, as a mean: recipes choose the network by it, once for all folds."""
    share: float = (1 - 1 / plan.folds) * (1 - plan.config.data.val_fraction)
    return round(len(plan.whole) * share)


def name_of(plan: Plan, place: FoldConfig) -> str:
    """Return the name of a fold's run folder."""
    return f"repeat-{place.repeat}-fold-{place.fold}" if plan.repeats > 1 else f"fold-{place.fold}"


def fold_run(plan: Plan, place: FoldConfig, setting: Setting, folder: Path) -> tuple[Run, Any]:
    """Return the run of a fold, begun or not, and its images; all that depends on data comes from its train part."""
    given = plan.given | setting
    config = config_from_options(given) if setting else plan.config
    config = config.model_copy(update={"data": config.data.model_copy(update={"fold": place})})
    sets = plan.task.divide(config, plan.task.fold(config, plan.sets))
    config, _ = with_data_fields(config, sets, given)
    if getattr(config, "positive", ""):
        plan.given.setdefault("positive", config.positive)  # asked for once
    return open_or_plan(folder, config), sets


def train_fold(run: Run, sets: Any) -> int:
    """Train a run unless it is finished; returns the exit code."""
    if (run.folder / METRICS).exists() and (run.folder / PREDICTIONS).exists():
        return 0
    if not run.folder.exists():
        Run.create(run.folder, run.config)
    counts = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
    say(f"{run.folder}: {run.config.model}, {counts} images")
    return fit(run, sets, resumed=True, shown=False)


# ------------------------------------------------------------------------------------------- nested: the choice


def choose_setting(plan: Plan, place: FoldConfig) -> tuple[int, Setting]:
    """Return (exit code, the setting that is best in the inner folds of a fold's train part)."""
    folder = plan.out / name_of(plan, place)
    name = plan.config.monitor.removeprefix("val_")
    means: dict[str, float] = {}
    for setting in plan.grid:
        values = []
        for inner in range(1, plan.inner + 1):
            nested = place.model_copy(update={"inner_folds": plan.inner, "inner": inner})
            own = plan.out / "inner" / name_of(plan, place) / setting_text(setting) / f"fold-{inner}"
            run, sets = fold_run(plan, nested, setting, own)
            if code := train_fold(run, sets):
                return code, {}
            values.append(measured(run, name))
        means[setting_text(setting)] = float(np.mean(values))
    sign = 1 if lower_is_better(name) else -1
    best = min(plan.grid, key=lambda setting: sign * means[setting_text(setting)])
    say(f"{folder}: chosen by {name} of {plan.inner} inner folds: {setting_text(best)}")
    write_json(plan.out / "inner" / name_of(plan, place) / CHOSEN, {"by": name, "means": means, "chosen": best})
    return 0, best


def measured(run: Run, name: str) -> float:
    """Return a measure of a finished run's test part.  Raises UserError where it is undefined."""
    found = json.loads((run.folder / METRICS).read_text("utf-8"))["test"].get(name)
    if found is None:
        raise UserError(f"{run.folder}: {name} is undefined there; choose by another --monitor")
    return float(found)


# ------------------------------------------------------------------------------------------------- the results


def collect(plan: Plan) -> dict[str, Any]:
    """Put the folds together, write the results, and return the report."""
    groups = group_numbers(plan.whole.groups, len(plan.whole))
    columns: dict[str, list[Any]] = {}
    runs = []
    for place in places(plan):
        run = Run.open(plan.out / name_of(plan, place))
        runs.append(run)
        cases = read_cases(run.folder / PREDICTIONS)
        rows = folds_of(plan, place.repeat)[place.fold - 1]
        own = dict(cases) | {"group": groups[rows], "fold": [name_of(plan, place)] * len(rows), "image": rows}
        for name, values in own.items():
            columns.setdefault(name, []).extend(np.asarray(values).tolist())
    pooled = Cases(columns)
    alone = plan.whole.groups is None and plan.repeats == 1
    report = measure_folds(runs[0], pooled, None if alone else pooled["group"])
    trained = " or ".join(dict.fromkeys(run.config.model for run in runs))  # of a grid over networks there are several
    report |= {"division": division_text(plan), "model": trained, "task": plan.config.task}
    report |= {"folds": plan.folds, "repeats": plan.repeats, "seed": plan.config.seed, "data": plan.config.data.path}
    report["level"] = 0.95
    if plan.grid:
        report["chosen"] = {
            name_of(plan, place): json.loads((plan.out / "inner" / name_of(plan, place) / CHOSEN).read_text("utf-8"))
            for place in places(plan)
        }
    write_report(plan.out, report, pooled)
    return report


def measure_folds(run: Run, pooled: Cases, groups: Any) -> dict[str, Any]:
    """Return each measure of all images together and of each fold."""
    measures: dict[str, Measure] = run.task.figures(run.config, pooled)
    names = list(dict.fromkeys(pooled["fold"].tolist()))
    notes: list[str] = []
    figures: dict[str, Any] = {}
    for name, measure in measures.items():
        whole = measure.figure(groups, warn=notes.append)
        folds = [measure.within(pooled["fold"] == fold).figure(groups, warn=lambda _: None) for fold in names]
        each = {fold: found.as_json() for fold, found in zip(names, folds, strict=True)}
        figures[name] = whole.as_json() | spread(folds) | {"folds": each}
    n = len(set(pooled["image"].tolist()))
    return {"n": n, "figures": figures, "warnings": list(dict.fromkeys(notes))}


def spread(folds: list[Figure]) -> dict[str, Any]:
    """Return mean and standard deviation over the folds where a measure is defined."""
    values = np.array([fold.value for fold in folds if fold.value is not None])
    return {
        "mean": float(values.mean()) if values.size else None,
        "deviation": float(values.std(ddof=1)) if values.size > 1 else None,
    }


def write_report(out: Path, report: dict[str, Any], pooled: Cases) -> None:
    """Write cv.json, cv.csv, cv.png, folds.csv and predictions.csv, each whole or not at all."""
    lines = []
    for name, row in report["figures"].items():
        for fold, cell in {"pooled": row, **row["folds"]}.items():
            low, high = cell["interval"] or (None, None)
            ends = {"value": cell["value"], "low": low, "high": high, "n": cell["n"]}
            lines.append({"measure": name, "fold": fold, **ends})
    order = [name for name in pooled if name != "image"]
    rows = zip(*(pooled[name].tolist() for name in order), strict=True)
    listed = [dict(zip(order, values, strict=True)) for values in rows]
    write_rows(out / "cv.csv", lines)
    write_rows(out / "predictions.csv", listed)
    write_rows(out / "folds.csv", [{key: row[key] for key in ("path", "group", "fold")} for row in listed])
    save_folds(report, out / "cv.png")
    write_json(out / "cv.json", report)


def report_text(report: dict[str, Any]) -> str:
    """Return the report as text: its division first, then a row a measure."""
    names = list(next(iter(report["figures"].values()))["folds"])
    few = len(names) <= 10
    heads = [name.replace("repeat-", "r").replace("fold-", "fold ").replace("-", " ") for name in names] if few else []
    rows = [("", "pooled", "95 %", "mean of folds", "sd", *heads)]
    for name, row in report["figures"].items():
        cells = [number(row["folds"][fold]["value"], 3) for fold in names] if few else []
        means = number(row["mean"], 3), number(row["deviation"], 3)
        rows.append((name.replace("_", " "), number(row["value"]), interval(row["interval"]), *means, *cells))
    seen = f"n = {report['n']} images, each measured by a network that did not see it"
    lines = [report["division"], f"{report['model']}, {seen}"]
    lines += [table(rows), *(f"note: {note}" for note in report["warnings"])]
    if "chosen" in report:
        lines += [f"{fold}: {setting_text(choice['chosen'])}" for fold, choice in report["chosen"].items()]
    return "\n".join(lines)
