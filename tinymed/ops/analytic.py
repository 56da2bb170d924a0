"""Trigonometric, hyperbolic, logarithmic functions of one input that have no op of their own: one table of them; logit.

Each row: NumPy's name, the range that samples are drawn from, and the derivative as a function of x and y.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import drawn_shape
from .cast import common_float
from .elementwise import mul

LN_2, LN_10 = math.log(2), math.log(10)


class Function(NamedTuple):
    """One row of the table: a function, where samples of it are drawn, and its slope."""

    numpy: str
    low: float
    high: float
    slope: Callable[[Any, Array, Array], Array]  # xp, x, y -> dy/dx


FUNCTIONS = {
    "tan": Function("tan", -1.2, 1.2, lambda xp, x, y: 1 + y * y),
    "asin": Function("arcsin", -0.9, 0.9, lambda xp, x, y: 1 / xp.sqrt(1 - x * x)),
    "acos": Function("arccos", -0.9, 0.9, lambda xp, x, y: -1 / xp.sqrt(1 - x * x)),
    "atan": Function("arctan", -3, 3, lambda xp, x, y: 1 / (1 + x * x)),
    "sinh": Function("sinh", -2, 2, lambda xp, x, y: xp.cosh(x)),
    "cosh": Function("cosh", -2, 2, lambda xp, x, y: xp.sinh(x)),
    "asinh": Function("arcsinh", -3, 3, lambda xp, x, y: 1 / xp.sqrt(x * x + 1)),
    "acosh": Function("arccosh", 1.2, 4, lambda xp, x, y: 1 / xp.sqrt(x * x - 1)),
    "atanh": Function("arctanh", -0.9, 0.9, lambda xp, x, y: 1 / (1 - x * x)),
    "exp2": Function("exp2", -3, 3, lambda xp, x, y: y * LN_2),
    "log2": Function("log2", 0.2, 4, lambda xp, x, y: 1 / (x * LN_2)),
    "log10": Function("log10", 0.2, 4, lambda xp, x, y: 1 / (x * LN_10)),
}


@kernel(flops=lambda x, function: 10 * x.size)
def analytic_forward(xp: Any, x: Array, function: str) -> Array:
    """y = function(x), by its name in FUNCTIONS."""
    return getattr(xp, FUNCTIONS[function].numpy)(x)


@kernel(flops=lambda dy, *_: 12 * dy.size)
def analytic_backward(xp: Any, dy: Array, x: Array, y: Array, function: str) -> Array:
    """dx = dy function'(x)."""
    return dy * FUNCTIONS[function].slope(xp, x, y)


class Analytic(Op):
    """y = f(x) for a function of FUNCTIONS;  dx = dy f'(x).  Integers give float32."""

    promotes = common_float

    def forward(self, x: Array, function: str) -> Array:
        y = self.k.analytic_forward(x, function)
        self.save(x, y, function)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.analytic_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        name = draw.choice(tuple(FUNCTIONS))
        return draw.array(drawn_shape(draw), FUNCTIONS[name].low, FUNCTIONS[name].high), name

    @staticmethod
    def oracle(torch: Any, x: Any, function: str) -> Any:
        return getattr(torch, function)(x)


@kernel(flops=lambda x, eps: 12 * x.size)
def logit_forward(xp: Any, x: Array, eps: float | None) -> Array:
    """y = ln(x / (1 - x)), of x brought into [eps, 1 - eps] unless eps is None."""
    inside = x if eps is None else xp.minimum(xp.maximum(x, x.dtype.type(eps)), x.dtype.type(1 - eps))
    return xp.log(inside / (1 - inside))


@kernel(flops=lambda dy, *_: 4 * dy.size)
def logit_backward(xp: Any, dy: Array, x: Array, eps: float | None) -> Array:
    """dx = dy / (x (1 - x)); outside [eps, 1 - eps] 0, outside [0, 1] NaN where eps is None."""
    low, outside = (0, math.nan) if eps is None else (eps, 0)
    within = (x >= x.dtype.type(low)) & (x <= x.dtype.type(1 - low))
    return xp.where(within, dy / (x * (1 - x)), dy.dtype.type(outside))


class Logit(Op):
    """y = ln(x / (1 - x));  dx = dy / (x (1 - x)).  eps bounds x, and is None for no bound."""

    oracle = "torch.logit"
    promotes = common_float

    def forward(self, x: Array, eps: float | None) -> Array:
        self.save(x, eps)
        return self.k.logit_forward(x, eps)

    def backward(self, dy: Array) -> Any:
        return self.k.logit_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        if draw.boolean():
            return draw.array(drawn_shape(draw), 0.1, 0.9), None
        return draw.array(drawn_shape(draw), -0.5, 1.5, avoid=(0.2, 0.8)), 0.2


# ------------------------------------------------------------------------------------------------ public functions


def tan(input: Tensor) -> Tensor:
    """Compute the tangent of angles.

    Args:
        input: Angles in radians, of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.tan(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "tan")


def asin(input: Tensor) -> Tensor:
    """Compute the angle, from -pi/2 to pi/2, whose sine is the input.

    Args:
        input: Tensor of any shape.

    Returns:
        Radians in the input's shape, NaN outside -1 to 1; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.asin(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "asin")


def acos(input: Tensor) -> Tensor:
    """Compute the angle, from 0 to pi, whose cosine is the input.

    Args:
        input: Tensor of any shape.

    Returns:
        Radians in the input's shape, NaN outside -1 to 1; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.acos(tinymed.ones(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "acos")


def atan(input: Tensor) -> Tensor:
    """Compute the angle, from -pi/2 to pi/2, whose tangent is the input.

    Args:
        input: Tensor of any shape.

    Returns:
        Radians in the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.atan(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "atan")


def sinh(input: Tensor) -> Tensor:
    """Compute the hyperbolic sine, (e^x - e^-x) / 2.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.sinh(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "sinh")


def cosh(input: Tensor) -> Tensor:
    """Compute the hyperbolic cosine, (e^x + e^-x) / 2.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.cosh(tinymed.zeros(1)).tolist()
        [1.0]
    """
    return Analytic.apply(input, "cosh")


def asinh(input: Tensor) -> Tensor:
    """Compute the inverse of sinh.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.asinh(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "asinh")


def acosh(input: Tensor) -> Tensor:
    """Compute the inverse of cosh.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape, at least 0, NaN below 1; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.acosh(tinymed.ones(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "acosh")


def atanh(input: Tensor) -> Tensor:
    """Compute the inverse of tanh.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape, NaN outside -1 to 1; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.atanh(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return Analytic.apply(input, "atanh")


def exp2(input: Tensor) -> Tensor:
    """Compute 2^x, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.exp2(tinymed.tensor([0, 3])).tolist()
        [1.0, 8.0]
    """
    return Analytic.apply(input, "exp2")


def log2(input: Tensor) -> Tensor:
    """Compute the logarithm to base 2.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.log2(tinymed.tensor([1, 8])).tolist()
        [0.0, 3.0]
    """
    return Analytic.apply(input, "log2")


def log10(input: Tensor) -> Tensor:
    """Compute the logarithm to base 10.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.log10(tinymed.tensor([1.0])).tolist()
        [0.0]
    """
    return Analytic.apply(input, "log10")


def logit(input: Tensor, eps: float | None = None) -> Tensor:
    """Compute the logarithm of the odds, ln(x / (1 - x)): what the sigmoid takes back.

    Args:
        input: Probabilities of any shape.
        eps: Brings the input into [eps, 1 - eps] first.  Default: None, and NaN outside [0, 1].

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.logit(tinymed.full((1,), 0.5)).tolist()
        [0.0]
    """
    return Logit.apply(input, None if eps is None or eps < 0 else float(eps))


def deg2rad(input: Tensor) -> Tensor:
    """Convert degrees to radians.

    Args:
        input: Angles in degrees, of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.deg2rad(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return mul(input, math.pi / 180)


def rad2deg(input: Tensor) -> Tensor:
    """Convert radians to degrees.

    Args:
        input: Angles in radians, of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.rad2deg(tinymed.zeros(1)).tolist()
        [0.0]
    """
    return mul(input, 180 / math.pi)


arcsin, arccos, arctan = asin, acos, atan
arcsinh, arccosh, arctanh = asinh, acosh, atanh

__all__ = [
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "cosh",
    "deg2rad",
    "exp2",
    "log2",
    "log10",
    "logit",
    "rad2deg",
    "sinh",
    "tan",
]
