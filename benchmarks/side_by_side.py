"""The same recipe in tinymed and in PyTorch: a CNN, a residual network and a U-Net on real images.

    python benchmarks/side_by_side.py DATA RUNS          trains what RUNS does not hold yet, then collects

Both start from the same weights and see the same augmented batches in the same order; the optimiser, the schedule and
the rule of batch norm's statistics are the same.  Left are rounding and the dropout masks.  Each training is a process
of its own on one thread; its time is the process's CPU time over the steps, loading of images included, validation not.
Measured are the weights of the last step.  Writes benchmarks/results/side_by_side.json and .md.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers import machine, save

RESULTS = Path(__file__).resolve().parent / "results"
CELLS = {
    "positive": "parasitized",
    "size": 50,
    "batch": 32,
    "epochs": 12,
    "flip": True,
    "head": "softmax",
    "schedule": "cosine",
    "workers": 0,
}
# name: (data set, what `tinymed train` is told)
ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "DCNN": ("malaria", CELLS | {"model": "dcnn", "option_": ["bn_momentum=0.1"]}),
    "ResNet-20": ("malaria", CELLS | {"model": "resnet20"}),
    "U-Net, batch norm, base 8": (
        "busi_ultrasound",
        {
            "task": "segmentation",
            "model": "unet_bn",
            "option_": ["base=8"],
            "labels": "0=tissue,255=tumour",
            "size": 96,
            "batch": 16,
            "epochs": 20,
            "horizontal_flip": True,
            "rotate": 10.0,
            "scale": "0.9,1.1",
            "contrast": 0.2,
            "keep": "last",
            "workers": 0,
        },
    ),
}


def folder(name: str, runs: Path) -> Path:
    """Return where a row's run is."""
    return runs / f"beside-{ROWS[name][1]['model']}"


def train_ours(name: str, data: Path, runs: Path) -> None:
    """Train a row with tinymed; the CPU time of its epochs goes beside its metrics."""
    from tinymed.cli.start_run import start_run

    source, options = ROWS[name]
    run, sets = start_run(options | {"data": str(data / source), "out": folder(name, runs)})
    trainer, _ = run.trainer(sets)
    spent, epoch = 0.0, trainer.train_epoch

    def timed() -> None:
        nonlocal spent
        before = time.process_time()
        epoch()
        spent += time.process_time() - before

    trainer.train_epoch = timed  # type: ignore[method-assign]
    trainer.fit(run.config.epochs)
    run.finish(trainer, sets)
    (run.folder / "cpu.json").write_text(json.dumps({"cpu_seconds": round(spent, 1)}))


def train_theirs(name: str, runs: Path) -> None:
    """Repeat a row in PyTorch."""
    import torch_recipe
    import torch_segmentation

    from tinymed.train.run import Run

    run = Run.open(folder(name, runs))
    segments = hasattr(run.config, "mask")
    result = torch_segmentation.train(run, 1) if segments else torch_recipe.train(run, 1, None, 0)
    (run.folder / "torch.json").write_text(json.dumps(result, indent=1))


def row(name: str, runs: Path) -> dict[str, Any]:
    """Scores and seconds of both."""
    ours, cpu, theirs = (
        json.loads((folder(name, runs) / f"{kind}.json").read_text("utf-8")) for kind in ("metrics", "cpu", "torch")
    )
    key = "dice" if ROWS[name][1].get("task") == "segmentation" else "accuracy"
    kept = (key, f"{key}_interval")
    return {
        "network": name,
        "data": ROWS[name][0],
        "score": key,
        "options": ROWS[name][1],
        "tinymed": {k: ours["test"][k] for k in kept} | cpu,
        "framework": theirs["framework"],
        "torch": {k: theirs["test"][k] for k in kept} | {"cpu_seconds": theirs["cpu_seconds"]},
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as Markdown."""
    lines = [
        "| network | data | test score | tinymed | PyTorch | CPU s, tinymed | CPU s, PyTorch | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for r in rows:
        scores = []
        for engine in ("tinymed", "torch"):
            low, high = r[engine][f"{r['score']}_interval"]
            scores.append(f"{r[engine][r['score']]:.3f} ({low:.3f} to {high:.3f})")
        seconds = [r[engine]["cpu_seconds"] for engine in ("tinymed", "torch")]
        cells = [r["network"], r["data"], "Dice" if r["score"] == "dice" else r["score"], *scores]
        cells += [f"{s:.0f}" for s in seconds] + [f"{seconds[0] / seconds[1]:.2f}"]
        lines.append("| " + " | ".join(cells) + " |")
    lines += [
        "",
        "The same initial weights, batches and schedule; weights of the last step; 95 % intervals.",
        "CPU time of the steps, loading of images included, one thread each.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Train each row in both, each in a process of its own; collect."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=list(ROWS), help="train this row alone, in this process")
    parser.add_argument("--engine", choices=("tinymed", "torch"))
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if o.engine:
        return train_ours(o.only, o.data, o.runs) if o.engine == "tinymed" else train_theirs(o.only, o.runs)
    threads = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
    for name in () if o.collect else ROWS:
        for engine, made in (("tinymed", "cpu.json"), ("torch", "torch.json")):
            if not (folder(name, o.runs) / made).exists():
                command = [sys.executable, __file__, str(o.data), str(o.runs), "--only", name, "--engine", engine]
                subprocess.run(command, env=os.environ | dict.fromkeys(threads, "1"), check=True)
    rows = [row(name, o.runs) for name in ROWS]
    save(RESULTS / "side_by_side.json", {"machine": machine(), "rows": rows})
    (RESULTS / "side_by_side.md").write_text(table(rows), "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
