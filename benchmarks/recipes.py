"""The papers' CNN and LeNet-5 on real images, by the command line, beside the same recipe in PyTorch.

    python benchmarks/recipes.py DATA RUNS            trains what RUNS does not hold yet (hours), then collects
    python benchmarks/recipes.py DATA RUNS --collect  only collects: benchmarks/results/recipes.json, table, pictures

DATA holds one folder a data set, each with its splits.csv.  Recipes: the paper's (Adam, BCE, 20 epochs, batch 128), and
1,000 and 3,000 steps of batch 32 with flips, which are one run measured twice.  Every run uses one thread.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers import into_results, machine, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
SIZE = ["--size", "50"]
# Options of each data set, and the floor: a random forest of 200 trees on 32 px, test accuracy.
SETS: dict[str, tuple[list[str], float | None]] = {
    "malaria": (["--positive", "parasitized"], 0.685),
    "breast_histology_idc": (["--positive", "idc"], 0.809),
    "brain_tumor_mri": (["--positive", "glioma"], 0.802),
    "chest_xray": (["--positive", "pneumonia"], 0.822),
    "fundus_dr_idrid": (
        [
            "--positive",
            "referable",
            "--merge",
            "not_referable=grade0,grade1",
            "--merge",
            "referable=grade2,grade3,grade4",
        ],
        None,
    ),
}
SEEDS = range(5)


def recipes(data: Path) -> list[tuple[str, list[str], bool]]:
    """(name, options of `tinymed train`, whether it is measured at 1,000 steps and goes on to 3,000)."""
    found: list[tuple[str, list[str], bool]] = []
    for name, (options, _) in SETS.items():
        own = ["dcnn", "--recipe", "paper", "--data", str(data / name), *options]
        size = ["--size", "64"] if name == "malaria" else SIZE
        found.append((f"{name}-e20", [*own, *size, "--epochs", "20", "--batch", "128"], False))
        for seed in SEEDS if name == "malaria" else [0]:
            found.append((f"{name}-s{seed}", [*own, *SIZE, "--batch", "32", "--flip", "--seed", str(seed)], True))
    mnist = [
        "--recipe",
        "paper",
        "--data",
        str(data / "mnist"),
        "--grey",
        "--size",
        "32",
        "--positive",
        "1",
        "--epochs",
        "5",
        "--batch",
        "128",
    ]
    found.append(("mnist-modern", ["lenet5_modern", *mnist, "--head", "softmax"], False))
    found.append(("mnist-1998", ["lenet5", *mnist], False))
    return found


def train(data: Path, runs: Path) -> None:
    """Train what is not there yet, ours and PyTorch's."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    for name, options, longer in recipes(data):
        out = runs / name
        command = [sys.executable, "-m", "tinymed", "train"]
        if not (out / "metrics.json").exists():
            steps = ["--steps", "1000"] if longer else []
            subprocess.run(
                [*command, *options, *steps, "--workers", "0", "--out", str(out)], env=environment, check=True
            )
        if longer and not (out / "metrics-1000.json").exists():
            shutil.copy(out / "metrics.json", out / "metrics-1000.json")
            subprocess.run([*command, "--resume", str(out), "--steps", "3000"], env=environment, check=True)
        if not (out / "best.json").exists():
            best = [sys.executable, "-m", "tinymed", "evaluate", str(out), "--weights", "best", "--json"]
            done = subprocess.run(best, env=environment, check=True, capture_output=True, text=True)
            (out / "best.json").write_text(done.stdout)
        if not (out / "torch.json").exists() and name != "mnist-1998":
            more = ["--steps", "3000", "--also-at", "1000"] if longer else []
            subprocess.run(
                [sys.executable, str(HERE / "torch_recipe.py"), str(out), *more], env=environment, check=True
            )


def read(path: Path) -> dict[str, Any]:
    """Return a JSON file, or nothing."""
    return json.loads(path.read_text()) if path.exists() else {}


def collect(data: Path, runs: Path) -> list[dict[str, Any]]:
    """Return a row for each run and recipe that there is."""
    rows = []
    for name, _, longer in recipes(data):
        dataset, _, recipe = name.rpartition("-")
        ours, theirs, best = (read(runs / name / f"{kind}.json") for kind in ("metrics", "torch", "best"))
        if longer:
            early = read(runs / name / "metrics-1000.json")
            rows.append(row(dataset, recipe, "1,000 x 32, flips", early, theirs.get("at 1000", {}), {}))
            rows.append(row(dataset, recipe, "3,000 x 32, flips", ours, theirs, best))
        else:
            epochs = "5 epochs x 128" if dataset == "mnist" else "20 epochs x 128"
            rows.append(row(dataset, recipe, epochs, ours, theirs, best))
    return [r for r in rows if r["tinymed"]]


def row(
    dataset: str, run: str, recipe: str, ours: dict[str, Any], theirs: dict[str, Any], best: dict[str, Any]
) -> dict[str, Any]:
    """Return validation and test of both engines with the last weights, and ours with those of the best epoch."""
    keys = ("accuracy", "sensitivity", "specificity", "auc")
    wanted = [*keys, *(f"{k}_interval" for k in keys), "n", "positive"]

    def short(m: dict[str, Any]) -> dict[str, Any]:
        return {part: {k: m[part].get(k) for k in wanted} for part in ("val", "test") if part in m}

    return {
        "dataset": dataset,
        "run": run,
        "recipe": recipe,
        "tinymed": short(ours),
        "torch": short(theirs),
        "best": {k: best[k] for k in wanted if k in best},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown: the first seed of each recipe."""
    lines = [
        "| data set | recipe | floor | test accuracy | sensitivity | specificity | AUC | best epoch | PyTorch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        if not re.fullmatch(r"e20|s0|modern|1998", r["run"]) or "test" not in r["tinymed"]:
            continue
        t, other = r["tinymed"]["test"], r["torch"].get("test", {})
        floor = SETS.get(r["dataset"], ([], None))[1]
        name = f"{r['dataset']}, LeNet-5 {r['run']}" if r["dataset"] == "mnist" else r["dataset"]
        cells = [name, r["recipe"], figure(floor), with_interval(t, "accuracy"), figure(t["sensitivity"])]
        cells += [figure(t["specificity"]), with_interval(t, "auc"), figure(r["best"].get("accuracy"))]
        cells.append(figure(other.get("accuracy")))
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def figure(value: float | None) -> str:
    """Three decimals without the leading zero."""
    return "-" if value is None else "1.000" if value >= 0.9995 else f"{value:.3f}".removeprefix("0")


def with_interval(metrics: dict[str, Any], key: str) -> str:
    """Return a figure and its 95 % interval."""
    low, high = metrics.get(f"{key}_interval") or (None, None)
    return f"{figure(metrics[key])} ({figure(low)} to {figure(high)})" if low is not None else figure(metrics[key])


def paired(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Malaria, 3,000 steps: test accuracies of both engines by seed, and the difference of their means."""
    pairs = [
        (r["tinymed"]["test"]["accuracy"], r["torch"]["test"]["accuracy"])
        for r in rows
        if r["dataset"] == "malaria" and r["recipe"].startswith("3,000") and "test" in r["torch"]
    ]
    if not pairs:
        return {}
    ours, theirs = zip(*pairs, strict=True)
    means = {"mean_tinymed": statistics.mean(ours), "mean_torch": statistics.mean(theirs)}
    difference = means["mean_tinymed"] - means["mean_torch"]
    return {"tinymed": ours, "torch": theirs, **means, "difference_of_means": difference}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if not o.collect:
        train(o.data, o.runs)
    rows = collect(o.data, o.runs)
    seeds = paired(rows)
    save(RESULTS / "recipes.json", {"machine": machine(), "paired seeds, malaria, 3,000 steps": seeds, "rows": rows})
    text = table(rows)
    if seeds:
        text += (
            f"\n\nMalaria, 3,000 steps, {len(seeds['tinymed'])} paired seeds: mean test accuracy "
            f"{figure(seeds['mean_tinymed'])} (tinymed) and {figure(seeds['mean_torch'])} (PyTorch), "
            f"difference {seeds['difference_of_means']:+.3f}."
        )
    into_results("recipes", text)
    for picture in ("curves", "roc", "confusion"):
        if (o.runs / "malaria-s0" / f"{picture}.png").exists():
            shutil.copy(o.runs / "malaria-s0" / f"{picture}.png", RESULTS / f"malaria-{picture}.png")
    print(text)


if __name__ == "__main__":
    main()
