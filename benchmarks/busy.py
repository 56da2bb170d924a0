"""Trainings on a machine that others use too: two at once, and one beside none, on each layer of threads.

    python benchmarks/busy.py [--rounds 3] [--out results/busy.json]

A training is a process that makes captured steps of the papers' CNN (3 x 64 x 64, batch 128; and inference of one
image).  Two of them at once should end no later than one after the other, and what a step costs in processor time is
compared with that of one thread: what is above it, threads waited away.  Layers: the package's own pool, Numba's OpenMP
(as it is, and told to wait passively) and Numba's workqueue.  All rounds are interleaved; the load of the machine
before each is in the result, since ratios of wall time taken on a busy machine mean little by themselves.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any

from peers import machine

ROOT = Path(__file__).parents[1]
LAYERS = {
    "own pool": {},
    "numba omp": {"NUMBA_THREADING_LAYER": "omp"},
    "numba omp, passive": {"NUMBA_THREADING_LAYER": "omp", "OMP_WAIT_POLICY": "passive"},
    "numba workqueue": {"NUMBA_THREADING_LAYER": "workqueue"},
    "one thread": {"NUMBA_NUM_THREADS": "1"},
}
WORK = {"train b128": ("train", 128, 8), "infer b1": ("infer", 1, 150)}


def child(mode: str, batch: int, steps: int) -> None:
    """Make so many steps when told to begin; print wall and processor seconds of a step."""
    sys.path.insert(0, str(ROOT))
    from models import make_captured

    task = {"mode": mode, "batch": batch, "channels": 3, "size": 64}
    step = make_captured(task)
    for _ in range(3):
        step()
    print("ready", flush=True)
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        for _ in range(steps):
            step()
        took = [(time.perf_counter() - wall) / steps, (time.process_time() - processor) / steps]
        print(json.dumps(took), flush=True)


class Training:
    """A process that makes steps when asked."""

    def __init__(self, layer: str, work: str):
        command = [sys.executable, __file__, "--child", *map(str, WORK[work])]
        environment = os.environ | {"NUMBA_NUM_THREADS": str(os.cpu_count()), "OPENBLAS_NUM_THREADS": "1"}
        pipes: Any = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
        self.process = subprocess.Popen(command, env=environment | LAYERS[layer], text=True, **pipes)
        self.line()

    def begin(self) -> None:
        """Let it make its steps."""
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def line(self) -> str:
        """Return the next line that it prints."""
        return self.process.stdout.readline()

    def end(self) -> list[float]:
        """Return wall and processor seconds of a step, once it has made them."""
        return json.loads(self.line())

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def measure(layer: str, work: str) -> dict[str, float]:
    """Return seconds of one training alone, of two one after the other, and of two at once."""
    pair = [Training(layer, work) for _ in range(2)]
    try:
        load = os.getloadavg()[0]
        started = time.perf_counter()
        alone = []
        for training in pair:
            training.begin()
            alone.append(training.end())
        serial = time.perf_counter() - started
        started = time.perf_counter()
        for training in pair:
            training.begin()
        together = [training.end() for training in pair]
        at_once = time.perf_counter() - started
    finally:
        for training in pair:
            training.close()
    return {
        "load": load,
        "wall": statistics.mean(wall for wall, _ in alone),
        "processor": statistics.mean(processor for _, processor in alone),
        "processor, two at once": statistics.mean(processor for _, processor in together),
        "two at once over one after the other": at_once / serial,
    }


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "busy.json")
    parser.add_argument("--child", nargs=3)
    options = parser.parse_args()
    if options.child:
        mode, batch, steps = options.child
        child(mode, int(batch), int(steps))
        return
    rows = []
    for work in WORK:
        taken: dict[str, list[dict[str, float]]] = {layer: [] for layer in LAYERS}
        for _ in range(options.rounds):
            for layer in LAYERS:
                taken[layer].append(measure(layer, work))
        for layer, rounds in taken.items():
            row = {name: round(statistics.median(r[name] for r in rounds), 5) for name in rounds[0]}
            rows.append({"work": work, "layer": layer, "rounds": len(rounds)} | row)
            print(json.dumps(rows[-1]), flush=True)
    result = {"date": date.today().isoformat(), "machine": machine(), "rows": rows}
    options.out.write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
