"""The time of recurrent layers beside PyTorch's: hidden 128, 64 steps, a batch of 32, float32, one thread.

    NUMBA_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/recurrent.py [--out results/recurrent.json]

Both run in one process with the same weights, in turn, 15 times; the figures are medians in milliseconds of processor
time, which other programs on the machine disturb less than the clock.  "inference" is without gradients, "forward" with
them, "step" forward and backward, "captured" a captured step of ours against the same eager step of PyTorch's.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peers
import torch

import tinymed
from tinymed import nn

STEPS, BATCH, HIDDEN, TIMES = 64, 32, 128, 15


def in_turn(functions: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Return the median time of each function in milliseconds, all run in turn."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        for _ in range(3):
            function()
    for _ in range(TIMES):
        for name, function in functions.items():
            start = time.process_time()
            function()
            times[name].append(1e3 * (time.process_time() - start))
    return {name: round(statistics.median(t), 3) for name, t in times.items()}


def layers(kind: str) -> tuple[Any, Any]:
    """Return (ours, theirs) with the same weights."""
    theirs = getattr(torch.nn, kind)(HIDDEN, HIDDEN)
    ours = getattr(nn, kind)(HIDDEN, HIDDEN)
    ours.load_state_dict({k: tinymed.tensor(v.numpy()) for k, v in theirs.state_dict().items()})
    return ours, theirs


def measure(kind: str) -> dict[str, Any]:
    """Return the medians of one kind of layer, and their ratios: ours over PyTorch's."""
    ours, theirs = layers(kind)
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=(STEPS, BATCH, HIDDEN)).astype(np.float32) for _ in range(2))
    a, da, b, db = tinymed.tensor(x), tinymed.tensor(dy), torch.tensor(x), torch.tensor(dy)

    def ours_inference() -> None:
        with tinymed.no_grad():
            ours(a)

    def theirs_inference() -> None:
        with torch.no_grad():
            theirs(b)

    def ours_step() -> None:
        ours.zero_grad()
        ours(a)[0].backward(da)

    def theirs_step() -> None:
        theirs.zero_grad()
        theirs(b)[0].backward(db)

    def step(x: Any, dy: Any) -> Any:
        ours.zero_grad()
        y = ours(x)[0]
        y.backward(dy)
        return y

    captured = tinymed.capture(step)
    pairs = {
        "inference": (ours_inference, theirs_inference),
        "forward": (lambda: ours(a), lambda: theirs(b)),
        "step": (ours_step, theirs_step),
        "captured": (lambda: captured(a, da), theirs_step),
    }
    times = in_turn({f"{name} {side}": f for name, pair in pairs.items() for side, f in zip("ab", pair, strict=True)})
    rows = {name: {"tinymed_ms": times[f"{name} a"], "pytorch_ms": times[f"{name} b"]} for name in pairs}
    return {n: row | {"ratio": round(row["tinymed_ms"] / row["pytorch_ms"], 3)} for n, row in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    report = {
        "machine": peers.machine(),
        "shape": {"steps": STEPS, "batch": BATCH, "input": HIDDEN, "hidden": HIDDEN},
        "threads": 1,
        "medians_of": TIMES,
        "layers": {kind: measure(kind) for kind in ("LSTM", "GRU", "RNN")},
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
