"""Bags of visual words: how often patches look like each of a dictionary's, learnt by k-means (Csurka et al., 2004).

    patch     16 x 16 pixels, every 4 pixels; 4 x 4 cells of 4 pixels, in each |g| summed by 8 directions of 360
              degrees, g the gradient; the 128 numbers divided by their length, cut at .2, divided again (after SIFT)
    word      the centre of k-means that is nearest
    row       share of each word among the patches of the image, then among those of each quarter

The dictionary is learnt on the training part alone, and needs no labels.
"""

import numpy as np

from .. import random
from ..data.dataset import Dataset
from ..data.loader import Loader
from ..errors import UserError
from ..unsupervised.kmeans import kmeans, nearest
from .hog import CUT, gradients, unit
from .registry import learnt

SIDE, STEP, CELL, DIRECTIONS = 16, 4, 4, 8
WORDS = 200
PATCHES = 20_000  # that k-means sees, at most
BATCH = 64


@learnt("words", "Csurka et al. 2004", side=SIDE)
class VisualWords:
    """A dictionary of patches, and the rows of images by it.

    Args:
        words: Words of the dictionary, at most; less where there are fewer patches.
        seed: Of which patches are drawn, and of k-means.

    Example:
        >>> images = Dataset(np.random.default_rng(0).integers(0, 255, (3, 32, 32, 1)).astype(np.uint8), [0] * 3, ["a"])
        >>> bag = VisualWords(words=10).learn(images, 32, 1, workers=0)
        >>> bag(images.samples / 255).shape, bag(images.samples / 255)[:, :10].sum(axis=1).tolist()
        ((3, 50), [1.0, 1.0, 1.0])

    Reference:
        Csurka, Dance, Fan, Willamowski & Bray, "Visual categorization with bags of keypoints", ECCV workshop, 2004.
    """

    def __init__(self, words: int = WORDS, seed: int = 0):
        self.words, self.seed = words, seed
        self.centres: np.ndarray | None = None

    def learn(self, dataset: Dataset, size: int, channels: int, workers: int = 2) -> "VisualWords":
        """Learn the dictionary from the images of a set, as they are seen; return itself."""
        each = max(1, PATCHES // len(dataset))
        drawn = []
        for images, _, numbers in Loader(dataset, BATCH, size, channels, workers=workers):
            for patches, number in zip(dense_patches(images.transpose(0, 2, 3, 1)), numbers.tolist(), strict=True):
                flat = patches.reshape(-1, patches.shape[-1])
                order = random.uniform(len(flat), self.seed, random.PATCHES, number).argsort(kind="stable")
                drawn.append(flat[order[:each]])
        points = np.concatenate(drawn)
        self.centres = kmeans(points, min(self.words, len(points)), seed=self.seed, restarts=1, rounds=30).centres
        return self

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the rows of images [n, height, width, channels] in 0...1: float64 [n, 5 * words]."""
        if self.centres is None:
            raise UserError("words: the dictionary is not learnt yet; it is learnt on a training part")
        count, rows = len(self.centres), []
        for patches in dense_patches(images):
            down, across, depth = patches.shape
            word = nearest(patches.reshape(-1, depth), self.centres)[0].reshape(down, across)
            halves = [word[r, c] for r in halved(down) for c in halved(across)]
            rows.append([np.bincount(part.ravel(), minlength=count) / max(1, part.size) for part in (word, *halves)])
        return np.array(rows).reshape(len(rows), -1)


def halved(count: int) -> tuple[slice, slice]:
    """Return both halves of so many places; the one in the middle is in the second."""
    return slice(0, count // 2), slice(count // 2, None)


def dense_patches(images: np.ndarray) -> np.ndarray:
    """Return what each patch looks like, float64 [n, rows, columns, 128].

    Args:
        images: Float [n, height, width, channels], at least 16 pixels a side; of colours the longest gradient counts.
    """
    length, angle = gradients(images.astype(np.float64), 360.0)
    bin_of = np.minimum((angle * (DIRECTIONS / 360)).astype(np.int64), DIRECTIONS - 1)
    by_bin = np.where(bin_of[..., None] == np.arange(DIRECTIONS), length[..., None], 0)
    sums = np.pad(by_bin.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0), (0, 0)))
    box = sums[:, CELL:, CELL:] - sums[:, :-CELL, CELL:] - sums[:, CELL:, :-CELL] + sums[:, :-CELL, :-CELL]
    rows, columns = ((side - SIDE) // STEP + 1 for side in images.shape[1:3])
    parts = [
        box[:, r : r + STEP * rows : STEP, c : c + STEP * columns : STEP][:, :rows, :columns]
        for r in range(0, SIDE, CELL)
        for c in range(0, SIDE, CELL)
    ]
    joined = np.maximum(np.concatenate(parts, axis=-1), 0)  # differences of sums may fall below 0 by rounding
    found: np.ndarray = unit(np.minimum(unit(joined), CUT))
    return found
