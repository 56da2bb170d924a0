"""Sums and products of the elements up to each along an axis."""

from typing import Any

from ..annotations import DType, Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import numpy_names, one_axis
from .broadcast import drawn_shape
from .reduce import converted, total_type

__all__ = ["cumprod", "cumsum"]


@kernel(flops=lambda x, axis: x.size, out=lambda x, axis: [(x.shape, total_type(x))])
def cumsum_forward(xp: Any, x: Array, axis: int) -> Array:
    """y[i] = x[0] + ... + x[i] along the axis."""
    return xp.cumsum(x, axis, dtype=total_type(x)) if x.ndim else x.astype(total_type(x))


@kernel(flops=lambda dy, axis: dy.size)
def cumsum_backward(xp: Any, dy: Array, axis: int) -> Array:
    """dx[i] = dy[i] + ... + dy[n - 1] along the axis."""
    return xp.flip(xp.cumsum(xp.flip(dy, axis), axis), axis) if dy.ndim else dy


class Cumsum(Op):
    """y_i = x_0 + ... + x_i along an axis;  dx_i = dy_i + ... + dy_last."""

    oracle = "torch.cumsum"

    def forward(self, x: Array, axis: int) -> Array:
        self.save(axis)
        return self.k.cumsum_forward(x, axis)

    def backward(self, dy: Array) -> Any:
        return self.k.cumsum_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(drawn_shape(draw))
        return x, draw.integer(0, max(x.ndim - 1, 0))


@kernel(flops=lambda x, axis: x.size, out=lambda x, axis: [(x.shape, total_type(x))])
def cumprod_forward(xp: Any, x: Array, axis: int) -> Array:
    """y[i] = x[0] x[1] ... x[i] along the axis."""
    return xp.cumprod(x, axis, dtype=total_type(x)) if x.ndim else x.astype(total_type(x))


@kernel(flops=lambda dy, x, axis: 4 * dy.size)
def cumprod_backward(xp: Any, dy: Array, x: Array, axis: int) -> Array:
    """dx[j] = x[0] ... x[j-1] r[j], with r[j] = dy[j] + x[j+1] r[j+1] from the end: zeros need no division."""
    if not x.ndim or not x.size:
        return dy
    lines, dx = xp.moveaxis(x, axis, 0).copy(), xp.moveaxis(dy, axis, 0).copy()
    for j in range(len(lines) - 2, -1, -1):
        dx[j] += lines[j + 1] * dx[j + 1]
    before = xp.cumprod(xp.concatenate([xp.ones_like(lines[:1]), lines[:-1]]), 0)
    return xp.moveaxis(before * dx, 0, axis)


class Cumprod(Op):
    """y_i = x_0 x_1 ... x_i along an axis;  dx_j = sum_{i >= j} dy_i prod_{k <= i, k != j} x_k."""

    oracle = "torch.cumprod"

    def forward(self, x: Array, axis: int) -> Array:
        self.save(x, axis)
        return self.k.cumprod_forward(x, axis)

    def backward(self, dy: Array) -> Any:
        return self.k.cumprod_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(drawn_shape(draw), 0.5, 1.5)
        if x.size and draw.boolean():
            x.reshape(-1)[draw.integer(0, x.size - 1)] = 0
        return x, draw.integer(0, max(x.ndim - 1, 0))


@numpy_names
def cumsum(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Compute the sums of the elements up to each along an axis.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor of the input's shape; integers and bool give int64.

    Raises:
        IndexError: The axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.cumsum(tinymed.tensor([1, 2, 3]), 0).tolist()
        [1, 3, 6]
    """
    input = converted("cumsum", input, dtype)
    return Cumsum.apply(input, one_axis("cumsum", dim, input.array.ndim))


@numpy_names
def cumprod(input: Tensor, dim: int, *, dtype: DType | None = None) -> Tensor:
    """Compute the products of the elements up to each along an axis.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor of the input's shape; integers and bool give int64.

    Raises:
        IndexError: The axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.cumprod(tinymed.tensor([1, 2, 3]), 0).tolist()
        [1, 2, 6]
    """
    input = converted("cumprod", input, dtype)
    return Cumprod.apply(input, one_axis("cumprod", dim, input.array.ndim))
