"""Memory that the CUDA graphs of a process share: for what a program makes and uses up between its launch and its end.

A network that trains has three programs: the step, the step of an epoch's last, smaller batch, and the forward pass of
the validation.  None of them needs what lies in its arena between two launches, but its results and gradients, so they
may use one block in turn.  Results and gradients stay in a block of the program's own: they are read after the launch,
gradients for as long as nobody trains.

A launch is a single call on a stream, and each waits for the one before it, so they follow each other whatever streams
and threads they are given by.  Programs that are replayed call by call share nothing: threads could mix their calls.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import numpy as np

from ..dispatch import Array


class SharedBlock:
    """A block of a GPU's memory that programs work in by turns."""

    def __init__(self, cupy: Any, nbytes: int):
        self.cupy, self.nbytes = cupy, nbytes
        self.memory: Array = cupy.empty((nbytes,), np.dtype(np.uint8))
        self.free = cupy.cuda.Event(disable_timing=True)  # when the last turn is over
        self.lock = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Let the current stream work here, after whoever did before; the host waits for nothing."""
        with self.lock:
            here = self.cupy.cuda.get_current_stream()
            here.wait_event(self.free)
            try:
                yield
            finally:
                here.record(self.free)


there: WeakSet[SharedBlock] = WeakSet()  # each lives as long as a program that uses it
guard = threading.Lock()


def shared_block(cupy: Any, nbytes: int) -> SharedBlock:
    """Return a block of at least this size: the smallest there is, or a new one.

    The addresses in a graph are fixed, so a block never grows; a program that needs more gets one of its own, which
    later ones may share.
    """
    with guard:
        large = [block for block in there if block.cupy is cupy and block.nbytes >= nbytes]
        found = min(large, key=lambda block: block.nbytes) if large else SharedBlock(cupy, nbytes)
        there.add(found)
    return found
