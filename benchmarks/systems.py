"""The papers' systems that no other benchmark trains, by the command line: the rows of docs/systems.md that name it.

    python benchmarks/systems.py DATA RUNS              trains what RUNS does not hold yet, then collects
    python benchmarks/systems.py DATA RUNS --only NAME  trains one row, and collects
    python benchmarks/systems.py DATA RUNS --list       prints the commands, and trains nothing
    python benchmarks/systems.py DATA RUNS --collect    only collects: benchmarks/results/systems.json

DATA holds one folder a data set.  Small sizes, narrow widths and few epochs: a minute or two of one core each, chosen
before the test part was looked at, one seed.
"""

import argparse
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from peers import machine, save

RESULT = Path(__file__).resolve().parent / "results" / "systems.json"
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
MALARIA = "--data DATA/malaria --positive parasitized"
PATCHES = "--task reconstruction --data DATA/hippocampus_3d --patches 40 --size 16 --batch 100 --epochs 10 --lr 2e-3"
TUMOUR = (
    "--task segmentation --data DATA/busi_ultrasound --labels 0=tissue,255=tumour --horizontal-flip --rotate 10 "
    "--scale 0.9,1.1 --contrast 0.2"
)
MEMBRANE = "--task segmentation --data DATA/em_membranes_isbi2012"
DIGITS = (
    "--recipe paper --data DATA/mnist --positive 1 --size 28 --grey --head softmax --batch 100 --epochs 2 "
    "--option hidden=300 --backend numpy"
)
SAMPLED = (
    "train lenet5_modern --recipe paper --label-column label --positive malignant --size 32 --grey --batch 32 "
    "--epochs 10 --head softmax --flip --schedule cosine --seed 1 --backend numpy "
    "--data DATA/busi_ultrasound/splits.csv"
)
SHAPE = (
    "--task segmentation --data DATA/busi_ultrasound --labels 0=tissue,255=tumour --size 64 --head sigmoid --grey "
    "--batch 32 --loss dice --flip --rotate 15 --normalise"
)
ROWS = {  # name of the run -> command
    "alexnet": f"train alexnet {MALARIA} --size 64 --option width=0.25 --epochs 12",
    "vgg16": f"train vgg16 {MALARIA} --size 64 --option width=0.25 --option pooled=2 --epochs 6 --lr 5e-4",
    "lrfind": "lr-find DATA/malaria --positive parasitized --size 50 --range-steps 60",
    "convae": f"train conv_autoencoder --option channels=1 {PATCHES}",
    "saesparse": (f"train sae --option hidden=128 --option code=same --sparsity 0.1 --sparsity-weight 0.03 {PATCHES}"),
    "mtann": (
        f"train mtann {MEMBRANE} --labels 255=cell,0=membrane --head sigmoid --patch 72 --per-image 16 "
        "--batch 8 --epochs 5 --lr 0.01 --flip --normalise --foreground 0 --overlap 0 --blend uniform"
    ),
    "slices": (
        "train cnn_bigru --task segmentation --data DATA/hippocampus_3d --labels "
        "0=background,1=hippocampus,2=hippocampus --batch 8 --epochs 3 --lr 0.003"
    ),
    "multires": (
        f"train multiresunet {TUMOUR} --option filters=8 --head sigmoid --loss focal_tversky --size 32 "
        "--batch 16 --epochs 10"
    ),
    "pretrained": (
        "pretrain avendi_sae --by autoencoder --sparsity-weight 3 --normalise --grey --epochs 20 "
        "--data DATA/busi_ultrasound"
    ),
    "saepre": f"train avendi_sae {SHAPE} --epochs 30 --backend numpy --init RUNS/pretrained/weights.safetensors",
    "rbm": "pretrain mlp --data DATA/mnist --epochs 3 --option hidden=300",
    "rbmrandom": f"train mlp {DIGITS}",
    "rbmtuned": f"train mlp {DIGITS} --init RUNS/rbm/weights.safetensors",
    "cls-none": SAMPLED,
    "cls-swa": f"{SAMPLED} --average swa",
    "cls-under": f"{SAMPLED} --sampling under",
    "cls-effective": f"{SAMPLED} --sampling effective --effective-beta 0.99",
}
FIGURES = (
    *("n", "accuracy", "balanced_accuracy", "auc", "dice", "psnr", "mse"),
    *("per_class", "floors", "suggestion", "lowest_at", "history", "rows", "differences"),
)
KINDS = ("metrics.json", "lr_find.json", "pretrain.json", "sweep.json", "compare.json")


def command(name: str, data: Path, runs: Path) -> list[str]:
    """Return the arguments of `tinymed` of a row."""
    words = [word.replace("DATA/", f"{data}/").replace("RUNS/", f"{runs}/") for word in shlex.split(ROWS[name])]
    loading = [] if words[0] == "pretrain" else ["--threads", "1", "--workers", "0"]
    return [*words, *loading, "--out", str(runs / name)]


def result(folder: Path) -> Path:
    """Return the file that a finished run of a row leaves."""
    return next((folder / kind for kind in KINDS if (folder / kind).exists()), folder / KINDS[0])


def train(name: str, data: Path, runs: Path) -> None:
    """Run a row's command unless its result is there."""
    if not result(runs / name).exists():
        line = [sys.executable, "-m", "tinymed", *command(name, data, runs)]
        subprocess.run(line, env=os.environ | dict.fromkeys(THREADS, "1"), check=True, stdout=subprocess.DEVNULL)


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return of a part's measures those that the page has, with their intervals."""
    kept = {key: found[key] for key in FIGURES if key in found}
    return kept | {f"{key}_interval": found[f"{key}_interval"] for key in kept if f"{key}_interval" in found}


def collect(runs: Path) -> list[dict[str, Any]]:
    """Return a row for each finished run: the command, and what it reached on test, or where none is looked at."""
    rows = []
    for name, options in ROWS.items():
        file = result(runs / name)
        if file.exists():
            found = json.loads(file.read_text("utf-8"))
            rows.append({"row": name, "command": f"tinymed {options}", **figures(found.get("test", found))})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    chosen = [o.only] if o.only else list(ROWS)
    if o.list:
        print("\n".join(f"{name}: tinymed {shlex.join(command(name, o.data, o.runs))}" for name in chosen))
        return
    for name in [] if o.collect else chosen:
        train(name, o.data, o.runs)
    save(RESULT, {"machine": machine(), "rows": collect(o.runs)})


if __name__ == "__main__":
    main()
