"""clamp: numbers as bounds are an op of elementwise.py, tensors one of pairwise.py."""

import math
from typing import Any

from ..tape import Node
from .broadcast import operands
from .elementwise import Clamp, mul
from .pairwise import clamp_tensors


def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """input limited to [min, max], numbers or tensors; either may be None.  Where min > max the result is max."""
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be a number or a tensor")
    low, high = (None if v is None else operands("clamp", v)[0] for v in (min, max))
    if isinstance(low, Node) or isinstance(high, Node):
        return clamp_tensors(input, low, high)
    if any(isinstance(v, float) and math.isnan(v) for v in (low, high)):
        return mul(input, math.nan)
    return Clamp.apply(input, low, high)


def clamp_min(input: Any, min: Any) -> Any:
    """input, at least min."""
    return clamp(input, min=min)


def clamp_max(input: Any, max: Any) -> Any:
    """input, at most max."""
    return clamp(input, max=max)


clip = clamp

__all__ = ["clamp", "clamp_max", "clamp_min", "clip"]
