"""Embeddings of real pictures, learnt by pairs and by classes, measured as a search, by the command line.

    python benchmarks/retrieval.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/retrieval.py DATA RUNS --collect  only collects: benchmarks/results/retrieval.json and .md
    python benchmarks/retrieval.py DATA RUNS --only contrastive    trains one of them, then collects

DATA holds one folder a data set.  What RUNS holds no run of stays in the results as it was.  Each picture of the test
part is a query among the others of it.  A classifier with the same network, recipe and seed is measured by the same
rule, at what its last linear layer is given; the floors are a random order and the cosine of the pixels.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
sys.path.insert(0, str(HERE.parent))

COMMON = ["--model", "dcnn", "--size", "64", "--grey", "--horizontal-flip", "--epochs", "12", "--batch", "32"]
COMMON += ["--schedule", "cosine", "--workers", "1"]
WAYS = {
    "triplet": ["--task", "retrieval"],
    "contrastive": ["--task", "retrieval", "--loss", "contrastive"],
    "classes": ["--head", "softmax", "--keep", "best", "--positive", "glioma"],
}
DATA = "brain_tumor_mri"
KEPT = ("n", "queries", "map", "map_interval", "precision@1", "precision@1_interval", "per_class", "floors", "warnings")


def train(data: Path, runs: Path, ways: Iterable[str]) -> None:
    """Train what is not there yet."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for way in ways:
        folder = runs / f"brain-{way}"
        if not (folder / "metrics.json").exists():
            command = [sys.executable, "-m", "tinymed", "train", *COMMON, *WAYS[way], "--data", str(data / DATA)]
            subprocess.run([*command, "--out", str(folder)], env=environment, check=True, stdout=subprocess.DEVNULL)


def measured(folder: Path) -> tuple[Any, np.ndarray, Any]:
    """Return (the run, the embeddings of its test part, the test part)."""
    from tinymed.retrieval.build import choose_layer
    from tinymed.tasks.base.picture import picture_loader
    from tinymed.tasks.inference.embedding import embed
    from tinymed.train.run import Run

    run = Run.open(folder)
    model, images = run.load_model(), run.images()
    rows = embed(model, picture_loader(images, run.config), choose_layer(run, model, None), normalise=True)
    return run, rows, images


def collect(runs: Path, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row for each run that there is, and of another the row before, if there was one."""
    from tinymed.metrics.retrieval import cosine, evaluate_ranking
    from tinymed.tasks.retrieval import pixel_rows

    rows: list[dict[str, Any]] = []
    for way in WAYS:
        folder = runs / f"brain-{way}"
        if not (folder / "metrics.json").exists():
            rows += [row for row in before if row["learnt by"] == way]
            continue
        run, embedded, images = measured(folder)
        floors = {"cosine of pixels": cosine(pixel_rows(images, run.config.data.channels))}
        result = evaluate_ranking(
            cosine(embedded), images.labels, images.classes, groups=images.groups, floors=floors, seed=run.config.seed
        )
        row: dict[str, Any] = {"run": folder.name, "network": run.config.model, "learnt by": way, "data": DATA}
        row |= {"size": run.config.data.size, "epochs": run.config.epochs, "numbers": embedded.shape[1]}
        rows.append(row | {key: result[key] for key in KEPT})
    return rows


def with_interval(value: float, bounds: list[float]) -> str:
    """Return a figure with its interval."""
    return f"{value:.3f} ({bounds[0]:.3f} to {bounds[1]:.3f})"


def text(rows: list[dict[str, Any]]) -> str:
    """Return the table of the figures."""
    heads = ["learnt by", "numbers", "mAP", "precision at 1", "gain in mAP over pixels", "over a random order"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        cells = [row["learnt by"], str(row["numbers"])]
        cells += [with_interval(row[name], row[f"{name}_interval"]) for name in ("map", "precision@1")]
        for floor in ("cosine of pixels", "random order"):
            found = row["floors"][floor]
            cells.append(with_interval(found["map_gain"], found["map_gain_interval"]))
        lines.append("| " + " | ".join(cells) + " |")
    for name in ("cosine of pixels", "random order"):
        floor = rows[0]["floors"][name]
        lines.append(f"| floor: {name} | | {floor['map']:.3f} | {floor['precision@1']:.3f} | | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=WAYS)
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if not o.collect:
        train(o.data, o.runs, [o.only] if o.only else WAYS)
    before = json.loads((RESULTS / "retrieval.json").read_text("utf-8"))["rows"]
    rows = collect(o.runs, before)
    save(RESULTS / "retrieval.json", {"machine": machine(), "rows": rows})
    table = text(rows)
    (RESULTS / "retrieval.md").write_text(f"# Embeddings as a search, {DATA}\n\n{table}\n", "utf-8")
    print(table)


if __name__ == "__main__":
    main()
