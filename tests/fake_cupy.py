"""A stand-in for CuPy: NumPy behind CuPy's interface and CuPy's refusals, so that what needs a GPU only for its memory
is tested without one.  An array is no numpy.ndarray, takes no NumPy array beside it, and reading a value on the host
raises HostSync unless `reading_allowed` says otherwise: on a GPU it would wait for all that was launched.
"""

import contextlib
import operator
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

NAMES = set((Path(__file__).parent / "cupy_names.txt").read_text().split())
allowed = False


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


def sync(what: str) -> None:
    if not allowed:
        raise HostSync(f"{what} of an array on the device waits for the device")


class Pointer:
    """a.data: the address, and the allocation that all views of it share."""

    def __init__(self, a: np.ndarray):
        self.ptr = a.__array_interface__["data"][0]
        while isinstance(a.base, np.ndarray):
            a = a.base
        self.mem = Memory(a)


class Memory:
    """An allocation: the same object whichever view asks."""

    known: dict[int, "Memory"] = {}

    def __new__(cls, owner: np.ndarray) -> "Memory":
        memory = cls.known.get(id(owner))
        if memory is None or memory.owner is not owner:
            memory = cls.known[id(owner)] = super().__new__(cls)
            memory.owner = owner
            memory.ptr, memory.size = owner.__array_interface__["data"][0], owner.nbytes
        return memory


class Flags:
    def __init__(self, flags: Any):
        self.c_contiguous, self.f_contiguous, self.owndata = flags.c_contiguous, flags.f_contiguous, flags.owndata


class ndarray:
    """An array on the fake device."""

    __array_priority__ = 100

    def __init__(self, a: Any):
        self._a = np.asarray(a)

    shape = property(lambda self: self._a.shape)
    strides = property(lambda self: self._a.strides)
    dtype = property(lambda self: self._a.dtype)
    ndim = property(lambda self: self._a.ndim)
    size = property(lambda self: self._a.size)
    itemsize = property(lambda self: self._a.itemsize)
    nbytes = property(lambda self: self._a.nbytes)
    flags = property(lambda self: Flags(self._a.flags))
    data = property(lambda self: Pointer(self._a))
    base = property(lambda self: None if self._a.base is None else ndarray(self._a.base))
    T = property(lambda self: ndarray(self._a.T))

    def get(self) -> np.ndarray:
        sync("get()")
        return self._a.copy("K")

    def item(self) -> Any:
        sync("item()")
        return self._a.item()

    def tolist(self) -> Any:
        sync("tolist()")
        return self._a.tolist()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __len__(self) -> int:
        return len(self._a)

    def __iter__(self) -> Iterator["ndarray"]:
        return (ndarray(self._a[i]) for i in range(len(self._a)))

    def __getitem__(self, index: Any) -> "ndarray":
        return ndarray(self._a[unwrap(index)])

    def __setitem__(self, index: Any, value: Any) -> None:
        if not isinstance(value, ndarray) and np.ndim(value):
            raise TypeError(f"a slice takes a CuPy array or a number, got {type(value)}")
        self._a[unwrap(index)] = unwrap(value)

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


def wrap(value: Any) -> Any:
    """Results are arrays, also those without axes."""
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(value)
    return tuple(map(wrap, value)) if isinstance(value, tuple) else value


def lifted(function: Any) -> Any:
    """The function of NumPy on the fake's arrays."""

    def call(*args: Any, **options: Any) -> Any:
        return wrap(function(*map(unwrap, args), **{k: unwrap(v) for k, v in options.items()}))

    return call


def reflected(name: str) -> Any:
    def method(self: ndarray, *args: Any, **options: Any) -> Any:
        return wrap(getattr(self._a, name)(*map(unwrap, args), **{k: unwrap(v) for k, v in options.items()}))

    return method


METHODS = """transpose reshape astype copy sum max min mean var ravel swapaxes squeeze fill argmax argmin any all prod
cumsum dot view clip nonzero repeat diagonal"""
for _name in METHODS.split():
    setattr(ndarray, _name, reflected(_name))


def operate(function: Any, swapped: bool) -> Any:
    def method(self: ndarray, other: Any) -> Any:
        other = unwrap(other)
        return wrap(function(other, self._a) if swapped else function(self._a, other))

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
    setattr(ndarray, f"__{_name}__", (lambda f: lambda self: wrap(f(self._a)))(getattr(operator, _name)))


def in_place(function: Any) -> Any:
    def method(self: ndarray, other: Any) -> ndarray:
        function(self._a, unwrap(other))
        return self

    return method


for _name in ("iadd", "isub", "imul", "itruediv"):
    setattr(ndarray, f"__{_name}__", in_place(getattr(operator, _name)))
for _name in ("bool", "int", "float", "index"):

    def _read(self: ndarray, name: str = _name) -> Any:
        sync(f"{name}()")
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
        return lifted(getattr(self._ufunc, name))


class Cuda:
    """cupy.cuda: one device, whose current stream has an address."""

    class Stream:
        ptr = 4711

        def synchronize(self) -> None:
            sync("synchronize()")

    runtime = types.SimpleNamespace(getDeviceCount=lambda: 1)

    def is_available(self) -> bool:
        return True

    def get_current_stream(self) -> "Cuda.Stream":
        return self.Stream()


class FakeCupy(Namespace):
    """The module: arrays go up by asarray and array, and come down by asnumpy and get."""

    def __init__(self) -> None:
        super().__init__(np)
        self.cuda, self.ndarray, self.__name__ = Cuda(), ndarray, "cupy"

    def asarray(self, a: Any, dtype: Any = None, **options: Any) -> ndarray:
        return a if isinstance(a, ndarray) and dtype in (None, a.dtype) else self.array(a, dtype)

    def array(self, a: Any, dtype: Any = None, **options: Any) -> ndarray:
        return ndarray(np.array(a._a if isinstance(a, ndarray) else a, dtype))

    def asnumpy(self, a: Any) -> np.ndarray:
        return a.get() if isinstance(a, ndarray) else np.asarray(a)

    def from_dlpack(self, source: Any) -> ndarray:
        return ndarray(source._a if isinstance(source, ndarray) else np.from_dlpack(source))
