"""What learning without labels is worth, by the command line: MNIST's digits, the hippocampus, lesions of the breast.

    python benchmarks/unsupervised.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/unsupervised.py DATA RUNS --collect  only collects: benchmarks/results/unsupervised.json

DATA holds one folder a data set, each with its splits.csv.

1. digits: the same sigmoid network from random weights and from a deep belief network that saw PRETRAINED images without
   labels; both then learn from LABELLED labels, with one recipe, three seeds, measured on MNIST's 10,000 test images.
2. hippocampus: auto-encoders of patches of MRI volumes, each beside as many principal components as its code has
   numbers; intervals are over volumes.
3. breast: the plan of Avendi et al. 2016 on ultrasound, for want of public ventricles: an auto-encoder's weights begin a
   network that draws the lesion's mask, and a level set moves on from there, held by that shape.  The floor is the mean
   mask of the training images.
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

PRETRAINED, LABELLED, SEEDS = 5_000, (500, 5_000), (0, 1, 2)
HIDDEN = "hidden=300,300,300"
TUNE = ["--size", "28", "--head", "softmax", "--positive", "1", "--batch", "50", "--workers", "0", "--option", HIDDEN]
TUNE += ["--backend", "numpy"]
EPOCHS = {500: "60", 5_000: "15"}
PATCHES = ["--task", "reconstruction", "--patches", "40", "--size", "16", "--batch", "100", "--workers", "0"]
PATCHES += ["--backend", "numpy", "--epochs", "30", "--lr", "2e-3"]
RELU = ["--option", "activation=relu"]
CODERS = {
    "sae": ["sae", "--option", "hidden=256,128,16", *RELU],
    "sae_denoising": ["sae", "--option", "hidden=256,128,16", *RELU, "--corrupt", "mask"],
    "sae_sparse": [
        *("sae", "--option", "hidden=128", "--option", "code=same"),
        *("--sparsity", "0.1", "--sparsity-weight", "0.03"),
    ],
    "conv_autoencoder": ["conv_autoencoder", "--option", "channels=1"],
    "sae_shin": ["sae_shin", "--rgb", "--option", "visual=32", "--option", "temporal=2"],
}
MASKS = ["--task", "segmentation", "--size", "64", "--head", "sigmoid", "--grey", "--batch", "32", "--workers", "0"]
MASKS += ["--epochs", "30", "--loss", "dice", "--flip", "--rotate", "15", "--normalise", "--backend", "numpy"]
SPARSE = [
    "--by",
    "autoencoder",
    "--normalise",
    "--grey",
    "--epochs",
    "20",
    "--backend",
    "numpy",
    "--sparsity-weight",
    "3",
]


def write_digits(data: Path, runs: Path, count: int) -> Path:
    """Write a list of the first images of MNIST's training part, 2,000 others to validate on, and the test part."""
    folder, path = data.absolute() / "mnist", runs / f"mnist{count}.csv"
    train, test = (
        [str(folder / f"{part}-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        for part in ("train", "t10k")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["images", "labels", "start", "stop", "split"])
        rows = [(train, 0, count, "train"), (train, 55_000, 57_000, "val"), (test, 0, 10_000, "test")]
        writer.writerows([*files, start, stop, split] for files, start, stop, split in rows)
    return path


def commands(data: Path, runs: Path) -> dict[str, list[str]]:
    """Return {name of a run: the command}, in the order in which they need each other."""
    found: dict[str, list[str]] = {}
    for seed in SEEDS:
        unlabelled = ["--data", str(write_digits(data, runs, PRETRAINED)), "--seed", str(seed)]
        found[f"digits-dbn-{seed}"] = ["pretrain", "mlp", *unlabelled, "--epochs", "10", "--option", HIDDEN]
        for count in LABELLED:
            listed = ["--data", str(write_digits(data, runs, count)), "--seed", str(seed), "--epochs", EPOCHS[count]]
            weights = ["--init", str(runs / f"digits-dbn-{seed}" / "weights.safetensors")]
            found[f"digits-{count}-random-{seed}"] = ["train", "mlp", *TUNE, *listed]
            found[f"digits-{count}-pretrained-{seed}"] = ["train", "mlp", *TUNE, *listed, *weights]
    for name, options in CODERS.items():
        found[f"hippocampus-{name}"] = ["train", *options, *PATCHES, "--data", str(data / "hippocampus_3d")]
    breast = ["--data", str(data / "busi_ultrasound")]
    found["breast-pretrained"] = ["pretrain", "avendi_sae", *SPARSE, *breast]
    weights = ["--init", str(runs / "breast-pretrained" / "weights.safetensors")]
    found["breast-sae-random"] = ["train", "avendi_sae", *MASKS, *breast]
    found["breast-sae-pretrained"] = ["train", "avendi_sae", *MASKS, *breast, *weights]
    found["breast-localiser"] = ["train", "avendi_localiser", "--option", "full_size=true", *MASKS, *breast]
    return found


def run_all(data: Path, runs: Path, chosen: str) -> None:
    """Run what is not there yet, of the runs whose names begin with `chosen`."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for name, command in commands(data, runs).items():
        done = "weights.safetensors" if command[0] == "pretrain" else "metrics.json"
        if name.startswith(chosen) and not (runs / name / done).exists():
            line = [sys.executable, "-m", "tinymed", *command, "--out", str(runs / name)]
            subprocess.run(line, env=environment, check=True, stdout=subprocess.DEVNULL)
