"""clamp: numbers as bounds are an op of their own, tensors one of pairwise.py."""

import math
from typing import Any

from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .broadcast import drawn_shape, operand
from .cast import common_dtype
from .elementwise import mul
from .pairwise import clamp_tensors


@kernel(out=lambda x, low, high: [x.shape], flops=lambda x, low, high: 2 * x.size)
def clamp_forward(xp: Any, x: Array, low: Any, high: Any) -> Array:
    """y = min(max(x, low), high); a bound that is None does not bind."""
    y = x if low is None else xp.maximum(x, low)
    return y if high is None else xp.minimum(y, high)


@kernel(out=lambda dy, x, low, high: [dy.shape], flops=lambda dy, x, low, high: 3 * dy.size)
def clamp_backward(xp: Any, dy: Array, x: Array, low: Any, high: Any) -> Array:
    """dx = dy where low <= x <= high, else 0; a bound that is None does not bind."""
    dx = dy if low is None else xp.where(x >= low, dy, 0)
    return dx if high is None else xp.where(x <= high, dx, 0)


class Clamp(Op):
    """y = min(max(x, low), high);  dx = dy where low <= x <= high, else 0 (at the borders: dy)."""

    promotes = common_dtype

    def forward(self, x: Array, low: Any, high: Any) -> Array:
        self.save(x, low, high)
        return self.k.clamp_forward(x, low, high)

    def backward(self, dy: Array) -> Any:
        return self.k.clamp_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        low, high = draw.choice(((-0.5, 1.0), (None, 0.3), (0.2, None), (-1.0, -1.5)))
        kinks = [v for v in (low, high) if v is not None]
        return draw.array(drawn_shape(draw), avoid=kinks), low, high

    oracle = "torch.clamp"


# ------------------------------------------------------------------------------------------------ public functions


def clamp(input: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """Limit elements to [min, max]; where min > max the result is max.

    Args:
        input: Tensor of any shape.
        min, max: Numbers or tensors that broadcast; either may be None.

    Returns:
        A tensor of the broadcast shape; its gradient is 1 from bound to bound, both included, else 0.

    Raises:
        ValueError: Both bounds are None.

    Example:
        >>> import tinymed
        >>> tinymed.clamp(tinymed.tensor([-2, 0, 2]), -1, 1).tolist()
        [-1, 0, 1]
    """
    if min is None and max is None:
        raise ValueError("clamp: at least one of min and max must be a number or a tensor")
    low, high = (v if v is None or isinstance(v, Node) else operand("clamp", v) for v in (min, max))
    if isinstance(low, Node) or isinstance(high, Node):
        return clamp_tensors(input, low, high)
    if any(isinstance(v, float) and math.isnan(v) for v in (low, high)):
        return mul(input, math.nan)
    return Clamp.apply(input, low, high)


def clamp_min(input: Tensor, min: Operand) -> Tensor:
    """Limit elements to at least min.

    Args:
        input: Tensor of any shape.
        min: A number or a tensor that broadcasts.

    Returns:
        A tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.clamp_min(tinymed.tensor([-2, 0, 2]), -1).tolist()
        [-1, 0, 2]
    """
    return clamp(input, min=min)


def clamp_max(input: Tensor, max: Operand) -> Tensor:
    """Limit elements to at most max.

    Args:
        input: Tensor of any shape.
        max: A number or a tensor that broadcasts.

    Returns:
        A tensor of the broadcast shape.

    Example:
        >>> import tinymed
        >>> tinymed.clamp_max(tinymed.tensor([-2, 0, 2]), 1).tolist()
        [-2, 0, 1]
    """
    return clamp(input, max=max)


clip = clamp

__all__ = ["clamp", "clamp_max", "clamp_min", "clip"]
