"""Streams, events, graphs and pools of the stand-in for CuPy: the order of work, and what a capture forbids.

Work is done at once, but a stream knows only what was done on it and what it waited for: touching memory that another
stream wrote, without an event between, raises Unordered.  While a stream captures, work is written down and not done;
Graph.launch does it.  Waiting for the device, taking memory from another pool than the capture's own, and copying from
the host then raise CaptureBroken, and the graph is lost.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np


class CaptureBroken(RuntimeError):
    """What CUDA would refuse, or freeze, while a stream captures."""


class Unordered(AssertionError):
    """Work on one stream touches what another wrote, and nothing says which comes first."""


class Event:
    """What a stream had done when it was recorded."""

    def __init__(self, block: bool = False, disable_timing: bool = False):
        self.seen: dict[int, int] = {}
        self.copies: list[Copy] = []

    @property
    def done(self) -> bool:
        return all(copy.done for copy in self.copies)


class Pinned(bytearray):
    """Host memory that the device can reach."""


class Copy:
    """A copy from the host, done when something waits for it: by then the host may have written there again."""

    def __init__(self, work: Callable[[], None]):
        self.work, self.done = work, False

    def finish(self) -> None:
        if not self.done:
            self.work()
        self.done = True


class Graph:
    """Work written down by a capture."""

    def __init__(self, work: list[Callable[[], None]], touched: list[Any]):
        self.work, self.touched, self.launches = work, touched, 0

    def launch(self, stream: "Stream | None" = None) -> None:
        with stream or contextlib.nullcontext():
            self.launches += 1
            for touched, work in zip(self.touched, self.work, strict=True):
                perform(work, touched)


class Stream:
    """A queue of work; `null` is the one in use unless another was entered."""

    null: "Stream"
    numbers = itertools.count()
    work: list[Callable[[], None]] | None = None  # written down by a capture

    def __init__(self, null: bool = False, non_blocking: bool = False):
        self.ptr = 0 if null else 4711 + next(Stream.numbers)
        self.count, self.seen, self.broken = 0, {self.ptr: 0}, ""
        self.copies: list[Copy] = []
        self.touched: list[Any] = []
        self.pool: Any = None

    def __enter__(self) -> "Stream":
        stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        stack.pop()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.seen, event.copies = dict(self.seen), list(self.copies)
        return event

    def wait_event(self, event: Event) -> None:
        for ptr, count in event.seen.items():
            self.seen[ptr] = max(self.seen.get(ptr, 0), count)
        for copy in event.copies:
            copy.finish()

    def synchronize(self) -> None:
        waiting("synchronize()")

    def begin_capture(self, mode: int | None = None) -> None:
        if self.ptr == 0:
            raise RuntimeError("cannot capture on the default (legacy) stream")
        assert self.work is None, "captures already"
        self.work, self.touched, self.broken, self.pool = [], [], "", pools[-1]

    def end_capture(self) -> Graph:
        assert self.work is not None, "captures nothing"
        work, self.work = self.work, None
        if self.broken:
            raise CaptureBroken(f"the capture was invalidated: {self.broken}")
        graph = Graph(work, self.touched)
        graphs.append(graph)
        return graph

    def is_capturing(self) -> bool:
        return self.work is not None

    def refuse(self, what: str) -> None:
        self.broken = what
        raise CaptureBroken(what)


class MemoryPool:
    """Where memory comes from; `malloc` stands for the pool in `using_allocator`."""

    def malloc(self, size: int) -> Any:
        raise NotImplementedError("arrays of the stand-in are NumPy's")


@contextlib.contextmanager
def using_allocator(allocator: Any = None) -> Iterator[None]:
    pools.append(getattr(allocator, "__self__", None))
    try:
        yield
    finally:
        pools.pop()


Stream.null = Stream(null=True)
stack = [Stream.null]
pools: list[Any] = [None]  # None: the default pool
graphs: list[Graph] = []  # all that were captured
written: dict[int, tuple[Any, int, int]] = {}  # by id of an owner: it, the stream that wrote last, and when
allowed = False  # to read values on the host


class HostSync(AssertionError):
    """The host waited for the device."""


@contextlib.contextmanager
def reading_allowed() -> Iterator[None]:
    """Values may be read inside."""
    global allowed
    before, allowed = allowed, True
    try:
        yield
    finally:
        allowed = before


def waiting(what: str) -> None:
    """The host waits: never while a stream captures, elsewhere where it may."""
    if stack[-1].is_capturing():
        stack[-1].refuse(f"{what} while the stream captures")
    if not allowed:
        raise HostSync(f"{what} of an array on the device waits for the device")


def owner(a: np.ndarray) -> Any:
    """The array that owns the memory."""
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def silent(work: Callable[[], Any]) -> Callable[[], Any]:
    """Work as a device does it: it warns of no number."""

    def run() -> Any:
        with np.errstate(all="ignore"):
            return work()

    return run


def perform(work: Callable[[], Any], touched: Iterable[np.ndarray]) -> Any:
    """Do work on the current stream, or write it down if that captures."""
    stream, touched, work = stack[-1], list(touched), silent(work)
    if stream.work is not None:
        stream.work.append(work)
        stream.touched.append(touched)
        return None
    order(touched)
    return work()


def later(work: Callable[[], None], touched: Iterable[np.ndarray]) -> None:
    """A copy from the host on the current stream: it is done when something waits for it."""
    if stack[-1].is_capturing():
        stack[-1].refuse("a copy from the host while the stream captures")
    order(touched)
    stack[-1].copies.append(Copy(work))


def reset() -> None:
    """Forget what was written and captured."""
    written.clear()
    graphs.clear()


def order(touched: Iterable[np.ndarray]) -> None:
    """The current stream touches memory: it must know who wrote there last, and counts as having written."""
    stream = stack[-1]
    stream.count += 1
    stream.seen[stream.ptr] = stream.count
    for a in map(owner, touched):
        held, ptr, count = written.get(id(a), (a, stream.ptr, 0))
        if held is a and stream.seen.get(ptr, 0) < count:
            raise Unordered(
                f"stream {stream.ptr} touches an array {a.dtype}{list(a.shape)} that stream {ptr} wrote, "
                "without waiting for it"
            )
        written[id(a)] = a, stream.ptr, stream.count


def made(
    results: list[np.ndarray], again: Callable[[], list[np.ndarray]], touched: list[np.ndarray], filled: bool = True
) -> None:
    """New arrays: while capturing their contents come with the launch, and their memory from the capture's pool."""
    stream = stack[-1]
    if stream.work is None:
        order([*touched, *results])
        return
    if stream.pool is None or pools[-1] is not stream.pool:
        stream.refuse("memory from another pool than the capture's own")
    for r in results:
        r.fill(np.nan if r.dtype.kind == "f" else 0)
    if not filled:  # memory alone is no work
        return

    def work() -> None:
        for r, new in zip(results, again(), strict=True):
            r[...] = new

    perform(work, [*touched, *results])
