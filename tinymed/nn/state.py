"""Loading a state by name: what fits, what is missing, and saying so."""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

import numpy as np

from .. import device
from ..tape import Node
from ..tensor import Tensor

SHOWN = 8  # names an error message lists before "and n more"


def matches(name: str, pattern: str) -> bool:
    """Whether a glob pattern matches a dotted name, or a layer above it: "features" has "features.0.weight"."""
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


class LoadResult(NamedTuple):
    """Names by what became of them."""

    loaded: list[str]
    missing: list[str]  # the module has them, the state has not
    unexpected: list[str]  # the state has them, the module has not
    mismatched: list[str]  # "name: the module has [..], the state [..]"


def match(own: Mapping[str, Tensor], given: Mapping[str, Any]) -> LoadResult:
    """Compare names and shapes."""
    both = [n for n in own if n in given]
    differ = {
        n: f"{n}: the module has {list(own[n].shape)}, the state {list(np.shape(given[n]))}"
        for n in both
        if tuple(np.shape(given[n])) != own[n].shape
    }
    return LoadResult(
        [n for n in both if n not in differ],
        [n for n in own if n not in given],
        [n for n in given if n not in own],
        list(differ.values()),
    )


def copy_into(own: Tensor, given: Any) -> None:
    """Write values into a tensor's own memory, in its order and dtype, and count the write."""
    values = given.array if isinstance(given, Node) else np.asarray(given)
    own.array[...] = device.move(values, device.of(own.array))
    own.version.value += 1


def describe_failure(module: str, result: LoadResult) -> str:
    """Why a strict load was refused."""
    kinds = {"missing": result.missing, "unexpected": result.unexpected, "of another shape": result.mismatched}
    parts = [f"{kind}: {listed(names)}" for kind, names in kinds.items() if names]
    return (
        f"load_state_dict: the state does not fit {module}; {'; '.join(parts)}. "
        "strict=False loads what fits and returns what did not"
    )


def listed(names: Sequence[str]) -> str:
    """The first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
