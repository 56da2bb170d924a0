"""Batches for a network that learns a map of objects: a disc in the middle of every box, and the box's size on it.

A pixel's class is that of the object in whose disc it lies, 0 elsewhere; the discs of neighbours stay apart where their
boxes overlap, so that each is a peak of its own in the map of scores.
"""

from collections.abc import Iterator, Sequence
from threading import Event

import numpy as np

from .. import random
from ..errors import UserError
from .augment import Augment, apply_geometry, apply_intensity, draw, parameters
from .augment.points import box_factors
from .boxes import BoxDataset
from .image import prepare
from .loader import Stopped, prepare_batches
from .transform import normalise, to_float, to_nchw

Targets = tuple[np.ndarray, np.ndarray]


def disc_map(boxes: np.ndarray, size: int, radius: float) -> np.ndarray:
    """Return int32 [size, size]: 1 + the number of the box in whose disc a pixel lies, else 0.

    Smaller boxes lie above.

    boxes: [n, 4] in pixels of the map.  A disc is an ellipse with half axes of `radius` times the box's sides, at least
    one pixel.
    """
    found = np.zeros((size, size), np.int32)
    sides = boxes[:, 2:] - boxes[:, :2]
    for number in np.argsort(-sides.prod(axis=1), kind="stable"):
        middle = (boxes[number, :2] + boxes[number, 2:]) / 2 - 0.5
        half = np.maximum(radius * sides[number], 1.0)
        low, high = np.maximum(np.floor(middle - half), 0).astype(int), np.ceil(middle + half).astype(int) + 1
        y, x = np.ogrid[low[1] : min(high[1], size), low[0] : min(high[0], size)]
        inside = ((x - middle[0]) / half[0]) ** 2 + ((y - middle[1]) / half[1]) ** 2 <= 1
        found[low[1] : high[1], low[0] : high[0]][inside] = number + 1
    return found


def refuse_turned(rotate: float, shear: float) -> None:
    """Raise UserError for changes after which an object's box is no longer known, only a box about its old one."""
    for name, value in (("rotate", rotate), ("shear", shear)):
        if value:
            raise UserError(
                f"--{name}: a turned box is no box with sides along the axes; leave it out, and use flips, quarter "
                "turns, shifts, scales and crops for detection"
            )


class BoxLoader:
    """Epochs of batches (images, (classes, sizes), indices) of images with boxes, resized to a square.

    Args:
        dataset: The images with their boxes.
        batch_size: Images per batch; the last batch may be smaller.
        size: Side of the square in pixels.
        channels: 1 (grey) or 3 (RGB).
        shuffle: A new order every epoch.
        radius: Half axes of a box's disc, as a share of its sides.
        reference: (width, height) of each class as shares of the image; 1 by default.
        augment: How far images may be changed; rotation and shear do not leave a box and are refused.
        seed: Seed of everything drawn; the same seed gives the same batches.
        workers: Threads that prepare batches; their number changes no value.
        prefetch: Batches prepared ahead.
        mean: Subtracted from each channel, on the 0...1 scale.
        std: Divides each channel.

    Yields:
        From `epoch`: images as a `Loader`'s; classes int64 [n, size, size], 0 the background, k + 1 class k; sizes
        float32 [n, 2, size, size], log of the box's width and height over its class's `reference` on its disc, nan
        elsewhere; indices int64 [n].

    Raises:
        UserError: Augmentation would turn boxes; while iterating, an image is unreadable.
    """

    def __init__(
        self,
        dataset: BoxDataset,
        batch_size: int,
        size: int,
        channels: int = 3,
        *,
        radius: float = 0.3,
        reference: Sequence[Sequence[float]] | None = None,
        shuffle: bool = False,
        augment: Augment | None = None,
        seed: int = 0,
        workers: int = 2,
        prefetch: int = 4,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
    ):
        if augment is not None:
            refuse_turned(augment.rotate, augment.shear)
            augment.check_channels(channels)
        self.dataset, self.batch_size, self.size, self.channels = dataset, batch_size, size, channels
        self.radius, self.shuffle, self.augment = radius, shuffle, augment
        self.reference = np.asarray(reference or [(1.0, 1.0)] * len(dataset.classes), np.float64)
        self.seed, self.workers, self.prefetch, self.mean, self.std = seed, workers, prefetch, mean, std
        self.held: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def __len__(self) -> int:
        """Return the number of batches in one epoch."""
        return -(-len(self.dataset) // self.batch_size)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[tuple[np.ndarray, Targets, np.ndarray]]:
        """Return the batches of an epoch from number `start_batch` on; an unreadable image raises UserError."""
        count, stop = len(self.dataset), Event()
        order = random.permutation(count, self.seed, random.SHUFFLE, epoch) if self.shuffle else np.arange(count)
        jobs = [(order[b * self.batch_size :][: self.batch_size], epoch, stop) for b in range(start_batch, len(self))]
        return prepare_batches(jobs, self.batch, self.workers, self.prefetch, stop)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (image uint8 [size, size, channels], boxes in its pixels), read once."""
        if index not in self.held:
            image = self.dataset.image(index)
            scale = self.size / np.array([image.shape[1], image.shape[0]] * 2)
            self.held[index] = prepare(image, self.size, self.channels), self.dataset.boxes[index] * scale
        return self.held[index]

    def batch(self, indices: np.ndarray, epoch: int, stop: Event) -> tuple[np.ndarray, Targets, np.ndarray]:
        """Return the images at `indices` and their maps."""
        images = np.empty((len(indices), self.size, self.size, self.channels), np.float32)
        classes = np.zeros((len(indices), self.size, self.size), np.int64)
        sizes = np.full((len(indices), 2, self.size, self.size), np.nan, np.float32)
        uniform = draw(self.seed, epoch, indices) if self.augment else None
        for place, index in enumerate(indices.tolist()):
            if stop.is_set():
                raise Stopped
            pixels, boxes = self.pair(index)
            image, numbers, factors = to_float(pixels), disc_map(boxes, self.size, self.radius), np.eye(2)
            if self.augment and uniform is not None:
                drawn = parameters(self.augment, self.seed, epoch, index, uniform[place])
                image = apply_intensity(apply_geometry(image, drawn), drawn)
                numbers = apply_geometry(numbers[..., None], drawn, order=0)[..., 0]
                factors = box_factors(drawn, self.size)
            images[place] = image
            inside = numbers > 0
            which = numbers[inside] - 1
            classes[place][inside] = self.dataset.kinds[index][which] + 1
            sides = (boxes[:, 2:] - boxes[:, :2]) @ factors.T / self.size / self.reference[self.dataset.kinds[index]]
            sizes[place][:, inside] = np.log(sides[which]).T
        if self.mean is not None or self.std is not None:
            images = normalise(images, self.mean or 0.0, self.std or 1.0)
        return to_nchw(images), (classes, sizes), indices.astype(np.int64)
