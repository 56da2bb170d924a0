"""Patches about single pixels or voxels, for networks that classify what lies in the middle of a patch.

Of a picture the patch is a square; of a volume the square of its xy plane, or the three squares of the planes xy, yz
and zx, one after the other as channels (triplanar: Prasoon et al., MICCAI 2013).  A patch of side p about place v
covers v - (p - 1) // 2 ... v + p // 2; beyond its borders an image is mirrored.
"""

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, apply_geometry, apply_intensity, parameters, reflect
from .augment3d import volume_intensity
from .batched_uniform import uniform_rows
from .labels import IGNORED
from .loader import Stopped, prepare_batches
from .patches import WORDS, Cases, check_patch

Batch = tuple[np.ndarray, np.ndarray, np.ndarray]
PLANES = ((0, 1), (1, 2), (2, 0))  # the axes of a patch's rows and columns: xy, yz, zx


def square(image: np.ndarray, place: Sequence[int], side: int, axes: tuple[int, int] = (0, 1)) -> np.ndarray:
    """Return float32 [side, side, channels] of image [*space, channels] about a place, in the plane of two axes."""
    index: list[np.ndarray] = [np.array([int(i)]) for i in place]
    for axis in axes:
        index[axis] = reflect(np.arange(side) + (int(place[axis]) - (side - 1) // 2), image.shape[axis])
    rest = [axis for axis in range(len(index)) if axis not in axes]
    box = image[np.ix_(*index)].transpose(*axes, *rest, len(index))
    patch: np.ndarray = box.reshape(side, side, image.shape[-1])
    return patch


def cut(image: np.ndarray, place: Sequence[int], side: int, triplanar: bool = False) -> np.ndarray:
    """Return the patch about a place: [side, side, channels], or of three planes [side, side, 3 channels]."""
    return np.concatenate([square(image, place, side, axes) for axes in PLANES[: 3 if triplanar else 1]], axis=-1)


class VoxelLoader:
    """Epochs of batches (patches, classes, indices) for a network that classifies the middle of a patch.

    What is drawn depends on (seed, epoch, place) alone.  Places that are IGNORED are drawn anew as background.

    Args:
        cases: The images and masks, `data.patches.Cases`.
        batch_size: Patches per batch.
        side: Side of the patch in pixels.
        triplanar: Of a volume take the planes xy, yz and zx, one after the other as channels.
        per_image: Places of each image in an epoch.
        foreground: Share of the places whose class is drawn evenly from those present but the background.
        augment: As for pictures; of three planes only their intensities change.
        seed: Seed of everything drawn; the same seed gives the same batches.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.

    Yields:
        From `epoch`: patches float32 [n, channels, side, side]; classes int64 [n]; indices int64 [n] of the images.

    Raises:
        UserError: The patch is larger than every image, or triplanar is asked of pictures.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> from tinymed.data import MaskDataset
        >>> Image.new("L", (32, 32)).save("a.png")
        >>> Image.new("L", (32, 32), 255).save("mask.png")
        >>> data = MaskDataset([Path("a.png")], [0], ["background", "foreground"], masks=[Path("mask.png")])
        >>> patches, classes, indices = next(VoxelLoader(Cases(data, channels=1), 4, side=9).epoch())
        >>> patches.shape, classes.tolist()
        ((4, 1, 9, 9), [1, 1, 1, 1])

    Reference:
        Prasoon et al., MICCAI 2013, for triplanar patches.
    """

    def __init__(
        self,
        cases: Cases,
        batch_size: int,
        side: int,
        *,
        triplanar: bool = False,
        per_image: int = 64,
        foreground: float = 0.5,
        augment: Augment | None = None,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
    ):
        if triplanar and cases.dataset.dimensions != 3:
            raise UserError("a triplanar network looks at volumes, and these are pictures")
        plane = [side, side] if cases.dataset.dimensions == 2 else [side, side, side if triplanar else 1]
        check_patch(cases.dataset, plane)
        if augment is not None and cases.dataset.dimensions == 2:
            augment.check_channels(cases.channels)
        self.cases, self.dataset, self.batch_size, self.side = cases, cases.dataset, batch_size, side
        self.triplanar, self.per_image, self.foreground, self.augment = triplanar, per_image, foreground, augment
        self.seed, self.workers, self.prefetch = seed, workers, prefetch

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-len(self.dataset) * self.per_image // self.batch_size)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[Batch]:
        """Return the batches of an epoch from number `start_batch` on; a pair that cannot be used raises UserError."""
        count, stop = len(self.dataset) * self.per_image, Event()
        order = random.permutation(count, self.seed, random.SHUFFLE, epoch)
        jobs = [(order[b * self.batch_size :][: self.batch_size], epoch, stop) for b in range(start_batch, len(self))]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def batch(self, keys: np.ndarray, epoch: int, stop: Event) -> Batch:
        """Return the patches of these keys; key k lies in image k // per_image."""
        uniform = uniform_rows(WORDS, self.seed, random.PATCHES, keys, epoch)
        patches, classes = [], np.empty(len(keys), np.int64)
        for row, (key, numbers) in enumerate(zip(keys.tolist(), uniform, strict=True)):
            if stop.is_set():
                raise Stopped
            image, mask = self.cases.pair(key // self.per_image)
            place = draw_place(mask, numbers, self.foreground)
            patch, classes[row] = cut(self.cases.normal(image), place, self.side, self.triplanar), mask[tuple(place)]
            patches.append(self.augment_patch(patch, epoch, key))
        stacked = np.stack(patches).transpose(0, 3, 1, 2)
        return stacked, classes, keys.astype(np.int64) // self.per_image

    def augment_patch(self, patch: np.ndarray, epoch: int, key: int) -> np.ndarray:
        """Return a patch after augmentation."""
        if self.augment is None:
            return patch
        drawn = parameters(self.augment, self.seed, epoch, key)
        if self.dataset.dimensions == 3:
            return volume_intensity(patch, drawn)
        return apply_intensity(apply_geometry(patch, drawn), drawn)


def draw_place(mask: np.ndarray, numbers: np.ndarray, foreground: float) -> list[int]:
    """Return a place in a mask: with the chance `foreground` on a class other than 0, else anywhere."""
    wanted = np.flatnonzero(np.bincount(mask.ravel(), minlength=IGNORED + 1)[1:IGNORED]) + 1
    if numbers[0] < foreground and wanted.size:
        where = np.flatnonzero(mask == wanted[int(numbers[1] * wanted.size)])
    else:
        where = np.flatnonzero(mask != IGNORED)
    if not where.size:
        raise UserError("a mask has no pixel that counts; take its image out of the training set")
    return [int(i) for i in np.unravel_index(where[int(numbers[2] * where.size)], mask.shape)]
