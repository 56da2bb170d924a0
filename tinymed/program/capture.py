"""capture(step): a training or inference step, recorded once, then replayed as a list of kernel calls.

    step = tinymed.capture(step)
    loss = step(images, targets)        # the first call records, every call replays
    print(step.program)                 # what is replayed;  step.recorded: before it was rewritten

The step is run twice for its recording, on the CPU without computing, and what it changed is taken back, so the replay
makes the first step as it makes the last, and only the kernels of a replay are ever compiled.  What differs between the
two runs is refused by name: a replay would freeze it.  What changes between steps is an input, or an array that a
kernel updates (step count, random state) or a setting writes (learning rate).
On a GPU the program is replayed as a CUDA graph: see `graph`.
"""

import weakref
from collections.abc import Callable, Sequence
from typing import Any

from .. import backend, device, memory, precision, tape
from ..tape import Node
from .graph import Graph, GraphError
from .passes import optimise
from .program import Call, Program
from .record import FEW, CaptureError, Recorder, compare
from .values import Ref, address, root

Key = tuple[Any, ...]
LARGE = 64 << 20  # bytes that a recording made, from which on it pays to collect garbage and give memory back


class Replay:
    """One program of a step: for one set of shapes, one backend and one mode of its modules."""

    def __init__(self, program: Program, graph: Graph | None, inputs: Sequence[Node], result: Any, recorder: Recorder):
        self.program, self.graph, self.inputs, self.result = program, graph, inputs, result
        assert program.arena is not None
        self.outputs = [r.array(program.arena) for r in program.outputs]
        self.gradients = [(leaf, leaf.plain(r.array(program.arena))) for leaf, r in program.gradients]
        self.leaves = list(recorder.leaves.items())
        self.modules = [(weakref.ref(m), training) for m, training in recorder.modules.items()]
        written = {id(r.value.external) for c in program.calls for r in c.written() if r.value.external is not None}
        self.written = [leaf.version for leaf, data in self.leaves if id(root(data)) in written]

    def valid(self) -> bool:
        """Whether modules are in the mode, and tensors hold the arrays, that were recorded."""
        for leaf, data in self.leaves:
            if leaf.array is not data:
                return False
        for reference, training in self.modules:
            module = reference()
            if module is None or module.training != training:
                return False
        return True

    def __call__(self, given: Sequence[Node]) -> Any:
        for static, new in zip(self.inputs, given, strict=True):
            static.array[...] = new.array
        if self.graph is None:
            self.program.run()
        else:
            self.graph.launch()
        for leaf, gradient in self.gradients:
            leaf.grad = gradient
        for version in self.written:
            version.value += 1
        outputs = iter(self.outputs)
        return rebuild(self.result, lambda t: t.plain(next(outputs).copy("K")))


class Captured:
    """A step that is recorded at its first call with inputs of a kind, and replayed.

    program, recorded: the last program that was made, as it runs and as it was recorded.  refused: why the step runs
    uncaptured, and ungraphed: why a program for a GPU is replayed call by call, where `fallback` allows that.
    """

    def __init__(self, step: Callable[..., Any], names: dict[str, Any] | None = None, fallback: bool = False):
        self.step, self.names, self.fallback = step, names or {}, fallback
        self.replays: dict[Key, list[Replay]] = {}
        self.program: Program | None = None
        self.recorded = ""
        self.refused = self.ungraphed = ""

    def __call__(self, *inputs: Any) -> Any:
        if self.refused or backend.observers or tape.observers:  # debugging, or inside another recording
            return self.step(*inputs)
        try:
            replay = self.find(inputs)
        except CaptureError as reason:
            if not self.fallback:
                raise
            self.refused = str(reason)
            return self.step(*inputs)
        return replay(tensors(inputs))

    def find(self, inputs: tuple[Any, ...]) -> Replay:
        """The program for such inputs, recorded if there is none; CaptureError if there cannot be one."""
        key = key_of(inputs)
        known = self.replays.setdefault(key, [])
        for replay in known:
            if replay.valid():
                return replay
        replay = self.record(inputs)
        self.replays[key] = [replay, *filter(same_arrays, known)]
        return replay

    def record(self, inputs: tuple[Any, ...]) -> Replay:
        """Record twice, compare, rewrite, plan."""
        static = rebuild(inputs, lambda t: t.plain(t.array.copy("K")))
        names = {address(t.array): f"input{n}" for n, t in enumerate(tensors(static))}
        names |= {address(getattr(a, "array", a)): label for label, a in self.names.items()}
        grads: dict[Node, Any] = {}
        try:
            first, _, _ = self.observe_dry(static, names, grads, 0.5)
            program, result, recorder = self.observe_dry(static, names, grads, -0.5)
            compare(first, program)
            self.recorded = str(program)
            self.program = optimise(program, sole_table(program))
            self.program.plan()
            self.prepare(self.program)
            graph = self.graph(recorder.undo)
        except BaseException:
            for leaf, grad in grads.items():
                leaf.grad = grad
            raise
        return Replay(self.program, graph, tensors(static), result, recorder)

    def prepare(self, program: Program) -> None:
        """Let the backend compile what the program will call, if it can do so at one go."""
        ahead = getattr(backend.table().home, "prepare", None)
        if ahead:
            ahead((call.plan, args) for call, (_, args) in zip(program.calls, program.steps, strict=True))

    def graph(self, undo: Callable[[], None]) -> Graph | None:
        """The program as a CUDA graph, if it is one for a GPU."""
        assert self.program is not None
        if not self.program.calls or self.program.calls[0].launch.table.device == "cpu":
            return None
        try:
            return Graph(self.program, undo)
        except GraphError as reason:
            if not self.fallback:
                raise
            self.ungraphed = str(reason)
            return None

    def observe(
        self, static: tuple[Any, ...], names: dict[int, str], grads: dict[Node, Any]
    ) -> tuple[Program, Any, Recorder]:
        """Run the step once, write down what it does, and take it back."""
        recorder = Recorder(names, grads)
        tape.observers.append(recorder)
        tape.readers.append(recorder.refuse)
        try:
            with backend.observing(recorder):
                result = self.step(*static)
            return recorder.finish(tensors(result)), rebuild(result, lambda t: t.plain(t.array)), recorder
        finally:
            tape.observers.remove(recorder)
            tape.readers.remove(recorder.refuse)
            recorder.undo()
            if sum(r.nbytes for call in recorder.calls for r in call.outs) > LARGE:
                memory.trim()

    def observe_dry(
        self, static: tuple[Any, ...], names: dict[int, str], grads: dict[Node, Any], found: float
    ) -> tuple[Program, Any, Recorder]:
        """observe, computing nothing: what is wanted is which calls the step makes, and nothing need be compiled.

        Small results are `found`, which is another number in each run: what Python makes of them differs.  Large ones
        are whatever memory held, of which a reference may make no sense; then the step is run.
        """
        if backend.table().device == "cpu":
            try:
                with backend.dry(lambda _, plan, native: fill(native[: len(plan.outs)], found)):
                    program, result, recorder = self.observe(static, names, grads)
            except CaptureError:
                raise
            except Exception:  # noqa: S110
                pass
            else:
                for call in program.calls:
                    rebind(call, backend.table())
                return program, result, recorder
        return self.observe(static, names, grads)

    def __repr__(self) -> str:
        made = sum(map(len, self.replays.values()))
        return f"captured({getattr(self.step, '__name__', self.step)}, {made} program{'s' if made != 1 else ''})"


def fill(arrays: Sequence[backend.Array], number: float) -> None:
    """Make a number of every element of small arrays of floats."""
    for a in arrays:
        if a.dtype.kind == "f" and a.nbytes <= FEW:
            a[...] = number


def rebind(call: Call, table: backend.Table) -> None:
    """Let a call that was planned dry be one of a table of the same backend."""
    if isinstance(call.launch.table, backend.DryTable) and call.launch.table.name == table.name:
        call.launch = getattr(table, call.launch.name)
        call.plan = call.launch.plan_for([a.phantom() if isinstance(a, Ref) else a for a in call.args])


def key_of(inputs: tuple[Any, ...]) -> Key:
    """What a program depends on beside modules: shapes, dtypes, devices, backend, precision, and if there is a tape."""
    shapes = rebuild(inputs, signature)
    return shapes, backend.table().name, precision.current, tape.thread.grad_enabled


def signature(t: Any) -> tuple[Any, ...]:
    """Shape, dtype and device of an input, which must be a tensor off the tape."""
    if t.requires_grad:
        raise ValueError(
            "capture: an input of a captured step requires a gradient; make it a tensor that the step "
            "refers to, or detach it"
        )
    return t.array.shape, t.array.dtype.char, device.of(t.array)


def sole_table(program: Program) -> backend.Table:
    """The kernels that all calls of a program are of; CaptureError names the line that leaves their device."""
    if not program.calls:
        return backend.table()
    table = program.calls[0].launch.table
    for call in program.calls:
        if call.launch.table is not table:
            other = call.launch.table
            raise CaptureError(
                f"{call.line}: {call.launch.name} runs on {other.name!r} ({other.device}), the calls "
                f"before it on {table.name!r} ({table.device}); a replay has one device"
            )
    return table


def same_arrays(replay: Replay) -> bool:
    """Whether a replay may still become valid: its tensors hold the arrays that were recorded."""
    return all(leaf.array is data for leaf, data in replay.leaves)


def rebuild(tree: Any, each: Callable[[Node], Any]) -> Any:
    """A tensor, or tuples, lists and dictionaries of them, with every tensor replaced."""
    if isinstance(tree, Node):
        return each(tree)
    if isinstance(tree, dict):
        return {k: rebuild(v, each) for k, v in tree.items()}
    if isinstance(tree, tuple | list):
        return type(tree)([rebuild(v, each) for v in tree])
    if tree is None:
        return None
    raise CaptureError(
        f"a captured step takes and returns tensors, or tuples, lists and dictionaries of them; got "
        f"{type(tree).__name__} {tree!r:.40}: a replay would know one value for ever"
    )


def tensors(tree: Any) -> list[Node]:
    """The tensors of a tree, in order."""
    found: list[Node] = []
    rebuild(tree, found.append)
    return found


def capture(step: Callable[..., Any], names: dict[str, Any] | None = None, fallback: bool = False) -> Captured:
    """A step (tensors -> tensors) that runs as a recorded program: same results to rounding, without tape or Python.

    The first call with inputs of given shapes and dtypes, in a mode, on a backend, records; all calls replay.
    The tensors returned are copies; `.grad` of the parameters shows the program's memory, which the next call writes.
    names: {label: tensor} for the printed program.  fallback: run a step that cannot be captured as it is, with the
    reason in `.refused`, and on a GPU replay one that cannot be a CUDA graph call by call, with the reason in
    `.ungraphed`, instead of raising CaptureError.
    """
    return Captured(step, names, fallback)
