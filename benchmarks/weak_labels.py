"""A 3-D network from weak labels: of each thing one point and its size (after Anirudh et al. 2016), on hippocampus_3d.

    python benchmarks/weak_labels.py DATA RUNS            trains what RUNS does not hold yet, then compares
    python benchmarks/weak_labels.py DATA RUNS --collect  only compares

Nodules are not at hand; the anterior part of the hippocampus stands in.  Of every training and validation volume the
network is told where the voxel nearest the part's middle lies, and how many voxels the part has.  A region grown around
that point until it has that size is its mask (tinymed/postprocess/regions.py, compactness 1).  The same network learns
the true masks, with the same recipe; both are measured on the test part's true masks.  Writes
benchmarks/results/weak_labels.json: Dice of both and their difference, with intervals over volumes, and that of the
grown regions with the true masks of the training part.
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
from figures import RESULTS, figures, keep, mean_figure

from tinymed.data.volumes import read_values, read_volume, volume_bytes
from tinymed.postprocess.regions import grow_to_size

THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
FLOOR = 0.67  # a voxel-wise atlas of the training volumes
RECIPE = (
    "train unet3d --task segmentation --labels 0=background,1=anterior,2=background --patch 32,48,32 "
    "--option padding=same --option base=4 --lr 0.003 --batch 4 --epochs 2 --threads 1 --workers 0"
)


def point_and_size(mask: np.ndarray) -> tuple[tuple[int, ...], int]:
    """Return (the pixel of a mask that is nearest its middle, how many it has)."""
    places = np.argwhere(mask)
    nearest = places[np.square(places - places.mean(0)).sum(1).argmin()]
    return tuple(int(i) for i in nearest), len(places)


def write_weak(data: Path, folder: Path) -> None:
    """Write the list of the volumes with grown regions as masks, of the test part with the true ones."""
    (folder / "masks").mkdir(parents=True)
    rows = []
    with (data / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            volume, labels = read_volume(data / row["path"]), read_values(data / row["mask"])[0]
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / row["path"]).write_bytes((data / row["path"]).read_bytes())
            if row["split"] != "test":
                labels = grow_to_size(volume.values[..., 0], *point_and_size(labels == 1))
            mask = folder / "masks" / Path(row["path"]).name
            mask.write_bytes(volume_bytes(labels.astype(np.uint8), volume, compressed=True))
            rows.append((row["path"], f"masks/{mask.name}", row["split"]))
    with (folder / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "mask", "split"), *rows])


def train(data: Path, folder: Path) -> None:
    """Run the recipe on a set unless its result is there."""
    if (folder / "metrics.json").exists():
        return
    line = [sys.executable, "-m", "tinymed", *shlex.split(RECIPE), "--data", str(data), "--out", str(folder)]
    subprocess.run(line, env=os.environ | dict.fromkeys(THREADS, "1"), check=True)


def dice_of(folder: Path) -> np.ndarray:
    """Return Dice of the part in each test volume of a run, in the order of the volumes' names."""
    with (folder / "predictions.csv").open(newline="") as file:
        rows = {Path(row["path"]).name: float(row["dice anterior"]) for row in csv.DictReader(file)}
    return np.array([rows[name] for name in sorted(rows)])


def dice_of_grown(data: Path, weak: Path) -> np.ndarray:
    """Return Dice of the grown regions with the true masks of the training part."""
    found = []
    with (data / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            if row["split"] == "train":
                true = read_values(data / row["mask"])[0] == 1
                grown = read_values(weak / "masks" / Path(row["path"]).name)[0] == 1
                found.append(2 * (true & grown).sum() / (true.sum() + grown.sum()))
    return np.array(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true", help="train nothing")
    o = parser.parse_args()
    data, weak = o.data / "hippocampus_3d", o.runs / "weak"
    if not (weak / "splits.csv").exists():
        write_weak(data, weak)
    sets = {"weak": weak, "full": data}
    if not o.collect:
        for name, folder in sets.items():
            train(folder, o.runs / f"unet-{name}")
    values = {name: dice_of(o.runs / f"unet-{name}") for name in sets}
    content: dict[str, Any] = {"n": len(values["weak"]), "recipe": RECIPE, "floor": FLOOR}
    content["grown"] = mean_figure(dice_of_grown(data, weak))
    keep(RESULTS / "weak_labels.json", "hippocampus_3d", content | {"dice": figures(values, "weak")})


if __name__ == "__main__":
    main()
