"""What learning without labels is worth, by the command line: MNIST's digits, the hippocampus, lesions of the breast.

    python benchmarks/unsupervised.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/unsupervised.py DATA RUNS --collect  only collects: benchmarks/results/unsupervised.json

DATA holds one folder a data set, each with its splits.csv.

1. digits: the same sigmoid network from random weights and from a deep belief network that saw PRETRAINED images
   without labels; both then learn from LABELLED labels by one recipe, and are measured on MNIST's 10,000 test images.
2. hippocampus: auto-encoders of patches of MRI volumes, each beside as many principal components as its code has
   numbers; intervals are over volumes.
3. breast: the plan of Avendi et al. 2016 on ultrasound, for want of ventricles: an auto-encoder's weights begin a
   network that draws the lesion's mask, and a level set moves on from there, held by that shape.  The floor is the
   training images' mean mask, cut where its Dice on them is highest.  All at 64 pixels.
"""

import argparse
import csv
import json
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
TUNE += ["--backend", "numpy", "--recipe", "paper"]
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
    """Write a list of the first images of MNIST's training part, 500 others to validate on, and the test part."""
    folder, path = data.absolute() / "mnist", runs / f"mnist{count}.csv"
    train, test = (
        [str(folder / f"{part}-{kind}.gz") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
        for part in ("train", "t10k")
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["images", "labels", "start", "stop", "split"])
        rows = [(train, 0, count, "train"), (train, 55_000, 55_500, "val"), (test, 0, 10_000, "test")]
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


# ------------------------------------------------------------------------------------------------------ the results


def measured(folder: Path) -> tuple[Any, Any, Any]:
    """Return (run, network, test images) of a finished run."""
    from tinymed.train.run import Run

    run = Run.open(folder)
    return run, run.load_model(), run.images()


def trained(folder: Path) -> bool:
    """Return whether a run has done all of its epochs."""
    from tinymed.train.checkpoint import NEWEST, load_checkpoint

    path = folder / "checkpoints" / NEWEST
    if not path.exists():
        return False
    tree = load_checkpoint(path)
    return bool(tree["progress"]["epoch"] == tree["config"]["epochs"])


def right_digits(folder: Path) -> np.ndarray:
    """Return which test images a classifier gets right, 0 or 1."""
    from tinymed.tasks.base.picture import picture_loader
    from tinymed.tasks.inference.class_scores import predict_scores

    run, model, images = measured(folder)
    scores, labels, _ = predict_scores(model, picture_loader(images, run.config), run.task.head(run.config, model))
    return (scores.argmax(axis=1) == labels).astype(float)


def interval_of_mean(values: np.ndarray, seed: int = 0) -> list[float]:
    """Return the 95 % interval of the mean over images, by the bootstrap."""
    from tinymed.metrics.intervals import bootstrap_values, percentile_interval

    drawn = bootstrap_values({"mean": lambda rows: values[rows].mean(axis=1)}, len(values), seed=seed)
    return [round(end, 5) for end in percentile_interval("mean", drawn["mean"])]


def collect_digits(runs: Path) -> list[dict[str, Any]]:
    """Return errors of both beginnings, means over seeds, and the paired difference with its interval over images."""
    rows = []
    for count in LABELLED:
        seeds = [
            seed
            for seed in SEEDS
            if all(trained(runs / f"digits-{count}-{way}-{seed}") for way in ("random", "pretrained"))
        ]
        if not seeds:
            continue
        wrong = {
            way: 1 - np.mean([right_digits(runs / f"digits-{count}-{way}-{seed}") for seed in seeds], axis=0)
            for way in ("random", "pretrained")
        }
        row: dict[str, Any] = {
            "labels": count,
            "unlabelled": PRETRAINED,
            "seeds": len(seeds),
            "n": len(wrong["random"]),
        }
        for way, values in wrong.items():
            row |= {f"error_{way}": round(values.mean(), 5), f"error_{way}_interval": interval_of_mean(values)}
        gain = wrong["random"] - wrong["pretrained"]
        rows.append(row | {"gain": round(gain.mean(), 5), "gain_interval": interval_of_mean(gain)})
    return rows


def collect_coders(runs: Path) -> list[dict[str, Any]]:
    """Return the measures of each auto-encoder on its test patches."""
    rows = []
    for name in CODERS:
        path = runs / f"hippocampus-{name}" / "metrics.json"
        if path.exists():
            found = json.loads(path.read_text())["test"]
            keys = ("n", "groups", "mse", "mse_interval", "psnr", "psnr_interval", "floors")
            rows.append({"network": name, **{key: found[key] for key in keys}})
    return rows


def breast_images(dataset: Any, data: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return grey images from 0 to 1 and masks of lesions, [n, size, size]; a pixel is a lesion's by its majority."""
    from tinymed.data.image import prepare

    size, images, masks = data.size, [], []
    for i in range(len(dataset)):
        image, mask = dataset.pair(i)
        images.append(prepare(image, size, 1)[..., 0] / 255)
        masks.append(prepare((255 * (mask > 0)).astype(np.uint8)[..., None], size, 1)[..., 0] > 127)
    return np.stack(images), np.stack(masks)


def dice(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Return the overlap of each mask with the truth; 1 where both are empty."""
    both, sizes = (found & true).sum(axis=(1, 2)), found.sum(axis=(1, 2)) + true.sum(axis=(1, 2))
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def collect_breast(runs: Path) -> list[dict[str, Any]]:
    """Return the overlap of each stage's masks, beside the floor."""
    from tinymed.metrics.distance_transform import distance_transform
    from tinymed.unsupervised import chan_vese

    ways, rows, floor = ("localiser", "sae-random", "sae-pretrained"), [], None
    for way in ways:
        folder = runs / f"breast-{way}"
        if not trained(folder):
            continue
        run, model, test = measured(folder)
        data = run.config.data
        images, true = breast_images(test, data)
        if floor is None:
            _, train = breast_images(run.splits()["train"], data)
            mean = train.mean(axis=0)
            cuts = np.linspace(0.05, 0.95, 19) * mean.max()
            best = max(cuts, key=lambda cut: dice(np.broadcast_to(mean > cut, train.shape), train).mean())
            floor = dice(np.broadcast_to(mean > best, true.shape), true)
            rows.append({"way": "mean mask", "dice": floor.mean(), "interval": interval_of_mean(floor)})
        mean, std = np.array(data.mean), np.array(data.std)
        scores = run.task.predictor(run.config, model).scores(((images - mean) / std).astype(np.float32)[:, None])
        drawn = {way: scores[:, 1] > 0.5}
        if way.startswith("sae"):
            moved = []
            for image, mask in zip(images, drawn[way], strict=True):
                shape = (
                    np.clip(distance_transform(~mask) - distance_transform(mask), -5, 5) if mask.any() else mask - 1.0
                )
                phi = chan_vese(image, shape, length=0.2, step=1.0, iterations=100, prior=shape, prior_weight=0.02)
                moved.append(phi > 0)
            drawn[f"{way}, level set"] = np.stack(moved)
        for name, masks in drawn.items():
            values = dice(masks, true)
            row: dict[str, Any] = {"way": name, "dice": values.mean(), "interval": interval_of_mean(values)}
            row |= {"gain": (values - floor).mean(), "gain_interval": interval_of_mean(values - floor)}
            rows.append(row | {"n": len(values)})
    return rows


def main() -> None:
    """Train what is missing, then write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", default="", help="of the runs whose names begin with this")
    parser.add_argument("--collect", action="store_true", help="train nothing")
    given = parser.parse_args()
    if not given.collect:
        run_all(given.data.absolute(), given.runs.absolute(), given.only)
    parts = {"digits": collect_digits, "hippocampus": collect_coders, "breast": collect_breast}
    save(
        RESULTS / "unsupervised.json", {"machine": machine()} | {name: part(given.runs) for name, part in parts.items()}
    )


if __name__ == "__main__":
    main()
