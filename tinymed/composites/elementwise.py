"""Clamping, by the kernels of hardtanh with bounds that may be infinite."""

import math
from typing import Any

from ..dispatch import is_one_float, kernel


@kernel(backend="numba csrc", double="numba", choice=True, when=lambda x, low, high: is_one_float((x,)))
def clamp_forward(k: Any, x: Any, low: Any, high: Any) -> Any:
    """hardtanh_forward between the bounds, infinite where there is none."""
    return k.hardtanh_forward(x, *bounds(low, high))


@kernel(backend="numba csrc", double="numba", choice=True, when=lambda dy, x, low, high: is_one_float((dy, x)))
def clamp_backward(k: Any, dy: Any, x: Any, low: Any, high: Any) -> Any:
    """clamp_gradient between the bounds."""
    return k.clamp_gradient(dy, x, *bounds(low, high))


def bounds(low: Any, high: Any) -> tuple[float, float]:
    """Return the bounds as numbers; one that is None is infinite."""
    return -math.inf if low is None else float(low), math.inf if high is None else float(high)
