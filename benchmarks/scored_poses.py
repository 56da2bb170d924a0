"""Where is the lesion, and where its border: hypotheses scored by deep belief networks (after Carneiro et al. 2012).

    python benchmarks/scored_poses.py DATA/busi_ultrasound [--epochs 30]

Theirs are left ventricles in ultrasound; lesions of the breast stand in.  A pose is a place, two half-axes and a turn.
Three networks, each learnt layer by layer without labels and then tuned:

    coarse   what a pose shows in 8 x 8 points -> its overlap with the true pose
    fine     the same in 16 x 16 points
    border   profiles along 32 rays of a pose, each with its two neighbours -> where on it the border lies

Poses of a grid are scored by the coarse network; the KEPT best climb by the fine one: along the gradient with respect
to the pose, or by Newton's method, both by differences (tinymed/unsupervised/climb.py).  The border found along the
rays of the best is replaced by the nearest radii that principal components of the training borders allow.  Measured is
Dice of the ellipse and of the border on the test images at 64 pixels; the floor is the mean training mask at its best
threshold.
The same from random weights stands beside it.  Writes benchmarks/results/scored_poses.json.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, figures, keep
from PIL import Image

import tinymed
from tinymed import models, optim
from tinymed.data.principal import PrincipalComponents
from tinymed.nn import functional as F
from tinymed.unsupervised import DBN
from tinymed.unsupervised.climb import climb

SIDE, RAYS, PLACES, MODES = 64, 32, 24, 8
REACH = 1.6  # what a network sees of a pose: so many half-axes
RADII = np.linspace(0.3, 2.0, PLACES)  # where a border is looked for along a ray, in half-axes
KEPT, ROUNDS = 8, 12
STEPS = np.array([1.0, 1.0, 0.08, 0.08, 0.1])  # of the derivative: pixels, logarithms of half-axes, radians
SPREAD = np.array([6.0, 6.0, 0.35, 0.35, 0.25])  # of training poses about the true one


def read(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return {part: (images [n, SIDE, SIDE] of mean 0 and deviation 1, masks)}."""
    found: dict[str, list[Any]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            image = np.asarray(Image.open(folder / row["path"]).convert("L").resize((SIDE, SIDE)), np.float64)
            mask = np.asarray(Image.open(folder / row["mask"]).convert("L").resize((SIDE, SIDE)), np.float64) > 127
            if mask.any():
                found.setdefault(row["split"], []).append(((image - image.mean()) / image.std(), mask))
    return {part: (np.stack([i for i, _ in pairs]), np.stack([m for _, m in pairs])) for part, pairs in found.items()}


def pose_of(mask: np.ndarray) -> np.ndarray:
    """Return (row, column, log half-axis, log half-axis, turn) of the ellipse with a mask's second moments."""
    points = np.argwhere(mask).astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(points.T) + np.eye(2) / 12)
    turn = np.arctan2(axes[0, 1], axes[1, 1])  # of the long axis, from the columns on
    turn = (turn + np.pi / 2) % np.pi - np.pi / 2
    short, long = 2 * np.sqrt(values)
    return np.array([*points.mean(0), np.log(short), np.log(long), turn])


def points_of(poses: np.ndarray, local: np.ndarray) -> np.ndarray:
    """Return [poses, points, 2], rows and columns of points that are given in half-axes (short, long) of a pose."""
    short, long = np.exp(poses[:, 2:3]), np.exp(poses[:, 3:4])
    cos, sin = np.cos(poses[:, 4:5]), np.sin(poses[:, 4:5])
    v, u = local[:, 0] * short, local[:, 1] * long
    return np.stack([poses[:, 0:1] + v * cos + u * sin, poses[:, 1:2] - v * sin + u * cos], -1)


def sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return an image's values at points [..., 2], bilinearly; beyond its border the nearest."""
    at = np.clip(points, 0, SIDE - 1.001)
    low = at.astype(int)
    (r, c), (a, b) = np.moveaxis(low, -1, 0), np.moveaxis(at - low, -1, 0)
    top = image[r, c] * (1 - b) + image[r, c + 1] * b
    values: np.ndarray = top * (1 - a) + (image[r + 1, c] * (1 - b) + image[r + 1, c + 1] * b) * a
    return values


def grid(side: int) -> np.ndarray:
    """Return the points [side^2, 2] at which a network looks at a pose, in half-axes."""
    line = np.linspace(-REACH, REACH, side)
    return np.stack(np.meshgrid(line, line, indexing="ij"), -1).reshape(-1, 2)


def squashed(values: np.ndarray) -> np.ndarray:
    """Return values as probabilities, which machines of binary units take."""
    return (1 / (1 + np.exp(-1.5 * values))).astype(np.float32)


def ellipse(pose: np.ndarray) -> np.ndarray:
    """Return the mask of a pose."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = rows - pose[0], columns - pose[1]
    v = (y * np.cos(pose[4]) - x * np.sin(pose[4])) / np.exp(pose[2])
    u = (y * np.sin(pose[4]) + x * np.cos(pose[4])) / np.exp(pose[3])
    return np.asarray(u**2 + v**2 <= 1)


def overlap(one: np.ndarray, two: np.ndarray) -> float:
    """Return the pixels of both masks over those of either."""
    return float((one & two).sum() / max((one | two).sum(), 1))


def dice(one: np.ndarray, two: np.ndarray) -> float:
    """Return the Dice coefficient of two masks."""
    return float(2 * (one & two).sum() / max(one.sum() + two.sum(), 1))


def network(rows: np.ndarray, wanted: np.ndarray, outputs: int, o: Any, pretrained: bool) -> Any:
    """Return a network of rows [n, numbers] tuned to what is wanted: overlaps, or the number of a place."""
    tinymed.manual_seed(o.seed)
    model = models.create("mlp", size=1, in_channels=rows.shape[1], num_classes=outputs, hidden="100,100")
    if pretrained:
        belief = DBN([rows.shape[1], 100, 100], seed=o.seed)
        belief.pretrain(rows, epochs=10, lr=0.05, seed=o.seed)
        belief.unroll(model)
    optimizer, rng = optim.Adam(model.parameters(), lr=1e-3), np.random.default_rng(o.seed)
    for _ in range(o.epochs):
        for chosen in np.array_split(rng.permutation(len(rows)), len(rows) // 100):
            scores = model(tinymed.tensor(rows[chosen][:, :, None, None]))
            optimizer.zero_grad()
            if outputs == 1:
                target = tinymed.tensor(wanted[chosen].astype(np.float32))
                F.binary_cross_entropy_with_logits(scores[:, 0], target).backward()
            else:
                F.cross_entropy(scores, tinymed.tensor(wanted[chosen])).backward()
            optimizer.step()
    return model.eval()


def answer(model: Any, rows: np.ndarray) -> np.ndarray:
    """Return a network's outputs for rows."""
    with tinymed.no_grad():
        return np.asarray(model(tinymed.tensor(rows[:, :, None, None])).numpy(), np.float64)


def training_poses(images: np.ndarray, masks: np.ndarray, each: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each image (poses, overlaps with the true one): near it, at its size elsewhere, and anywhere."""
    rng, found = np.random.default_rng(seed), []
    true = np.stack([pose_of(mask) for mask in masks])
    for pose in true:
        near = pose + rng.normal(0, 1, (each, 5)) * SPREAD * rng.uniform(0.1, 1, (each, 1))
        far = true[rng.integers(0, len(true), each)] + rng.normal(0, 1, (each, 5)) * SPREAD
        far[:, :2] = rng.uniform(4, SIDE - 5, (each, 2))
        poses = np.concatenate([near, far])
        mask = ellipse(pose)
        found.append((poses, np.array([overlap(ellipse(p), mask) for p in poses])))
    return found


def profiles(image: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return [RAYS, 3 PLACES]: what lies along each ray and its neighbours."""
    angles = 2 * np.pi * np.arange(RAYS) / RAYS
    rays = np.stack([np.sin(angles), np.cos(angles)], -1)[:, None] * RADII[:, None]
    values = squashed(sample(image, points_of(pose[None], rays.reshape(-1, 2))[0]).reshape(RAYS, PLACES))
    return np.concatenate([np.roll(values, 1, 0), values, np.roll(values, -1, 0)], 1)


def radii_of(mask: np.ndarray, pose: np.ndarray) -> np.ndarray:
    """Return where the mask ends along each ray, in half-axes: the last place inside."""
    angles, fine = 2 * np.pi * np.arange(RAYS) / RAYS, np.linspace(RADII[0], RADII[-1], 120)
    rays = np.stack([np.sin(angles), np.cos(angles)], -1)[:, None] * fine[:, None]
    inside = sample(mask.astype(np.float64), points_of(pose[None], rays.reshape(-1, 2))[0]).reshape(RAYS, -1) > 0.5
    last = np.where(inside.any(1), inside.shape[1] - 1 - inside[:, ::-1].argmax(1), 0)
    return np.asarray(fine[last])


def inside_of(pose: np.ndarray, radii: np.ndarray) -> np.ndarray:
    """Return the mask inside a border."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    y, x = rows - pose[0], columns - pose[1]
    v = (y * np.cos(pose[4]) - x * np.sin(pose[4])) / np.exp(pose[2])
    u = (y * np.sin(pose[4]) + x * np.cos(pose[4])) / np.exp(pose[3])
    at = (np.arctan2(v, u) % (2 * np.pi)) * RAYS / (2 * np.pi)
    border = np.interp(at, np.arange(RAYS + 1), np.append(radii, radii[0]))
    return np.asarray(np.hypot(u, v) <= border)


def found_masks(
    sets: Any, o: Any, pretrained: bool, methods: Sequence[Any]
) -> tuple[dict[str, list[np.ndarray]], dict[str, float]]:
    """Return (masks of the test images {"METHOD ellipse", "METHOD border"}, {METHOD: the mean score it reached})."""
    images, masks = sets["train"]
    poses = training_poses(images, masks, 12, o.seed)
    scored = {}
    for side in (8, 16):
        rows = np.concatenate(
            [squashed(sample(image, points_of(p, grid(side)))) for image, (p, _) in zip(images, poses, strict=True)]
        )
        scored[side] = network(rows, np.concatenate([w for _, w in poses]), 1, o, pretrained)
    rng = np.random.default_rng(o.seed)
    rays, wanted, shapes = [], [], []
    for image, mask in zip(images, masks, strict=True):
        true = pose_of(mask)
        shapes.append(radii_of(mask, true))
        for _ in range(4):  # poses as the search leaves them: near the true one
            pose = true + rng.normal(0, 0.3, 5) * SPREAD
            rays.append(profiles(image, pose))
            wanted.append(np.abs(RADII - radii_of(mask, pose)[:, None]).argmin(1))
    border = network(np.concatenate(rays), np.concatenate(wanted), PLACES, o, pretrained)
    components = PrincipalComponents(np.stack(shapes), MODES)
    true = np.stack([pose_of(mask) for mask in masks])
    places = np.stack(np.meshgrid(np.arange(6, SIDE, 4), np.arange(6, SIDE, 4), indexing="ij"), -1).reshape(-1, 2)
    sizes = true[rng.integers(0, len(true), 8), 2:]
    starts = np.concatenate([np.concatenate([places, np.tile(s, (len(places), 1))], 1) for s in sizes])
    found: dict[str, list[np.ndarray]] = {f"{m} {what}": [] for m in methods for what in ("ellipse", "border")}
    reached: dict[str, list[float]] = {m: [] for m in methods}
    for image in sets["test"][0]:

        def score(p: np.ndarray, side: int = 16, seen: np.ndarray = image) -> np.ndarray:
            return answer(scored[side], squashed(sample(seen, points_of(p, grid(side)))))[:, 0]

        first = score(starts, 8)
        kept = starts[np.argsort(-first)[:KEPT]]
        for method in methods:
            poses, scores = climb(score, kept, STEPS, method, ROUNDS)
            pose = poses[np.argmax(scores)]
            reached[method].append(float(scores.max()))
            found[f"{method} ellipse"].append(ellipse(pose))
            shares = answer(border, profiles(image, pose))
            shares = np.exp(shares - shares.max(1, keepdims=True))
            radii = (shares * RADII).sum(1) / shares.sum(1)
            radii = components.decode(components.encode(radii[None]))[0]
            found[f"{method} border"].append(inside_of(pose, radii))
    return found, {method: round(float(np.mean(values)), 4) for method, values in reached.items()}


def mean_mask(sets: Any) -> np.ndarray:
    """Return the mean training mask at the threshold of best Dice on the training images."""
    masks = sets["train"][1]
    mean = masks.mean(0)
    cuts = np.linspace(0.05, 0.95, 19) * mean.max()
    return np.asarray(mean > max(cuts, key=lambda cut: np.mean([dice(mean > cut, m) for m in masks])))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    sets = read(o.folder)
    truth = sets["test"][1]
    belief, reached = found_masks(sets, o, True, ["gradient", "newton"])
    random, _ = found_masks(sets, o, False, ["gradient"])
    values = {"border": belief["gradient border"], "ellipse": belief["gradient ellipse"]}
    values |= {"border by Newton": belief["newton border"], "ellipse by Newton": belief["newton ellipse"]}
    values |= {"border from random weights": random["gradient border"]}
    floor = mean_mask(sets)
    results = {
        name: np.array([dice(m, t) for m, t in zip(masks, truth, strict=True)]) for name, masks in values.items()
    }
    results["mean mask"] = np.array([dice(floor, t) for t in truth])
    content = {"n": len(truth), "epochs": o.epochs, "seed": o.seed, "dice": figures(results, "border")}
    content["score"] = reached
    keep(RESULTS / "scored_poses.json", "busi_ultrasound", content)


if __name__ == "__main__":
    main()
