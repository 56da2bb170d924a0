"""The first step on a fresh machine: wall seconds with an empty kernel cache, and with the one that is left.

    python benchmarks/cold_start.py [--rounds 3] [--against REVISION] [CASE ...]

The papers' CNN, 3x64x64, batch 128.  A case is a new process: the train step as the Trainer captures it; the same with
one thread and so one compiling process, kernel by kernel; the step uncaptured; `tinymed warmup`; `tinymed train
--steps 1`, which also evaluates and draws.  The median of some rounds.  Written to benchmarks/results/cold_start.json,
beside what was measured of other cases at the same commit.  With --against the other revision's cases run in turns with
ours, from a git worktree in a temporary folder, and the rows are written as `against REVISION`.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
STEPS = {"captured": {}, "captured, one thread": {"NUMBA_NUM_THREADS": "1"}, "eager": {}}
BATCH, SIZE = 128, 64
COMMANDS = {
    "warmup": ("warmup", "--json", "--batch", str(BATCH), "--size", str(SIZE)),
    "train": ("train", "--steps", "1"),
}


def first_step(case: str) -> dict[str, Any]:
    """Seconds of this process's first steps, how many kernels it compiled and loaded, and the seconds of each."""
    import numpy as np

    import tinymed
    from tinymed import dispatch, models, optim
    from tinymed.tasks.base.steps import train_step
    from tinymed.tasks.heads.class_heads import make_head

    tinymed.manual_seed(0)
    model = models.create("dcnn", num_classes=2, size=SIZE)
    head = make_head("sigmoid", 2)
    images = tinymed.tensor(np.random.default_rng(0).random((BATCH, 3, SIZE, SIZE), np.float32))
    targets = tinymed.tensor(head.targets(np.arange(BATCH) % 2))
    step = train_step(model.train(), optim.Adam(model.parameters()), head, None)
    step = step if case == "eager" else tinymed.capture(step)
    kernels = compiling()
    seconds = [timed(lambda: step(images, targets)) for _ in range(2)]
    codes = [c for k in dispatch.implementations.values() for c in k.codes.values() if hasattr(c, "stats")]
    misses, hits = (sum(sum(getattr(c.stats, f"cache_{kind}").values()) for c in codes) for kind in ("misses", "hits"))
    return {
        "seconds": seconds[0],
        "second_step": seconds[1],
        "compiled_here": misses,
        "loaded": hits,
        "kernels": kernels,
    }


def compiling() -> dict[str, float]:
    """Take down, from now on, the seconds of each kernel that this process compiles, its helpers among them."""
    from numba.core import event

    seconds: dict[str, float] = {}
    begun: list[float] = []

    class Listener(event.Listener):
        def on_start(self, happening: Any) -> None:
            begun.append(time.perf_counter())

        def on_end(self, happening: Any) -> None:
            started = begun.pop()
            if not begun:
                name = happening.data["dispatcher"].py_func.__name__
                seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started

    event.register("numba:compile", Listener())
    return seconds


def timed(call: Callable[[], Any]) -> float:
    """Wall seconds of a call."""
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def measure(case: str, cache: str, tree: Path = HERE.parent) -> dict[str, Any]:
    """Return a case in a process of its own, with a cache folder, as the files of a tree do it."""
    environment = os.environ | {"TINYMED_CACHE": cache} | STEPS.get(case, {})
    paths = [str(tree), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    if case in STEPS:
        command = [sys.executable, str(tree / "benchmarks" / "cold_start.py"), "--child", case]
    else:
        command = [sys.executable, "-m", "tinymed", *COMMANDS[case]]
        command += ["--out", tempfile.mkdtemp(dir=cache)] if case == "train" else []
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    process = time.perf_counter() - started
    result = {"process_seconds": process}
    return result | (json.loads(done.stdout.splitlines()[-1]) if case != "train" else {"seconds": process})


def main() -> None:
    from peers import machine, rounded, save
    from same_bits import checked_out

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=[*STEPS, *COMMANDS], metavar="CASE")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against", metavar="REVISION", help="a revision whose cases run in turns with ours")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(first_step(options.cases[0])))
        return
    trees = {"": HERE.parent}
    with checked_out(options.against) if options.against else contextlib.nullcontext() as other:
        trees |= {f"against {options.against}": other} if other else {}
        rows = [rounded(row) for case in options.cases for row in rows_of(case, options.rounds, trees)]
    path, here = HERE / "results" / "cold_start.json", machine()
    before = json.loads(path.read_text()) if path.exists() else {"machine": None}
    others = [r for r in before["rows"] if r["case"] not in options.cases] if before["machine"] == here else []
    save(path, {"machine": here, "rows": others + rows})


def rows_of(case: str, rounds: int, trees: dict[str, Path]) -> list[dict[str, Any]]:
    """Return a case's rows of each tree {how its rows are marked: folder}, the trees measured in turns."""
    turns: dict[str, list[list[dict[str, Any]]]] = {mark: [] for mark in trees}
    for _ in range(rounds):
        for mark, tree in trees.items():
            with tempfile.TemporaryDirectory() as cache:
                turns[mark].append([measure(case, cache, tree) for _ in range(2)])
    return [row for mark in trees for row in summed_up(case, mark, turns[mark])]


def summed_up(case: str, mark: str, turns: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Return a case in a fresh cache and in the one it leaves: the round of median seconds, and the spread of all."""
    from peers import rounded

    rows = []
    for state, runs in zip(("fresh", "from cache"), zip(*turns, strict=True), strict=True):
        runs = sorted(runs, key=lambda r: r["seconds"])
        row = runs[len(runs) // 2]
        row.pop("cache", None)  # a folder that is no more
        if case in STEPS:
            row["kernels"] = rounded(dict(sorted(row["kernels"].items(), key=lambda kernel: -kernel[1])))
        spread = [runs[0]["seconds"], runs[-1]["seconds"]]
        print(f"{case:22s} {state:10s} {row['seconds']:6.2f} s ({spread[0]:.2f} to {spread[1]:.2f}) {mark}", flush=True)
        rows.append({"case": case, "state": state, "spread": spread} | row | ({"tree": mark} if mark else {}))
    return rows


if __name__ == "__main__":
    main()
