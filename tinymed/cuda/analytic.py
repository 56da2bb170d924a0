"""Trigonometric, hyperbolic, logarithmic functions, rounding, logit and the inverse of erf: csrc/functions.cu."""

import math
from typing import Any

from ..dispatch import kernel
from ..ops.analytic import FUNCTIONS
from ..ops.rounding import ROUNDINGS
from .elementwise import alike

NUMBERS = {name: i for i, name in enumerate((*FUNCTIONS, *ROUNDINGS))}


@kernel(backend="csrc", composite=True, when=lambda x, function: alike(x))
def analytic_forward(k: Any, x: Any, function: str) -> Any:
    """analytic_function, by its number."""
    return k.analytic_function(x, NUMBERS[function])


@kernel(backend="csrc", composite=True, when=lambda x, how: alike(x))
def rounded_forward(k: Any, x: Any, how: str) -> Any:
    """analytic_function, by its number."""
    return k.analytic_function(x, NUMBERS[how])


@kernel(backend="csrc", flat="y x", out=lambda x, function: [x.shape], flops=lambda x, function: 10 * x.size)
def analytic_function(y: Any, x: Any, function: Any) -> None:
    """y = function(x), by its number in NUMBERS."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, y, function: alike(dy, x, y))
def analytic_backward(k: Any, dy: Any, x: Any, y: Any, function: str) -> Any:
    """analytic_slope, by its number."""
    return k.analytic_slope(dy, x, y, NUMBERS[function])


@kernel(backend="csrc", flat="dx dy x y", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 12 * dy.size)
def analytic_slope(dx: Any, dy: Any, x: Any, y: Any, function: Any) -> None:
    """dx = dy function'(x), by its number in NUMBERS."""


@kernel(backend="csrc", composite=True, when=lambda x, eps: alike(x))
def logit_forward(k: Any, x: Any, eps: float | None) -> Any:
    """logit_between bounds, infinite where there are none."""
    return k.logit_between(x, *((-math.inf, math.inf) if eps is None else (float(eps), 1 - float(eps))))


@kernel(backend="csrc", flat="y x", out=lambda x, *_: [x.shape], flops=lambda x, *_: 12 * x.size)
def logit_between(y: Any, x: Any, low: Any, high: Any) -> None:
    """y = ln(x / (1 - x)), of x brought into [low, high]."""


@kernel(backend="csrc", composite=True, when=lambda dy, x, eps: alike(dy, x))
def logit_backward(k: Any, dy: Any, x: Any, eps: float | None) -> Any:
    """logit_gradient"""
    low = 0.0 if eps is None else float(eps)
    return k.logit_gradient(dy, x, low, 1 - low, eps is not None)


@kernel(backend="csrc", flat="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 4 * dy.size)
def logit_gradient(dx: Any, dy: Any, x: Any, low: Any, high: Any, bounded: Any) -> None:
    """dx = dy / (x (1 - x)) where low <= x <= high, elsewhere 0 if bounded, else NaN."""


@kernel(backend="csrc", flat="y x")
def erfinv_forward(y: Any, x: Any) -> None:
    """y with erf(y) = x, computed in float64; infinite at -1 and 1, NaN outside."""


@kernel(backend="csrc", flat="dx dy y")
def erfinv_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy sqrt(pi) / 2 e^(y^2)."""
