"""Softmax and its logarithm over any axis, shifted by the maximum so that nothing overflows."""

from typing import Any

import numpy as np

from ..annotations import DType, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer, numpy_names
from .cast import Cast
from .promotion import floating
from .shape import reshape
from .unary import neg


def flops(x: Array, *_: Any) -> float:
    """Count a subtraction, an exponential, a sum and a division."""
    return 4.0 * float(x.size)


def shifted(xp: Any, x: Array, axis: int) -> Array:
    """Compute x minus its maximum along the axis; a row of -inf alone becomes NaN, as in PyTorch."""
    return x - x.max(axis, keepdims=True) if x.size else x


@kernel(flops=flops)
def softmax_forward(xp: Any, x: Array, axis: int) -> Array:
    """y = e^(x - m) / sum e^(x - m) along the axis, m = max x."""
    e = xp.exp(shifted(xp, x, axis))
    return e / e.sum(axis, keepdims=True)


@kernel(flops=flops)
def softmax_backward(xp: Any, dy: Array, y: Array, axis: int) -> Array:
    """dx = y (dy - sum(dy y)), the sum along the axis."""
    return y * (dy - (dy * y).sum(axis, keepdims=True))


class Softmax(Op):
    """y = exp(x) / sum exp(x);  dx = y (dy - sum(dy y)).  The output is saved.  Bridle 1990."""

    promotes = floating("softmax")
    oracle = "torch.nn.functional.softmax"

    def forward(self, x: Array, axis: int) -> Array:
        y = self.k.softmax_forward(x, axis)
        self.save(y, axis)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.softmax_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return array_and_axis(draw)


@kernel(flops=flops)
def log_softmax_forward(xp: Any, x: Array, axis: int) -> Array:
    """y = x - m - ln sum e^(x - m) along the axis, m = max x."""
    z = shifted(xp, x, axis)
    return z - xp.log(xp.exp(z).sum(axis, keepdims=True))


@kernel(flops=flops)
def log_softmax_backward(xp: Any, dy: Array, y: Array, axis: int) -> Array:
    """dx = dy - e^y sum(dy), the sum along the axis."""
    return dy - xp.exp(y) * dy.sum(axis, keepdims=True)


class LogSoftmax(Op):
    """y = x - log sum exp(x);  dx = dy - exp(y) sum(dy).  The output is saved."""

    promotes = floating("log_softmax")
    oracle = "torch.nn.functional.log_softmax"

    def forward(self, x: Array, axis: int) -> Array:
        y = self.k.log_softmax_forward(x, axis)
        self.save(y, axis)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.log_softmax_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return array_and_axis(draw)


def array_and_axis(draw: Any) -> tuple[Any, int]:
    """Draw an array with at least one axis, and one of them; large values, so that a missing shift shows."""
    shape = list(draw.shape(1, 4))
    axis = draw.integer(0, len(shape) - 1)
    shape[axis] = draw.choice((3, 1, 17, 40))
    return draw.array(shape, *draw.choice(((-4, 4), (190, 200)))), axis


@numpy_names
def softmax(input: Tensor, dim: int | None = None, dtype: DType | None = None) -> Tensor:
    """Compute e^x / (sum of e^x) along an axis, without overflow.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor of the input's shape that adds up to 1 along dim.

    Example:
        >>> import tinymed
        >>> tinymed.softmax(tinymed.zeros(2, 4), 1)[0].tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return along(Softmax, "softmax", input, dim, dtype)


@numpy_names
def log_softmax(input: Tensor, dim: int | None = None, dtype: DType | None = None) -> Tensor:
    """Compute log(softmax(x)) along an axis, without forming the softmax.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.log_softmax(tinymed.zeros(2, 1), 1).tolist()
        [[0.0], [0.0]]
    """
    return along(LogSoftmax, "log_softmax", input, dim, dtype)


def softmin(input: Tensor, dim: int | None = None, dtype: DType | None = None) -> Tensor:
    """Compute softmax(-x) along an axis.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor of the input's shape that adds up to 1 along dim.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softmin(tinymed.zeros(4), 0).tolist()
        [0.25, 0.25, 0.25, 0.25]
    """
    return along(Softmax, "softmin", neg(input), dim, dtype)


def along(op: type[Op], name: str, input: Any, dim: int | None, dtype: Any) -> Any:
    """Apply an op along an axis, counted from the end when negative."""
    n = len(input.shape)
    if dim is None:
        raise ValueError(f"{name}: say along which axis: dim=1 for (N, C, ...) scores, dim=-1 for the last axis")
    dim = integer(name, "dim", dim)
    if not -max(n, 1) <= dim < max(n, 1):
        raise IndexError(f"{name}: dim {dim} is not an axis of an input with {n} axes")
    if dtype is None and input.array.dtype.kind != "f":
        raise TypeError(f"{name}: takes floating-point input, got {input.array.dtype}; give dtype")
    if dtype is not None and np.dtype(dtype) != input.array.dtype:
        input = Cast.apply(input, np.dtype(dtype))
    return op.apply(input, dim % n) if n else reshape(op.apply(reshape(input, 1), 0), ())


__all__ = ["log_softmax", "softmax", "softmin"]
