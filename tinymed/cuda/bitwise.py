"""Operations on the bits of int64 and bool, on the GPU: csrc/compare.cu."""

from typing import Any

from ..dispatch import kernel
from .elementwise import first_shape

OPERATIONS = ("and", "or", "xor", "left", "right")


def one_kind(*arrays: Any) -> bool:
    """Return whether all are arrays of int64, or all of bool, of one shape."""
    first = arrays[0]
    if not all(hasattr(a, "strides") for a in arrays) or first.dtype.char not in "l?":
        return False
    return all(a.dtype == first.dtype and a.shape == first.shape for a in arrays)


def launcher(k: Any, a: Any) -> Any:
    """Return the launcher for an array's dtype."""
    return k.bitwise_bools if a.dtype.char == "?" else k.bitwise_longs


@kernel(backend="csrc", composite=True, when=lambda a, b, operation: one_kind(a, b))
def bitwise_forward(k: Any, a: Any, b: Any, operation: str) -> Any:
    """bitwise_bools or bitwise_longs, by the operation's number in OPERATIONS."""
    return launcher(k, a)(a, b, 0, OPERATIONS.index(operation))


@kernel(backend="csrc", composite=True, when=one_kind)
def bitwise_not_forward(k: Any, x: Any) -> Any:
    """Combine with a number of ones alone by the exclusive or."""
    return launcher(k, x)(x, None, 1 if x.dtype.char == "?" else -1, OPERATIONS.index("xor"))


def beside_none(a: Any, b: Any, *_: Any) -> bool:
    """Return whether they are of one kind; the second may be None."""
    return one_kind(a) if b is None else one_kind(a, b)


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, *_: a.size, when=beside_none)
def bitwise_bools(y: Any, a: Any, b: Any, number: Any, operation: Any) -> None:
    """y = a operation b, or the number where b is None; by its number in OPERATIONS."""


@kernel(backend="csrc", flat="y a b", out=first_shape, flops=lambda a, *_: a.size, when=beside_none)
def bitwise_longs(y: Any, a: Any, b: Any, number: Any, operation: Any) -> None:
    """y = a operation b; a shift by fewer than 0 bits or by all of them leaves the sign to the right, 0 to the left."""
