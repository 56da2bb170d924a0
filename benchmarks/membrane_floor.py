"""Errors of Rand and of warping of a blur and a threshold, the floor of membranes, on em_membranes_isbi2012.

    python benchmarks/membrane_floor.py DATA/em_membranes_isbi2012

The blur and the threshold are those of best Dice of membranes on the training sections; cells are components of what is
brighter.  Beside it one object that fills the section.  Intervals resample the test sections.  Writes
benchmarks/results/membrane_floor.json.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from derived_volumes import blurred
from figures import RESULTS, keep, mean_figure
from PIL import Image

from tinymed.data.components import components
from tinymed.metrics.instances import aggregated_jaccard
from tinymed.metrics.membranes import rand_error, warping_error
from tinymed.metrics.segmentation import dice

BLURS, CUTS = (1.0, 2.0, 3.0, 4.0), np.linspace(0.3, 0.7, 21)


def read(folder: Path, part: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return [(section from 0 to 1, mask of cells)] of a part."""
    with (folder / "splits.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == part]
    return [
        (
            np.asarray(Image.open(folder / row["path"]), np.float64) / 255,
            np.asarray(Image.open(folder / row["mask"])) > 0,
        )
        for row in rows
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    o = parser.parse_args()
    train, test = read(o.folder, "train"), read(o.folder, "test")
    best = (-1.0, 0.0, 0.0)
    for blur in BLURS:
        smooth = [(blurred(image, blur), cells) for image, cells in train]
        for cut in CUTS:
            reached = float(np.mean([dice(~cells, image < cut) for image, cells in smooth]))
            best = max(best, (reached, blur, float(cut)))
    _, blur, cut = best
    ways: dict[str, Any] = {
        "blur and threshold": lambda image: components(blurred(image, blur) >= cut),
        "one object": lambda image: np.ones(image.shape, np.int32),
    }
    results: dict[str, Any] = {}
    for name, way in ways.items():
        pairs = [(components(cells), way(image)) for image, cells in test]
        results[name] = {
            measure.__name__: mean_figure(np.array([measure(t, p) for t, p in pairs]), digits=6)
            for measure in (rand_error, warping_error, aggregated_jaccard)
        }
    content = {"n": len(test), "blur": blur, "threshold": round(cut, 3), "train_dice": round(best[0], 4)}
    keep(RESULTS / "membrane_floor.json", "em_membranes_isbi2012", content | {"results": results})


if __name__ == "__main__":
    main()
