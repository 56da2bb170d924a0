"""A graph as a module: its initialisers are parameters and buffers, and calling it runs its nodes in order."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..nn.module import Module, Parameter
from ..tensor import Tensor
from .read import Parts, Value
from .table import BUFFERS, FIXED, TABLE, sized


class Graph(Module):
    """An ONNX model.  Called with the graph's inputs in order, it returns its output, or a tuple of its outputs.

    Floating-point initialisers with axes are parameters, unless nodes take them as statistics or settings (a batch
    norm's moments, a resize's scales); all others are buffers.  Names are the file's, so that what `export` wrote has
    its old `state_dict` again.  In training mode batch norm uses and moves its statistics, and dropout drops.
    """

    def __init__(self, parts: Parts):
        super().__init__()
        self.nodes, self.opset, self.metadata = parts.nodes, parts.opset, parts.metadata
        self.inputs, self.outputs = parts.inputs, parts.outputs
        self.constants: dict[str, Tensor] = {}  # what Constant nodes hold
        self.places: dict[str, tuple[Module, str]] = {}  # where the initialisers are
        fixed = {n.inputs[i] for n in self.nodes for i in FIXED[n.operator] if i < len(n.inputs)}
        fixed |= set(listed(self.metadata.get(BUFFERS, "[]")))
        for name, array in parts.initialisers.items():
            learned = array.dtype.kind == "f" and array.ndim > 0 and name not in fixed
            self.places[name] = self.keep(name, array, learned)
        self.fold()
        self.forget()

    def keep(self, name: str, array: np.ndarray, learned: bool) -> tuple[Module, str]:
        """Register an initialiser; returns the module that has it now and its name there."""
        owner, leaf = self.place_of(name)
        while not free(owner, leaf):
            leaf = f"{leaf}_" if leaf.strip("_") else f"tensor{leaf}"
        if learned:
            owner.register_parameter(leaf, Parameter(array))
        else:
            owner.register_buffer(leaf, Tensor(array))
        return owner, leaf

    def place_of(self, name: str) -> tuple[Module, str]:
        """Modules within modules, as the dots of a name say; else, where they cannot be, this one and no dots."""
        owner: Module = self
        *path, leaf = name.split(".")
        for part in path:
            child = owner._modules.get(part)
            if child is None:
                if not free(owner, part):
                    return self, name.replace(".", "_")
                child = Part()
                owner.register_module(part, child)
            owner = child
        return (owner, leaf) if free(owner, leaf) else (self, name.replace(".", "_"))

    def fold(self) -> None:
        """Compute the nodes that hold a constant, once."""
        for node in self.nodes:
            if node.operator == "Constant":
                self.constants[node.outputs[0]] = TABLE["Constant"](node)
        self.nodes = [n for n in self.nodes if n.operator != "Constant"]

    def forget(self) -> None:
        """Note after which node each value is needed no more."""
        needed = {v.name for v in self.outputs}
        for node in reversed(self.nodes):
            node.drop = sorted({v for v in (*node.inputs, *node.outputs) if v} - needed)
            needed.update(node.inputs)

    def forward(self, *inputs: Any) -> Any:
        """Run the nodes.  Raises ValueError for inputs of another number, dtype or shape than the graph declares."""
        if len(inputs) != len(self.inputs):
            raise ValueError(
                f"the ONNX graph takes {len(self.inputs)} inputs "
                f"({', '.join(v.name for v in self.inputs)}), got {len(inputs)}"
            )
        values: dict[str, Any] = {"": None} | self.constants
        values |= {name: getattr(owner, leaf) for name, (owner, leaf) in self.places.items()}
        values |= {v.name: checked(v, given) for v, given in zip(self.inputs, inputs, strict=True)}
        for node in self.nodes:
            node.training = self.training
            try:
                results = TABLE[node.operator](node, *[values[name] for name in node.inputs])
            except Exception as error:
                error.add_note(f"in ONNX {node}")
                raise
            for name, result in zip(node.outputs, results if isinstance(results, tuple) else (results,), strict=False):
                sized(node, result.shape)  # growth by many small steps
                values[name] = result
            for name in node.drop:
                del values[name]
            values[""] = None
        found = tuple(values[v.name] for v in self.outputs)
        return found[0] if len(found) == 1 else found

    def extra_repr(self) -> str:
        """What the graph takes and returns."""
        return f"{describe(self.inputs)} -> {describe(self.outputs)}, {len(self.nodes)} nodes, opset {self.opset}"


class Part(Module):
    """Holds initialisers that share a prefix of their names."""


def listed(text: str) -> list[str]:
    """The names in a JSON list; none if it is something else, which any program may have written."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def free(owner: Module, name: str) -> bool:
    """Whether a module can register something new under a name."""
    taken = name in owner._parameters or name in owner._buffers or name in owner._modules
    return bool(name) and "." not in name and not taken and not hasattr(Graph, name) and name not in owner.__dict__


def checked(declared: Value, given: Any) -> Any:
    """An input as a tensor.  Raises ValueError if it is not what the graph declares."""
    tensor = given if isinstance(given, Tensor) else Tensor(np.asarray(given))
    shape = declared.shape
    fits = shape is None or (
        len(shape) == tensor.array.ndim and all(a in (None, b) for a, b in zip(shape, tensor.shape, strict=True))
    )
    if tensor.dtype != declared.dtype or not fits:
        raise ValueError(
            f"input {declared.name!r} of the ONNX graph is {tensor.dtype}{list(tensor.shape)}; "
            f"it takes {describe([declared])}"
        )
    return tensor


def describe(values: Sequence[Value]) -> str:
    """Declared values as dtype[shape]."""
    return ", ".join(
        f"{v.dtype}[{'...' if v.shape is None else ', '.join('?' if n is None else str(n) for n in v.shape)}]"
        for v in values
    )
