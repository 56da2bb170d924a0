"""What Winograd's F(4x4) does to a trained network: the papers' CNN on malaria with it and without, in pairs of seeds.

    python benchmarks/precision.py DATA RUNS [--seeds 5] [--steps 500]

`exact` forbids F(4x4) and `tf32`, the default, takes it where it pays; all else, the order of images and the dropout
words among it, is the same for both runs of a seed.  What is there already is not trained again.  Writes
benchmarks/results/precision.json: test accuracies, their means, and the mean difference with its range.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

from peers import machine, save

RESULTS = Path(__file__).resolve().parent / "results"
RECIPE = [
    "--recipe",
    "paper",
    "--model",
    "dcnn",
    "--option",
    "bn_momentum=0.1",
    "--option",
    "padding=same",
    "--size",
    "64",
    "--batch",
    "64",
    "--flip",
    "--workers",
    "0",
    "--positive",
    "parasitized",
]
GOAL = 0.01  # between the means


def accuracy(precision: str, seed: int, data: Path, runs: Path, steps: int) -> float:
    """Test accuracy of one run, which is trained if it is not there."""
    run = runs / f"{precision}-{steps}-{seed}"
    if not (run / "metrics.json").exists():
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        command = [sys.executable, "-m", "tinymed", "train", "--data", data, *RECIPE, "--steps", steps, "--seed", seed]
        subprocess.run(
            [*map(str, command), "--out", str(run)],
            check=True,
            stdout=subprocess.DEVNULL,
            env=os.environ | threads | {"TINYMED_PRECISION": precision},
        )
    return float(json.loads((run / "metrics.json").read_text())["test"]["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the malaria set")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=500)
    o = parser.parse_args()
    o.runs.mkdir(parents=True, exist_ok=True)
    pairs = []
    for seed in range(o.seeds):
        pairs.append({p: accuracy(p, seed, o.data, o.runs, o.steps) for p in ("exact", "tf32")})
        print(f"seed {seed}: exact {pairs[-1]['exact']:.4f}, with F(4x4) {pairs[-1]['tf32']:.4f}", flush=True)
    means = {p: statistics.mean(pair[p] for pair in pairs) for p in ("exact", "tf32")}
    differences = [pair["tf32"] - pair["exact"] for pair in pairs]
    found = {
        "recipe": [*RECIPE, "--steps", str(o.steps)],
        "pairs": pairs,
        "means": means,
        "differences": differences,
        "difference": means["tf32"] - means["exact"],
        "goal": GOAL,
        "machine": machine(),
    }
    save(RESULTS / "precision.json", found)
    print(
        f"means: exact {means['exact']:.4f}, with F(4x4) {means['tf32']:.4f}; difference {found['difference']:+.4f}, "
        f"of pairs {min(differences):+.4f} to {max(differences):+.4f}; goal: {GOAL} at most"
    )


if __name__ == "__main__":
    main()
