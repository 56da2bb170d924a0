"""Studies of classical classifiers that the papers retell, reproduced in form: docs/baselines.md has the table.

    python benchmarks/baselines.py fna               support vectors, neighbours, PNN, ELM on breast aspirates
    python benchmarks/baselines.py trees DATA        single, bagged, boosted trees on aspirates and three image sets
    python benchmarks/baselines.py bar DATA RUNS     features of a CNN, hand-made descriptors, and both, on chest_xray
    python benchmarks/baselines.py words DATA RUNS   the same with GIST and visual words among the descriptors
    python benchmarks/baselines.py alone DATA RUNS   the same with few images, each left out by itself, as Bar's
    python benchmarks/baselines.py jiao DATA RUNS    two support vector machines on two depths of a CNN, on busi

DATA holds the data sets; RUNS holds run folders that `tinymed train` made, named brain, chest and busi
(docs/baselines.md has the commands).  Each study writes benchmarks/results/baselines-<study>.json.  The aspirates are
those that scikit-learn ships (Wolberg, Street & Mangasarian, 569 patients, 30 measures of cell nuclei).
"""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peers

from tinymed import baselines
from tinymed.cli import main as tinymed
from tinymed.data import open_dataset
from tinymed.data.splits import k_fold
from tinymed.features import Sources
from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.paired_differences import paired_differences
from tinymed.train.run import Run, choose_backend

RESULTS = peers.HERE / "results"
PAGE = peers.HERE.parent / "docs" / "baselines.md"
FIGURES = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "precision", "auc")
FNA = ("majority", "svm", "svm_linear", "knn", "pnn", "elm")
TREES = ("cart", "bagging", "boosting", "majority")
IMAGE_SETS = {"busi_ultrasound": "malignant", "malaria": "parasitized", "chest_xray": "pneumonia"}
FEW = 93  # images of Bar et al.
LOW = "hog+lbp+glcm+histogram"
MORE = f"{LOW}+gist+words"
OTHER = "brain:features+brain:classifier.1"


def rounded(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the figures and intervals of an evaluation, short."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        for key in (name, f"{name}_interval"):
            value = metrics[key]
            found[key] = [round(v, 4) for v in value] if isinstance(value, list) else value and round(value, 4)
    return found


def short(difference: dict[str, Any]) -> dict[str, Any]:
    """Return numbers and lists of numbers with four digits."""
    found = {}
    for key, value in difference.items():
        inside = [round(v, 4) for v in value] if isinstance(value, list) else value
        found[key] = round(inside, 4) if isinstance(inside, float) else inside
    return found


def aspirates() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return (measures [569, 30], 1 for malignant, names of the classes)."""
    from sklearn.datasets import load_breast_cancer

    data = load_breast_cancer()
    return data.data, 1 - data.target, ["benign", "malignant"]


def on_aspirates(names: Sequence[str], folds: int, seed: int) -> list[dict[str, Any]]:
    """Return a row for each classifier: scored by nested cross-validation, and compared with the first."""
    x, y, classes = aspirates()
    scores: dict[str, np.ndarray] = {}
    rows = []
    for name in names:
        scores[name], fitted = baselines.cross_validate(name, x, y, 2, folds=folds, inner=5, seed=seed)
        right = scores[name].argmax(axis=1) == y
        each = [float(right[outside].mean()) for _, outside in k_fold(y, folds, seed)]
        row = {"set": "aspirates", "n": len(y), "name": name}
        row |= rounded(evaluate_scores(scores[name], y, classes, "malignant", seed))
        row["deviation_of_folds"] = round(float(np.std(each, ddof=1)), 4)
        row["options"] = [{k: v for k, v in f.options.items() if k != "seed"} for f in fitted]
        if name != names[0]:
            row[f"less_{names[0]}"] = short(paired_differences(scores[name], scores[names[0]], y, seed=seed))
        print(json.dumps(row)[:200], flush=True)
        rows.append(row)
    return rows


def compare(out: Path, models: Sequence[str], data: str, positive: str, *options: str) -> list[dict[str, Any]]:
    """Return the rows of `tinymed compare`, each with its difference to the first."""
    command = ["compare", "--models", *models, "--data", data, "--positive", positive, *options, "--out", str(out)]
    if code := tinymed(command):
        raise SystemExit(code)
    found = json.loads((out / "compare.json").read_text())
    differences = {d["model"]: d for d in found["differences"]}
    rows = []
    for row in found["rows"]:
        kept = {k: v for k, v in row.items() if v is not None and k not in ("tried", "notes", "options")}
        kept = short(kept) | {"options": row["options"]}
        rows.append(kept | ({"less_first": short(differences[row["model"]])} if row["model"] in differences else {}))
    return rows


def fna(options: argparse.Namespace) -> dict[str, Any]:
    """Return the study of P0: classifiers on fine needle aspirates of the breast."""
    return {"folds": 10, "rows": on_aspirates(FNA, 10, options.seed)}


def trees(options: argparse.Namespace) -> dict[str, Any]:
    """Return single, bagged and boosted trees on the aspirates and on histograms and texture of images."""
    rows = on_aspirates(TREES, 5, options.seed)
    result = {"folds": 5, "features": "histogram+glcm of 64 px", "rows": rows}
    for name, positive in IMAGE_SETS.items():
        write(options, result)  # what there is so far
        found = compare(
            options.out / f"trees-{name}",
            [f"{tree}@histogram+glcm" for tree in TREES],
            str(
                options.data / name if (options.data / name / "train").is_dir() else options.data / name / "splits.csv"
            ),
            positive,
            *("--size", "64", "--seed", str(options.seed)),
        )
        rows += [{"set": name} | row for row in found]
    return result


def bar(options: argparse.Namespace) -> dict[str, Any]:
    """Return Bar's study: features of a network that never saw an X-ray, descriptors, and both."""
    os.chdir(options.runs)  # so that results name runs and not where they lie
    own = "chest:features+chest:classifier.1"
    return bar_of(options, "bar", [OTHER, LOW, f"{OTHER}+{LOW}", own, f"{own}+{LOW}"])


def words(options: argparse.Namespace) -> dict[str, Any]:
    """Return Bar's study with the descriptors that theirs has, GIST and bags of visual words."""
    os.chdir(options.runs)
    return bar_of(options, "words", [OTHER, "gist", "words", f"{OTHER}+gist+words", MORE, f"{OTHER}+{MORE}"])


def bar_of(options: argparse.Namespace, name: str, sources: Sequence[str]) -> dict[str, Any]:
    """Return the rows of linear machines on sources, by the X-rays' test part."""
    rows = compare(
        options.out / name,
        [*(f"svm_linear@{source}" for source in sources), "majority"],
        str(options.data / "chest_xray"),
        "pneumonia",
        *("--size", "64", "--grey", "--l2", "--spatial", "flatten", "--seed", str(options.seed)),
    )
    return {"low_level": LOW, "rows": rows}


def alone(options: argparse.Namespace) -> dict[str, Any]:
    """Return Bar's protocol: 93 images, as many as theirs, each scored by a machine of the other 92."""
    os.chdir(options.runs)
    images = open_dataset(options.data / "chest_xray")["train"]
    order = np.random.default_rng(options.seed).permutation(len(images))
    rest, images, positive = images.subset(order[FEW:]), images.subset(np.sort(order[:FEW])), "pneumonia"
    choose_backend("numba")
    rows: list[dict[str, Any]] = []
    first: np.ndarray | None = None
    for source in (OTHER, LOW, f"{OTHER}+{LOW}", MORE, f"{OTHER}+{MORE}"):
        read = Sources([source], "flatten", unit_length=True).learn(rest, 64, 1)  # a dictionary that saw none of them
        x = read.rows(images, 64, 1)
        scores, fitted = baselines.cross_validate(
            "svm_linear", x, images.labels, 2, folds=None, seed=options.seed, scale="overall"
        )
        row = {"name": short_name(f"svm_linear@{source}"), "n": len(images), "machines": len(fitted)}
        row |= rounded(evaluate_scores(scores, images.labels, images.classes, positive, options.seed))
        if first is None:
            first = scores
        else:
            row["less_first"] = short(paired_differences(scores, first, images.labels, seed=options.seed))
        print(json.dumps(row)[:200], flush=True)
        rows.append(row)
    return {"rows": rows}


def jiao(options: argparse.Namespace) -> dict[str, Any]:
    """Return Jiao's study: a machine on high features decides where it is sure, one on middle features elsewhere."""
    os.chdir(options.runs)
    run = Run.open(Path("busi"))
    choose_backend(run.config.backend)
    parts, config = run.splits(), run.config
    names = {"high": "busi:classifier.1", "middle": "busi:features"}
    rows = {
        depth: {
            part: Sources([name], "flatten", unit_length=True).rows(images, config.data.size, config.data.channels)
            for part, images in parts.items()
        }
        for depth, name in names.items()
    }
    labels = {part: images.labels for part, images in parts.items()}
    fitted = {
        depth: baselines.fit_best(
            "svm_linear", x["train"], labels["train"], 2, val=(x["val"], labels["val"]), scale="overall"
        )
        for depth, x in rows.items()
    }
    scores = {d: {part: fitted[d].scores(rows[d][part]) for part in ("val", "test")} for d in rows}
    bounds = np.quantile(np.abs(scores["high"]["val"][:, 1]), np.linspace(0, 1, 21))
    chosen = max(bounds, key=lambda b: balanced(two_machines(scores, "val", b), labels["val"]))
    scores["two machines"] = {"test": two_machines(scores, "test", chosen)}
    scores["majority"] = {"test": np.tile([1.0, 0.0], (len(labels["test"]), 1))}
    scores["network"] = {"test": run.measure(run.load_model(), parts["test"])[1]}
    found = []
    for name, of_parts in scores.items():
        metrics = evaluate_scores(of_parts["test"], labels["test"], config.data.classes, config.positive, options.seed)
        row = {"name": name, "n": metrics["n"], **rounded(metrics)}
        if name != "high":
            row["less_high"] = short(paired_differences(of_parts["test"], scores["high"]["test"], labels["test"]))
        found.append(row)
    shares = float(np.mean(np.abs(scores["high"]["test"][:, 1]) < chosen))
    return {"bound": round(float(chosen), 4), "decided_by_middle": round(shares, 4), "rows": found}


def two_machines(scores: dict[str, dict[str, np.ndarray]], part: str, bound: float) -> np.ndarray:
    """Return the first machine's scores where they are farther than a bound from 0, else the second's."""
    first, second = scores["high"][part], scores["middle"][part]
    return np.where(np.abs(first[:, 1:]) >= bound, first, second)


def balanced(scores: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean share of each class that is found."""
    right = scores.argmax(axis=1) == labels
    return float(np.mean([right[labels == c].mean() for c in np.unique(labels)]))


def short_name(model: str) -> str:
    """Return a name with "low" for the descriptors but GIST and words."""
    return model.replace(LOW, "low").replace("@histogram+glcm", "")


def figure(row: dict[str, Any], name: str, sign: str = "") -> str:
    """Return a figure with its interval as a cell of a table."""
    if row.get(name) is None:
        return "-"
    low, high = row[f"{name}_interval"]
    return f"{row[name]:{sign}.3f} ({low:{sign}.3f} to {high:{sign}.3f})"


def table(study: str, result: dict[str, Any]) -> str:
    """Return a study's rows as Markdown: figures with intervals, and the difference to the row that comes first."""
    heads = ["set"] if study == "trees" else []
    heads += ["method", "accuracy", "sensitivity", "specificity", "PPV", "AUC", "accuracy less the first"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in result["rows"]:
        less = next((row[key] for key in row if key.startswith("less_")), {})
        name = row.get("name") or short_name(row["model"])
        cells = [row["set"]] if study == "trees" else []
        cells += [name, *(figure(row, key) for key in ("accuracy", "sensitivity", "specificity", "precision", "auc"))]
        lines.append("| " + " | ".join([*cells, figure(less, "accuracy", "+")]) + " |")
    return "\n".join(lines)


def write(options: argparse.Namespace, result: dict[str, Any]) -> None:
    """Write a study's results, and its table into the page."""
    content = {"machine": peers.machine(), "seed": options.seed, **result}
    peers.save(RESULTS / f"baselines-{options.study}.json", content)
    peers.into_results(options.study, table(options.study, result), PAGE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", choices=["fna", "trees", "bar", "words", "alone", "jiao"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("runs", type=Path, nargs="?")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/baselines"), help="folder of what tinymed compare leaves"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    if (options.study != "fna" and not options.data) or (
        options.study in ("bar", "words", "alone", "jiao") and not options.runs
    ):
        parser.error(f"{options.study} needs DATA{'' if options.study == 'trees' else ' RUNS'}")
    options.out = options.out.absolute()
    options.data = options.data and options.data.absolute()
    write(options, globals()[options.study](options))


if __name__ == "__main__":
    main()
