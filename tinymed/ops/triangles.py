"""Diagonals and triangles of matrices: views where PyTorch has views."""

from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer, one_axis
from .reduce import sum


def cut(a: Array, offset: int) -> tuple[int, int, int]:
    """Return (first row, first column, length) of a diagonal of the last two axes."""
    rows, columns = a.shape[-2:]
    row, column = max(0, -offset), max(0, offset)
    return row, column, max(0, min(rows - row, columns - column))


def diagonal_view(x: Array, offset: int, axis1: int, axis2: int) -> Array:
    """Return the diagonal of two axes, which go, as a new last axis: a view that can be written where x can."""
    view = x.diagonal(offset, axis1, axis2)
    if isinstance(x, np.ndarray) and x.flags.writeable:
        view.flags.writeable = True
    return view


@kernel(out=lambda dy, shape, *_: [shape], flops=lambda *_: 0)
def diagonal_backward(xp: Any, dy: Array, shape: tuple[int, ...], offset: int, axis1: int, axis2: int) -> Array:
    """dx = dy on a diagonal of two axes, else 0."""
    dx = xp.zeros(shape, dy.dtype)
    rest = [a for a in range(dx.ndim) if a not in (axis1, axis2)]
    row, column, n = cut(dx.transpose((*rest, axis1, axis2)), offset)
    steps = xp.arange(n)
    dx.transpose((*rest, axis1, axis2))[..., row + steps, column + steps] = dy
    return dx


class Diagonal(Op):
    """y[..., i] = x[..., i, i + offset] of two axes, as a view;  dx = dy there, else 0."""

    oracle = "torch.diagonal"
    view = True

    def forward(self, x: Array, offset: int, axis1: int, axis2: int) -> Array:
        self.save(x.shape, offset, axis1, axis2)
        return diagonal_view(x, offset, axis1, axis2)

    def backward(self, dy: Array) -> Any:
        return self.k.diagonal_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(2, 4)
        axes = list(range(len(shape)))
        first = axes.pop(draw.integer(0, len(axes) - 1))
        return draw.array(shape), draw.integer(-3, 3), first, axes[draw.integer(0, len(axes) - 1)]


class DiagonalEmbed(Op):
    """y = x on a diagonal of two new axes, else 0;  dx = the diagonal of dy."""

    oracle = "torch.diag_embed"

    def forward(self, x: Array, offset: int, axis1: int, axis2: int) -> Array:
        self.save(offset, axis1, axis2)
        side = x.shape[-1] + abs(offset)
        shape = list(x.shape[:-1])
        for axis in sorted((axis1, axis2)):
            shape.insert(axis, side)
        return self.k.diagonal_backward(x, tuple(shape), offset, axis1, axis2)

    def backward(self, dy: Array) -> Any:
        return diagonal_view(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 3)
        axes = list(range(len(shape) + 1))
        first = axes.pop(draw.integer(0, len(axes) - 1))
        return draw.array(shape), draw.integer(-2, 2), first, axes[draw.integer(0, len(axes) - 1)]


@kernel(flops=lambda *_: 0, out=lambda x, *_: [x.shape])
def triangle_forward(xp: Any, x: Array, diagonal: int, part: str) -> Array:
    """y = x on and above ("upper") or below ("lower") a diagonal of the last two axes, else 0."""
    return (xp.triu if part == "upper" else xp.tril)(x, diagonal)


class Triangle(Op):
    """y = the upper or lower triangle of the last two axes, else 0;  dx = that of dy."""

    def forward(self, x: Array, diagonal: int, part: str) -> Array:
        self.save(diagonal, part)
        return self.k.triangle_forward(x, diagonal, part)

    def backward(self, dy: Array) -> Any:
        return self.k.triangle_forward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape(2, 4)), draw.integer(-3, 3), draw.choice(("upper", "lower"))

    @staticmethod
    def oracle(torch: Any, x: Any, diagonal: int, part: str) -> Any:
        return (torch.triu if part == "upper" else torch.tril)(x, diagonal)


# ------------------------------------------------------------------------------------------------ public functions


def matrices(name: str, input: Any) -> Any:
    """Return the input, which must have at least two axes."""
    if input.array.ndim < 2:
        raise ValueError(f"{name}: takes matrices (..., rows, columns), got shape {list(input.shape)}")
    return input


def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """Return the elements of matrices on and below a diagonal, 0 elsewhere.

    Args:
        input: Tensor with at least two axes.
        diagonal: 0 for the main diagonal, positive above it.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: There are fewer than two axes.

    Example:
        >>> import tinymed
        >>> tinymed.tril(tinymed.ones(2, 2)).tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    return Triangle.apply(matrices("tril", input), integer("tril", "diagonal", diagonal), "lower")


def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """Return the elements of matrices on and above a diagonal, 0 elsewhere.

    Args:
        input: Tensor with at least two axes.
        diagonal: 0 for the main diagonal, positive above it.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: There are fewer than two axes.

    Example:
        >>> import tinymed
        >>> tinymed.triu(tinymed.ones(2, 2)).tolist()
        [[1.0, 1.0], [0.0, 1.0]]
    """
    return Triangle.apply(matrices("triu", input), integer("triu", "diagonal", diagonal), "upper")


def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """Return the diagonal of two axes as a new last axis, a view.

    Args:
        input: Tensor with at least two axes.
        offset: 0 for the main diagonal, positive above it.
        dim1, dim2: The axes.

    Returns:
        A tensor of the input's dtype with one axis fewer.

    Raises:
        ValueError: The axes are not two different ones.

    Example:
        >>> import tinymed
        >>> tinymed.diagonal(tinymed.tensor([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    axes = [one_axis("diagonal", d, input.array.ndim) for d in (dim1, dim2)]
    if input.array.ndim < 2 or axes[0] == axes[1]:
        raise ValueError(f"diagonal: needs two different axes, got {dim1} and {dim2} of {list(input.shape)}")
    return Diagonal.apply(input, integer("diagonal", "offset", offset), *axes)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Return matrices whose diagonal is the last axis of the input, 0 elsewhere.

    Args:
        input: Tensor with at least one axis.
        offset: 0 for the main diagonal, positive above it.
        dim1, dim2: The axes of the matrices.

    Returns:
        A tensor of the input's dtype with one axis more.

    Raises:
        ValueError: There is no axis, or the two axes are one.

    Example:
        >>> import tinymed
        >>> tinymed.diag_embed(tinymed.tensor([5, 6])).tolist()
        [[5, 0], [0, 6]]
    """
    if not input.array.ndim:
        raise ValueError("diag_embed: needs at least one axis")
    axes = [one_axis("diag_embed", d, input.array.ndim + 1) for d in (dim1, dim2)]
    if axes[0] == axes[1]:
        raise ValueError(f"diag_embed: dim1 and dim2 are both axis {axes[0]}")
    return DiagonalEmbed.apply(input, integer("diag_embed", "offset", offset), *axes)


def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """Return the matrix with a vector on its diagonal, or the diagonal of a matrix.

    Args:
        input: A vector or a matrix.
        diagonal: 0 for the main diagonal, positive above it.

    Returns:
        A matrix or a vector of the input's dtype.

    Raises:
        ValueError: The input is neither.

    Example:
        >>> import tinymed
        >>> tinymed.diag(tinymed.tensor([[1, 2], [3, 4]])).tolist()
        [1, 4]
    """
    offset = integer("diag", "diagonal", diagonal)
    if input.array.ndim == 1:
        return DiagonalEmbed.apply(input, offset, 0, 1)
    if input.array.ndim != 2:
        raise ValueError(f"diag: takes a vector or a matrix, got shape {list(input.shape)}")
    return Diagonal.apply(input, offset, 0, 1)


def trace(input: Tensor) -> Tensor:
    """Compute the sum of the diagonal of a matrix.

    Args:
        input: A matrix.

    Returns:
        A tensor without axes; integers give int64.

    Raises:
        ValueError: The input is not a matrix.

    Example:
        >>> import tinymed
        >>> tinymed.trace(tinymed.eye(3)).item()
        3.0
    """
    if input.array.ndim != 2:
        raise ValueError(f"trace: takes a matrix, got shape {list(input.shape)}")
    return sum(Diagonal.apply(input, 0, 0, 1))


__all__ = ["diag", "diag_embed", "diagonal", "trace", "tril", "triu"]
