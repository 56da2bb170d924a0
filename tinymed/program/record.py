"""Recording: an observer of kernel calls and of the tape writes down what a step does, and can take it back."""

import gc
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import devices, dispatch, tape
from ..dispatch import Array, Dispatcher, Kernel
from .program import Call, Program, named, show
from .values import Ref, Value, address, holder, raw, reach, root, size, start

PACKAGE = str(Path(__file__).parents[1])
FEW = 4096  # bytes; external memory up to this size is watched for writes that no kernel made


class CaptureError(RuntimeError):
    """A step that a replay could not repeat."""


def user_line() -> str:
    """file:line of the innermost frame outside the package."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE):
        frame = frame.f_back
    return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame is not None else "?"


class Recorder(dispatch.Observer, tape.Observer):
    """Writes down the kernel calls of one run of a step.

    names: {address: what the user calls the memory there}.  grads: takes every leaf's gradient as it was when met.
    Memory that the step did not make is copied before its first write, so that `undo` can take the run back.
    """

    def __init__(self, names: dict[int, str], grads: dict[Any, Any]):
        self.names, self.grads = dict(names), grads
        self.calls: list[Call] = []
        self.count = 0  # values met
        # By id of the array that holds the memory, which may die: it, the value, and the address of its first byte.
        self.live: dict[int, tuple[weakref.ref[Any], Value, int]] = {}
        self.outside: dict[int, tuple[Value, int]] = {}  # external memory, which lives: by id of its owner
        self.saved: dict[Value, Array] = {}  # external memory as it was before the step wrote to it
        self.watched: dict[Value, tuple[Array, str]] = {}  # small external memory as it was, and who met it
        self.converted: list[list[Array]] = [[]]  # by depth of calls: what `canonical` made
        self.leaves: dict[Any, Array] = {}  # tensors that no op made, and their arrays
        self.modules: dict[Any, str] = {}  # modules called, and their names
        self.optimizers: list[Any] = []  # that made a step
        self.returned: list[weakref.ref[Any]] = []  # the tensors that the step made and returned

    # ---------------------------------------------------------------------------------- what the step reads

    def refuse(self, what: str) -> None:
        """Raise: called where Python reads or writes a tensor's values."""
        raise CaptureError(
            f"{user_line()}: the captured step calls {what}; a replay runs no Python. Return the tensor "
            "from the step and use its values outside"
        )

    def module(self, module: Any) -> None:
        """Note that a module is being called: its mode is part of the program, its parameters have names."""
        if module not in self.modules:
            if not self.modules:
                for name, p in [*module.named_parameters(), *module.named_buffers()]:
                    self.names.setdefault(address(p.array), name)
                    self.grads.setdefault(p, p.grad)
            self.modules[module] = tape.thread.scope[-1] if tape.thread.scope else type(module).__name__

    def optimizer(self, optimizer: Any) -> None:
        """Note that an optimizer makes a step: its options are part of the program."""
        if not any(o is optimizer for o in self.optimizers):
            self.optimizers.append(optimizer)

    def forward(self, op: Any, inputs: Sequence[Any], outputs: Sequence[Array]) -> None:
        """Take down the leaves among an op's inputs."""
        for i in inputs:
            if isinstance(i, tape.Node) and i.op is None and not self.is_made(i.array):
                self.leaves.setdefault(i, i.array)
                self.grads.setdefault(i, i.grad)

    # ---------------------------------------------------------------------------------------- kernel calls

    def before(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any]) -> None:
        self.converted.append([])
        if kernel.rule.writes and not kernel.composite:
            for name, a in named(kernel, args):
                if name in kernel.rule.writes and hasattr(a, "strides"):
                    value = self.ref(a, name).value
                    if value.external is not None and value not in self.saved:
                        self.saved[value] = raw(value.external).copy()

    def after(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any], outs: Sequence[Array]) -> None:
        converted = self.converted.pop()
        if dispatcher.name == "canonical":
            self.converted[-1].append(outs[0])
        if kernel.composite:
            return  # its parts were seen
        args, plan = list(args), dispatcher.plan_for(args)
        if plan.relayouts:
            if plan.written:
                raise CaptureError(
                    f"{dispatcher.name} updates an array in place that lies in another memory order than "
                    "the kernel's; a replay cannot"
                )
            for (i, _), a in zip(plan.relayouts, converted, strict=True):
                args[i] = a
            plan = dispatcher.plan_for(args)
        refs = [self.ref(a, n) if hasattr(a, "strides") else a for n, a in named(kernel, args)]
        owners = {id(r.value) for r in refs if isinstance(r, Ref)}
        views = [self.known(o) is not None and id(self.known(o)) in owners for o in outs]
        if all(views) and not kernel.rule.writes:
            return  # a view, such as reshape: those who use it see a window on its memory
        if any(views) and not all(views):
            raise CaptureError(f"{dispatcher.name} returns a view of an argument beside new arrays; a replay cannot")
        made = [] if any(views) else [self.make(o, n) for o, n in zip(outs, output_names(kernel, outs), strict=True)]
        self.calls.append(Call(dispatcher, plan, refs, made, len(self.calls), line=user_line()))

    # ------------------------------------------------------------------------------------------- memory

    def found(self, a: Array) -> tuple[Value, int] | None:
        """Return the live value that an array lies in, and the address of its first byte."""
        held = holder(a)
        entry = self.live.get(id(held))
        if entry is not None and entry[0]() is held:
            return entry[1:]
        return self.outside.get(id(root(a)))

    def known(self, a: Array) -> Value | None:
        """Return the live value that an array lies in."""
        found = self.found(a)
        return None if found is None else found[0]

    def is_made(self, a: Array) -> bool:
        """Return whether the step made an array: under no_grad, or of frozen weights, no op stands behind it."""
        value = self.known(a)
        return value is not None and value.external is None

    def make(self, a: Array, name: str) -> Ref:
        """Return an array that the step made.

        Its value is what it reaches over, wherever that lies in its owner's memory.
        """
        first, nbytes = reach(a)
        self.count += 1
        value, held = Value(nbytes, f"{name}{len(self.calls)}"), holder(a)
        self.live[id(held)] = weakref.ref(held), value, first
        return Ref(value, address(a) - first, a.shape, a.strides, a.dtype)

    def ref(self, a: Array, name: str = "ext") -> Ref:
        """Return the window that an array is.

        Memory that the step did not make is external, named as what it is met as.
        """
        found = self.found(a)
        if found is None:
            owner = root(a)
            first = start(owner)
            self.count += 1
            value = Value(size(owner), f"{name}{self.count}", owner)
            found = self.outside[id(owner)] = value, first
            value.names = {at - first: n for at, n in self.names.items() if first <= at < first + max(value.nbytes, 1)}
            if value.nbytes <= FEW:
                self.watched[value] = raw(owner).copy(), user_line()
        value, first = found
        return Ref(value, address(a) - first, a.shape, a.strides, a.dtype)

    def label(self, leaf: Any) -> str:
        """Return what a message calls a tensor."""
        return self.names.get(address(leaf.array)) or f"a tensor of shape {list(leaf.array.shape)}"

    def refuse_kept(self, program: Program) -> None:
        """Raise if an array that the step made is still held when it is over, but not by whoever it was returned to.

        A hook, an attribute or a list has taken it; a replay would leave it as it was recorded.
        """
        self.converted = [[]]
        results = {r.value for r in [*program.outputs, *(r for _, r in program.gradients)]}
        if not self.kept(results):
            return
        gc.collect()
        if kept := self.kept(results):
            made = next((c for c in program.calls if any(o.value is kept[0] for o in c.outs)), None)
            where = f"{made.line}: the result of {made.dispatcher.name}" if made else kept[0].name
            raise CaptureError(
                f"{where} is held when the captured step is over, by a hook, an attribute or a list; a replay would "
                "not renew it. Do not keep it, or return it and keep what the captured step returns"
            )

    def kept(self, results: set[Value]) -> list[Value]:
        """Return the values made by the step, other than its results, whose memory somebody holds."""
        tensors = [t for reference in self.returned if (t := reference()) is not None]
        return [self.ref(t.array).value for t in tensors] + [
            value for reference, value, _ in self.live.values() if value not in results and reference() is not None
        ]

    def undo(self) -> None:
        """Write back what external memory held before the step."""
        for value, before in self.saved.items():
            raw(value.external)[...] = before

    def finish(self, outputs: Sequence[Any]) -> Program:
        """Return the recorded program; outputs are the tensors that the step returned."""
        for value, (before, line) in self.watched.items():
            if value not in self.saved and content(raw(value.external)) != content(before):
                name = next(iter(value.names.values()), value.name)
                raise CaptureError(
                    f"{line}: {name} changed during the step, but no kernel wrote to it. Change such "
                    "numbers outside the captured step"
                )
        self.returned = [weakref.ref(t) for t in outputs if self.is_made(t.array)]
        gradients = []
        for leaf in self.leaves:
            if leaf.requires_grad and leaf.grad is not None:
                ref = self.ref(leaf.grad.array)
                if ref.value.external is None:
                    gradients.append((leaf, ref))
        return Program(self.calls, [self.ref(t.array) for t in outputs], gradients)


def content(a: Array) -> bytes:
    """Return what an array holds; the host waits for a GPU's."""
    return devices.move(a, "cpu").tobytes()  # type: ignore[no-any-return]


def output_names(kernel: Kernel, outs: Sequence[Array]) -> Sequence[str]:
    """Return what the kernel calls its outputs; references do not say."""
    return [kernel.name.split("_")[0][:6]] * len(outs) if kernel.reference else kernel.parameters[: len(outs)]


def compare(first: Program, second: Program) -> None:
    """Two recordings of one step must be the same program; CaptureError names what differs."""
    twins: dict[Value, Value] = {}  # what the steps made: a value of the first, and of the second
    for a, b in zip(first.calls, second.calls, strict=False):
        if a.kernel is not b.kernel:
            raise CaptureError(
                f"{a.line}: the step called {a.dispatcher.name}, and when run again {b.dispatcher.name} "
                f"({b.line}): a Python branch, or gradients left from the step before"
            )
        for x, y in zip(a.args, b.args, strict=True):
            if not same(x, y, twins):
                raise CaptureError(
                    f"{a.line}: an argument of {a.dispatcher.name} was {describe(x)}, and when run again "
                    f"{describe(y)}. A Python value that changes between steps would be frozen: pass it "
                    "as an input of the step, or as a tensor that kernels update"
                )
        twins |= {x.value: y.value for x, y in zip(a.outs, b.outs, strict=True)}
    if len(first.calls) != len(second.calls):
        raise CaptureError(
            f"the step made {len(first.calls)} kernel calls, and when run again {len(second.calls)}: a "
            "Python branch, or gradients left from the step before"
        )


def same(x: Any, y: Any, twins: dict[Value, Value]) -> bool:
    """Return whether an argument of the first recording is that of the second."""
    if isinstance(x, Ref) and isinstance(y, Ref):
        if x.value.external is None:
            return twins.get(x.value) is y.value and x.key == y.key
        return x.value.external is y.value.external and x.key == y.key
    return type(x) is type(y) and (x == y or x != x)


def describe(x: Any) -> str:
    """Return an argument for a message."""
    if isinstance(x, Ref):
        made = "an array made outside kernels" if x.value.external is not None and not x.value.names else str(x)
        return f"{made} ({x.dtype}{list(x.shape)})"
    return show(x)
