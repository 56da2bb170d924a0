"""128 bits an image instead of numbers (after PiCoDes, Bergamo et al. 2011), on brain_tumor_mri.

    python benchmarks/codes.py DATA RUNS

The numbers are those of a network that learnt chest X-rays (trained where RUNS does not hold it) and oriented
gradients, side by side.  The bits are learnt from the training images' classes, as `tinymed features --codes` learns
them.  Measured on the test images: accuracy of a linear support vector machine, and mean average precision of a search
among the others, by the cosine or by the bits that differ.  The floor is bits of hyper-planes that are drawn and learn
nothing.  Writes benchmarks/results/codes.json.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, figures, keep

from tinymed import baselines
from tinymed.features import Sources
from tinymed.features.codes import BinaryCodes

SIZE, BITS = 64, 128
COMMAND = (
    "train resnet20 --recipe paper --head softmax --positive pneumonia --size 64 --grey --batch 32 --epochs 3 "
    "--lr 1e-3 --schedule cosine --workers 0"
)


def train(data: Path, runs: Path) -> Path:
    """Return the run of chest X-rays, which is trained unless it is there."""
    folder = runs / "chest-resnet20"
    if not (folder / "metrics.json").exists():
        environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
        words = [*COMMAND.split(), "--data", str(data / "chest_xray"), "--out", str(folder)]
        subprocess.run(
            [sys.executable, "-m", "tinymed", *words], env=environment, check=True, stdout=subprocess.DEVNULL
        )
    return folder


def average_precisions(likeness: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the average precision of each image's search among the others; equal ones keep their order."""
    found = []
    for i, row in enumerate(likeness):
        order = np.argsort(-np.delete(row, i), kind="stable")
        right = np.delete(labels, i)[order] == labels[i]
        found.append((right.cumsum()[right] / (np.flatnonzero(right) + 1)).mean())
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    from tinymed.data import open_dataset

    folder = train(o.data.absolute(), o.runs.absolute())
    parts = open_dataset(o.data / "brain_tumor_mri")
    source = Sources([f"{folder}+hog"], unit_length=True)
    rows = {name: source.rows(part, SIZE, 1, workers=0).astype(np.float64) for name, part in parts.items()}
    labels = {name: np.asarray(part.labels) for name, part in parts.items()}
    classes = int(labels["train"].max()) + 1
    learnt, drawn = (
        BinaryCodes(BITS, turns=turns, seed=o.seed).fit(rows["train"], labels["train"], classes) for turns in (3, 0)
    )
    ways: dict[str, dict[str, np.ndarray]] = {
        "128 bits": {name: learnt.encode(x).astype(np.float64) for name, x in rows.items()},
        "numbers": rows,
        "128 random bits": {name: drawn.encode(x).astype(np.float64) for name, x in rows.items()},
    }
    right: dict[str, np.ndarray] = {}
    precise: dict[str, np.ndarray] = {}
    for name, x in ways.items():
        fitted = baselines.fit_best(
            "svm_linear", x["train"], labels["train"], classes, val=(x["val"], labels["val"]), scale="overall"
        )
        right[name] = (fitted.scores(x["test"]).argmax(1) == labels["test"]).astype(float)
        test = x["test"] - 0.5 if "bits" in name else x["test"] - rows["train"].mean(0)
        test = test / np.linalg.norm(test, axis=1, keepdims=True)  # of bits, the cosine falls with those that differ
        precise[name] = average_precisions(test @ test.T, labels["test"])
    content: dict[str, Any] = {"network": f"tinymed {COMMAND} --data DATA/chest_xray", "seed": o.seed}
    content |= {"n": len(labels["test"]), "columns": rows["train"].shape[1], "energies": np.round(learnt.energies, 2)}
    content["energies"] = content["energies"].tolist()
    content |= {"accuracy": figures(right, "128 bits"), "average_precision": figures(precise, "128 bits")}
    keep(RESULTS / "codes.json", "brain_tumor_mri", content)


if __name__ == "__main__":
    main()
