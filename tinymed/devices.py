"""Where arrays live, "cpu" (NumPy) or "cuda" (CuPy): which table serves them, moving them, and exchange by DLPack.

An op runs on the kernels of the place its tensors are in: those of the backend in use if that works there, else those
of that device's default backend.  New tensors are made where the backend in use works, unless told otherwise.
"""

import functools
import itertools
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Self

import numpy as np

from . import dispatch
from .dispatch import BACKENDS, Array, BackendError, Table
from .dispatch.declare import DEFAULT, is_array
from .memory import Order, dense_order, inverse_order

NAMES = ("cpu", "cuda")
ON_CPU = (np.ndarray, np.generic)
CUDA = (2, 13)  # DLPack's numbers for a GPU's own and managed memory


class device(str):
    """A place where arrays live, under the name that PyTorch's code gives it: the string "cpu" or "cuda".

    Anything that takes a device takes this or the bare string.

    Args:
        type: "cpu" or "cuda", with or without ":0".
        index: None or 0: there is one of each.

    Raises:
        ValueError: There is no such device.

    Example:
        >>> import tinymed
        >>> place = tinymed.device("cuda:0")
        >>> place.type, place.index, str(place)
        ('cuda', 0, 'cuda:0')
        >>> tinymed.zeros(2, device=tinymed.device("cpu")).device.type
        'cpu'

    As `torch.device`, except that it is no context: tinymed.use_backend chooses where tensors are made.
    """

    type: str
    index: int | None  # type: ignore[assignment]  # a number, where a string has a search

    def __new__(cls, type: str, index: int | None = None) -> Self:
        if index not in (None, 0):
            raise ValueError(f"device: {type!r} number {index} is unknown; there is one of each, number 0")
        text = str(type) if index is None else f"{type}:{index}"
        place = super().__new__(cls, text)
        place.type, place.index = checked("device", text), 0 if ":" in text else None
        return place

    def __repr__(self) -> str:
        number = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{number})"

    def __getnewargs__(self) -> tuple[str]:
        return (str(self),)


def checked(name: str, device: str) -> str:
    """Return "cpu" or "cuda" for a device as PyTorch writes it; raise ValueError, naming the caller, otherwise."""
    kind, _, index = str(device).partition(":")
    if kind not in NAMES or index not in ("", "0"):
        raise ValueError(f"{name}: device {device!r} is unknown; choose cpu or cuda")
    return kind


def default() -> str:
    """Return where new tensors are made: where the backend in use keeps its arrays."""
    table = dispatch.tables.chosen.table or dispatch.tables.default
    if table is not None:
        return table.device
    return BACKENDS[dispatch.tables.known_default()].device


def of(a: Array) -> str:
    """Return the device of an array."""
    return "cpu" if isinstance(a, ON_CPU) else "cuda"


def table_on(device: str) -> Table:
    """Return the kernels for arrays of a device; BackendError says why there are none."""
    if default() == device:
        return dispatch.table()
    if device == "cpu":
        return dispatch.table(DEFAULT)
    try:
        return dispatch.table("cuda")
    except BackendError as reason:  # the kernels of csrc/ were not built, or CuPy is missing
        try:
            found = dispatch.table("cupy")
        except BackendError:
            raise BackendError(f"device 'cuda' is not available: {reason}") from None
        tell_of_fallback(str(reason))
        return found


@functools.cache
def tell_of_fallback(reason: str) -> None:
    """Warn, once in a process, that a GPU works without the kernels of csrc/."""
    warnings.warn(
        f"device 'cuda' is served by the backend 'cupy', without kernels of its own and much slower: {reason}",
        RuntimeWarning,
        stacklevel=4,
    )


def table_for(name: str, arrays: Sequence[Any]) -> Table:
    """Return the kernels for these arrays; raise RuntimeError, naming the op, if they are on several devices."""
    found = sorted({of(a) for a in arrays if is_array(a)})
    if len(found) > 1:
        raise RuntimeError(
            f"{name}: its tensors are on several devices, {' and '.join(found)}; bring them together "
            "with .to('cuda') or .to('cpu')"
        )
    return table_on(found[0]) if found else dispatch.table()


def numbers_moved(inputs: tuple[Any, ...], moved: Callable[[Any, str], Any]) -> tuple[Any, ...] | None:
    """Return an op's inputs with the CPU's tensors without axes moved to where the others are.

    As in PyTorch, one number may come from the CPU.  None if nothing is to be moved.
    """
    places = [of(i.array) if hasattr(i, "array") else "" for i in inputs]
    if not {"cpu", "cuda"} <= set(places):
        return None
    alone = [place == "cpu" and not i.array.ndim for i, place in zip(inputs, places, strict=True)]
    return tuple(moved(i, "cuda") if a else i for i, a in zip(inputs, alone, strict=True)) if any(alone) else None


def move(a: Array, device: str) -> Array:
    """Return the array on a device, its axes in the same order in memory; itself if it is there.

    Upload goes through pinned memory on the current stream, as CuPy's asarray does, and waits for nothing.
    """
    if of(a) == device:
        return a
    order: Order = dense_order(a) or tuple(range(a.ndim))
    laid = a.transpose(order)
    moved = table_on("cuda").xp.asarray(np.asarray(laid, order="C")) if device == "cuda" else laid.get()
    return moved.transpose(inverse_order(order))


def writeable(a: Array) -> bool:
    """Return whether an array may be written to; CuPy's always may."""
    return not isinstance(a, np.ndarray) or bool(a.flags.writeable)


def shares_memory(a: Array, b: Array) -> bool:
    """Return whether two arrays may lie in the same memory."""
    if type(a) is np.ndarray and type(b) is np.ndarray:  # nearly always
        return a is b or (not (a.base is None and b.base is None) and np.may_share_memory(a, b))
    place = of(a)
    if of(b) != place:
        return False
    if place == "cpu":
        return np.may_share_memory(a, b)
    return bool(a.data.mem is b.data.mem)  # one allocation of CuPy's pool


def from_dlpack(source: Any) -> Array:
    """Return an array on the memory of an object with DLPack's methods (PyTorch, CuPy, JAX), without a copy."""
    if not hasattr(source, "__dlpack__") or not hasattr(source, "__dlpack_device__"):
        raise TypeError(
            f"from_dlpack: takes an array with __dlpack__ and __dlpack_device__, got {type(source).__name__}"
        )
    kind, index = source.__dlpack_device__()
    if kind in CUDA:
        if index != 0:
            raise ValueError(f"from_dlpack: the array is on GPU {index}; only GPU 0 is used")
        return table_on("cuda").xp.from_dlpack(source)
    a = np.from_dlpack(source)
    if a.dtype.kind not in "buif":
        raise TypeError(f"from_dlpack: takes numbers, got elements of type {a.dtype}")
    return a


def from_sizes(*given: Any) -> tuple[Any, ...]:
    """Return what a Node is made of by PyTorch's oldest constructor.

    Tensor(2, 3), of sizes, or Tensor([1, 2]), of numbers.

    given: what Node.__init__ got; False and None are its defaults.
    """
    sizes = list(itertools.takewhile(lambda v: v is not False and v is not None, given))
    if not isinstance(given[0], int):
        if len(sizes) > 1:
            raise TypeError(f"Tensor: takes sizes, or one list of numbers; got {len(sizes)} arguments")
        numbers = np.array(given[0], np.float32)
    elif all(isinstance(v, int) and not isinstance(v, bool) and v >= 0 for v in sizes):
        numbers = np.zeros(sizes, np.float32)
    else:
        raise TypeError(f"Tensor: takes sizes, integers from 0, got {', '.join(map(repr, sizes))}")
    return move(numbers, default()), False, None, 0, None
