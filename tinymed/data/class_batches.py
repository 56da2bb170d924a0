"""Batches with several images of each of several classes, so that a batch holds pairs that belong together.

Hermans, Beyer & Leibe (arXiv 1703.07737, 2017) call it PK sampling: P classes, K images of each.
"""

from typing import Any

import numpy as np

from .. import random
from ..errors import UserError
from .dataset import Dataset
from .loader import Loader


class ClassBatches(Loader):
    """A loader whose every batch has K images of each of P classes.

    Classes and images are drawn by (seed, epoch) alone: each class is walked through in a random order, and from its
    beginning again, in another order, when it has run out.  An epoch has as many batches as it takes to see as many
    images as there are.

    Args:
        dataset: The images.
        batch_size: Images per batch at most; P K of them are used.
        size: A side, or (height, width), in pixels, to which images are resized.
        channels: 1 (grey) or 3 (RGB).
        more: As `Loader` takes it; `shuffle`, `balanced` and `drop_last` are decided here.

    Raises:
        UserError: The set has fewer than two classes, or the batch has no room for two images of two classes.

    Example:
        >>> data = Dataset(np.zeros((9, 8, 8), np.uint8), [0] * 6 + [1] * 3, ["a", "b"])
        >>> for images, labels, indices in ClassBatches(data, 4, 8, 1, workers=0).epoch():
        ...     print(labels.tolist(), len(set(indices.tolist())))
        [0, 0, 1, 1] 4
        [0, 0, 1, 1] 4
        [0, 0, 1, 1] 4
    """

    def __init__(self, dataset: Dataset, batch_size: int, size: int | tuple[int, int], channels: int = 3, **more: Any):
        classes = np.unique(dataset.labels)
        if classes.size < 2:
            raise UserError(f"{dataset.source or 'data'} [{dataset.split}]: pairs need images of two classes at least")
        if batch_size < 4:
            raise UserError(f"a batch of {batch_size} has no room for two images of two classes; use 4 or more")
        super().__init__(dataset, batch_size, size, channels, shuffle=True, **more)
        self.present = classes
        self.classes_per_batch = min(classes.size, batch_size // 4) if batch_size >= 8 else 2
        self.per_class = batch_size // self.classes_per_batch
        self.batch_size = self.classes_per_batch * self.per_class

    @property
    def samples(self) -> int:
        """Return the images in one epoch: whole batches, as many as hold the set once."""
        return -(-len(self.dataset) // self.batch_size) * self.batch_size

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (indices, keys) of an epoch: which images, and the number that each one's augmentation is drawn with.

        The key is the index; the c-th repeat of an image adds c times the size of the set.
        """
        count, batches = len(self.dataset), self.samples // self.batch_size
        wanted = np.empty((batches, self.classes_per_batch), np.int64)
        for b in range(batches):
            order = random.permutation(len(self.present), self.seed, random.TRIPLETS, epoch << 32 | b)
            wanted[b] = np.sort(self.present[order[: self.classes_per_batch]])
        drawn = np.repeat(wanted.reshape(-1), self.per_class)
        shuffled = random.permutation(count, self.seed, random.SHUFFLE, epoch)
        indices, keys = np.empty(drawn.size, np.int64), np.empty(drawn.size, np.int64)
        for label in self.present:
            members = shuffled[self.dataset.labels[shuffled] == label]
            places = np.flatnonzero(drawn == label)
            round_number, place = np.divmod(np.arange(places.size), len(members))
            indices[places] = members[(place + round_number) % len(members)]
            keys[places] = indices[places] + round_number * count
        return indices, keys
