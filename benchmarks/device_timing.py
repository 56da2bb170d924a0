"""The timing model beside a GPU: every rung of every ladder and the engine's kernels among them, timed with events.

    python benchmarks/device_timing.py --predict         here, without a GPU: writes results/predicted.json
    python benchmarks/device_timing.py --out FILE [--backend emulated --quick]

What is predicted was written down before: a GPU's stage has no minutes for the emulator.  A prediction is of one text
of csrc/ and of one model, both named in that file; of another text it is refused, not compared.  Each rung is a line of
JSON as soon as it is timed, and the whole a line at the end: rank correlation, median of |log(predicted / measured)|,
rows beyond CLIFF.  A rung that FILE has is not timed again, so a stage that was stopped goes on.
"""

import functools
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import date
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from device_clock import Clock, arguments, saved
from peers import HERE, rounded, save

PREDICTED = HERE / "results" / "predicted.json"
CLIFF = 0.7  # of |log(predicted / measured)|, from which a row is marked
SECONDS = 55.0  # for all rungs, in a stage of 60: what is left then is left out, and timed when the stage is resumed
WANTED = {"rank_correlation": 0.95, "median_log_ratio": 0.35}


# ------------------------------------------------------------------------------------- written down without a GPU


def predict() -> dict[str, Any]:
    """{ladder: {rung: {GPU: microseconds}}} of the large problems, by the tables that ship."""
    from tinymed import dispatch
    from tinymed.cuda import emulated
    from tinymed.cuda.gpus import GPUS
    from tinymed.cuda.ladders import LADDERS, ready
    from tinymed.cuda.prediction import Unknown, digest, predictions, shipped
    from tinymed.cuda.timing import FITTED

    rungs: dict[str, Any] = {}
    for ladder, chosen in LADDERS.items():
        problem = [emulated.placed(a) for a in chosen.problem(np.random.default_rng(0), *chosen.large)]
        for rung in chosen.rungs:
            dispatcher = getattr(dispatch.table("emulated"), rung.kernel)
            args = ready(dispatcher, rung.arguments(*problem))
            with emulated.sampling() as sampled:
                dispatcher(*args)
            launches, own = sampled(), {}
            for name, gpu in GPUS.items():
                try:
                    times = predictions(shipped(rung.source, gpu), launches, gpu)
                except (Unknown, ValueError) as reason:
                    print(f"{ladder}: {rung.label} on {name}: {reason}", file=sys.stderr)
                    continue
                own[name] = round(1e6 * sum(t.seconds for t in times), 2)
            rungs.setdefault(ladder, {})[rung.label] = {"digest": digest(rung.source), "us": own}
            print(ladder, rung.label, own, flush=True)
    return {"date": str(date.today()), "constants": asdict(FITTED), "rungs": rungs}


# ----------------------------------------------------------------------------------------------- beside a GPU


def known(gpu: str) -> str:
    """Return the model's GPU that a name of the driver's is, or nothing."""
    from tinymed.cuda.gpus import GPUS

    words = gpu.lower().replace("-", " ")
    return next((name for name in sorted(GPUS, key=len, reverse=True) if name.replace("-", " ") in words), "")


def name_of_gpu(backend: str) -> str:
    """Return what the driver calls the device; on `emulated` one that the model knows, since nothing is compared."""
    if backend == "emulated":
        return "h100"
    import cupy

    name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
    return str(name.decode() if isinstance(name, bytes) else name)


def rungs(quick: bool) -> Iterator[tuple[str, Any]]:
    """Yield (ladder's name, rung), one of each ladder in turn, so that a stopped run has some of all.

    The last rungs come first: those are the engine's, and the first ones take longest.
    """
    from tinymed.cuda.ladders import LADDERS

    chosen = dict(list(LADDERS.items())[:1]) if quick else LADDERS
    for turn in range(max(len(ladder.rungs) for ladder in chosen.values())):
        for name, ladder in chosen.items():
            if turn < len(ladder.rungs):
                yield name, ladder.rungs[-1 - turn]


@functools.cache
def problem_of(name: str, quick: bool) -> tuple[Any, ...]:
    """Return a ladder's problem on the host: drawing it takes longer than most of its rungs."""
    from tinymed.cuda.ladders import LADDERS

    ladder = LADDERS[name]
    return ladder.problem(np.random.default_rng(0), *(ladder.small if quick else ladder.large))


def timed(clock: Clock, name: str, rung: Any, quick: bool) -> float:
    """Return the seconds of one launch, the median of turns, on as many problems as the device's cache cannot hold."""
    from tinymed import devices, dispatch
    from tinymed.cuda.ladders import ready

    table = dispatch.table()
    problem = problem_of(name, quick)
    nbytes = sum(a.nbytes for a in problem if isinstance(a, np.ndarray))
    dispatcher, calls = getattr(table, rung.kernel), []
    for _ in range(clock.copies(nbytes)):
        moved = [devices.move(a, table.device) if isinstance(a, np.ndarray) else a for a in problem]
        calls.append(ready(dispatcher, rung.arguments(*moved)))

    def call() -> None:
        for args in calls:
            dispatcher(*args)

    clock.of(call, 1)  # warms up
    one = clock.of(call, 1)
    rounds, many = (1, 1) if quick or one > 0.1 else (7, max(1, min(100, round(0.005 / max(one, 1e-6)))))
    return median(clock.of(call, many) for _ in range(rounds)) / len(calls)


def compared(clock: Clock, gpu: str, quick: bool, rows: list[dict[str, Any]], keep: Callable[[], None]) -> None:
    """Add a row for each rung that there is none of; `keep` after each."""
    from tinymed.cuda.prediction import digest

    written = json.loads(PREDICTED.read_text())["rungs"] if PREDICTED.exists() else {}
    done = {(row["ladder"], row["rung"]) for row in rows if "us" in row}
    due = time.monotonic() + SECONDS
    for name, rung in rungs(quick):
        if (name, rung.label) in done:
            continue
        row: dict[str, Any] = {"ladder": name, "rung": rung.label}
        if time.monotonic() > due:
            row["left_out"] = "no time"
        else:
            try:
                row["us"] = 1e6 * timed(clock, name, rung, quick)
            except Exception as error:
                row["failed"] = f"{type(error).__name__}: {error}"[:300]
        one = written.get(name, {}).get(rung.label)
        if one is None or gpu not in one["us"]:
            row["unpredicted"] = "results/predicted.json has no such row"
        elif one["digest"] != digest(rung.source):
            row["unpredicted"] = "predicted of another text of csrc/"
        else:
            row["predicted_us"] = one["us"][gpu]
            if "us" in row:
                row["log_ratio"] = math.log(row["predicted_us"] / row["us"])
                row["cliff"] = abs(row["log_ratio"]) > CLIFF
        rows[:] = [*(r for r in rows if (r["ladder"], r["rung"]) != (name, rung.label)), rounded(row)]
        keep()
        print(json.dumps(rows[-1]), flush=True)
        clock.free(None)


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what the model is worth: over all rows, and over each ladder of three or more."""
    from tinymed.explain import rank_correlation

    both = [row for row in rows if "log_ratio" in row]

    def of(some: list[dict[str, Any]]) -> dict[str, Any]:
        ours, true = (np.array([row[key] for row in some]) for key in ("predicted_us", "us"))
        error = median(abs(row["log_ratio"]) for row in some)
        return rounded(
            {"rungs": len(some), "rank_correlation": rank_correlation(true, ours), "median_log_ratio": error}
        )

    if len(both) < 3:
        return {"rungs": len(both), "missing": "fewer than three rungs have both a time and a prediction"}
    names = dict.fromkeys(row["ladder"] for row in both)
    groups = {name: [row for row in both if row["ladder"] == name] for name in names}
    whole = of(both) | {"cliffs": [f"{r['ladder']}: {r['rung']}" for r in both if r["cliff"]], "wanted": WANTED}
    return whole | {"ladders": {name: of(some) for name, some in groups.items() if len(some) >= 3}}


def main() -> None:
    o = arguments(__doc__, ("--predict", {"action": "store_true", "help": "write results/predicted.json, no GPU"}))
    import tinymed

    if o.predict:
        tinymed.use_backend("emulated")
        save(PREDICTED, predict())
        return
    if o.backend == "emulated":
        tinymed.use_backend("emulated")
    result: dict[str, Any] = {"rows": []}
    if o.out and Path(o.out).exists():
        result["rows"] = json.loads(Path(o.out).read_text()).get("rows", [])
    device = name_of_gpu(o.backend)
    result |= {"device": device, "gpu": known(device)}
    compared(Clock(o.backend, o.quick), result["gpu"], o.quick, result["rows"], lambda: saved(o, result))
    result["summary"] = summary(result["rows"])
    saved(o, result)
    print(json.dumps({"summary": result["summary"]}), flush=True)
    if failed := [row["rung"] for row in result["rows"] if "failed" in row]:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
