"""Variance and standard deviation over some axes or all."""

import math
from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import kept, numpy_names, some_axes
from .reduce import Axes, Dim, floats_only, keep, reduced


def count(x: Array, axes: Axes) -> int:
    """Return the number of values reduced to one."""
    return math.prod(x.shape[a] for a in axes)


def freedom(x: Array, axes: Axes, correction: float) -> float:
    """Return degrees of freedom: the number of values less the correction, at least 0."""
    return max(0.0, count(x, axes) - correction)


def deviations(xp: Any, x: Array, axes: Axes) -> Array:
    """Compute x less its mean."""
    return x - x.sum(axes, keepdims=True) / max(1, count(x, axes))


@kernel(out=lambda x, axes, correction: reduced(x, axes), flops=lambda x, axes, correction: 4 * x.size)
def var_forward(xp: Any, x: Array, axes: Axes, correction: float) -> Array:
    """y = sum (x - mean(x))^2 / max(0, n - correction) over the axes, n their number of values."""
    d = deviations(xp, x, axes)
    return xp.asarray((d * d).sum(axes)) / xp.asarray(freedom(x, axes, correction), dtype=x.dtype)


@kernel(out=lambda dy, x, axes, correction: [x.shape], flops=lambda dy, x, axes, correction: 5 * x.size)
def var_backward(xp: Any, dy: Array, x: Array, axes: Axes, correction: float) -> Array:
    """dx = 2 dy (x - mean(x)) / max(0, n - correction), n the number of values over the axes."""
    scale = 2 * dy.reshape(kept(x.shape, axes)) / xp.asarray(freedom(x, axes, correction), dtype=x.dtype)
    return scale * deviations(xp, x, axes)


class Var(Op):
    """y = sum (x - mean)^2 / (n - correction);  dx = 2 dy (x - mean) / (n - correction)."""

    def forward(self, x: Array, axes: Axes, correction: float, keepdim: bool) -> Array:
        self.save(x, axes, correction)
        return keep(self.k.var_forward(x, axes, correction), x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return self.k.var_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_moment(draw)

    @staticmethod
    def oracle(torch: Any, x: Any, axes: Axes, correction: float, keepdim: bool) -> Any:
        return torch.var(x, axes, correction=correction, keepdim=keepdim)


class Std(Op):
    """y = sqrt(var);  dx = dy dvar / (2 y) (0 where y = 0)."""

    def forward(self, x: Array, axes: Axes, correction: float, keepdim: bool) -> Array:
        y = self.k.sqrt_forward(self.k.var_forward(x, axes, correction))
        self.save(x, y, axes, correction)
        return keep(y, x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        x, y, axes, correction = self.saved
        dvar = self.k.ratio(dy.reshape(y.shape), self.k.mul(y, 2.0))
        return self.k.var_backward(dvar, x, axes, correction), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_moment(draw)

    @staticmethod
    def oracle(torch: Any, x: Any, axes: Axes, correction: float, keepdim: bool) -> Any:
        return torch.std(x, axes, correction=correction, keepdim=keepdim)


def drawn_moment(draw: Any) -> tuple[Any, ...]:
    """Draw arguments of var and std, with at least one degree of freedom."""
    shape = draw.shape(1, 4, 2)
    axes = tuple(i for i in range(len(shape)) if draw.boolean()) or (0,)
    return draw.array(shape), axes, draw.choice((1, 0, 0.5)), draw.boolean()


@kernel(flops=lambda a, b: a.size)
def ratio(xp: Any, a: Array, b: Array) -> Array:
    """Compute a / b, 0 where b = 0."""
    return xp.where(b == 0, 0, a / xp.where(b == 0, 1, b))


# ------------------------------------------------------------------------------------------------ public functions


def moment(op: type[Op], name: str, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any) -> Any:
    """Check the arguments of var and std: `unbiased` is PyTorch's older word for correction 1 or 0."""
    if isinstance(dim, bool):  # var(x, False)
        dim, unbiased = None, dim
    if unbiased is not None and correction is not None:
        raise ValueError(f"{name}: give unbiased or correction, not both")
    floats_only(name, input)
    amount = correction if correction is not None else 1 if unbiased is None else int(unbiased)
    return op.apply(input, some_axes(name, dim, input.array.ndim), amount, bool(keepdim))


@numpy_names
def var(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Compute the variance over axes: sum of (x - mean)^2 / (n - correction).

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis, or several; None means all.
        unbiased: True for correction 1, False for 0.
        keepdim: Keep the reduced axes with length 1.
        correction: Subtracted from the number n of elements; 1 by default.

    Returns:
        A tensor without the reduced axes.

    Raises:
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.var(tinymed.tensor([1.0, 3.0])).item()
        2.0
    """
    return moment(Var, "var", input, dim, unbiased, keepdim, correction)


@numpy_names
def std(
    input: Tensor,
    dim: Dim = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> Tensor:
    """Compute the standard deviation over axes: the root of var with the same arguments.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis, or several; None means all.
        unbiased: True for correction 1, False for 0.
        keepdim: Keep the reduced axes with length 1.
        correction: Subtracted from the number n of elements; 1 by default.

    Returns:
        A tensor without the reduced axes.

    Raises:
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.std(tinymed.tensor([1.0, 3.0]), unbiased=False).item()
        1.0
    """
    return moment(Std, "std", input, dim, unbiased, keepdim, correction)


__all__ = ["std", "var"]
