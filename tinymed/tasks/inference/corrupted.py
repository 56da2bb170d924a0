"""Images with their originals beside them: batches of a denoising auto-encoder, whose inputs are corrupted."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ... import random
from ...data.batched_uniform import normal_rows, uniform_rows
from ...data.loader import Loader

MEASURED = 1 << 31  # the epoch that images are corrupted by when they are measured


class Corrupted:
    """Batches (corrupted images, images, indices) of a loader.

    mask sets a share of the pixels to 0, all channels of a pixel together (Vincent et al., JMLR 11, 2010); noise adds
    normal numbers of a deviation.  What is drawn is a function of (seed, epoch, image), whatever the batch.

    Args:
        loader: Of the images, normalised.
        kind: none, mask or noise.
        amount: The share, or the deviation, of images from 0 to 1.
        seed: Of what is drawn.
        measured: Corrupt every epoch alike, for measuring.
    """

    def __init__(self, loader: Loader, kind: str, amount: float, seed: int, measured: bool = False):
        self.loader, self.kind, self.amount, self.seed, self.measured = loader, kind, amount, seed, measured
        self.dataset, self.batch_size = loader.dataset, loader.batch_size

    def __len__(self) -> int:
        """Return the batches of one epoch."""
        return len(self.loader)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the batches of an epoch from number `start_batch` on."""
        batches = self.loader.epoch(epoch, start_batch)
        try:
            for images, _, indices in batches:
                yield self.corrupt(images, indices, MEASURED if self.measured else epoch), images, indices
        finally:
            batches.close()  # type: ignore[attr-defined]

    def corrupt(self, images: np.ndarray, indices: np.ndarray, epoch: int) -> np.ndarray:
        """Return the images as the network sees them."""
        if self.kind == "none":
            return images
        n, channels, height, width = images.shape
        std, mean = (v.reshape(1, -1, 1, 1) for v in (self.loader.std, self.loader.mean))
        if self.kind == "mask":
            drawn = uniform_rows(height * width, self.seed, random.NOISE, indices, epoch)
            hidden = drawn.reshape(n, 1, height, width) < self.amount
            return np.where(hidden, -mean / std, images).astype(np.float32)
        normal = normal_rows(channels * height * width, self.seed, random.NOISE, indices, epoch)
        noise: Any = self.amount * normal.reshape(images.shape) / std
        damaged: np.ndarray = (images + noise).astype(np.float32)
        return damaged
