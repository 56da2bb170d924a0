"""A graph as a module: its initialisers are parameters and buffers, and calling it runs its nodes in order."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from ..nn.module import Module, Parameter
from ..tensor import Tensor
from .block import Block, Run, all_nodes, settings
from .read import Parts, Value
from .table import BUFFERS, HALVES, Known, rounded


class Graph(Module):
    """An ONNX model.  Called with the graph's inputs in order, it returns its output, or a tuple of its outputs.

    Floating-point initialisers with axes are parameters, unless nodes take them as statistics or settings (a batch
    norm's moments, a resize's scales); all others are buffers.  Names are the file's, so that what `export` wrote has
    its old `state_dict` again.  In training mode batch norm uses and moves its statistics, and dropout drops.
    """

    def __init__(self, parts: Parts):
        super().__init__()
        self.opset, self.metadata, self.notes = parts.opset, parts.metadata, parts.notes
        self.inputs, self.outputs = parts.inputs, parts.outputs
        self.count = len(all_nodes(parts))
        self.block: Any = None  # the name is taken before an initialiser can have it
        buffers = settings(parts) | set(listed(self.metadata.get(BUFFERS, "[]")))
        self.block = Block(parts, self.keep, buffers)

    def keep(self, name: str, array: np.ndarray, learned: bool) -> tuple[Module, str]:
        """Register an initialiser; returns the module that has it now and its name there."""
        owner, leaf = self.place_of(name)
        while not free(owner, leaf):
            leaf = f"{leaf}_" if leaf.strip("_") else f"tensor{leaf}"
        if learned:
            owner.register_parameter(leaf, Parameter(Tensor(array)))
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

    def forward(self, *inputs: Any) -> Any:
        """Run the nodes.  Raises UserError for inputs of another number, dtype or shape than the graph declares."""
        if len(inputs) != len(self.inputs):
            raise UserError(
                f"the ONNX graph takes {len(self.inputs)} inputs "
                f"({', '.join(v.name for v in self.inputs)}), got {len(inputs)}"
            )
        given = [checked(v, i) for v, i in zip(self.inputs, inputs, strict=True)]
        found = self.block.run({}, given, Run(self.training))
        returned = tuple(as_declared(v, f) for v, f in zip(self.outputs, found, strict=True))
        return returned[0] if len(returned) == 1 else returned

    def extra_repr(self) -> str:
        """Return what the graph takes and returns."""
        return f"{describe(self.inputs)} -> {describe(self.outputs)}, {self.count} nodes, opset {self.opset}" + (
            f", {len(self.notes)} tensors of half precision held in float32" if self.notes else ""
        )


class Part(Module):
    """Holds initialisers that share a prefix of their names."""


def listed(text: str) -> list[str]:
    """Return the names in a JSON list; none if it is something else, which any program may have written."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [str(name) for name in found] if isinstance(found, list) else []


def free(owner: Module, name: str) -> bool:
    """Return whether a module can register something new under a name."""
    taken = name in owner._parameters or name in owner._buffers or name in owner._modules
    return bool(name) and "." not in name and not taken and not hasattr(Graph, name) and name not in owner.__dict__


def checked(declared: Value, given: Any) -> Any:
    """Return an input as a tensor, or a list of tensors.  Raises UserError if it is not what the graph declares."""
    if declared.kind == "optional" and given is None:
        return None
    if isinstance(given, list | tuple) and declared.kind != "tensor":
        return [checked(replace(declared, kind="tensor"), g) for g in given]
    try:
        tensor = given if isinstance(given, Tensor) else Tensor(np.asarray(given))
    except (ValueError, TypeError) as error:
        raise UserError(f"input {declared.name!r} of the ONNX graph is no tensor: {error}") from None
    shape = declared.shape
    fits = shape is None or (
        len(shape) == tensor.array.ndim and all(a in (None, b) for a, b in zip(shape, tensor.shape, strict=True))
    )
    accepted = [str(declared.dtype)]
    if declared.half:  # beside float32 in which it is computed
        accepted = [HALVES[declared.half], "float32"]
    if str(tensor.dtype) not in accepted or not fits or declared.kind == "sequence":
        raise UserError(
            f"input {declared.name!r} of the ONNX graph is {tensor.dtype}{list(tensor.shape)}; "
            f"it takes {describe([declared])}"
        )
    if not declared.half:
        return tensor
    return Tensor(tensor.array.astype(np.float32)) if tensor.dtype.kind == "V" else tensor.to(np.float32)


def as_declared(declared: Value, result: Any) -> Any:
    """Return an output in the half precision that the graph declares.

    Bfloat16, which NumPy lacks, rounded and in float32.
    """
    if not declared.half or result is None or declared.kind != "tensor":
        return plainly(result)
    return result.to(np.float16) if declared.half == 10 else rounded(result, declared.half)


def plainly(result: Any) -> Any:
    """Return a tensor of the plain class: whether its values were known matters within the graph only."""
    return Tensor(result.array, version=result.version) if isinstance(result, Known) else result


def describe(values: Sequence[Value]) -> str:
    """Return declared values as dtype[shape]."""
    texts = []
    for v in values:
        shape = "..." if v.shape is None else ", ".join("?" if n is None else str(n) for n in v.shape)
        one = f"{HALVES.get(v.half, str(v.dtype))}[{shape}]"
        texts.append(one if v.kind == "tensor" else f"{v.kind} of {one}")
    return ", ".join(texts)
