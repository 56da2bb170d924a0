"""Latent numbers beside real pictures, and the pictures that a generator makes of latent numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import random
from ...data.batched_uniform import normal_rows
from ...data.device_batches import as_array, as_tensors, device_of
from ...data.loader import Loader
from ...tape import no_grad

MEASURED = 1 << 31  # the epoch whose latent numbers are those of every measurement
BATCH = 128


def latent_rows(rows: np.ndarray, latent: int, seed: int, epoch: int = MEASURED) -> np.ndarray:
    """Return the latent numbers of pictures, float32 [n, latent, 1, 1]: a function of (seed, epoch, picture)."""
    drawn = normal_rows(latent, seed, random.LATENT, rows, epoch)
    return drawn.astype(np.float32).reshape(len(rows), latent, 1, 1)


class BesideReal:
    """Batches (latent numbers, real pictures from -1 to 1, indices) of a loader.

    Args:
        loader: Of the real pictures, from 0 to 1.
        latent: Latent numbers of a picture.
        seed: Of what is drawn.
    """

    def __init__(self, loader: Loader, latent: int, seed: int):
        self.loader, self.latent, self.seed = loader, latent, seed
        self.dataset, self.batch_size = loader.dataset, loader.batch_size

    def __len__(self) -> int:
        """Return the batches of one epoch."""
        return len(self.loader)

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Yield the batches of an epoch from number `start_batch` on."""
        batches = self.loader.epoch(epoch, start_batch)
        try:
            for images, _, indices in batches:
                yield latent_rows(indices, self.latent, self.seed, epoch), 2 * images - 1, indices
        finally:
            batches.close()  # type: ignore[attr-defined]


def draw_pictures(
    model: Any,
    rows: np.ndarray,
    seed: int,
    stop: Callable[[], bool] = lambda: False,
    forward: Callable[[Any], Any] | None = None,
) -> np.ndarray:
    """Return the pictures of a generator, float32 [n, channels, size, size] from -1 to 1.

    Args:
        model: The network; it is evaluated, and left in evaluation mode.
        rows: Numbers of the pictures: the same number and seed give the same picture.
        seed: Of their latent numbers.
        stop: Asked after each batch; when it says so, leave early with what there is.
        forward: The model, captured.
    """
    model.eval()
    latent, found = model.input_shape[0], []
    with no_grad():
        for start in range(0, len(rows), BATCH):
            given = as_tensors(latent_rows(rows[start : start + BATCH], latent, seed), device_of(model))
            found.append(as_array((forward or model)(given)))
            if stop():
                break
    return np.concatenate(found)
