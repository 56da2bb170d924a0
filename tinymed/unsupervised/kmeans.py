"""k-means, and filters of a convolution made of it.

    found = kmeans(points, 16, seed=0)
    found.centres, found.labels, found.inertia, found.assign(others)
    fit_filters(model.conv, images)                # the filters become the centres of patches of images

Lloyd's rounds, each point to its nearest centre and each centre to the mean of its points, from centres that k-means++
draws far from each other.  Lloyd, IEEE Trans. Information Theory 28, 1982; Arthur & Vassilvitskii, SODA 2007.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import random
from ..errors import UserError
from ..tensor import Tensor

__all__ = ["Clusters", "fit_filters", "kmeans", "seed_centres"]

BLOCK = 1 << 22  # distances that are held at a time
ROUNDS, TOLERANCE = 100, 1e-4


@dataclass(frozen=True)
class Clusters:
    """What `kmeans` found.

    Args:
        centres: float64 [clusters, features].
        labels: int64 [points], the nearest centre of each point.
        inertia: Sum of squared distances to the nearest centres.
        rounds: Rounds of Lloyd's until the centres stood still, or as many as were allowed.

    Example:
        >>> Clusters(np.array([[0.0], [4.0]]), np.zeros(1, int), 0.0, 1).assign(np.array([[1.0], [3.0]])).tolist()
        [0, 1]
    """

    centres: np.ndarray
    labels: np.ndarray
    inertia: float
    rounds: int

    def assign(self, points: np.ndarray) -> np.ndarray:
        """Return the nearest centre of each point, int64; of equally near ones the first."""
        return nearest(np.asarray(points, np.float64), self.centres)[0]


def kmeans(
    points: np.ndarray,
    clusters: int,
    *,
    seed: int = 0,
    restarts: int = 1,
    rounds: int = ROUNDS,
    tolerance: float = TOLERANCE,
    initial: np.ndarray | None = None,
) -> Clusters:
    """Divide points into clusters of small squared distances to their means.

    Args:
        points: [points, features], finite numbers.
        clusters: How many, at most the number of points.
        seed: Seed of the first centres; the same seed gives the same bits.
        restarts: How many first centres are tried; the least inertia stays.
        rounds: At most so many rounds each.
        tolerance: Rounds end when the centres move by less than this share of the points' mean variance, squared.
        initial: First centres [clusters, features], instead of k-means++.

    Returns:
        The clusters.  One that loses all its points gets the point that lies farthest from its centre.

    Raises:
        UserError: The points are not a table of finite numbers, or there are fewer of them than clusters.

    Example:
        >>> points = np.array([[0.0, 0.1], [0.1, 0.0], [5.0, 5.1], [5.1, 5.0]])
        >>> kmeans(points, 2).labels.tolist() in ([0, 0, 1, 1], [1, 1, 0, 0])
        True

    Reference:
        Lloyd 1982; Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", 2007.
    """
    x = np.asarray(points, np.float64)
    if x.ndim != 2 or not np.isfinite(x).all() or not 1 <= clusters <= len(x) or restarts < 1 or rounds < 1:
        raise UserError(
            f"kmeans: takes finite points [points, features], 1 to {len(x)} clusters, restarts and rounds of at least "
            f"1; got shape {list(x.shape)}, {clusters} clusters, {restarts} restarts, {rounds} rounds"
        )
    best: Clusters | None = None
    for attempt in range(1 if initial is not None else restarts):
        start = seed_centres(x, clusters, seed, attempt) if initial is None else np.array(initial, np.float64)
        found = lloyd(x, start, rounds, tolerance * float(x.var(axis=0).mean()))
        if best is None or found.inertia < best.inertia:
            best = found
    assert best is not None
    return best


def seed_centres(points: np.ndarray, clusters: int, seed: int = 0, attempt: int = 0) -> np.ndarray:
    """Draw first centres: each a point, with a chance in proportion to its squared distance to those drawn before.

    Args:
        points: [points, features].
        clusters: How many.
        seed: Seed of the draw.
        attempt: Which draw of this seed.

    Returns:
        float64 [clusters, features].

    Example:
        >>> centres = seed_centres(np.array([[0.0], [0.0], [9.0]]), 2)
        >>> sorted(centres[:, 0].tolist())
        [0.0, 9.0]
    """
    x = np.asarray(points, np.float64)
    draws = random.uniform(clusters, seed, random.CLUSTERS, attempt)
    chosen = [min(int(draws[0] * len(x)), len(x) - 1)]
    distance = ((x - x[chosen[0]]) ** 2).sum(axis=1)
    for u in draws[1:]:
        total = np.cumsum(distance)
        spread = total if total[-1] > 0 else np.arange(1, len(x) + 1)  # all points are centres already
        place = int(np.searchsorted(spread, u * spread[-1], side="right"))
        chosen.append(min(place, len(x) - 1))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(axis=1))
    return x[chosen]


def lloyd(points: np.ndarray, centres: np.ndarray, rounds: int, still: float) -> Clusters:
    """Return the clusters after Lloyd's rounds; they end when centres move by at most `still`, all squares together."""
    labels, distance = nearest(points, centres)
    done, shift = 0, np.inf
    while done < rounds and shift > still:
        moved = means(points, labels, distance, centres)
        shift = float(((moved - centres) ** 2).sum())
        centres, done = moved, done + 1
        labels, distance = nearest(points, centres)
    return Clusters(centres, labels, float(distance.sum()), done)


def means(points: np.ndarray, labels: np.ndarray, distance: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Return the mean of each cluster; one without points gets the farthest point that is not yet taken so."""
    count = len(centres)
    sizes = np.bincount(labels, minlength=count)
    columns = [np.bincount(labels, column, count) for column in points.T]
    sums = np.stack(columns, axis=1) if columns else np.zeros((count, 0))
    result = sums / np.maximum(sizes, 1)[:, None]
    empty = np.flatnonzero(sizes == 0)
    result[empty] = points[np.argsort(-distance, kind="stable")[: len(empty)]]
    return result


def nearest(points: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (the nearest centre of each point, the squared distance to it)."""
    labels = np.empty(len(points), np.int64)
    squares = (centres**2).sum(axis=1)
    rows = max(1, BLOCK // len(centres))
    for start in range(0, len(points), rows):
        part = points[start : start + rows]
        labels[start : start + rows] = (squares - 2 * (part @ centres.T)).argmin(axis=1)
    distance = ((points - centres[labels]) ** 2).sum(axis=1)
    return labels, distance


def fit_filters(conv: Any, images: np.ndarray, patches: int = 20_000, seed: int = 0) -> None:
    """Make the filters of a convolution the centres of patches of images, and its bias 0.

    Args:
        conv: A 2-D convolution, such as `nn.Conv2d`; its filters are written.
        images: [n, channels, height, width], as the convolution sees them.
        patches: How many are drawn, each brought to mean 0 and deviation 1.
        seed: Seed of the patches and of the centres.

    Raises:
        UserError: The images have other channels, are smaller than a filter, or there are fewer patches than filters.

    Example:
        >>> from tinymed import nn
        >>> conv = nn.Conv2d(1, 2, 3)
        >>> fit_filters(conv, np.random.default_rng(0).normal(size=(2, 1, 9, 9)), patches=50)
        >>> [round(float(np.linalg.norm(f)), 3) for f in conv.weight.numpy()]
        [1.0, 1.0]

    Reference:
        Coates & Ng, "Learning feature representations with k-means", 2012.
    """
    filters, channels, *sides = conv.weight.shape
    if images.ndim != 4 or images.shape[1] != channels or patches < filters:
        raise UserError(
            f"fit_filters: takes images [n, {channels}, height, width] and at least {filters} patches; got shape "
            f"{list(images.shape)} and {patches} patches"
        )
    free = [len(images), *(n - side + 1 for n, side in zip(images.shape[2:], sides, strict=True))]
    if min(free) < 1:
        raise UserError(f"fit_filters: images of {list(images.shape[2:])} pixels are smaller than a filter of {sides}")
    drawn = random.uniform(3 * patches, seed, random.CLUSTERS, 2**32).reshape(3, patches)
    places = (drawn * np.array(free)[:, None]).astype(np.int64)
    high, wide = sides
    rows = np.stack([images[i, :, r : r + high, c : c + wide].reshape(-1) for i, r, c in places.T.tolist()])
    rows = rows.astype(np.float64)
    rows = rows - rows.mean(axis=1, keepdims=True)
    rows = rows / (rows.std(axis=1, keepdims=True) + 1e-3)
    centres = kmeans(rows, filters, seed=seed, rounds=50).centres
    centres = centres / (np.linalg.norm(centres, axis=1, keepdims=True) + 1e-8)
    conv.weight.data.copy_(Tensor(centres.reshape(conv.weight.shape).astype(conv.weight.array.dtype)))
    if conv.bias is not None:
        conv.bias.data.zero_()
