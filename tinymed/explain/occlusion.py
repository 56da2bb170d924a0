"""Occlusion: how much an output falls when a part of the image is covered."""

import itertools
from typing import Any

import numpy as np

from ..data.device_batches import as_array
from ..errors import UserError
from ..nn.module import Module
from .gradients import baseline_of, scores
from .layers import as_images
from .settings import Settings

SHARE = 8  # windows along the shortest side, where no window is given


def positions(side: int, window: int, stride: int) -> list[int]:
    """Return where windows begin along a side; the last ends with the side, so that every pixel is covered."""
    starts = list(range(0, side - window + 1, stride))
    return starts if starts[-1] == side - window else [*starts, side - window]


def occlusion(model: Module, images: Any, target: int, settings: Settings | None = None) -> np.ndarray:
    """Cover each part of an image in turn, and measure by how much an output falls.

    Args:
        model: A network with one row of outputs for each image.
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.
        settings: Its baseline (what covers), window, stride and batch.

    Returns:
        Maps [n, *space]: the mean fall of the output over the windows that cover a pixel; negative where covering
        raises the output.

    Raises:
        UserError: The window does not fit the image, the stride leaves gaps, or no such output.

    Example:
        >>> from tinymed.models import create
        >>> occlusion(create("lenet5_modern"), np.ones((1, 1, 32, 32)), 3, Settings(window=8)).shape
        (1, 32, 32)

    Reference:
        Zeiler & Fergus, "Visualizing and understanding convolutional networks", 2014.
    """
    settings = settings or Settings()
    x = as_array(as_images(model, images))
    space = x.shape[2:]
    window = settings.window if settings.window is not None else max(min(space) // SHARE, 1)
    stride = settings.stride if settings.stride is not None else max(window // 2, 1)
    if not 1 <= window <= min(space):
        raise UserError(f"window {window}: covers 1 to {min(space)} pixels of a side of this image")
    if not 1 <= stride <= window:
        raise UserError(f"stride {stride}: windows of {window} pixels need a stride of 1 to {window}, or gaps remain")
    cover = baseline_of(settings, x.shape[1:], x.dtype)
    starts = itertools.product(*(positions(side, window, stride) for side in space))
    places = [(slice(None), *(slice(s, s + window) for s in start)) for start in starts]
    return np.stack([falls(model, image, cover, places, target, settings.batch) for image in x])


def falls(
    model: Module, image: np.ndarray, cover: np.ndarray, places: list[Any], target: int, batch: int
) -> np.ndarray:
    """Return the mean fall of the output over the places that cover each pixel of one image."""
    whole = float(scores(model, image[None], target, 1)[0])
    total, count = np.zeros(image.shape[1:]), np.zeros(image.shape[1:])
    for low in range(0, len(places), batch):
        chosen = places[low : low + batch]
        covered = np.repeat(image[None], len(chosen), axis=0)
        for one, place in zip(covered, chosen, strict=True):
            one[place] = cover[place]
        for place, score in zip(chosen, scores(model, covered, target, batch), strict=True):
            total[place[1:]] += whole - float(score)
            count[place[1:]] += 1
    return total / count
