"""Whether a planned program reads only what it wrote: a second memory remembers which value each byte was written for.

    TINYMED_VERIFY=1        check every program when it is planned; the tests always do

A value's place in the arena follows from passes that move, share and fuse values, each of which could forget one.
Then a kernel reads numbers that belong to nobody, or to a value that lies there at another time, and the results are
wrong without a word.  The check replays the program on stamps instead of numbers: a call stamps the bytes of what it
writes, and every byte that it reads must bear the stamp of the value it is read as.
"""

import os
from typing import TYPE_CHECKING

import numpy as np

from .values import Ref, Value

if TYPE_CHECKING:
    from .program import Program

enabled = os.environ.get("TINYMED_VERIFY", "") not in ("", "0")


class ProgramError(AssertionError):
    """A program that would read memory nothing wrote: a fault of the package, never of its user."""


class Stamps:
    """For every byte of the arena the number of the value it was last written for; 0 for none."""

    def __init__(self, nbytes: int):
        self.bytes = np.zeros(max(nbytes, 1), np.int32)
        self.values: list[Value | None] = [None]
        self.numbers: dict[Value, int] = {}

    def window(self, ref: Ref) -> np.ndarray:
        """Return the stamps of a window's bytes: its shape, and an axis of the bytes of one element."""
        first = ref.value.place() + ref.offset
        reach = [(n - 1) * s for n, s in zip(ref.shape, ref.strides, strict=True)]
        low = first + sum(r for r in reach if r < 0)
        high = first + sum(r for r in reach if r > 0) + ref.dtype.itemsize
        if low < 0 or high > self.bytes.size:
            raise ProgramError(f"{ref} lies at bytes {low} to {high} of an arena of {self.bytes.size}")
        width = self.bytes.itemsize
        strides = [*(s * width for s in ref.strides), width]
        return np.lib.stride_tricks.as_strided(self.bytes[first:], (*ref.shape, ref.dtype.itemsize), strides)

    def write(self, ref: Ref) -> None:
        """Stamp a window's bytes with its value's number."""
        if ref.value not in self.numbers:
            self.numbers[ref.value] = len(self.values)
            self.values.append(ref.value)
        self.window(ref)[...] = self.numbers[ref.value]

    def foreign(self, ref: Ref) -> list[Value | None]:
        """Return what else than its value holds bytes of the window: other values, None for nothing."""
        stamps = self.window(ref)
        first = stamps.flat[0]
        numbers = [first] if (stamps == first).all() else np.unique(stamps)
        return [self.values[n] for n in numbers if not lies_in(self.values[n], ref.value)]


def lies_in(value: Value | None, other: Value) -> bool:
    """Return whether a value is another, or was placed inside it."""
    while value is not None and value is not other and value.home is not value:
        value = value.home
    return value is other


def check(program: "Program", nbytes: int) -> None:
    """Raise ProgramError, naming the call, if a planned program reads a byte of its arena that was not written for it.

    Args:
        program: planned, so that its values have places.
        nbytes: the size of its arena.
    """
    stamps = Stamps(nbytes)

    def read(ref: Ref, where: str) -> None:
        if ref.value.home.external is None and ref.size and (others := stamps.foreign(ref)):
            holder = f"holds {others[0].name}" if others[0] is not None else "was never written"
            raise ProgramError(f"{where} reads {ref} ({ref.dtype}{list(ref.shape)}), whose memory {holder}")

    for call in program.calls:
        for ref in call.reads():
            for part in call.windows.get(ref, [ref]):
                read(part, f"{call.line}: {call}")
        for ref in [*call.outs, *call.work, *call.written()]:
            if ref.value.home.external is None and ref.size:
                stamps.write(ref)
    for ref in program.outputs:
        read(ref, "the step's result")
    for _, ref in program.gradients:
        read(ref, "a gradient kept for its leaf")
