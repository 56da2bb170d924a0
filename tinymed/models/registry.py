"""Networks by name."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import UserError
from ..nn.init import no_weights
from ..nn.module import Module
from .summary import Shapes, activation_bytes, count_parameters, input_shapes, summary, total_macs


class Entry(NamedTuple):
    """What the registry knows of a network."""

    name: str
    build: Callable[..., Module]
    source: str  # the publication
    input: Shapes  # (channels, *space) by default; one such for each input of a network that takes several

    @property
    def options(self) -> list[str]:
        """The names of the arguments that `create` passes on."""
        return list(inspect.signature(self.build).parameters)


registry: dict[str, Entry] = {}


def register(name: str, source: str, input: Shapes) -> Callable[[Any], Any]:
    """Decorator: let `create(name, ...)` find a function or class that builds a network."""

    def add(build: Any) -> Any:
        if name in registry and registry[name].build.__module__ != build.__module__:
            raise ValueError(f"models: the name {name!r} is taken by {registry[name].build.__module__}")
        registry[name] = Entry(name, build, source, input)
        return build

    return add


def available() -> list[str]:
    """The names, sorted."""
    return sorted(registry)


def entry(name: str) -> Entry:
    """What is known of a network.  Raises UserError for an unknown name."""
    if name not in registry:
        raise UserError(f"model {name!r} is unknown; choose one of {', '.join(available())}")
    return registry[name]


def create(name: str, **options: Any) -> Any:
    """A new network.  Raises UserError for an unknown name, or an option that the network does not take."""
    found = entry(name)
    unknown = [o for o in options if o not in found.options]
    if unknown:
        raise UserError(
            f"model {name!r} does not take {', '.join(unknown)}; its options are {', '.join(found.options)}"
        )
    return found.build(**options)


def default_size(name: str) -> int:
    """The side of the image that a network takes by default; of its first input, if it takes several."""
    return input_shapes(entry(name).input)[0][-1]


def shape_for(found: Entry, model: Module, options: dict[str, Any]) -> Shapes:
    """The input of a network made with these options: its own `input_shape`, or the registry's with them applied."""
    if hasattr(model, "input_shape"):
        own: Shapes = model.input_shape
        return own
    shapes = input_shapes(found.input)
    if len(shapes) > 1:
        return shapes
    channels, *space = shapes[0]
    return (options.get("in_channels", channels), *(options.get("size", side) for side in space))


def describe(name: str, **options: Any) -> dict[str, Any]:
    """{name, source, input, parameters, macs, activation_bytes} of a network, of one image; no memory is taken.

    activation_bytes: what training holds for backward, see `models.activation_bytes`.
    """
    found = entry(name)
    with no_weights():
        model = create(name, **options)
    shape = shape_for(found, model, options)
    shapes = [list(s) for s in input_shapes(shape)]
    return {
        "name": name,
        "source": found.source,
        "input": shapes[0] if len(shapes) == 1 else shapes,
        "parameters": count_parameters(model),
        "macs": total_macs(summary(model, shape)),
        "activation_bytes": activation_bytes(model, shape),
    }
