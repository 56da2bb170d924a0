"""A U-Net of slices beside one of volumes (after Baumgartner et al. 2017), on hippocampus_3d.

    python benchmarks/slices_and_volumes.py DATA RUNS            trains what RUNS does not hold yet, then compares
    python benchmarks/slices_and_volumes.py DATA RUNS --list     prints the commands, and trains nothing
    python benchmarks/slices_and_volumes.py DATA RUNS --collect  only compares

Both see the same volumes in the same parts as often, in patches of the same sides, with one recipe: the first as
pictures, the slices from foot to head, each volume normalised before it is cut.  The slices' answers are put together
again, and Dice is that of whole volumes in both.  Writes benchmarks/results/slices_and_volumes.json: Dice of each, and
the paired difference, with intervals over volumes.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save
from PIL import Image

RESULT = Path(__file__).resolve().parent / "results" / "slices_and_volumes.json"
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
CLASSES = ("anterior", "posterior")
FLOORS = {"anterior": 0.67, "posterior": 0.52}  # a voxel-wise atlas of the training volumes
RECIPE = (
    "--task segmentation --labels 0=background,1=anterior,2=posterior --rotate 10 --contrast 0.1 --lr 0.003 --epochs 3"
)
RUNS = {  # name -> options; 32 slices of 32 x 48 are a patch of 32 x 48 x 32
    "slices": f"train unet_bn {RECIPE} --data RUNS/cut --patch 32,48 --option base=8 --option depth=3 --batch 64",
    "volumes": (
        f"train unet3d {RECIPE} --data DATA/hippocampus_3d --patch 32,48,32 --option padding=same --option base=4 "
        "--batch 2"
    ),
}
MIDDLE, SPREAD = 100.0, 30.0  # grey of a voxel at its volume's mean, and of one deviation


def cut(data: Path, folder: Path) -> None:
    """Write every slice of the volumes and of their labels as a PNG, and the list of both."""
    from tinymed.data.volumes import read_values, read_volume

    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = []
    with (data / "hippocampus_3d" / "splits.csv").open(newline="") as file:
        volumes = list(csv.DictReader(file))
    for row in volumes:
        values = read_volume(data / "hippocampus_3d" / row["path"]).values[..., 0]
        labels, _ = read_values(data / "hippocampus_3d" / row["mask"])
        grey = np.clip(MIDDLE + SPREAD * (values - values.mean()) / values.std(), 0, 255).astype(np.uint8)
        name = Path(row["path"]).name.split(".")[0]
        for z in range(grey.shape[2]):
            image, mask = f"images/{name}-{z:03d}.png", f"masks/{name}-{z:03d}.png"
            Image.fromarray(grey[..., z]).save(folder / image)
            Image.fromarray(labels[..., z].astype(np.uint8)).save(folder / mask)
            rows.append((image, mask, row["split"], name))
    with (folder / "splits.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "mask", "split", "patient"])
        writer.writerows(rows)


def command(name: str, data: Path, runs: Path) -> list[str]:
    """Return the arguments of `tinymed` of a run."""
    words = [word.replace("DATA/", f"{data}/").replace("RUNS/", f"{runs}/") for word in shlex.split(RUNS[name])]
    return [*words, "--threads", "1", "--workers", "0", "--out", str(runs / f"unet-{name}")]


def train(name: str, data: Path, runs: Path) -> None:
    """Run a command unless its result is there."""
    if not (runs / "cut" / "splits.csv").exists():
        cut(data, runs / "cut")
    if not (runs / f"unet-{name}" / "metrics.json").exists():
        line = [sys.executable, "-m", "tinymed", *command(name, data, runs)]
        subprocess.run(line, env=os.environ | dict.fromkeys(THREADS, "1"), check=True, stdout=subprocess.DEVNULL)


def dice_of_volumes(folder: Path) -> dict[str, np.ndarray]:
    """Return Dice of every test volume and class of a run: volume -> one number a class; slices are put together."""
    from tinymed.tasks.inference.case_scores import scored_cases
    from tinymed.train.run import Run

    run = Run.open(folder)
    counts: dict[str, np.ndarray] = {}
    for case in scored_cases(run.task.predictor(run.config, run.load_model()), run.images()):
        volume = Path(case.name).name.split(".")[0].rsplit("-", 1)[0]
        found = case.scores.argmax(axis=0)
        both = [
            (((found == k) & (case.mask == k)).sum(), (found == k).sum() + (case.mask == k).sum())
            for k in range(1, 1 + len(CLASSES))
        ]
        counts[volume] = counts.get(volume, 0) + np.array(both, float)
    return {volume: 2 * count[:, 0] / count[:, 1] for volume, count in counts.items()}


def compare(slices: dict[str, np.ndarray], volumes: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Return a row a class: Dice of both, and slices' minus volumes', with intervals over volumes."""
    from tinymed.metrics.mask_cases import paired_difference

    if slices.keys() != volumes.keys():
        raise ValueError(f"slices of {len(slices)} volumes, {len(volumes)} volumes: not the same ones")
    rows = []
    for k, name in enumerate(CLASSES):
        columns = [[float(dice[volume][k]) for volume in sorted(dice)] for dice in (slices, volumes)]
        row: dict[str, Any] = {"class": name, "n": len(slices), "floor": FLOORS[name]}
        for label, column in zip(("slices", "volumes"), columns, strict=True):
            alone = paired_difference([(value, 0.0) for value in column])
            row |= {label: alone["difference"], f"{label}_interval": alone["difference_interval"]}
        rows.append(row | paired_difference(list(zip(*columns, strict=True))))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if o.list:
        print("\n".join(shlex.join(["tinymed", *command(name, o.data, o.runs)]) for name in RUNS))
        return
    for name in [] if o.collect else RUNS:
        train(name, o.data, o.runs)
    slices, volumes = (dice_of_volumes(o.runs / f"unet-{name}") for name in RUNS)
    commands = {name: f"tinymed {options}" for name, options in RUNS.items()}
    save(RESULT, {"machine": machine(), "commands": commands, "rows": compare(slices, volumes)})
    print(json.dumps(compare(slices, volumes), indent=1))


if __name__ == "__main__":
    main()
