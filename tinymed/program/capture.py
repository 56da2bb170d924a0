"""capture(step): a training or inference step, recorded once, then replayed as a list of kernel calls.

    step = tinymed.capture(step)
    loss = step(images, targets)        # the first call records, every call replays
    print(step.program)                 # what is replayed;  step.recorded: before it was rewritten

The step is run twice for its recording, without computing, and what it changed is taken back, so the replay
makes the first step as it makes the last, and only the kernels of a replay are ever compiled.  What differs between the
two runs is refused by name: a replay would freeze it.  What changes between steps is an input, or an array that a
kernel updates (step count, random state) or a setting writes (learning rate).  What decided the recording and may
change now and then (a layer's attribute, what learns, a hook, a switch of the optimizer, a variable the step reads) is
watched, and the step is recorded again: see `watch`.
On a GPU the program is replayed as a CUDA graph: see `graph`.
"""

import threading
from collections.abc import Callable, Sequence
from types import CodeType
from typing import Any
from weakref import WeakValueDictionary

from .. import devices, dispatch, memory, precision, tape
from ..dispatch import Array
from ..tape import Node
from .constants import Constants, Kept, Weights, separate
from .graph import Graph, GraphError
from .lent import Loans
from .passes import optimise
from .program import Call, Program
from .record import FEW, PACKAGE, CaptureError, Recorder, compare
from .values import Ref, address, root
from .watch import Watched, WatchedLeaf, WatchedModule, WatchedOptimizer, outside

Key = tuple[Any, ...]
KEPT = 4  # programs for one kind of inputs, each with an arena
MOST_IN_A_ROW = 8  # recordings with no replay between them, after which capturing is pointless
LARGE = 64 << 20  # bytes that a recording made, from which on it pays to collect garbage and give memory back


class Replay:
    """One program of a step: for one set of shapes, one backend and one mode of its modules."""

    def __init__(
        self,
        program: Program,
        graph: Graph | None,
        inputs: Sequence[Node],
        result: Any,
        recorder: Recorder,
        outside: Sequence[Watched] = (),
    ):
        self.program, self.graph, self.inputs, self.result = program, graph, inputs, result
        assert program.arena is not None
        self.outputs = [r.array(program.arena) for r in program.outputs]
        self.loans = None if on_gpu(program) else Loans(program, inputs)
        self.gradients = [(leaf, leaf.result_class(r.array(program.arena))) for leaf, r in program.gradients]
        self.leaves = [WatchedLeaf(recorder.label(leaf), leaf, data) for leaf, data in recorder.leaves.items()]
        self.watched: list[Any] = [
            *self.leaves,
            *(WatchedModule(name, m) for m, name in recorder.modules.items()),
            *map(WatchedOptimizer, recorder.optimizers),
            *outside,
        ]
        self.constants = Constants(program.constants, Weights(recorder.leaves, inputs)) if program.constants else None
        written = {id(r.value.external) for c in program.calls for r in c.written() if r.value.external is not None}
        self.written = [leaf.version for leaf, data in recorder.leaves.items() if id(root(data)) in written]

    def valid(self) -> bool:
        """Return whether everything that decided the recording is as it was."""
        return not any(w.changed() for w in self.watched)

    def changes(self) -> str:
        """Return what is no longer as it was recorded, in words."""
        return "; ".join(w.describe() for w in self.watched if w.changed())

    def __call__(self, given: Sequence[Node]) -> Any:
        if self.constants is not None:
            self.constants.refresh()
        results = iter(self.run([t.array for t in given]))
        for leaf, gradient in self.gradients:
            leaf.gradient = gradient
        for version in self.written:
            version.value += 1
        return rebuild(self.result, lambda t: t.result_class(next(results)))

    def run(self, given: Sequence[Array]) -> list[Array]:
        """Compute, on these inputs; return the results, in memory that no later replay writes to."""
        static = [t.array for t in self.inputs]
        if self.loans is not None:
            made = self.loans.run(given, static)
            return [a.copy("K") if new is None else new for new, a in zip(made, self.outputs, strict=True)]
        for old, new in zip(static, given, strict=True):
            old[...] = new
        if self.graph is None:
            self.program.run()
        else:
            self.graph.launch()
        return [a.copy("K") for a in self.outputs]


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
        self.in_a_row = 0  # recordings, with no replay between them
        self.kept: Kept = WeakValueDictionary()  # what programs compute from weights alone, shared among them
        self.lock = threading.RLock()  # a program has one arena

    def __call__(self, *inputs: Any) -> Any:
        with self.lock:
            return self.call(inputs)

    def call(self, inputs: tuple[Any, ...]) -> Any:
        """Replay the program for such inputs, recorded first where there is none."""
        if self.refused or dispatch.observers or tape.observers:  # debugging, or inside another recording
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
        """Return the program for such inputs, recorded if there is none; CaptureError if there cannot be one."""
        key = key_of(inputs)
        known = self.replays.setdefault(key, [])
        for replay in known:
            if replay.valid():
                self.in_a_row = 0
                return replay
        if known and self.in_a_row >= MOST_IN_A_ROW:
            raise CaptureError(
                f"the step was recorded anew at each of its last {self.in_a_row} calls; since the last one "
                f"{known[0].changes()}. Pass what changes at every call as an input of the step, or do not capture it"
            )
        replay = self.record(inputs)
        self.in_a_row += 1
        self.replays[key] = [replay, *filter(same_arrays, known)][:KEPT]
        return replay

    def record(self, inputs: tuple[Any, ...]) -> Replay:
        """Record twice, compare, rewrite, plan."""
        static = rebuild(inputs, lambda t: t.result_class(t.array.copy("K")))
        names = {address(t.array): f"input{n}" for n, t in enumerate(tensors(static))}
        names |= {address(getattr(a, "array", a)): label for label, a in self.names.items()}
        grads: dict[Node, Any] = {}
        try:
            program, result, recorder = self.observe_twice(static, names, grads)
            recorder.refuse_kept(program)
            self.recorded = str(program)
            self.program = optimise(program, sole_table(program))
            separate(self.program, Weights(recorder.leaves, tensors(static)), self.kept)
            self.program.plan(sharing=on_gpu(self.program))
            self.prepare(self.program)
            graph = self.graph(recorder.undo)
        except BaseException:
            for leaf, grad in grads.items():
                leaf.grad = grad
            raise
        return Replay(self.program, graph, tensors(static), result, recorder, outside(self.step, is_ours))

    def observe_twice(
        self, static: tuple[Any, ...], names: dict[int, str], grads: dict[Node, Any]
    ) -> tuple[Program, Any, Recorder]:
        """Observe the step twice, and compare; CaptureError names what differs.

        Where the first run has moved tensors, as an optimizer does that takes parameters into its buffers, it is made
        once more, as all steps after it will be.
        """
        first, result, recorder = self.observe_dry(static, names, grads, 0.5)
        if any(leaf.array is not data for leaf, data in recorder.leaves.items()):
            first, result, recorder = self.observe_dry(static, names, grads, 0.25)
        del result, recorder  # with the arrays that they hold
        program, result, recorder = self.observe_dry(static, names, grads, -0.5)
        compare(first, program)
        return program, result, recorder

    def prepare(self, program: Program) -> None:
        """Let the backend compile what the program will call, if it can do so at one go."""
        ahead = getattr(dispatch.table().home, "prepare", None)
        if ahead:
            parts = [program, program.constants] if program.constants else [program]
            ahead((c.plan, args) for p in parts for c, (_, args) in zip(p.calls, p.steps, strict=True))

    def graph(self, undo: Callable[[], None]) -> Graph | None:
        """Return the program as a CUDA graph, if it is one for a GPU."""
        assert self.program is not None
        if not on_gpu(self.program):
            return None
        try:
            return Graph(self.program, undo)
        except GraphError as reason:
            if not self.fallback:
                raise
            self.ungraphed = str(reason)
            self.program.plan()  # in memory of its own: see `shared`
            return None

    def observe(
        self, static: tuple[Any, ...], names: dict[int, str], grads: dict[Node, Any]
    ) -> tuple[Program, Any, Recorder]:
        """Run the step once, write down what it does, and take it back."""
        recorder = Recorder(names, grads)
        try:
            with (
                tape.observers.watching(recorder),
                tape.host_read_listeners.watching(recorder.refuse),
                dispatch.observing(recorder),
            ):
                result = self.step(*static)
            program, result = recorder.finish(tensors(result)), rebuild(result, lambda t: t.result_class(t.array))
            return program, result, recorder
        finally:
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
        try:
            with dispatch.dry(lambda _, plan, native: fill(native[: len(plan.outs)], found)):
                program, result, recorder = self.observe(static, names, grads)
        except CaptureError:
            raise
        except Exception:
            return self.observe(static, names, grads)
        for call in program.calls:
            rebind(call, dispatch.table())
        return program, result, recorder

    def __repr__(self) -> str:
        made = sum(map(len, self.replays.values()))
        return f"captured({getattr(self.step, '__name__', self.step)}, {made} program{'s' if made != 1 else ''})"


def fill(arrays: Sequence[dispatch.Array], number: float) -> None:
    """Make a number of every element of small arrays of floats."""
    for a in arrays:
        if a.dtype.kind == "f" and a.nbytes <= FEW:
            a[...] = number


def rebind(call: Call, table: dispatch.Table) -> None:
    """Let a call that was planned dry be one of a table of the same backend."""
    if call.dispatcher.table.skipped is not None and call.dispatcher.table.name == table.name:
        call.dispatcher = getattr(table, call.dispatcher.name)
        call.plan = call.dispatcher.plan_for([a.phantom() if isinstance(a, Ref) else a for a in call.args])


def key_of(inputs: tuple[Any, ...]) -> Key:
    """Return what a program depends on beside modules.

    Shapes, dtypes, devices, backend, precision, and if there is a tape.
    """
    shapes = rebuild(inputs, signature)
    return shapes, dispatch.table().name, precision.in_use(), tape.thread.grad_enabled


def signature(t: Any) -> tuple[Any, ...]:
    """Shape, dtype and device of an input, which must be a tensor off the tape."""
    if t.requires_grad:
        raise ValueError(
            "capture: an input of a captured step requires a gradient; make it a tensor that the step "
            "refers to, or detach it"
        )
    return t.array.shape, t.array.dtype.char, devices.of(t.array)


def sole_table(program: Program) -> dispatch.Table:
    """Return the kernels that all calls of a program are of; CaptureError names the line that leaves their device."""
    if not program.calls:
        return dispatch.table()
    table: dispatch.Table = program.calls[0].dispatcher.table
    for call in program.calls:
        if call.dispatcher.table is not table:
            other = call.dispatcher.table
            raise CaptureError(
                f"{call.line}: {call.dispatcher.name} runs on {other.name!r} ({other.device}), the calls "
                f"before it on {table.name!r} ({table.device}); a replay has one device"
            )
    return table


def on_gpu(program: Program) -> bool:
    """Return whether the calls of a program, if it has any, are a GPU's."""
    return bool(program.calls) and program.calls[0].dispatcher.table.device != "cpu"


def same_arrays(replay: Replay) -> bool:
    """Return whether a replay may become valid again: its tensors hold the arrays that were recorded."""
    return all(leaf.same_array() for leaf in replay.leaves)


def is_ours(code: CodeType) -> bool:
    """Return whether code belongs to the package."""
    return code.co_filename.startswith(PACKAGE)


def rebuild(tree: Any, each: Callable[[Node], Any]) -> Any:
    """Return a tensor, or tuples, lists and dictionaries of them, with every tensor replaced."""
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
    """Return the tensors of a tree, in order."""
    found: list[Node] = []
    rebuild(tree, found.append)
    return found


def capture(step: Callable[..., Any], names: dict[str, Any] | None = None, fallback: bool = False) -> Captured:
    """Return a step (tensors -> tensors) that runs as a recorded program.

    Same results to rounding, without tape or Python.

    The first call with inputs of given shapes and dtypes, in a mode, on a backend, records; all calls replay.
    The tensors returned are the caller's own; `.grad` of the parameters shows the program's memory, which the next call
    writes.  An input is read where it lies, if it can be: see `lent`.
    names: {label: tensor} for the printed program.  fallback: run a step that cannot be captured as it is, with the
    reason in `.refused`, and on a GPU replay one that cannot be a CUDA graph call by call, with the reason in
    `.ungraphed`, instead of raising CaptureError.
    """
    return Captured(step, names, fallback)
