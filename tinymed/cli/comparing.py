"""What `tinymed compare` does: a run a network on one split, each in a process of its own, then table and picture.

This is table 2 and figure 4 of Senthil Kumar, Khan & Jayachandran 2022 with what is missing there: every network sees
the same images in the same order, the test part chose nothing, and each figure has its interval.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_atomic, write_json
from ..models import count_parameters, entry
from ..nn.init import no_weights
from ..report.plots import save_comparison_bars
from ..report.tables import interval, number, table
from ..tasks.base.options import model_options
from ..train.run import METRICS as METRICS_FILE
from ..train.run import Run, flat, refuse_occupied
from .app import FAILED, say
from .comparison_rows import METRICS, as_csv, as_markdown, comparison_row
from .options import Given
from .start_run import config_from_options, open_sets, with_data_fields

DEFAULTS: dict[str, Any] = {"size": 64, "batch": 32, "grey": False}
FREE = ("backend", "workers", "checkpoint_every")  # what does not change the result
PROCESS = "process.json"  # in a run folder: what training it took


def compare_command(names: Sequence[str], given: Given) -> int:
    """Train what is not there yet, then compare; returns the exit code."""
    out = Path(given.pop("out", "runs/compare"))
    runs = plan_runs(names, given, out)
    for place, (run, sets_text) in enumerate(runs, 1):
        if (run.folder / METRICS_FILE).exists():
            say(f"{run.config.model}: trained already, in {run.folder}")
            continue
        say(f"{run.config.model}, {place} of {len(runs)}: {sets_text}")
        if code := train_in_process(run):
            say(f"{run.config.model}: ended with code {code}; nothing is lost, repeat the command to go on")
            return code
    rows = [comparison_row(run, read(run.folder / PROCESS), "width" in given) for run, _ in runs]
    write_results(out, rows)
    print(comparison_text(rows))
    say(f"compare.json, .csv, .md and .png: {out}")
    return 0


# ------------------------------------------------------------------------------------------------- the plan


def plan_runs(names: Sequence[str], given: Given, out: Path) -> list[tuple[Run, str]]:
    """Return (the run of each network, what to say of it), begun where it is not there yet; nothing is trained here.

    Raises UserError before anything is written: fewer than two networks, one that is unknown or does not classify, data
    that cannot be read, a folder that holds a run of other settings.
    """
    check_names(names)
    if "data" not in given:
        raise UserError("compare needs --data: a folder of class folders, a .csv or .npz, see `tinymed train --help`")
    options = [options_for(name, names, given) for name in names]
    drafts = [config_from_options(one) for one in options]
    sets = open_sets(drafts[0], given)
    runs = []
    for name, config, one in zip(names, drafts, options, strict=True):
        if "positive" in given:
            one["positive"] = given["positive"]
        config, _ = with_data_fields(config, sets, one)
        given.setdefault("positive", config.positive)  # asked for once
        runs.append(open_or_plan(out / name, config))
    counts = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
    texts = [f"{parameters(r):,} parameters, {counts} images of {r.config.data.size} px" for r in runs]
    for run in runs:
        if not run.folder.exists():
            Run.create(run.folder, run.config)
    return list(zip(runs, texts, strict=True))


def check_names(names: Sequence[str]) -> None:
    """Raise UserError unless these are two or more different networks."""
    for name in names:
        entry(name)
    if len(names) < 2:
        raise UserError(f"--models: a comparison needs two networks or more, got {', '.join(names) or 'none'}")
    if len(set(names)) < len(names):
        raise UserError(f"--models: {next(n for n in names if list(names).count(n) > 1)} is named twice")


def options_for(name: str, names: Sequence[str], given: Given) -> dict[str, Any]:
    """Return the options of `tinymed train` for one network: those that it takes of --width and --option."""
    chosen = model_options(given) | ({"width": given["width"]} if "width" in given else {})
    if not given.get("width", 1.0) > 0:
        raise UserError(f"--width: a multiplier of the layers' channels is positive, got {given['width']}")
    for option in chosen:
        if not any(option in entry(other).options for other in names):
            taken = sorted({o for other in names for o in entry(other).options})
            raise UserError(f"none of {', '.join(names)} takes the option {option}; they take {', '.join(taken)}")
    own = {key: value for key, value in chosen.items() if key in entry(name).options}
    rest = {key: value for key, value in given.items() if key not in ("width", "option")}
    return DEFAULTS | rest | {"model": name, "option": [f"{k}={json.dumps(v)}" for k, v in own.items()]}


def parameters(run: Run) -> int:
    """Return the number of a network's parameters."""
    with no_weights():
        return int(count_parameters(run.task.make_model(run.config)))


def open_or_plan(folder: Path, config: Any) -> Run:
    """Return the run in a folder, which holds this configuration or nothing.  Raises UserError otherwise."""
    if not (folder / "config.json").exists():
        refuse_occupied(folder)
        return Run(folder, config)
    run = Run.open(folder)
    mine, theirs = decisive(config), decisive(run.config)
    if differ := sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key)):
        shown = ", ".join(f"{key} {theirs.get(key)!r} (now {mine.get(key)!r})" for key in differ[:3])
        raise UserError(f"{folder}: holds a run with another {shown}; choose another --out, or the same settings")
    return run


def decisive(config: Any) -> dict[str, Any]:
    """Return what decides a run's result, as {"data.size": 64, ...}."""
    return {key: value for key, value in flat(config).items() if key not in FREE}


# --------------------------------------------------------------------------------------------- the training


def train_in_process(run: Run) -> int:
    """Train a run in a process of its own, so that its peak memory is its own; returns the exit code.

    An interrupt of the terminal reaches both processes: the training ends cleanly, and this one waits for that.
    """
    command = [sys.executable, "-P", "-m", "tinymed", "train", "--resume", str(run.folder)]
    paths = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}  # this tinymed, wherever the command was given
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)  # noqa: S603
    try:
        signal.signal(signal.SIGINT, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        code, used = wait(process)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    earlier = read(run.folder / PROCESS)
    used["cpu_seconds"] = round(used["cpu_seconds"] + earlier.get("cpu_seconds", 0.0), 2)
    used["peak_bytes"] = max(used["peak_bytes"], earlier.get("peak_bytes", 0))
    write_json(run.folder / PROCESS, used)
    return code if code >= 0 else max(FAILED, 128 - code)


def wait(process: "subprocess.Popen[bytes]") -> tuple[int, dict[str, Any]]:
    """Return (exit code, {"cpu_seconds", "peak_bytes"}) of a process.

    user and system time, and the largest resident set.
    """
    if not hasattr(os, "wait4"):  # Windows
        return process.wait(), {"cpu_seconds": 0.0, "peak_bytes": 0}
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1 if sys.platform == "darwin" else 1024
    return process.returncode, {"cpu_seconds": usage.ru_utime + usage.ru_stime, "peak_bytes": usage.ru_maxrss * unit}


def read(path: Path) -> dict[str, Any]:
    """Return the object of a JSON file, or nothing where there is no file."""
    return read_json(path) if path.exists() else {}


# ---------------------------------------------------------------------------------------------- the results


def write_results(out: Path, rows: list[dict[str, Any]]) -> None:
    """compare.json, compare.csv, compare.md and compare.png, each whole or not at all."""
    write_json(out / "compare.json", {"rows": rows})
    write_atomic(out / "compare.csv", [as_csv(rows).encode()])
    write_atomic(out / "compare.md", [as_markdown(rows).encode()])
    shown = {name: "AUC" if name == "auc" else name for name in METRICS}
    bars = {
        r["model"]: {
            text: (r[name], *(r[f"{name}_interval"] or (r[name],) * 2))
            for name, text in shown.items()
            if r[name] is not None
        }
        for r in rows
    }
    save_comparison_bars(bars, out / "compare.png", list(shown.values()), heading(rows))


def heading(rows: list[dict[str, Any]]) -> str:
    """Return what the rows were measured on."""
    first = rows[0]
    return f"{first['data']}, {first['part']} part, n = {first['n']}, 95 % intervals ({first['average']})"


def comparison_text(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table."""
    lines = [("network", "parameters", *(cell for name in METRICS for cell in (name, "")), "train s", "peak MiB")]
    for r in rows:
        cells = [cell for name in METRICS for cell in (number(r[name], 3), interval(r[f"{name}_interval"]))]
        memory = "-" if not r["peak_bytes"] else f"{r['peak_bytes'] / 2**20:,.0f}"
        lines.append((r["model"], f"{r['parameters']:,}", *cells, f"{r['training_seconds']:,.0f}", memory))
    notes = [f"{r['model']}: {note}" for r in rows for note in r["notes"]]
    return "\n".join([heading(rows), table(lines), *notes])
