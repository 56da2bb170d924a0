"""Batches of patches drawn from images or volumes that are larger than a network's input.

Half of the patches (`foreground`) are centred on a pixel of a class that is drawn evenly among those present but the
background, so that small structures are seen (Kamnitsas et al., MedIA 36, 2017, section 2.2); the rest lie anywhere.
"""

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, apply_geometry, apply_intensity, parameters, reflect
from .augment3d import augment_volume
from .batched_uniform import uniform_rows
from .labels import IGNORED
from .loader import Stopped, prepare_batches
from .mask_loader import MaskBatch, Targets
from .masks import MaskDataset, by
from .transform import normalise, to_float
from .weight_map import BorderWeights

LIMIT = 4 << 30  # bytes of images and masks that are held
STEP = 32  # pixels by which a patch may be larger than the largest image: what networks divide their input by
WORDS = 8  # numbers drawn for each patch: whether it is centred, on which class, which pixel, or a place on each axis


def z_score(values: np.ndarray) -> np.ndarray:
    """Return float32 [*space, channels] less its mean, over its deviation, by channel; 0 where all is alike.

    Volumes of different scanners have different scales: each is its own measure.
    """
    axes = tuple(range(values.ndim - 1))
    centre, spread = values.mean(axes, dtype=np.float64), values.std(axes, dtype=np.float64)
    scaled: np.ndarray = ((values - centre) / np.where(spread > 0, spread, 1)).astype(np.float32)
    return scaled


class Cases:
    """The images and masks of a set as networks take them, in memory.

    Pictures: float32 in 0...1, then (x - mean) / std; volumes: by their z-score.  Each is read at its first use.

    Args:
        dataset: The pairs.
        channels: Channels that the network takes.
        mean: Subtracted from each channel of a picture, on the 0...1 scale.
        std: Divides each channel.
    """

    def __init__(
        self,
        dataset: MaskDataset,
        channels: int,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        self.dataset, self.channels, self.mean, self.std = dataset, channels, mean, std
        self.held: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        self.bytes = 0

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (image float32 [*space, channels], mask uint8 [*space]); pictures are not normalised yet."""
        if index in self.held:
            return self.held[index]
        image, mask = self.dataset.pair(index)
        prepared_image = self.prepare(image, self.dataset.name(index))
        if self.bytes < LIMIT:
            self.held[index] = prepared_image, mask
            self.bytes += prepared_image.nbytes + mask.nbytes
        return prepared_image, mask

    def prepare(self, image: np.ndarray, name: str) -> np.ndarray:
        """Return a decoded picture as 0...1, a volume as z-scores; raise UserError for another number of channels."""
        from .image import with_channels

        if image.ndim == 3 and image.shape[2] in (1, 3) and self.channels in (1, 3):
            image = with_channels(image, self.channels)
        if image.shape[-1] != self.channels:
            raise UserError(f"{name}: {image.shape[-1]} channels, but the run takes {self.channels}")
        return to_float(image) if image.ndim == 3 else z_score(image)

    def normal(self, image: np.ndarray) -> np.ndarray:
        """Return a picture less the training set's mean, over its deviation, where they are known."""
        return image if self.mean is None and self.std is None else normalise(image, self.mean or 0.0, self.std or 1.0)


def check_patch(dataset: MaskDataset, sides: Sequence[int]) -> None:
    """Refuse a patch that is larger than every image, from the images' headers, before memory is taken for it.

    A side may reach the next multiple of STEP above the largest image, since networks halve their input; beyond its
    borders an image is mirrored.

    Args:
        dataset: The images.
        sides: Sides of what is scored of a patch; a network's margin may lie outside.

    Raises:
        UserError: With the sizes of both.
    """
    sizes = [dataset.space(index) for index in range(len(dataset))]
    if not sizes:
        return
    if dataset.dimensions == 2:  # a picture may be turned by its EXIF orientation
        sizes = [(max(size), max(size)) for size in sizes]
    largest = [max(size[axis] for size in sizes) for axis in range(len(sides))]
    allowed = [-(-side // STEP) * STEP for side in largest]
    if any(side > most for side, most in zip(sides, allowed, strict=True)):
        raise UserError(
            f"a patch of {by(sides)} is larger than every image of {dataset.source or 'the set'} [{dataset.split}]: "
            f"the largest sides are {by(largest)}; take a patch of at most {by(allowed)}"
        )


def output_starts(centre: Sequence[int], output: Sequence[int], space: Sequence[int]) -> list[int]:
    """Return where the scored middle of a patch begins in an image, about a place and as far as it can inside.

    Args:
        centre: The place.
        output: Sides of what is scored of the patch.
        space: Sides of the image; where one is smaller, the image lies in the middle of what is scored.
    """
    return [
        min(max(c - side // 2, 0), size - side) if size > side else (size - side) // 2
        for c, side, size in zip(centre, output, space, strict=True)
    ]


def patch_index(
    starts: Sequence[int], patch: Sequence[int], output: Sequence[int], space: Sequence[int]
) -> tuple[np.ndarray, ...]:
    """Return what picks a patch out of an image [*space, ...]; beyond its borders the image is mirrored.

    starts: where the scored middle begins, see `output_starts`; patch, output: sides of the patch and of that middle.
    """
    margins = [(p - o) // 2 for p, o in zip(patch, output, strict=True)]
    rows = [
        reflect(np.arange(side) + start - margin, size)
        for side, start, margin, size in zip(patch, starts, margins, space, strict=True)
    ]
    return np.ix_(*rows)


class PatchLoader:
    """Epochs of batches (patches, targets, indices) from images or volumes larger than a network's input.

    What is drawn depends on (seed, epoch, patch) alone.  Beyond its borders an image is mirrored.

    Args:
        cases: The images and masks, `data.patches.Cases`.
        batch_size: Patches per batch.
        patch: Sides of the patch in pixels or voxels.
        output: Sides of its middle that is scored, for networks that lose a margin; the patch by default.
        per_image: Patches of each image in an epoch.
        foreground: Share of the patches centred on a class other than 0, the class drawn evenly among those present.
        augment: How far patches may be changed, or None.
        borders: Weights of the pixels between touching cells, or None.
        seed: Seed of everything drawn; the same seed gives the same batches.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.

    Yields:
        From `epoch`: patches float32 [n, channels, *patch]; targets, class numbers int64 [n, *output], IGNORED where
        they do not count, and with `borders` also their weights; indices int64 [n] of the images.

    Raises:
        UserError: The patch is larger than every image or of another dimension; while iterating, a pair cannot be
            used.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("L", (32, 32)).save("a.png")
        >>> Image.new("L", (32, 32), 255).save("mask.png")
        >>> data = MaskDataset([Path("a.png")], [0], ["background", "foreground"], masks=[Path("mask.png")])
        >>> loader = PatchLoader(Cases(data, channels=1), batch_size=2, patch=(16, 16), per_image=4)
        >>> patches, targets, indices = next(loader.epoch())
        >>> patches.shape, targets.shape, len(loader)
        ((2, 1, 16, 16), (2, 16, 16), 2)

    Reference:
        Kamnitsas et al., Medical Image Analysis 36, 2017, section 2.2.
    """

    def __init__(
        self,
        cases: Cases,
        batch_size: int,
        patch: Sequence[int],
        output: Sequence[int] | None = None,
        *,
        per_image: int = 1,
        foreground: float = 0.5,
        augment: Augment | None = None,
        borders: BorderWeights | None = None,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
    ):
        self.cases, self.dataset, self.batch_size = cases, cases.dataset, batch_size
        self.patch, self.output = tuple(patch), tuple(patch if output is None else output)
        if len(self.patch) != self.dataset.dimensions:
            raise UserError(f"a patch of {by(self.patch)} does not fit {self.dataset.dimensions}-dimensional images")
        check_patch(self.dataset, self.output)
        if augment is not None and self.dataset.dimensions == 2:
            augment.check_channels(cases.channels)
        self.per_image, self.foreground, self.augment, self.borders = per_image, foreground, augment, borders
        self.seed, self.workers, self.prefetch = seed, workers, prefetch

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-len(self.dataset) * self.per_image // self.batch_size)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[MaskBatch]:
        """Return the batches of an epoch from number `start_batch` on; a pair that cannot be used raises UserError."""
        count, stop = len(self.dataset) * self.per_image, Event()
        order = random.permutation(count, self.seed, random.SHUFFLE, epoch)
        jobs = [(order[b * self.batch_size :][: self.batch_size], epoch, stop) for b in range(start_batch, len(self))]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def batch(self, keys: np.ndarray, epoch: int, stop: Event) -> MaskBatch:
        """Return the patches of these keys; patch k lies in image k // per_image."""
        uniform = uniform_rows(WORDS, self.seed, random.PATCHES, keys, epoch)
        images: list[np.ndarray] = []
        masks: list[np.ndarray] = []
        for key, numbers in zip(keys.tolist(), uniform, strict=True):
            if stop.is_set():
                raise Stopped
            image, mask = self.cases.pair(key // self.per_image)
            image, mask = self.augment_patch(*self.cut(image, mask, numbers), epoch, key)
            images.append(image)
            masks.append(mask)
        inner = tuple(slice((p - o) // 2, (p - o) // 2 + o) for p, o in zip(self.patch, self.output, strict=True))
        classes = np.stack(masks)[(slice(None), *inner)].astype(np.int64)
        targets: Targets = classes if self.borders is None else (classes, self.borders(classes))
        patches = np.moveaxis(self.cases.normal(np.stack(images)), -1, 1)
        return patches, targets, keys.astype(np.int64) // self.per_image

    def cut(self, image: np.ndarray, mask: np.ndarray, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the patch that the numbers say, and its mask.

        Its output lies in the image, its margin may be mirrored.
        """
        centre = [int(u * n) for u, n in zip(numbers[3:], mask.shape, strict=False)]
        if numbers[0] < self.foreground:
            present = np.flatnonzero(np.bincount(mask.ravel(), minlength=256)[:IGNORED])
            wanted = present[present > 0]
            if wanted.size:
                where = np.flatnonzero(mask == wanted[int(numbers[1] * wanted.size)])
                centre = [int(i) for i in np.unravel_index(where[int(numbers[2] * where.size)], mask.shape)]
        starts = output_starts(centre, self.output, mask.shape)
        box = patch_index(starts, self.patch, self.output, mask.shape)
        return image[box], mask[box]

    def augment_patch(self, image: np.ndarray, mask: np.ndarray, epoch: int, key: int) -> tuple[np.ndarray, np.ndarray]:
        """Return a patch and its mask after augmentation."""
        if self.augment is None:
            return image, mask
        drawn = parameters(self.augment, self.seed, epoch, key)
        if mask.ndim == 2:
            image = apply_intensity(apply_geometry(image, drawn), drawn)
            return image, apply_geometry(mask[..., None], drawn, order=0)[..., 0]
        return augment_volume(image, mask, drawn)
