"""Transfer learning: weights by name, learning rates by pattern, the output of a named layer.

    report = nn.load_matching(model, tinymed.load("weights.safetensors"), required=["features"])
    model.freeze("features", statistics=True)
    optimizer = optim.Adam(nn.parameter_groups(model, 1e-3, {"features.2*": 1e-4}))
    tap = nn.Features(model, "layer4")

A pattern is a shell's (`fnmatch`): it names a layer, whose parameters all match, or parameters: "features.*.weight".
"""

from collections.abc import Mapping, Sequence
from typing import Any

from ..handle import Handle
from ..tensor import Tensor
from .module import Module
from .state import LoadResult, copy_state, listed, match, matches

COUNTER = "num_batches_tracked"  # of batch norm; other writers leave it out


def load_matching(model: Module, state: Mapping[str, Any], required: Sequence[str] = ()) -> LoadResult:
    """Copy what fits by name and shape into a module; the rest keeps its values.

    A layer is taken whole or not at all: where one tensor is missing or of another shape, its others stay, too.

    Args:
        model: the module.
        state: tensors or arrays by dotted name.
        required: patterns of names that must be loaded.  Default: none.

    Returns:
        What became of each name: loaded, missing, unexpected and mismatched, lists of names.

    Raises:
        ValueError: before anything is copied; lists the required names that cannot be loaded, or nothing fits.

    Example:
        >>> from tinymed import nn
        >>> old = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> new = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 5))
        >>> nn.load_matching(new, old.state_dict()).loaded
        ['0.weight', '0.bias']
    """
    own, result = model.state_dict(), fitting(model, state, required)
    copy_state(model, own, state, result.loaded)
    return result


def fitting(model: Module, state: Mapping[str, Any], required: Sequence[str] = ()) -> LoadResult:
    """Return what `load_matching` would load, and raise as it does; nothing is copied."""
    own = model.state_dict()
    found = match(own, state, model._names_optional())
    refused = {layer(n.partition(":")[0]) for n in found.mismatched}
    refused |= {layer(n) for n in found.missing if not n.endswith(COUNTER)}
    result = found._replace(loaded=[n for n in found.loaded if layer(n) not in refused])
    absent = [
        n
        for n in own
        if n not in result.loaded and not n.endswith(COUNTER) and any(matches(n, pattern) for pattern in required)
    ]
    if absent or not result.loaded:
        what = f"must be loaded but cannot: {listed(absent)}" if absent else "nothing fits by name and shape"
        raise ValueError(f"load_matching: {what}. {describe_load(result, len(own))}")
    return result


def layer(name: str) -> str:
    """Return the name of the module that a tensor belongs to."""
    return name.rpartition(".")[0]


def describe_load(result: LoadResult, total: int) -> str:
    """Describe a partial load for people: how many of the module's tensors were taken, and what was not.

    Args:
        result: what `load_matching` returned.
        total: how many tensors the module has.

    Returns:
        One line of text.

    Example:
        >>> from tinymed import nn
        >>> old = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> new = nn.Sequential(nn.Linear(4, 3))
        >>> nn.describe_load(nn.load_matching(new, old.state_dict()), 2)
        '2 of 2 tensors taken; in the file alone: 1.weight, 1.bias'
    """
    kinds = {
        "not in the file": result.missing,
        "of another shape": result.mismatched,
        "in the file alone": result.unexpected,
    }
    parts = [f"{kind}: {listed(names)}" for kind, names in kinds.items() if names]
    return "; ".join([f"{len(result.loaded)} of {total} tensors taken", *parts])


def parameter_groups(model: Module, lr: float, rates: Mapping[str, float]) -> list[dict[str, Any]]:
    """Make an optimizer's groups: the parameters that match a pattern learn at its rate, the rest at lr.

    Args:
        model: the module.
        lr: the learning rate of parameters that no pattern matches.
        rates: {pattern of dotted names: learning rate}; where several match, the last decides.

    Returns:
        [{"params": parameters, "lr": rate}], as an optimizer takes them.

    Raises:
        ValueError: a pattern that nothing matches.

    Example:
        >>> from tinymed import nn
        >>> model = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 2))
        >>> [(len(group["params"]), group["lr"]) for group in nn.parameter_groups(model, 0.1, {"0": 0.01})]
        [(2, 0.01), (2, 0.1)]
    """
    chosen: dict[float, list[Any]] = {}
    used: set[str] = set()
    for name, parameter in model.named_parameters():
        hits = [pattern for pattern in rates if matches(name, pattern)]
        used.update(hits)
        chosen.setdefault(rates[hits[-1]] if hits else lr, []).append(parameter)
    idle = [pattern for pattern in rates if pattern not in used]
    if idle:
        tops = sorted({name.split(".")[0] for name, _ in model.named_parameters()})
        raise ValueError(
            f"parameter_groups: no parameter matches {', '.join(map(repr, idle))}; names begin with {', '.join(tops)}"
        )
    return [{"params": parameters, "lr": rate} for rate, parameters in chosen.items()]


class Reached(Exception):
    """Report that every tap has its value: the rest of the network need not run."""


class Features(Module):
    """Compute the output of a named layer of a network, or of several: features for another classifier, or a plot.

    What comes after the last of them is not computed.  The network is shared, not copied, and runs in its own mode;
    inside no_grad nothing is recorded.  Of a layer that is called several times the first output is taken.

    Args:
        model: the network.
        layers: dotted names of layers, at least one.

    Shape:
        Input as of the network; output that of the layer, a tuple if there are several.

    Raises:
        ValueError: no layer is named, or, when called, the network did not call one.
        MissingName: the network has no layer of that name.

    Example:
        >>> from tinymed import nn, ones
        >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
        >>> nn.Features(model, "1")(ones(2, 1, 5, 5)).shape
        (2, 4, 3, 3)
    """

    def __init__(self, model: Module, *layers: str):
        super().__init__()
        if not layers:
            raise ValueError("Features: name at least one layer, such as 'layer4'")
        for name in layers:
            model.get_submodule(name)
        self.model, self.layers = model, layers

    def forward(self, *inputs: Tensor) -> Any:
        taken: dict[str, Any] = {}
        handles = [self.tap(name, taken) for name in self.layers]
        try:
            self.model(*inputs)
        except Reached:
            pass
        finally:
            for handle in handles:
                handle.remove()
        unreached = [name for name in self.layers if name not in taken]
        if unreached:
            raise ValueError(f"Features: the network did not call {', '.join(unreached)}")
        outputs = tuple(taken[name] for name in self.layers)
        return outputs[0] if len(outputs) == 1 else outputs

    def tap(self, name: str, taken: dict[str, Any]) -> Handle:
        """Note a layer's output, and stop when it is the last."""

        def note(module: Module, args: Any, result: Any) -> None:
            taken.setdefault(name, result)
            if len(taken) == len(self.layers):
                raise Reached

        layer: Module = self.model.get_submodule(name)
        return layer.register_forward_hook(note)

    def extra_repr(self) -> str:
        return ", ".join(self.layers)
