"""One set of grades learnt three ways, and several findings an image, by the command line on real images.

    python benchmarks/label_tasks.py DATA RUNS            trains what RUNS does not hold yet (an hour), then collects
    python benchmarks/label_tasks.py DATA RUNS --collect  only collects: benchmarks/results/label_tasks.json and .md

DATA holds one folder a data set, each with its splits.csv, which divides it.  The grades of IDRiD (fundus_dr_idrid) are
learnt as classes, as ordered grades and as a number, with the same network, recipe and seed; all three are then
measured as grades, the number rounded.  For several findings there is no set of NIH's kind at hand, so two stand-ins
serve, both from labels that the sets come with: IDRiD's grade and oedema risk as three findings, and the chest
radiographs' pneumonia with its cause, which the file names tell.
"""

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
sys.path.insert(0, str(HERE.parent))

RECIPE = ["--batch", "32", "--workers", "0", "--schedule", "cosine", "--keep", "best", "--augment", "--normalise"]
NETWORKS = {
    "bonet": ["bonet", "--option", "width=0.5", "--size", "96", "--rgb", "--epochs", "60"],
    "dcnn": ["dcnn", "--size", "64", "--epochs", "60"],
}
WAYS = {
    "classes": ["--recipe", "paper", "--head", "softmax", "--positive", "grade2"],
    "ordinal": ["--task", "ordinal"],
    "regression": ["--task", "regression", "--label-column", "dr_grade"],
}
CHEST = ["dcnn", "--size", "64", "--grey", "--epochs", "15"]


def write_list(path: Path, rows: list[tuple[Path, list[str], str]]) -> Path:
    """Write a list with a field of findings, such as NIH's."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "Finding Labels", "split"])
        writer.writerows([image, "|".join(found) or "No Finding", split] for image, found, split in rows)
    return path


def read_splits(folder: Path) -> list[dict[str, str]]:
    """Return the rows of a set's splits.csv."""
    with (folder / "splits.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def fundus_findings(data: Path, runs: Path) -> Path:
    """Retinopathy (grade 1 to 4), severe retinopathy (3, 4) and macular oedema (any risk) of every image."""
    rows = []
    for row in read_splits(data / "fundus_dr_idrid"):
        grade, risk = int(row["dr_grade"]), int(row["macular_edema_risk"])
        names = {"retinopathy": grade >= 1, "severe retinopathy": grade >= 3, "macular edema": risk >= 1}
        found = [name for name, there in names.items() if there]
        rows.append((data.absolute() / "fundus_dr_idrid" / row["path"], found, row["split"]))
    return write_list(runs / "fundus.csv", rows)


def chest_findings(data: Path, runs: Path) -> Path:
    """Pneumonia, and whether bacteria or a virus caused it, by the file's name."""
    rows = []
    for row in read_splits(data / "chest_xray"):
        found = ["pneumonia"] if row["label"] == "pneumonia" else []
        found += [cause for cause, text in (("bacterial", "bacteria"), ("viral", "virus")) if text in row["path"]]
        rows.append((data.absolute() / "chest_xray" / row["path"], found, row["split"]))
    return write_list(runs / "chest.csv", rows)


def recipes(data: Path, runs: Path) -> dict[str, list[str]]:
    """Return {name of a run: options of `tinymed train`}."""
    fundus, found = ["--data", str(data / "fundus_dr_idrid")], {}
    for network, options in NETWORKS.items():
        for way, more in WAYS.items():
            found[f"{network}-{way}"] = [*options, *RECIPE, *fundus, *more]
        listed = ["--task", "multilabel", "--data", str(fundus_findings(data, runs))]
        found[f"{network}-multilabel"] = [*options, *RECIPE, *listed]
    chest = ["--task", "multilabel", "--data", str(chest_findings(data, runs))]
    return found | {"chest-multilabel": [*CHEST, *RECIPE, *chest]}


def train(data: Path, runs: Path, chosen: str) -> None:
    """Train what is not there yet, of the runs whose names begin with `chosen`."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for name, options in recipes(data, runs).items():
        if name.startswith(chosen) and not (runs / name / "metrics.json").exists():
            command = [sys.executable, "-m", "tinymed", "train", *options, "--seed", "0", "--out", str(runs / name)]
            subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


# ------------------------------------------------------------------------------------------------------ the results


def as_grades(way: str, scores: np.ndarray, grades: int) -> tuple[np.ndarray, str]:
    """Return probabilities of grades of any of the three ways, and how they become a grade: a number is rounded."""
    if way == "ordinal":
        return scores, "median"
    if way == "classes":
        return scores, "mode"
    rounded = np.clip(np.rint(scores[:, 0]), 0, grades - 1).astype(int)
    return np.eye(grades)[rounded], "mode"


def measured(runs: Path, name: str) -> tuple[Any, dict[str, Any], np.ndarray, np.ndarray]:
    """Return (configuration, measures, scores, truth) of a run on its test part."""
    from tinymed.tasks.base.picture import picture_loader
    from tinymed.tasks.inference.class_scores import predict_scores
    from tinymed.train.run import Run

    run = Run.open(runs / name)
    model, images = run.load_model(), run.images()
    result, _ = run.measure(model, images)
    scores, truth, _ = predict_scores(model, picture_loader(images, run.config), run.task.head(run.config, model))
    return run.config, result, scores, truth


def collect(runs: Path) -> list[dict[str, Any]]:
    """Return a row for each run that there is."""
    from tinymed.metrics.grades import evaluate_grades

    rows = []
    for folder in sorted(path.parent for path in runs.glob("*/metrics.json")):
        _, _, way = folder.name.partition("-")
        config, result, scores, truth = measured(runs, folder.name)
        row: dict[str, Any] = {"run": folder.name, "network": config.model, "way": way, "size": config.data.size}
        row |= {"epochs": config.epochs, "seed": config.seed, "n": result["n"]}
        if way in WAYS:
            names = [f"grade{k}" for k in range(5)]
            probabilities, decision = as_grades(way, scores, len(names))
            floors = {"most frequent": 0, "median": 2}  # of the training part
            grades = evaluate_grades(probabilities, truth.astype(int), names, decision=decision, floors=floors)
            keys = ("accuracy", "within_1", "mae", "quadratic_kappa")
            row["grades"] = {key: grades[key] for name in keys for key in (name, f"{name}_interval")}
            row["floors"] = grades["floors"]
        if way == "regression":
            keys = ("mae", "rmse", "r2", "pearson", "ccc", "icc", "bias")
            row["number"] = {key: result[key] for name in keys for key in (name, f"{name}_interval")}
            row["number"] |= {"limits": result["limits"], "floors": result["floors"]}
        if way == "multilabel":
            keys = ("macro_auc", "micro_auc", "subset_accuracy")
            row["averages"] = {key: result[key] for name in keys for key in (name, f"{name}_interval")}
            kept = ("known", "positives", "auc", "auc_interval", "sensitivity", "specificity")
            row["findings"] = {n: {k: r[k] for k in kept} for n, r in result["per_finding"].items()}
            row |= {"undefined": result["undefined"], "floors": result["floors"]}
        rows.append(row)
    return rows


def figure(value: float | None) -> str:
    """Three decimals."""
    return "-" if value is None else f"{value:.3f}"


def with_interval(row: dict[str, Any], key: str) -> str:
    """Return a figure and its 95 % interval."""
    bounds = row[f"{key}_interval"]
    return figure(row[key]) + (f" ({figure(bounds[0])} to {figure(bounds[1])})" if bounds else "")


def grade_table(rows: list[dict[str, Any]]) -> str:
    """Return the three ways side by side, measured as grades, and the floors of the same test part."""
    lines = [
        "| network | learnt as | quadratic kappa | exact | within one | mean error in grades |",
        "|---|---|---|---|---|---|",
    ]
    graded = [row for row in rows if "grades" in row]
    for row in graded:
        cells = [with_interval(row["grades"], key) for key in ("quadratic_kappa", "accuracy", "within_1", "mae")]
        lines.append("| " + " | ".join([row["network"], row["way"], *cells]) + " |")
    for name, floor in (graded[0]["floors"] if graded else {}).items():
        cells = [figure(floor[key]) for key in ("accuracy", "within_1", "mae")]
        lines.append(f"| floor | always train's {name} grade ({floor['grade']}) | 0 | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def number_table(rows: list[dict[str, Any]]) -> str:
    """Return the regressions as numbers."""
    lines = [
        "| network | MAE | RMSE | R2 | concordance | bias | gain in MAE over train's median |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if "number" in row:
            cells = [with_interval(row["number"], key) for key in ("mae", "rmse", "r2", "ccc", "bias")]
            gain = with_interval(row["number"]["floors"]["median"], "gain")
            lines.append("| " + " | ".join([row["network"], *cells, gain]) + " |")
    return "\n".join(lines)


def finding_table(rows: list[dict[str, Any]]) -> str:
    """Return the findings, and below each set's their averages with the floor."""
    lines = ["| set, network | finding | images with it | AUC | floor |", "|---|---|---|---|---|"]
    for row in rows:
        if "averages" not in row:
            continue
        name = f"{'chest_xray' if row['run'].startswith('chest') else 'fundus_dr_idrid'}, {row['network']}"
        for finding, found in row["findings"].items():
            auc, count = with_interval(found, "auc"), f"{found['positives']} of {found['known']}"
            lines.append(f"| {name} | {finding} | {count} | {auc} | 0.5 |")
        floor = row["floors"]["prevalence"]
        for key in ("macro_auc", "micro_auc"):
            mean = f"{key.partition('_')[0]} average"
            lines.append(f"| {name} | {mean} | | {with_interval(row['averages'], key)} | {figure(floor[key])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true")
    parser.add_argument("--only", default="", help="train the runs whose names begin so, and collect nothing")
    o = parser.parse_args()
    if not o.collect:
        train(o.data, o.runs, o.only)
        if o.only:
            return
    rows = collect(o.runs)
    save(RESULTS / "label_tasks.json", {"machine": machine(), "rows": rows})
    text = "\n\n".join([grade_table(rows), number_table(rows), finding_table(rows)])
    (RESULTS / "label_tasks.md").write_text(f"# Grades three ways, a number, several findings\n\n{text}\n", "utf-8")
    print(text)


if __name__ == "__main__":
    main()
