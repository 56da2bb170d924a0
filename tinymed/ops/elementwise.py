"""Element-wise arithmetic of two inputs, with broadcasting and PyTorch's promotion."""

from typing import Any

import numpy as np

from .. import devices, tape
from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .broadcast import broadcast, drawn_shape, extent, operands, pair, shape_of, to_shape, together
from .cast import Cast, all_float, common_dtype, common_float
from .promotion import result_type


class Add(Op):
    """y = a + b;  da = dy, db = dy."""

    oracle = "torch.add"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(shape_of(a), shape_of(b))
        return together(self.k.add, *array_first(a, b))

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da = to_shape(self.k, dy, a) if self.needs[0] else None
        return da, to_shape(self.k, dy, b) if self.needs[1] else None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return pair(draw)


class Sub(Op):
    """y = a - b;  da = dy, db = -dy."""

    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(shape_of(a), shape_of(b))
        return together(self.k.sub, a, b)

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da = to_shape(self.k, dy, a) if self.needs[0] else None
        return da, self.k.neg(to_shape(self.k, dy, b)) if self.needs[1] else None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return pair(draw)

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any) -> Any:
        return a - b


class Mul(Op):
    """y = a b;  da = dy b, db = dy a."""

    oracle = "torch.mul"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a if self.needs[1] else None, b if self.needs[0] else None, shape_of(a), shape_of(b))
        return together(self.k.mul, *array_first(a, b))

    def backward(self, dy: Array) -> Any:
        a, b, shape_a, shape_b = self.saved
        da = to_shape(self.k, together(self.k.mul, dy, b), shape_a) if self.needs[0] else None
        return da, to_shape(self.k, together(self.k.mul, dy, a), shape_b) if self.needs[1] else None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return pair(draw)


class Div(Op):
    """y = a / b;  da = dy / b, db = -dy y / b.  Integers give float32."""

    promotes = common_float

    def forward(self, a: Any, b: Any) -> Array:
        y = together(self.k.div, a, b)
        self.save(b, y if self.needs[1] else None, shape_of(a), shape_of(b))
        return y

    def backward(self, dy: Array) -> Any:
        b, y, shape_a, shape_b = self.saved
        da = to_shape(self.k, together(self.k.div, dy, b), shape_a) if self.needs[0] else None
        if not self.needs[1]:
            return da, None
        db = together(self.k.div, self.k.mul(dy, y), b)
        return da, self.k.neg(to_shape(self.k, db, shape_b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return pair(draw, avoid=(0.0,), margin=0.4)

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any) -> Any:
        return a / b


@kernel(out=lambda a, b, rounding: broadcast(a, b), flops=lambda a, b, rounding: 2 * extent(a, b))
def div_rounded_forward(xp: Any, a: Any, b: Any, rounding: str) -> Array:
    """y = floor(a / b), or trunc(a / b) for any other rounding; integers in integer arithmetic."""
    floor = xp.floor_divide(a, b)
    if rounding == "floor":
        return floor
    dtype = floor.dtype
    if dtype.kind == "f":
        return xp.trunc(xp.true_divide(a, b))
    inexact_negative = (floor * b != a) & ((xp.less(a, 0)) != (xp.less(b, 0)))
    return (floor + inexact_negative).astype(dtype)


class DivRounded(Op):
    """y = a / b rounded down ("floor") or towards zero ("trunc"); not differentiable.  Integers stay integers."""

    promotes = common_dtype
    backward = None

    def forward(self, a: Any, b: Any, rounding: str) -> Array:
        return together(self.k.div_rounded_forward, a, b, rounding)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        a, b = pair(draw, -9, 9, avoid=(0.0,), margin=0.4)
        return a, b, draw.choice(("floor", "trunc"))

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any, rounding: str) -> Any:
        return torch.div(a if torch.is_tensor(a) else torch.as_tensor(a, dtype=b.dtype), b, rounding_mode=rounding)


@kernel(out=broadcast, flops=lambda a, b: 20 * extent(a, b))
def pow_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = a^b, broadcast; an integer to a negative power is what is left of 1 / a^-b: 0, or of 1 and -1 a sign."""
    kind = (a if hasattr(a, "dtype") else b).dtype.kind
    if kind == "f" or kind == "b":
        return xp.power(a, b)
    a, b = xp.asarray(a), xp.asarray(b)
    y = xp.power(a, xp.maximum(b, 0))
    sign = xp.where(xp.equal(xp.remainder(b, 2), 0), 1, a)
    return xp.where(xp.less(b, 0), xp.where(xp.equal(xp.abs(a), 1), sign, 0), y).astype(y.dtype)


@kernel(out=lambda dy, a, b: [(dy.shape, dy.dtype)], flops=lambda dy, a, b: 22 * dy.size)
def pow_backward_base(xp: Any, dy: Array, a: Any, b: Any) -> Array:
    """da = dy b a^(b-1), 0 where b = 0; not yet summed to the shape of a."""
    safe = xp.where(xp.equal(b, 0), 1, b).astype(dy.dtype)  # x^0 has slope 0, also at x = 0
    return xp.where(xp.equal(b, 0), 0, dy * b * xp.power(a, safe - 1))


@kernel(out=lambda dy, y, a, b: [(dy.shape, dy.dtype)], flops=lambda dy, y, a, b: 22 * dy.size)
def pow_backward_exponent(xp: Any, dy: Array, y: Array, a: Any, b: Any) -> Array:
    """db = dy y ln a, 0 where a = 0 and b >= 0; not yet summed to the shape of b."""
    flat = xp.logical_and(xp.equal(a, 0), xp.greater_equal(b, 0))  # 0^b = 0 for b > 0
    return xp.where(flat, 0, dy * (y * xp.log(xp.where(flat, 1, a).astype(dy.dtype))))


class Pow(Op):
    """y = a^b;  da = dy b a^(b-1) (0 where b = 0), db = dy y log(a) (0 where a = 0 and b >= 0)."""

    oracle = "torch.pow"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        y = together(self.k.pow_forward, a, b)
        self.save(a, b, y if self.needs[1] else None)
        return y

    def backward(self, dy: Array) -> Any:
        a, b, y = self.saved
        da = to_shape(self.k, together(self.k.pow_backward_base, dy, a, b), shape_of(a)) if self.needs[0] else None
        if not self.needs[1]:
            return da, None
        return da, to_shape(self.k, together(self.k.pow_backward_exponent, dy, y, a, b), shape_of(b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        form = draw.integer(0, 2)
        if form == 0:
            return pair(draw, 0.3, 2.0)
        if form == 1:
            return draw.array(drawn_shape(draw), avoid=(0.0,), margin=0.3), draw.choice((2.0, 3.0, 0.0, 1.0, -1.0, 2))
        return draw.choice((2.0, 0.5)), draw.array(drawn_shape(draw))


@kernel(out=lambda condition, a, b: [(broadcast(condition, a, b)[0][0], broadcast(a, b)[0][1])], flops=extent)
def where_forward(xp: Any, condition: Array, a: Any, b: Any) -> Array:
    """y = a where the condition holds, else b, all three broadcast."""
    return xp.where(condition, a, b)


class Where(Op):
    """y = a where the condition holds, else b;  da = dy there, db = dy elsewhere."""

    oracle = "torch.where"

    def forward(self, condition: Array, a: Any, b: Any) -> Array:
        self.save(condition, shape_of(a), shape_of(b))
        return together(self.k.where_forward, condition, a, b)

    def backward(self, dy: Array) -> Any:
        condition, shape_a, shape_b = self.saved
        da = db = None
        if self.needs[1]:
            da = to_shape(self.k, together(self.k.where_forward, condition, dy, 0.0), shape_a)
        if self.needs[2]:
            db = to_shape(self.k, together(self.k.where_forward, condition, 0.0, dy), shape_b)
        return None, da, db

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        a, b = pair(draw)
        shape = (a if hasattr(a, "shape") else b).shape
        condition = draw.integers(shape if draw.boolean() else shape[1:], 0, 1).astype(bool)
        return condition, a, b


def array_first(a: Any, b: Any) -> tuple[Any, Any]:
    """Return the inputs of a commutative op: x + 2 and 2 + x are one compiled kernel."""
    return (a, b) if hasattr(a, "shape") else (b, a)


# ------------------------------------------------------------------------------------------------ public functions


def add(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """Compute input + alpha other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.
        alpha: A factor of other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.add(tinymed.tensor([1, 2]), 10).tolist()
        [11, 12]
    """
    return Add.apply(*operands("add", input, times(other, alpha)))


def sub(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """Compute input - alpha other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.
        alpha: A factor of other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: Both are bool.

    Example:
        >>> import tinymed
        >>> tinymed.sub(tinymed.tensor([1, 2]), 10).tolist()
        [-9, -8]
    """
    a, b = operands("sub", input, times(other, alpha))
    if not all_float((a, b)) and result_type(a, b).kind == "b":
        raise TypeError("sub: two bool inputs have no difference; use logical_xor, or ~ to invert a mask")
    return Sub.apply(a, b)


def mul(input: Tensor, other: Operand) -> Tensor:
    """Compute input times other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.mul(tinymed.tensor([1, 2]), 10).tolist()
        [10, 20]
    """
    return Mul.apply(*operands("mul", input, other))


def times(other: Any, alpha: float) -> Any:
    """Compute alpha other, a number where both are."""
    return other if alpha == 1 else other * alpha


def div(input: Tensor, other: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """Compute input / other, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.
        rounding_mode: None, "floor" (down) or "trunc" (towards 0), which has no gradient.

    Returns:
        A tensor of the broadcast shape; integers give float32, with rounding_mode they stay integers.

    Raises:
        ValueError: rounding_mode is unknown.
        ZeroDivisionError: Integers are divided by 0 with a rounding_mode.

    Example:
        >>> import tinymed
        >>> tinymed.div(tinymed.tensor([-3, 4]), 2).tolist()
        [-1.5, 2.0]
        >>> tinymed.div(tinymed.tensor([-3, 4]), 2, rounding_mode="trunc").tolist()
        [-1, 2]
    """
    if rounding_mode is None:
        return Div.apply(*operands("div", input, other))
    if rounding_mode not in ("floor", "trunc"):
        raise ValueError(f'div: rounding_mode is None, "floor" or "trunc", got {rounding_mode!r}')
    a, b = operands("div", input, other)
    check_divisor("div", a, b)
    return DivRounded.apply(a, b, rounding_mode)


def check_divisor(name: str, a: Any, b: Any) -> None:
    """Raise where integers are divided by 0; a recorded step's and a GPU's values are not read (the result is 0)."""
    if result_type(a, b).kind == "f" or (
        isinstance(b, Node) and (tape.host_read_listeners or devices.of(b.array) != "cpu")
    ):
        return
    if not np.all(b.array if isinstance(b, Node) else b):
        raise ZeroDivisionError(f"{name}: integers cannot be divided by 0; convert with .float() for inf and nan")


def floor_divide(input: Tensor, other: Operand) -> Tensor:
    """Compute input / other rounded down, element-wise, without a gradient.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        ZeroDivisionError: Integers are divided by 0.

    Example:
        >>> import tinymed
        >>> tinymed.floor_divide(tinymed.tensor([-3, 4]), 2).tolist()
        [-2, 2]
    """
    return div(input, other, rounding_mode="floor")


def pow(input: Tensor, exponent: Operand) -> Tensor:
    """Compute input to the power of exponent, element-wise.

    Args:
        input, exponent: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        ValueError: Integers are raised to a negative number.

    Example:
        >>> import tinymed
        >>> tinymed.pow(tinymed.tensor([1, 2, 3]), 2).tolist()
        [1, 4, 9]
    """
    a, b = operands("pow", input, exponent)
    if isinstance(b, int) and b < 0 and result_type(a).kind != "f":
        raise ValueError(f"pow: integers have no power of {b} among the integers; convert with .float() first")
    if isinstance(b, int | float) and b == 2 and result_type(a, b) == result_type(a) and result_type(a).kind != "b":
        return Mul.apply(a, a)
    if result_type(a, b).kind == "b":  # NumPy has no power of bool: x^False is True
        small = (Cast.apply(v, np.dtype(np.uint8)) if isinstance(v, Node) else int(v) for v in (a, b))
        return Cast.apply(Pow.apply(*small), np.dtype(bool))
    return Pow.apply(a, b)


def where(condition: Tensor, input: Tensor, other: Operand) -> Tensor:
    """Choose input where a condition holds, else other.

    Args:
        condition: Bool tensor.
        input, other: Tensors or numbers; all three broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        TypeError: condition is not a tensor of bool.

    Example:
        >>> import tinymed
        >>> tinymed.where(tinymed.tensor([True, False]), 1, 2).tolist()
        [1, 2]
    """
    condition, a, b = operands("where", condition, input, other)
    if not isinstance(condition, Node) or condition.array.dtype.kind != "b":
        raise TypeError("where: condition must be a tensor of bool; compare, for instance x > 0")
    dtype = result_type(a, b)
    a, b = (v if isinstance(v, Node) else number_beside(condition, v, dtype) for v in (a, b))
    a, b = (v if v.array.dtype == dtype else Cast.apply(v, dtype) for v in (a, b))
    return Where.apply(condition, a, b)


def number_beside(input: Any, value: Any, dtype: Any) -> Any:
    """Return a number as a tensor without axes, made by a kernel, so that a recorded step makes it anew."""
    return input.result_class(devices.table_on(devices.of(input.array)).full((), dtype, value))


subtract, multiply, divide, true_divide = sub, mul, div, div

__all__ = [
    "add",
    "div",
    "divide",
    "floor_divide",
    "mul",
    "multiply",
    "pow",
    "sub",
    "subtract",
    "true_divide",
    "where",
]
