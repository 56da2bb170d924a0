"""Reductions over some axes or all: sums, products, norms.  Variances are in `moments`, extremes in `extremes`."""

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np

from ..annotations import DType, Tensor
from ..dispatch import Array, kernel
from ..memory import inverse_order
from ..tape import Op
from .axes import dropped, kept, numpy_names, some_axes
from .broadcast import drawn_shape
from .cast import Cast, as_dtype
from .nuclear_norm import NuclearNorm

Dim = int | Sequence[int] | None
Axes = tuple[int, ...]


def total_type(x: Array) -> Any:
    """Return the dtype of a sum: int64 for integers and bool."""
    return x.dtype if x.dtype.kind == "f" else np.dtype(np.int64)


def reduced(x: Array, axes: Axes) -> list[Any]:
    """Return the result's shape, the axes dropped, and dtype."""
    return [(dropped(x.shape, axes), total_type(x))]


def drawn_axes(draw: Any, low: float = -2.0, high: float = 2.0, **options: Any) -> tuple[Array, Axes, bool]:
    """Draw an array, some of its axes (none: all) and keepdim."""
    shape = drawn_shape(draw)
    if draw.integer(0, 7) == 7:
        shape = draw.choice(((7, 33), (3, 2, 5, 4), (130,)))
    axes = tuple(i for i in range(len(shape)) if draw.boolean()) or tuple(range(len(shape)))
    return draw.array(shape, low, high, **options), axes, draw.boolean()


def spread(xp: Any, dy: Array, shape: tuple[int, ...], axes: Axes) -> Array:
    """Return dy, whose reduced axes are absent or of length 1, as a view of the shape before the reduction."""
    return xp.broadcast_to(dy.reshape(kept(shape, axes)), shape)


def keep(y: Array, shape: tuple[int, ...], axes: Axes, keepdim: bool) -> Array:
    """Return a reduction's result with its axes of length 1 if asked for."""
    return y.reshape(kept(shape, axes)) if keepdim else y


@kernel(out=reduced, flops=lambda x, axes: x.size)
def sum_forward(xp: Any, x: Array, axes: Axes) -> Array:
    """y = sum of x over the axes, which are dropped."""
    return x.sum(axes, dtype=total_type(x))


class Sum(Op):
    """y = sum over axes of x;  dx = dy repeated along them."""

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        self.save(x.shape, axes)
        return keep(self.k.sum_forward(x, axes), x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return spread(self.k.xp, dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_axes(draw)

    oracle = "torch.sum"


class Mean(Op):
    """y = sum over axes of x / n;  dx = dy / n repeated along them.  The mean of nothing is NaN."""

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        y = self.k.sum_forward(x, axes)
        n = x.size // y.size if y.size else 1
        self.save(x.shape, axes, n)
        return keep(self.k.div(y, float(n)), x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        shape, axes, n = self.saved
        return spread(self.k.xp, self.k.div(dy, float(n)), shape, axes), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_axes(draw)

    oracle = "torch.mean"


@kernel(out=reduced, flops=lambda x, axes: x.size)
def prod_forward(xp: Any, x: Array, axes: Axes) -> Array:
    """y = product of x over the axes, which are dropped."""
    return x.prod(axes, dtype=total_type(x))


@kernel(out=lambda dy, x, axes: [x.shape], flops=lambda dy, x, axes: 4 * x.size)
def prod_backward(xp: Any, dy: Array, x: Array, axes: Axes) -> Array:
    """dy times the product of all other elements: of those before and those after, so zeros need no division."""
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    line = x.transpose(rest + axes).reshape(*(x.shape[i] for i in rest), -1)
    one = xp.ones_like(line[..., :1])
    before = xp.cumprod(xp.concatenate([one, line[..., :-1]], -1), -1)
    after = xp.flip(xp.cumprod(xp.concatenate([one, xp.flip(line, -1)[..., :-1]], -1), -1), -1)
    others = (before * after).reshape([x.shape[i] for i in rest + axes])
    return dy.reshape(kept(x.shape, axes)) * others.transpose(inverse_order(rest + axes))


class Prod(Op):
    """y = product over axes of x;  dx_i = dy prod_{j != i} x_j, also where elements are 0."""

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        self.save(x, axes)
        return keep(self.k.prod_forward(x, axes), x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return (self.k.prod_backward(dy, *self.saved) if self.saved[0].size else self.saved[0]), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, axes, keepdim = drawn_axes(draw, 0.5, 1.5)
        if x.size and draw.boolean():
            x.reshape(-1)[draw.integer(0, x.size - 1)] = 0
        return x, axes, keepdim

    @staticmethod
    def oracle(torch: Any, x: Any, axes: Axes, keepdim: bool) -> Any:
        for a in reversed(axes):
            x = torch.prod(x, a, keepdim=keepdim)
        return x


@kernel(out=reduced, flops=lambda x, axes: 12 * x.size)
def logsumexp_forward(xp: Any, x: Array, axes: Axes) -> Array:
    """y = m + ln sum e^(x - m) over the axes, m = max x."""
    top = x.max(axes, keepdims=True, initial=-float("inf"))
    top = xp.where(xp.isfinite(top), top, 0)  # a row of -inf gives log(0) = -inf
    return xp.log(xp.exp(x - top).sum(axes)) + top.reshape(dropped(x.shape, axes))


@kernel(out=lambda dy, x, y, axes: [x.shape], flops=lambda dy, x, y, axes: 12 * x.size)
def logsumexp_backward(xp: Any, dy: Array, x: Array, y: Array, axes: Axes) -> Array:
    """dx = dy e^(x - y), and 0 in a row of -inf; nan, where x or y is nan or both are inf, comes out."""
    y = xp.where(y == -float("inf"), 0, y).reshape(kept(x.shape, axes))
    return dy.reshape(y.shape) * xp.exp(x - y)


class LogSumExp(Op):
    """y = log sum e^x, shifted by the largest x;  dx = dy e^(x - y), and 0 in a row of -inf."""

    oracle = "torch.logsumexp"

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        y = self.k.logsumexp_forward(x, axes)
        self.save(x, y, axes)
        return keep(y, x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return self.k.logsumexp_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_axes(draw, -5, 5)


@kernel(out=lambda x, p, axes: reduced(x, axes), flops=lambda x, p, axes: 20 * x.size)
def norm_forward(xp: Any, x: Array, p: float, axes: Axes) -> Array:
    """y = (sum |x|^p)^(1/p) over the axes; p = inf: max |x|, -inf: min |x|, 0: the number of non-zeros."""
    size = xp.abs(x)
    if p == 0:
        return (x != 0).sum(axes).astype(x.dtype)
    if p in (float("inf"), -float("inf")):
        return size.max(axes, initial=0) if p > 0 else size.min(axes, initial=float("inf"))
    if p == 1:
        return size.sum(axes)
    return xp.sqrt((x * x).sum(axes)) if p == 2 else (size**p).sum(axes) ** (1 / p)


@kernel(out=lambda dy, x, y, p, axes: [x.shape], flops=lambda dy, x, y, p, axes: 24 * x.size)
def norm_backward(xp: Any, dy: Array, x: Array, y: Array, p: float, axes: Axes) -> Array:
    """dx = dy sign(x) (|x| / y)^(p-1); p = +-inf: shared by the x of size y; 0 for p = 0 and where y = 0."""
    dy, y = dy.reshape(kept(x.shape, axes)), y.reshape(kept(x.shape, axes))
    if p == 0:
        return xp.zeros_like(x)
    if p in (float("inf"), -float("inf")):
        chosen = (xp.abs(x) == y).astype(x.dtype)
        return dy * xp.sign(x) * chosen / chosen.sum(axes, keepdims=True)
    if p == 1:
        return dy * xp.sign(x)
    safe = xp.where(y == 0, 1, y)
    if p == 2:
        return xp.where(y == 0, 0, dy * x / safe)
    size = xp.where(x == 0, 1, xp.abs(x))
    return xp.where((y == 0) | (x == 0), 0, dy * xp.sign(x) * (size / safe) ** (p - 1))


class Norm(Op):
    """y = (sum |x|^p)^(1/p);  dx = dy sign(x) (|x| / y)^(p-1), 0 where x or y is 0.

    p = inf: the largest |x|, the gradient shared equally among ties; p = 0: the count of nonzero elements, gradient 0.
    """

    def forward(self, x: Array, p: float, axes: Axes, keepdim: bool) -> Array:
        y = self.k.norm_forward(x, p, axes)
        self.save(x, y, p, axes)
        return keep(y, x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return self.k.norm_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, axes, keepdim = drawn_axes(draw, avoid=(0.0,), margin=0.1)
        p = draw.choice((2.0, 1.0, float("inf"), 3.0, 1.5, 0.5))
        return (draw.array(x.shape, 0.1, 2, distinct=True) if p > 10 else x), p, axes, keepdim

    @staticmethod
    def oracle(torch: Any, x: Any, p: float, axes: Axes, keepdim: bool) -> Any:
        if x.numel() == 0 and p > 10:  # torch refuses an empty maximum
            return torch.linalg.vector_norm(x, 1.0, axes, keepdim)
        return torch.linalg.vector_norm(x, p, axes, keepdim)


@kernel(out=lambda x, axes, which: [(dropped(x.shape, axes), bool)], flops=lambda x, axes, which: x.size)
def truth_forward(xp: Any, x: Array, axes: Axes, which: str) -> Array:
    """y = whether any x != 0 over the axes, or all of them, as bool."""
    return (x != 0).any(axes) if which == "any" else (x != 0).all(axes)


class Truth(Op):
    """y = whether any, or all, elements over some axes are not zero."""

    backward = None

    def forward(self, x: Array, axes: Axes, which: str, keepdim: bool) -> Array:
        return keep(self.k.truth_forward(x, axes, which), x.shape, axes, keepdim)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, axes, keepdim = drawn_axes(draw)
        true = np.asarray(x > draw.choice((0.0, 1.5, -1.5)))
        return np.asarray(x * true) if draw.boolean() else true, axes, draw.choice(("any", "all")), keepdim

    @staticmethod
    def oracle(torch: Any, x: Any, axes: Axes, which: str, keepdim: bool) -> Any:
        for a in reversed(axes):
            x = getattr(torch, which)(x, a, keepdim=keepdim)
        return x


# ------------------------------------------------------------------------------------------------ public functions


def floats_only(name: str, input: Any) -> None:
    """Raise for integers, as PyTorch does where a result would not be an integer."""
    if input.array.dtype.kind != "f":
        raise TypeError(f"{name}: needs a floating-point tensor, got {input.array.dtype}; convert it with .float()")


def converted(name: str, input: Any, dtype: Any) -> Any:
    """Return the input in another dtype, where one is asked for."""
    return input if dtype is None else Cast.apply(input, as_dtype(name, dtype))


@numpy_names
def sum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Compute the sum over axes.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor without the reduced axes; integers and bool give int64.

    Raises:
        IndexError: An axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.sum(tinymed.ones(2, 3), 1).tolist()
        [3.0, 3.0]
    """
    input = converted("sum", input, dtype)
    return Sum.apply(input, some_axes("sum", dim, input.array.ndim), bool(keepdim))


@numpy_names
def mean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Compute the mean over axes.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor without the reduced axes.

    Raises:
        TypeError: The input is not of floating-point numbers.
        IndexError: An axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.mean(tinymed.tensor([[1.0, 3.0], [5.0, 7.0]]), 1).tolist()
        [2.0, 6.0]
    """
    input = converted("mean", input, dtype)
    floats_only("mean", input)
    return Mean.apply(input, some_axes("mean", dim, input.array.ndim), bool(keepdim))


@numpy_names
def prod(input: Tensor, dim: int | None = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Compute the product over axes.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor without the reduced axes; integers and bool give int64.

    Raises:
        IndexError: An axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.prod(tinymed.tensor([2, 3, 4])).item()
        24
    """
    input = converted("prod", input, dtype)
    return Prod.apply(input, some_axes("prod", dim, input.array.ndim), bool(keepdim))


@numpy_names
def logsumexp(input: Tensor, dim: Dim, keepdim: bool = False) -> Tensor:
    """Compute log(sum of e^x) over axes, without overflow.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A tensor without the reduced axes.

    Raises:
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.logsumexp(tinymed.tensor([1000.0, 0.0]), 0).item()
        1000.0
    """
    floats_only("logsumexp", input)
    return LogSumExp.apply(input, some_axes("logsumexp", dim, input.array.ndim), bool(keepdim))


@numpy_names
def norm(input: Tensor, p: float | str = 2, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Compute the p-norm of the elements over axes: (sum of |x|^p)^(1/p).

    Args:
        input: Floating-point tensor of any shape.
        p: A number, inf, -inf, "fro" for 2, or "nuc" for the sum of the singular values over two axes.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A tensor without the reduced axes.

    Raises:
        ValueError: p is another string, or "nuc" over other than two axes.
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.norm(tinymed.tensor([3.0, 4.0])).item()
        5.0
    """
    if isinstance(p, str) and p not in ("fro", "nuc"):
        unknown("norm", "p", p, 'a number, inf, "fro" or "nuc"')
    floats_only("norm", input)
    axes = some_axes("norm", dim, input.array.ndim)
    if p == "nuc":
        if len(axes) != 2:
            raise ValueError(
                f'norm: p="nuc" takes two axes, got {len(axes)} of shape {list(input.shape)}; name them by dim'
            )
        return NuclearNorm.apply(input, axes, bool(keepdim))
    return Norm.apply(input, 2.0 if isinstance(p, str) else float(p), axes, bool(keepdim))


def unknown(name: str, argument: str, given: Any, accepted: str) -> NoReturn:
    """Raise for an argument's value."""
    raise ValueError(f"{name}: {argument} is {accepted}, got {given!r}")


@numpy_names
def any(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Return whether any element over axes is not zero.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A bool tensor without the reduced axes.

    Example:
        >>> import tinymed
        >>> tinymed.any(tinymed.tensor([[0, 1], [0, 0]]), 1).tolist()
        [True, False]
    """
    return Truth.apply(input, some_axes("any", dim, input.array.ndim), "any", bool(keepdim))


@numpy_names
def all(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Return whether all elements over axes are not zero.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A bool tensor without the reduced axes.

    Example:
        >>> import tinymed
        >>> tinymed.all(tinymed.tensor([[0, 1], [1, 1]]), 1).tolist()
        [False, True]
    """
    return Truth.apply(input, some_axes("all", dim, input.array.ndim), "all", bool(keepdim))


__all__ = ["all", "any", "logsumexp", "mean", "norm", "prod", "sum"]
