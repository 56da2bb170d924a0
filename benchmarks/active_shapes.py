"""Active shape models on slices of MRI (Cootes et al. 1995): landmarks, modes, a search, on hippocampus_3d.

    python benchmarks/active_shapes.py DATA/hippocampus_3d

A volume's slice is the middle one, from back to front, of those that hold the structure.  POINTS landmarks lie on its
border, on rays from its middle.  The model knows the training slices' shapes, and for each landmark the mean and the
covariance of grey along the normal.  A search begins with the mean shape at the mean place and size of training; each
landmark moves along its normal to where the profile fits best, and the points are replaced by the nearest shape that
the model allows.  Measured on the test slices: the distance of landmarks and Dice of what they surround.  The floor is
where the search begins; beside it the moved points without the model.  The slice's axis, profiles of grey and not of
its slopes, their length and the model's limits were chosen on val.  Writes benchmarks/results/active_shapes.json.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, figures, keep, mean_figure
from PIL import Image, ImageDraw

from tinymed.data.volumes import read_values, read_volume
from tinymed.unsupervised import ShapeModel

POINTS, HALF, REACH, ROUNDS = 24, 5, 3, 20  # a profile has 2 HALF + 1 voxels; a point moves REACH at most in a round
SHARE, LIMIT = 0.8, 1.5  # of the variance that the modes keep; deviations that each may have
FINE = 4  # pixels a voxel of the masks that are drawn


def read(folder: Path) -> dict[str, list[tuple[np.ndarray, np.ndarray]]]:
    """Return {part: [(slice of mean 0 and deviation 1, mask)]}."""
    found: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            volume = np.asarray(read_volume(folder / row["path"]).values[..., 0], np.float64)
            label = read_values(folder / row["mask"])[0].squeeze() > 0
            held = np.flatnonzero(label.any((0, 2)))
            y = int(held[len(held) // 2])
            volume = (volume - volume.mean()) / volume.std()
            found.setdefault(row["split"], []).append((volume[:, y], label[:, y]))
    return found


def sample(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return an image's values at points [..., 2], bilinearly; beyond its border the nearest."""
    at = np.clip(points, 0, np.array(image.shape) - 1.001)
    low = at.astype(int)
    (r, c), (a, b) = np.moveaxis(low, -1, 0), np.moveaxis(at - low, -1, 0)
    top, below = (image[r + i, c] * (1 - b) + image[r + i, c + 1] * b for i in (0, 1))
    return np.asarray(top * (1 - a) + below * a)


def landmarks(mask: np.ndarray) -> np.ndarray:
    """Return [POINTS, 2], rows and columns where rays from the mask's middle leave it for the last time."""
    middle, angles = np.argwhere(mask).mean(0), 2 * np.pi * np.arange(POINTS) / POINTS
    ray = np.arange(0, max(mask.shape), 0.1)
    points = middle + ray[:, None, None] * np.stack([np.sin(angles), np.cos(angles)], -1)
    inside = sample(mask.astype(np.float64), points) > 0.5
    last = len(ray) - 1 - inside[::-1].argmax(0)
    return np.asarray(points[last, np.arange(POINTS)])


def normals(points: np.ndarray) -> np.ndarray:
    """Return unit normals of a closed line."""
    along = np.roll(points, -1, 0) - np.roll(points, 1, 0)
    across = np.stack([along[:, 1], -along[:, 0]], -1)
    return np.asarray(across / np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-9))


def profiles(image: np.ndarray, points: np.ndarray, reach: int = 0) -> np.ndarray:
    """Return [POINTS, 2 (HALF + reach) + 1] values along the normals, a voxel apart."""
    places = np.arange(-(HALF + reach), HALF + reach + 1.0)
    return sample(image, points[:, None] + places[:, None] * normals(points)[:, None])


def drawn(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return the mask [FINE rows, FINE columns] that a closed line surrounds."""
    canvas = Image.new("1", (FINE * shape[1], FINE * shape[0]))
    ImageDraw.Draw(canvas).polygon([tuple(p) for p in (FINE * (points[:, ::-1] + 0.5)).tolist()], fill=1)
    return np.asarray(canvas)


def dice(points: np.ndarray, mask: np.ndarray) -> float:
    """Return the Dice coefficient of what a line surrounds and a mask."""
    one, two = drawn(points, mask.shape), mask.repeat(FINE, 0).repeat(FINE, 1)
    return float(2 * (one & two).sum() / (one.sum() + two.sum()))


class Search:
    """The model of shapes and of profiles, and the search."""

    def __init__(self, pairs: list[tuple[np.ndarray, np.ndarray]]):
        shapes = np.stack([landmarks(mask) for _, mask in pairs])
        self.model = ShapeModel(shapes, SHARE)
        middles = shapes.mean(1) / [image.shape for image, _ in pairs]
        sizes = np.sqrt(((shapes - shapes.mean(1, keepdims=True)) ** 2).sum((1, 2)))
        turned = (shapes - shapes.mean(1, keepdims=True)) / sizes[:, None, None]
        self.middle, self.start = middles.mean(0), turned.mean(0) * sizes.mean()
        rows = np.stack([profiles(image, points) for (image, _), points in zip(pairs, shapes, strict=True)])
        self.mean = rows.mean(0)
        spread = np.stack([np.cov(rows[:, i].T) + 0.05 * np.eye(rows.shape[2]) for i in range(POINTS)])
        self.inverse = np.linalg.inv(spread)

    def begin(self, image: np.ndarray) -> np.ndarray:
        """Return the mean shape at the mean place and size."""
        return np.asarray(self.start + self.middle * image.shape)

    def move(self, image: np.ndarray, points: np.ndarray) -> np.ndarray:
        """Return each landmark where the profile along its normal fits best."""
        seen = profiles(image, points, REACH)
        windows = np.lib.stride_tricks.sliding_window_view(seen, 2 * HALF + 1, axis=1) - self.mean[:, None]
        cost = np.einsum("pki,pij,pkj->pk", windows, self.inverse, windows)
        return np.asarray(points + (cost.argmin(1) - REACH)[:, None] * normals(points))

    def __call__(self, image: np.ndarray, known: bool = True) -> np.ndarray:
        """Return the landmarks after ROUNDS; known: with the model of shapes."""
        points = self.begin(image)
        for _ in range(ROUNDS):
            points = self.move(image, points)
            if known:
                points = self.model.fit_to(points, LIMIT)
        return points


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    o = parser.parse_args()
    sets = read(o.folder)
    search = Search(sets["train"])
    ways: dict[str, Any] = {
        "active shape model": search,
        "mean shape": search.begin,
        "points alone": lambda image: search(image, known=False),
    }
    overlaps, distances, nearest = {}, {}, []
    for name, way in ways.items():
        found = [(way(image), mask) for image, mask in sets["test"]]
        overlaps[name] = np.array([dice(points, mask) for points, mask in found])
        distances[name] = np.array([np.linalg.norm(p - landmarks(m), axis=1).mean() for p, m in found])
    for _, mask in sets["test"]:
        points = landmarks(mask)
        nearest.append(np.linalg.norm(search.model.fit_to(points, LIMIT) - points, axis=1).mean())
    content: dict[str, Any] = {"n": len(sets["test"]), "points": POINTS, "modes": len(search.model.variances)}
    content |= {"dice": figures(overlaps, "active shape model")}
    content |= {"distance": figures(distances, "active shape model")}
    content |= {"distance_of_the_nearest_known_shape": mean_figure(np.array(nearest))}
    keep(RESULTS / "active_shapes.json", "hippocampus_3d", content)


if __name__ == "__main__":
    main()
