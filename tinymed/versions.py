"""Writes in place: how often a memory was written, and tensors in two memories that show each other's writes."""

from typing import Any, NamedTuple
from weakref import ref


class Version:
    """Counts in-place writes to one memory; all views of it share the counter.

    Defaults live on the class because most tensors are never written in place.
    """

    value = 0  # writes so far
    recorded = 0  # those of them that the tape remembers
    held = 0  # ops of the tape that saved the memory
    viewed = False  # whether a second tensor, or a user's array, may show the memory
    exposed = False  # whether somebody may write to the memory without being counted
    links: tuple["Link", ...] = ()  # pairs of tensors in two memories that are kept equal


class Link(NamedTuple):
    """A tensor, and what `view` made of it where it had to copy."""

    source: ref[Any]
    copy: ref[Any]

    def alive(self) -> bool:
        """Return whether both are still in use, so that a write to one may be missed in the other."""
        return self.source() is not None and self.copy() is not None


def link(source: Any, copy: Any) -> None:
    """Have each write to one of two tensors, or to views of it, made to the other."""
    pair = Link(ref(source), ref(copy))
    for version in (source.version, copy.version):
        version.links = (*(other for other in version.links if other.alive()), pair)
