"""What a recorded program computes on: values (pieces of memory) and refs (arrays seen as windows on a value)."""

import math
from typing import Any

import numpy as np

from ..dispatch import Array
from ..memory import Block


def root(a: Array) -> Any:
    """Return the object that owns an array's memory: two arrays share memory if they have one root."""
    if not isinstance(a, np.ndarray):  # CuPy: the allocation
        return a.data.mem
    while isinstance(a.base, np.ndarray):
        a = a.base
    return a


def holder(a: Array) -> Array:
    """Return the array that lives as long as memory is held through it or a view of it.

    On a GPU too: CuPy's views hold the array they were taken of, and its allocations take no weak references.
    """
    while getattr(a, "base", None) is not None and hasattr(a.base, "strides"):
        a = a.base
    return a


def allocation(a: np.ndarray) -> Any:
    """Return what allocated an array's memory, malloc's array or a block of the heap; None if that was neither."""
    owner = root(a)
    base = owner.base
    return owner if base is None else base if type(base) is Block else None


def start(owner: Any) -> int:
    """Return the address of an owner's first byte."""
    return int(owner.__array_interface__["data"][0] if isinstance(owner, np.ndarray) else owner.ptr)


def size(owner: Any) -> int:
    """Return bytes that an owner holds."""
    return int(owner.nbytes if isinstance(owner, np.ndarray) else owner.size)


def address(a: Array) -> int:
    """Of an array's first element."""
    return int(a.__array_interface__["data"][0] if isinstance(a, np.ndarray) else a.data.ptr)


def reach(a: Array) -> tuple[int, int]:
    """(address of the first byte, number of bytes) of the stretch of memory that an array's elements lie in."""
    if 0 in a.shape:
        return address(a), 0
    spans = [(n - 1) * s for n, s in zip(a.shape, a.strides, strict=True)]
    below = -sum(s for s in spans if s < 0)
    return address(a) - below, below + sum(s for s in spans if s > 0) + a.itemsize


class Bytes:
    """An owner's memory, in whatever layout, as bytes."""

    def __init__(self, owner: np.ndarray):
        self.owner = owner
        self.__array_interface__ = {
            "shape": (owner.nbytes,),
            "typestr": "|u1",
            "version": 3,
            "data": (start(owner), False),
        }


def window(owner: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> Array:
    """Return an array over part of an owner's memory."""
    if isinstance(owner, np.ndarray):
        whole = np.asarray(Bytes(owner)) if owner.nbytes else np.empty(0, np.uint8)
        return np.ndarray(shape, dtype, whole, offset, strides)
    import cupy

    return cupy.ndarray(shape, dtype, cupy.cuda.MemoryPointer(owner, offset), strides)


def raw(owner: Any) -> Array:
    """Return an owner's memory as an array of bytes."""
    return window(owner, 0, (size(owner),), (1,), np.dtype(np.uint8))


class Value:
    """Memory: external (a parameter, a state, an input) or made by the program, then placed in the arena.

    home, start: the value this one lies inside, itself as a rule, and from which byte.  names: what the user calls its
    parts, by byte.  pinned: read after the program has run, so its memory is not used again.
    """

    def __init__(self, nbytes: int, name: str, external: Any = None):
        self.nbytes, self.name, self.external = nbytes, name, external
        self.home, self.start, self.pinned = self, 0, False
        self.names: dict[int, str] = {}

    def place(self) -> int:
        """Return the first byte in the arena."""
        return self.start + (self.home.place() if self.home is not self else 0)


class Arena:
    """Where the values of a program lie: in a block of its own, and before it in one that programs share, if any.

    used: bytes of the shared block that the program works in; the places of its own block follow them.
    """

    def __init__(self, own: Array, shared: Array | None = None, used: int = 0):
        self.own, self.shared, self.used = own, shared, used

    @property
    def nbytes(self) -> int:
        return self.used + int(self.own.nbytes)

    def find(self, place: int) -> tuple[Array, int]:
        """Return the block that a place lies in, and the byte there."""
        return (self.shared, place) if place < self.used else (self.own, place - self.used)


class Ref:
    """An array seen as a window on a value; equal windows are equal."""

    __slots__ = ("dtype", "key", "offset", "shape", "strides", "value")

    def __init__(self, value: Value, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any):
        self.value, self.offset, self.shape, self.strides = value, offset, tuple(shape), tuple(strides)
        self.dtype = np.dtype(dtype)
        self.key = (offset, self.shape, self.strides, self.dtype.str)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * int(self.dtype.itemsize)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ref) and self.value is other.value and self.key == other.key

    def __hash__(self) -> int:
        return hash((id(self.value), self.key))

    def __str__(self) -> str:
        return self.value.names.get(self.offset, self.value.name)

    def of(self, value: Value) -> "Ref":
        """Return the same window on another value."""
        return Ref(value, self.offset, self.shape, self.strides, self.dtype)

    @property
    def whole(self) -> bool:
        """Whether the window is all of its value, without gaps."""
        return self.offset == 0 and self.nbytes == self.value.nbytes

    def array(self, arena: "Arena | None") -> Array:
        """Return the array itself, in external memory or in the arena."""
        if self.value.external is not None:
            return window(self.value.external, self.offset, self.shape, self.strides, self.dtype)
        assert arena is not None
        block, first = arena.find(self.value.place())
        owner = root(block)
        first += address(block) - start(owner) + self.offset
        return window(owner, first, self.shape, self.strides, self.dtype)

    def phantom(self) -> np.ndarray:
        """Return an array of this shape, strides and dtype that must not be read: what a launch decides by."""
        one = np.empty(1, self.dtype)
        return np.lib.stride_tricks.as_strided(one, self.shape, self.strides)


def fresh(shape: tuple[int, ...], dtype: Any, order: tuple[int, ...] | None, name: str) -> Ref:
    """Return a window on a new value of the program, dense in an order of axes."""
    order = order or tuple(range(len(shape)))
    strides, step = [0] * len(shape), np.dtype(dtype).itemsize
    for axis in reversed(order):
        strides[axis], step = step, step * max(shape[axis], 1)
    nbytes = math.prod(shape) * np.dtype(dtype).itemsize
    return Ref(Value(nbytes, name), 0, tuple(shape), tuple(strides), dtype)
