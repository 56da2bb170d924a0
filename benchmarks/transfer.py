"""Transfer learning between two real sets: pre-train on one, go on with few images of another.

    python benchmarks/transfer.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/transfer.py DATA RUNS --steps 50 --pretrain 200 --size 32     a short look

Public ImageNet weights are not shipped, so the source is one of our own sets: blood cells (malaria).  The target is
breast histology, with a few images a class, so that there is something to gain.  Four ways with the same split,
steps and seeds: from scratch; fine-tuned; the convolutions frozen; the convolutions at a tenth of the rate.  Writes
benchmarks/results/transfer.json and .md, a table of test accuracy and AUC.
"""

import argparse
import csv
import json
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers import machine, save

RESULTS = Path(__file__).resolve().parent / "results"
SOURCE, TARGET = "malaria", "breast_histology_idc"
MODEL = ["dcnn", "--recipe", "paper", "--option", "bn_momentum=0.1", "--batch", "32", "--flip", "--workers", "0"]
WAYS: dict[str, list[str]] = {
    "from scratch": [],
    "fine-tuned": ["--init"],
    "convolutions frozen": ["--init", "--freeze", "features", "--freeze-statistics"],
    "convolutions at a tenth": ["--init", "--lr-for", "features=1e-4"],
}


def tinymed(*arguments: Any) -> None:
    """Run the command line on one thread."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    subprocess.run([sys.executable, "-m", "tinymed", *map(str, arguments)], env=environment, check=True)


def few(data: Path, folder: Path, images: int) -> Path:
    """Return a CSV of the target set with `images` of each class to train on, and its val and test whole."""
    with (data / TARGET / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    chosen = [r for r in rows if r["split"] != "train"]
    for label in sorted({r["label"] for r in rows}):
        train = [r for r in rows if r["split"] == "train" and r["label"] == label]
        chosen += random.Random(0).sample(train, images)  # noqa: S311  which images, not a secret
    path = folder / f"{TARGET}-{images}.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(r | {"path": str((data / TARGET / r["path"]).absolute())} for r in chosen)
    return path


def train(data: Path, runs: Path, options: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """{way: the test metrics of each seed}; runs that are there already are not trained again."""
    runs.mkdir(parents=True, exist_ok=True)
    size = ["--size", options.size]
    source = runs / f"source-{options.size}-{options.pretrain}"
    if not (source / "metrics.json").exists():
        tinymed(
            "train",
            *MODEL,
            *size,
            "--data",
            data / SOURCE,
            "--positive",
            "parasitized",
            "--out",
            source,
            "--steps",
            options.pretrain,
        )
    subset = few(data, runs, options.images)
    results: dict[str, list[dict[str, Any]]] = {}
    for way, more in WAYS.items():
        for seed in range(options.seeds):
            name = f"{way.replace(' ', '-')}-{options.size}-{options.pretrain}-{options.images}-{options.steps}-{seed}"
            out = runs / name
            init = [word if word != "--init" else f"--init={source}" for word in more]
            if not (out / "metrics.json").exists():
                tinymed(
                    "train",
                    *MODEL,
                    *size,
                    *init,
                    "--data",
                    subset,
                    "--positive",
                    "idc",
                    "--out",
                    out,
                    "--steps",
                    options.steps,
                    "--seed",
                    seed,
                )
            results.setdefault(way, []).append(json.loads((out / "metrics.json").read_text())["test"])
    return results


def main() -> None:
    """Train, collect, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    for name, default in (("pretrain", 1500), ("steps", 200), ("images", 50), ("size", 50), ("seeds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    results = train(options.data, options.runs, options)
    numbers = {n: getattr(options, n) for n in ("pretrain", "steps", "images", "size", "seeds")}
    keys = ("accuracy", "accuracy_interval", "auc", "auc_interval")
    rows = {way: [{k: m[k] for k in keys} for m in seeds] for way, seeds in results.items()}
    save(RESULTS / "transfer.json", {"machine": machine(), "source": SOURCE, "target": TARGET, **numbers, "test": rows})
    lines = [
        f"| {TARGET}, {options.images} images a class | test accuracy, {options.seeds} seeds | AUC |",
        "|---|---|---|",
    ]
    for way, seeds in rows.items():
        accuracy, auc = (statistics.mean(m[k] for m in seeds) for k in ("accuracy", "auc"))
        spread = f"{min(m['accuracy'] for m in seeds):.3f} to {max(m['accuracy'] for m in seeds):.3f}"
        lines.append(f"| {way} | {accuracy:.3f} ({spread}) | {auc:.3f} |")
    lines += [
        "",
        f"DCNN at {options.size} pixels, pre-trained on {SOURCE} for {options.pretrain} steps of 32, then "
        f"{options.steps} steps of 32 on the target. In brackets the lowest and the highest seed.",
    ]
    (RESULTS / "transfer.md").write_text("\n".join(lines) + "\n", "utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
