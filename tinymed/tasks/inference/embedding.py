"""What a network says of an image at a layer inside: embeddings, one row for each image.

    found = embed(model, loader, "classifier.0", normalise=True)         # float32 [n, d], unit rows
    several = embed_layers(model, loader, ["features", "classifier.0"])  # one pass, {name: float32 [n, d]}

The layer of a classifier by default is what goes into its last linear layer, `last_features(model)`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from typing import Any, NamedTuple

import numpy as np

from ...data.device_batches import as_array, as_tensors, device_of
from ...errors import UserError
from ...models.shapes import blank, shapes_only
from ...nn.linear import Linear
from ...tape import no_grad
from ...tensor import Tensor
from .class_scores import forward_pass

LISTED = 60  # names of layers that a message lists


class Layer(NamedTuple):
    """A place in a network: what a module gives, or with `before` what it is given."""

    name: str
    before: bool = False

    def __str__(self) -> str:
        return f"the input of {self.name}" if self.before else self.name or "the output"


def embed(
    model: Any, loader: Any, layer: str | Layer | None = None, *, normalise: bool = False, spatial: str = "mean"
) -> np.ndarray:
    """Compute the embedding of every image of a set at one layer.

    Args:
        model: The network; it is evaluated, and left in evaluation mode.
        loader: Of the set, such as `tinymed.data.Loader`; each image has one row, at its place in the set.
        layer: Name of the layer, as `model.named_modules()` has it; "" is the network's output; by default what goes
            into its last linear layer.
        normalise: Divide each row by its Euclidean length; a row of zeros stays.
        spatial: Of maps [n, c, *space] and of tokens [n, t, c]: "mean" over places, "max" over places, or "flatten".

    Returns:
        float32 [n, d].

    Raises:
        UserError: No such layer (the message lists them), or one that does not give one tensor an image.

    Example:
        >>> from tinymed import models
        >>> from tinymed.data import Dataset, Loader
        >>> images = Dataset(np.zeros((3, 46, 46, 3), np.uint8), [0, 1, 1], ["a", "b"])
        >>> loader = Loader(images, 2, 46, workers=0)
        >>> embed(models.create("dcnn", size=46), loader).shape
        (3, 64)
    """
    wanted = last_features(model) if layer is None else layer
    return next(iter(embed_layers(model, loader, [wanted], normalise=normalise, spatial=spatial).values()))


def embed_layers(
    model: Any, loader: Any, layers: Sequence[str | Layer], *, normalise: bool = False, spatial: str = "mean"
) -> dict[str, np.ndarray]:
    """Compute the embeddings of every image of a set at several layers, in one pass over it.

    Args:
        model: The network; it is evaluated, and left in evaluation mode.
        loader: Of the set; each image has one row, at its place in the set.
        layers: Names, or `Layer`s.
        normalise: See `embed`.
        spatial: See `embed`.

    Returns:
        {name of a layer: float32 [n, d]}, in the order of `layers`.

    Raises:
        UserError: As `embed`.

    Example:
        >>> from tinymed import models
        >>> from tinymed.data import Dataset, Loader
        >>> images = Dataset(np.zeros((3, 46, 46, 3), np.uint8), [0, 1, 1], ["a", "b"])
        >>> loader = Loader(images, 2, 46, workers=0)
        >>> found = embed_layers(models.create("dcnn", size=46), loader, ["features", ""])
        >>> {name: rows.shape for name, rows in found.items()}
        {'features': (3, 256), 'the output': (3, 2)}
    """
    places = [layer if isinstance(layer, Layer) else Layer(layer) for layer in layers]
    for place in places:
        find_layer(model, place)
    rows: dict[str, list[np.ndarray]] = {str(place): [] for place in places}
    order = []
    for images, _, indices in loader.epoch(0):
        for name, array in layer_outputs(model, images, places).items():
            rows[name].append(as_rows(array, name, len(indices), spatial))
        order.append(indices)
    position = np.argsort(np.concatenate(order), kind="stable")
    found = {name: np.concatenate(parts)[position] for name, parts in rows.items()}
    return {name: unit_rows(array) for name, array in found.items()} if normalise else found


def layer_outputs(model: Any, images: Any, layers: Sequence[Layer]) -> dict[str, np.ndarray]:
    """Return {name: array} of what prepared images [n, channels, *space] give at layers, in evaluation mode."""
    model.eval()
    with watched(model, layers) as seen, no_grad():
        forward_pass(model)(as_tensors(images, device_of(model)))
    return {str(layer): only_tensor(layer, seen[layer]) for layer in layers}


@contextmanager
def watched(model: Any, layers: Sequence[Layer]) -> Iterator[dict[Layer, list[Any]]]:
    """Collect what layers give (or are given) while the block runs, call by call."""
    seen: dict[Layer, list[Any]] = {layer: [] for layer in layers}
    hooks = []
    try:
        for layer in layers:
            module, found = find_layer(model, layer), seen[layer]
            if layer.before:
                hooks.append(module.register_forward_pre_hook(lambda _, given, found=found: found.append(given[0])))
            else:
                hooks.append(module.register_forward_hook(lambda _, given, made, found=found: found.append(made)))
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def only_tensor(layer: Layer, calls: Sequence[Any]) -> np.ndarray:
    """Return the array of the one tensor that a layer gave.  Raises UserError for none, or several."""
    if len(calls) != 1:
        times = f"is called {len(calls)} times for an image" if calls else "takes no part in the network's forward pass"
        raise UserError(f"layer {layer}: {times}; choose a layer that is called once")
    if not isinstance(calls[0], Tensor):
        raise UserError(f"layer {layer}: gives {type(calls[0]).__name__} and not one tensor; choose another layer")
    return as_array(calls[0])


def find_layer(model: Any, layer: Layer) -> Any:
    """Return the module of a layer.  Raises UserError listing the names there are."""
    modules = dict(model.named_modules())
    if layer.name not in modules:
        names = [name for name in modules if name]
        close = get_close_matches(layer.name, names, 3)
        hint = f"did you mean {' or '.join(map(repr, close))}? " if close else ""
        more = f", and {len(names) - LISTED} more" if len(names) > LISTED else ""
        raise UserError(
            f"layer {layer.name!r}: {type(model).__name__} has none of this name; {hint}its layers are "
            f"{', '.join(names[:LISTED])}{more}"
        )
    return modules[layer.name]


def last_features(model: Any) -> Layer:
    """Return what goes into a network's last linear layer, the usual embedding of a classifier.

    Raises:
        UserError: It has no linear layer.

    Example:
        >>> from tinymed import models
        >>> str(last_features(models.create("dcnn", size=46)))
        'the input of classifier.7'
    """
    dense = [name for name, module in model.named_modules() if isinstance(module, Linear)]
    if not dense:
        raise UserError(
            f"{type(model).__name__} has no linear layer whose input could be the embedding; name a layer with --layer"
        )
    return Layer(dense[-1], before=True)


def usable_layers(model: Any, image: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Return {name: shape for one image} of the layers that an embedding can be taken at, in their order.

    Args:
        model: The network.
        image: Shape (channels, *space) of what it sees.

    Example:
        >>> from tinymed import models
        >>> usable_layers(models.create("dcnn", size=46), (3, 46, 46))["classifier.7"]
        (2,)
    """
    names = [Layer(name) for name, _ in model.named_modules() if name]
    mode = model.training
    try:
        with watched(model.eval(), names) as seen, no_grad(), shapes_only():
            model(as_tensors(blank((1, *image))))
    finally:
        model.train(mode)
    single = {layer.name: made[0] for layer, made in seen.items() if len(made) == 1}
    return {name: tuple(made.shape[1:]) for name, made in single.items() if isinstance(made, Tensor)}


def as_rows(array: np.ndarray, name: str, count: int, spatial: str) -> np.ndarray:
    """Return what a layer gave for a batch as float32 [n, d].  Raises UserError for another number of rows."""
    if array.ndim < 2 or len(array) != count:
        raise UserError(f"layer {name}: gives an array of shape {array.shape} for {count} images; choose another layer")
    if array.ndim > 2 and spatial != "flatten":
        places = tuple(range(2, array.ndim)) if array.ndim > 3 else (1,)  # of three axes the second is the tokens'
        array = array.mean(axis=places, dtype=np.float64) if spatial == "mean" else array.max(axis=places)
    return array.reshape(count, -1).astype(np.float32)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return rows divided by their Euclidean lengths; a row of zeros stays.

    Example:
        >>> unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist()
        [[0.6, 0.8], [0.0, 0.0]]
    """
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))[:, None]
    result: np.ndarray = (rows / np.where(length > 0, length, 1)).astype(rows.dtype)
    return result
