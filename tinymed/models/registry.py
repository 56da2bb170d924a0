"""Networks by name."""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

from ..errors import UserError
from ..nn.init import no_weights
from ..nn.module import Module
from .summary import count_parameters, summary, total_macs


class Entry(NamedTuple):
    """What the registry knows of a network."""

    name: str
    build: Callable[..., Module]
    source: str  # the publication
    input: tuple[int, int, int]  # channels, height, width by default

    @property
    def options(self) -> list[str]:
        """The names of the arguments that `create` passes on."""
        return list(inspect.signature(self.build).parameters)


registry: dict[str, Entry] = {}


def register(name: str, source: str, input: tuple[int, int, int]) -> Callable[[Any], Any]:
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
    """The side of the image that a network takes by default."""
    return entry(name).input[1]


def describe(name: str, **options: Any) -> dict[str, Any]:
    """{name, source, input, parameters, macs} of a network, of one image; no weights are made."""
    found = entry(name)
    with no_weights():
        model = create(name, **options)
    shape = (options.get("in_channels", found.input[0]), *(options.get("size", s) for s in found.input[1:]))
    rows = summary(model, shape)
    return {"name": name, "source": found.source, "input": list(shape), "parameters": count_parameters(model),
            "macs": total_macs(rows)}  # fmt: skip
