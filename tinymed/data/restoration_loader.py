"""Batches of patches of noisy pictures with the clean ones, for networks that take noise off."""

from collections.abc import Iterator
from threading import Event

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, apply_geometry, apply_intensity, parameters
from .batched_uniform import uniform_rows
from .corruption import Corruption
from .dataset import Dataset
from .image import with_channels
from .loader import Batch, Stopped, prepare_batches
from .tiles import mirror
from .transform import to_float, to_nchw

LIMIT = 2 << 30  # bytes of pictures that are held
WORDS = 4  # numbers drawn for the place of a patch
FIXED, WHOLE = 2**32 - 1, 2**32 - 2  # the epochs whose noise validation's patches and whole pictures have, every time


def noisy_picture(corruption: Corruption, image: np.ndarray, seed: int, index: int) -> np.ndarray:
    """Return a whole picture of a set with the noise on it that it is always measured with.

    Args:
        corruption: The noise.
        image: The clean picture, float32 [height, width, channels] in 0...1.
        seed: Of the run.
        index: Place of the picture in its set.
    """
    return corruption(image, seed, WHOLE << 32 | index)


class PatchPairs:
    """Epochs of batches (noisy patches, clean patches, indices) at the pictures' own resolution.

    Where a patch lies and what noise is on it depends on (seed, epoch, picture, number of the patch) alone.

    Args:
        dataset: The clean pictures; their labels are not looked at.
        batch_size: Patches per batch; the last batch may be smaller.
        patch: Side of a patch in pixels; a smaller picture is mirrored at its borders.
        channels: 1 (grey) or 3 (RGB).
        corruption: The noise.
        per_image: Patches of each picture in an epoch.
        shuffle: A new order every epoch, new places and new noise; without it all are those of one fixed epoch.
        augment: How far patches are changed before noise is put on them, or None.
        seed: Seed of everything drawn.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.

    Yields:
        From `epoch`: noisy and clean patches, float32 [n, channels, patch, patch]; indices int64 [n] of the pictures.

    Raises:
        UserError: The set is empty; while iterating, a picture cannot be read (names the file).

    Example:
        >>> data = Dataset(np.full((3, 50, 60), 128, np.uint8), [0, 0, 0], ["picture"])
        >>> noisy, clean, indices = next(PatchPairs(data, 2, 16, 1, Corruption("gaussian", 0.1)).epoch())
        >>> noisy.shape, bool(np.ptp(clean) == 0), bool(0.05 < (noisy - clean).std() < 0.15)
        ((2, 1, 16, 16), True, True)
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int,
        patch: int,
        channels: int,
        corruption: Corruption,
        *,
        per_image: int = 1,
        shuffle: bool = False,
        augment: Augment | None = None,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
    ):
        if not len(dataset):
            raise UserError(f"{dataset.source or 'data'} [{dataset.split}]: no images to load")
        if augment is not None:
            augment.check_channels(channels)
        self.dataset, self.batch_size, self.patch, self.channels = dataset, batch_size, patch, channels
        self.corruption, self.per_image, self.shuffle, self.augment = corruption, per_image, shuffle, augment
        self.seed, self.workers, self.prefetch = seed, workers, prefetch
        self.held: dict[int, np.ndarray] = {}
        self.bytes = 0

    @property
    def samples(self) -> int:
        """Return the patches of one epoch."""
        return len(self.dataset) * self.per_image

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-self.samples // self.batch_size)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[Batch]:
        """Yield the batches of an epoch from number `start_batch` on."""
        stop, drawn = Event(), epoch if self.shuffle else FIXED
        keys = np.arange(self.samples)
        if self.shuffle:
            keys = random.permutation(self.samples, self.seed, random.SHUFFLE, epoch)
        jobs = [(keys[b * self.batch_size :][: self.batch_size], drawn, stop) for b in range(start_batch, len(self))]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def batch(self, keys: np.ndarray, epoch: int, stop: Event) -> Batch:
        """Cut out the patches of these numbers, change them and put noise on them."""
        clean = np.empty((len(keys), self.patch, self.patch, self.channels), np.float32)
        noisy = np.empty_like(clean)
        places = uniform_rows(WORDS, self.seed, random.PATCHES, keys, epoch)
        for row, key in enumerate(keys.tolist()):
            if stop.is_set():
                raise Stopped
            patch = self.cut(key // self.per_image, places[row])
            if self.augment:
                drawn = parameters(self.augment, self.seed, epoch, key)
                patch = apply_intensity(apply_geometry(patch, drawn), drawn)
            clean[row] = patch
            noisy[row] = self.corruption(patch, self.seed, epoch << 32 | key)
        return to_nchw(noisy), to_nchw(clean), keys // self.per_image

    def cut(self, index: int, place: np.ndarray) -> np.ndarray:
        """Return a patch [patch, patch, channels] of a picture; place: where its corner lies, in shares."""
        image, side = self.picture(index), self.patch
        lack = [max(0, side - n) for n in image.shape[:2]]
        if any(lack):
            image = np.moveaxis(mirror(np.moveaxis(image, -1, 0), [0, 0], lack), 0, -1)
        top, left = (int(u * (n - side + 1)) for u, n in zip(place.tolist(), image.shape[:2], strict=False))
        return to_float(image[top : top + side, left : left + side])

    def picture(self, index: int) -> np.ndarray:
        """Return a picture with the wanted channels, as it is in its file; the first ones are kept in memory."""
        if index in self.held:
            return self.held[index]
        pixels = np.ascontiguousarray(with_channels(self.dataset.image(index), self.channels))
        if self.bytes + pixels.nbytes <= LIMIT:
            self.held[index] = pixels
            self.bytes += pixels.nbytes
        return pixels

    def __repr__(self) -> str:
        """Return what it loads, in one line."""
        return f"PatchPairs({self.dataset!r}, batches of {self.batch_size} patches of {self.patch} px)"
