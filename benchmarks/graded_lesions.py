"""A lesion is found, cut out and graded, and two graders are averaged (after Yu et al. 2017), on skin_lesion_isic.

    python benchmarks/graded_lesions.py DATA RUNS            trains what RUNS does not hold yet, then measures
    python benchmarks/graded_lesions.py DATA RUNS --collect  only measures

`fcrn50` draws the lesion; the square about its largest part, with a margin, is cut out; `resnet20` learns to grade
what is cut out, melanoma or not; a linear support vector machine learns the same from that network's last features; the
network's probability and the machine's are averaged.  Beside them the same network on whole images.  The floor is the
share of the larger class, and AUC .5.  Writes benchmarks/results/graded_lesions.json.
"""

import argparse
import csv
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, keep
from PIL import Image

from tinymed import baselines
from tinymed.features import Sources
from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.paired_differences import paired_differences
from tinymed.train.run import Run

MARGIN = 0.15  # of the box's longer side, on each side
GRADE = (
    "train resnet20 --recipe paper --head softmax --positive melanoma --size 64 --batch 32 --epochs 15 --lr 1e-3 "
    "--schedule cosine --augment"
)
COMMANDS = {  # in the order in which they need each other
    "fcrn": (
        "train fcrn50 --task segmentation --size 96 --batch 16 --labels 0=skin,255=lesion --augment --epochs 8 "
        "--lr 0.002 --option width=0.25 --data DATA/skin_lesion_isic"
    ),
    "masks": "predict RUNS/fcrn DATA/skin_lesion_isic/images --postprocess largest,fill",
    "cut": f"{GRADE} --data RUNS/cut.csv",
    "whole": f"{GRADE} --data DATA/skin_lesion_isic/splits.csv --label-column label",
}
KEPT = ("n", "accuracy", "balanced_accuracy", "sensitivity", "specificity", "auc", "pr_auc")


def cut_out(data: Path, runs: Path) -> None:
    """Write the square about each lesion that was found, and the list of them; the whole image where none was."""
    root, rows = data / "skin_lesion_isic", []
    (runs / "crops").mkdir(parents=True, exist_ok=True)
    with (root / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = Path(row["path"]).stem
            with Image.open(root / row["path"]) as image, Image.open(runs / "masks" / f"{name}.png") as mask:
                image.convert("RGB").crop(square(np.asarray(mask) > 0)).save(runs / "crops" / f"{name}.png")
            rows.append({"path": f"crops/{name}.png", "label": row["label"], "split": row["split"]})
    with (runs / "cut.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"])
        writer.writeheader()
        writer.writerows(rows)


def square(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Return (left, top, right, bottom) of the square about a mask with its margin; of an empty one the whole image."""
    height, width = mask.shape
    if not mask.any():
        return 0, 0, width, height
    spans = [np.flatnonzero(mask.any(axis)) for axis in (0, 1)]
    half = (0.5 + MARGIN) * max(int(s[-1] - s[0]) + 1 for s in spans)
    column, row = (0.5 * (s[0] + s[-1] + 1) for s in spans)
    ends = max(column - half, 0), max(row - half, 0), min(column + half, width), min(row + half, height)
    left, top, right, bottom = (round(end) for end in ends)
    return left, top, right, bottom


def train(data: Path, runs: Path) -> None:
    """Run what RUNS does not hold yet."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    for name, command in COMMANDS.items():
        if name == "cut" and not (runs / "cut.csv").exists():
            cut_out(data, runs)
        done = runs / name if name == "masks" else runs / name / "metrics.json"
        if not done.exists():
            text = command.replace("DATA/", f"{data}/").replace("RUNS/", f"{runs}/")
            workers = [] if name == "masks" else ["--workers", "0"]
            line = [sys.executable, "-m", "tinymed", *shlex.split(text), *workers, "--out", str(runs / name)]
            subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)


def graded(folder: Path) -> tuple[dict[str, np.ndarray], np.ndarray, list[str]]:
    """Return ({"network", "machine", "average"}: scores [n, 2] of the test images, labels, names of the classes)."""
    run = Run.open(folder)
    parts, data = run.splits(), run.config.data
    rows = {
        part: Sources([str(folder)], unit_length=True).rows(images, data.size, data.channels, workers=0)
        for part, images in parts.items()
    }
    labels = {part: np.asarray(images.labels) for part, images in parts.items()}
    fitted = baselines.fit_best(
        "svm_linear", rows["train"], labels["train"], 2, val=(rows["val"], labels["val"]), scale="overall"
    )
    margin = fitted.scores(rows["test"])
    machine = 1 / (1 + np.exp(margin[:, :1] - margin[:, 1:]))
    network = run.measure(run.load_model(), parts["test"])[1]
    scores = {"network": network, "machine": np.concatenate([1 - machine, machine], 1)}
    return scores | {"average": (network + scores["machine"]) / 2}, labels["test"], list(data.classes)


def short(found: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """Return measures with their intervals, four digits each."""
    keys = [key for name in names for key in (name, f"{name}_interval") if key in found]
    return {key: np.round(found[key], 4).tolist() for key in keys}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    data, runs = o.data.absolute(), o.runs.absolute()
    if not o.collect:
        train(data, runs)
    ways, labels, classes = graded(runs / "cut")
    ways["network on whole images"] = graded(runs / "whole")[0]["network"]
    results: dict[str, Any] = {}
    for name, scores in ways.items():
        results[name] = short(evaluate_scores(scores, labels, classes, "melanoma"), KEPT)
        if name != "average":
            less = paired_differences(ways["average"], scores, labels)
            results[f"average less {name}"] = short(less, ("accuracy", "balanced_accuracy", "auc"))
    keep(RESULTS / "graded_lesions.json", "skin_lesion_isic", {"commands": COMMANDS, "results": results})


if __name__ == "__main__":
    main()
