"""Nodes run in order: a whole graph, or the body of a control-flow node, which also sees the values around it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from typing import Any

import numpy as np

from .. import dispatch, tape
from ..errors import UserError
from ..nn.module import Module
from ..program.record import CaptureError
from ..tensor import Tensor
from .read import Parts
from .table import FIXED, MOST_TRIPS, TABLE, Known, Node, sized

Keep = Callable[[str, np.ndarray, bool], tuple[Module, str]]
OF_SHAPES = ("Shape", "Size")  # what they say follows from shapes, whatever the values are


@dataclass
class Run:
    """One call of a graph: whether it trains, and how many bodies of control flow it has run."""

    training: bool
    trips: int = 0

    def count(self, node: Node, more: int = 1) -> None:
        """Count bodies about to run.  Raises ValueError beyond the limit."""
        self.trips += more
        if self.trips > MOST_TRIPS:
            raise ValueError(
                f"{node}: runs {self.trips:,} bodies of control flow; a graph takes at most {MOST_TRIPS:,}"
            )


class Block:
    """The nodes of a graph, what they start from, and what they return.

    keep(name, array, learned) registers an initialiser and tells the module that has it and its name there.  fixed:
    names of initialisers that are settings or statistics.
    """

    def __init__(self, parts: Parts, keep: Keep, fixed: set[str]):
        self.inputs, self.outputs = parts.inputs, parts.outputs
        self.places: dict[str, tuple[Module, str]] = {}  # where the initialisers are
        self.constants: dict[str, Tensor] = {}  # what Constant nodes hold
        self.nodes: list[Node] = []
        for name, array in parts.initialisers.items():
            learned = array.dtype.kind == "f" and array.ndim > 0 and name not in fixed
            self.places[name] = keep(name, array, learned)
        for node in parts.nodes:
            if node.operator == "Constant":
                self.constants[node.outputs[0]] = Known(TABLE["Constant"](node).array)
            else:
                node.attributes |= {key: Block(body, keep, fixed) for key, body in node.bodies.items()}
                self.nodes.append(node)
        self.around = self.taken_from_around()
        self.forget()

    def taken_from_around(self) -> set[str]:
        """Return the names that this block uses and does not make."""
        own = {"", *self.places, *self.constants, *(v.name for v in self.inputs)}
        own |= {name for node in self.nodes for name in node.outputs}
        used = {name for node in self.nodes for name in wanted(node)} | {v.name for v in self.outputs}
        return used - own

    def forget(self) -> None:
        """Note after which node each value is needed no more."""
        needed = {v.name for v in self.outputs}
        for node in reversed(self.nodes):
            node.drop = sorted({v for v in (*wanted(node), *node.outputs) if v} - needed)
            needed.update(wanted(node))

    def run(self, around: Mapping[str, Any], inputs: Sequence[Any], run: Run) -> tuple[Any, ...]:
        """Return the outputs for these inputs, within the values around it."""
        values: dict[str, Any] = {name: around[name] for name in self.around}
        values |= {"": None} | self.constants
        values |= {name: stored(owner, leaf) for name, (owner, leaf) in self.places.items()}
        values |= {v.name: given for v, given in zip(self.inputs, inputs, strict=True)}
        for node in self.nodes:
            results = self.results(node, values, run)
            for name, result in zip(node.outputs, results, strict=False):
                values[name] = result
            for name in node.drop:
                values.pop(name, None)
            values[""] = None
        return tuple(values[v.name] for v in self.outputs)

    def results(self, node: Node, values: dict[str, Any], run: Run) -> tuple[Any, ...]:
        """Return the outputs of one node.  An error says at which node it came up."""
        given = [values[name] for name in node.inputs]
        node.training = run.training
        call = bound(node, values, run) if node.bodies else node
        check_given(node, given)
        settled = not node.bodies and all(isinstance(g, Known | None) for g in given)
        try:
            with unheard() if settled and tape.host_read_listeners else nullcontext():
                found = node.function(call, *given)
            results = found if isinstance(found, tuple) else (found,)
            if any(node.outputs[len(results) :]):
                raise ValueError(f"{node}: names {len(node.outputs)} outputs; it makes {len(results)}")
            for result in results:
                for t in result if isinstance(result, list) else [result]:
                    sized(node, () if t is None else t.shape)  # growth by many small steps
        except Exception as error:
            refusal = refused(node, given, error)
            refusal.add_note(f"in ONNX {node}")
            raise refusal from (error.__cause__ if refusal is error else error)
        return tuple(known(r) for r in results) if settled or node.operator in OF_SHAPES else results


@cache
def required(function: Callable[..., Any]) -> tuple[int, bool]:
    """(how many inputs an operator's function cannot do without, whether it takes any number more)."""
    parameters = list(signature(function).parameters.values())[1:]
    needed = sum(p.kind == p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in parameters)
    return needed, any(p.kind == p.VAR_POSITIONAL for p in parameters)


def check_given(node: Node, given: Sequence[Any]) -> None:
    """Raise UserError if an input is left out that the operator needs."""
    need, more = required(node.function)
    need = len(given) if more and not node.bodies else need
    absent = [i for i, g in enumerate(given[:need]) if g is None]
    if absent or len(given) < need:
        raise UserError(
            f"{node}: input {absent[0] + 1 if absent else len(given) + 1} is left out; it takes the first {need}"
        )


@contextmanager
def unheard() -> Iterator[None]:
    """Mark a part of a captured step whose values a replay would find again, so that Python may read them."""
    with tape.host_read_listeners.unheard(), tape.observers.unheard(), dispatch.observers.unheard():
        yield


def refused(node: Node, given: Sequence[Any], error: Exception) -> Exception:
    """Raise what comes up at a node as one kind of error, which names it.

    What a captured step refuses stays as it is.
    """
    if isinstance(error, UserError | CaptureError) or getattr(error, "__notes__", None):
        return error
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        text = f"takes more memory than there is ({text})"
    if str(node) in text:
        return UserError(text)
    says = ("takes", "must be", "needs a")  # an op of the engine
    said = isinstance(error, TypeError) and any(words in text for words in says)
    if any(isinstance(g, list) for g in given) and not isinstance(error, ValueError):
        text = "it takes tensors, not a sequence"
    elif isinstance(error, OverflowError) or "interpreted as an integer" in text:
        text = f"it takes whole numbers where these are not ({text})"
    elif not said and not isinstance(error, ValueError | IndexError | MemoryError):
        text = f"cannot take them: {type(error).__name__}: {text}"
    return UserError(f"{node} of {', '.join(map(described, given)) or 'nothing'}: {text}")


def described(value: Any) -> str:
    """Return an input of a node as dtype[shape]."""
    if isinstance(value, list):
        return f"a sequence of {len(value)}"
    return "none" if value is None else f"{value.dtype}{list(value.shape)}"


def wanted(node: Node) -> list[str]:
    """Return the values that a node needs: its inputs, and what its bodies take from around them."""
    return [*node.inputs, *sorted({name for body in node.bodies.values() for name in body.around})]


def bound(node: Node, values: dict[str, Any], run: Run) -> Node:
    """Return the node with its bodies as functions of their inputs, which return a tuple of their outputs."""

    def function(body: Block) -> Callable[..., tuple[Any, ...]]:
        def call(*inputs: Any) -> tuple[Any, ...]:
            if len(inputs) != len(body.inputs):
                raise ValueError(f"{node}: a body takes {len(body.inputs)} inputs, the node gives it {len(inputs)}")
            run.count(node)
            return body.run(values, inputs, run)

        call.outputs = body.outputs  # type: ignore[attr-defined]
        return call

    return replace(node, attributes=node.attributes | {key: function(body) for key, body in node.bodies.items()})


def stored(owner: Module, leaf: str) -> Tensor:
    """Return an initialiser as it is now; a buffer's values are known."""
    tensor: Tensor = getattr(owner, leaf)
    return Known(tensor.array, version=tensor.version) if leaf in owner._buffers else tensor


def known(result: Any) -> Any:
    """Return a result whose values follow from known ones, marked as such; what a gradient flows to is left alone."""
    return Known(result.array) if isinstance(result, Tensor) and not result.requires_grad else result


def all_nodes(parts: Parts) -> list[Node]:
    """Return the nodes of a graph and of all bodies in it."""
    return [n for node in parts.nodes for n in (node, *(m for body in node.bodies.values() for m in all_nodes(body)))]


def settings(parts: Parts) -> set[str]:
    """Return the names that nodes take as settings or statistics."""
    nodes = all_nodes(parts)
    return {n.inputs[i] for n in nodes for i in FIXED[n.operator] if i < len(n.inputs)}
