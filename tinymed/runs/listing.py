"""Run folders as rows: what each is, how far it came, what it scored; sorted, filtered, with columns of any key."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json
from ..tasks import read_config
from ..train.run import LOG, METRICS, flat
from ..train.transfer import CONFIG
from .advice import best_row, known

COLUMNS = ("run", "model", "data", "recipe", "state", "epochs", "best_epoch", "val", "test", "test_interval", "minutes")
COMPARISON = re.compile(r"^\s*([\w.]+)\s*(<=|>=|!=|=|<|>|~)\s*(.+?)\s*$")


@dataclass
class Listed:
    """A run folder.

    Attributes:
        folder: Where it is.
        row: What is listed of it, by column.
        keys: Every value of its configuration and its metrics, such as "data.size" and "test.auc".
        history: A row an epoch.
    """

    folder: Path
    row: dict[str, Any]
    keys: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)

    def value(self, key: str) -> Any:
        """Return the value of a column or key; None where the run has none."""
        return self.row[key] if key in self.row else self.keys.get(key)


def find_runs(places: Sequence[Path]) -> list[Path]:
    """Return the run folders that are named, or lie below a folder that is named, sorted.  Raises UserError."""
    found: set[Path] = set()
    for place in places:
        if not place.is_dir():
            raise UserError(f"{place}: is no folder; name run folders, or folders that hold some")
        below = {path.parent for path in place.rglob(CONFIG) if (path.parent / "checkpoints").is_dir()}
        if not below:
            raise UserError(f"{place}: holds no run; `tinymed train` makes them, below runs/")
        found |= below
    return sorted(found)


def read_run(folder: Path) -> Listed:
    """Return what is listed of a run folder.  Raises UserError where its configuration cannot be read."""
    config = read_config(folder / CONFIG)
    history = list(read_history(folder / LOG))
    metrics = read_metrics(folder / METRICS)
    keys = {**flat(config), **dict(flat_metrics(metrics))}
    rows = [row for row in history if known(row.get(config.monitor))]
    measure = measure_of(history)
    best = best_row(rows, config.monitor) if rows else {}
    test = metrics.get("test") or {}
    row = {
        "run": str(folder),
        "task": config.task,
        "model": config.model,
        "data": Path(config.data.path).name if config.data.path else "synthetic",
        "recipe": getattr(config, "recipe", None),
        "state": state_of(config, history, metrics),
        "epochs": history[-1]["epoch"] if history else 0,
        "best_epoch": best.get("epoch"),
        "measure": measure,
        "val": (metrics.get("val") or {}).get(measure, best.get(f"val_{measure}")),
        "test": test.get(measure),
        "test_interval": test.get(f"{measure}_interval"),
        "minutes": round(history[-1].get("seconds", 0.0) / 60, 2) if history else 0.0,
    }
    return Listed(folder, row, keys, history)


def read_history(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the epochs of a log; the last line of a run that was killed may be cut."""
    if not path.exists():
        return
    for line in path.read_text("utf-8", "replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict) and row.pop("event", "") == "epoch" and {"epoch", "step"} <= row.keys():
            yield row


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the metrics of a finished run; {} of one that is not."""
    return read_json(path) if path.exists() else {}


def flat_metrics(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ("test.auc", value) of every single value of nested metrics."""
    for name, value in metrics.items():
        if isinstance(value, Mapping):
            yield from flat_metrics(value, f"{prefix}{name}.")
        elif isinstance(value, bool | int | float | str):
            yield f"{prefix}{name}", value


def measure_of(history: Sequence[Mapping[str, Any]]) -> str:
    """Return the measure that a run is listed by: the first that its epochs have beside the loss."""
    names = [key.removeprefix("val_") for key in (history[-1] if history else {}) if key.startswith("val_")]
    return next((name for name in names if name != "loss"), "loss")


def state_of(config: Any, history: Sequence[Mapping[str, Any]], metrics: Mapping[str, Any]) -> str:
    """Return whether a run is finished, or how far it came."""
    if metrics:
        return "stopped early" if metrics.get("stopped") else "finished"
    if not history:
        return "begun"
    last = history[-1]
    goal = f"{last['epoch']} of {config.epochs} epochs" if config.epochs else f"{last['step']} of {config.steps} steps"
    return f"unfinished, {goal}"


# ------------------------------------------------------------------------------------------ choosing and sorting


def matches(run: Listed, condition: str) -> bool:
    """Say whether a run fulfils a condition: KEY=VALUE, !=, <, <=, >, >=, or ~ for a part of a text.

    Raises UserError where the condition is none.  A run that lacks the key fulfils only !=.
    """
    read = COMPARISON.match(condition)
    if read is None:
        raise UserError(f"--filter {condition!r}: write KEY=VALUE, or with !=, <, <=, >, >=, ~ such as 'test.auc>0.9'")
    key, sign, wanted = read.groups()
    value = run.value(key)
    if value is None:
        return sign == "!="
    if sign == "~":
        return wanted.casefold() in str(value).casefold()
    if sign in ("=", "!="):
        return alike(value, wanted) is (sign == "=")
    try:
        number, other = float(value), float(wanted)
    except (TypeError, ValueError):
        raise UserError(f"--filter {condition!r}: {value!r} and {wanted!r} are not both numbers") from None
    return {"<": number < other, "<=": number <= other, ">": number > other, ">=": number >= other}[sign]


def alike(value: Any, wanted: str) -> bool:
    """Say whether a value is what a text writes: as a number, true, false, or a text."""
    if isinstance(value, bool):
        return str(value).lower() == wanted.lower()
    if isinstance(value, int | float):
        try:
            return float(value) == float(wanted)
        except ValueError:
            return False
    return str(value) == wanted


def check_key(runs: Sequence[Listed], key: str, option: str) -> None:
    """Raise UserError naming the nearest key where no run has this one."""
    names = {name for run in runs for name in (*run.row, *run.keys)}
    if key not in names:
        import difflib

        near = difflib.get_close_matches(key, names, n=3, cutoff=0.5)
        told = f"; did you mean {', '.join(near)}?" if near else ""
        raise UserError(f"{option} {key}: no run has it{told}")


def ordered(runs: Sequence[Listed], key: str, descending: bool) -> list[Listed]:
    """Return runs by the value of a key, those without one last.  Raises UserError for a key that no run has."""
    check_key(runs, key, "--sort")
    have = [run for run in runs if run.value(key) is not None]
    numeric = all(isinstance(run.value(key), int | float) for run in have)

    def place(run: Listed) -> Any:
        value = run.value(key)
        return (float(value) if math.isfinite(value) else math.inf) if numeric else str(value)

    return sorted(have, key=place, reverse=descending) + [run for run in runs if run.value(key) is None]
