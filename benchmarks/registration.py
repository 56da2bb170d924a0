"""Registration of hippocampus volumes, scored by labels that it never sees, beside SimpleITK.

    python benchmarks/registration.py DATA/hippocampus_3d [--pairs 20]

Volume k of the test split is fixed, the next one moving: a fixed set of pairs of different patients.  Each transform is
found on the images alone; the moving labels are then brought over by the nearest voxel and compared by Dice, the mean
of the two parts of the hippocampus.  Identity is the floor: the volumes as their headers lay them.  SimpleITK searches
an affine map by correlation with the same centres and number of resolutions (its own optimiser and sampling of all
voxels).  Intervals are of the mean over pairs, and of the mean difference to identity, by the bootstrap over pairs.
Writes benchmarks/results/registration.json.
"""

import argparse
import csv
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

from tinymed.data.volumes import read_values
from tinymed.metrics.intervals import bootstrap_values, percentile_interval
from tinymed.registration import Image, RegisterConfig, Rigid, read_image, register, warp

RESULT = Path(__file__).resolve().parent / "results" / "registration.json"
LABELS = (1, 2)  # anterior and posterior
RECIPES = {
    "rigid": RegisterConfig(transform="rigid"),
    "affine": RegisterConfig(transform="affine"),
    "affine, mi": RegisterConfig(transform="affine", metric="mi"),
    "dense, smoothness 3": RegisterConfig(transform="dense", smoothness=3),
    "dense": RegisterConfig(transform="dense"),
}


def pairs_of(folder: Path, count: int) -> list[tuple[dict[str, str], dict[str, str]]]:
    """Return (fixed, moving) rows of the test split: each volume with the next."""
    with (folder / "splits.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    return list(zip(rows, [*rows[1:], rows[0]], strict=True))[:count]


def dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the mean over labels of twice the overlap over the sum of both."""
    scores = [2 * ((one == k) & (other == k)).sum() / max(1, (one == k).sum() + (other == k).sum()) for k in LABELS]
    return float(np.mean(scores))


def ours(config: RegisterConfig | None) -> Callable[..., tuple[np.ndarray, float]]:
    """Return a function of (fixed, moving, moving labels) to (labels brought over, share of space that folds)."""

    def run(fixed: Image, moving: Image, labels: np.ndarray) -> tuple[np.ndarray, float]:
        if config is None:
            transform: Any = Rigid(fixed.space, moving.space, np.zeros(fixed.space.rank))
            folded = 0.0
        else:
            found = register(fixed, moving, config)
            transform, folded = found.transform, found.folded
        return warp(labels[..., None], transform, fixed.space.size, "nearest")[..., 0], folded

    return run


def simple_itk() -> Callable[..., tuple[np.ndarray, float]] | None:
    """Return the same by SimpleITK's affine registration; None where it is not installed."""
    try:
        import SimpleITK as sitk  # noqa: N813
    except ImportError:
        return None
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)

    def image(values: np.ndarray, like: Image) -> Any:
        result = sitk.GetImageFromArray(np.ascontiguousarray(values.T))
        result.SetSpacing([float(s) for s in like.space.spacing])
        result.SetOrigin([float(v) for v in like.space.affine[:-1, -1]])
        return result

    def run(fixed: Image, moving: Image, labels: np.ndarray) -> tuple[np.ndarray, float]:
        still, other = image(fixed.grey, fixed), image(moving.grey, moving)
        start = sitk.CenteredTransformInitializer(
            still, other, sitk.AffineTransform(3), sitk.CenteredTransformInitializerFilter.GEOMETRY
        )
        method = sitk.ImageRegistrationMethod()
        method.SetMetricAsCorrelation()
        method.SetInterpolator(sitk.sitkLinear)
        method.SetOptimizerAsGradientDescentLineSearch(1.0, 100, 1e-6, 10)
        method.SetOptimizerScalesFromPhysicalShift()
        method.SetShrinkFactorsPerLevel([4, 2, 1])
        method.SetSmoothingSigmasPerLevel([2, 1, 0])
        method.SetInitialTransform(start, inPlace=False)
        found = method.Execute(still, other)
        moved = sitk.Resample(image(labels.astype(np.float32), moving), still, found, sitk.sitkNearestNeighbor)
        return sitk.GetArrayFromImage(moved).T, 0.0

    return run


def interval(values: list[float]) -> list[float]:
    """Return the mean and the ends of its 95 % bootstrap interval over pairs."""
    a = np.asarray(values)
    drawn = bootstrap_values({"mean": lambda index: a[index].mean(1)}, len(a))["mean"]
    low, high = percentile_interval("mean", drawn, warn=lambda _: None)  # identity's gain is 0 in every resample
    return [round(float(v), 4) for v in (a.mean(), low, high)]


def measure(folder: Path, count: int) -> dict[str, Any]:
    """Return the table: a row for each method."""
    methods: dict[str, Any] = {"identity": ours(None)} | {name: ours(config) for name, config in RECIPES.items()}
    if (oracle := simple_itk()) is not None:
        methods["SimpleITK affine"] = oracle
    scores: dict[str, list[tuple[float, float, float]]] = {name: [] for name in methods}
    for fixed_row, moving_row in pairs_of(folder, count):
        fixed, moving = (read_image(folder / row["path"]) for row in (fixed_row, moving_row))
        truth, labels = (read_values(folder / row["mask"])[0] for row in (fixed_row, moving_row))
        for name, method in methods.items():
            start = time.process_time()
            moved, folded = method(fixed, moving, labels)
            scores[name].append((dice(truth, moved), folded, time.process_time() - start))
        print(fixed_row["path"], {name: round(rows[-1][0], 3) for name, rows in scores.items()}, flush=True)
    floor = [row[0] for row in scores["identity"]]
    return {
        name: {
            "dice": interval([row[0] for row in rows]),
            "gain": interval([row[0] - before for row, before in zip(rows, floor, strict=True)]),
            "folded": float(f"{np.mean([row[1] for row in rows]):.2g}"),
            "cpu_s": round(float(np.median([row[2] for row in rows])), 2),
        }
        for name, rows in scores.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--out", type=Path, default=RESULT)
    given = parser.parse_args()
    rows = measure(given.data, given.pairs)
    save(
        given.out,
        machine()
        | {"what": "mean Dice of two labels [mean, low, high], gain over identity, share that folds, CPU seconds"}
        | {"pairs": given.pairs, "rows": [{"method": name} | row for name, row in rows.items()]},
    )


if __name__ == "__main__":
    main()
