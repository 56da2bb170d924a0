"""The table of ONNX operators, and what the functions in it are given.

A file of one family (`conv`, `pool`, ...) holds a short function for each operator, onto the engine's public ops:

    @operator("Relu")
    def relu(node: Node, x: Any) -> Any:
        return F.relu(x)

It takes the node, for its attributes, and the node's inputs as tensors (None: an optional input left out), and returns
the output, or a tuple of them.  Where an operator changed between opsets, `node.opset` tells which rule holds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from ..tensor import Tensor

OLDEST, NEWEST = 7, 28  # opsets of the standard domain that the functions know
BUFFERS = "tinymed.buffers"  # metadata: a JSON list of the initialisers that are buffers
MOST_ELEMENTS = 1 << 29  # of one tensor: 2 GiB in float32

# TensorProto's numbers of the element types that NumPy has too
DTYPES: dict[int, np.dtype[Any]] = {
    number: np.dtype(name)
    for number, name in {
        1: "float32",
        2: "uint8",
        3: "int8",
        4: "uint16",
        5: "int16",
        6: "int32",
        7: "int64",
        9: "bool",
        10: "float16",
        11: "float64",
        12: "uint32",
        13: "uint64",
    }.items()
}

Function = Callable[..., Any]
TABLE: dict[str, Function] = {}
FIXED: dict[str, frozenset[int]] = {}  # inputs that are settings or statistics: their initialisers are not learned


@dataclass
class Node:
    """One node of a graph: the operator, the names of its inputs and outputs, its attributes."""

    operator: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    opset: int
    training: bool = False  # whether the graph is in training mode; set at each call
    drop: list[str] = field(default_factory=list)  # values that no later node needs

    def get(self, key: str, default: Any = None) -> Any:
        """An attribute: a number, a string, a list of them, or an array; the default where the node does not set it."""
        return self.attributes.get(key, default)

    def __str__(self) -> str:
        return f"node {self.name or ', '.join(self.outputs)!r} ({self.operator})"


def operator(*names: str, fixed: Sequence[int] = ()) -> Callable[[Function], Function]:
    """Put a function into the table.  fixed: positions of inputs that are settings or statistics, never learned."""

    def add(fn: Function) -> Function:
        for name in names:
            TABLE[name] = fn
            FIXED[name] = frozenset(fixed)
        return fn

    return add


def numbers(t: Any) -> list[Any]:
    """The elements of a tensor that says a shape, axes or sizes, as Python numbers."""
    return [] if t is None else np.asarray(t.array).reshape(-1).tolist()


def sized(node: Node, shape: Sequence[int]) -> tuple[int, ...]:
    """A shape that a node asks for.  Raises ValueError if it is negative or larger than any medical image."""
    if any(n < 0 for n in shape):
        raise ValueError(f"{node}: asks for the shape {list(shape)}, which has a negative length")
    if prod(shape) > MOST_ELEMENTS:
        raise ValueError(
            f"{node}: asks for the shape {list(shape)}, {prod(shape):,} elements; it takes at most {MOST_ELEMENTS:,}"
        )
    return tuple(int(n) for n in shape)


def plain(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """What a NumPy function makes of the inputs' elements, off the tape: for integers, and where no gradient exists."""
    with np.errstate(all="ignore"):
        return Tensor(np.asarray(function(*[i.array if isinstance(i, Tensor) else i for i in inputs])))


def floating(*tensors: Any) -> bool:
    """Whether all are of floating point."""
    return all(t.dtype.kind == "f" for t in tensors if t is not None)


def like(result: Any, x: Any) -> Any:
    """A result in the dtype of an input: ONNX keeps it where PyTorch would promote."""
    return result if result.dtype == x.dtype else result.to(x.dtype)


def axis_of(node: Node, axis: int, ndim: int) -> int:
    """An axis counted from the front.  Raises ValueError if there is none such."""
    if not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"{node}: axis {axis} of a tensor with {ndim} axes; it takes {-ndim} to {max(ndim, 1) - 1}")
    return axis % ndim if ndim else 0


def unsupported(node: Node, what: str, takes: str) -> ValueError:
    """The error for a setting of an operator that no function here implements."""
    return ValueError(f"{node}: {what} is not supported; it takes {takes}")
