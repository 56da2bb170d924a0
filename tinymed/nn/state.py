"""Loading a state by name: what fits, what is missing, and saying so."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Self

import numpy as np

from .. import devices
from ..tape import Node
from ..tensor import Tensor

SHOWN = 8  # names an error message lists before "and n more"


def matches(name: str, pattern: str) -> bool:
    """Return whether a glob pattern matches a dotted name, or a layer above it: "features" has "features.0.weight"."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


class StateMismatch(RuntimeError, ValueError):
    """Report a state that does not fit a module."""


class MissingName(AttributeError, ValueError):
    """Report a dotted name that no module, parameter or buffer has."""


class LoadResult(NamedTuple):
    """List names by what became of them in a load."""

    loaded: list[str]
    missing: list[str]  # the module has them, the state has not
    unexpected: list[str]  # the state has them, the module has not
    mismatched: list[str]  # "name: the module has [..], the state [..]"


class IncompatibleKeys(tuple[list[str], list[str]]):
    """Hold what `load_state_dict` returns: (missing_keys, unexpected_keys), and the names that were loaded."""

    loaded: list[str]

    def __new__(cls, result: LoadResult) -> Self:
        pair = super().__new__(cls, (result.missing, result.unexpected))
        pair.loaded = result.loaded
        return pair

    @property
    def missing_keys(self) -> list[str]:
        """Return the names that the module has and the state has not."""
        return self[0]

    @property
    def unexpected_keys(self) -> list[str]:
        """Return the names that the state has and the module has not."""
        return self[1]

    def __repr__(self) -> str:
        if not any(self):
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self[0]}, unexpected_keys={self[1]})"


def match(own: Mapping[str, Tensor], given: Mapping[str, Any], optional: Collection[str] = ()) -> LoadResult:
    """Compare names and shapes; names that are optional are not missed."""
    both = [n for n in own if n in given]
    differ = {
        n: f"{n}: the module has {list(own[n].shape)}, the state {list(np.shape(given[n]))}"
        for n in both
        if not fits(own[n].shape, tuple(np.shape(given[n])))
    }
    return LoadResult(
        [n for n in both if n not in differ],
        [n for n in own if n not in given and n not in optional],
        [n for n in given if n not in own],
        list(differ.values()),
    )


def fits(own: tuple[int, ...], given: tuple[int, ...]) -> bool:
    """Return whether shapes are equal; a number may be stored as one element, as PyTorch's oldest files do."""
    return own == given or (own == () and given == (1,))


def refuse_misfit(module: str, result: LoadResult, strict: bool) -> None:
    """Raise StateMismatch unless a state fits."""
    if result.mismatched or (strict and (result.missing or result.unexpected)):
        raise StateMismatch(describe_failure(module, result, strict))


def copy_state(module: Any, own: Mapping[str, Tensor], given: Mapping[str, Any], names: Iterable[str]) -> None:
    """Copy the values of some names, and tell each module below which of its own were copied."""
    copied: dict[str, set[str]] = {}
    for name in names:
        copy_into(own[name], given[name])
        path, _, last = name.rpartition(".")
        copied.setdefault(path, set()).add(last)
    for path, last_names in copied.items():
        module.get_submodule(path)._loaded(last_names)


def copy_into(own: Tensor, given: Any) -> None:
    """Write values into a tensor's own memory, in its order and dtype, and count the write."""
    values = given.array if isinstance(given, Node) else np.asarray(given)
    own.array[...] = devices.move(values, devices.of(own.array)).reshape(own.array.shape)
    own.version.value += 1


def describe_failure(module: str, result: LoadResult, strict: bool = True) -> str:
    """Say why a load was refused."""
    kinds = {"missing": result.missing, "unexpected": result.unexpected, "of another shape": result.mismatched}
    parts = [f"{kind}: {listed(names)}" for kind, names in kinds.items() if names]
    advice = (
        "nn.load_matching(model, state) loads what fits and reports the rest"
        if result.mismatched or not strict
        else "strict=False loads what fits and returns what did not"
    )
    return f"load_state_dict: the state does not fit {module}; {'; '.join(parts)}. {advice}"


def listed(names: Sequence[str]) -> str:
    """Name the first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
