"""Operations on the bits of integers and bool: nothing to differentiate."""

from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import broadcast_bool, drawn_shape, extent, operands, together
from .cast import common_dtype
from .promotion import result_type

__all__ = ["bitwise_and", "bitwise_left_shift", "bitwise_not", "bitwise_or", "bitwise_right_shift", "bitwise_xor"]


@kernel(
    out=lambda a, b, operation: [(broadcast_bool(a, b)[0][0], getattr(a, "dtype", getattr(b, "dtype", None)))],
    flops=extent,
)
def bitwise_forward(xp: Any, a: Any, b: Any, operation: str) -> Array:
    """y = a operation b, bit by bit and broadcast; operation "and", "or", "xor", or a shift by b, "left" or "right".

    A shift by fewer than 0 bits or by all of them leaves 0, to the right of a negative number -1.
    """
    if operation in ("and", "or", "xor"):
        return getattr(xp, "bitwise_" + operation)(a, b)
    kind = a.dtype if hasattr(a, "dtype") else b.dtype
    bits = 8 * kind.itemsize
    off = xp.less(b, 0) | xp.greater_equal(b, bits)
    by = xp.where(off, 0, b).astype(kind)
    if operation == "left":
        return xp.where(off, 0, xp.left_shift(a, by)).astype(kind)
    return xp.right_shift(a, xp.where(off, bits - 1, by).astype(kind)).astype(kind)


class Bitwise(Op):
    """y = a and, or, xor b, bit by bit: integers and bool."""

    promotes = common_dtype
    backward = None

    def forward(self, a: Any, b: Any, operation: str) -> Array:
        return together(self.k.bitwise_forward, a, b, operation)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = drawn_shape(draw)
        a, b = draw.integers(shape, -5, 9), draw.integers(shape[draw.integer(0, len(shape)) :], 0, 9)
        if draw.boolean():
            a, b = np.asarray(a > 2), np.asarray(b > 2)
            return a, b, draw.choice(("and", "or", "xor"))
        return a, b, draw.choice(("and", "or", "xor", "left", "right"))

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any, operation: str) -> Any:
        return getattr(torch, f"bitwise_{operation}" + ("_shift" if operation in ("left", "right") else ""))(a, b)


@kernel(flops=lambda x: x.size)
def bitwise_not_forward(xp: Any, x: Array) -> Array:
    """y = ~x: every bit turned; a bool negated."""
    return xp.invert(x)


class BitwiseNot(Op):
    """y = not x, bit by bit: integers and bool."""

    oracle = "torch.bitwise_not"
    backward = None

    def forward(self, x: Array) -> Array:
        return self.k.bitwise_not_forward(x)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.integers(drawn_shape(draw), -5, 5)
        return (np.asarray(x > 0) if draw.boolean() else x,)


def whole(name: str, *inputs: Any) -> tuple[Any, ...]:
    """Return the operands, which must be integers or bool."""
    given = operands(name, *inputs)
    for a in given:
        if isinstance(a, float) or (hasattr(a, "array") and a.array.dtype.kind == "f"):
            raise TypeError(f"{name}: takes integers and bool, not floating point; use logical_{name.split('_')[-1]}")
    return given


def bitwise_and(input: Tensor, other: Operand) -> Tensor:
    """Compute input & other, bit by bit.

    Args:
        input, other: Integers or bool that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: An input is of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_and(tinymed.tensor([6]), 3).tolist()
        [2]
    """
    return Bitwise.apply(*whole("bitwise_and", input, other), "and")


def bitwise_or(input: Tensor, other: Operand) -> Tensor:
    """Compute input | other, bit by bit.

    Args:
        input, other: Integers or bool that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: An input is of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_or(tinymed.tensor([6]), 3).tolist()
        [7]
    """
    return Bitwise.apply(*whole("bitwise_or", input, other), "or")


def bitwise_xor(input: Tensor, other: Operand) -> Tensor:
    """Compute input ^ other, bit by bit.

    Args:
        input, other: Integers or bool that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: An input is of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_xor(tinymed.tensor([6]), 3).tolist()
        [5]
    """
    return Bitwise.apply(*whole("bitwise_xor", input, other), "xor")


def bitwise_left_shift(input: Tensor, other: Operand) -> Tensor:
    """Compute input << other; a shift by fewer than 0 bits or by all of them leaves 0.

    Args:
        input, other: Integers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: An input is of floating-point numbers, or all are bool.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_left_shift(tinymed.tensor([3]), 2).tolist()
        [12]
    """
    return Bitwise.apply(*numbers("bitwise_left_shift", input, other), "left")


def bitwise_right_shift(input: Tensor, other: Operand) -> Tensor:
    """Compute input >> other; the sign stays.

    Args:
        input, other: Integers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: An input is of floating-point numbers, or all are bool.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_right_shift(tinymed.tensor([-8]), 2).tolist()
        [-2]
    """
    return Bitwise.apply(*numbers("bitwise_right_shift", input, other), "right")


def numbers(name: str, *inputs: Any) -> tuple[Any, ...]:
    """Return the operands, which must be integers and not all bool."""
    given = whole(name, *inputs)
    if result_type(*given).kind == "b":
        raise TypeError(f"{name}: bool has no bits to shift; convert with .int()")
    return given


def bitwise_not(input: Tensor) -> Tensor:
    """Compute ~input: every bit turned, a bool negated.

    Args:
        input: Integers or bool, of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        TypeError: The input is of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.bitwise_not(tinymed.tensor([0, 5])).tolist()
        [-1, -6]
    """
    return BitwiseNot.apply(*whole("bitwise_not", input))
