"""Five folds of five sets: the steady recipe and the papers', beside trivial methods fitted to the same folds.

    python benchmarks/cross_validation.py DATA RUNS [SET ...] [--recipes steady,paper]

Each recipe is `tinymed cv LIST --positive CLASS [--recipe paper]` and nothing else, on images outside the test part,
which is left alone.  Folds keep patients together where the set names them; brain_tumor_mri names none and has slices
that are neighbours in one head, so its list gets a column of such groups; fundus is divided by image.  The floors
(most frequent class, logistic regression and a forest of 200 trees on 32 x 32 pixels) are fitted to each fold's other
images, those for validation among them, and answer for the fold.  All answers are pooled; intervals are of 2,000
bootstrap samples of the groups.  Calibration is of the folds' networks with and without the temperature that each fits
to its own validation part.  Written to benchmarks/results/cross_validation.json as each set ends; repeated, the command
goes on.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from peers import into_results, machine, save
from PIL import Image
from steady import RESULTS, SETS, SIDE, Rows, compared, floor_methods, pixels, read, tinymed

from tinymed.metrics.calibration import apply_temperature, calibration_error, fit_temperature

RESULT = RESULTS / "cross_validation.json"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "cross-validation.md"
GROUPS = {"brain_tumor_mri": "near_duplicate"}  # column that the list gets; elsewhere the set's own patients, if any
# Mean difference of two thumbnails, of their range, below which slices are one head's.  Chosen by looking at pairs of
# neighbours: from .03 to .04 nine in ten are slices of one head, side by side; from .043 on most are of two.
NEAR = 0.04
RECIPES: dict[str, list[str]] = {"steady": [], "paper": ["--recipe", "paper"]}


def near_duplicates(folder: Path, rows: Rows) -> np.ndarray:
    """Return a group number for each image: thumbnails that are nearly equal, and chains of such pairs, are one."""
    thumbnails = []
    for row in rows:
        with Image.open(folder / row["path"]) as image:
            small = np.asarray(image.convert("L").resize((SIDE, SIDE)), np.float32).reshape(-1)
        thumbnails.append(small / max(float(np.ptp(small)), 1.0))
    x = np.stack(thumbnails)
    group = np.arange(len(x))
    for i in range(len(x) - 1):
        near = i + 1 + np.flatnonzero(np.abs(x[i + 1 :] - x[i]).mean(1) < NEAR)
        for old in np.unique(group[near]):
            group[group == old] = group[i]
    return group


def listed(folder: Path, runs: Path) -> tuple[Path, Rows, str | None]:
    """Write the list of a set without its test part; return it with its rows and the column of groups."""
    name = folder.name
    rows = [row | {"path": str(folder / row["path"])} for row in read(folder) if row["split"] != "test"]
    column = GROUPS.get(name, "patient" if "patient" in rows[0] else None)
    if name in GROUPS:
        for row, group in zip(rows, near_duplicates(folder, rows), strict=True):
            row[GROUPS[name]] = f"g{group}"
    columns = ["path", "label", *([column] if column else [])]
    runs.mkdir(parents=True, exist_ok=True)
    path = runs / f"{name}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path, rows, column


def table(path: Path) -> Rows:
    """Return the rows of a file with commas."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def fitted_floors(folder: Path, rows: Rows, fold: np.ndarray, classes: list[str]) -> dict[str, np.ndarray]:
    """Return what each trivial method answers for every image, fitted to the images of the other folds."""
    x, y = pixels(folder, rows), np.array([classes.index(row["label"]) for row in rows])
    found: dict[str, np.ndarray] = {}
    for k in np.unique(fold):
        inside = fold == k
        for name, answers in floor_methods(x[~inside], y[~inside], x[inside]).items():
            found.setdefault(name, np.zeros(len(y), int))[inside] = answers
    return found


def scores(path: Path, classes: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the class numbers (n,) of a file of predictions and its scores (n, classes), rows summing to 1."""
    rows = table(path)
    p = np.array([[float(row[f"score {name}"]) for name in classes] for row in rows])
    return np.array([classes.index(row["true"]) for row in rows]), p / p.sum(1, keepdims=True)


def calibration(out: Path, folds: list[str], classes: list[str]) -> dict[str, Any]:
    """Return the calibration error of the class that is named, pooled over folds, before and after the temperature."""
    right, confidence, temperatures = [], {"before": [], "after": []}, []
    for fold in folds:
        of_val, p_val = scores(out / fold / "predictions-val.csv", classes)
        truth, p = scores(out / fold / "predictions.csv", classes)
        temperatures.append(fit_temperature(p_val, of_val))
        right.append(truth == p.argmax(1))
        for name, changed in (("before", p), ("after", apply_temperature(p, temperatures[-1]))):
            confidence[name].append(changed.max(1))
    errors = {name: calibration_error(np.concatenate(right), np.concatenate(c)) for name, c in confidence.items()}
    return {name: round(float(e), 4) for name, e in errors.items()} | {
        "temperatures": np.round(temperatures, 3).tolist()
    }


def one(data: Path, runs: Path, name: str, recipes: list[str]) -> dict[str, Any]:
    """Cross-validate the recipes on a set."""
    positive, measure, _ = SETS[name]
    path, rows, column = listed(data / name, runs)
    outs = {recipe: runs / f"{name}-{recipe}" for recipe in recipes}
    said = {}
    for recipe, out in outs.items():
        options = ["--positive", positive, *RECIPES[recipe], "--workers", 1]
        grouped = ["--group-column", column] if column else []
        said[recipe] = tinymed("cv", path, *options, *grouped, "--out", out).splitlines()[0]
    result: dict[str, Any] = {"images": len(rows), "divided": column or "image"}
    result["groups"] = len({row[column] for row in rows}) if column else len(rows)
    trivial: dict[str, np.ndarray] = {}
    for recipe, out in outs.items():
        answers = {row["path"]: row for row in table(out / "predictions.csv")}
        order = [answers[row["path"]] for row in rows]
        folds = sorted({row["fold"] for row in order})
        classes = json.loads((out / folds[0] / "config.json").read_text())["data"]["classes"]
        truth, found = (np.array([classes.index(row[key]) for row in order]) for key in ("true", "predicted"))
        fold = np.array([row["fold"] for row in order])
        trivial = trivial or fitted_floors(data / name, rows, fold, classes)
        groups = np.array([row[column] if column else row["path"] for row in rows])
        result[recipe] = compared(measure, truth, found, groups, trivial) | {"first line": said[recipe]}
        result[recipe] |= {"calibration error": calibration(out, folds, classes)}
    return result


def with_interval(value: float, interval: list[float]) -> str:
    """Return a figure and its interval."""
    return f"{value:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"


def as_markdown(rows: dict[str, dict[str, Any]]) -> str:
    """Return the table of the page: a row for each set and recipe."""
    lines = [
        "| set, images, divided by | recipe | measure | pooled | best trivial | less it, paired | miscalibration |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        for recipe in RECIPES:
            if recipe in row:
                r, errors = row[recipe], row[recipe]["calibration error"]
                cells = [f"{name}, {row['images']}, {row['divided'].replace('_', '-')}", recipe, r["measure"]]
                cells += [with_interval(r["value"], r["interval"])]
                cells += [f"{r['floors'][r['best floor']]:.3f} {r['best floor']}"]
                cells += [with_interval(r["difference"], r["difference_interval"])]
                cells += [f"{errors['before']:.3f}, {errors['after']:.3f}"]
                lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("sets", nargs="*", default=list(SETS), metavar="SET")
    parser.add_argument("--recipes", default="steady,paper")
    o = parser.parse_args()
    result = json.loads(RESULT.read_text())["rows"] if RESULT.exists() else {}
    for name in o.sets:
        found = one(o.data, o.runs, name, o.recipes.split(","))
        before = result.get(name, {})  # of a recipe that is not asked for: stays where the folds are the same
        same = all(before.get(key) == found[key] for key in ("images", "divided", "groups"))
        result[name] = (before if same else {}) | found
        print(name, json.dumps(result[name]), flush=True)
        save(RESULT, {"machine": machine(), "rows": result})
        into_results("five-sets", as_markdown(result), PAGE)


if __name__ == "__main__":
    main()
