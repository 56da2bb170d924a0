"""What `tinymed compare` does: a run a network on one split, each in a process of its own, then table and picture.

Classical classifiers stand beside them (`comparing_baselines.py`); each row is compared with the first, image by image.

This is table 2 and figure 4 of Senthil Kumar, Khan & Jayachandran 2022 with what is missing there: every network sees
the same images in the same order, the test part chose nothing, and each figure has its interval.
"""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .. import baselines, tasks
from ..errors import UserError
from ..files import json_value, read_json, refuse_occupied, write_atomic, write_json
from ..metrics.paired_differences import paired_differences
from ..models import available, count_parameters, entry
from ..nn.init import no_weights
from ..report.plots import save_comparison_bars
from ..report.tables import interval, number, table
from ..tasks.base.network import sees_volumes
from ..tasks.base.options import model_options, refuse_idle
from ..train.run import METRICS as METRICS_FILE
from ..train.run import Run, choose_backend, flat
from .app import FAILED, say
from .comparing_baselines import (
    AT,
    OWN,
    SCORES,
    Baseline,
    Sets,
    baseline_results,
    check_folder,
    choose_folds,
    folder_of,
    is_baseline,
    read_baselines,
    refuse_seen,
    settings_of,
)
from .comparison_rows import (
    METRICS,
    as_csv,
    as_markdown,
    comparison_row,
    memory_text,
    parameters_text,
    signed,
)
from .options import Given
from .start_run import config_from_options, open_sets, with_data_fields

DEFAULTS: dict[str, Any] = {"recipe": "paper", "size": 64, "batch": 32, "grey": False}
FREE = ("backend", "workers", "checkpoint_every", "data.fold.images")  # what does not change the result
STAND_IN = "resnet20"  # whose configuration reads the images where no network is compared
NETWORK_PANELS = ("Model", "Training", "Augmentation")
PROCESS = "process.json"  # in a run folder: what training it took


def compare_command(names: Sequence[str], given: Given) -> int:
    """Train and fit what is not there yet, then compare; returns the exit code."""
    out, as_json = Path(given.pop("out", "runs/compare")), given.pop("as_json", False)
    check_names(names)
    plan = make_plan(names, given, out)
    for place, (run, sets_text) in enumerate(plan.runs, 1):
        if (run.folder / METRICS_FILE).exists():
            say(f"{run.config.model}: trained already, in {run.folder}")
            continue
        say(f"{run.config.model}, {place} of {len(plan.runs)}: {sets_text}")
        if code := train_in_process(run):
            say(f"{run.config.model}: ended with code {code}; nothing is lost, repeat the command to go on")
            return code
    found = results(plan, out, "width" in given)
    rows = [found[name][0] for name in names]
    differences = differences_to_first([(name, found[name][1]) for name in names], plan)
    write_results(out, rows, differences)
    if as_json:
        print(json.dumps(json_value({"rows": rows, "differences": differences}), allow_nan=False))
    else:
        print(comparison_text(rows, differences))
    say(f"compare.json, .csv, .md and .png: {out}")
    return 0


# ------------------------------------------------------------------------------------------------- the plan


class Plan(NamedTuple):
    """What is compared.

    Attributes:
        runs: (the run of each network, what to say of it).
        baselines: The classical classifiers.
        sets: The images, which all see.
    """

    runs: list[tuple[Run, str]]
    baselines: list[Baseline]
    sets: Sets


def make_plan(names: Sequence[str], given: Given, out: Path) -> Plan:
    """Return what is compared, begun where it is not there yet; nothing is trained or fitted here.

    Raises UserError before anything is written: a name that is unknown or does not classify, data that cannot be read,
    a folder that holds a result of other settings.
    """
    if "data" not in given:
        raise UserError("compare needs --data: a folder of class folders, a .csv or .npz, see `tinymed train --help`")
    networks = [name for name in names if not is_baseline(name)]
    refuse_options(given, networks, len(networks) < len(names))
    own = {key: given.pop(key) for key in OWN if key in given}
    read = networks or [STAND_IN]
    options = [options_for(name, read, given) for name in read]
    drafts = [config_from_options(one) for one in options]
    classifiers = read_baselines([name for name in names if is_baseline(name)], own)
    parts = open_sets(drafts[0], given)
    runs = []
    for name, config, one in zip(read, drafts, options, strict=True):
        if "positive" in given:
            one["positive"] = given["positive"]
        config, _ = with_data_fields(config, parts, one)
        given.setdefault("positive", config.positive)  # asked for once
        runs.append(open_or_plan(out / name, config) if networks else Run(out / name, config))
    sets = Sets(parts, runs[0].config, choose_folds(parts, own))
    refuse_seen(classifiers, sets)
    for classifier in classifiers:
        check_folder(folder_of(out, classifier), settings_of(classifier, sets))
    if not networks:
        return Plan([], classifiers, sets)
    counts = ", ".join(f"{name} {len(part)}" for name, part in parts.items())
    texts = [f"{parameters(r):,} parameters, {counts} images of {r.config.data.size} px" for r in runs]
    for run in runs:
        if not run.folder.exists():
            Run.create(run.folder, run.config)
    return Plan(list(zip(runs, texts, strict=True)), classifiers, sets)


def check_names(names: Sequence[str]) -> None:
    """Raise UserError unless these are two or more different networks or classical classifiers."""
    for name in names:
        if is_baseline(name):
            continue
        if name.partition(AT)[0] not in available():
            raise UserError(
                f"model {name!r} is unknown; choose one of {', '.join(available())}, or of the classical "
                f"{', '.join(baselines.available())}"
            )
        if AT in name:
            raise UserError(
                f"{name}: features are of the classical {', '.join(baselines.available())}; networks see images"
            )
    if len(names) < 2:
        raise UserError(f"--models: a comparison needs two methods or more, got {', '.join(names) or 'none'}")
    if len(set(names)) < len(names):
        raise UserError(f"--models: {next(n for n in names if list(names).count(n) > 1)} is named twice")


def refuse_options(given: Given, networks: Sequence[str], classical: bool) -> None:
    """Raise UserError for options that nothing of what is compared uses."""
    options = tasks.find(tasks.DEFAULT).options
    of_networks = [name for name, option in options.items() if option.panel in NETWORK_PANELS]
    needs = f"nothing is compared that uses features; name one of {', '.join(baselines.available())}"
    refuse_idle(
        given,
        {
            **dict.fromkeys(
                [*of_networks, "width", "checkpoint_every", "normalise", "preprocess"],
                (bool(networks), "no network is compared"),
            ),
            **dict.fromkeys(OWN, (classical, needs)),
        },
    )


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
    defaults = {key: value for key, value in DEFAULTS.items() if key != "grey" or not of_volumes(name, given)}
    return defaults | rest | {"model": name, "option": [f"{k}={json.dumps(v)}" for k, v in own.items()]}


def of_volumes(name: str, given: Given) -> bool:
    """Say whether a network sees volumes, or planes of them, whose channels are not chosen."""
    return bool(given.get("planes")) or sees_volumes(name)


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


def results(plan: Plan, out: Path, width_asked: bool) -> dict[str, tuple[dict[str, Any], np.ndarray]]:
    """Return {name: (row, scores of the part that is reported of)} of everything that is compared."""
    found = baseline_results(plan.baselines, plan.sets, out)
    for run, _ in plan.runs:
        row = comparison_row(run, read(run.folder / PROCESS), width_asked)
        found[run.config.model] = row, network_scores(run, plan.sets)
    return found


def network_scores(run: Run, sets: Sets) -> np.ndarray:
    """Return a trained network's scores of the part that is reported of, computed once while its results stay."""
    path, state = run.folder / SCORES, hashlib.sha256((run.folder / METRICS_FILE).read_bytes()).hexdigest()
    if path.exists():
        with np.load(path, allow_pickle=False) as file:
            if str(file["state"]) == state:
                known: np.ndarray = file["scores"]
                return known
    choose_backend(run.config.backend, run.config.precision)
    _, scores = run.measure(run.load_model(), sets.parts[sets.measured])
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, scores=scores, state=np.str_(state))
    write_atomic(path, [content.getbuffer()])
    return np.asarray(scores)


def differences_to_first(scores: Sequence[tuple[str, np.ndarray]], plan: Plan) -> list[dict[str, Any]]:
    """Return by how much each row exceeds the first, over the same images."""
    (first, reference), *others = scores
    labels, seed = plan.sets.parts[plan.sets.measured].labels, plan.sets.config.seed
    return [
        {"model": name, "less": first, **paired_differences(own, reference, labels, seed=seed)} for name, own in others
    ]


def write_results(out: Path, rows: list[dict[str, Any]], differences: list[dict[str, Any]]) -> None:
    """compare.json, compare.csv, compare.md and compare.png, each whole or not at all."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "compare.json", {"rows": rows, "differences": differences})
    write_atomic(out / "compare.csv", [as_csv(rows).encode()])
    write_atomic(out / "compare.md", [as_markdown(rows, differences).encode()])
    shown = {name: "AUC" if name == "auc" else name for name in METRICS}
    bars = {
        name: {
            text: (r[name], *(r[f"{name}_interval"] or (r[name],) * 2))
            for name, text in shown.items()
            if r[name] is not None
        }
        for name, r in zip(short_names([r["model"] for r in rows]), rows, strict=True)
    }
    save_comparison_bars(bars, out / "compare.png", list(shown.values()), heading(rows))


def short_names(names: Sequence[str]) -> list[str]:
    """Return names without the folders above a run, for which a picture has no room; of two alike one is numbered.

    Example:
        >>> short_names(["dcnn", "svm@runs/a/one:fc+hog", "svm@runs/b/one:fc+hog"])
        ['dcnn', 'svm@one:fc+hog', 'svm@one:fc+hog (3)']
    """
    short = [re.sub(r"[^+@]*/", "", name) for name in names]
    return [name if name not in short[:i] else f"{name} ({i + 1})" for i, name in enumerate(short)]


def heading(rows: list[dict[str, Any]]) -> str:
    """Return what the rows were measured on."""
    first = rows[0]
    return f"{first['data']}, {first['part']} part, n = {first['n']}, 95 % intervals ({first['average']})"


def comparison_text(rows: list[dict[str, Any]], differences: list[dict[str, Any]]) -> str:
    """Return the rows as a table, and below it how they differ from the first."""
    what = "network" if all(r["steps"] for r in rows) else "method"
    lines = [(what, "parameters", *(cell for name in METRICS for cell in (name, "")), "train s", "peak MiB")]
    for r in rows:
        cells = [cell for name in METRICS for cell in (number(r[name], 3), interval(r[f"{name}_interval"]))]
        lines.append((r["model"], parameters_text(r), *cells, f"{r['training_seconds']:,.0f}", memory_text(r)))
    notes = [f"{r['model']}: {note}" for r in rows for note in r["notes"]]
    less = [(f"less {rows[0]['model']}, paired over the images", "accuracy", "AUC")]
    less += [(d["model"], signed(d, "accuracy"), signed(d, "auc")) for d in differences]
    return "\n".join([heading(rows), table(lines), *notes, "", table(less)])
