"""A stand-in for CuPy: NumPy behind CuPy's interface and CuPy's refusals, so that what needs a GPU only for its memory
is tested without one.  An array is no numpy.ndarray, takes no NumPy array beside it, and reading a value on the host
raises HostSync unless `reading_allowed` says otherwise: on a GPU it would wait for all that was launched.  A view knows
the array it is a view of, and allocations take no weak references, as in CuPy.  Streams, graphs and pools are in
fake_streams.py.
"""

import operator
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fake_streams
import numpy as np
from fake_streams import HostSync, made, owner, perform, reading_allowed, released, stack, waiting

__all__ = ["FakeCupy", "HostSync", "Memory", "ndarray", "reading_allowed"]
IN_PLACE = {"at", "copyto", "put", "place", "putmask", "fill"}
BLAS = {"matmul", "dot", "inner", "vdot", "tensordot", "einsum", "outer"}  # by cuBLAS, which no capture takes
VALUES_DECIDE = {"nonzero", "flatnonzero", "argwhere", "unique", "extract"}  # their shapes: the host must know
NAMES = set((Path(__file__).parent / "cupy_names.txt").read_text().split())


class Pointer:
    """a.data: the address, and the allocation that all views of it share."""

    __slots__ = ("mem", "ptr")

    def __init__(self, a: "ndarray"):
        self.ptr, self.mem = a._a.__array_interface__["data"][0], a._mem


class Memory:
    """An allocation: the same object whichever view asks.  CuPy's takes no weak references.

    held, most: bytes that all have now, and the most they had.
    """

    __slots__ = ("owned", "owner", "ptr", "size", "stream")
    held = most = 0

    def __init__(self, owner: np.ndarray, owned: bool = True):
        self.owner, self.owned, self.stream = owner, owned, stack[-1]
        self.ptr, self.size = owner.__array_interface__["data"][0], owner.nbytes
        if owned:
            Memory.held += self.size
            Memory.most = max(Memory.most, Memory.held)

    def __del__(self, ending: Any = sys.is_finalizing) -> None:
        if self.owned and not ending():
            Memory.held -= self.size
            released(self.owner, self.stream)


class Flags:
    def __init__(self, flags: Any):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:
    """An array on the fake device."""

    __array_priority__ = 100

    def __init__(self, a: Any, dtype: Any = None, memptr: Any = None, strides: Any = None):
        self._a = np.asarray(a) if memptr is None else memptr.array(a, dtype, strides)
        self._mem = Memory(owner(self._a)) if memptr is None else memptr.mem
        self.base: ndarray | None = None

    @classmethod
    def of(cls, a: np.ndarray, among: "list[ndarray]" = [], owned: bool = True) -> "ndarray":  # noqa: B006  only read
        """An array of the device for one of NumPy: a view of one of those, or new."""
        made = cls.__new__(cls)
        made._a = a
        source = next((s for s in among if owner(s._a) is owner(a)), None)
        made.base = source if source is None or source.base is None else source.base
        made._mem = Memory(owner(a), owned) if source is None else source._mem
        return made

    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: Flags(self._a.flags))
    data = property(lambda self: Pointer(self))
    T = property(lambda self: self.transpose())

    def read(self, what: str) -> None:
        """The host waits for the current stream, which must know who wrote here."""
        waiting(what)
        fake_streams.meet(owner(self._a))

    def get(self) -> np.ndarray:
        self.read("get()")
        return self._a.copy("K")

    def __reduce__(self) -> Any:
        """A copy of it, as by copy.deepcopy, goes by way of the host."""
        return ndarray, (self.get(),)

    def item(self) -> Any:
        self.read("item()")
        return self._a.item()

    def tolist(self) -> Any:
        self.read("tolist()")
        return self._a.tolist()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator["ndarray"]:
        return (self[i] for i in range(len(self._a)))

    def __getitem__(self, index: Any) -> "ndarray":
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(i, ndarray) and i.dtype == bool for i in parts):
            waiting("choosing by truth values")
        if any(isinstance(i, list) for i in parts):
            uploading("indices in a list")
        if not any(i is ... for i in parts):
            parts = (*parts, ...)  # an element is a view without axes, not a number
        a, places = self._a, unwrap(parts)
        return done(lambda: a[places], [self, index])

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, ndarray) and np.ndim(value):
            raise TypeError(f"a slice takes a CuPy array or a number, got {type(value)}")
        a, place, new = self._a, unwrap(index), unwrap(value)
        perform(lambda: a.__setitem__(place, new), arrays([self, value]))

    def set(self, host: np.ndarray, stream: Any) -> None:
        """An asynchronous copy from pinned memory, done when something waits for the stream."""
        assert host.flags.c_contiguous, "set: host memory has gaps"
        assert (host.shape, host.dtype) == (self.shape, self.dtype), "set: another shape or dtype"
        with stream:
            fake_streams.later(self._a, host)

    def __dlpack__(self, **options: Any) -> Any:
        return self._a.__dlpack__()

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0


def unwrap(value: Any) -> Any:
    """What NumPy computes with; a NumPy array with axes is refused, as CuPy does."""
    if isinstance(value, ndarray):
        return value._a
    if isinstance(value, np.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    if isinstance(value, tuple | list):
        return type(value)(map(unwrap, value))
    return value


def found_in(values: Any) -> list[ndarray]:
    """The device's arrays among arguments."""
    if isinstance(values, ndarray):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    return [a for v in values for a in found_in(v)] if isinstance(values, tuple | list) else []


def arrays(values: Any) -> list[np.ndarray]:
    """Their memory."""
    return [a._a for a in found_in(values)]


def uploading(what: str) -> None:
    """A copy from the host: in a graph it would read, at every launch, memory that has long been used again."""
    if stack[-1].is_capturing():
        stack[-1].refuse(f"a copy from the host, {what}, while the stream captures")


def done(run: Any, args: Any, name: str = "") -> Any:
    """Do something, and wrap what it gives: results are arrays, also those without axes."""
    sources = found_in(args)
    found: list[np.ndarray] = []
    touched = [a._a for a in sources]
    run = fake_streams.silent(run)

    def rerun() -> list[np.ndarray]:
        values = run()
        return [np.asarray(v) for v in (values if type(values) in (tuple, list) else [values])]

    result = wrapped(run(), sources, found)
    owners = {id(owner(a)) for a in touched}
    new = [i for i, a in enumerate(found) if id(owner(a)) not in owners]

    if new:
        made(
            [found[i] for i in new],
            lambda: [values[i] for values in [rerun()] for i in new],
            touched,
            "empty" not in name,
        )
    return result


def wrapped(value: Any, sources: list[ndarray], found: list[np.ndarray]) -> Any:
    """What NumPy gave, its arrays as the device's; they are added to found."""
    if isinstance(value, np.ndarray | np.generic):
        found.append(np.asarray(value))
        return ndarray.of(found[-1], sources)
    return type(value)([wrapped(v, sources, found) for v in value]) if type(value) in (tuple, list) else value


def lifted(function: Any, name: str = "") -> Any:
    """The function of NumPy on the fake's arrays."""
    name = name or getattr(function, "__name__", "")

    def call(*args: Any, **options: Any) -> Any:
        plain, more = [*map(unwrap, args)], {k: unwrap(v) for k, v in options.items()}
        if name in VALUES_DECIDE:
            waiting(name)
        if name in BLAS and stack[-1].is_capturing():
            raise NotImplementedError("calling cuBLAS API during stream capture is currently unsupported")
        if name in IN_PLACE or options.get("out") is not None:
            perform(lambda: function(*plain, **more), arrays([args, options]))
            return options.get("out")
        return done(lambda: function(*plain, **more), [args, options], name)

    return call


def reflected(name: str) -> Any:
    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        return lifted(lambda a, *args, **options: getattr(a, name)(*args, **options), name)(self, *args, **options)

    return method


METHODS = """transpose reshape astype copy sum max min mean var ravel swapaxes squeeze fill argmax argmin any all prod
cumsum dot view clip nonzero repeat diagonal"""
for _name in METHODS.split():
    setattr(ndarray, _name, reflected(_name))


def operate(function: Any, swapped: bool) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        return lifted(function)(other, self) if swapped else lifted(function)(self, other)

    return method


for _name in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and_",
    "or_",
    "xor",
    "lshift",
    "rshift",
):
    _word = _name.strip("_")
    setattr(ndarray, f"__{_word}__", operate(getattr(operator, _name), False))
    setattr(ndarray, f"__r{_word}__", operate(getattr(operator, _name), True))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(ndarray, f"__{_name}__", operate(getattr(operator, _name), False))
for _name in ("neg", "abs", "invert"):
    setattr(ndarray, f"__{_name}__", (lambda f: lambda self: lifted(f)(self))(getattr(operator, _name)))


def in_place(function: Any) -> Any:
    def method(self: ndarray, other: Any) -> ndarray:
        a, new = self._a, unwrap(other)
        perform(lambda: function(a, new), arrays([self, other]))
        return self

    return method


for _name in ("iadd", "isub", "imul", "itruediv"):
    setattr(ndarray, f"__{_name}__", in_place(getattr(operator, _name)))
for _name in ("bool", "int", "float", "index"):

    def _read(self: ndarray, name: str = _name) -> Any:
        self.read(f"{name}()")
        return getattr(self._a, f"__{name}__")()

    setattr(ndarray, f"__{_name}__", _read)
ndarray.__hash__ = None  # type: ignore[assignment]


class Namespace:
    """NumPy's namespace with CuPy's names."""

    def __init__(self, module: Any, checked: bool = True):
        self._module, self._checked = module, checked

    def __getattr__(self, name: str) -> Any:
        if self._checked and name not in NAMES:
            raise AttributeError(f"cupy has no {name}")
        found = getattr(self._module, name)
        if isinstance(found, types.ModuleType):
            return Namespace(found, False)
        if isinstance(found, np.ufunc):
            return Ufunc(found)
        return found if isinstance(found, type) or not callable(found) else lifted(found)


class Ufunc:
    def __init__(self, ufunc: np.ufunc):
        self._ufunc = ufunc
        self.__call__ = lifted(ufunc)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return lifted(self._ufunc)(*args, **options)

    def __getattr__(self, name: str) -> Any:
        return lifted(getattr(self._ufunc, name), name)


class MemoryPointer:
    """A place in an allocation."""

    def __init__(self, mem: Memory, offset: int):
        self.mem, self.offset = mem, offset

    def array(self, shape: Any, dtype: Any, strides: Any) -> np.ndarray:
        """The window there."""
        whole = self.mem.owner
        order = sorted(range(whole.ndim), key=lambda i: (-whole.strides[i], whole.shape[i]))
        flat = whole.transpose(order).reshape(-1).view(np.uint8)
        assert owner(flat) is whole, "an allocation with gaps"
        return np.ndarray(shape, dtype, flat, self.offset, strides)


class Device:
    """The only GPU."""

    id, compute_capability = 0, "90"

    def synchronize(self) -> None:
        waiting("synchronize() of the device", dict(fake_streams.device.given))


CUDA = types.SimpleNamespace(
    Device=Device,
    Stream=fake_streams.Stream,
    Event=fake_streams.Event,
    MemoryPool=fake_streams.MemoryPool,
    Graph=fake_streams.Graph,
    MemoryPointer=MemoryPointer,
    using_allocator=fake_streams.using_allocator,
    is_available=lambda: True,
    alloc_pinned_memory=fake_streams.Pinned,
    get_current_stream=lambda: stack[-1],
    runtime=types.SimpleNamespace(
        getDeviceCount=lambda: 1,
        getDevice=lambda: 0,
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        memGetInfo=lambda: (1 << 30, 2 << 30),
        getDeviceProperties=lambda device: {"name": b"Fake GPU", "major": 9, "minor": 0},
        CUDARuntimeError=RuntimeError,
    ),
)


class FakeCupy(Namespace):
    """The module: arrays go up by asarray and array, and come down by asnumpy and get."""

    def __init__(self) -> None:
        super().__init__(np)
        self.cuda = types.SimpleNamespace(**vars(CUDA))  # its own, which a test may change
        self.cuda.runtime = types.SimpleNamespace(**vars(CUDA.runtime))
        self.ndarray, self.__name__, self.__version__ = ndarray, "cupy", "14.0 (a stand-in)"

    def asarray(self, a: Any, dtype: Any = None, **options: Any) -> ndarray:
        return a if isinstance(a, ndarray) and dtype in (None, a.dtype) else self.array(a, dtype)

    def array(self, a: Any, dtype: Any = None, **options: Any) -> ndarray:
        if not isinstance(a, ndarray):
            uploading(f"an array of {np.shape(a)}")
        plain = a._a if isinstance(a, ndarray) else np.array(a, dtype)  # as the host's is now
        result: ndarray = done(lambda: np.array(plain, dtype), [a])
        return result

    def asnumpy(self, a: Any) -> np.ndarray:
        return a.get() if isinstance(a, ndarray) else np.asarray(a)

    def from_dlpack(self, source: Any) -> ndarray:
        known = [source] if isinstance(source, ndarray) else []
        return ndarray.of(source._a if known else np.from_dlpack(source), known, owned=False)
