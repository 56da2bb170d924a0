"""The inverse functions of sine, cosine and tangent."""

from typing import Any

import numpy as np

from ..dispatch import Array, kernel
from ..tape import Op

NUMPY = {"asin": "arcsin", "acos": "arccos", "atan": "arctan"}


@kernel(out=lambda x, which: [x.shape], flops=lambda x, which: 20 * x.size)
def arc_forward(xp: Any, x: Array, which: str) -> Array:
    """The angle whose sine, cosine or tangent is x; NaN where there is none."""
    return getattr(xp, NUMPY[which])(x)


@kernel(out=lambda dy, x, which: [x.shape], flops=lambda dy, x, which: 5 * x.size)
def arc_backward(xp: Any, dy: Array, x: Array, which: str) -> Array:
    """dx = dy / (1 + x^2) for the tangent, +- dy / sqrt(1 - x^2) for the sine and the cosine."""
    if which == "atan":
        return dy / (1 + x * x)
    slope = dy / xp.sqrt((1 - x) * (1 + x))
    return slope if which == "asin" else -slope


class Arc(Op):
    """y = arcsin x, arccos x or arctan x;  dx = dy / sqrt(1 - x^2), its negative, or dy / (1 + x^2)."""

    def forward(self, x: Array, which: str) -> Array:
        self.save(x, which)
        return self.k.arc_forward(x, which)

    def backward(self, dy: Array) -> Any:
        return self.k.arc_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.shape())
        return np.asarray(0.9 * x / (1 + abs(x))), draw.choice(tuple(NUMPY))

    @staticmethod
    def oracle(torch: Any, x: Any, which: str) -> Any:
        return getattr(torch, which)(x)


# ------------------------------------------------------------------------------------------------ public functions


def asin(input: Any) -> Any:
    """The angle in radians, -pi/2 to pi/2, whose sine is the element."""
    return Arc.apply(input, "asin")


def acos(input: Any) -> Any:
    """The angle in radians, 0 to pi, whose cosine is the element."""
    return Arc.apply(input, "acos")


def atan(input: Any) -> Any:
    """The angle in radians, -pi/2 to pi/2, whose tangent is the element."""
    return Arc.apply(input, "atan")


__all__ = ["acos", "asin", "atan"]
