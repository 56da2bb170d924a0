"""Networks that classify the middle of a patch, at every pixel of a picture or voxel of a volume."""

from collections.abc import Callable
from typing import Any

import numpy as np

from ...data.device_batches import as_array, as_tensors, device_of
from ...data.tiles import slide
from ...errors import UserError
from ...models.fully_convolutional import DenseTriplanar, FullyConvolutional
from ...models.triplanar import PLANES, Triplanar
from ...tape import no_grad

DenseNetwork = Callable[[np.ndarray], np.ndarray]
TILE = {2: 64, 3: 24}  # side of the scores computed at a time
WINDOWS = 256  # patches at a time of a network that must be slid


def patch_network(model: Any, patch: int, channels: int, planes: int) -> DenseNetwork:
    """Return a function of images [channels, *space] giving outputs [classes, *space] of the patch about every place.

    Images are mirrored beyond their borders.  Of volumes a 2-D network sees the slices along z, and a triplanar one
    (planes = 3) the planes xy, yz and zx.  A network that cannot be run fully convolutionally is slid, patch by patch.
    """
    if planes == PLANES:
        if not isinstance(model, Triplanar):
            raise UserError(f"{type(model).__name__} does not look at three planes; triplanar does")
        dense = DenseTriplanar(model, patch)
        return lambda image: tiled(lambda tiles: np.stack([forward(dense, tile) for tile in tiles]), image, patch)
    predict = predictor(model, patch, channels)

    def flat(image: np.ndarray) -> np.ndarray:
        if image.ndim == 3:
            return tiled(predict, image, patch)
        return np.stack([tiled(predict, image[..., z], patch) for z in range(image.shape[3])], axis=-1)

    return flat


def tiled(predict: Callable[[np.ndarray], np.ndarray], image: np.ndarray, patch: int) -> np.ndarray:
    """Return the outputs of an image, tile by tile.

    Predict: tiles [n, channels, *(n + patch - 1)] -> [n, classes, *n].
    """
    side = [min(TILE[image.ndim - 1], n) for n in image.shape[1:]]
    return slide(predict, image, [n + patch - 1 for n in side], side, overlap=0, blend="uniform", batch=1)


def predictor(model: Any, patch: int, channels: int) -> Callable[[np.ndarray], np.ndarray]:
    """Return the model run fully convolutionally, or where it cannot be, slid."""
    try:
        dense = FullyConvolutional(model, patch, channels)
    except ValueError:
        return lambda tiles: slid(model, patch, tiles)
    return lambda tiles: forward(dense, tiles)


def forward(module: Any, images: np.ndarray) -> np.ndarray:
    """Return outputs of a module in evaluation mode."""
    with no_grad():
        return as_array(module.eval()(as_tensors(images, device_of(module))))


def slid(model: Any, patch: int, images: np.ndarray) -> np.ndarray:
    """Return outputs [n, classes, rows, columns] of every patch of images [n, channels, rows + patch - 1, ...]."""
    windows = np.lib.stride_tricks.sliding_window_view(images, (patch, patch), (2, 3)).transpose(0, 2, 3, 1, 4, 5)
    n, rows, columns = windows.shape[:3]
    places = list(np.ndindex(n, rows, columns))
    parts = []
    for start in range(0, len(places), WINDOWS):
        parts.append(forward(model, np.stack([windows[place] for place in places[start : start + WINDOWS]])))
    return np.concatenate(parts).reshape(n, rows, columns, -1).transpose(0, 3, 1, 2)
