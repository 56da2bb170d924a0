"""Picking and adding up elements along one axis by index: gather, scatter_add, index_select, one_hot."""

from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op, host_read
from .axes import kept, numpy_names, one_axis
from .broadcast import operands
from .compare import lt
from .elementwise import add, where
from .indexing import Span, Take, getitem
from .shape import expand, reshape


@kernel(out=lambda x, index, axis: [index.shape], flops=lambda *_: 0)
def gather_forward(xp: Any, x: Array, index: Array, axis: int) -> Array:
    """y[i, j] = x[index[i, j], j] for axis 0; for another axis, index replaces the place along that one."""
    return x[places(xp, index, axis)]


@kernel(out=lambda x, index, source, axis: [x.shape], flops=lambda x, index, source, axis: index.size)
def scatter_add_forward(xp: Any, x: Array, index: Array, source: Array, axis: int) -> Array:
    """y = x, then y[index[i, j], j] += source[i, j] for axis 0 (another axis likewise); repeats add up."""
    y = x.copy()
    xp.add.at(y, places(xp, index, axis), source[tuple(slice(n) for n in index.shape)])
    return y


@kernel(out=lambda dy, index, n, axis: [(*dy.shape[:axis], n, *dy.shape[axis + 1 :])], flops=lambda dy, *_: dy.size)
def gather_backward(xp: Any, dy: Array, index: Array, n: int, axis: int) -> Array:
    """dx[index[i, j], j] += dy[i, j] for axis 0 (another axis likewise), whose length becomes n; repeats add up."""
    dx = xp.zeros((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype)
    xp.add.at(dx, places(xp, index, axis), dy)
    return dx


def places(xp: Any, index: Array, axis: int) -> tuple[Array, ...]:
    """Return for each element of index its own coordinates, but index itself along the axis."""
    own = [xp.arange(n).reshape((n,) + (1,) * (index.ndim - 1 - a)) for a, n in enumerate(index.shape)]
    return tuple(index if a == axis else o for a, o in enumerate(own))


class Gather(Op):
    """y[i, j] = x[index[i, j], j] for axis 0, likewise for others;  dx = dy added up at those places."""

    def forward(self, x: Array, index: Array, axis: int) -> Array:
        self.save(index, x.shape, axis)
        return self.k.gather_forward(x, index, axis)

    def backward(self, dy: Array) -> Any:
        index, shape, axis = self.saved
        if dy.shape == (*shape[:axis], dy.shape[axis], *shape[axis + 1 :]):
            return self.k.gather_backward(dy, index, shape[axis], axis), None, None
        return self.k.scatter_add_forward(self.k.full(shape, dy.dtype, 0), index, dy, axis), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 3)
        axis = draw.integer(0, len(shape) - 1)
        smaller = tuple(draw.integer(1, n) for n in shape)
        index = draw.integers((*smaller[:axis], draw.integer(1, 6), *smaller[axis + 1 :]), 0, shape[axis] - 1)
        return draw.array(shape), index, axis

    @staticmethod
    def oracle(torch: Any, x: Any, index: Any, axis: int) -> Any:
        return torch.gather(x, axis, index)


class ScatterAdd(Op):
    """y = x with y[index[i, j], j] += source[i, j] for axis 0, likewise for others;  dsource = dy at those places."""

    def forward(self, x: Array, index: Array, source: Array, axis: int) -> Array:
        self.save(index, source.shape, axis)
        return self.k.scatter_add_forward(x, index, source, axis)

    def backward(self, dy: Array) -> Any:
        index, shape, axis = self.saved
        if not self.needs[2]:
            return dy, None, None, None
        dsource = self.k.gather_forward(dy, index, axis)
        if shape != index.shape:
            dsource = self.k.getitem_backward(dsource, shape, tuple(Span(0, n) for n in index.shape))
        return dy, None, dsource, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, index, axis = Gather.samples(draw)
        return x, index, draw.array(tuple(n + draw.integer(0, 1) for n in index.shape)), axis

    @staticmethod
    def oracle(torch: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
        return torch.scatter_add(x, axis, index, source[tuple(slice(n) for n in index.shape)])


@kernel(out=lambda index, classes: [((*index.shape, classes), "int64")], flops=lambda *_: 0)
def one_hot_forward(xp: Any, index: Array, classes: int) -> Array:
    """y[..., c] = 1 where index = c, else 0, in int64: shape (*index.shape, classes)."""
    return (xp.expand_dims(index, -1) == xp.arange(classes)).astype(xp.int64)


class OneHot(Op):
    """y[..., c] = 1 where c is the index, else 0."""

    oracle = "torch.nn.functional.one_hot"
    backward = None

    def forward(self, index: Array, classes: int) -> Array:
        return self.k.one_hot_forward(index, classes)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        classes = draw.integer(1, 5)
        return draw.integers(draw.shape(0, 3), 0, classes - 1), classes


# ------------------------------------------------------------------------------------------------ public functions


def checked_index(name: str, input: Any, index: Any, axis: int) -> Any:
    """Return the index as a tensor of integers within the axis."""
    if isinstance(index, np.ndarray):
        _, index = operands(name, input, index)  # beside the input
    (index,) = operands(name, index)
    if not isinstance(index, Node) or index.array.dtype.kind not in "iu":
        raise TypeError(f"{name}: index must be a tensor of integers")
    n = input.shape[axis] if input.shape else 1
    if index.array.size and not (index.array.min() >= 0 and index.array.max() < n):
        raise IndexError(
            f"{name}: index reaches from {index.array.min()} to {index.array.max()}, axis {axis} has length {n}"
        )
    return index


@numpy_names
def gather(input: Tensor, dim: int, index: Any) -> Tensor:
    """Pick elements along an axis: input[index[i, j], j] for dim 0, input[i, index[i, j]] for dim 1, and so on.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: Integers with as many axes as the input, at most as long along the other axes.

    Returns:
        A tensor of the input's dtype in the shape of index.

    Raises:
        IndexError: An index is out of range.
        ValueError: Shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.gather(tinymed.tensor([[1, 2], [3, 4]]), 1, tinymed.tensor([[1], [0]])).tolist()
        [[2], [3]]
    """
    axis = one_axis("gather", dim, input.array.ndim)
    index = checked_index("gather", input, index, axis)
    if not index.array.size:
        return reshape(getitem(reshape(input, -1), slice(0, 0)), index.shape)
    if not input.shape or not index.shape:  # one element counts as a vector of one
        return reshape(Gather.apply(reshape(input, input.shape or 1), reshape(index, index.shape or 1), 0), index.shape)
    fits("gather", "input", input.shape, index.shape, axis)
    return Gather.apply(input, index, axis)


@numpy_names
def scatter_add(input: Tensor, dim: int, index: Any, src: Tensor) -> Tensor:
    """Return input with src[i, j] added at [index[i, j], j] for dim 0, at [i, index[i, j]] for dim 1, and so on.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: Integers with as many axes as the input.
        src: Of the input's dtype, at least as long as index along every axis.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        IndexError: An index is out of range.
        TypeError: src has another dtype.

    Example:
        >>> import tinymed
        >>> tinymed.scatter_add(tinymed.zeros(3), 0, tinymed.tensor([2, 2]), tinymed.ones(2)).tolist()
        [0.0, 0.0, 2.0]
    """
    axis = one_axis("scatter_add", dim, input.array.ndim)
    if not input.shape:  # a number is a line of one
        return reshape(scatter_add(reshape(input, 1), 0, reshape(index, -1), reshape(src, -1)), ())
    index = checked_index("scatter_add", input, index, axis)
    fits("scatter_add", "input", input.shape, index.shape, axis)
    fits("scatter_add", "src", src.shape, index.shape, -1)
    if src.array.dtype != input.array.dtype:
        raise TypeError(f"scatter_add: src is {src.array.dtype}, input {input.array.dtype}; they must be equal")
    return ScatterAdd.apply(input, index, src, axis)


def fits(name: str, what: str, shape: tuple[int, ...], index: tuple[int, ...], axis: int) -> None:
    """Raise unless an index is no longer than an array along every axis but one."""
    if len(shape) != len(index) or any(i > n for a, (i, n) in enumerate(zip(index, shape, strict=True)) if a != axis):
        raise ValueError(
            f"{name}: index {list(index)} must have as many axes as {what} {list(shape)}, none longer"
            f"{'' if axis < 0 else f' but axis {axis}'}"
        )


@numpy_names
def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """Return the slices along an axis that a vector of integers names.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: A vector of integers, which may repeat.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: index has more than one axis.
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.index_select(tinymed.eye(3), 0, tinymed.tensor([2, 0])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    axis = one_axis("index_select", dim, input.array.ndim)
    index = checked_index("index_select", input, index, axis)
    if index.array.ndim > 1:
        raise ValueError(f"index_select: index must be a vector, got shape {list(index.shape)}")
    if not input.array.ndim:
        if index.array.size != 1:
            raise ValueError(f"index_select: a tensor without axes has one element, the index {index.array.size}")
        return reshape(Take.apply(reshape(input, 1), (True,), reshape(index, -1)), ())
    return Take.apply(input, (False,) * axis + (True,), reshape(index, -1))


@numpy_names
def take_along_dim(input: Tensor, indices: Any, dim: int | None = None) -> Tensor:
    """Pick elements along an axis as gather does, input and indices broadcast along the others.

    Args:
        input: Tensor of any shape.
        indices: Integers with as many axes as the input; negative ones count from the end.
        dim: The axis; None flattens both.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The numbers of axes differ, or there is none and dim is not None.

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor([[3, 1], [2, 4]])
        >>> tinymed.take_along_dim(x, x.argsort(1), 1).tolist()
        [[1, 3], [2, 4]]
    """
    (indices,) = operands("take_along_dim", indices)
    if dim is None:
        return gather(reshape(input, -1), 0, reshape(indices, -1))
    axis = one_axis("take_along_dim", dim, input.array.ndim)
    if len(indices.shape) != len(input.shape):
        raise ValueError(
            f"take_along_dim: indices {list(indices.shape)} need as many axes as input {list(input.shape)}"
        )
    if not input.shape:
        raise ValueError(f"take_along_dim: a number has no axis {dim}; dim None takes it by the index 0")
    n = input.shape[axis]
    if indices.array.size and indices.array.min() < 0:  # counted from the end
        indices = where(lt(indices, 0), add(indices, n), indices)
    full = np.broadcast_shapes(*(kept(x.shape, (axis,)) for x in (input, indices)))
    input, indices = (expand(x, (*full[:axis], x.shape[axis], *full[axis + 1 :])) for x in (input, indices))
    return gather(input, axis, indices)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Encode class numbers as vectors with a 1 at each number.

    Args:
        tensor: Integers of any shape, at least 0.
        num_classes: The length of the vectors; -1 for the largest number and one.

    Returns:
        An int64 tensor (*shape, num_classes).

    Raises:
        TypeError: The numbers are not integers.
        ValueError: A number does not fit, or the number of classes of an empty tensor is not given.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.one_hot(tinymed.tensor([1, 0]), 3).tolist()
        [[0, 1, 0], [1, 0, 0]]
    """
    if tensor.array.dtype.kind not in "iu":
        raise TypeError(f"one_hot: needs integers, got {tensor.array.dtype}")
    if num_classes == -1 and not tensor.array.size:
        raise ValueError("one_hot: the number of classes of an empty tensor is unknown; give num_classes")
    if num_classes == -1:
        host_read("one_hot without num_classes")
    low, high = (int(tensor.array.min()), int(tensor.array.max())) if tensor.array.size else (0, 0)
    classes = high + 1 if num_classes == -1 else num_classes
    if low < 0 or high >= classes or classes < 1:
        raise ValueError(f"one_hot: indices reach from {low} to {high}, which does not fit {classes} classes")
    return OneHot.apply(tensor, classes)


__all__ = ["gather", "index_select", "one_hot", "scatter_add", "take_along_dim"]
