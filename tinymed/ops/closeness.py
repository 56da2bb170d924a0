"""Whether tensors are equal or nearly so, and numbers in place of NaN and infinities: compositions."""

from typing import Any

import numpy as np

from ..tape import Node, host_read
from .cast import Cast
from .compare import eq, isfinite, isinf, isnan, le, logical_and, logical_or
from .elementwise import add, mul, number_beside, sub, where
from .reduce import all
from .unary import abs


def isclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Whether |input - other| <= atol + rtol |other|; infinities are close to themselves, NaN if equal_nan."""
    if input.array.dtype != other.array.dtype:
        raise TypeError(f"isclose: the tensors are {input.array.dtype} and {other.array.dtype}; give one dtype")
    close = eq(input, other)
    if equal_nan and input.array.dtype.kind == "f":
        close = logical_or(close, logical_and(isnan(input), isnan(other)))
    if rtol == 0 and atol == 0:
        return close
    if rtol < 0 or atol < 0:
        raise ValueError(f"isclose: rtol and atol are at least 0, got {rtol} and {atol}")
    if input.array.dtype.kind != "f":
        input, other = (Cast.apply(t, np.dtype(np.float64)) for t in (input, other))
    apart = abs(sub(input, other))
    near = le(apart, add(abs(mul(other, rtol)), atol))
    return logical_or(close, logical_and(isfinite(apart), near))


def allclose(input: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as isclose says; a Python bool."""
    found = all(isclose(input, other, rtol, atol, equal_nan))
    host_read("allclose")
    return bool(found.array.item())


def equal(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape and equal elements; a Python bool."""
    if tuple(input.shape) != tuple(other.shape):
        return False
    found = all(eq(input, other))
    host_read("equal")
    return bool(found.array.item())


def isposinf(input: Any) -> Any:
    """Whether elements are infinite and positive."""
    return logical_and(isinf(input), input > 0)


def isneginf(input: Any) -> Any:
    """Whether elements are infinite and negative."""
    return logical_and(isinf(input), input < 0)


def nan_to_num(input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None) -> Any:
    """input with a number (0 by default) for NaN, and the dtype's largest and smallest for infinities.

    The gradient is 0 where a number was put.
    """
    dtype = input.array.dtype
    if dtype.kind != "f":
        return input
    limits = np.finfo(dtype)
    top = float(limits.max) if posinf is None else posinf
    bottom = float(limits.min) if neginf is None else neginf
    y = where(isnan(input), number_beside(input, nan or 0.0, dtype), input)
    y = where(isposinf(input), number_beside(input, top, dtype), y)
    return where(isneginf(input), number_beside(input, bottom, dtype), y)


def is_nonzero(input: Any) -> bool:
    """Whether the only element is not zero."""
    return bool(input)


def is_same_size(input: Any, other: Any) -> bool:
    """Whether two tensors have one shape."""
    return tuple(input.shape) == tuple(other.shape)


def assert_(condition: Any, message: str) -> None:
    """Raise AssertionError with a message unless a condition holds (torch._assert)."""
    if not bool(condition):
        raise AssertionError(message)


def is_tensor(obj: Any) -> bool:
    """Whether this is a tensor."""
    return isinstance(obj, Node)


__all__ = [
    "allclose",
    "equal",
    "is_nonzero",
    "is_same_size",
    "is_tensor",
    "isclose",
    "isneginf",
    "isposinf",
    "nan_to_num",
]
