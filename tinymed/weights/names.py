"""Names in a file beside those of a network: a word before all of them is taken off or put on.

A network that was a part of another has its name there: `backbone.layer1.0.conv1.weight` in a file is
`layer1.0.conv1.weight` in a ResNet, and `features.0.weight` may be what stands as `encoder.features.0.weight` in a
larger network.  The words are found by trying: those that give the most names of equal shape, none where they do not
help.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

Shape = tuple[int, ...]
DEEPEST = 3  # words of a prefix


def aligned(own: Mapping[str, Shape], state: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Return a state under the names of a network, as far as one prefix explains the difference.

    Args:
        own: Shapes of the network's tensors by name.
        state: Arrays by the names of the file.

    Returns:
        (the state, perhaps renamed; a note on what was done, "" where names stay).

    Example:
        >>> own = {"conv.weight": (2, 3), "fc.weight": (5, 2)}
        >>> state = {"backbone.conv.weight": np.ones((2, 3)), "head.bias": np.ones(1)}
        >>> renamed, note = aligned(own, state)
        >>> sorted(renamed), note
        (['conv.weight', 'head.bias'], "'backbone.' taken off 1 names")
    """
    shapes = {name: tuple(np.shape(value)) for name, value in state.items()}
    best, chosen = fitting_names(own, shapes, "", ""), ("", "")
    if best == len(own):
        return dict(state), ""
    for off, on in [*((prefix, "") for prefix in prefixes(shapes)), *(("", prefix) for prefix in prefixes(own))]:
        found = fitting_names(own, shapes, off, on)
        if found > best:
            best, chosen = found, (off, on)
    off, on = chosen
    if chosen == ("", ""):
        return dict(state), ""
    renamed = {name: on + name.removeprefix(off) for name in state if name.startswith(off)}
    kept = {name: value for name, value in state.items() if name not in renamed}
    note = f"{off!r} taken off {len(renamed)} names" if off else f"{on!r} put before {len(renamed)} names"
    return {renamed[name]: state[name] for name in renamed} | {
        name: value for name, value in kept.items() if name not in renamed.values()
    }, note


def prefixes(names: Mapping[str, Shape]) -> Iterator[str]:
    """Yield every beginning of the names, up to three words, each once."""
    found = (
        "".join(f"{word}." for word in name.split(".")[:depth])
        for name in names
        for depth in range(1, min(DEEPEST, name.count(".")) + 1)
    )
    yield from dict.fromkeys(found)


def fitting_names(own: Mapping[str, Shape], given: Mapping[str, Shape], off: str, on: str) -> int:
    """Return how many tensors fit by name and shape when `off` is taken off and `on` put before the given names."""
    pairs = ((on + name.removeprefix(off), shape) for name, shape in given.items() if name.startswith(off))
    return sum(own.get(name) == shape for name, shape in pairs)


def imagenet_classifier(state: Mapping[str, Any]) -> bool:
    """Say whether weights are those of a classifier of ImageNet: a dense layer, or the last, of 1,000 outputs."""
    return any(np.ndim(value) in (2, 4) and np.shape(value)[0] == 1000 for value in state.values())
