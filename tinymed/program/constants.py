"""What a program computes from weights alone: a program of its own, run once for each version of the weights.

In a forward pass of a network that only predicts, filters are packed and transformed, and running statistics become
maps, from parameters and buffers that no call of the program writes.  Such calls are taken out; their results lie in
memory of their own, which the calls left read like weights.

A tensor counts the writes to its memory.  Where memory may be written without being counted, by a NumPy array, another
library or a tensor of `.data`, nothing is taken for granted: the calls are made at every replay, as if they had stayed.

What is kept takes at most as many bytes as the weights of the program: what grows most, a filter transformed for
F(4x4) to four times its size, is computed at every replay where there is no room for it.
"""

from collections.abc import Mapping, Sequence
from math import inf
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from ..dispatch import Array
from ..memory import empty
from ..tape import Node, Version
from .program import Call, Program
from .values import Ref, Value, address, reach, root, start

Key = tuple[Any, ...]
Kept = WeakValueDictionary[Key, Any]  # memory by what it holds: the kernel and the weights that it comes from
SMALL = 1 << 16  # bytes, up to which a result is kept whatever it comes from


class Weights:
    """Where the tensors lie that no op made and that are no inputs of the step, and the versions of their memory."""

    def __init__(self, leaves: Mapping[Node, Array], inputs: Sequence[Node]):
        self.spans: dict[int, list[tuple[int, int, Version]]] = {}  # by the owner of the memory
        given = {id(root(i.array)) for i in inputs}
        for leaf, array in leaves.items():
            if id(root(array)) in given:
                continue
            first, size = reach(array)
            self.spans.setdefault(id(root(array)), []).append((first, first + size, leaf.version))

    def version(self, ref: Ref) -> Version | None:
        """Return the version of the tensor that a window lies in, if it lies in one."""
        owner = ref.value.external
        if owner is None:
            return None
        at = start(owner) + ref.offset
        return next((v for first, end, v in self.spans.get(id(owner), ()) if first <= at < end), None)


class Constants:
    """The program of constants of a replay, and the version of the weights that its results are of."""

    def __init__(self, program: Program, weights: Weights):
        self.program = program
        read = [weights.version(r) for call in program.calls for r in call.reads()]
        self.versions = list({id(v): v for v in read if v is not None}.values())
        self.seen: list[int] | None = None

    def refresh(self) -> None:
        """Compute the constants unless they are of the weights as they are now."""
        now, exposed = [v.value for v in self.versions], any(v.exposed for v in self.versions)
        if now == self.seen and not exposed:
            return
        if not self.program.steps:
            self.program.plan()
        self.program.run()
        self.seen = now
        if not exposed:  # what led to the results is not needed again before the weights change
            self.program.arena, self.program.steps = None, []


def separate(program: Program, weights: Weights, kept: Kept) -> None:
    """Take what a program computes from weights alone out of it, into `program.constants`.

    Args:
        program: not planned yet.  One that learns is left as it is.
        weights: what it reads from outside beside its inputs.
        kept: memory that programs of the same step hold their constants in.
    """
    if program.learns() or not program.calls or program.calls[0].dispatcher.table.device != "cpu":
        return
    constant = affordable(program, weights)
    if not constant:
        return
    hold(constant, read_by_others(program, constant), kept)
    program.constants = Program([c for c in program.calls if c in constant], [], [])
    program.calls = [c for c in program.calls if c not in constant]
    program.constants.plan()


def affordable(program: Program, weights: Weights) -> set[Call]:
    """Return the calls to take out, as many as there is room for: what grows most stays in the program."""
    barred: set[Call] = set()
    own = {(id(r.value), r.key): r.nbytes for c in program.calls for r in c.reads() if weights.version(r) is not None}
    while True:
        constant = constant_calls(program, weights, barred)
        read = read_by_others(program, constant)
        results = {o.value: c for c in constant for o in c.outs if o.value in read}
        if sum(v.nbytes for v in results) <= sum(own.values()) + SMALL:
            return constant
        barred.add(max(results.values(), key=lambda c: (growth(c), sum(o.nbytes for o in c.outs))))


def growth(call: Call) -> float:
    """Return bytes written for each byte read."""
    read = sum(r.nbytes for r in call.reads())
    return sum(o.nbytes for o in call.outs) / read if read else inf


def constant_calls(program: Program, weights: Weights, barred: set[Call]) -> set[Call]:
    """Return the calls that read weights, or results of such calls, and nothing else."""
    pinned = {r.value for r in program.outputs}
    constant: set[Call] = set()
    made: set[Value] = set()
    for c in program.calls:
        reads = c.reads()
        known = all(r.value in made or not r.size or weights.version(r) is not None for r in reads)
        pure = not c.kernel.rule.writes and not any(o.value in pinned or o.value.home is not o.value for o in c.outs)
        if reads and known and pure and c not in barred:
            constant.add(c)
            made |= {o.value for o in c.outs}
    return constant


def read_by_others(program: Program, constant: set[Call]) -> set[Value]:
    """Return the values that the calls which stay read."""
    return {r.value for c in program.calls if c not in constant for r in c.reads()}


def hold(constant: set[Call], results: set[Value], kept: Kept) -> None:
    """Give results memory of their own, which a program of the same step may have already."""
    makers = {o.value: (c, i) for c in constant for i, o in enumerate(c.outs)}
    keys: dict[Value, Key] = {}

    def key(value: Value) -> Key:
        """Return what a result holds: its kernel, numbers, and the weights that it comes from."""
        if value not in keys:
            call, place = makers[value]
            keys[value] = (call.kernel, place, *(of(a) for a in call.args))
        return keys[value]

    def of(a: Any) -> Key:
        if not isinstance(a, Ref):
            return type(a), a
        where = key(a.value) if a.value in makers else (id(a.value.external), address(a.array(None)))
        return where, a.key

    named = {value: key(value) for value in makers if value in results}  # before any of them is memory of others
    for value, name in named.items():
        memory = kept.get(name)
        if memory is None:
            memory = kept[name] = root(empty((max(value.nbytes, 1),), np.dtype(np.uint8)))
        value.external = memory
