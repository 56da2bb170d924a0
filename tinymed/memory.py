"""Memory of CPU arrays: one reserved heap, and the order in which an array's axes lie.

malloc unmaps every block above 32 MiB when it is freed, and the next one pays a page fault every 4 KiB
(about 15 ms for a 67 MB activation, on every step).  Here a freed block is reused while its pages are warm.
"""

import bisect
import contextlib
import gc
import math
import mmap
import threading
from collections import deque
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any

import numpy as np

Order = tuple[int, ...]  # axes from the slowest to the fastest in memory
SMALL = 16384  # bytes; below, malloc is as good
RESERVED, LEAST = 1 << 36, 1 << 26  # bytes of address space, not of memory: wanted, and at least
ALIGNMENT = 64  # a cache line, and an AVX-512 vector
RESERVABLE = hasattr(mmap, "MAP_ANONYMOUS")  # not on Windows, where arrays come from malloc


@lru_cache(maxsize=64)
def canonical_order(kind: str, ndim: int) -> Order:
    """Return the axes from slowest to fastest: an image (N, C, *space) lies N, *space, C; a filter *space, I, O."""
    if ndim >= 3 and kind in ("image", "rows"):
        return (0, *range(2, ndim), 1)
    if ndim >= 3 and kind == "filter":
        return (*range(2, ndim), 1, 0)
    return tuple(range(ndim))


@lru_cache(maxsize=256)
def inverse_order(order: Order) -> Order:
    """Return the permutation that undoes an order."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


def is_dense(a: np.ndarray, order: Order) -> bool:
    """Return whether the array fills its memory without gaps in this order of axes."""
    if order == tuple(range(len(order))):
        return a.flags.c_contiguous
    return a.transpose(order).flags.c_contiguous


def dense_order(a: np.ndarray) -> Order | None:
    """Return the order in which a dense array lies, or None if it has gaps or repeats."""
    if a.flags.c_contiguous:
        return tuple(range(a.ndim))
    order = tuple(sorted(range(a.ndim), key=lambda i: (-a.strides[i], a.shape[i])))
    return order if a.transpose(order).flags.c_contiguous else None


def as_matrices(x: Any, order: Order) -> Any:
    """Return x as a view [a, m, n] whose axes m and n change places when it is brought into an order, or None."""
    now = dense_order(x)
    sides = None if now is None else moved_sides(x.shape, now, order)
    return None if sides is None else x.transpose(now).reshape(sides)


@lru_cache(maxsize=4096)
def moved_sides(shape: tuple[int, ...], now: Order, order: Order) -> tuple[int, int, int] | None:
    """Return (a, m, n) if two runs of axes, m and n numbers long, change places between one order and another."""
    moving, wanted = ([a for a in axes if shape[a] > 1] for axes in (now, order))
    same = next((i for i, (a, b) in enumerate(zip(moving, wanted, strict=True)) if a != b), len(moving))
    cut = moving.index(wanted[same], same) if same < len(moving) else 0
    if wanted != [*moving[:same], *moving[cut:], *moving[same:cut]]:
        return None
    outside, first, second = (
        math.prod(shape[a] for a in axes) for axes in (moving[:same], moving[same:cut], moving[cut:])
    )
    return outside, first, second


def address_space() -> int | None:
    """Return the bytes of address space that this process may still take, or None without a limit (`ulimit -v`)."""
    try:
        import resource  # not on Windows

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    except (ImportError, AttributeError, OSError):
        return None
    if limit == resource.RLIM_INFINITY:
        return None
    with contextlib.suppress(OSError, ValueError), open("/proc/self/statm") as file:
        return max(0, limit - int(file.read().split()[0]) * mmap.PAGESIZE)
    return limit


def reserve(nbytes: int) -> mmap.mmap:
    """Return a range of addresses: as many bytes as asked for, or what a limit on the address space leaves room for.

    Under a limit that is at most half of what is left: the compiler and the threads' stacks need the rest.
    """
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | getattr(mmap, "MAP_NORESERVE", 0x4000)
    left = address_space()
    while left is not None and nbytes > max(LEAST, left // 2):
        nbytes //= 2
    while True:
        try:
            return mmap.mmap(-1, nbytes, flags=flags)
        except (OSError, ValueError) as error:
            if nbytes <= LEAST:
                raise MemoryError(f"not even {nbytes >> 20} MiB of address space could be reserved: {error}") from None
            nbytes //= 2


class Heap:
    """One reserved range of addresses: taken is what was freed last, if it fits exactly, else the lowest hole.

    Neighbouring holes merge.
    """

    def __init__(self, nbytes: int = RESERVED):
        self.map = reserve(nbytes)
        self.nbytes = nbytes = len(self.map)
        if hasattr(mmap, "MADV_HUGEPAGE"):  # fewer, larger pages: streams through memory gain 15 to 20 %
            with contextlib.suppress(OSError):  # a kernel built without them
                self.map.madvise(mmap.MADV_HUGEPAGE)
        self.base = np.frombuffer(self.map, np.uint8).ctypes.data
        self.holes, self.high = [(0, nbytes)], 0
        self.freed: deque[tuple[int, int]] = deque()  # the garbage collector may free a block inside take()
        self.lock = threading.Lock()

    def take(self, nbytes: int) -> int:
        """Return the start of a block of nbytes: the one freed last if it is as large, whose pages are in the cache."""
        with self.lock:
            if self.freed:
                last = self.freed.pop()
                if last[1] == nbytes:
                    return last[0]
                self.freed.append(last)
            while self.freed:
                self._give(*self.freed.popleft())
            for i, (start, end) in enumerate(self.holes):
                if end - start >= nbytes:
                    self.holes[i : i + 1] = [(start + nbytes, end)] if end - start > nbytes else []
                    self.high = max(self.high, start + nbytes)
                    return start
        limited = " because its address space is limited (ulimit -v, RLIMIT_AS)" if self.nbytes < RESERVED else ""
        raise MemoryError(
            f"no room for {nbytes / 2**20:.0f} MiB beside what is already held: this process keeps arrays in "
            f"{self.nbytes / 2**20:.0f} MiB of addresses{limited}; a smaller batch or image needs less"
        )

    def trim(self) -> None:
        """Give the pages of free memory back to the system: what was needed once is not held forever."""
        page = mmap.PAGESIZE
        with self.lock:
            while self.freed:
                self._give(*self.freed.popleft())
            for start, end in self.holes:
                first, last = -(-start // page) * page, min(end, self.high) // page * page
                if first < last and hasattr(mmap, "MADV_DONTNEED"):
                    self.map.madvise(mmap.MADV_DONTNEED, first, last - first)

    def _give(self, start: int, nbytes: int) -> None:
        end, i = start + nbytes, bisect.bisect(self.holes, (start,))
        if i < len(self.holes) and self.holes[i][0] == end:
            end = self.holes.pop(i)[1]
        if i and self.holes[i - 1][1] == start:
            start = self.holes.pop(i - 1)[0]
            i -= 1
        self.holes.insert(i, (start, end))


class Block:
    """Memory under an array; it returns to the heap when the last view of it dies."""

    __slots__ = ("__array_interface__", "nbytes", "start")

    def __init__(self, shape: tuple[int, ...], nbytes: int, typestr: str):
        own = _heap or heap()
        self.start, self.nbytes = own.take(nbytes), nbytes
        self.__array_interface__ = {
            "shape": shape,
            "typestr": typestr,
            "version": 3,
            "data": (own.base + self.start, False),
        }

    def __del__(self) -> None:
        if _heap is not None:
            _heap.freed.append((self.start, self.nbytes))


_heap: Heap | None = None


def heap() -> Heap:
    """Return the process's heap, reserved at first use."""
    global _heap
    if _heap is None:
        _heap = Heap()
    return _heap


def trim() -> None:
    """Give memory that is free, now that garbage is collected, back to the system."""
    gc.collect()
    if _heap is not None:
        _heap.trim()


@lru_cache(maxsize=4096)
def stored(shape: tuple[int, ...], dtype: Any, order: Order | None) -> tuple[tuple[int, ...], int, str, Order | None]:
    """Return how `empty` lays an array out: its shape in memory, its bytes, its type, and what turns its axes back."""
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    nbytes = nbytes if nbytes < SMALL else -(-nbytes // ALIGNMENT) * ALIGNMENT  # whole lines
    kind = np.dtype(dtype).str
    if order is None or order == tuple(range(len(order))):
        return shape, nbytes, kind, None
    return tuple(shape[i] for i in order), nbytes, kind, inverse_order(order)


def maker(shape: tuple[int, ...], dtype: Any) -> Callable[[], np.ndarray]:
    """Return what makes `empty(shape, dtype)` at each call; malloc's small arrays without further questions."""
    _, nbytes, kind, _ = stored(shape, dtype, None)
    return partial(np.empty, shape, np.dtype(dtype)) if is_small(nbytes) else partial(reserved, shape, nbytes, kind)


def is_small(nbytes: int) -> bool:
    """Return whether an array comes from malloc."""
    return nbytes < SMALL or not RESERVABLE


def reserved(shape: tuple[int, ...], nbytes: int, kind: str) -> np.ndarray:
    """Return an array in C order on the heap."""
    return np.asarray(Block(shape, nbytes, kind))


def empty(shape: tuple[int, ...], dtype: Any, order: Order | None = None) -> np.ndarray:
    """Return an uninitialised array whose axes lie in `order` (C by default), 64-byte aligned when large."""
    inside, nbytes, kind, back = stored(shape, dtype, order)
    a = np.empty(inside, dtype) if is_small(nbytes) else reserved(inside, nbytes, kind)
    return a if back is None else a.transpose(back)
