"""What PyTorch's files may name: tensors, storages and numbers as inert records, and the few functions that make them.

A tensor in a pickle is a view of a storage: an offset, a shape and strides.  Whether the view lies inside its storage
is checked when the record is made; the storage's bytes are read later, and only of tensors that are wanted.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .pickle_machine import KEYS, Known, Refused, make_dict

MAX_AXES = 32
Decode = Callable[[np.ndarray], np.ndarray]


class Kind(NamedTuple):
    """A type of numbers: its name, how NumPy reads it, and how it becomes a type that NumPy has."""

    name: str
    stored: str  # NumPy's type string, without the order of bytes
    decode: Decode | None = None

    @property
    def bytes_each(self) -> int:
        """Return the bytes of one element."""
        return np.dtype(self.stored).itemsize * (2 if self.name == "complex32" else 1)


def from_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return bfloat16 as float32, exactly: it is the upper half of one."""
    return (bits.astype(np.uint32) << 16).view(np.float32)


def from_complex32(pairs: np.ndarray) -> np.ndarray:
    """Return pairs of float16, real and imaginary part, as complex64."""
    wide = pairs.astype(np.float32)
    return (wide[..., 0] + 1j * wide[..., 1]).astype(np.complex64)


def from_float8_e5m2(bits: np.ndarray) -> np.ndarray:
    """Return 8-bit floats with 2 bits of mantissa as float32: they are the upper half of a float16."""
    return (bits.astype(np.uint16) << 8).view(np.float16).astype(np.float32)


def from_float8_e4m3fn(bits: np.ndarray) -> np.ndarray:
    """Return 8-bit floats with 3 bits of mantissa as float32: no infinity, nan where all other bits are 1."""
    magnitude = (bits & 0x7F).astype(np.int32)
    exponent, fraction = magnitude >> 3, magnitude & 7
    value = np.where(exponent == 0, fraction / 512.0, np.ldexp(1 + fraction / 8.0, exponent - 7))
    value = np.where(magnitude == 0x7F, np.nan, value)
    return np.where(bits & 0x80, -value, value).astype(np.float32)


KINDS = {
    kind.name: kind
    for kind in (
        Kind("float64", "f8"),
        Kind("float32", "f4"),
        Kind("float16", "f2"),
        Kind("bfloat16", "u2", from_bfloat16),
        Kind("int64", "i8"),
        Kind("int32", "i4"),
        Kind("int16", "i2"),
        Kind("int8", "i1"),
        Kind("uint8", "u1"),
        Kind("uint16", "u2"),
        Kind("uint32", "u4"),
        Kind("uint64", "u8"),
        Kind("bool", "u1", lambda bits: bits != 0),
        Kind("complex32", "f2", from_complex32),
        Kind("complex64", "c8"),
        Kind("complex128", "c16"),
        Kind("float8_e5m2", "u1", from_float8_e5m2),
        Kind("float8_e4m3fn", "u1", from_float8_e4m3fn),
    )
}
STORAGES = {
    "Double": "float64",
    "Float": "float32",
    "Half": "float16",
    "BFloat16": "bfloat16",
    "Long": "int64",
    "Int": "int32",
    "Short": "int16",
    "Char": "int8",
    "Byte": "uint8",
    "Bool": "bool",
    "ComplexDouble": "complex128",
    "ComplexFloat": "complex64",
}


@dataclass(frozen=True)
class Storage:
    """A run of numbers in a file, by its key there."""

    key: str
    kind: Kind
    count: int  # elements

    @property
    def bytes(self) -> int:
        """Return the bytes that it takes in the file."""
        return self.count * self.kind.bytes_each


@dataclass(frozen=True)
class StoredTensor:
    """A view of a storage, as a pickle describes it: offset, shape and strides in elements of `kind`."""

    storage: Storage
    kind: Kind
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    conjugate: bool = False
    negative: bool = False

    @property
    def count(self) -> int:
        """Return the number of elements."""
        product = 1
        for side in self.shape:
            product *= side
        return product


def storage_of(identity: Any) -> Storage:
    """Return the storage of a persistent id: ("storage", type, key, device, elements, perhaps a view)."""
    if type(identity) is not tuple or len(identity) not in (5, 6) or identity[0] != "storage":
        raise Refused("refers to something outside that is not a storage")
    _, kind, key, _, count, *view = identity
    if not isinstance(kind, Known) or not isinstance(kind.value, Kind):
        raise Refused("refers to a storage of an unknown type of numbers")
    if type(key) is not str or type(count) is not int or count < 0:
        raise Refused("refers to a storage whose key or length is not one")
    if view and view[0] is not None:
        raise Refused("has a storage that is a part of another, as PyTorch before 0.4 wrote them; save it again")
    return Storage(key, kind.value, count)


def sides(values: Any, what: str) -> tuple[int, ...]:
    """Return whole numbers from 0 up; raise Refused for anything else."""
    if not isinstance(values, tuple | list) or any(type(v) is not int or v < 0 for v in values):
        raise Refused(f"has a tensor whose {what} is not a tuple of whole numbers from 0 up")
    if len(values) > MAX_AXES:
        raise Refused(f"has a tensor of {len(values)} axes; the limit is {MAX_AXES}")
    return tuple(values)


def view(storage: Any, kind: Kind | None, offset: Any, shape: Any, strides: Any, metadata: Any = None) -> StoredTensor:
    """Return a view of a storage, which lies inside it; kind: where it is not the storage's."""
    if not isinstance(storage, Storage):
        raise Refused("has a tensor without a storage")
    (start,) = sides((offset,), "offset")
    shape, strides = sides(shape, "shape"), sides(strides, "strides")
    if len(shape) != len(strides):
        raise Refused(f"has a tensor of {len(shape)} axes and {len(strides)} strides")
    chosen = kind or storage.kind
    room = storage.bytes // chosen.bytes_each
    last = start + sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True))
    if all(shape) and last >= room:
        raise Refused(f"has a tensor that reaches element {last} of storage {storage.key!r}, which has {room}")
    flags = {} if metadata is None else metadata
    if not isinstance(flags, dict) or set(flags) - {"conj", "neg"}:
        raise Refused("has a tensor with properties that are not known")
    return StoredTensor(storage, chosen, start, shape, strides, bool(flags.get("conj")), bool(flags.get("neg")))


def tensor(storage: Any, offset: Any, shape: Any, strides: Any, *rest: Any) -> StoredTensor:
    """Return what `torch._utils._rebuild_tensor_v2` describes; rest: requires_grad, hooks, perhaps properties."""
    if len(rest) > 3:
        raise Refused("has a tensor with more properties than are known")
    return view(storage, None, offset, shape, strides, rest[2] if len(rest) == 3 else None)


def typed_tensor(
    storage: Any, offset: Any, shape: Any, strides: Any, _: Any, __: Any, kind: Any, metadata: Any = None
) -> StoredTensor:
    """Return what `torch._utils._rebuild_tensor_v3` describes: a view of bytes as numbers of a type."""
    if not isinstance(kind, Known) or not isinstance(kind.value, Kind):
        raise Refused("has a tensor of an unknown type of numbers")
    return view(storage, kind.value, offset, shape, strides, metadata)


def parameter(data: Any, *_: Any) -> StoredTensor:
    """Return the tensor of a parameter."""
    if not isinstance(data, StoredTensor):
        raise Refused("has a parameter without a tensor")
    return data


def with_attributes(function: Any, _: Any, arguments: Any, __: Any) -> StoredTensor:
    """Return a tensor that somebody gave attributes to, without these."""
    if not isinstance(function, Known) or function.call not in (tensor, typed_tensor, parameter):
        raise Refused("has a tensor that is made in an unknown way")
    if type(arguments) is not tuple:
        raise Refused("has a tensor made of no arguments")
    made: StoredTensor = function.call(*arguments)
    return made


def ordered(pairs: Any = ()) -> dict[Any, Any]:
    """Return a dictionary of [key, value] pairs, or of another's items."""
    items = list(pairs.items()) if isinstance(pairs, dict) else pairs
    if not isinstance(items, list | tuple) or any(not isinstance(p, list | tuple) or len(p) != 2 for p in items):
        raise Refused("has a dictionary of what are no pairs")
    return make_dict([part for pair in items for part in pair])


def members(values: Any = ()) -> set[Any]:
    """Return a set of plain values."""
    if not isinstance(values, list | tuple) or not all(isinstance(value, KEYS) for value in values):
        raise Refused("has a set of what is not plain")
    return set(values)


def size(values: Any = ()) -> tuple[int, ...]:
    """Return a torch.Size as a tuple."""
    return sides(values, "shape")


def device(*where: Any) -> str:
    """Return the name of a device."""
    if not where or type(where[0]) is not str or any(type(part) is not int for part in where[1:]):
        raise Refused("names a device that is none")
    return ":".join(map(str, where))


def encoded(text: Any, encoding: Any) -> bytes:
    """Return bytes that an old protocol wrote as text, a character a byte."""
    if type(text) is not str or encoding != "latin1":
        raise Refused("has bytes in an unknown encoding")
    return text.encode("latin-1")


def no_bytes() -> bytes:
    """Return b"", which an old protocol writes as a call."""
    return b""


def complex_number(real: Any, imaginary: Any) -> complex:
    """Return a complex number of two floats."""
    if type(real) is not float or type(imaginary) is not float:
        raise Refused("has a complex number of what are no numbers")
    return complex(real, imaginary)


def vocabulary(entries: Sequence[tuple[str, Any, Callable[..., Any] | None]]) -> dict[str, Known]:
    """Return the names with what they stand for."""
    return {name: Known(name, value, call) for name, value, call in entries}


KNOWN = vocabulary(
    [
        *((f"torch.{name}Storage", KINDS[kind], None) for name, kind in STORAGES.items()),
        *((f"torch.{name}", kind, None) for name, kind in KINDS.items()),
        ("torch.storage.UntypedStorage", KINDS["uint8"], None),
        ("torch.UntypedStorage", KINDS["uint8"], None),
        ("torch._utils._rebuild_tensor", None, tensor),
        ("torch._utils._rebuild_tensor_v2", None, tensor),
        ("torch._utils._rebuild_tensor_v3", None, typed_tensor),
        ("torch._utils._rebuild_parameter", None, parameter),
        ("torch._utils._rebuild_parameter_with_state", None, parameter),
        ("torch._tensor._rebuild_from_type_v2", None, with_attributes),
        ("torch.Tensor", None, None),
        ("torch.nn.parameter.Parameter", None, None),
        ("torch.Size", None, size),
        ("torch.device", None, device),
        ("collections.OrderedDict", None, ordered),
        ("collections.Counter", None, ordered),
        *((f"{builtins}.set", None, members) for builtins in ("builtins", "__builtin__")),
        *((f"{builtins}.bytes", None, no_bytes) for builtins in ("builtins", "__builtin__")),
        *((f"{builtins}.complex", None, complex_number) for builtins in ("builtins", "__builtin__")),
        ("_codecs.encode", None, encoded),
    ]
)
