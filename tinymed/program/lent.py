"""Memory that a program works in and does not own: its inputs as they are given, its results as they will be kept.

A replay could copy what it is given into the arrays that the step was recorded with, and its results out of the arena.
For one large op that costs as much as the op.  So on the CPU calls read an input where it lies, and write a result into
new memory, which is the caller's afterwards.  Both are put in their places before the program runs and taken out after.

An input is copied all the same where the program writes to its memory or returns it, and where it lies in another order
than the one that was recorded.  A result is copied if it is no whole value of the program, or is returned twice.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from ..dispatch import Array
from ..tape import Node
from .program import Call, Program
from .values import Ref, Value, address, allocation, reach, root, start, window


class Place(NamedTuple):
    """An argument of a bound call: the list that it stands in, where there, and what it is.

    view: what the machine code takes of an array, None for the array itself.  usual: what stands there between replays.
    """

    arguments: list[Any]
    at: int
    ref: Ref
    view: Callable[[Array], Array] | None
    usual: Array


class Lent:
    """An input or a result, and where the calls read and write it."""

    def __init__(self, program: Program, value: Value, usual: Array):
        self.usual, self.place = usual, (usual.shape, usual.strides)
        self.base = 0 if value.external is None else address(usual) - start(value.external)
        self.places = [p for c, (_, a) in zip(program.calls, program.steps, strict=True) for p in places(c, a, value)]

    def fits(self, memory: Array) -> bool:
        """Return whether an array lies as the usual one does."""
        return (memory.shape, memory.strides) == self.place

    def put(self, memory: Array) -> None:
        """Let the calls work in an array of the usual one's shape, strides and dtype."""
        for arguments, at, ref, view, _ in self.places:
            a, first = memory, ref.offset - self.base
            if first or (ref.shape, ref.strides) != self.place or ref.dtype != memory.dtype:
                owner = root(memory)
                a = window(owner, address(memory) - start(owner) + first, ref.shape, ref.strides, ref.dtype)
            arguments[at] = a if view is None else view(a)

    def take_back(self) -> None:
        """Hold the memory no longer."""
        for arguments, at, _, _, usual in self.places:
            arguments[at] = usual


def places(call: Call, bound: Sequence[Any], value: Value) -> Iterator[Place]:
    """Yield the places of a bound call that lie in a value."""
    groups: list[tuple[list[Any], list[Any], Sequence[Any]]]
    if call.kernel.reference:
        _, _, args, outs = bound
        groups = [(args, call.args, [None] * len(args)), (outs, [*call.outs], [None] * len(outs))]
    else:
        groups = [(cast(list[Any], bound), [*call.outs, *call.work, *call.args], call.plan.views)]
    for arguments, given, views in groups:
        for i, (ref, view) in enumerate(zip(given, views, strict=True)):
            if isinstance(ref, Ref) and ref.value is value:
                yield Place(arguments, i, ref, view, arguments[i])


class Written:
    """The memory that a program writes, which it must not be lent."""

    def __init__(self, blocks: Sequence[Array]):
        self.allocations = {id(allocation(block)) for block in blocks}
        self.spans = [(first, first + nbytes) for first, nbytes in map(reach, blocks)]

    def holds(self, memory: Array) -> bool:
        """Return whether an array lies in it, in part: by who allocated it, and where that is not known by address."""
        owner = allocation(memory)
        if owner is not None:
            return id(owner) in self.allocations
        first, nbytes = reach(memory)
        return any(low < first + nbytes and first < high for low, high in self.spans)


class Result(NamedTuple):
    """A result in memory of its own, which is made anew at every replay."""

    lent: Lent
    ref: Ref
    make: Callable[[], Array]  # bytes

    def new(self) -> Array:
        """Return new memory for it, which the calls will write."""
        memory = np.ndarray(self.ref.shape, self.ref.dtype, self.make(), 0, self.ref.strides)
        self.lent.put(memory)
        return memory


class Loans:
    """The inputs and results of a planned program of the CPU; None for those that are copied."""

    def __init__(self, program: Program, given: Sequence[Node]):
        self.program = program
        written = {id(r.value.external): r.value for c in program.calls for r in c.written()}
        returned = {id(r.value.external) for r in program.outputs}
        read = {id(r.value.external): r.value for c in program.calls for r in c.reads()}
        own = [id(root(i.array)) for i in given]
        self.inputs = [
            None if key in written or key in returned or key not in read else Lent(program, read[key], i.array)
            for key, i in zip(own, given, strict=True)
        ]
        self.results = [result(program, r) for r in program.outputs]
        blocks = [] if program.arena is None else [program.arena.own]
        self.written = Written([*blocks, *(v.external for v in written.values() if v.external is not None)])

    def run(self, given: Sequence[Array], usual: Sequence[Array]) -> list[Array | None]:
        """Run the program on these inputs; return the results that are in memory of their own.

        Args:
            given: the inputs.
            usual: the arrays that they are copied to where they cannot be read as they lie.
        """
        lent = []
        try:
            for one, new, static in zip(self.inputs, given, usual, strict=True):
                if one is not None and self.program.looked_up and one.fits(new) and not self.written.holds(new):
                    lent.append(one)
                    one.put(new)
                else:
                    static[...] = new
            made = [None if r is None else r.new() for r in self.results]
            self.program.run()
        finally:
            for one in lent:
                one.take_back()
            for r in self.results:
                if r is not None:
                    r.lent.take_back()
        return made


def result(program: Program, ref: Ref) -> Result | None:
    """Return how a result is made in memory of its own; None if it is copied out of the program's."""
    kept = [r.value for r in [*program.outputs, *(r for _, r in program.gradients)]]
    makers = [c for c in program.calls if any(o.value is ref.value for o in c.outs)]
    if ref.value.external is not None or not makers or not ref.whole or kept.count(ref.value) > 1:
        return None
    make = makers[0].dispatcher.table.maker((ref.nbytes,), np.dtype(np.uint8))
    return Result(Lent(program, ref.value, ref.array(program.arena)), ref, make)
