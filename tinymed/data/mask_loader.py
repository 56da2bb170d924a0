"""Batches of whole images with their masks, resized to one size and changed together."""

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, apply_geometry, apply_intensity, draw, parameters
from .image import resize, size_pair, with_channels
from .loader import CACHE_BYTES, PixelCache, Stopped, prepare_batches
from .masks import MaskDataset
from .transform import normalise, to_float, to_nchw
from .weight_map import BorderWeights

Targets = np.ndarray | tuple[np.ndarray, np.ndarray]
MaskBatch = tuple[np.ndarray, Targets, np.ndarray]


class MaskLoader:
    """Epochs of batches (images, targets, indices) of pictures with masks, resized to one size and changed together.

    Masks are resized and resampled by the nearest pixel; what geometry changes in an image changes in its mask.

    Args:
        dataset: The pairs.
        batch_size: Images per batch; the last batch may be smaller.
        size: A side, or (height, width), in pixels.
        channels: 1, 3, or the channels of all modalities together.
        shuffle: A new order every epoch.
        augment: How far images may be changed, or None.
        borders: Weights of the pixels between touching cells, or None.
        seed: Seed of everything drawn; the same seed gives the same batches.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.
        mean: Subtracted from each channel, on the 0...1 scale.
        std: Divides each channel.
        cache_bytes: Memory for decoded and resized pairs, in bytes.

    Yields:
        From `epoch`: images float32 [n, channels, height, width]; targets, class numbers int64 [n, height, width],
        IGNORED where they do not count, and with `borders` (class numbers, float32 weights); indices int64 [n].

    Raises:
        UserError: The set is empty; while iterating, a pair cannot be used (names the file).

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("RGB", (8, 8)).save("a.png")
        >>> Image.new("L", (8, 8), 255).save("mask.png")
        >>> data = MaskDataset([Path("a.png")], [0], ["background", "foreground"], masks=[Path("mask.png")])
        >>> images, targets, indices = next(MaskLoader(data, 1, 4).epoch())
        >>> images.shape, targets.tolist()[0][0]
        ((1, 3, 4, 4), [1, 1, 1, 1])
    """

    def __init__(
        self,
        dataset: MaskDataset,
        batch_size: int,
        size: int | tuple[int, int],
        channels: int = 3,
        *,
        shuffle: bool = False,
        augment: Augment | None = None,
        borders: BorderWeights | None = None,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        cache_bytes: int = CACHE_BYTES,
    ):
        if not len(dataset):
            raise UserError(f"{dataset.source or 'data'} [{dataset.split}]: no images to load")
        if augment is not None:
            augment.check_channels(channels)
        self.dataset, self.batch_size, self.size, self.channels = dataset, batch_size, size_pair(size), channels
        self.shuffle, self.augment, self.borders, self.seed = shuffle, augment, borders, seed
        self.workers, self.prefetch, self.mean, self.std = workers, prefetch, mean, std
        self.cache = PixelCache(len(dataset), (*self.size, channels + 1), cache_bytes)  # the mask is the last channel

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[MaskBatch]:
        """Return the batches of an epoch from number `start_batch` on; a pair that cannot be used raises UserError."""
        count, stop = len(self.dataset), Event()
        order = random.permutation(count, self.seed, random.SHUFFLE, epoch) if self.shuffle else np.arange(count)
        jobs = [(order[b * self.batch_size :][: self.batch_size], epoch, stop) for b in range(start_batch, len(self))]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def batch(self, indices: np.ndarray, epoch: int, stop: Event) -> MaskBatch:
        """Decode, change and normalise the pairs at `indices`."""
        images = np.empty((len(indices), *self.size, self.channels), np.float32)
        masks = np.empty((len(indices), *self.size), np.int64)
        uniform = draw(self.seed, epoch, indices) if self.augment else None
        for place, index in enumerate(indices.tolist()):
            if stop.is_set():
                raise Stopped
            pair = self.pair(index)
            image, mask = to_float(pair[..., :-1]), pair[..., -1:]
            if self.augment and uniform is not None:
                drawn = parameters(self.augment, self.seed, epoch, index, uniform[place])
                image = apply_intensity(apply_geometry(image, drawn), drawn)
                mask = apply_geometry(mask, drawn, order=0)
            images[place], masks[place] = image, mask[..., 0]
        if self.mean is not None or self.std is not None:
            images = normalise(images, self.mean or 0.0, self.std or 1.0)
        targets: Targets = masks if self.borders is None else (masks, self.borders(masks))
        return to_nchw(images), targets, indices.astype(np.int64)

    def pair(self, index: int) -> np.ndarray:
        """Return one image with its mask behind it, [height, width, channels + 1], from the cache if it is there."""

        def read() -> np.ndarray:
            image, mask = self.dataset.pair(index)
            pixels = fit_image(image, self.size, self.channels)
            return np.concatenate([pixels, nearest(mask, self.size)[..., None]], axis=-1)

        return self.cache.get(index, read)


def fit_image(image: np.ndarray, size: tuple[int, int], channels: int) -> np.ndarray:
    """Return an image as [height, width, channels] of this size and number of channels, resized as `resize` does."""
    if image.shape[2] in (1, 3) and channels in (1, 3):
        return resize(with_channels(image, channels), size)
    if image.shape[2] != channels:
        raise UserError(f"an image has {image.shape[2]} channels, the run takes {channels}; give the same modalities")
    return np.concatenate([resize(image[:, :, c : c + 1], size) for c in range(channels)], axis=2)


def nearest(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a mask resized by its nearest pixels, half-pixel centres: no value is invented."""
    rows, columns = (((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, mask.shape, strict=True))
    picked: np.ndarray = mask[np.ix_(rows, columns)]
    return picked
