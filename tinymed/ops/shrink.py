"""Activations that keep what is large: thresholds, shrinkage, and the gated linear unit."""

import operator
from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import one_axis
from .elementwise import mul, sub
from .indexing import narrow
from .overwrite import overwritable
from .smooth import sigmoid, tanh


def within(x: Array, limit: float) -> Array:
    """Return where |x| <= limit; a NaN is nowhere within."""
    return (x >= -limit) & (x <= limit)


@kernel(flops=lambda x, limit: 2 * x.size)
def hardshrink_forward(xp: Any, x: Array, limit: float) -> Array:
    """y = x where |x| > limit, else 0."""
    return xp.where(within(x, limit), 0, x)


@kernel(flops=lambda x, limit: 3 * x.size)
def softshrink_forward(xp: Any, x: Array, limit: float) -> Array:
    """y = x - limit where x > limit, x + limit where x < -limit, else 0."""
    return xp.where(x > limit, x - limit, xp.where(x < -limit, x + limit, 0 * x))


@kernel(flops=lambda dy, x, limit: 2 * dy.size)
def shrink_backward(xp: Any, dy: Array, x: Array, limit: float) -> Array:
    """dx = dy where |x| > limit, else 0."""
    return xp.where(within(x, limit), 0, dy)


def shrinkable(draw: Any) -> tuple[Any, ...]:
    """Draw (x, limit), nothing at the limit."""
    limit = draw.choice((0.5, 0.0, 1.25))
    return draw.array(draw.shape(), avoid=(-limit, limit)), limit


class Hardshrink(Op):
    """y = x if |x| > limit else 0;  dx = dy there, else 0.  Donoho & Johnstone 1994: hard thresholding."""

    oracle, samples = "torch.nn.functional.hardshrink", staticmethod(shrinkable)

    def forward(self, x: Array, limit: float) -> Array:
        self.save(x, limit)
        return self.k.hardshrink_forward(x, limit)

    def backward(self, dy: Array) -> Any:
        return self.k.shrink_backward(dy, *self.saved), None


class Softshrink(Op):
    """y = sign(x) max(|x| - limit, 0);  dx = dy where |x| > limit, else 0.  Donoho 1995: soft thresholding."""

    oracle, samples = "torch.nn.functional.softshrink", staticmethod(shrinkable)

    def forward(self, x: Array, limit: float) -> Array:
        self.save(x, limit)
        return self.k.softshrink_forward(x, limit)

    def backward(self, dy: Array) -> Any:
        return self.k.shrink_backward(dy, *self.saved), None


@kernel(flops=lambda x, *_: x.size)
def threshold_forward(xp: Any, x: Array, limit: float, value: float) -> Array:
    """y = value where x <= limit, else x."""
    return xp.where(x <= limit, xp.asarray(value, x.dtype), x)


@kernel(flops=lambda dy, *_: dy.size)
def threshold_backward(xp: Any, dy: Array, x: Array, limit: float) -> Array:
    """dx = 0 where x <= limit, else dy."""
    return xp.where(x <= limit, 0, dy)


class Threshold(Op):
    """y = x if x > limit else value;  dx = dy where x > limit, else 0."""

    oracle = "torch.nn.functional.threshold"

    def forward(self, x: Array, limit: float, value: float) -> Array:
        self.save(x, limit)
        return self.k.threshold_forward(x, limit, value)

    def backward(self, dy: Array) -> Any:
        return self.k.threshold_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        limit = draw.choice((0.0, 0.5, -1.0))
        return draw.array(draw.shape(), avoid=(limit,)), limit, draw.choice((0.0, 20.0, -0.5))


# ------------------------------------------------------------------------------------------------ public functions


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Return x where |x| > lambd, else 0.

    Args:
        input: Floating-point tensor of any shape.
        lambd: The threshold.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.hardshrink(tinymed.tensor([-1.0, 0.25, 1.0])).tolist()
        [-1.0, 0.0, 1.0]
    """
    return Hardshrink.apply(input, float(lambd))


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Move x towards 0 by lambd, and to 0 where |x| <= lambd.

    Args:
        input: Floating-point tensor of any shape.
        lambd: The threshold; at least 0.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        RuntimeError: lambd is negative.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softshrink(tinymed.tensor([-1.0, 0.25, 1.0])).tolist()
        [-0.5, 0.0, 0.5]
    """
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return Softshrink.apply(input, float(lambd))


def tanhshrink(input: Tensor) -> Tensor:
    """Compute x - tanh(x), element-wise.

    Args:
        input: Floating-point tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.tanhshrink(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return sub(input, tanh(input))


@overwritable
def threshold(input: Tensor, threshold: float, value: float) -> Tensor:
    """Return x where x > threshold, else value.

    Args:
        input: Tensor of any shape.
        threshold: The bound.
        value: The number that replaces the elements at or below it.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.threshold(tinymed.tensor([-1.0, 2.0]), 0.0, 9.0).tolist()
        [9.0, 2.0]
    """
    return Threshold.apply(input, threshold, value)


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """Multiply the first half of an axis by the sigmoid of its second half.

    Args:
        input: Floating-point tensor with an even length along dim.
        dim: The axis.

    Returns:
        A tensor of the input's dtype, half as long along dim.

    Raises:
        RuntimeError: The input has no axis, or the axis has an odd length.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.glu(tinymed.tensor([4.0, 6.0, 0.0, 0.0])).tolist()
        [2.0, 3.0]

    Reference:
        Dauphin et al., ICML 2017.
    """
    if not input.shape:
        raise RuntimeError("glu: takes a tensor with at least one axis, got one without")
    axis = one_axis("glu", operator.index(dim), len(input.shape))
    length = input.shape[axis]
    if length % 2:
        raise RuntimeError(f"glu: axis {dim} must have an even length, input is {list(input.shape)}")
    half = length // 2
    return mul(narrow(input, axis, 0, half), sigmoid(narrow(input, axis, half, half)))


__all__ = ["glu", "hardshrink", "softshrink", "tanhshrink", "threshold"]
