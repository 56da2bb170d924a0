"""Which layers of a network have an extent in space, and what one of them computes for an image."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from .. import devices
from ..data.device_batches import device_of
from ..errors import UserError
from ..grad_mode import enable_grad, no_grad
from ..models.shapes import blank, shapes_only
from ..models.summary import mode
from ..nn.functional import select
from ..nn.module import Module
from ..tensor import Tensor

LEAST = 4  # pixels a side of a map that still shows a place
SILENT = {"Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "Identity"}


class Layer(NamedTuple):
    """A layer whose output has an extent in space.

    Attributes:
        name: Path of the module in the network.
        kind: Name of its class.
        channels: Number of its maps.
        space: Sides of a map in pixels.

    Example:
        >>> Layer("conv1", "Conv2d", 8, (16, 16)).space
        (16, 16)
    """

    name: str
    kind: str
    channels: int
    space: tuple[int, ...]


def as_images(model: Module, images: Any) -> Tensor:
    """Return images [n, channels, *space] as a leaf that requires a gradient, on the model's device, in its dtype.

    Raises UserError for another number of axes.
    """
    array = images.array if isinstance(images, Tensor) else np.asarray(images)
    if len(array.shape) not in (4, 5):
        raise UserError(f"images have the axes [n, channels, *space] with two or three of space, got {array.shape}")
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    return Tensor(devices.move(array, device_of(model)).astype(dtype), requires_grad=True)


def score_of(outputs: Any, target: int) -> Any:
    """Return output number `target` of every image.  Raises UserError where an image has no row of outputs."""
    if not isinstance(outputs, Tensor) or len(outputs.shape) != 2:
        raise UserError("only a network with one row of outputs for each image can be explained, not one of pictures")
    if not 0 <= target < outputs.shape[1]:
        raise UserError(f"output {target}: the network has {outputs.shape[1]} outputs, 0 to {outputs.shape[1] - 1}")
    return select(outputs, 1, target)


def in_order_of_images(a: Any, images: tuple[int, ...]) -> Any:
    """Return what a layer computed as [n, channels, *space], or None where it has no such form.

    A network of volumes may compute slice by slice, [n * depth, channels, *sides]: then depth goes to its place.
    """
    n, axes = images[0], len(images)
    if len(a.shape) == axes and a.shape[0] == n:
        return a
    if len(a.shape) == axes - 1 and axes == 5 and a.shape[0] == n * images[2]:
        slices = a.reshape((n, images[2], *a.shape[1:]))
        return slices.transpose(0, 2, 1, 3, 4)
    return None


def watch_outputs(model: Module, see: Any) -> list[Any]:
    """Call see(name, module, inputs, output) after every module that gives one tensor; returns the hooks' handles."""

    def hook_of(name: str) -> Any:
        def hook(module: Module, args: Any, result: Any) -> None:
            if isinstance(result, Tensor):
                see(name, module, args, result)

        return hook

    return [m.register_forward_hook(hook_of(name)) for name, m in model.named_modules() if name]


def spatial_layers(model: Module, shape: tuple[int, ...]) -> list[Layer]:
    """Find the layers whose outputs have an extent in space, in the order in which they are computed.

    A layer that is called several times stands where it is called last.  Layers that change nothing in evaluation mode
    are left out, and those that give more places than they get, such as the pooling of VGG for small images.

    Args:
        model: The network.
        shape: (channels, *space) of an image.

    Returns:
        The layers, the one nearest to the image first.

    Example:
        >>> from tinymed.models import create
        >>> [layer.name for layer in spatial_layers(create("lenet5_modern"), (1, 32, 32))][-2:]
        ['features.4', 'features.5']
    """
    found: dict[str, Layer] = {}
    images = (1, *shape)
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))

    def see(name: str, module: Module, args: Any, result: Tensor) -> None:
        found.pop(name, None)
        a = in_order_of_images(result.array, images)
        if a is None or type(module).__name__ in SILENT or max(a.shape[2:]) < 2:
            return
        given = args[0].shape if args and isinstance(args[0], Tensor) else result.shape
        if not module._modules and np.prod(given[2:]) < np.prod(result.shape[2:]):
            return
        found[name] = Layer(name, type(module).__name__, a.shape[1], tuple(a.shape[2:]))

    handles = watch_outputs(model, see)
    try:
        with mode(model, training=False), no_grad(), shapes_only():
            model(Tensor(blank(images, dtype)))
    finally:
        for handle in handles:
            handle.remove()
    within = getattr(model, "within", "")  # of a network asked about a part of its image, see `Asked`
    return [layer for layer in found.values() if layer.name.startswith(within)]


def choose_layer(model: Module, shape: tuple[int, ...], name: str | None = None) -> str:
    """Choose the layer of a class activation map.

    Args:
        model: The network.
        shape: (channels, *space) of an image.
        name: The layer, or None for the last one with at least 4 pixels a side; if there is none, the last one with
            more than one pixel.  Of a network that answers for every place (see `Places`) the last of the coarsest.

    Returns:
        The layer's name.

    Raises:
        UserError: There is no such layer; the message lists what there is.

    Example:
        >>> from tinymed.models import create
        >>> choose_layer(create("dcnn"), (3, 50, 50))
        'features.13'
    """
    layers = spatial_layers(model, shape)
    names = [layer.name for layer in layers]
    if not layers:
        raise UserError(
            "no layer of this network has an extent in space, so it has no class activation map; "
            "integrated_gradients and occlusion need none"
        )
    if name is None:
        wide = [layer for layer in layers if min(layer.space) >= LEAST] or layers
        if getattr(model, "in_space", False):  # its last layer is the answer itself: the coarsest sees the most
            least = min(math.prod(layer.space) for layer in wide)
            wide = [layer for layer in wide if math.prod(layer.space) == least]
        return wide[-1].name
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise UserError(f"layer {name!r}: there is no such layer with an extent in space{hint} (of {', '.join(names)})")
    return name


@contextmanager
def evaluating(model: Module) -> Iterator[None]:
    """Put a model into evaluation mode inside.

    Batch norm does not compare its statistics with those of the batch meanwhile: covered images and points of a path
    are no sample of what it was trained on.
    """
    before = [(m, m.unchecked) for m in model.modules() if hasattr(m, "unchecked")]
    with mode(model, training=False):
        try:
            for module, _ in before:
                module.unchecked = False
            yield
        finally:
            for module, was in before:
                module.unchecked = was


class Computed(NamedTuple):
    """What a layer computed, and how an output depends on it; arrays [n, channels, *space], and the outputs."""

    maps: Any
    gradients: Any
    outputs: Any


@contextmanager
def last_output(model: Module, name: str) -> Iterator[list[Tensor]]:
    """Give a list that holds, after a forward pass, what a layer computed when it was called last."""
    kept: list[Tensor] = []

    def see(module: Module, args: Any, result: Any) -> None:
        kept[:] = [result]

    handle = dict(model.named_modules())[name].register_forward_hook(see)
    try:
        yield kept
    finally:
        handle.remove()


def layer_gradients(model: Module, images: Any, target: int, layer: str) -> Computed:
    """Return a layer's maps and the gradients of output number `target` with respect to them, in evaluation mode."""
    from ..gradients import grad

    x = as_images(model, images)
    with evaluating(model), enable_grad(), last_output(model, layer) as kept:
        outputs = model(x)
        score = score_of(outputs, target).sum()
    (gradients,) = grad(score, [kept[0]])
    maps = in_order_of_images(kept[0].array, tuple(x.shape))
    if gradients is None:
        return Computed(maps, 0 * maps, outputs.array)
    return Computed(maps, in_order_of_images(gradients.array, tuple(x.shape)), outputs.array)
