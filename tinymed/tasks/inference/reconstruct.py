"""An auto-encoder over a whole set, beside the methods that need no network: the mean image, principal components."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ... import random
from ...data.device_batches import as_array, device_batches, device_of
from ...data.device_reading import read_late
from ...data.principal import PrincipalComponents
from ...data.unlabelled import pixels_of
from ...metrics.reconstruction import mean_squared_errors
from ...tape import no_grad
from ...tensor import Tensor
from ..heads.pixel_head import PixelHead
from .class_scores import forward_pass
from .corrupted import Corrupted

MOST_IMAGES = 2000  # of the training set that components are computed from: a matrix of their products is decomposed
Rebuild = Callable[[np.ndarray], np.ndarray]  # images from 0 to 1 -> images from 0 to 1


def reconstruction_errors(
    model: Any,
    batches: Corrupted,
    head: PixelHead,
    floors: dict[str, Rebuild] | None = None,
    stop: Callable[[], bool] = lambda: False,
    forward: Any = None,
) -> tuple[dict[str, np.ndarray], float]:
    """Return ({"": mean squared error of each image, floor: the same of it}, mean loss), in the order of the set.

    Args:
        model: The network.
        batches: Of the set, unshuffled.
        head: What the outputs mean.
        floors: Name -> a method that gets the same inputs as the network.
        stop: Asked after each batch; when it says so, leave early with what there is.
        forward: The model, captured.
    """
    forward = forward or forward_pass(model)
    model.eval()
    loss, total, count, place = head.unweighted(), 0.0, 0, device_of(model)
    errors: dict[str, list[np.ndarray]] = {name: [] for name in ("", *(floors or {}))}

    def computed() -> Iterator[tuple[Any, Any, Tensor, Any, np.ndarray]]:
        for images, targets, labels, indices in device_batches(batches.epoch(0), head.targets, place):
            outputs = forward(images)
            yield images, outputs, loss(outputs, targets), labels, indices

    with no_grad():
        for images, outputs, value, labels, indices in read_late(computed(), place):
            truth, seen = head.originals(labels), head.originals(as_array(images))
            total += value.item() * len(indices)
            count += len(indices)
            errors[""].append(mean_squared_errors(truth, head.scores(outputs)))
            for name, rebuild in (floors or {}).items():
                errors[name].append(mean_squared_errors(truth, rebuild(seen)))
            if stop():
                break
    return {name: np.concatenate(found) for name, found in errors.items()}, total / max(count, 1)


def trivial_methods(
    train: Any, size: int, channels: int, code_size: int, seed: int, corrupted: bool
) -> dict[str, Rebuild]:
    """Return the floors of an auto-encoder whose code has `code_size` numbers, learnt from the training images.

    The mean image; as many principal components as the code has numbers (of at most MOST_IMAGES images, which
    components cannot outnumber); and, where inputs are corrupted, the input as it is.
    """
    rows = random.permutation(len(train), seed, random.BOOTSTRAP, 1)[:MOST_IMAGES]
    pixels = pixels_of(train, rows, size, channels)
    mean = pixels.mean(axis=0).reshape(1, channels, size, size)
    floors: dict[str, Rebuild] = {"mean image": lambda seen: np.broadcast_to(mean, seen.shape)}
    if corrupted:
        floors["the input"] = lambda seen: seen
    if 0 < code_size < pixels.shape[1] and len(pixels) > 1:
        found = PrincipalComponents(pixels, code_size)

        def project(seen: np.ndarray) -> np.ndarray:
            return found.decode(found.encode(seen.reshape(len(seen), -1))).reshape(seen.shape)

        floors[f"{len(found.basis)} components"] = project
    return floors
