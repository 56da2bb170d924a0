"""A deep Boltzmann machine alone, on MNIST: what its mean field says of digits it has not seen.

    python benchmarks/deep_boltzmann.py DATA/mnist [--epochs 10]

The machine, 784-300-300, learns from IMAGES images without labels.  Measured on the test images: the error of the
pixels that the mean field gives back, beside the mean image; and the error of a linear support vector machine that
learns LABELS labels from the mean fields of both hidden layers, beside the same from a machine of random weights and
from the pixels.  Intervals resample test images.  Writes benchmarks/results/deep_boltzmann.json.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, figures, keep

from tinymed.baselines import fit_best
from tinymed.data.arrays import read_idx
from tinymed.unsupervised import DBM, DBMLearning, fit
from tinymed.unsupervised.units import sigmoid

SIZES, IMAGES, LABELS, VALIDATION = [784, 300, 300], 5000, 1000, 1000
RANDOM = 0.05  # deviation of the weights of a machine that learns nothing; at .01 its units hardly differ


def digits(folder: Path, part: str, count: int | None = None, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return images [n, 784] from 0 to 1 and labels of MNIST's files."""
    images, labels = (
        read_idx(folder / f"{part}-{kind}-ubyte.gz", axes)[start : count and start + count]
        for kind, axes in (("images-idx3", 3), ("labels-idx1", 1))
    )
    return images.reshape(len(images), -1).astype(np.float32) / 255, labels.astype(np.int64)


def given_back(machine: DBM, images: np.ndarray) -> np.ndarray:
    """Return the mean squared error of each image's pixels given its mean field."""
    means = machine.mean_field(images)
    errors: np.ndarray = ((images - sigmoid(machine.layer_input([images, *means], 0))) ** 2).mean(1)
    return errors


def features(machine: DBM, images: np.ndarray) -> np.ndarray:
    """Return the mean fields of both hidden layers, side by side."""
    return np.concatenate(machine.mean_field(images), axis=1).astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    images, labels = digits(o.folder, "train", IMAGES)
    val, val_labels = digits(o.folder, "train", VALIDATION, 55_000)
    test, test_labels = digits(o.folder, "t10k")
    machine, drawn = DBM(SIZES, seed=o.seed), DBM(SIZES, seed=o.seed, std=RANDOM)
    middle = images.mean(0).clip(0.01, 0.99)
    machine.biases[0][:] = np.log(middle / (1 - middle))
    errors = fit(DBMLearning(machine, lr=0.02, momentum=0.5), images, o.epochs, seed=o.seed)
    wrong: dict[str, np.ndarray] = {}
    ways: dict[str, Any] = {
        "machine": lambda x: features(machine, x),
        "random weights": lambda x: features(drawn, x),
        "pixels": lambda x: x.astype(np.float64),
    }
    for name, rows in ways.items():
        fitted = fit_best(
            "svm_linear",
            rows(images[:LABELS]),
            labels[:LABELS],
            10,
            val=(rows(val), val_labels),
            scale="overall",
        )
        wrong[name] = (fitted.scores(rows(test)).argmax(1) != test_labels).astype(float)
        print(name, wrong[name].mean(), flush=True)
    pixels = {"machine": given_back(machine, test), "mean image": ((test - images.mean(0)) ** 2).mean(1)}
    keep(
        RESULTS / "deep_boltzmann.json",
        "mnist",
        {
            "sizes": SIZES,
            "images": IMAGES,
            "labels": LABELS,
            "epochs": o.epochs,
            "seed": o.seed,
            "n": len(test),
            "training_error": [round(e, 5) for e in errors],
            "pixel_error": figures(pixels, "machine"),
            "classification_error": figures(wrong, "machine"),
        },
    )


if __name__ == "__main__":
    main()
