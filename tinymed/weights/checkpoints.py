"""Which tensors of a checkpoint are the weights, and under which names.

A file of `torch.save` holds a state dictionary, or a dictionary of several things one of which is that: training
programs keep optimizers, epochs and averages beside it.  Wrappers put a word before every name.  What was chosen, left
aside and taken off is told, so that nothing is taken silently.
"""

from typing import Any

from .pickle_machine import Refused
from .torch_values import StoredTensor

# Where programs keep the weights, most telling name first; the first that holds tensors is taken.
PLACES = ("state_dict", "model_state_dict", "model_state", "model", "network", "net", "module", "weights", "params")
WRAPPERS = ("module.", "_orig_mod.")  # of nn.DataParallel and torch.compile
DEPTH, SHOWN = 3, 6

Named = dict[str, StoredTensor]


def find_state(root: Any) -> tuple[Named, list[str]]:
    """Return ({name: tensor}, notes for people) of what a file holds.  Raises Refused where there are no weights."""
    content, notes = root, []
    for _ in range(DEPTH):
        place = next((p for p in PLACES if isinstance(content, dict) and holds_tensors(content.get(p))), None)
        if place is None:
            break
        aside = [str(key)[:40] for key in content if key != place]
        notes.append(f"weights found under {place!r}" + (f", beside {listed(aside)}" if aside else ""))
        content = content[place]
    if not isinstance(content, dict):
        what = "tensor" if isinstance(content, StoredTensor) else type(content).__name__
        raise Refused(f"holds a {what}, expected a dictionary of tensors; save model.state_dict()")
    named = {name: value for name, value in content.items() if type(name) is str and isinstance(value, StoredTensor)}
    if not named:
        raise Refused(
            f"holds no tensors by name, but {listed([str(key)[:40] for key in content]) or 'nothing'}; save "
            "model.state_dict(), alone or under 'state_dict'"
        )
    if others := [str(name)[:40] for name in content if name not in named]:
        notes.append(f"left aside, being no tensors: {listed(others)}")
    return unwrapped(named, notes), notes


def holds_tensors(value: Any, depth: int = DEPTH) -> bool:
    """Say whether a dictionary has tensors by name, or holds one that has under one of the usual names."""
    if not isinstance(value, dict) or not depth:
        return False
    if any(type(name) is str and isinstance(each, StoredTensor) for name, each in value.items()):
        return True
    return any(holds_tensors(value.get(place), depth - 1) for place in PLACES)


def unwrapped(named: Named, notes: list[str]) -> Named:
    """Return the tensors without what wrappers put before every name."""
    for _ in range(DEPTH):
        wrapper = next((w for w in WRAPPERS if all(name.startswith(w) and name != w for name in named)), None)
        if wrapper is None:
            break
        named = {name.removeprefix(wrapper): value for name, value in named.items()}
        notes.append(f"{wrapper!r} taken off every name")
    return named


def listed(names: list[str]) -> str:
    """Name the first names, and how many more there are."""
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
