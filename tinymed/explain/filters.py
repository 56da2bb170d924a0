"""What a convolution has learnt, and what it makes of an image, as grids of small pictures."""

import math
from typing import Any

import numpy as np

from .. import tape
from ..data.device_batches import as_array
from ..errors import UserError
from ..nn.conv import Conv
from ..nn.linear import Linear
from ..nn.module import Module
from ..report.samples import grid
from .layers import as_images, choose_layer, evaluating, in_order_of_images, last_output

MOST = 256  # small pictures of a grid
SMALLEST = 24  # pixels of a small picture's side, from which on it is not enlarged


def filter_grid(model: Module, layer: str | None = None, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Draw the filters of a convolution, each between its own smallest (black) and largest value (white).

    Filters of three input channels are drawn in colour, of other numbers as the mean over their inputs; of filters in
    three dimensions the middle slice.  The weights of a dense layer that is given the image itself are drawn likewise,
    each row as an image.

    Args:
        model: The network.
        layer: Name of the convolution or of that dense layer; None: the first convolution, or the dense layer.
        shape: Of the images that the network takes, (channels, *space); None: what the network says of itself.

    Returns:
        uint8 [height, width, 3].

    Raises:
        UserError: There is no such layer; the message lists what there is.

    Example:
        >>> from tinymed.models import create
        >>> filter_grid(create("dcnn")).ndim
        3
    """
    shape = getattr(model, "input_shape", None) if shape is None else shape
    found = {name: as_array(m.weight) for name, m in model.named_modules() if isinstance(m, Conv)}
    found |= dense_filters(model, shape)
    if not found or (layer is not None and layer not in found):
        asked = "" if layer is None else f"layer {layer!r}: "
        have = f"there are {', '.join(found)}" if found else "it has none"
        raise UserError(f"{asked}this network has no such convolution, nor a dense layer that sees the image ({have})")
    weights = found[layer if layer is not None else next(iter(found))].astype(np.float64)
    pictures = weights if weights.shape[1] == 3 else weights.mean(axis=1, keepdims=True)
    return small_pictures(middle(pictures))


def dense_filters(model: Module, shape: tuple[int, ...] | None) -> dict[str, np.ndarray]:
    """Return the weights of the first dense layer as images, by its name, if it takes as many numbers as an image has.

    Behind a convolution it does not see the image, whatever it takes.
    """
    for name, m in model.named_modules():
        if isinstance(m, Conv):
            break
        if isinstance(m, Linear):
            weights = as_array(m.weight)
            fits = shape is not None and weights.shape[1] == math.prod(shape)
            return {name: weights.reshape(len(weights), *shape)} if fits and shape is not None else {}
    return {}


def feature_grid(model: Module, image: Any, layer: str) -> np.ndarray:
    """Draw what a layer computes for an image, each map between its own smallest (black) and largest value (white).

    Args:
        model: The network, which is put into evaluation mode meanwhile.
        image: [1, channels, *space].
        layer: Name of a layer with an extent in space.

    Returns:
        uint8 [height, width, 3]; of volumes the middle slice of each map.

    Raises:
        UserError: There is no such layer; the message lists what there is.

    Example:
        >>> from tinymed.models import create
        >>> feature_grid(create("dcnn"), np.ones((1, 3, 50, 50)), "features.0").dtype
        dtype('uint8')
    """
    name = choose_layer(model, tuple(image.shape[1:]), layer)
    with evaluating(model), tape.no_grad(), last_output(model, name) as kept:
        model(as_images(model, image))
    maps = as_array(in_order_of_images(kept[0].array, tuple(image.shape)))[0]
    return small_pictures(middle(maps.astype(np.float64)[:, None]))


def middle(pictures: np.ndarray) -> np.ndarray:
    """Return pictures [n, channels, *space] of two dimensions: of three the middle slice of the first."""
    return pictures[:, :, pictures.shape[2] // 2] if pictures.ndim == 5 else pictures


def small_pictures(pictures: np.ndarray) -> np.ndarray:
    """Return [n, channels, height, width] as a grid, each picture stretched and made large enough to be seen."""
    shown = pictures[:MOST]
    low = shown.min(axis=(1, 2, 3), keepdims=True)
    span = shown.max(axis=(1, 2, 3), keepdims=True) - low
    shown = np.divide(shown - low, span, out=np.zeros_like(shown), where=span > 0)
    factor = max(1, math.ceil(SMALLEST / min(shown.shape[2:])))
    shown = shown.repeat(factor, axis=2).repeat(factor, axis=3).astype(np.float32)
    columns = math.ceil(math.sqrt(len(shown)))
    return grid([shown[i : i + columns] for i in range(0, len(shown), columns)])
