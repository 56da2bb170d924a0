"""What mixed precision does to trained networks: in bf16 and in float32, in pairs of seeds.

    python benchmarks/bf16_accuracy.py DATA RUNS [--only malaria] [--seeds 5]

DATA holds the sets `malaria` (the papers' CNN, test accuracy), `skin_lesion_isic` (U-Net, Dice) and `hippocampus_3d`
(3-D U-Net, Dice).  All but the precision, the order of images and the dropout words among it, is the same for both runs
of a seed.  What is there already is not trained again.  Writes benchmarks/results/bf16_accuracy.json: both figures of
each seed, and the mean of their differences with its 95 % interval (Student's t).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers import machine, save

RESULTS = Path(__file__).resolve().parent / "results"
PRECISIONS = ("tf32", "bf16")
TASKS: dict[str, dict[str, Any]] = {
    "malaria": {
        "measure": "accuracy",
        "options": "--recipe paper --model dcnn --option bn_momentum=0.1 --option padding=same --size 64 --batch 64 "
        "--flip --positive parasitized --steps 500",
    },
    "skin_lesion_isic": {
        "measure": "dice",
        "options": "--task segmentation --model unet_bn --option base=8 --size 128 --batch 8 --steps 300",
    },
    "hippocampus_3d": {
        "measure": "dice",
        "options": "--task segmentation --labels 0=background,1=anterior,2=posterior --patch 32,48,32 --model unet3d "
        "--option padding=same --option base=4 --lr 0.003 --batch 2 --epochs 3",
    },
}
GOAL = -0.01  # the 95 % interval of the difference lies above
STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
STUDENT += (2.120, 2.110, 2.101, 2.093)  # 97.5 % quantiles by degrees of freedom


def figure(task: str, precision: str, seed: int, data: Path, runs: Path) -> float:
    """Return the test figure of one run, which is trained if it is not there."""
    run = runs / f"{task}-{precision}-{seed}"
    if not (run / "metrics.json").exists():
        threads = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        words = ["train", "--data", data / task, *TASKS[task]["options"].split(), "--seed", seed, "--workers", 0]
        command = [sys.executable, "-m", "tinymed", *words, "--precision", precision, "--out", run]
        subprocess.run([*map(str, command)], check=True, stdout=subprocess.DEVNULL, env=os.environ | threads)
    return float(json.loads((run / "metrics.json").read_text())["test"][TASKS[task]["measure"]])


def interval(differences: list[float]) -> list[float]:
    """Return the 95 % interval of the mean of differences."""
    mean, half = statistics.mean(differences), 0.0
    if len(differences) > 1:
        half = STUDENT[len(differences) - 2] * statistics.stdev(differences) / len(differences) ** 0.5
    return [mean - half, mean + half]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder of the sets")
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", default="malaria", help="part of a set's name")
    parser.add_argument("--seeds", type=int, default=5)
    o = parser.parse_args()
    o.runs.mkdir(parents=True, exist_ok=True)
    path = RESULTS / "bf16_accuracy.json"
    kept = json.loads(path.read_text()) if path.exists() else {}
    for task in (name for name in TASKS if o.only in name):
        pairs: list[dict[str, float]] = []
        for seed in range(o.seeds):
            pairs.append({p: figure(task, p, seed, o.data, o.runs) for p in PRECISIONS})
            print(f"{task}, seed {seed}: {pairs[-1]}", flush=True)
            differences = [pair["bf16"] - pair["tf32"] for pair in pairs]
            low, high = interval(differences)
            kept[task] = {
                "measure": TASKS[task]["measure"],
                "options": TASKS[task]["options"],
                "pairs": pairs,
                "difference": statistics.mean(differences),
                "interval": [low, high],
                "goal": GOAL,
                "missed": low <= GOAL or len(pairs) < 5,
                "machine": machine(),
            }
            save(path, kept)
        print(task, {k: kept[task][k] for k in ("difference", "interval", "missed")})


if __name__ == "__main__":
    main()
