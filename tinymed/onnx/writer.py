"""Writing a graph: names for arrays, nodes, initialisers and constants; the table of what each op becomes.

A file of one family under `emit/` holds a function for each op of the tape:

    @emits("ReLU")
    def relu(w: Writer, call: Call) -> None:
        w.result(call, "Relu", call.x)

Parameters and buffers become initialisers under their names in the `state_dict`, so that `load` gives them back; all
other arrays and numbers become Constant nodes, which `load` does not take for something to learn.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..errors import UserError
from ..nn.module import Module
from .tensors import library
from .trace import ALONE, BatchNumber, Call

Emit = Callable[["Writer", Call], None]
EMITS: dict[str, Emit] = {}


def emits(*ops: str) -> Callable[[Emit], Emit]:
    """Put a function into the table, for these ops of the tape."""

    def add(fn: Emit) -> Emit:
        for op in ops:
            EMITS[op] = fn
        return fn

    return add


class Writer:
    """A graph in the making."""

    def __init__(self, model: Module, opset: int):
        self.onnx, self.opset = library(), opset
        self.nodes: list[Any] = []
        self.initialisers: dict[str, np.ndarray] = {}
        self.names: dict[int, str] = {}  # of an array -> its name in the graph
        kept = model.state_dict()  # without buffers that are not persistent, which become constants
        self.buffers = [name for name, _ in model.named_buffers() if name in kept]
        state = [(n, t) for n, t in (*model.named_buffers(), *model.named_parameters()) if n in kept]
        self.state = {id(t.array): (name, t.array) for name, t in state}
        self.constants: dict[tuple[Any, ...], str] = {}
        self.taken = {name for name, _ in state}
        self.call: Call | None = None
        self.makers: dict[int, Call] = {}  # of an array -> the op that made it

    # ------------------------------------------------------------------------------------------ names

    def fresh(self, base: str) -> str:
        """Return a name that nothing in the graph has yet."""
        name, i = base, 1
        while name in self.taken:
            name, i = f"{base}_{i}", i + 1
        self.taken.add(name)
        return name

    def own(self, array: np.ndarray, base: str) -> str:
        """Give an array a name."""
        self.names[id(array)] = self.fresh(base)
        return self.names[id(array)]

    def local(self, operator: str) -> str:
        """Return a fresh name that says the module and the operator."""
        scope = self.call.scope.replace(".", "/") if self.call else ""
        return self.fresh(f"/{scope}/{operator}" if scope else f"/{operator}")

    def value(self, v: Any, like: Any = None) -> str:
        """Return the name of an argument.

        Of an array, of a number (in the dtype of `like`), "" of None, a name as it is.
        """
        if v is None or isinstance(v, str):
            return v or ""
        if not isinstance(v, np.ndarray):
            return self.constant(np.asarray(v, getattr(like, "dtype", None)))
        if id(v) in self.names:
            return self.names[id(v)]
        if id(v) in self.state:
            name, array = self.state[id(v)]
            self.initialisers[name] = array
            self.names[id(v)] = name
            return name
        return self.constant(v)

    def constant(self, array: np.ndarray) -> str:
        """Return a Constant node; small equal ones are one."""
        key = (array.dtype.char, array.shape, array.tobytes()) if array.size <= 64 else ()
        if key and key in self.constants:
            return self.constants[key]
        name = self.fresh(f"constant_{len(self.constants)}")
        self.nodes.append(self.onnx.helper.make_node("Constant", [], [name], name, value=self.tensor(array, name)))
        if key:
            self.constants[key] = name
        return name

    def ints(self, numbers: Sequence[int]) -> str:
        """Return a vector of int64: axes, a shape, pads."""
        self.refuse_batch(numbers)
        return self.constant(np.asarray(numbers, np.int64).reshape(-1))

    def tensor(self, array: np.ndarray, name: str) -> Any:
        """Return a TensorProto."""
        return self.onnx.numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)

    # ------------------------------------------------------------------------------------------ nodes

    def add(self, operator: str, *inputs: Any, outputs: Sequence[str] = (), **attributes: Any) -> str:
        """Return a node; arguments and attributes that are None are left out.  Returns the name of its first output."""
        names = [self.value(v) for v in inputs]
        while names and not names[-1]:
            names.pop()
        given = {k: v for k, v in attributes.items() if v is not None}
        self.refuse_batch(given.values())
        name = self.local(operator)
        made = list(outputs) or [self.fresh(f"{name}_out")]
        self.nodes.append(self.onnx.helper.make_node(operator, names, made, name, **given))
        return made[0]

    def result(self, call: Call, operator: str, *inputs: Any, **attributes: Any) -> None:
        """Return the node whose outputs are the call's."""
        outputs = [self.own(a, f"{self.local('')}{call.op}_out") for a in call.outputs]
        self.add(operator, *inputs, outputs=outputs, **attributes)

    def emit(self, call: Call) -> None:
        """Write what an op of the tape becomes.  Raises UserError naming the op if it becomes nothing."""
        self.call = call
        if call.op not in EMITS:
            raise UserError(f"onnx.export: {call} has no ONNX form here; it takes {', '.join(sorted(EMITS))}")
        EMITS[call.op](self, call)
        self.makers |= {id(a): call for a in call.outputs}

    def refuse(self, what: str) -> UserError:
        """Return the error for a form of an op that ONNX, or this opset, cannot express."""
        return UserError(f"onnx.export: {self.call}: {what} has no ONNX form at opset {self.opset}")

    def refuse_batch(self, values: Any) -> None:
        """Raise UserError if a number that follows the batch size would be written down as a constant."""
        if isinstance(values, BatchNumber):
            raise UserError(
                f"onnx.export: {self.call}: a number follows the batch size where ONNX takes a constant; {ALONE}"
            )
        if not isinstance(values, str | bytes | int | float | np.ndarray) and hasattr(values, "__iter__"):
            for v in values:
                self.refuse_batch(v)

    # ------------------------------------------------------------------------- parts that families share

    def over_axes(self, operator: str, x: Any, axes: Sequence[int], keepdim: bool) -> tuple[tuple[Any, ...], Any]:
        """Return (inputs, attributes) of a reduction: axes are an input of ReduceSum, of the others since opset 18."""
        keep = {"keepdims": int(keepdim)}
        if operator == "ReduceSum" or self.opset >= 18:
            return (x, self.ints(axes)), keep
        return (x,), {"axes": list(axes), **keep}

    def reduce(self, operator: str, x: Any, axes: Sequence[int], keepdim: bool) -> str:
        """Return a reduction in the middle of a decomposition."""
        inputs, attributes = self.over_axes(operator, x, axes, keepdim)
        return self.add(operator, *inputs, **attributes)

    def number(self, value: float, like: Any) -> str:
        """Return a constant scalar in the dtype of an array."""
        return self.constant(np.asarray(value, like.dtype))

    def reshape(self, x: Any, shape: Sequence[int]) -> str:
        """Return a reshape in the middle of a decomposition; a length that follows the batch size becomes -1."""
        return self.add("Reshape", x, self.shape(shape))

    def shape(self, shape: Sequence[int]) -> str:
        """Return the shape input of Reshape; at most one length may follow the batch size."""
        wanted = [-1 if isinstance(n, BatchNumber) else n for n in shape]
        if wanted.count(-1) > 1:
            raise self.refuse(f"a shape {list(shape)} of which several lengths follow the batch size")
        return self.ints(wanted)
