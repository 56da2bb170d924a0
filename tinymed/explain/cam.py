"""Class activation maps: how the maps of one layer, weighted by gradients, speak for an output.

    Grad-CAM      relu(sum over channels of mean(g_c) A_c)        Selvaraju et al. 2017
    Grad-CAM++    the mean weighted by the second and third derivatives of exp(output)    Chattopadhay et al. 2018
    HiResCAM      relu(sum over channels of g_c A_c)              Draelos & Carin 2020

A: the layer's maps, g: the gradient of the output with respect to them.  All are enlarged to the image linearly.
"""

from typing import Any

import numpy as np

from ..data.device_batches import as_array
from ..nn.functional import interpolate
from ..nn.module import Module
from ..tensor import Tensor
from .layers import Computed, choose_layer, layer_gradients

LINEAR = {2: "bilinear", 3: "trilinear"}


def enlarge(heat: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Return maps [n, *sides] with the sides of the image, interpolated linearly."""
    larger = interpolate(Tensor(heat[:, None]), size=space, mode=LINEAR[len(space)], align_corners=False)
    return as_array(larger)[:, 0]


def computed_of(model: Module, images: Any, target: int, layer: str | None) -> tuple[Computed, tuple[int, ...]]:
    """Return what a layer computed for images, as NumPy arrays, and the images' sides."""
    shape = tuple(int(n) for n in images.shape)
    found = layer_gradients(model, images, target, choose_layer(model, shape[1:], layer))
    return Computed(*(as_array(a) for a in found)), shape[2:]


def weighted(maps: np.ndarray, weights: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Return relu(sum over channels of weights * maps), enlarged; weights [n, channels, *1 or *sides]."""
    return enlarge(np.maximum((weights * maps).sum(axis=1), 0), space)


def grad_cam(model: Module, images: Any, target: int, layer: str | None = None) -> np.ndarray:
    """Compute Grad-CAM: a channel's weight is the mean of its gradient.

    Args:
        model: A network with one row of outputs for each image.
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.
        layer: Name of the layer; None: see `choose_layer`.

    Returns:
        Maps [n, *space], 0 where nothing speaks for the output.

    Raises:
        UserError: No such layer or output.

    Example:
        >>> from tinymed.models import create
        >>> grad_cam(create("lenet5_modern"), np.ones((1, 1, 32, 32)), 3).shape
        (1, 32, 32)

    Reference:
        Selvaraju et al., "Grad-CAM: visual explanations from deep networks via gradient-based localization", 2017.
    """
    found, space = computed_of(model, images, target, layer)
    axes = tuple(range(2, found.maps.ndim))
    return weighted(found.maps, found.gradients.mean(axis=axes, keepdims=True), space)


def grad_cam_plus_plus(model: Module, images: Any, target: int, layer: str | None = None) -> np.ndarray:
    """Compute Grad-CAM++: places count more where the gradient of exp(output) rises, so that small things count too.

    With g the gradient of the output itself, a = g^2 / (2 g^2 + g^3 sum(A)), 0 where the gradient is; a channel's
    weight is sum(a relu(g)).  The paper's factor exp(output) is left out: it is one number for the whole map.

    Args:
        model: A network with one row of outputs for each image.
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.
        layer: Name of the layer; None: see `choose_layer`.

    Returns:
        Maps [n, *space].

    Raises:
        UserError: No such layer or output.

    Example:
        >>> from tinymed.models import create
        >>> bool(grad_cam_plus_plus(create("lenet5_modern"), np.ones((1, 1, 32, 32)), 3).min() >= 0)
        True

    Reference:
        Chattopadhay et al., "Grad-CAM++: generalized gradient-based visual explanations", 2018, equation 19.
    """
    found, space = computed_of(model, images, target, layer)
    g, axes = found.gradients, tuple(range(2, found.maps.ndim))
    below = 2 * g**2 + g**3 * found.maps.sum(axis=axes, keepdims=True)
    share = np.divide(g**2, below, out=np.zeros_like(g), where=below != 0)
    return weighted(found.maps, (share * np.maximum(g, 0)).sum(axis=axes, keepdims=True), space)


def hires_cam(model: Module, images: Any, target: int, layer: str | None = None) -> np.ndarray:
    """Compute HiResCAM: each place of a map has its own gradient as its weight.

    Where the layer is followed by one linear layer, the map is exactly what each place adds to the output.

    Args:
        model: A network with one row of outputs for each image.
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.
        layer: Name of the layer; None: see `choose_layer`.

    Returns:
        Maps [n, *space].

    Raises:
        UserError: No such layer or output.

    Example:
        >>> from tinymed.models import create
        >>> hires_cam(create("lenet5_modern"), np.ones((1, 1, 32, 32)), 3).shape
        (1, 32, 32)

    Reference:
        Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks",
        2020.
    """
    found, space = computed_of(model, images, target, layer)
    return weighted(found.maps, found.gradients, space)
