"""Comparisons of whole tensors, equal or nearly so, and numbers in place of NaN and infinities: compositions."""

from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..tape import Node, host_read
from .cast import Cast
from .compare import eq, isfinite, isinf, isnan, le, logical_and, logical_or
from .elementwise import add, mul, number_beside, sub, where
from .reduce import all
from .unary import abs


def isclose(input: Tensor, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Tensor:
    """Return whether |input - other| <= atol + rtol |other|, element-wise.

    Args:
        input, other: Tensors of one dtype that broadcast.
        rtol, atol: The relative and the absolute tolerance, at least 0.
        equal_nan: Let NaN be close to NaN.

    Returns:
        A bool tensor of the broadcast shape.

    Raises:
        TypeError: The dtypes differ.
        ValueError: A tolerance is negative.

    Example:
        >>> import tinymed
        >>> tinymed.isclose(tinymed.tensor([1.0, 2.0]), tinymed.tensor([1.0, 3.0])).tolist()
        [True, False]
    """
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


def allclose(input: Tensor, other: Operand, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Return whether all elements are close, as isclose says.

    Args:
        input, other: Tensors of one dtype that broadcast.
        rtol, atol: The relative and the absolute tolerance, at least 0.
        equal_nan: Let NaN be close to NaN.

    Returns:
        A Python bool.

    Raises:
        TypeError: The dtypes differ.

    Example:
        >>> import tinymed
        >>> tinymed.allclose(tinymed.ones(2), tinymed.ones(2))
        True
    """
    found = all(isclose(input, other, rtol, atol, equal_nan))
    host_read("allclose")
    return bool(found.array.item())


def equal(input: Tensor, other: Operand) -> bool:
    """Return whether two tensors have one shape and equal elements.

    Args:
        input, other: Tensors.

    Returns:
        A Python bool.

    Example:
        >>> import tinymed
        >>> tinymed.equal(tinymed.tensor([1, 2]), tinymed.tensor([1, 3]))
        False
    """
    if tuple(input.shape) != tuple(other.shape):
        return False
    found = all(eq(input, other))
    host_read("equal")
    return bool(found.array.item())


def isposinf(input: Tensor) -> Tensor:
    """Return whether elements are infinite and positive.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.isposinf(tinymed.tensor([tinymed.inf, -tinymed.inf])).tolist()
        [True, False]
    """
    return logical_and(isinf(input), input > 0)


def isneginf(input: Tensor) -> Tensor:
    """Return whether elements are infinite and negative.

    Args:
        input: Tensor of any shape.

    Returns:
        A bool tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.isneginf(tinymed.tensor([tinymed.inf, -tinymed.inf])).tolist()
        [False, True]
    """
    return logical_and(isinf(input), input < 0)


def nan_to_num(
    input: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """Replace NaN and infinities by numbers; the gradient is 0 there.

    Args:
        input: Tensor of any shape.
        nan: The number for NaN; 0 if None.
        posinf, neginf: The numbers for infinities; the dtype's largest and smallest if None.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.nan_to_num(tinymed.tensor([tinymed.nan, tinymed.inf]), posinf=9.0).tolist()
        [0.0, 9.0]
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


def is_nonzero(input: Tensor) -> bool:
    """Return whether the only element is not zero.

    Args:
        input: Tensor of one element.

    Returns:
        A Python bool.

    Example:
        >>> import tinymed
        >>> tinymed.is_nonzero(tinymed.tensor([2]))
        True
    """
    return bool(input)


def is_same_size(input: Tensor, other: Operand) -> bool:
    """Return whether two tensors have one shape.

    Args:
        input, other: Tensors.

    Returns:
        A Python bool.

    Example:
        >>> import tinymed
        >>> tinymed.is_same_size(tinymed.zeros(2), tinymed.zeros(3))
        False
    """
    return tuple(input.shape) == tuple(other.shape)


def assert_(condition: Any, message: str) -> None:
    """Raise AssertionError unless a condition holds; tinymed._assert, as `torch._assert`.

    Args:
        condition: A bool, or a tensor of one element.
        message: What the error says.

    Raises:
        AssertionError: The condition does not hold.

    Example:
        >>> import tinymed
        >>> tinymed._assert(True, "never said")
    """
    if not bool(condition):
        raise AssertionError(message)


def is_tensor(obj: Any) -> bool:
    """Return whether an object is a tensor.

    Args:
        obj: Anything.

    Returns:
        A Python bool.

    Example:
        >>> import tinymed
        >>> tinymed.is_tensor([1, 2])
        False
    """
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
