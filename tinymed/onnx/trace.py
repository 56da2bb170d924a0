"""What a forward pass does: its ops in order, and which of their numbers follow the batch size.

The pass is run twice, on batches of n and n + 1.  Whatever number differs between the two, such as the first length of
a reshape, is a `BatchNumber`; whatever else differs cannot be written down as a graph, and is refused by name.  It is a
pass of shapes (`models.shapes`), which takes no time and no memory; `save` runs the module and what was written.
"""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import tape
from ..errors import UserError
from ..models.shapes import blank, shapes_only
from ..models.summary import mode
from ..nn.module import Module
from ..tape import Node, Op
from ..tensor import Tensor

ALONE = "with dynamic_batch=False the model is written for the example's batch alone"


class BatchNumber(int):
    """A number that follows the batch size: its value at the example's."""


@dataclass
class Call:
    """One op that ran: its class's name, its arguments by name (tensors as arrays), the arrays it returned."""

    op: str
    arguments: dict[str, Any]
    outputs: tuple[np.ndarray, ...]
    scope: str  # the module it ran in

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["arguments"][name]
        except KeyError:
            raise AttributeError(f"op {self.op} has no argument {name!r}") from None

    def __str__(self) -> str:
        return f"op {self.op} in {self.scope or 'the model'}"


@dataclass
class Trace:
    """The calls of one pass, the arrays that went in, and the (name, array) pairs that came out."""

    inputs: list[np.ndarray]
    calls: list[Call] = field(default_factory=list)
    outputs: list[tuple[str, np.ndarray]] = field(default_factory=list)


class Recorder(tape.Observer):
    """Writes every op down.  The arrays are kept alive, so that each is known by its identity."""

    def __init__(self, calls: list[Call]):
        self.calls = calls

    def forward(self, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Note an op with its arguments under the names of its `forward`."""
        bound = signature(type(op)).bind(op, *[i.array if isinstance(i, Node) else i for i in inputs])
        bound.apply_defaults()
        arguments = dict(list(bound.arguments.items())[1:])
        self.calls.append(
            Call(type(op).__name__, arguments, tuple(outputs), tape.thread.scope[-1] if tape.thread.scope else "")
        )


def signature(op: type[Op]) -> inspect.Signature:
    """Return the signature of an op's forward."""
    return inspect.signature(op.forward)


def trace(model: Module, inputs: Sequence[np.ndarray], more: int = 0) -> Trace:
    """Return one pass over inputs of these shapes and `more` samples.

    Raises UserError if it returns anything but tensors.
    """
    result = Trace([blank((a.shape[0] + more, *a.shape[1:]), a.dtype) for a in inputs])
    recorder = Recorder(result.calls)
    with mode(model, False), tape.no_grad(), shapes_only(), tape.observers.watching(recorder):
        returned = model(*[Tensor(a) for a in result.inputs])
    result.outputs = named_outputs(returned)
    return result


def named_outputs(returned: Any) -> list[tuple[str, np.ndarray]]:
    """(name, array) of each tensor returned: alone, in a tuple or list, or in a dictionary by its keys."""
    if isinstance(returned, Tensor):
        return [("output", returned.array)]
    if isinstance(returned, dict):
        pairs = list(returned.items())
    elif isinstance(returned, tuple | list):
        pairs = [(f"output_{i}", r) for i, r in enumerate(returned)]
    else:
        pairs = [("output", returned)]
    if not pairs or not all(isinstance(r, Tensor) for _, r in pairs):
        kinds = ", ".join(type(r).__name__ for _, r in pairs) or "nothing"
        raise UserError(
            f"onnx.export: the model returned {kinds}; it takes one that returns tensors, alone, or in a "
            "tuple, list or dictionary"
        )
    return [(str(name), r.array) for name, r in pairs]


def trace_twice(model: Module, inputs: Sequence[np.ndarray]) -> tuple[Trace, Trace]:
    """Return the pass on the example, whose numbers that follow the batch size are marked.

    And the pass on one sample more.
    """
    first, second = trace(model, inputs), trace(model, inputs, 1)
    if [c.op for c in first.calls] != [c.op for c in second.calls]:
        raise UserError(
            f"onnx.export: the model runs {len(first.calls)} ops on the example, {len(second.calls)} on a "
            f"batch of one sample more, so it is no single graph; {ALONE}"
        )
    known = Made(first, second)
    for a, b in zip(first.calls, second.calls, strict=True):
        a.arguments = {k: marked(v, b.arguments[k], known, f"{a}, argument {k}") for k, v in a.arguments.items()}
        known.add(a, b)
    return first, second


class Made:
    """Which arrays of two passes are the inputs or were made by ops; any other is a constant."""

    def __init__(self, first: Trace, second: Trace):
        self.pairs = {id(a): id(b) for a, b in zip(first.inputs, second.inputs, strict=True)}

    def add(self, a: Call, b: Call) -> None:
        """Return the outputs of one op in both passes."""
        self.pairs |= {id(x): id(y) for x, y in zip(a.outputs, b.outputs, strict=True)}


def marked(a: Any, b: Any, known: Made, where: str) -> Any:
    """Return one argument, its numbers that differ between the passes marked.

    Raises UserError for any other difference.
    """
    if isinstance(a, np.ndarray):
        if id(a) not in known.pairs:
            check_same(a is b or np.array_equal(a, b), where, "a constant array")
        elif known.pairs[id(a)] != id(b):
            check_same(False, where, "the op it comes from")
        return a
    if isinstance(a, tuple | list):
        check_same(type(a) is type(b) and len(a) == len(b), where, "its length")
        items = [marked(x, y, known, where) for x, y in zip(a, b, strict=True)]
        make: Callable[..., Any] = getattr(type(a), "_make", type(a))
        return make(items)
    if type(a) is type(b) and isinstance(a, int | np.integer) and not isinstance(a, bool) and a != b:
        return BatchNumber(a)
    check_same(type(a) is type(b) and (a == b or a != a), where, f"{a!r} against {b!r}")
    return a


def check_same(same: bool, where: str, what: str) -> None:
    """Raise UserError if two passes differ in something that a graph cannot express."""
    if not same:
        raise UserError(f"onnx.export: {where}: {what} changes with the batch size; {ALONE}")
