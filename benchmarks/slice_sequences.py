"""Is the structure in this slice?  A sequence network along the slices against two floors, on hippocampus_3d.

    python benchmarks/slice_sequences.py FOLDER [--epochs 12] [--out results/slice_sequences.json]

FOLDER holds splits.csv (path, mask, split) and the volumes it names.  Each slice along z of a volume has the label
"some voxel of the structure lies in it".  Three answers for the test volumes:

    position    how often a training slice at the same relative position holds the structure: no pixel is looked at
    slices      the convolutions of `cnn_bigru` and a linear layer, on single slices
    cnn_bigru   the same convolutions, and a bidirectional GRU along the slices

Both networks have the same recipe, epochs and split; the epoch is the one of least loss on the validation volumes.
Accuracy is that of all test slices; its interval, and that of each difference, resamples volumes, whose slices are not
independent.
"""

import argparse
import csv
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import peers

import tinymed
from tinymed import nn, optim
from tinymed.data.volumes import read_values, read_volume
from tinymed.models import CNNBiGRU
from tinymed.nn import functional as F

SIDE, BATCH, RATE, BINS = 32, 8, 2e-3, 20


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """Return slices (D, H, W) cropped or padded in their middle to side x side."""
    for axis in (1, 2):
        n = image.shape[axis]
        if n > side:
            image = image.take(range((n - side) // 2, (n - side) // 2 + side), axis)
        else:
            room = side - n
            image = np.pad(image, [(room // 2, room - room // 2) if a == axis else (0, 0) for a in range(3)])
    return image


def load(folder: Path, axis: int = 0) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return {split: [(slices (D, side, side) of mean 0 and deviation 1, labels (D,))]}.

    axis: of the array that read_volume gives, along which slices are taken.
    """
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            image = np.moveaxis(np.asarray(read_volume(folder / row["path"]).values, np.float32).squeeze(), axis, 0)
            mask = np.moveaxis(read_values(folder / row["mask"])[0].squeeze(), axis, 0)
            image = (image - image.mean()) / image.std()
            labels = (mask > 0).any((1, 2)).astype(np.int64)
            found.setdefault(row["split"], []).append((fitted(image, SIDE), labels))
    return found


class Slices(nn.Module):
    """The convolutions of cnn_bigru and a linear layer: every slice by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.features = CNNBiGRU().features
        self.classifier = nn.Linear(64, 2)

    def forward(self, input: Any) -> Any:
        n, c, depth, *sides = input.shape
        found = self.features(F.reshape(F.permute(input, (0, 2, 1, 3, 4)), (n * depth, c, *sides)))
        return F.permute(F.reshape(self.classifier(found), (n, depth, 2)), (0, 2, 1))


def batches(cases: list[Any], rng: np.random.Generator | None) -> Any:
    """Yield (volumes (N, 1, D, H, W), labels (N, D), -100 beyond a volume's end), volumes of like depth together."""
    order = np.argsort([len(labels) for _, labels in cases], kind="stable")
    groups = [order[i : i + BATCH] for i in range(0, len(order), BATCH)]
    for group in rng.permutation(len(groups)) if rng else range(len(groups)):
        chosen = [cases[i] for i in groups[group]]
        depth = max(len(labels) for _, labels in chosen)
        x = np.zeros((len(chosen), 1, depth, SIDE, SIDE), np.float32)
        y = np.full((len(chosen), depth), -100)
        for i, (image, labels) in enumerate(chosen):
            x[i, 0, : len(labels)], y[i, : len(labels)] = image, labels
        yield groups[group], x, y


def answers(model: nn.Module, cases: list[Any]) -> tuple[list[np.ndarray], float]:
    """Return (probability of each slice of each volume, mean loss)."""
    found: list[Any] = [None] * len(cases)
    total, count = 0.0, 0
    with tinymed.no_grad():
        for indices, x, y in batches(cases, None):
            scores = model(tinymed.tensor(x))
            total += F.cross_entropy(scores, tinymed.tensor(y), ignore_index=-100, reduction="sum").item()
            count += int((y >= 0).sum())
            p = F.softmax(scores, 1).numpy()[:, 1]
            for i, row in zip(indices, p, strict=True):
                found[i] = row[: len(cases[i][1])]
    return found, total / count


def train(model: nn.Module, sets: Any, epochs: int, seed: int) -> tuple[list[np.ndarray], dict[str, Any]]:
    """Return the answers for the test volumes of the epoch of least validation loss."""
    rng, optimizer = np.random.default_rng(seed), optim.Adam(model.parameters(), lr=RATE)
    best, start = (np.inf, -1, []), time.perf_counter()
    for epoch in range(epochs):
        model.train()
        for _, x, y in batches(sets["train"], rng):
            optimizer.zero_grad()
            F.cross_entropy(model(tinymed.tensor(x)), tinymed.tensor(y), ignore_index=-100).backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        model.eval()
        loss = answers(model, sets["val"])[1]
        if loss < best[0]:
            best = (loss, epoch, answers(model, sets["test"])[0])
        print(f"{type(model).__name__} epoch {epoch}: validation loss {loss:.4f}", flush=True)
    seconds = round(time.perf_counter() - start)
    return best[2], {"epoch": best[1], "validation_loss": round(best[0], 4), "seconds": seconds}


def positions(sets: Any) -> list[np.ndarray]:
    """Return for each test slice the frequency among training slices at its relative position."""
    hits, counts = np.zeros(BINS), np.zeros(BINS)
    for _, labels in sets["train"]:
        bins = np.arange(len(labels)) * BINS // len(labels)
        np.add.at(hits, bins, labels)
        np.add.at(counts, bins, 1)
    rate = hits / np.maximum(counts, 1)
    return [rate[np.arange(len(labels)) * BINS // len(labels)] for _, labels in sets["test"]]


def interval(values: np.ndarray, weights: np.ndarray, seed: int = 0) -> list[float]:
    """Return the 95 % interval of a weighted mean over volumes, by the bootstrap."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, len(values), (5000, len(values)))
    means = values[drawn].sum(1) / weights[drawn].sum(1)
    return [round(float(v), 4) for v in np.percentile(means, [2.5, 97.5])]


def compare(found: dict[str, list[np.ndarray]], sets: Any) -> dict[str, Any]:
    """Return accuracies and their differences, with intervals over volumes."""
    truth = [labels for _, labels in sets["test"]]
    sizes = np.array([len(t) for t in truth], float)
    right = {
        name: np.array([((p >= 0.5) == t).sum() for p, t in zip(answer, truth, strict=True)], float)
        for name, answer in found.items()
    }
    rows: dict[str, Any] = {
        name: {"accuracy": round(float(r.sum() / sizes.sum()), 4), "interval": interval(r, sizes)}
        for name, r in right.items()
    }
    for floor in ("position", "slices"):
        gain = right["cnn_bigru"] - right[floor]
        rows["cnn_bigru"][f"gain_over_{floor}"] = round(float(gain.sum() / sizes.sum()), 4)
        rows["cnn_bigru"][f"gain_over_{floor}_interval"] = interval(gain, sizes)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sets = load(options.folder)
    found, trained = {"position": positions(sets)}, {}
    for name, build in (("slices", Slices), ("cnn_bigru", lambda: CNNBiGRU(per_slice=True))):
        tinymed.manual_seed(options.seed)
        found[name], trained[name] = train(build(), sets, options.epochs, options.seed)
    slices = np.concatenate([labels for _, labels in sets["test"]])
    report = {
        "machine": peers.machine(),
        "data": "hippocampus_3d, slices along the first axis",
        "volumes": {name: len(cases) for name, cases in sets.items()},
        "test_slices": len(slices),
        "with_structure": round(float(slices.mean()), 4),
        "epochs": options.epochs,
        "seed": options.seed,
        "threads": os.environ.get("NUMBA_NUM_THREADS", "all"),
        "trained": trained,
        "results": compare(found, sets),
    }
    text = json.dumps(report, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
