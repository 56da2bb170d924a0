"""The methods by name, and what each of them says of an image."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..data.device_batches import as_array
from ..errors import UserError
from ..nn.module import Module
from ..tape import no_grad
from .cam import grad_cam, grad_cam_plus_plus, hires_cam
from .gradients import guided_backprop, has_rectifiers, integrated_gradients
from .layers import as_images, choose_layer, evaluating, score_of, spatial_layers
from .occlusion import occlusion
from .settings import Settings


@dataclass
class Explanation:
    """What a method says of one image.

    Attributes:
        method: Its name.
        target: The output that is explained.
        score: That output, before its sigmoid or softmax.
        heat: A number for each pixel, [*space]; of a signed method negative where a pixel speaks against the output.
        signed: Whether heat may be negative.
        layer: Name of the layer of a class activation map, else "".
        gap: Of integrated gradients: the sum of the attributions less the output's difference; else None.

    Example:
        >>> Explanation("occlusion", 1, 0.5, np.zeros((4, 4)), signed=True).heat.shape
        (4, 4)
    """

    method: str
    target: int
    score: float
    heat: np.ndarray
    signed: bool
    layer: str = ""
    gap: float | None = None


class Method(NamedTuple):
    """A method: what computes (maps [n, *space], gaps [n] or None), and what kind of map it gives."""

    compute: Callable[[Module, Any, int, Settings], tuple[np.ndarray, np.ndarray | None]]
    signed: bool
    of_layer: bool
    title: str


def of_layer(cam: Callable[..., np.ndarray]) -> Callable[..., tuple[np.ndarray, None]]:
    """Return a class activation map as the table calls it."""
    return lambda model, images, target, settings: (cam(model, images, target, settings.layer), None)


def guided(model: Module, images: Any, target: int, settings: Settings) -> tuple[np.ndarray, None]:
    """Return the largest absolute guided gradient of a pixel's channels."""
    return np.abs(guided_backprop(model, images, target)).max(axis=1), None


def integrated(model: Module, images: Any, target: int, settings: Settings) -> tuple[np.ndarray, np.ndarray]:
    """Return integrated gradients, added up over a pixel's channels."""
    found, gap = integrated_gradients(model, images, target, settings)
    return found.sum(axis=1), gap


METHODS: dict[str, Method] = {
    "grad_cam": Method(of_layer(grad_cam), False, True, "Grad-CAM"),
    "grad_cam_plus_plus": Method(of_layer(grad_cam_plus_plus), False, True, "Grad-CAM++"),
    "hires_cam": Method(of_layer(hires_cam), False, True, "HiResCAM"),
    "guided_backprop": Method(guided, False, False, "guided back-propagation"),
    "integrated_gradients": Method(integrated, True, False, "integrated gradients"),
    "occlusion": Method(lambda m, x, k, settings: (occlusion(m, x, k, settings), None), True, False, "occlusion"),
}


def serving(model: Module, shape: tuple[int, ...]) -> list[str]:
    """Name the methods that serve a network, in the order of METHODS.

    Args:
        model: A network with one row of outputs for each image.
        shape: (channels, *space) of an image.

    Returns:
        The methods, but maps of layers of a network without extent in space, and guided back-propagation of one
        without rectifiers.

    Example:
        >>> from tinymed.models import create
        >>> serving(create("mlp"), (1, 28, 28))
        ['integrated_gradients', 'occlusion']
    """
    left = {name for name, method in METHODS.items() if method.of_layer and not spatial_layers(model, shape)}
    if not has_rectifiers(model, shape):
        left.add("guided_backprop")
    return [name for name in METHODS if name not in left]


def explain(
    model: Module, image: Any, method: str = "grad_cam", target: int | None = None, settings: Settings | None = None
) -> Explanation:
    """Explain one output of a network for one image.

    Args:
        model: A network with one row of outputs for each image; it is put into evaluation mode meanwhile.
        image: [1, channels, *space], as the network sees it, of two or three dimensions in space.
        method: One of METHODS.
        target: The output; None: the largest.
        settings: What the method is told, see `Settings`.

    Returns:
        The explanation; its heat has the image's sides.

    Raises:
        UserError: The method, layer or output is unknown, or does not serve this network.

    Example:
        >>> from tinymed.models import create
        >>> found = explain(create("dcnn"), np.ones((1, 3, 50, 50)), "hires_cam", target=1)
        >>> found.layer, found.heat.shape
        ('features.13', (50, 50))
    """
    if method not in METHODS:
        raise UserError(f"method {method!r} is unknown; choose one of {', '.join(METHODS)}")
    settings, chosen = settings or Settings(), METHODS[method]
    if len(image.shape) not in (4, 5) or image.shape[0] != 1:
        raise UserError(f"one image [1, channels, *space] is explained at a time, got shape {list(image.shape)}")
    if settings.layer is not None and not chosen.of_layer:
        raise UserError(f"layer: {method} works on the image itself and has no layer")
    outputs = outputs_of(model, image)
    target = int(outputs.argmax()) if target is None else target
    layer = choose_layer(model, tuple(image.shape[1:]), settings.layer) if chosen.of_layer else ""
    heat, gap = chosen.compute(model, image, target, settings)
    return Explanation(
        method, target, float(outputs[target]), heat[0], chosen.signed, layer, None if gap is None else float(gap[0])
    )


def outputs_of(model: Module, image: Any) -> np.ndarray:
    """Return the row of outputs of one image."""
    with evaluating(model), no_grad():
        outputs = model(as_images(model, image))
    score_of(outputs, 0)
    row: np.ndarray = as_array(outputs)[0]
    return row
