"""Pairs of images of a set, for a network that learns to bring one onto another."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np

from .. import random
from ..data.dataset import Dataset
from ..data.loader import Batch, Stopped, prepare_batches
from ..dispatch import use_backend
from ..errors import UserError
from .beginning import Beginning
from .fields import brought
from .spaces import Image, read_image

LIMIT = 2 << 30  # bytes of images that are held


class Pairs:
    """Epochs of batches (pairs, pairs, numbers): every image once as the one that stays, with another drawn for it.

    The image that moves lies on the pixels of the one that stays, after the map that registration begins with; both
    are then filled by zeros to one size.  Which image moves depends on (seed, epoch, the image that stays) alone.

    Args:
        dataset: The images, files; their masks are not looked at.
        batch_size: Pairs a batch; the last batch may be smaller.
        size: Of what the network is shown, pixels along each axis; no image is larger.
        begin: What lies together at first.
        shuffle: A new order and new partners every epoch; without it each image has the next one.
        seed: Seed of everything drawn.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.

    Yields:
        From `epoch`: pairs, float32 [n, 2, *size] in 0...1, twice; int64 [n], the numbers of the images that stay.

    Raises:
        UserError: There are fewer than two images, or one is larger than `size`.

    Example:
        >>> from PIL import Image as Pictures
        >>> for name in ("a", "b"):
        ...     Pictures.fromarray(np.arange(48, dtype=np.uint8).reshape(6, 8)).save(f"{name}.png")
        >>> data = Dataset(["a.png", "b.png"], [0, 0], ["image"])
        >>> pairs, _, numbers = next(Pairs(data, 2, (8, 8)).epoch())
        >>> pairs.shape, numbers.tolist()
        ((2, 2, 8, 8), [0, 1])
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        size: tuple[int, ...],
        begin: Beginning | None = None,
        *,
        shuffle: bool = False,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
    ):
        if len(dataset) < 2:
            raise UserError(f"{dataset.source} [{dataset.split}]: {len(dataset)} image(s); a pair needs two")
        self.dataset, self.batch_size, self.size = dataset, batch_size, size
        self.begin = begin or Beginning()
        self.shuffle, self.seed, self.workers, self.prefetch = shuffle, seed, workers, prefetch
        self.held: dict[int, Image] = {}
        self.bytes = 0

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-len(self.dataset) // self.batch_size)

    def partners(self, epoch: int) -> np.ndarray:
        """Return the number of the image that moves, for each that stays."""
        n = len(self.dataset)
        steps = np.ones(n, np.int64)
        if self.shuffle:
            steps += (random.uniform(n, self.seed, random.PATCHES, epoch) * (n - 1)).astype(np.int64)
        return (np.arange(n) + steps) % n

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start_batch` on."""
        stop, n = Event(), len(self.dataset)
        order = random.permutation(n, self.seed, random.SHUFFLE, epoch) if self.shuffle else np.arange(n)
        moving = self.partners(epoch)
        parts = [order[b * self.batch_size :][: self.batch_size] for b in range(start_batch, len(self))]
        jobs = [(numbers, moving[numbers], stop) for numbers in parts]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def batch(self, fixed: np.ndarray, moving: np.ndarray, stop: Event) -> Batch:
        """Lay the pairs of these numbers on one size, by NumPy: what is prepared depends on no backend."""
        pairs = np.zeros((len(fixed), 2, *self.size), np.float32)
        for row, numbers in zip(pairs, zip(fixed.tolist(), moving.tolist(), strict=True), strict=True):
            if stop.is_set():
                raise Stopped
            still, other = (self.image(index) for index in numbers)
            place = inside(still.space.size, self.size)
            row[(0, *place)] = still.grey
            with use_backend("numpy"):
                row[(1, *place)] = brought(still, other, self.begin(still, other))
        return pairs, pairs, fixed

    def image(self, index: int) -> Image:
        """Return an image; the first ones are kept in memory."""
        if index in self.held:
            return self.held[index]
        image = read_image(Path(str(self.dataset.samples[index])))
        if any(n > most for n, most in zip(image.space.size, self.size, strict=True)):
            sides, most = (" x ".join(map(str, size)) for size in (image.space.size, self.size))
            raise UserError(f"{self.dataset.name(index)}: is {sides}, larger than the training images' {most}")
        size = image.values.nbytes + image.grey.nbytes
        if self.bytes + size <= LIMIT:
            self.held[index] = image
            self.bytes += size
        return image

    def __repr__(self) -> str:
        """Return what it loads, in one line."""
        return f"Pairs({self.dataset!r}, batches of {self.batch_size} pairs of {self.size})"


def inside(size: tuple[int, ...], whole: tuple[int, ...]) -> tuple[slice, ...]:
    """Return the middle of an array of shape `whole` that is as large as `size`."""
    starts = [(most - n) // 2 for n, most in zip(size, whole, strict=True)]
    return tuple(slice(start, start + n) for start, n in zip(starts, size, strict=True))
