"""A landmark in a volume, found by three networks that see flat pictures: Yang's three planes.

    python examples/20_three_planes.py              volumes made on the spot: a faint ball among other things
    python examples/20_three_planes.py FOLDER       FOLDER is hippocampus_3d: splits.csv and NIfTI files (nibabel);
                                                    the landmark is the middle of the anterior part

Teaches: how a question about a volume becomes questions about pictures.  A landmark is where three planes meet.  For
each axis one network says of every slice across it how near the landmark's slice is; the slice with the highest score
is the plane, and three planes meet in a point.  Each network is a small 2-D network, and every volume gives dozens of
training pictures.  The floor is the mean place of the landmark in training: volumes are cropped, so that it is not far.

Yang, Zhang & Huang, "Automated anatomical landmark detection on distal femur surface using convolutional neural
network", ISBI 2015.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import tinymed
from tinymed import nn, optim
from tinymed.data import read_volume
from tinymed.nn import functional as F

BATCH, STEPS, WIDTH, SEED = 32, 120, 1.5, 0  # WIDTH: slices over which the wanted score falls
NAMES = ("first", "second", "third")


def made(count, side=24, seed=0):
    """Yield volumes of noise with a dim ball, which is the landmark, and two bright cubes, and the landmark's place."""
    rng = np.random.default_rng(seed)
    grid = np.stack(np.meshgrid(*[np.arange(side)] * 3, indexing="ij"))
    for _ in range(count):
        place = rng.uniform(5, side - 6, 3)
        volume = rng.normal(0, 0.5, (side,) * 3)
        volume += 2.0 * np.exp(-((grid - place.reshape(3, 1, 1, 1)) ** 2).sum(0) / 10)
        for _ in range(2):
            low = rng.integers(0, side - 5, 3)
            volume[tuple(slice(a, a + 5) for a in low)] += 1.0
        yield volume.astype(np.float32), place


def read(folder):
    """Return {part: [(volume, place)]} of hippocampus_3d, every volume of mean 0, deviation 1 and one size."""
    found = {"train": [], "test": []}
    with (folder / "splits.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] in found]
    size = (44, 60, 48)
    for row in rows:
        image = read_volume(folder / row["path"]).values[..., 0]
        label = read_volume(folder / row["mask"]).values[..., 0]
        place = np.argwhere(label == 1).mean(0)
        image = (image - image.mean()) / image.std()
        before = [(wanted - have) // 2 for wanted, have in zip(size, image.shape, strict=True)]
        volume = np.zeros(size, np.float32)
        volume[tuple(slice(b, b + n) for b, n in zip(before, image.shape, strict=True))] = image
        found[row["split"]].append((volume, place + before))
    return found


def network(height, width):
    """Return a network that gives one score a slice."""
    sides = [((n - 4) // 2 - 2) // 2 for n in (height, width)]
    return nn.Sequential(
        nn.Conv2d(1, 8, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(16 * sides[0] * sides[1], 32),
        nn.ReLU(),
        nn.Linear(32, 1),
    )


def slices(volume, axis):
    """Return a volume's slices across an axis as pictures (N, 1, H, W)."""
    return np.ascontiguousarray(np.moveaxis(volume, axis, 0)[:, None])


def train(volumes, axis, steps):
    """Return the network of one axis; half of a batch are slices near the landmark's."""
    rng = np.random.default_rng(SEED + axis)
    model = network(*slices(volumes[0][0], axis).shape[2:])
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(steps):
        pictures, wanted = [], []
        for near in [True, False] * (BATCH // 2):
            volume, place = volumes[rng.integers(len(volumes))]
            n = volume.shape[axis]
            at = int(np.clip(np.rint(place[axis] + rng.normal(0, 2)), 0, n - 1)) if near else rng.integers(n)
            pictures.append(slices(volume, axis)[at])
            wanted.append(np.exp(-((at - place[axis]) ** 2) / (2 * WIDTH**2)))
        scores = model(tinymed.tensor(np.stack(pictures)))
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(scores[:, 0], tinymed.tensor(np.float32(wanted))).backward()
        optimizer.step()
    return model.eval()


def plane(model, volume, axis):
    """Return the place along an axis: the mean place of slices, weighted by their scores around the highest."""
    with tinymed.no_grad():
        score = F.sigmoid(model(tinymed.tensor(slices(volume, axis)))).numpy()[:, 0].astype(np.float64)
    best = int(np.convolve(score, [0.25, 0.5, 0.25], "same").argmax())
    near = np.arange(max(0, best - 2), min(len(score), best + 3))
    return float((score[near] * near).sum() / max(score[near].sum(), 1e-12))


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="hippocampus_3d; default: volumes made on the spot")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"optimiser steps of each network (default {STEPS})")
    options = parser.parse_args()
    parts = read(options.folder) if options.folder else {"train": list(made(60)), "test": list(made(40, seed=1))}
    tinymed.manual_seed(SEED)
    models = [train(parts["train"], axis, options.steps) for axis in range(3)]
    truth = np.array([place for _, place in parts["test"]])
    found = np.array([[plane(models[axis], volume, axis) for axis in range(3)] for volume, _ in parts["test"]])
    floor = np.mean([place for _, place in parts["train"]], axis=0)
    for axis, name in enumerate(NAMES):
        print(f"    {name} axis: {np.abs(found[:, axis] - truth[:, axis]).mean():.2f} slices off on average")
    ours, theirs = (np.linalg.norm(p - truth, axis=1) for p in (found, np.broadcast_to(floor, truth.shape)))
    drawn = np.random.default_rng(0).integers(0, len(truth), (2000, len(truth)))
    ends = {}
    for name, values in (("three planes", ours), ("mean place of training", theirs), ("gain", theirs - ours)):
        ends[name] = np.percentile(values[drawn].mean(1), [2.5, 97.5])
        print(f"{name:24s} {values.mean():.2f} voxels  [{ends[name][0]:.2f}, {ends[name][1]:.2f}]")
    print(f"{len(parts['train'])} volumes to learn from, {len(truth)} to judge by")
    if options.folder is None:
        assert ends["gain"][0] > 1, "three planes must beat the mean place"
    print("Lesson: a point in space is three questions about slices, and each volume holds many answers to learn from.")


if __name__ == "__main__":
    main()
