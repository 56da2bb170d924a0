"""Sine and cosine.  The other trigonometric functions are in analytic.py."""

from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .cast import common_float
from .unary import points

__all__ = ["cos", "sin"]


@kernel(flops=lambda x: 10 * x.size)
def sin_forward(xp: Any, x: Array) -> Array:
    """y = sin x."""
    return xp.sin(x)


@kernel(flops=lambda x: 10 * x.size)
def cos_forward(xp: Any, x: Array) -> Array:
    """y = cos x."""
    return xp.cos(x)


class Sin(Op):
    """y = sin x;  dx = dy cos x."""

    oracle, samples, promotes = "torch.sin", points(-4, 4), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.sin_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.mul(dy, self.k.cos_forward(*self.saved))


class Cos(Op):
    """y = cos x;  dx = -dy sin x."""

    oracle, samples, promotes = "torch.cos", points(-4, 4), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.cos_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.neg(self.k.mul(dy, self.k.sin_forward(*self.saved)))


def sin(input: Tensor) -> Tensor:
    """Compute the sine of angles.

    Args:
        input: Angles in radians, of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.sin(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return Sin.apply(input)


def cos(input: Tensor) -> Tensor:
    """Compute the cosine of angles.

    Args:
        input: Angles in radians, of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.cos(tinymed.zeros(2)).tolist()
        [1.0, 1.0]
    """
    return Cos.apply(input)
