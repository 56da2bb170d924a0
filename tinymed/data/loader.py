"""Batches, prepared ahead by threads, the same to the bit for any number of them."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, Mixing, Parameters, apply_geometry, apply_intensity, draw, mix_batch, parameters
from .augment3d import augment_whole
from .dataset import Dataset
from .sampling import BETA, class_quotas, draw_epoch
from .transform import channel_values, normalise, one_hot, to_float, to_nchw

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
CACHE_BYTES = 1 << 30


class Stopped(Exception):
    """The consumer has left; what a worker was preparing is not wanted any more."""


class Loader:
    """Epochs of batches (images, labels, indices) of a data set.

    As `torch.utils.data.DataLoader` over a tensor data set, but what an epoch holds depends on (seed, epoch) alone,
    for any number of workers, which are threads; `epoch(e, start_batch)` continues in the middle.

    Args:
        dataset: The images.
        batch_size: Images per batch; the last batch may be smaller.
        size: A side, or one for each axis of space, in pixels, to which images are resized.
        channels: 1 (grey) or 3 (RGB).
        shuffle: A new order every epoch.
        augment: How far images may be changed, or None.
        mixing: How images of a batch are mixed with each other, or None.
        seed: Seed of everything drawn; the same seed gives the same batches.
        drop_last: Leave the last, smaller batch out.
        workers: Threads that decode and augment (0: none); their number changes no value.
        prefetch: Batches in preparation at most.
        mean: Subtracted from each channel, on the 0...1 scale.
        std: Divides each channel.
        balanced: Repeat every class until all are as frequent as the most frequent one (needs shuffle); repeats are
            augmented differently.  The same as sampling="over".
        sampling: How often each class is shown, one of `tinymed.data.sampling.SAMPLINGS` (needs shuffle), or None for
            every image once.
        beta: Of sampling="effective".
        cache_bytes: Memory for decoded and resized images, in bytes; by default 1 GiB, which the parts of a set that
            was opened from files share; 0: each is decoded from its file every time.

    Yields:
        images: float32 [n, channels, height, width] over channels-last memory, of volumes that are seen whole
            [n, channels, depth, height, width]; labels: what `dataset.targets` gives,
            class numbers int64 [n] of a `Dataset`, and with `mixing` float32 [n, classes], the shares of the classes;
            indices: int64 [n], the images' places in the data set.

    Raises:
        UserError: An argument is out of range or the set is empty; while iterating, an image is unreadable.

    Example:
        >>> data = Dataset(np.zeros((5, 8, 8, 3), np.uint8), [0, 1, 0, 1, 0], ["a", "b"])
        >>> loader = Loader(data, batch_size=2, size=8, shuffle=True, workers=0)
        >>> [(images.shape, len(labels)) for images, labels, indices in loader.epoch(0)]
        [((2, 3, 8, 8), 2), ((2, 3, 8, 8), 2), ((1, 3, 8, 8), 1)]
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        size: int | tuple[int, ...],
        channels: int = 3,
        *,
        shuffle: bool = False,
        augment: Augment | None = None,
        mixing: Mixing | None = None,
        seed: int = 0,
        drop_last: bool = False,
        workers: int = 2,
        prefetch: int = 4,
        mean: float | Sequence[float] | None = None,
        std: float | Sequence[float] | None = None,
        balanced: bool = False,
        sampling: str | None = None,
        beta: float = BETA,
        cache_bytes: int = CACHE_BYTES,
    ):
        if batch_size < 1 or workers < 0 or prefetch < 1 or cache_bytes < 0:
            raise UserError(
                "a loader takes batch_size >= 1, workers >= 0, prefetch >= 1, cache_bytes >= 0; "
                f"got {batch_size}, {workers}, {prefetch}, {cache_bytes}"
            )
        if balanced and sampling is not None:
            raise UserError(f"balanced=True is sampling='over': leave it out beside sampling={sampling!r}")
        sampling = "over" if balanced else sampling
        if sampling is not None and not shuffle:
            raise UserError("a sampling draws its own order: use it with shuffle=True, for training only")
        if not len(dataset):
            raise UserError(f"{dataset.source or 'data'} [{dataset.split}]: no images to load")
        self.dataset, self.batch_size, self.channels = dataset, batch_size, channels
        self.size = dataset.sides(size)
        if augment is not None:
            augment.check_channels(channels)
        self.mixing = mixing if mixing is not None and mixing.any else None
        self.shuffle, self.augment, self.seed, self.drop_last = shuffle, augment, seed, drop_last
        self.workers, self.prefetch = workers, prefetch
        counts = list(dataset.counts().values()) if sampling is not None else []
        self.quotas = None if sampling is None else class_quotas(sampling, counts, beta)
        self.mean = channel_values(0.0 if mean is None else mean, channels, "mean")
        self.std = channel_values(1.0 if std is None else std, channels, "std")
        self.unnormalised = mean is None and std is None
        self.source = dataset if cache_bytes else replace(dataset, decoded=None)  # where pixels come from
        shared = dataset.keeps_pictures and cache_bytes == CACHE_BYTES  # by all parts together
        self.cache = PixelCache(0 if shared else len(dataset), (*self.size, channels), cache_bytes)

    @property
    def samples(self) -> int:
        """Return the images in one epoch: the data set's, or as many as the sampling shows."""
        return len(self.dataset) if self.quotas is None else sum(self.quotas)

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        whole, rest = divmod(self.samples, self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def order(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (indices, keys) of an epoch: which images, and the number that each one's augmentation is drawn with.

        The key is the index; the c-th repeat of an image within a sampled epoch adds c times the size of the set.
        """
        if self.quotas is not None:
            return draw_epoch(self.dataset.labels, self.quotas, self.seed, epoch)
        count = len(self.dataset)
        indices = random.permutation(count, self.seed, random.SHUFFLE, epoch) if self.shuffle else np.arange(count)
        return indices, indices

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start_batch` on; leaving early stops the workers.

        Raises:
            UserError: An image is unreadable (names the file); raised in the caller's thread.
        """
        indices, keys = self.order(epoch)
        stop = Event()
        jobs = [
            (
                indices[b * self.batch_size : (b + 1) * self.batch_size],
                keys[b * self.batch_size :][: self.batch_size],
            )
            for b in range(start_batch, len(self))
        ]
        yield from prepare_batches([(*job, epoch, stop) for job in jobs], self.batch, self.workers, self.prefetch, stop)

    def __iter__(self) -> Iterator[Batch]:
        """Return the batches of epoch 0, for evaluation."""
        return self.epoch(0)

    def batch(self, indices: np.ndarray, keys: np.ndarray, epoch: int, stop: Event) -> Batch:
        """Decode, augment and normalise the images at `indices`."""
        images = np.empty((len(indices), *self.size, self.channels), np.float32)
        uniform = draw(self.seed, epoch, keys) if self.augment or self.mixing else None
        for place, (index, key) in enumerate(zip(indices.tolist(), keys.tolist(), strict=True)):
            if stop.is_set():
                raise Stopped
            try:
                image = to_float(self.pixels(index))
                if self.augment and uniform is not None:
                    drawn = parameters(self.augment, self.seed, epoch, key, uniform[place])
                    image = changed(image, drawn)
            except UserError:
                raise
            except Exception as error:
                name = self.dataset.name(index)
                raise RuntimeError(f"{name}: {type(error).__name__} while loading image {index}: {error}") from error
            images[place] = image
        labels: np.ndarray = self.dataset.targets(indices)
        if self.mixing and uniform is not None:
            shares = one_hot(labels, len(self.dataset.classes))
            flat = images if images.ndim == 4 else images.reshape(*images.shape[:3], -1)  # a box of planes and rows
            images, labels = mix_batch(flat, shares, self.mixing, uniform)
            images = images.reshape(len(indices), *self.size, self.channels)
        if not self.unnormalised:
            images = normalise(images, self.mean.tolist(), self.std.tolist())
        return to_nchw(images), labels, indices.astype(np.int64)

    def pixels(self, index: int) -> np.ndarray:
        """Return one image [*size, channels], 0...255, from the cache if it is there."""
        return self.cache.get(index, lambda: self.source.prepared(index, self.size, self.channels))

    def __repr__(self) -> str:
        """Return what it loads, in one line."""
        return f"Loader({self.dataset!r}, batches of {self.batch_size}, {' x '.join(map(str, self.size))} px)"


def changed(image: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Return a picture [height, width, channels], or a volume [depth, height, width, channels], as it was drawn."""
    return augment_whole(image, drawn) if image.ndim == 4 else apply_intensity(apply_geometry(image, drawn), drawn)


class PixelCache:
    """The first images of a set, decoded and resized once.

    Images of 8 bits lie in one array, touched only as they are used; deeper ones are kept as they are, a quarter as
    many.  Several threads may ask at once.
    """

    def __init__(self, count: int, shape: tuple[int, ...], most_bytes: int):
        held = min(count, most_bytes // math.prod(shape))
        self.pixels = np.empty((held, *shape), np.uint8)
        self.known = np.zeros(held, bool)
        self.deep: dict[int, np.ndarray] = {}

    @property
    def nbytes(self) -> int:
        """Return the bytes of memory that images of 8 bits may take."""
        return self.pixels.nbytes

    def get(self, index: int, make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return an image, made by `make` when it is asked for the first time."""
        if index < len(self.known) and self.known[index]:
            held: np.ndarray = self.pixels[index]
            return held
        if index in self.deep:
            return self.deep[index]
        made = make()
        if made.dtype != np.uint8:
            if index < len(self.known) * self.pixels.itemsize // made.itemsize:
                self.deep[index] = made
        elif index < len(self.known):
            self.pixels[index] = made
            self.known[index] = True  # after the pixels: another worker may be looking
        return made


def prepare_batches(
    jobs: Sequence[tuple[Any, ...]], make: Callable[..., Any], workers: int, prefetch: int, stop: Event
) -> Iterator[Any]:
    """Yield make(*job) of every job in order, at most `prefetch` ahead, by threads; leaving early sets `stop`."""
    if workers == 0:
        for job in jobs:
            yield make(*job)
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="tinymed-loader")
    waiting: deque[Future[Any]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(make, *job))
            if len(waiting) >= prefetch:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def channel_statistics(
    dataset: Dataset, size: int | tuple[int, ...], channels: int = 3
) -> tuple[list[float], list[float]]:
    """Compute mean and standard deviation of each channel over a whole set: `mean` and `std` of a Loader.

    Sums of x and x^2 of pictures of 8 bits are exact integers, so the result does not depend on the order.

    Args:
        dataset: The images.
        size: A side, or one for each axis of space, in pixels, to which images are resized first.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        (means, standard deviations), a number per channel, on the 0...1 scale.

    Raises:
        UserError: An image is unreadable.

    Example:
        >>> data = Dataset(np.array([[[0, 255]]], np.uint8), [0], ["a"])
        >>> channel_statistics(data, (1, 2), channels=1)
        ([0.5], [0.5])
    """
    total, square, count = np.zeros(channels, np.int64), np.zeros(channels, np.int64), 0
    for index in range(len(dataset)):
        pixels = dataset.prepared(index, size, channels).reshape(-1, channels)
        pixels = pixels.astype(np.int64 if pixels.dtype == np.uint8 else np.float64)
        total = total + pixels.sum(axis=0)
        square = square + (pixels * pixels).sum(axis=0)
        count += len(pixels)
    mean = total / count
    spread = np.sqrt(np.maximum(square / count - mean**2, 0))
    return (mean / 255).tolist(), (spread / 255).tolist()
