"""Functions of two inputs beside arithmetic: remainders, angles and lengths, mixtures, bounds that are tensors."""

import math
from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .broadcast import broadcast, extent, operands, pair, shape_of, to_shape, together
from .cast import Cast, common_dtype, common_float
from .elementwise import add, check_divisor, div, mul, number_beside, sub
from .maximum import minimum, two_arrays
from .promotion import result_type
from .unary import neg

# ------------------------------------------------------------------------------------------------------ remainders


@kernel(out=lambda a, b, sign: broadcast(a, b), flops=lambda a, b, sign: 3 * extent(a, b))
def modulo_forward(xp: Any, a: Any, b: Any, sign: str) -> Array:
    """y = a - b n, n an integer, so that |y| < |b|; y has the sign of the "divisor" or of the "dividend"."""
    return xp.remainder(a, b) if sign == "divisor" else xp.fmod(a, b)


@kernel(out=lambda dy, a, b, sign: [(dy.shape, dy.dtype)], flops=lambda dy, *_: 4 * dy.size)
def modulo_backward_divisor(xp: Any, dy: Array, a: Any, b: Any, sign: str) -> Array:
    """db = -dy floor(a / b), or trunc(a / b) where the remainder has the dividend's sign."""
    n = xp.floor_divide(a, b) if sign == "divisor" else xp.trunc(xp.true_divide(a, b))
    return (-dy * n).astype(dy.dtype)


class Modulo(Op):
    """y = a - b n for the integer n = floor(a / b) or trunc(a / b);  da = dy, db = -dy n."""

    promotes = common_dtype

    def forward(self, a: Any, b: Any, sign: str) -> Array:
        self.save(a if self.needs[1] else None, b if self.needs[1] else None, shape_of(a), shape_of(b), sign)
        return together(self.k.modulo_forward, a, b, sign)

    def backward(self, dy: Array) -> Any:
        a, b, shape_a, shape_b, sign = self.saved
        da = to_shape(self.k, dy, shape_a) if self.needs[0] else None
        if not self.needs[1]:
            return da, None, None
        return da, to_shape(self.k, together(self.k.modulo_backward_divisor, dy, a, b, sign), shape_b), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        q, b = pair(draw, -2, 2, avoid=(0.0,), margin=0.4)
        quotient = np.round(2 * np.asarray(q)) + 0.3  # away from whole ones, where the remainder jumps
        if hasattr(b, "shape") and draw.boolean():
            a, b = draw.number(0.5, 2), np.asarray(1 / (quotient + 0 * b))
        else:
            a = np.asarray(quotient * b)
        return a, b, draw.choice(("divisor", "dividend"))

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any, sign: str) -> Any:
        return (torch.remainder if sign == "divisor" else torch.fmod)(torch.as_tensor(a, dtype=torch.float64), b)


def remainder(input: Tensor, other: Operand) -> Tensor:
    """Compute input - other floor(input / other): Python's %, with the divisor's sign.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        ZeroDivisionError: Integers are divided by 0.

    Example:
        >>> import tinymed
        >>> tinymed.remainder(tinymed.tensor([-3, 5]), 4).tolist()
        [1, 1]
    """
    a, b = operands("remainder", input, other)
    check_divisor("remainder", a, b)
    return Modulo.apply(a, b, "divisor")


def fmod(input: Tensor, other: Operand) -> Tensor:
    """Compute input - other trunc(input / other): C's fmod, with the dividend's sign.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Raises:
        ZeroDivisionError: Integers are divided by 0.

    Example:
        >>> import tinymed
        >>> tinymed.fmod(tinymed.tensor([-3, 5]), 4).tolist()
        [-3, 1]
    """
    a, b = operands("fmod", input, other)
    check_divisor("fmod", a, b)
    return Modulo.apply(a, b, "dividend")


# ---------------------------------------------------------------------------------------------- angles and lengths


@kernel(out=broadcast, flops=lambda a, b: 20 * extent(a, b))
def atan2_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = the angle of the point (b, a), from -pi to pi."""
    return xp.arctan2(a, b)


@kernel(out=lambda dy, a, b: [(dy.shape, dy.dtype)] * 2, flops=lambda dy, a, b: 8 * dy.size)
def atan2_backward(xp: Any, dy: Array, a: Any, b: Any) -> tuple[Array, Array]:
    """da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2), 0 in the origin."""
    square = a * a + b * b
    share = xp.where(square == 0, 0, dy / xp.where(square == 0, 1, square))
    return share * b, -share * a


class Atan2(Op):
    """y = the angle of (b, a) from the b axis;  da = dy b / (a^2 + b^2), db = -dy a / (a^2 + b^2)."""

    oracle = "torch.atan2"
    promotes = common_float

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return together(self.k.atan2_forward, a, b)

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da, db = together(self.k.atan2_backward, dy, a, b)
        return to_shape(self.k, da, shape_of(a)), to_shape(self.k, db, shape_of(b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        a, b = two_arrays(draw)
        return a, np.asarray(np.where(np.abs(b) < 0.3, 0.3, b))


@kernel(out=broadcast, flops=lambda a, b: 8 * extent(a, b))
def hypot_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = sqrt(a^2 + b^2), without overflow."""
    return xp.hypot(a, b)


class Hypot(Op):
    """y = sqrt(a^2 + b^2);  da = dy a / y, db = dy b / y."""

    oracle = "torch.hypot"
    promotes = common_float

    def forward(self, a: Any, b: Any) -> Array:
        y = together(self.k.hypot_forward, a, b)
        self.save(a, b, y)
        return y

    def backward(self, dy: Array) -> Any:
        a, b, y = self.saved
        share = self.k.div(dy, y)
        da, db = (to_shape(self.k, together(self.k.mul, share, v), shape_of(v)) for v in (a, b))
        return da, db

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return Atan2.samples(draw)


def atan2(input: Tensor, other: Operand) -> Tensor:
    """Compute the angle of the point (other, input), from -pi to pi.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        Radians in the broadcast shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.atan2(tinymed.zeros(1), tinymed.ones(1)).tolist()
        [0.0]
    """
    return Atan2.apply(*operands("atan2", input, other))


def hypot(input: Tensor, other: Operand) -> Tensor:
    """Compute sqrt(input^2 + other^2), element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.hypot(tinymed.tensor([3.0]), tinymed.tensor([4.0])).tolist()
        [5.0]
    """
    return Hypot.apply(*operands("hypot", input, other))


# ------------------------------------------------------------------------------------------------- bounds as tensors


@kernel(out=broadcast, flops=lambda x, low, high: 2 * extent(x, low, high))
def clamp_between_forward(xp: Any, x: Array, low: Any, high: Any) -> Array:
    """y = min(max(x, low), high), broadcast; a NaN in any of them comes out."""
    return xp.minimum(xp.maximum(x, low), high)


@kernel(out=lambda dy, x, low, high, ends: [(dy.shape, dy.dtype)] * 3, flops=lambda dy, *_: 9 * dy.size)
def clamp_between_backward(
    xp: Any, dy: Array, x: Array, low: Array, high: Array, ends: str
) -> tuple[Array, Array, Array]:
    """dy to x where low <= x <= high, to low where x < low < high, to high where x > high or high < low.

    ends: "low" where only that bound binds.
    """
    zero = xp.zeros_like(dy)
    dx = xp.where((x >= low) & (x <= high), dy, zero)
    dlow = xp.where(((low < high) | (ends == "low")) & (x < low), dy, zero)
    return dx, dlow, xp.where((high < low) | (x > high), dy, zero)


class ClampBetween(Op):
    """y = min(max(x, low), high), all three arrays;  dy goes to the one that y is (at a bound: to x)."""

    oracle = "torch.clamp"
    promotes = common_dtype

    def forward(self, x: Array, low: Array, high: Array, ends: str = "both") -> Array:
        self.save(x, low, high, ends)
        return together(self.k.clamp_between_forward, x, low, high)

    def backward(self, dy: Array) -> Any:
        x, low, high, ends = self.saved
        given = together(self.k.clamp_between_backward, dy, x, low, high, ends)
        return *(to_shape(self.k, g, a.shape) for g, a in zip(given, self.saved[:3], strict=True)), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, low = two_arrays(draw)
        return x, low, np.asarray(draw.array(low.shape, 0.1, 2) - draw.choice((0.0, 1.0)) + 1e-4)


@kernel(out=broadcast, flops=extent)
def fmax_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = max(a, b), the other one where one is NaN."""
    return xp.fmax(a, b)


@kernel(out=lambda dy, a, b: [(dy.shape, dy.dtype)] * 2, flops=lambda dy, a, b: 4 * dy.size)
def fmax_backward(xp: Any, dy: Array, a: Any, b: Any) -> tuple[Array, Array]:
    """dy to a where a >= b or b is NaN, else to b."""
    first = xp.greater_equal(a, b) | xp.isnan(b)
    return xp.where(first, dy, 0), xp.where(first, 0, dy)


class FMax(Op):
    """y = max(a, b), of a number and NaN the number;  dy goes to a where a >= b, else to b."""

    oracle = "torch.fmax"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return together(self.k.fmax_forward, a, b)

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da, db = together(self.k.fmax_backward, dy, a, b)
        return to_shape(self.k, da, shape_of(a)), to_shape(self.k, db, shape_of(b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return two_arrays(draw)


def fmax(input: Tensor, other: Operand) -> Tensor:
    """Compute the larger of two inputs, of a number and NaN the number.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.fmax(tinymed.tensor([1.0, tinymed.nan]), tinymed.tensor([2.0, 3.0])).tolist()
        [2.0, 3.0]
    """
    return FMax.apply(*operands("fmax", input, other))


def fmin(input: Tensor, other: Operand) -> Tensor:
    """Compute the smaller of two inputs, of a number and NaN the number.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.fmin(tinymed.tensor([1.0, tinymed.nan]), tinymed.tensor([2.0, 3.0])).tolist()
        [1.0, 3.0]
    """
    a, b = operands("fmin", input, other)
    dtype = result_type(a, b)
    if dtype.kind != "f":
        return minimum(a, b)
    return neg(fmax(mul(a, -1.0), mul(b, -1.0)))


def clamp_tensors(input: Any, low: Any, high: Any) -> Any:
    """Clamp with at least one bound that is a tensor; a bound that is None does not bind."""
    given = [v for v in (input, low, high) if v is not None]
    dtype = result_type(*given)

    def full(v: Any) -> Any:
        if isinstance(v, Node):
            return v if v.array.dtype == dtype else Cast.apply(v, dtype)
        return number_beside(input, v, dtype)

    x, bounds = full(input), [None if v is None else full(v) for v in (low, high)]
    if bounds[0] is not None and bounds[1] is not None:
        return ClampBetween.apply(x, *bounds)
    end = np.iinfo(dtype) if dtype.kind in "iu" else None
    ends = "low" if bounds[1] is None else "high"
    if bounds[0] is None:
        bounds[0] = number_beside(input, -math.inf if end is None else int(end.min), dtype)
    else:
        bounds[1] = number_beside(input, math.inf if end is None else int(end.max), dtype)
    return ClampBetween.apply(x, *bounds, ends)


# ---------------------------------------------------------------------------------------------------- compositions


def lerp(input: Tensor, end: Operand, weight: Tensor) -> Tensor:
    """Interpolate linearly: input + weight (end - input).

    Args:
        input, end, weight: Tensors that broadcast; weight may be a number.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.lerp(tinymed.tensor([0.0]), tinymed.tensor([8.0]), 0.25).tolist()
        [2.0]
    """
    return add(input, mul(sub(end, input), weight))


def addcmul(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """Compute input + value tensor1 tensor2, element-wise.

    Args:
        input, tensor1, tensor2: Tensors that broadcast with each other.
        value: A factor of the product.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.addcmul(tinymed.ones(1), tinymed.ones(1), tinymed.ones(1), value=2).tolist()
        [3.0]
    """
    product = mul(tensor1, tensor2)
    return add(input, product if value == 1 else mul(product, value))


def addcdiv(input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: float = 1) -> Tensor:
    """Compute input + value tensor1 / tensor2, element-wise.

    Args:
        input, tensor1, tensor2: Floating-point tensors that broadcast with each other.
        value: A factor of the quotient.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.addcdiv(tinymed.ones(1), tinymed.ones(1), tinymed.full((1,), 4.0)).tolist()
        [1.25]
    """
    if result_type(tensor1, tensor2).kind != "f":
        raise TypeError("addcdiv: integers have no quotient among the integers; convert with .float()")
    quotient = div(tensor1, tensor2)
    return add(input, quotient if value == 1 else mul(quotient, value))


def rsub(input: Tensor, other: Operand, *, alpha: float = 1) -> Tensor:
    """Compute other - alpha input, element-wise.

    Args:
        input, other: Tensors or numbers that broadcast with each other.
        alpha: A factor of input.

    Returns:
        A tensor of the broadcast shape, in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.rsub(tinymed.tensor([1, 2]), 10).tolist()
        [9, 8]
    """
    return sub(other, input, alpha=alpha)


__all__ = [
    "addcdiv",
    "addcmul",
    "atan2",
    "clamp_tensors",
    "fmax",
    "fmin",
    "fmod",
    "hypot",
    "lerp",
    "remainder",
    "rsub",
]
