"""The steady recipe, `tinymed train --data DIR` with no further option, on five sets, beside trivial methods.

    python benchmarks/steady.py DATA RUNS           trains what RUNS does not hold yet; val alone is measured
    python benchmarks/steady.py DATA RUNS --look    then looks at each test part, once, and notes that it has

DATA holds one folder a data set, each with its splits.csv.  A run is trained on a list without the test part, so that
nothing of it is seen before the look.  The floors are fitted to the same training images on 32 x 32 pixels: logistic
regression and a forest of 200 trees.  benchmarks/results/looks.csv has every look that was taken, this one and others.
"""

import argparse
import csv
import datetime
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save
from PIL import Image
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tinymed.metrics.calibration import apply_temperature, describe_calibration, fit_temperature

RESULTS = Path(__file__).resolve().parent / "results"
LOOKS = RESULTS / "looks.csv"
SIDE, RESAMPLES, SEED = 32, 2000, 0
# name: (the positive class, the measure, the floor that stands in the data's README)
SETS = {
    "malaria": ("parasitized", "accuracy", 0.685),
    "brain_tumor_mri": ("glioma", "accuracy", 0.802),
    "chest_xray": ("pneumonia", "balanced accuracy", 0.772),
    "breast_histology_idc": ("idc", "accuracy", 0.809),
    "fundus_dr_idrid": ("grade3", "quadratic kappa", 0.22),
}
Rows = list[dict[str, str]]
Score = Callable[[np.ndarray, np.ndarray], float]


def read(folder: Path) -> Rows:
    """Return the rows of a set's splits.csv."""
    with (folder / "splits.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def without_test(folder: Path, runs: Path) -> Path:
    """Write the list of a set without its test part."""
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{folder.name}.csv"
    rows = [row for row in read(folder) if row["split"] != "test"]
    columns = [name for name in ("path", "label", "split", "patient") if name in rows[0]]
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([[folder / row["path"], *(row[name] for name in columns[1:])] for row in rows])
    return path


def tinymed(*arguments: Any) -> str:
    """Run a command on one thread and return what it prints."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    command = [sys.executable, "-m", "tinymed", *map(str, arguments)]
    return subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout


# ------------------------------------------------------------------------------------------------- measures


def accuracy(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the share of right answers."""
    return float((truth == found).mean())


def balanced_accuracy(truth: np.ndarray, found: np.ndarray) -> float:
    """Return the mean over the classes of the share that is found."""
    return float(np.mean([(found[truth == k] == k).mean() for k in np.unique(truth)]))


def quadratic_kappa(truth: np.ndarray, found: np.ndarray) -> float:
    """Return Cohen's kappa, a disagreement by d grades counting d squared."""
    k = int(max(truth.max(), found.max())) + 1
    counts = np.zeros((k, k))
    np.add.at(counts, (truth, found), 1)
    weights = (np.arange(k)[:, None] - np.arange(k)) ** 2
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / len(truth)
    return float(1 - (weights * counts).sum() / (weights * expected).sum())


SCORES: dict[str, Score] = {
    "accuracy": accuracy,
    "balanced accuracy": balanced_accuracy,
    "quadratic kappa": quadratic_kappa,
}


def resamples(groups: np.ndarray) -> list[np.ndarray]:
    """Return the images of each bootstrap sample of groups: patients, or images where nobody is named."""
    rng = np.random.default_rng(SEED)
    members = [np.flatnonzero(groups == name) for name in np.unique(groups)]
    return [np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))]) for _ in range(RESAMPLES)]


def interval(values: list[float]) -> list[float]:
    """Return the 95 % percentile interval."""
    low, high = np.nanquantile(values, [0.025, 0.975])
    return [round(float(low), 4), round(float(high), 4)]


# -------------------------------------------------------------------------------------------------- floors


def pixels(folder: Path, rows: Rows) -> np.ndarray:
    """Return images of 32 x 32 pixels as rows, 0 to 1."""
    images = []
    for row in rows:
        with Image.open(folder / row["path"]) as image:
            images.append(np.asarray(image.convert("RGB").resize((SIDE, SIDE)), np.float32).reshape(-1) / 255)
    return np.stack(images)


def floors(folder: Path, classes: list[str]) -> dict[str, np.ndarray]:
    """Return what each trivial method answers on the test part."""
    rows = read(folder)
    parts = {part: [row for row in rows if row["split"] == part] for part in ("train", "test")}
    x = {part: pixels(folder, found) for part, found in parts.items()}
    y = np.array([classes.index(row["label"]) for row in parts["train"]])
    return floor_methods(x["train"], y, x["test"])


def floor_methods(x: np.ndarray, y: np.ndarray, asked: np.ndarray) -> dict[str, np.ndarray]:
    """Return the answers of trivial methods, fitted to images (n, pixels) and their classes, for others."""
    forest = RandomForestClassifier(200, random_state=SEED, n_jobs=1)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
    return {
        "majority": np.full(len(asked), np.bincount(y).argmax()),
        "forest": forest.fit(x, y).predict(asked),
        "logistic regression": logistic.fit(x, y).predict(asked),
    }


# ---------------------------------------------------------------------------------------------------- runs


def train(data: Path, runs: Path) -> None:
    """Train what is not there yet."""
    for name, (positive, _, _) in SETS.items():
        if not (runs / name / "metrics.json").exists():
            given = ["--data", without_test(data / name, runs), "--positive", positive, "--workers", 1]
            tinymed("train", *given, "--out", runs / name)


def look(data: Path, runs: Path, name: str) -> dict[str, Any]:
    """Measure a run on the test part of its set, beside the floors, and note that it was looked at."""
    positive, measure, published = SETS[name]
    path = runs / f"{name}-test.csv"
    if not path.exists():
        tinymed("evaluate", runs / name, "--data", data / name, "--split", "test", "--json", "--predictions", path)
        note(name, recipe_text(runs / name))
    classes = json.loads((runs / name / "config.json").read_text())["data"]["classes"]
    with path.open(newline="") as file:
        answers = list(csv.DictReader(file))
    rows = {str(data.absolute() / name / row["path"]): row for row in read(data / name) if row["split"] == "test"}
    order = [row["path"] for row in read(data / name) if row["split"] == "test"]
    place = {Path(row["path"]).name + row["true"]: row for row in answers}
    listed = [place[Path(each).name + rows[str(data.absolute() / name / each)]["label"]] for each in order]
    truth, found = (np.array([classes.index(row[key]) for row in listed]) for key in ("true", "predicted"))
    groups = np.array([rows[str(data.absolute() / name / each)].get("patient") or each for each in order])
    told = {"readme floor": published, "calibration": calibration(runs / name, path, classes, positive)}
    return compared(measure, truth, found, groups, floors(data / name, classes)) | told


def calibration(run: Path, answers: Path, classes: list[str], positive: str) -> dict[str, float]:
    """Return the error of the positive class's probabilities on a test part, before and after a temperature of val."""
    chosen = classes.index(positive)
    val, test = (probabilities(path, classes) for path in (run / "predictions.csv", answers))
    temperature = fit_temperature(*val)
    found = {"temperature": round(temperature, 3)}
    for name, scores in (("before", test[0]), ("after", apply_temperature(test[0], temperature))):
        told = describe_calibration(test[1] == chosen, scores[:, chosen])
        found |= {f"ece {name}": round(told["ece"], 4), f"brier {name}": round(told["brier"]["brier"], 4)}
    return found


def probabilities(path: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return (scores of each class, class numbers) of a list of answers."""
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    scores = np.array([[float(row[f"score {name}"]) for name in classes] for row in rows])
    return scores, np.array([classes.index(row["true"]) for row in rows])


def recipe_text(run: Path) -> str:
    """Return which steady recipe a run was trained by: the day, the network and what is told of it in its folder."""
    config = json.loads((run / "config.json").read_text())
    day = datetime.date.fromtimestamp((run / "metrics.json").stat().st_mtime).isoformat()
    mirrors = "answers averaged over mirrors" if config["average_flips"] else "answers of the image alone"
    network = f"{config['model']} at {config['data']['size']} pixels, {config['epochs']} epochs of {config['batch']}"
    return f"the steady recipe of {day}: {network}, {mirrors}"


def compared(
    measure: str, truth: np.ndarray, found: np.ndarray, groups: np.ndarray, trivial: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Return a network's score and those of trivial methods, with the paired difference to the best of these."""
    score = SCORES[measure]
    scores = {name: score(truth, answers) for name, answers in trivial.items()}
    best = max(scores, key=lambda name: scores[name])
    drawn = resamples(groups)
    own = [score(truth[rows], found[rows]) for rows in drawn]
    other = [score(truth[rows], trivial[best][rows]) for rows in drawn]
    return {
        "measure": measure,
        "n": len(truth),
        "patients": len(np.unique(groups)) if len(np.unique(groups)) < len(truth) else None,
        "value": round(score(truth, found), 4),
        "interval": interval(own),
        "accuracy": round(accuracy(truth, found), 4),
        "floors": {name: round(value, 4) for name, value in scores.items()},
        "best floor": best,
        "difference": round(score(truth, found) - scores[best], 4),
        "difference_interval": interval([a - b for a, b in zip(own, other, strict=True)]),
    }


def note(name: str, why: str) -> None:
    """Add a look at a test part to the log of looks."""
    fresh = not LOOKS.exists()
    with LOOKS.open("a", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        if fresh:
            writer.writerow(["date", "set", "what was looked at", "chosen by it"])
        writer.writerow([datetime.date.today().isoformat(), name, why, "nothing"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--look", action="store_true")
    o = parser.parse_args()
    train(o.data, o.runs)
    result: dict[str, Any] = {}
    for name in SETS:
        metrics = json.loads((o.runs / name / "metrics.json").read_text())
        kept = {key: metrics["val"][key] for key in ("n", "accuracy", "accuracy_interval", "balanced_accuracy", "auc")}
        result[name] = {"epochs": metrics["epochs"], "seconds": metrics["training_seconds"], "val": kept}
        if o.look:
            result[name]["test"] = look(o.data, o.runs, name)
        print(name, json.dumps(result[name]))
    if o.look:
        save(RESULTS / "steady.json", {"machine": machine(), "rows": result})


if __name__ == "__main__":
    main()
