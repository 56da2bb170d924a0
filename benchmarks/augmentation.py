"""What augmentation costs: milliseconds an image, by the compiled loops and by their definitions in NumPy.

    python benchmarks/augmentation.py [--size 64] [--rounds 15]

One change at a time, the mixture of `tinymed train --augment`, and all changes together; drawing included.  CPU time of
one thread, in turns: the median of the rounds, and the fastest, which neighbours on the machine disturb least; a round
is 64 images of three channels.  Written to
benchmarks/results/augmentation.json, with the limits that are kept: 0.05 ms for one change, 0.15 ms for the mixture.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

from tinymed.data import Augment, Dataset, Loader, Mixing, apply_geometry, apply_intensity, mix_batch
from tinymed.data.augment import draw, parameters
from tinymed.report.tables import table
from tinymed.tasks.base.augmentation import MIXTURE

COUNT = 64  # images of a round
ONE, MIXED = 0.05, 0.15  # milliseconds an image at 64 px
CHANGES: dict[str, dict[str, Any]] = {
    "horizontal_flip": {"horizontal_flip": True},
    "turns": {"turns": True},
    "rotate": {"rotate": 15},
    "shear": {"shear": 10},
    "shift": {"shift": 0.1},
    "scale": {"scale": (0.9, 1.1)},
    "crop": {"crop": 0.8},
    "elastic": {"elastic": 2},
    "brightness": {"brightness": 0.1},
    "contrast": {"contrast": 0.1},
    "gamma": {"gamma": 0.2},
    "saturation": {"saturation": 0.2},
    "hue": {"hue": 0.05},
    "pca_colour": {"pca_colour": 0.1},
    "stain": {"stain": 0.03},
    "noise": {"noise": 0.03},
    "cutout": {"cutout": 0.25},
    "mixture": MIXTURE,
}
EVERYTHING = {name: value for changes in CHANGES.values() for name, value in changes.items()}
Round = Callable[[int], None]  # the images of an epoch


def augmenting(images: np.ndarray, augment: Augment, reference: bool) -> Round:
    """Return what draws and changes every image, as a loader does."""

    def run(epoch: int) -> None:
        rows = draw(0, epoch, np.arange(COUNT))
        for index, image in enumerate(images):
            drawn = parameters(augment, 0, epoch, index, rows[index])
            apply_intensity(apply_geometry(image, drawn, reference=reference), drawn, reference=reference)

    return run


def mixing(images: np.ndarray, how: Mixing, reference: bool) -> Round:
    """Return what mixes the images of a batch."""
    labels = np.eye(2, dtype=np.float32)[np.arange(COUNT) % 2]

    def run(epoch: int) -> None:
        mix_batch(images, labels, how, draw(0, epoch, np.arange(COUNT)), reference=reference)

    return run


def loading(pixels: np.ndarray) -> Round:
    """Return an epoch of a loader with the mixture, its images being decoded already."""
    data, size = Dataset(pixels, np.arange(COUNT) % 2, ["a", "b"]), pixels.shape[1]
    loader = Loader(data, COUNT, size, augment=Augment(**MIXTURE), workers=0)

    def run(epoch: int) -> None:
        next(loader.epoch(epoch))

    return run


def milliseconds(rounds: dict[str, Round], count: int) -> dict[str, list[float]]:
    """Return the CPU times of each, an image, all taking turns; the first round compiles and is left out."""
    times: dict[str, list[float]] = {name: [] for name in rounds}
    for epoch in range(count + 1):
        for name, run in rounds.items():
            start = time.thread_time()
            run(epoch)
            if epoch:
                times[name].append(1e3 * (time.thread_time() - start) / COUNT)
    return times


def limit(name: str) -> float | None:
    """Return the milliseconds that a row may take, where that was asked."""
    return None if name in ("everything", "loader") else MIXED if name == "mixture" else ONE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, options.size, options.size, 3), np.uint8)
    images = pixels.astype(np.float32) / 255
    rounds: dict[str, Round] = {}
    for name, changes in (CHANGES | {"everything": EVERYTHING}).items():
        for kind in ("loops", "reference"):
            rounds[f"{name}/{kind}"] = augmenting(images, Augment(**changes), kind == "reference")
    for name, how in (("mixup", Mixing(mixup=0.2)), ("cutmix", Mixing(cutmix=1.0))):
        for kind in ("loops", "reference"):
            rounds[f"{name}/{kind}"] = mixing(images, how, kind == "reference")
    rounds["loader/loops"] = loading(pixels)
    found = milliseconds(rounds, options.rounds)
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(key.partition("/")[0] for key in found):
        loops = found[f"{name}/loops"]
        row: dict[str, Any] = {
            "change": name,
            "loops_ms": statistics.median(loops),
            "fastest_ms": min(loops),
            "limit_ms": limit(name),
        }
        if f"{name}/reference" in found:
            row["reference_ms"] = statistics.median(found[f"{name}/reference"])
        rows.append({key: value if isinstance(value, str | None) else round(value, 4) for key, value in row.items()})
    cells: list[tuple[str, ...]] = [("change", "loops, ms", "fastest", "NumPy, ms", "limit, ms")]
    for row in rows:
        shown = ("" if row.get(key) is None else f"{row[key]:.3f}" for key in ("reference_ms", "limit_ms"))
        cells.append((row["change"], f"{row['loops_ms']:.3f}", f"{row['fastest_ms']:.3f}", *shown))
    print(table(cells))
    if options.size == 64:
        content = {
            "machine": machine(),
            "size": options.size,
            "images": COUNT,
            "load": os.getloadavg()[0],
            "changes": rows,
        }
        save(Path(__file__).parent / "results" / "augmentation.json", content)


if __name__ == "__main__":
    main()
