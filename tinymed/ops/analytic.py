"""Trigonometric, hyperbolic, logarithmic functions of one input that have no op of their own: one table of them.

Each row: NumPy's name, the range that samples are drawn from, and the derivative as a function of x and y.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import drawn_shape
from .cast import common_float
from .elementwise import mul

LN_2, LN_10 = math.log(2), math.log(10)


class Function(NamedTuple):
    """What is known of one function."""

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


# ------------------------------------------------------------------------------------------------ public functions


def tan(input: Any) -> Any:
    """The tangent of radians."""
    return Analytic.apply(input, "tan")


def asin(input: Any) -> Any:
    """The angle, from -pi/2 to pi/2, whose sine is the input; NaN outside -1 to 1."""
    return Analytic.apply(input, "asin")


def acos(input: Any) -> Any:
    """The angle, from 0 to pi, whose cosine is the input; NaN outside -1 to 1."""
    return Analytic.apply(input, "acos")


def atan(input: Any) -> Any:
    """The angle, from -pi/2 to pi/2, whose tangent is the input."""
    return Analytic.apply(input, "atan")


def sinh(input: Any) -> Any:
    """(e^x - e^-x) / 2."""
    return Analytic.apply(input, "sinh")


def cosh(input: Any) -> Any:
    """(e^x + e^-x) / 2."""
    return Analytic.apply(input, "cosh")


def asinh(input: Any) -> Any:
    """The inverse of sinh."""
    return Analytic.apply(input, "asinh")


def acosh(input: Any) -> Any:
    """The inverse of cosh, at least 0; NaN below 1."""
    return Analytic.apply(input, "acosh")


def atanh(input: Any) -> Any:
    """The inverse of tanh; NaN outside -1 to 1."""
    return Analytic.apply(input, "atanh")


def exp2(input: Any) -> Any:
    """2^input."""
    return Analytic.apply(input, "exp2")


def log2(input: Any) -> Any:
    """The logarithm to base 2."""
    return Analytic.apply(input, "log2")


def log10(input: Any) -> Any:
    """The logarithm to base 10."""
    return Analytic.apply(input, "log10")


def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return mul(input, math.pi / 180)


def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
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
    "rad2deg",
    "sinh",
    "tan",
]
