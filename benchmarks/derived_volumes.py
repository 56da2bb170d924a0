"""hippocampus_3d with further volumes beside each: stand-ins for modalities, and what a network said of it."""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinymed.data.volumes import read_volume, volume_bytes

BLUR = 2.0  # voxels


def blurred(values: np.ndarray, deviation: float) -> np.ndarray:
    """Return a volume after a Gaussian, axis by axis; the weights of what lies inside add up to 1."""
    for axis, side in enumerate(values.shape):
        at = np.arange(side)
        kernel = np.exp(-((at[:, None] - at) ** 2) / (2 * deviation**2))
        values = np.moveaxis(np.tensordot(kernel / kernel.sum(1, keepdims=True), values, (1, axis)), 0, axis)
    return values


def modalities(values: np.ndarray) -> list[np.ndarray]:
    """Return what stands in for further modalities: the volume blurred, and how steep it is."""
    smooth = blurred(values, BLUR)
    steep = np.sqrt(sum(np.square(slope) for slope in np.gradient(blurred(values, 0.7))))
    return [smooth, np.asarray(steep)]


def write(data: Path, folder: Path, derive: Callable[[Any], Sequence[np.ndarray]]) -> None:
    """Write each volume, what is derived from it, and a list of all; "a;b" are two modalities of a case.

    The first is named in the list as in the data set's own, so that runs on both can be compared case by case.
    """
    root, rows = data.absolute() / "hippocampus_3d", []
    (folder / "more").mkdir(parents=True, exist_ok=True)
    with (root / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            volume, files = read_volume(root / row["path"]), [row["path"]]
            (folder / row["path"]).parent.mkdir(parents=True, exist_ok=True)
            (folder / row["path"]).write_bytes((root / row["path"]).read_bytes())
            for number, values in enumerate(derive(volume.values)):
                files.append(f"more/{number}-{Path(row['path']).name}")
                content = volume_bytes(values.astype(np.float32), volume, compressed=True)
                (folder / files[-1]).write_bytes(content)
            rows.append({"path": ";".join(files), "mask": str(root / row["mask"]), "split": row["split"]})
    with (folder / "splits.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "mask", "split"])
        writer.writeheader()
        writer.writerows(rows)


def write_modalities(data: Path, folder: Path) -> None:
    """Write stand-ins for modalities, see `modalities`."""
    write(data, folder, lambda values: modalities(np.asarray(values[..., 0], np.float64)))


def write_context(data: Path, folder: Path, name: str = "vox") -> None:
    """Write the probabilities of the classes but the background that the named run beside the folder gives."""
    from tinymed.train.run import Run

    run = Run.open(folder.parent / name)
    predict = run.task.predictor(run.config, run.load_model())
    write(data, folder, lambda values: list(predict(values, "volume")[1:]))
