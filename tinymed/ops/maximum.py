"""The larger and the smaller of two inputs, element-wise.  Extremes over axes are in extremes.py."""

from typing import Any

import numpy as np

from ..annotations import Operand, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import broadcast, extent, operands, pair, shape_of, to_shape, together
from .cast import common_dtype

__all__ = ["maximum", "minimum"]


@kernel(out=broadcast, flops=extent)
def maximum_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = max(a, b), broadcast; NaN where one is NaN."""
    return xp.maximum(a, b)


@kernel(out=broadcast, flops=extent)
def minimum_forward(xp: Any, a: Any, b: Any) -> Array:
    """y = min(a, b), broadcast; NaN where one is NaN."""
    return xp.minimum(a, b)


@kernel(out=lambda dy, winner, other: [(dy.shape, dy.dtype)] * 2, flops=lambda dy, winner, other: 4 * dy.size)
def larger_backward(xp: Any, dy: Array, a: Any, b: Any) -> tuple[Array, Array]:
    """dy to the larger of a and b, half to each where they are equal."""
    share = xp.where(xp.equal(a, b), dy / 2, dy)
    return xp.where(xp.less(a, b), 0, share), xp.where(xp.greater(a, b), 0, share)


class Maximum(Op):
    """y = max(a, b);  dy goes to the larger, half to each where equal.  NaN where one is NaN."""

    oracle = "torch.maximum"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return together(self.k.maximum_forward, a, b)

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da, db = together(self.k.larger_backward, dy, a, b)
        return to_shape(self.k, da, shape_of(a)), to_shape(self.k, db, shape_of(b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return two_arrays(draw)


class Minimum(Op):
    """y = min(a, b);  dy goes to the smaller, half to each where equal.  NaN where one is NaN."""

    oracle = "torch.minimum"
    promotes = common_dtype

    def forward(self, a: Any, b: Any) -> Array:
        self.save(a, b)
        return together(self.k.minimum_forward, a, b)

    def backward(self, dy: Array) -> Any:
        a, b = self.saved
        da, db = together(self.k.larger_backward, dy, b, a)
        return to_shape(self.k, da, shape_of(a)), to_shape(self.k, db, shape_of(b))

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return two_arrays(draw)


def two_arrays(draw: Any) -> tuple[Any, Any]:
    """Draw two arrays that broadcast, without ties."""
    a, b = pair(draw)
    a, b = (v if hasattr(v, "shape") else draw.array(()) for v in (a, b))
    return a, np.asarray(b + 1e-3)


def maximum(input: Tensor, other: Operand) -> Tensor:
    """Compute the larger of two inputs, element-wise; equal ones share the gradient.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, NaN where either is.

    Example:
        >>> import tinymed
        >>> tinymed.maximum(tinymed.tensor([1, 5]), tinymed.tensor([3, 2])).tolist()
        [3, 5]
    """
    return Maximum.apply(*operands("maximum", input, other))


def minimum(input: Tensor, other: Operand) -> Tensor:
    """Compute the smaller of two inputs, element-wise; equal ones share the gradient.

    Args:
        input, other: Tensors or numbers that broadcast with each other.

    Returns:
        A tensor of the broadcast shape, NaN where either is.

    Example:
        >>> import tinymed
        >>> tinymed.minimum(tinymed.tensor([1, 5]), tinymed.tensor([3, 2])).tolist()
        [1, 2]
    """
    return Minimum.apply(*operands("minimum", input, other))
