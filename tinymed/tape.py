"""The tape: Op, apply() and the backward walk.

    y = Op.apply(x, ...)          runs op.forward on arrays and remembers the op if an input requires a gradient
    walk(y, dy)                   visits the ops in reverse order of creation and calls op.backward on arrays

Edges lead from an op to the ops and leaves its inputs came from, never to tensors between, so an array lives on only
if an op saved it.  The walk is a loop: ops are numbered as they run, so of all ops waiting for a gradient the one with
the largest number has received all of its own.  Depth costs no stack, and a diamond is visited once.

First derivatives only: op.backward works on raw arrays.
"""

import functools
import heapq
import itertools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np

from . import backend, device
from .backend import Array, Table
from .grad_mode import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled, thread
from .handle import Handle

__all__ = [
    "Cast",
    "Handle",
    "Move",
    "Node",
    "Observer",
    "Op",
    "enable_grad",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "reading",
    "result_type",
    "set_grad_enabled",
    "thread",
    "walk",
]

counter = itertools.count()
readers: list[Callable[[str], Any]] = []  # told when Python is about to see a tensor's values; a recorder refuses


def reading(what: str) -> None:
    """Say that values leave the tape for Python, which a recorded step would see once and never again."""
    for told in readers:
        told(what)


class Version:
    """Counts in-place writes to one memory; all views of it share the counter.

    Most are made and never written to: what they start with is the class's.
    """

    value = 0  # writes so far
    recorded = 0  # those of them that the tape remembers
    held = 0  # ops of the tape that saved the memory
    viewed = False  # whether a second tensor, or a user's array, may show the memory


Chain = tuple[tuple[type["Op"], tuple[Any, ...], int], ...]  # view ops, their arguments, which of the outputs
Parent = tuple["Node", type["Op"], tuple[Any, ...], int]  # what a view was taken of, by which op


class Node:
    """What the tape knows of a tensor: its array, its gradient, and the op that made it."""

    default: ClassVar[type["Node"]]  # the class of tensors that no tensor was computed from
    __slots__ = (
        "__weakref__",
        "array",
        "grad",
        "hooks",
        "index",
        "made",
        "op",
        "parent",
        "requires_grad",
        "seen",
        "version",
    )

    def __init__(
        self,
        data: Array,
        requires_grad: bool = False,
        op: "Op | None" = None,
        index: int = 0,
        version: Version | None = None,
    ):
        self.array, self.requires_grad = data, requires_grad
        self.op, self.index = op, index
        if version is None:
            version = Version()
        else:
            version.viewed = True
        self.version = version
        self.seen = version.recorded  # writes that the tape's account of this tensor includes
        self.parent: Parent | None = None  # of a view
        self.made = False  # whether an op made the memory, which no leaf and no user had before
        self.grad: Any = None
        self.hooks: dict[int, Callable[[Any], Any]] | None = None

    def lineage(self) -> tuple["Node", Chain]:
        """The tensor that this one is a view of, in the end, and the view ops that lead from there."""
        node, chain = self, []
        while node.parent is not None:
            chain.append(node.parent[1:])
            node = node.parent[0]
        return node, tuple(reversed(chain))

    def refresh(self, name: str) -> None:
        """Take a view again, on the tape, after its memory was written through another."""
        root, chain = self.lineage()
        if root.seen != root.version.recorded or root is self:
            raise RuntimeError(
                f"{name}: the memory of an input was written in place through a detached tensor, and with a gradient, "
                "which the tape cannot follow; write to the tensor itself"
            )
        if self.op is None and self.requires_grad:
            raise RuntimeError(
                f"{name}: an input is a leaf on memory that was written in place through the tensor it is a view of; "
                "make the leaf of a clone()"
            )
        node = root
        for op, arguments, index in chain:
            made = op.apply(node, *arguments)
            node = made[index] if isinstance(made, tuple) else made
        self.op, self.index, self.requires_grad, self.seen = node.op, node.index, node.requires_grad, root.seen

    @property
    def plain(self) -> type["Node"]:
        """The class of what is computed from this node: a Parameter's results are tensors."""
        return type(self)


class Observer:
    """Sees ops as they run forward and backward, and modules as they are called: the debugger derives from it."""

    def module(self, module: Any) -> None: ...

    def forward(self, op: "Op", inputs: Sequence[Any], outputs: Sequence[Array]) -> None: ...

    def backward(self, op: "Op", dys: Sequence[Any], dxs: Sequence[Any]) -> None: ...


observers: list[Observer] = []


class Op:
    """A differentiable function: forward on arrays, and its vector-Jacobian product.

    A class cannot be defined without `forward`, `backward` (None: not differentiable), `samples` (a static method that
    draws one tuple of arguments) and `oracle` (the name of a torch function, a static method that takes torch and the
    arguments, or None with `oracle_reason`).
    """

    registry: ClassVar[dict[str, type["Op"]]] = {}
    view = False  # the output shares the first input's memory
    promotes: bool | str = False  # True: tensors are brought to their common dtype; "float": and at least float32
    oracle: Any
    oracle_reason = ""
    backward: Any
    forward: Any
    samples: Any

    # set by apply
    k: Table
    saved: tuple[Any, ...] = ()
    needs: tuple[bool, ...] = ()
    edges: Sequence[Any] = ()
    hooks: dict[int, dict[int, Callable[[Any], Any]]] = {}  # replaced, never written to: see `hook`
    guards: list[tuple[Version, int]]
    specs: list[tuple[tuple[int, ...], Any]]
    tensor: type[Node]
    order = -1
    scope = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        missing = [n for n in ("forward", "backward", "samples", "oracle") if n not in cls.__dict__]
        if missing:
            raise TypeError(f"op {cls.__name__} cannot be defined: it lacks {', '.join(missing)}")
        if cls.oracle is None and not cls.oracle_reason:
            raise TypeError(f"op {cls.__name__} cannot be defined: oracle = None needs an oracle_reason")
        if cls.__name__ in Op.registry and Op.registry[cls.__name__].__module__ != cls.__module__:
            raise TypeError(f"op {cls.__name__} is already defined in {Op.registry[cls.__name__].__module__}")
        Op.registry[cls.__name__] = cls

    def save(self, *values: Any) -> None:
        """Keep arrays and numbers for backward: the only way to do so."""
        self.saved = values

    @classmethod
    def apply(cls, *inputs: Any) -> Any:
        """Run forward on the inputs' arrays; return what it returns as tensors, remembered by the tape if needed."""
        if cls.promotes:
            inputs = promoted(inputs, cls.promotes == "float")
        op = cls()
        op.k = backend.current or backend.table()
        enabled = thread.grad_enabled
        elsewhere, tracked = op.k.device != "cpu", enabled and cls.backward is not None
        arrays, needs, nodes = list(inputs), [False] * len(inputs), []
        for n, i in enumerate(inputs):  # loops, not comprehensions, which are calls: this is run for every op
            if isinstance(i, Node):
                if enabled and i.seen != i.version.recorded:
                    i.refresh(cls.__name__)
                if type(i.array) is not np.ndarray:
                    elsewhere = True
                arrays[n] = i.array
                needs[n] = tracked and i.requires_grad
                nodes.append(i)
        if not nodes:
            raise TypeError(f"{cls.__name__} takes at least one tensor, got {backend.describe(inputs)}")
        if elsewhere:
            op.k = device.table_for(cls.__name__, arrays)
        op.needs = tuple(needs)
        results = op.forward(*arrays)
        outs = results if isinstance(results, tuple) else (results,)
        first, maker = nodes[0], op if True in needs else None
        tensor, version = first.plain, first.version if op.view else None
        tensors: list[Node] = []
        for o in outs:
            tensors.append(tensor(o, maker is not None and o.dtype.kind == "f", maker, len(tensors), version))
        if version is not None:
            for n, t in enumerate(tensors):
                t.parent = first, cls, inputs[1:], n
        else:
            for t in tensors:
                t.made = True
        if maker is not None:
            op.connect(inputs, nodes, tensors)
        else:
            op.saved = ()
        for o in observers:
            o.forward(op, inputs, outs)
        return tuple(tensors) if isinstance(results, tuple) else tensors[0]

    def connect(self, inputs: Sequence[Any], nodes: Sequence[Node], tensors: Sequence[Node]) -> None:
        """Put the op on the tape: edges to where its inputs came from, and the versions of what it saved.

        nodes: those of the inputs that are tensors.
        """
        self.order = next(counter)
        scope = thread.scope
        if scope:
            self.scope = scope[-1]
        self.tensor = type(tensors[0])
        self.edges, self.specs, self.guards = [None] * len(inputs), [], []
        for n, need in enumerate(self.needs):
            if need:
                self.edges[n] = inputs[n].op or inputs[n], inputs[n].index
        for t in tensors:
            self.specs.append((t.array.shape, t.array.dtype))
        if self.saved:
            for node in (*nodes, *tensors):
                for s in self.saved:
                    if s is node.array:
                        node.version.held += 1
                        self.guards.append((node.version, node.version.value))
                        break

    def hook(self, index: int, hook: Callable[[Any], Any]) -> Handle:
        """Call hook with the gradient of an output when it is known, until the handle is removed."""
        if not self.hooks:
            self.hooks = {}
        return Handle(self.hooks.setdefault(index, {}), hook)

    def gradients(self, dys: list[Any]) -> tuple[Any, ...]:
        """One gradient for each input, from one for each output (zeros where none arrived)."""
        for version, value in self.guards:
            if version.value != value:
                raise RuntimeError(
                    f"{self.label()}: an array saved for backward was changed in place after the forward"
                    " pass; use a copy, or move the assignment before this op"
                )
        full = dys
        if len(dys) > 1:  # the only output of an op that is visited has a gradient
            full = [self.k.full(*spec, 0) if dy is None else dy for dy, spec in zip(dys, self.specs, strict=True)]
        dxs = self.backward(*full)
        dxs = dxs if isinstance(dxs, tuple) else (dxs,)
        for o in observers:
            o.backward(self, dys, dxs)
        return dxs

    def free(self) -> None:
        """Drop what was saved."""
        for version, _ in self.guards:
            version.held -= 1
        self.saved, self.edges, self.guards, self.order = (), (), [], -1

    def label(self) -> str:
        """The op's name and the module it ran in, for messages."""
        return f"{type(self).__name__} in {self.scope}" if self.scope else type(self).__name__


class Cast(Op):
    """y = x in another dtype;  dx = dy in x's dtype."""

    oracle = None
    oracle_reason = "a change of dtype has nothing to compare"

    def forward(self, x: Array, dtype: Any) -> Array:
        self.save(x.dtype)
        return self.k.cast(x, dtype)

    def backward(self, dy: Array) -> Any:
        return self.k.cast(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape()), np.dtype(np.float64)


class Move(Op):
    """y = x on another device;  dx = dy on x's."""

    oracle = None
    oracle_reason = "a change of place has nothing to compare"

    def forward(self, x: Array, place: str) -> Array:
        self.save(device.of(x))
        return self.k.copy(x) if device.of(x) == place else device.move(x, place)

    def backward(self, dy: Array) -> Any:
        return device.move(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape()), "cpu"


def result_type(*inputs: Any) -> np.dtype[Any]:
    """The dtype PyTorch computes in: tensors with axes first, then tensors without, then Python numbers.

    A weaker group counts only if it is of a higher category (bool < integer < float); Python floats beside integers
    give float32.  https://pytorch.org/docs/stable/tensor_attributes.html
    """
    groups: tuple[list[np.dtype[Any]], ...] = ([], [], [])
    for i in inputs:
        a = i.array if isinstance(i, Node) else i
        if hasattr(a, "dtype"):
            groups[0 if a.ndim else 1].append(np.dtype(a.dtype))
        elif isinstance(a, bool | int | float):
            groups[2].append(np.dtype(bool if isinstance(a, bool) else np.int64 if isinstance(a, int) else np.float32))
    result: np.dtype[Any] | None = None
    for group in groups:
        top = max(map(category, group), default=-1)
        if group and (result is None or top > category(result)):
            result = functools.reduce(np.promote_types, [d for d in group if category(d) == top])
    if result is None:
        raise TypeError(f"result_type takes tensors and numbers, got {backend.describe(inputs)}")
    return result


def category(dtype: np.dtype[Any]) -> int:
    """0 for bool, 1 for integers, 2 for floating point."""
    return {"b": 0, "u": 1, "i": 1, "f": 2}[dtype.kind]


def promoted(inputs: tuple[Any, ...], floating: bool) -> tuple[Any, ...]:
    """The inputs with every tensor in the common dtype, cast on the tape; `floating` makes integers float32."""
    dtypes = [i.array.dtype for i in inputs if isinstance(i, Node)]
    if dtypes and dtypes[0].kind == "f" and dtypes.count(dtypes[0]) == len(dtypes):
        return inputs
    dtype = result_type(*inputs)
    if floating and dtype.kind != "f":
        dtype = np.dtype(np.float32)
    return tuple([Cast.apply(i, dtype) if isinstance(i, Node) and i.array.dtype != dtype else i for i in inputs])


# -------------------------------------------------------------------------------------------- the backward walk


def walk(
    roots: Sequence[Node],
    dys: Sequence[Array],
    retain_graph: bool = False,
    wanted: dict[tuple[int, int], Any] | None = None,
) -> None:
    """Carry the gradients dys of the root tensors back to the leaves, adding to their .grad.

    With `wanted` ({(id of op or leaf, output index): None}) the gradients of those places are stored there instead.
    """
    waiting: dict[int, list[Any]] = {}  # gradients of an op's outputs, by the op's number
    queue: list[tuple[int, Op]] = []

    def arrive(place: Any, index: int, dx: Array, shared: Any) -> None:
        if isinstance(place, Node):
            leaf(place, dx, shared, wanted)
            return
        if place.order < 0:
            raise RuntimeError(
                f"{place.label()}: backward ran through this part of the graph already and freed what it"
                " saved; call backward(retain_graph=True) the first time"
            )
        slots = waiting.get(place.order)
        if slots is None:
            slots = waiting[place.order] = [None] * len(place.specs)
            heapq.heappush(queue, (-place.order, place))
        slots[index] = dx if slots[index] is None else place.k.add(slots[index], dx)

    for root, dy in zip(roots, dys, strict=True):
        if root.seen != root.version.recorded:
            root.refresh("backward")
        arrive(root.op or root, root.index, dy, dy)
    while queue:
        _, op = heapq.heappop(queue)
        slots = waiting.pop(op.order)
        if op.hooks:
            for index, hooks in op.hooks.items():
                slots[index] = call_hooks(hooks, slots[index], op.tensor)
        if wanted is not None:
            for index, dy in enumerate(slots):
                if (id(op), index) in wanted:
                    wanted[id(op), index] = dy
        dxs = op.gradients(slots)
        for edge, dx in zip(op.edges, dxs):  # noqa: B905  without a keyword in half the time
            if edge is not None and dx is not None:
                arrive(edge[0], edge[1], dx, slots[0])
        if not retain_graph:
            op.free()
        del slots, dxs


def leaf(node: Node, dx: Array, dy: Array | None, wanted: dict[tuple[int, int], Any] | None) -> None:
    """Add to a leaf's gradient.  A gradient that lies in memory another may hold is copied first."""
    if node.hooks:
        dx = call_hooks(node.hooks, dx, node.plain)
    if wanted is not None:
        if (id(node), 0) in wanted:
            before = wanted[id(node), 0]
            wanted[id(node), 0] = dx if before is None else device.table_on(device.of(dx)).add(before, dx)
        return
    if node.grad is not None:
        dx = device.table_on(device.of(dx)).add(node.grad.array, dx)
    elif 0 in dx.strides or (dy is not None and device.shares_memory(dx, dy)):
        dx = device.table_on(device.of(dx)).copy(dx)
    node.grad = node.plain(dx)


def call_hooks(hooks: dict[int, Callable[[Any], Any]], dy: Any, tensor: type[Node]) -> Any:
    """Let each hook see the gradient, and replace it if the hook returns one."""
    for hook in tuple(hooks.values()):
        if dy is not None:
            replaced = hook(tensor(dy))
            dy = dy if replaced is None else replaced.array
    return dy
