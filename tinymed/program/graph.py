"""A program as a CUDA graph: its calls are recorded once by the driver, then launched together, by one call.

The addresses that kernels touch are part of the graph: the arena's, of which graphs share a part in turn (see
`shared`), those of parameters and states, and those of the memory that references take for themselves, which comes
from a pool that only this graph uses (in a common one, what a reference keeps, such as a constant, might lie where
another graph writes).  So what changes between steps lies in arrays at fixed places: inputs are copied into the
arena, counters and rates are on the device.
"""

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from ..dispatch import Array
from ..dispatch.declare import is_array
from .program import Program, run_reference
from .record import CaptureError


class GraphError(CaptureError):
    """A program that cannot be a CUDA graph."""


class Constants:
    """The array module for references in a graph: what they bring from the host is brought there once, and kept.

    A copy from the host inside a graph would read, at every launch, memory that has long been used for something else.
    """

    def __init__(self, xp: Any):
        self.xp, self.kept, self.complete = xp, {}, False  # type: ignore[var-annotated]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.xp, name)

    def asarray(self, a: Any, dtype: Any = None, **options: Any) -> Array:
        """As the module's, of what was brought before if a is no array of the device."""
        if is_array(a) and not isinstance(a, np.ndarray):
            return self.xp.asarray(a, dtype, **options)
        host = np.asarray(a, dtype)
        key = host.dtype.str, host.shape, host.tobytes()
        if key not in self.kept:
            if self.complete:
                raise GraphError(f"it brings {host.dtype}{list(host.shape)} from the host that it did not bring before")
            self.kept[key] = self.xp.asarray(host)
        return self.kept[key].copy()

    def array(self, a: Any, dtype: Any = None, **options: Any) -> Array:
        """Return a copy of `asarray`."""
        found = self.asarray(a, dtype)
        return found.copy() if found is a else found


class Graph:
    """A planned program for a GPU, captured on a stream of its own, with a pool of its own.

    The program is run once as it is, so that everything is compiled and the pool has its memory, and undo() takes that
    run back.  GraphError, naming the user's line, if a call needs the host.
    """

    def __init__(self, program: Program, undo: Callable[[], None]):
        import cupy

        self.turn = program.shared.turn if program.shared is not None else contextlib.nullcontext
        self.pool = cupy.cuda.MemoryPool()
        self.stream = cupy.cuda.Stream(non_blocking=True)
        self.constants = Constants(cupy)
        here = cupy.cuda.get_current_stream()
        self.stream.wait_event(here.record())
        try:
            with cupy.cuda.using_allocator(self.pool.malloc), self.stream:
                try:
                    with self.turn():
                        self.run(program)
                finally:
                    undo()
                self.constants.complete = True
                self.graph = self.capture(program)
        finally:
            here.wait_event(self.stream.record())

    def run(self, program: Program) -> None:
        """Every call, on the current stream; a failure names the user's line."""
        for call, (fn, args) in zip(program.calls, program.steps, strict=True):
            try:
                if fn is run_reference:
                    reference, _, *rest = args
                    run_reference(reference, self.constants, *rest)
                else:
                    fn(*args)
            except Exception as error:
                instead = "; the backend `cuda` has products of its own" if "cuBLAS" in str(error) else ""
                raise GraphError(
                    f"{call.line}: {call.dispatcher.name} cannot be part of a CUDA graph: {error}{instead}"
                ) from error

    def capture(self, program: Program) -> Any:
        """CuPy's graph of the calls; none of them is carried out."""
        self.stream.begin_capture()
        try:
            self.run(program)
        except GraphError:
            with contextlib.suppress(Exception):  # the capture is lost; the stream must leave it all the same
                self.stream.end_capture()
            raise
        try:
            return self.stream.end_capture()
        except Exception as error:
            raise GraphError(f"the driver refused the CUDA graph: {error}") from error

    def launch(self) -> None:
        """All calls of the program, in order, on CuPy's current stream; waits for nothing."""
        with self.turn():
            self.graph.launch()
