"""What `tinymed sweep` does: a run a setting and seed, chosen on val, one table and one figure.

OUT/SETTING/seed-0 ...            run folders, whose test part was not looked at
OUT/sweep.json, sweep.csv         the settings, best first: mean and deviation of the measure over seeds
OUT/sweep.png                     the measure by epochs, and what the option that was swept first does to it
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .. import tasks
from ..errors import UserError
from ..files import write_json
from ..metrics import lower_is_better
from ..report.sweep import save_sweep
from ..report.tables import number, table
from ..tasks.results.rows import write_rows
from ..train.run import LOG, METRICS, Run
from .app import say
from .comparing import open_or_plan
from .grids import Setting, combinations, draw_settings, parse_grid, parse_ranges, setting_text
from .options import Given
from .start_run import config_from_options, fit, open_sets, with_data_fields

OWN = ("grid", "range", "random", "seeds", "choose", "out", "as_json")  # options that are not those of train


@dataclass
class Sweep:
    """What is tried."""

    given: Given  # options of train
    settings: list[Setting]
    seeds: list[int]
    measure: str  # of metrics.json's val
    out: Path


def sweep_command(given: Given) -> int:
    """Train what is not there yet, then compare; returns the exit code."""
    plan = plan_sweep(given)
    runs: list[list[Run]] = []
    for place, setting in enumerate(plan.settings, 1):
        say(f"setting {place} of {len(plan.settings)}: {setting_text(setting)}")
        runs.append([])
        for seed in plan.seeds:
            code, run = train_setting(plan, setting, seed)
            if code:
                say("nothing is lost: repeat the command to go on")
                return code
            runs[-1].append(run)
    report = collect(plan, runs)
    print(json.dumps(report, allow_nan=False) if given.get("as_json") else sweep_text(report))
    say(f"sweep.json, .csv and .png: {plan.out}")
    return 0


def plan_sweep(given: Given) -> Sweep:
    """Return what is to be tried; every setting is checked before anything is read or written.  Raises UserError."""
    own = {name: given[name] for name in OWN if name in given}
    options = {name: value for name, value in given.items() if name not in OWN}
    task = tasks.find(options.get("task", tasks.DEFAULT))
    grid, ranges = parse_grid(own.get("grid", []), task.options), parse_ranges(own.get("range", []), task.options)
    if not grid and not ranges:
        raise UserError("sweep: say what to try, such as --grid lr=1e-4,1e-3,1e-2")
    if ranges and "random" not in own:
        raise UserError("--range: has no effect here: values are drawn from it with --random COUNT")
    for name in [*grid, *ranges]:
        if name in options or (name in grid and name in ranges):
            raise UserError(f"--{name.replace('_', '-')}: is given twice: once as what to try")
    seed, count = options.get("seed", 0), own.get("seeds", 1)
    if count < 1 or own.get("random", 1) < 1:
        raise UserError("--seeds and --random are at least 1")
    drawn = draw_settings(own["random"], grid, ranges, seed) if "random" in own else combinations(grid)
    configs = [config_from_options(options | setting) for setting in drawn]
    measure = own.get("choose", configs[0].monitor).removeprefix("val_")
    return Sweep(options, drawn, list(range(seed, seed + count)), measure, own.get("out", Path("runs/sweep")))


def train_setting(plan: Sweep, setting: Setting, seed: int) -> tuple[int, Run]:
    """Return (exit code, the run of a setting and seed), trained unless it is finished; its test part is put aside."""
    given = plan.given | setting | {"seed": seed}
    config = config_from_options(given)
    sets = open_sets(config, given)
    config, _ = with_data_fields(config, sets, given)
    if getattr(config, "positive", ""):
        plan.given.setdefault("positive", config.positive)  # asked for once
    run = open_or_plan(plan.out / setting_text(setting) / f"seed-{seed}", config)
    if (run.folder / METRICS).exists():
        return 0, run
    if not run.folder.exists():
        Run.create(run.folder, run.config)
    return fit(run, {name: part for name, part in sets.items() if name != "test"}, resumed=True, shown=False), run


def collect(plan: Sweep, runs: list[list[Run]]) -> dict[str, Any]:
    """Write the results and return the report, the best setting first."""
    rows: list[dict[str, Any]] = []
    histories: dict[str, Any] = {}
    for setting, each in zip(plan.settings, runs, strict=True):
        values = [measured(run, plan.measure) for run in each]
        row: dict[str, Any] = {
            "setting": setting,
            "mean": float(np.mean(values)),
            "values": values,
            "seeds": plan.seeds,
        }
        rows.append(row | {"deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None})
        histories[setting_text(setting)] = [history(run) for run in each]
    sign = 1 if lower_is_better(plan.measure) else -1
    rows.sort(key=lambda row: sign * row["mean"])
    report = {"measure": f"val {plan.measure}", "model": runs[0][0].config.model, "rows": rows}
    flat = [
        row["setting"] | {"seed": seed, report["measure"]: value}
        for row in rows
        for seed, value in zip(plan.seeds, row["values"], strict=True)
    ]
    write_rows(plan.out / "sweep.csv", flat)
    save_sweep(report, histories, plan.out / "sweep.png")
    write_json(plan.out / "sweep.json", report)
    return report


def measured(run: Run, name: str) -> float:
    """Return a measure of a finished run's val part.  Raises UserError where there is none."""
    found = json.loads((run.folder / METRICS).read_text("utf-8"))["val"]
    value = found.get(name)
    if not isinstance(value, int | float):
        known = ", ".join(key for key, each in found.items() if isinstance(each, float))
        raise UserError(f"--choose {name}: {run.folder} has no such measure of val; there are {known}")
    return float(value)


def history(run: Run) -> list[dict[str, Any]]:
    """Return what the log says of each epoch."""
    lines = map(json.loads, (run.folder / LOG).read_text("utf-8").splitlines())
    return [line for line in lines if line["event"] == "epoch"]


def sweep_text(report: dict[str, Any]) -> str:
    """Return the settings as a table, the best first."""
    names = list(report["rows"][0]["setting"])
    rows = [(*names, report["measure"], "sd", "runs")]
    for row in report["rows"]:
        cells = [f"{value:g}" if isinstance(value, float) else str(value) for value in row["setting"].values()]
        rows.append((*cells, number(row["mean"]), number(row["deviation"]), str(len(row["values"]))))
    best = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in report["rows"][0]["setting"].items())
    lines = [table(rows, right=range(len(rows[0])))]
    return "\n".join([*lines, f"chosen on val: {best} (test was not looked at; train it with these options for that)"])
