"""Attention beside PyTorch's, on one thread: medians of interleaved turns, forward alone and forward with backward.

    python benchmarks/attention.py [--turns 15] [--write RESULTS]

8 heads of 64 features, 196 and 1,024 tokens, float32.  A turn is process CPU time, which a busy neighbour does not
lengthen.  tinymed runs eagerly and captured, PyTorch by `scaled_dot_product_attention`.  The ratios, the processor and
the versions go to benchmarks/results/attention.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch

import tinymed
from tinymed import Tensor
from tinymed.nn import functional as F

RESULTS = Path(__file__).parent / "results" / "attention.json"
HEADS, SIZE, TOKENS = 8, 64, (196, 1024)
Calls = dict[str, Callable[[], Any]]


def processor() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def calls(tokens: int) -> dict[str, Calls]:
    """Return what is timed, by direction and engine."""
    rng = np.random.default_rng(tokens)
    arrays = [rng.normal(size=(1, HEADS, tokens, SIZE)).astype(np.float32) for _ in range(4)]
    ours, theirs = [Tensor(a, requires_grad=True) for a in arrays[:3]], [torch.tensor(a) for a in arrays]
    dy, their_dy = Tensor(arrays[3]), theirs.pop()
    for t in theirs:
        t.requires_grad_()

    def forward() -> Any:
        with tinymed.no_grad():
            return F.scaled_dot_product_attention(*ours)

    def both() -> Any:
        for a in ours:
            a.grad = None
        y = F.scaled_dot_product_attention(*ours)
        y.backward(dy)
        return y

    def their_forward() -> Any:
        with torch.no_grad():
            return torch.nn.functional.scaled_dot_product_attention(*theirs)

    def their_both() -> Any:
        for a in theirs:
            a.grad = None
        torch.nn.functional.scaled_dot_product_attention(*theirs).backward(their_dy)

    return {
        "forward": {"eager": forward, "captured": tinymed.capture(forward), "torch": their_forward},
        "forward and backward": {"eager": both, "captured": tinymed.capture(both), "torch": their_both},
    }


def medians(entries: Calls, turns: int) -> dict[str, float]:
    """Return milliseconds of each, in turns, after three turns that are not counted."""
    taken: dict[str, list[float]] = {name: [] for name in entries}
    for turn in range(turns + 3):
        for name, call in entries.items():
            start = time.process_time()
            call()
            if turn >= 3:
                taken[name].append(1e3 * (time.process_time() - start))
    return {name: statistics.median(values) for name, values in taken.items()}


def main() -> None:
    """Measure, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--write", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    rows = []
    for tokens in TOKENS:
        for direction, entries in calls(tokens).items():
            ms = medians(entries, options.turns)
            row = {"tokens": tokens, "direction": direction} | {f"{name}_ms": round(t, 3) for name, t in ms.items()}
            rows.append(row | {f"{n}_ratio": round(ms[n] / ms["torch"], 2) for n in ("eager", "captured")})
            print(rows[-1])
    about = {"processor": processor(), "threads": 1, "dtype": "float32", "turns": options.turns}
    about |= {"heads": HEADS, "size": SIZE, "tinymed": tinymed.__version__, "torch": torch.__version__}
    text = ",\n  ".join(json.dumps(row) for row in rows)
    options.write.write_text(f'{{"about": {json.dumps(about)},\n "rows": [\n  {text}]}}\n')


if __name__ == "__main__":
    main()
