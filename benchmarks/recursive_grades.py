"""The grade of diabetic retinopathy by features of `cnn_recursive` and support vector regression, on fundus_dr_idrid.

    python benchmarks/recursive_grades.py FOLDER [--out results/recursive_grades.json]

FOLDER holds splits.csv (path, dr_grade, split) and the pictures it names.  Filters are centres of patches of training
pictures, the trees are random, and the regression's C is the one of least error on the validation pictures.  The floor
is the median grade of training, which looks at no picture.  Measures are those of Gao et al.: mean absolute error, the
share whose rounded grade is right, and the shares within 0.5 and within 1; intervals resample test pictures.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import peers
from PIL import Image
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

import tinymed
from tinymed import models
from tinymed.unsupervised.kmeans import fit_filters

SIDE, BATCH, COSTS = 148, 16, (0.03, 0.1, 0.3, 1.0, 3.0)


def load(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return {split: (pictures (N, 3, side, side) of mean 0 and deviation 1, grades (N,))}."""
    found: dict[str, list[tuple[np.ndarray, float]]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            with Image.open(folder / row["path"]) as picture:
                picture.draft("RGB", (2 * SIDE, 2 * SIDE))
                pixels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float32)
            pixels = (pixels - pixels.mean()) / pixels.std()
            found.setdefault(row["split"], []).append((pixels.transpose(2, 0, 1), float(row["dr_grade"])))
    return {s: (np.stack([p for p, _ in rows]), np.array([g for _, g in rows])) for s, rows in found.items()}


def features(model: models.CNNRecursive, pictures: np.ndarray) -> np.ndarray:
    """Return the network's features of pictures."""
    with tinymed.no_grad():
        parts = [
            model.features(tinymed.tensor(np.ascontiguousarray(pictures[i : i + BATCH]))).numpy()
            for i in range(0, len(pictures), BATCH)
        ]
    return np.concatenate(parts)


def measures(predicted: np.ndarray, grades: np.ndarray) -> dict[str, Any]:
    """Return error and shares, each with its 95 % interval by the bootstrap over pictures."""
    error = np.abs(predicted - grades)
    cases = {
        "mae": error,
        "exact": np.rint(predicted) == grades,
        "within_half": error <= 0.5,
        "within_one": error <= 1,
    }
    drawn = np.random.default_rng(0).integers(0, len(grades), (5000, len(grades)))
    return {
        name: {
            "value": round(float(values.mean()), 4),
            "interval": [round(float(v), 4) for v in np.percentile(values[drawn].mean(1), [2.5, 97.5])],
        }
        for name, values in cases.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    sets = load(options.folder)
    tinymed.manual_seed(options.seed)
    model = models.CNNRecursive(num_classes=1).eval()
    fit_filters(model.conv, sets["train"][0], seed=options.seed)
    scaler = StandardScaler()
    seen = {"train": scaler.fit_transform(features(model, sets["train"][0]))}
    seen |= {name: scaler.transform(features(model, sets[name][0])) for name in ("val", "test")}
    fitted = {c: SVR(C=c, gamma="scale").fit(seen["train"], sets["train"][1]) for c in COSTS}
    losses = {c: float(np.abs(r.predict(seen["val"]) - sets["val"][1]).mean()) for c, r in fitted.items()}
    cost = min(losses, key=lambda c: losses[c])
    truth = sets["test"][1]
    predicted, floor = fitted[cost].predict(seen["test"]), np.full(len(truth), np.median(sets["train"][1]))
    gain = np.abs(floor - truth) - np.abs(predicted - truth)
    drawn = np.random.default_rng(0).integers(0, len(truth), (5000, len(truth)))
    report = {
        "machine": peers.machine(),
        "data": "fundus_dr_idrid, grades 0 to 4",
        "pictures": {name: len(grades) for name, (_, grades) in sets.items()},
        "features": int(seen["train"].shape[1]),
        "seed": options.seed,
        "cost": cost,
        "validation_mae": round(losses[cost], 4),
        "results": {"median": measures(floor, truth), "cnn_recursive": measures(predicted, truth)},
        "mae_below_median": round(float(gain.mean()), 4),
        "mae_below_median_interval": [round(float(v), 4) for v in np.percentile(gain[drawn].mean(1), [2.5, 97.5])],
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
