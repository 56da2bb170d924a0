"""Activations that keep what is large: thresholds, shrinkage, and the gated linear unit."""

import operator
from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .axes import one_axis
from .elementwise import mul, sub
from .indexing import narrow
from .overwrite import overwritable
from .smooth import sigmoid, tanh


def within(x: Array, limit: float) -> Array:
    """Where |x| <= limit; a NaN is nowhere within."""
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
    """(x, limit), nothing at the limit."""
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


def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """x where |x| > lambd, else 0."""
    return Hardshrink.apply(input, float(lambd))


def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """x - lambd where x > lambd, x + lambd where x < -lambd, else 0; lambd at least 0."""
    if lambd < 0:
        raise RuntimeError(f"softshrink: lambd must not be negative, got {lambd}")
    return Softshrink.apply(input, float(lambd))


def tanhshrink(input: Any) -> Any:
    """x - tanh(x)."""
    return sub(input, tanh(input))


@overwritable
def threshold(input: Any, threshold: float, value: float) -> Any:
    """x where x > threshold, else value."""
    return Threshold.apply(input, threshold, value)


def glu(input: Any, dim: int = -1) -> Any:
    """The first half of axis dim times the sigmoid of the second half.  Dauphin et al. 2017."""
    if not input.shape:
        raise RuntimeError("glu: takes a tensor with at least one axis, got one without")
    axis = one_axis("glu", operator.index(dim), len(input.shape))
    length = input.shape[axis]
    if length % 2:
        raise RuntimeError(f"glu: axis {dim} must have an even length, input is {list(input.shape)}")
    half = length // 2
    return mul(narrow(input, axis, 0, half), sigmoid(narrow(input, axis, half, half)))


__all__ = ["glu", "hardshrink", "softshrink", "tanhshrink", "threshold"]
