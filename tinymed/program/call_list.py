"""The calls of a program while it is rewritten: in their order, and by the values that they touch.

A rewrite asks who reads a value, who makes it and who changes it, and what lies between two calls.  A program of a
large network has thousands of calls and as many rewrites: looking through all of them each time took longer than
compiling its kernels.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from .program import Call
from .values import Ref, Value

Touching = dict[Value, list[Call]]


class CallList:
    """Calls in order.  places: numbers that rise along them; readers, makers, changers: calls by their values."""

    def __init__(self, calls: Sequence[Call]):
        self.calls: list[Call] = list(calls)
        self.places: dict[Call, float] = {}
        self.readers: Touching = {}
        self.makers: Touching = {}
        self.changers: Touching = {}
        self.number()
        for c in self.calls:
            self.touch(c)

    def number(self) -> None:
        """Let the places be 0, 1, 2, ..."""
        self.places = {c: float(i) for i, c in enumerate(self.calls)}

    def touch(self, c: Call) -> None:
        """Enter a call among those of its values."""
        for by_value, refs in ((self.readers, c.reads()), (self.makers, c.outs), (self.changers, c.written())):
            for value in values(refs):
                by_value.setdefault(value, []).append(c)

    def index(self, c: Call) -> int:
        """Return how many calls lie before one."""
        return bisect_left(self.calls, self.places[c], key=self.places.__getitem__)

    def gap(self, at: int) -> float:
        """Return a place before the call at an index and behind the one before it."""
        for _ in range(2):
            low = self.places[self.calls[at - 1]] if at else self.places[self.calls[0]] - 1
            high = self.places[self.calls[at]] if at < len(self.calls) else low + 1
            if low < (low + high) / 2 < high:
                break
            self.number()  # halved too often
        return (low + high) / 2

    def insert(self, at: int, c: Call) -> None:
        """Put a call before the one at an index."""
        self.places[c] = self.gap(at)
        self.calls.insert(at, c)
        self.touch(c)

    def remove(self, c: Call) -> None:
        """Take a call out."""
        del self.calls[self.index(c)]
        del self.places[c]
        for by_value, refs in ((self.readers, c.reads()), (self.makers, c.outs), (self.changers, c.written())):
            for value in values(refs):
                by_value[value].remove(c)


def values(refs: Iterable[Ref]) -> set[Value]:
    """Return the values that windows lie on."""
    return {r.value for r in refs}
