"""Streams, events, graphs and pools of the stand-in for CuPy: the order of work, and what a capture forbids.

The device is late: what it is given waits in a queue until the host waits for it, so whatever the host writes or
frees meanwhile was written or freed too soon. It is then done in order, but no more of it than the host waits for: a
stream that is waited for has done what it was given and what it waited for itself, and nothing else. A stream knows
only what was given to it and what it waited for: touching memory that another stream wrote, without an event between,
raises Unordered. While a stream captures, work is written down and not done; Graph.launch does it. Waiting for the
device, calling cuBLAS, taking memory from another pool than the capture's own, and copying from the host then raise
CaptureBroken, and the graph is lost. Memory that nobody holds is overwritten, and a pinned block is handed out again,
as a pool does.
"""

import contextlib
import ctypes
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np


class CaptureBroken(RuntimeError):
    """What CUDA would refuse, or freeze, while a stream captures."""


class Unordered(AssertionError):
    """Work on one stream touches what another wrote, and nothing says which comes first."""


Seen = dict[int, int]  # by a stream's number: how much of what it was given is meant


class Device:
    """What has been given to the device and not been done."""

    def __init__(self) -> None:
        self.queue: list[tuple[int, int, Callable[[], Any]]] = []  # (stream, its count, work)
        self.given: Seen = {}
        self.known: Seen = {}  # what the host has waited for: whatever is given from now on comes after it

    def give(self, stream: "Stream", work: Callable[[], Any]) -> None:
        self.queue.append((stream.ptr, stream.count, work))
        self.given[stream.ptr] = stream.count

    def waits(self, seen: Seen) -> bool:
        """Whether any of this has not been done."""
        return any(count <= seen.get(ptr, -1) for ptr, count, _ in self.queue)

    def finish(self, seen: Seen) -> None:
        """Do this, in order, and nothing else: the host waits for it."""
        while self.waits(seen):
            i = next(i for i, (ptr, count, _) in enumerate(self.queue) if count <= seen.get(ptr, -1))
            self.queue.pop(i)[2]()
        for ptr, count in seen.items():
            self.known[ptr] = max(self.known.get(ptr, 0), count)


device = Device()


class Event:
    """What a stream had been given when it was recorded."""

    def __init__(self, block: bool = False, disable_timing: bool = False):
        self.seen: Seen = {}

    @property
    def done(self) -> bool:
        return not device.waits(self.seen)

    def synchronize(self) -> None:
        waiting("synchronize() of an event", self.seen)


class Block:
    """A block of pinned memory: the next who asks for its size gets it when it is given back, last in first out."""

    free: dict[int, list[bytearray]] = {}

    def __init__(self, size: int):
        self.size = -(-size // 512) * 512
        spare = Block.free.setdefault(self.size, [])
        self.bytes = spare.pop() if spare else bytearray(self.size)

    def __del__(self) -> None:
        type(self).free.setdefault(self.size, []).append(self.bytes)  # at the end of the process no name is left


def Pinned(size: int) -> Any:
    """Host memory that the device can reach."""
    block = Block(size)
    memory = (ctypes.c_char * block.size).from_buffer(block.bytes)
    memory.block = block
    return memory


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
        self.touched: list[Any] = []
        self.pool: Any = None

    def __enter__(self) -> "Stream":
        stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        stack.pop()

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.seen = dict(self.seen)
        return event

    def wait_event(self, event: Event) -> None:
        for ptr, count in event.seen.items():
            self.seen[ptr] = max(self.seen.get(ptr, 0), count)

    def synchronize(self) -> None:
        waiting("synchronize()", self.seen)

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


def waiting(what: str, seen: Seen | None = None) -> None:
    """The host waits for what the current stream has seen: never while a stream captures, elsewhere where it may."""
    if stack[-1].is_capturing():
        stack[-1].refuse(f"{what} while the stream captures")
    if not allowed:
        raise HostSync(f"{what} of an array on the device waits for the device")
    device.finish(stack[-1].seen if seen is None else seen)


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


def perform(work: Callable[[], Any], touched: Iterable[np.ndarray]) -> None:
    """Give work to the current stream, or write it down if that captures."""
    stream, touched, work = stack[-1], list(touched), silent(work)
    if stream.work is not None:
        stream.work.append(work)
        stream.touched.append(touched)
        return
    order(touched)
    device.give(stream, work)


def later(place: np.ndarray, host: np.ndarray) -> None:
    """A copy from pinned memory on the current stream: the device knows an address, and reads there when it comes."""
    if stack[-1].is_capturing():
        stack[-1].refuse("a copy from the host while the stream captures")
    order([place])
    whole = pinned_below(host).block.bytes
    offset = host.__array_interface__["data"][0] - ctypes.addressof(ctypes.c_char.from_buffer(whole))
    shape, dtype = host.shape, host.dtype
    device.give(stack[-1], lambda: place.__setitem__(..., np.ndarray(shape, dtype, whole, offset)))


def pinned_below(a: Any) -> Any:
    """What owns host memory, which must be pinned."""
    while getattr(a, "base", None) is not None or isinstance(a, memoryview):
        a = a.obj if isinstance(a, memoryview) else a.base
    assert hasattr(a, "block"), "set: host memory that is not pinned makes the copy wait"
    return a


def released(owner: np.ndarray, stream: Stream) -> None:
    """Overwrite memory that nobody holds any more: a pool gives it to what its stream is given next."""
    if owner.flags.writeable:
        device.give(
            stream,
            lambda: owner.fill(np.nan if owner.dtype.kind == "f" else 0x55 if owner.dtype.kind != "b" else True),
        )


def reset() -> None:
    """Forget what was given, written and captured."""
    for part in (device.queue, device.given, device.known):
        part.clear()
    written.clear()
    graphs.clear()
    Block.free.clear()


def order(touched: Iterable[np.ndarray]) -> None:
    """The current stream touches memory: it must know who wrote there last, and counts as having written."""
    stream = stack[-1]
    stream.count += 1
    stream.seen[stream.ptr] = stream.count
    for a in map(owner, touched):
        meet(a)
        written[id(a)] = a, stream.ptr, stream.count


def meet(a: Any) -> None:
    """The current stream meets memory, given by its owner: it must know who wrote there last."""
    stream = stack[-1]
    held, ptr, count = written.get(id(a), (a, stream.ptr, 0))
    if held is a and max(stream.seen.get(ptr, 0), device.known.get(ptr, 0)) < count:
        raise Unordered(
            f"stream {stream.ptr} touches an array {a.dtype}{list(a.shape)} that stream {ptr} wrote, "
            "without waiting for it"
        )


def made(
    results: list[np.ndarray], again: Callable[[], list[np.ndarray]], touched: list[np.ndarray], filled: bool = True
) -> None:
    """New arrays: their contents come when the device does the work, in a capture their memory from its own pool."""
    stream = stack[-1]
    if stream.work is not None and (stream.pool is None or pools[-1] is not stream.pool):
        stream.refuse("memory from another pool than the capture's own")
    for r in results:
        r.fill(np.nan if r.dtype.kind == "f" else 0)
    if not filled:  # memory alone is no work
        if stream.work is None:
            order([*touched, *results])
        return

    def work() -> None:
        for r, new in zip(results, again(), strict=True):
            r[...] = new

    perform(work, [*touched, *results])
