"""Rounding to integers: floor, ceil, trunc, round, and what is left (frac).  The gradient of all but frac is 0."""

from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer
from .broadcast import drawn_shape
from .elementwise import div, mul, sub
from .reduce import floats_only
from .shape import clone

ROUNDINGS = {"floor": "floor", "ceil": "ceil", "trunc": "trunc", "round": "rint"}  # PyTorch's names: NumPy's


@kernel(flops=lambda x, how: x.size)
def rounded_forward(xp: Any, x: Array, how: str) -> Array:
    """y = x rounded to an integer: "floor", "ceil", "trunc", or "round" (halves to the even one)."""
    return getattr(xp, ROUNDINGS[how])(x)


class Rounded(Op):
    """y = x rounded down, up, towards zero or to the nearest integer (halves to even);  dx = 0."""

    def forward(self, x: Array, how: str) -> Array:
        return self.k.rounded_forward(x, how)

    def backward(self, dy: Array) -> Any:
        return self.k.full(dy.shape, dy.dtype, 0), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        kinks = [n / 2 for n in range(-6, 7)]
        return draw.array(drawn_shape(draw), -3, 3, avoid=kinks), draw.choice(tuple(ROUNDINGS))

    @staticmethod
    def oracle(torch: Any, x: Any, how: str) -> Any:
        return getattr(torch, how)(x)


def rounded(input: Any, how: str) -> Any:
    """Round; integers are integers already, bool has no rounding."""
    kind = input.array.dtype.kind
    if kind == "b":
        raise TypeError(f"{how}: takes numbers, not bool; convert with .float()")
    return Rounded.apply(input, how) if kind == "f" else clone(input)


def floor(input: Tensor) -> Tensor:
    """Return the largest integer that is not above each element; the gradient is 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.floor(tinymed.tensor([-1.5, 2.5])).tolist()
        [-2.0, 2.0]
    """
    return rounded(input, "floor")


def ceil(input: Tensor) -> Tensor:
    """Return the smallest integer that is not below each element; the gradient is 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ceil(tinymed.tensor([-1.5, 2.5])).tolist()
        [-1.0, 3.0]
    """
    return rounded(input, "ceil")


def trunc(input: Tensor) -> Tensor:
    """Return each element without its fraction; the gradient is 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.trunc(tinymed.tensor([-1.5, 2.5])).tolist()
        [-1.0, 2.0]
    """
    return rounded(input, "trunc")


def round(input: Tensor, *, decimals: int = 0) -> Tensor:
    """Return the nearest integer, of halves the even one; the gradient is 0.

    Args:
        input: Tensor of any shape.
        decimals: Round to so many decimals instead; a negative number to tens, hundreds, ...

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        TypeError: decimals is not 0 and the input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.round(tinymed.tensor([0.5, 1.5, 2.25])).tolist()
        [0.0, 2.0, 2.0]
    """
    places = integer("round", "decimals", decimals)
    if places == 0:
        return rounded(input, "round")
    floats_only("round", input)
    scale = 10.0 ** abs(places)
    if places > 0:
        return div(rounded(mul(input, scale), "round"), scale)
    return mul(rounded(div(input, scale), "round"), scale)


def frac(input: Tensor) -> Tensor:
    """Return each element less its trunc; the gradient is 1.

    Args:
        input: Floating-point tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.frac(tinymed.tensor([-1.5, 2.25])).tolist()
        [-0.5, 0.25]
    """
    floats_only("frac", input)
    return sub(input, trunc(input))


fix = trunc

__all__ = ["ceil", "fix", "floor", "frac", "round", "trunc"]
