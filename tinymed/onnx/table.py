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

from .. import tape
from ..tensor import Tensor

OLDEST, NEWEST = 1, 28  # opsets of the standard domain that the functions know
BUFFERS = "tinymed.buffers"  # metadata: a JSON list of the initialisers that are buffers
MOST_ELEMENTS = 1 << 29  # of one tensor: 2 GiB in float32
MOST_TRIPS = 100_000  # bodies of If, Loop and Scan that one call of a graph runs, nested ones counted too

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

HALVES = {10: "float16", 16: "bfloat16"}  # computed in float32

Function = Callable[..., Any]
TABLE: dict[str, Function] = {}
OLD: dict[str, Function] = {}  # as they were before opset 7, where that differs
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

    @property
    def function(self) -> Function:
        """The table's function for this node's operator and opset."""
        return OLD[self.operator] if self.opset < 7 and self.operator in OLD else TABLE[self.operator]

    @property
    def bodies(self) -> dict[str, Any]:
        """The attributes that are graphs."""
        return {k: v for k, v in self.attributes.items() if hasattr(v, "nodes")}

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute: a number, a string, a list of them, or an array.

        The default where the node does not set it.
        """
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


def old(*names: str) -> Callable[[Function], Function]:
    """Put a function into the table of what operators were before opset 7."""

    def add(fn: Function) -> Function:
        OLD.update(dict.fromkeys(names, fn))
        return fn

    return add


class Known(Tensor):
    """A tensor whose values follow from the file and the inputs' shapes alone: a captured step may read them."""

    __slots__ = ()

    @property
    def result_class(self) -> type[tape.Node]:
        """What is computed from it is a tensor, until `Graph` says that all it came from is known."""
        return Tensor


def seen(t: Any) -> Any:
    """Return a tensor's array, for Python to read.

    A step that is being captured refuses unless the values are known.
    """
    if not isinstance(t, Tensor):
        return t
    if not isinstance(t, Known):
        tape.host_read("the value of a tensor, in an ONNX operator that needs it,")
    return t.array


def numbers(t: Any) -> list[Any]:
    """Return the elements of a tensor that says a shape, axes or sizes, as Python numbers."""
    return [] if t is None else np.asarray(seen(t)).reshape(-1).tolist()


def number(node: Node, t: Any, what: str) -> Any:
    """Return the only element of a tensor, as a Python number.

    Raises ValueError naming it if there is not just one.
    """
    if t is None or t.array.size != 1:
        given = "missing" if t is None else f"of shape {list(t.shape)}"
        raise ValueError(f"{node}: {what} is {given}; it takes one number")
    return numbers(t)[0]


def sized(node: Node, shape: Sequence[int]) -> tuple[int, ...]:
    """Return a shape that a node asks for.  Raises ValueError if it is negative or larger than any medical image."""
    if any(n < 0 for n in shape):
        raise ValueError(f"{node}: asks for the shape {list(shape)}, which has a negative length")
    if prod(shape) > MOST_ELEMENTS:
        raise ValueError(
            f"{node}: asks for the shape {list(shape)}, {prod(shape):,} elements; it takes at most {MOST_ELEMENTS:,}"
        )
    return tuple(int(n) for n in shape)


def fitted(node: Node, *tensors: Any) -> tuple[int, ...]:
    """Return the shape that tensors broadcast to.

    Raises ValueError if they do not, or if it is larger than `sized` takes.
    """
    return sized(node, np.broadcast_shapes(*(t.shape for t in tensors if t is not None)))


def plain(function: Callable[..., Any], *inputs: Any) -> Tensor:
    """Return what a NumPy function makes of the inputs' elements, off the tape.

    For integers, and where no gradient exists.
    """
    with np.errstate(all="ignore"):
        return Tensor(np.asarray(function(*[seen(i) for i in inputs])))


def floating(*tensors: Any) -> bool:
    """Return whether all are of floating point."""
    return all(t.dtype.kind == "f" for t in tensors if t is not None)


def like(result: Any, x: Any) -> Any:
    """Return a result in the dtype of an input: ONNX keeps it where PyTorch would promote."""
    return result if result.dtype == x.dtype else result.to(x.dtype)


def axis_of(node: Node, axis: int, ndim: int) -> int:
    """Return an axis counted from the front.  Raises ValueError if there is none such."""
    if not isinstance(axis, int) or not -ndim <= axis < max(ndim, 1):
        raise ValueError(f"{node}: axis {axis} of a tensor with {ndim} axes; it takes {-ndim} to {max(ndim, 1) - 1}")
    return axis % ndim if ndim else 0


def held(node: Node, number: int) -> np.dtype[Any]:
    """Return the dtype in which values of an ONNX element type are held.

    Raises ValueError if NumPy has none for it.
    """
    if number in HALVES:
        return np.dtype("float32")
    if number not in DTYPES:
        raise unsupported(node, f"element type {type_name(number)}", ACCEPTED)
    return DTYPES[number]


def rounded(x: Any, number: int) -> Any:
    """float32 values as float16 or bfloat16 would hold them; their gradient passes through unchanged."""
    if number == 10:
        return x.to(np.float16).to(np.float32)
    return x + plain(lambda a: np.where(np.isfinite(a), to_bfloat16(a) - a, np.float32(0)), x)


def to_bfloat16(x: Any) -> Any:
    """Return the nearest float32 whose last 16 bits are 0, the even one of two; a NaN stays one."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    near = (bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(x), x, near.view(np.float32))


def type_name(number: int) -> str:
    """Return what ONNX calls an element type."""
    from onnx import TensorProto

    kinds = TensorProto.DataType
    return kinds.Name(number) if number in kinds.values() else str(number)


ACCEPTED = ", ".join([*(str(d) for d in DTYPES.values()), "bfloat16"])


def unsupported(node: Node, what: str, takes: str) -> ValueError:
    """Return the error for a setting of an operator that no function here implements."""
    return ValueError(f"{node}: {what} is not supported; it takes {takes}")
