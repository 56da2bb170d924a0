"""Networks by name."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from typing import Any, NamedTuple

from ..errors import UserError
from ..nn.init import no_weights
from ..nn.init_default import build_drawn_once
from ..nn.module import Module
from .summary import Shapes, activation_bytes, count_parameters, input_shapes, summary, total_macs


class Entry(NamedTuple):
    """What the registry knows of a network.

    Attributes:
        name: What `create` calls it.
        build: The function or class that makes it.
        source: The publication.
        input: (channels, *space) by default; one such shape for each input of a network that takes several.
        gives: What it gives for an image, see `register`.
    """

    name: str
    build: Callable[..., Module]
    source: str  # the publication
    input: Shapes  # (channels, *space) by default; one such for each input of a network that takes several
    gives: str = ""

    @property
    def options(self) -> list[str]:
        """Return the names of the arguments that `create` passes on."""
        return list(inspect.signature(self.build).parameters)


registry: dict[str, Entry] = {}


GIVES = ("", "scores", "map", "picture", "field")


def register(name: str, source: str, input: Shapes, gives: str = "") -> Callable[[Any], Any]:
    """Register a function or class that builds a network, so that `create(name, ...)` finds it.

    Args:
        name: What `create`, `tinymed train` and `tinymed models` call the network.
        source: The publication.
        input: Shape (channels, *space) of one image by default, or one such shape for each input.
        gives: What it gives for such an image: "scores" of num_classes classes, a "map" of such scores at each pixel of
            the image, a "picture" of the image's shape, or a "field" with a number for each axis of space at each
            pixel; "" for another shape, which is found by making the network.

    Returns:
        A decorator that gives back what it decorates.

    Raises:
        ValueError: The name belongs to a network of another module, or gives is none of these.

    Example:
        >>> @register("tiny_example", "this docstring", (1, 8, 8))
        ... def tiny(num_classes: int = 2) -> Module:
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(64, num_classes))
        >>> from tinymed import nn
        >>> create("tiny_example", num_classes=5)(tinymed.zeros(3, 1, 8, 8)).shape
        (3, 5)
        >>> del registry["tiny_example"]
    """
    if gives not in GIVES:
        raise ValueError(f"models: {name} gives one of {', '.join(map(repr, GIVES))}, got {gives!r}")

    def add(build: Any) -> Any:
        if name in registry and registry[name].build.__module__ != build.__module__:
            raise ValueError(f"models: the name {name!r} is taken by {registry[name].build.__module__}")
        registry[name] = Entry(name, build, source, input, gives)
        return build

    return add


def available() -> list[str]:
    """Return the names of all networks, sorted.

    Returns:
        Names that `create` takes.

    Example:
        >>> "dcnn" in available(), "unet" in available()
        (True, True)
    """
    return sorted(registry)


def entry(name: str) -> Entry:
    """Return what the registry knows of a network.

    Args:
        name: One of `available()`.

    Returns:
        An Entry: name, build, source, input, options.

    Raises:
        UserError: The name is unknown.

    Example:
        >>> entry("lenet5").input
        (1, 32, 32)
    """
    if name not in registry:
        near = get_close_matches(name, available(), 1)
        meant = f"did you mean {near[0]}? choose" if near else "choose"
        raise UserError(f"model {name!r} is unknown; {meant} one of {', '.join(available())}")
    return registry[name]


def create(name: str, **options: Any) -> Any:
    """Build a new network with freshly drawn weights, in training mode.

    Args:
        name: One of `available()`.
        options: Arguments of the network, such as num_classes, in_channels, width; see `entry(name).options`.

    Returns:
        The network, an `nn.Module`.

    Raises:
        UserError: The name is unknown, the network lacks an option, or a value does not fit.

    Example:
        >>> model = create("dcnn", num_classes=3, size=46)
        >>> model(tinymed.zeros(2, 3, 46, 46)).shape
        (2, 3)
    """
    known = entry(name)
    unknown = [o for o in options if o not in known.options]
    if unknown:
        raise UserError(
            f"model {name!r} does not take {', '.join(unknown)}; its options are {', '.join(known.options)}"
        )
    return build_drawn_once(lambda: known.build(**options))


def default_size(name: str) -> int:
    """Return the side in pixels of the image that a network takes by default.

    Args:
        name: One of `available()`.

    Returns:
        The last side of the (first) input.

    Raises:
        UserError: The name is unknown.

    Example:
        >>> default_size("lenet5")
        32
    """
    return input_shapes(entry(name).input)[0][-1]


def shape_for(known: Entry, model: Module, options: dict[str, Any]) -> Shapes:
    """Return the input of a network made with these options: its own, or the registry's with them applied."""
    if hasattr(model, "input_shape"):
        own: Shapes = model.input_shape
        return own
    shapes = input_shapes(known.input)
    if len(shapes) > 1:
        return shapes
    channels, *space = shapes[0]
    return (options.get("in_channels", channels), *(options.get("size", side) for side in space))


def describe(name: str, **options: Any) -> dict[str, Any]:
    """Describe a network for one image, without taking memory for it.

    Args:
        name: One of `available()`.
        options: Arguments of the network, as for `create`.

    Returns:
        A dictionary: name, source, input (shape or shapes without the batch axis), parameters (learned values), macs
        (multiply-accumulates), activation_bytes (what training holds for backward, see `activation_bytes`).

    Raises:
        UserError: As `create`.

    Example:
        >>> row = describe("lenet5_modern")
        >>> row["parameters"], row["macs"]
        (61706, 416520)
    """
    known = entry(name)
    with no_weights():
        model = create(name, **options)
    shape = shape_for(known, model, options)
    shapes = [list(s) for s in input_shapes(shape)]
    return {
        "name": name,
        "source": known.source,
        "input": shapes[0] if len(shapes) == 1 else shapes,
        "parameters": count_parameters(model),
        "macs": total_macs(summary(model, shape)),
        "activation_bytes": activation_bytes(model, shape),
    }
