"""Writing elements into a copy by index or mask: scatter, index_add and its kin, masked_fill, masked_select."""

from typing import Any

import numpy as np

from .. import devices
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .axes import numpy_names, one_axis
from .broadcast import operands
from .cast import Cast
from .elementwise import mul, number_beside, where
from .gather import Gather, checked_index, fits, places, scatter_add
from .indexing import Span, getitem
from .promotion import category
from .shape import clone, expand, reshape


@kernel(out=lambda x, *_: [x.shape], flops=lambda *_: 0)
def scatter_forward(xp: Any, x: Array, index: Array, source: Array, axis: int) -> Array:
    """y = x with y[index[i, j], j] = source[i, j] for axis 0, another axis likewise; of repeats the last stays."""
    y, source = x.copy(), source[tuple(slice(n) for n in index.shape)]
    index, source = xp.ascontiguousarray(index), xp.ascontiguousarray(source)  # or the order of writing is the memory's
    y[places(xp, index, axis)] = source
    return y


class Scatter(Op):
    """y = x with y[index[i, j], j] = source[i, j] for axis 0, likewise for others.

    dx = dy with 0 at the places written, dsource = dy there.  Which of repeated places stays is not defined.
    """

    def forward(self, x: Array, index: Array, source: Array, axis: int) -> Array:
        self.save(index, source.shape, axis)
        return self.k.scatter_forward(x, index, source, axis)

    def backward(self, dy: Array) -> Any:
        index, shape, axis = self.saved
        dx = self.k.scatter_forward(dy, index, self.k.full(index.shape, dy.dtype, 0), axis)
        if not self.needs[2]:
            return dx, None, None, None
        dsource = self.k.gather_forward(dy, index, axis)
        if shape != index.shape:
            dsource = self.k.getitem_backward(dsource, shape, tuple(Span(0, n) for n in index.shape))
        return dx, None, dsource, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, index, axis = Gather.samples(draw)
        n = min(index.shape[axis], x.shape[axis])  # no place twice: which of two values stays is not defined
        index = index[(slice(None),) * axis + (slice(n),)] * 0
        index += draw.integers((x.shape[axis],), 0, 9).argsort()[:n].reshape((-1,) + (1,) * (x.ndim - 1 - axis))
        return x, index, draw.array(tuple(k + draw.integer(0, 1) for k in index.shape)), axis

    @staticmethod
    def oracle(torch: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
        return torch.scatter(x, axis, index, source[tuple(slice(n) for n in index.shape)])


# ------------------------------------------------------------------------------------------------ public functions


@numpy_names
def scatter(
    input: Tensor,
    dim: int,
    index: Any,
    src: Tensor | None = None,
    *,
    value: Tensor | None = None,
    reduce: str | None = None,
) -> Tensor:
    """Return input with src[i, j] written at [index[i, j], j] for dim 0, at [i, index[i, j]] for dim 1, and so on.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: Integers with as many axes as the input.
        src: Of the input's dtype, at least as long as index along every axis.
        value: A number, instead of src.
        reduce: None, or "add" to add instead; "multiply" is not supported.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        TypeError: Neither or both of src and value are given, or src has another dtype.
        ValueError: reduce is unknown.
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.scatter(tinymed.zeros(3), 0, tinymed.tensor([2]), value=7).tolist()
        [0.0, 0.0, 7.0]
    """
    if (src is None) == (value is None):
        raise TypeError("scatter: give src (a tensor) or value (a number)")
    if reduce not in (None, "add"):
        raise ValueError(f'scatter: reduce is None or "add", got {reduce!r}')
    axis = one_axis("scatter", dim, input.array.ndim)
    index = checked_index("scatter", input, index, axis)
    given = value if src is None else src
    if not isinstance(given, Node):
        given = number_beside(input, given, input.array.dtype)
    if not given.array.ndim and index.array.ndim:
        given = given if given.array.dtype == input.array.dtype else Cast.apply(given, input.array.dtype)
        given = expand(given, index.array.shape)
    if reduce == "add":
        return scatter_add(input, dim, index, given)
    if not input.shape:
        return reshape(scatter(reshape(input, 1), 0, reshape(index, -1), reshape(given, -1)), ())
    fits("scatter", "input", input.shape, index.array.shape, axis)
    fits("scatter", "src", given.array.shape, index.array.shape, -1)
    if given.array.dtype != input.array.dtype:
        raise TypeError(f"scatter: src is {given.array.dtype}, input {input.array.dtype}; they must be equal")
    return Scatter.apply(input, index, given, axis)


def along_axis(name: str, input: Any, dim: Any, index: Any) -> tuple[int, Any, tuple[int, ...]]:
    """Return (axis, index shaped to broadcast along it, the shape of a source) for a vector of places."""
    axis = one_axis(name, dim, input.array.ndim)
    index = checked_index(name, input, index, axis)
    if index.array.ndim > 1:
        raise ValueError(f"{name}: index must be a vector, got shape {list(index.array.shape)}")
    shape = input.shape or (1,)
    source = (*shape[:axis], index.array.size, *shape[axis + 1 :])
    column = reshape(index, (-1,) + (1,) * (len(shape) - 1 - axis))
    return axis, expand(column, source), source


@numpy_names
def index_add(input: Tensor, dim: int, index: Any, source: Tensor, *, alpha: float = 1) -> Tensor:
    """Return input with alpha times source's slices added at the slices that a vector names.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: A vector of integers, which may repeat.
        source: As the input, with one slice per index.
        alpha: A factor of source.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.index_add(tinymed.zeros(3), 0, tinymed.tensor([2, 2]), tinymed.ones(2)).tolist()
        [0.0, 0.0, 2.0]
    """
    axis, places, shape = along_axis("index_add", input, dim, index)
    checked_source("index_add", input, source, shape)
    source = source if alpha == 1 else mul(source, alpha)
    return reshape(scatter_add(reshape(input, input.shape or 1), axis, places, reshape(source, shape)), input.shape)


@numpy_names
def index_copy(input: Tensor, dim: int, index: Any, source: Tensor) -> Tensor:
    """Return input with source's slices in place of the slices that a vector names.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: A vector of integers.
        source: As the input, with one slice per index.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.index_copy(tinymed.zeros(3), 0, tinymed.tensor([2]), tinymed.ones(1)).tolist()
        [0.0, 0.0, 1.0]
    """
    axis, places, shape = along_axis("index_copy", input, dim, index)
    checked_source("index_copy", input, source, shape)
    return reshape(scatter(reshape(input, input.shape or 1), axis, places, reshape(source, shape)), input.shape)


@numpy_names
def index_fill(input: Tensor, dim: int, index: Any, value: Tensor) -> Tensor:
    """Return input with one value in the slices that a vector names.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: A vector of integers.
        value: A number, or a tensor without axes.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.index_fill(tinymed.zeros(3), 0, tinymed.tensor([2, 0]), 5).tolist()
        [5.0, 0.0, 5.0]
    """
    axis, places, _ = along_axis("index_fill", input, dim, index)
    if isinstance(value, Node) and value.array.ndim:
        raise ValueError(f"index_fill: value is a number or a tensor without axes, got shape {list(value.array.shape)}")
    nowhere = input.result_class(
        devices.table_on(devices.of(input.array)).full(input.shape or (1,), np.dtype(bool), False)
    )
    return masked_fill(input, reshape(scatter(nowhere, axis, places, value=True), input.shape), value)


def checked_source(name: str, input: Any, source: Any, shape: tuple[int, ...]) -> None:
    """Raise unless a source has the input's dtype and one slice for each index."""
    if source.array.dtype != input.array.dtype:
        raise TypeError(f"{name}: source is {source.array.dtype}, input {input.array.dtype}; they must be equal")
    if tuple(source.shape) != shape and (source.shape or input.shape):
        raise ValueError(f"{name}: source has shape {list(source.shape)}, the index and input take {list(shape)}")


# --------------------------------------------------------------------------------------------------------- masks


def checked_mask(name: str, mask: Any) -> Any:
    """Return the mask as a tensor of bool."""
    (mask,) = operands(name, mask)
    if not isinstance(mask, Node) or mask.array.dtype.kind != "b":
        raise TypeError(f"{name}: mask must be a tensor of bool; compare, for instance x > 0")
    return mask


def masked_fill(input: Tensor, mask: Tensor, value: Tensor) -> Tensor:
    """Return input with one value where a mask holds.

    Args:
        input: Tensor of any shape.
        mask: Bool tensor that broadcasts with the input.
        value: A number, or a tensor without axes.

    Returns:
        A tensor of the broadcast shape and the input's dtype.

    Raises:
        TypeError: The mask is not bool, or the value does not fit the dtype.

    Example:
        >>> import tinymed
        >>> tinymed.masked_fill(tinymed.zeros(2), tinymed.tensor([True, False]), 9).tolist()
        [9.0, 0.0]
    """
    mask = checked_mask("masked_fill", mask)
    dtype = input.array.dtype
    if isinstance(value, Node):
        if value.array.ndim:
            raise ValueError(f"masked_fill: value is a number or a tensor without axes, got {list(value.array.shape)}")
        if category(value.array.dtype) > category(dtype):
            raise TypeError(f"masked_fill: a value of {value.array.dtype} cannot be written into a tensor of {dtype}")
        value = value if value.array.dtype == dtype else Cast.apply(value, dtype)
    else:
        value = number_beside(input, value, dtype)
    return where(mask, value, input)


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """Return the elements where a mask holds, as a vector.

    The number of elements is read from the mask, so a recorded step refuses it.

    Args:
        input: Tensor of any shape.
        mask: Bool tensor that broadcasts with the input.

    Returns:
        A vector of the input's dtype.

    Raises:
        TypeError: The mask is not bool.

    Example:
        >>> import tinymed
        >>> x = tinymed.arange(4)
        >>> tinymed.masked_select(x, x > 1).tolist()
        [2, 3]
    """
    mask = checked_mask("masked_select", mask)
    shape = np.broadcast_shapes(input.shape, mask.array.shape)
    if not shape:
        return reshape(clone(input), 1) if mask.array.item() else getitem(reshape(input, 1), slice(0, 0))
    return getitem(expand(input, shape), expand(mask, shape))


@numpy_names
def take(input: Tensor, index: Any) -> Tensor:
    """Return the elements at places of the flattened input.

    Args:
        input: Tensor of any shape.
        index: Integers of any shape; negative ones count from the end.

    Returns:
        A tensor of the input's dtype in the shape of index.

    Raises:
        TypeError: index is not of integers.
        IndexError: An index is out of range.

    Example:
        >>> import tinymed
        >>> tinymed.take(tinymed.tensor([[1, 2], [3, 4]]), tinymed.tensor([3, -4])).tolist()
        [4, 1]
    """
    (index,) = operands("take", index)
    if not isinstance(index, Node) or index.array.dtype.kind not in "iu":
        raise TypeError("take: index must be a tensor of integers")
    size = input.array.size
    if index.array.size and not (index.array.min() >= -size and index.array.max() < size):
        raise IndexError(f"take: index reaches from {index.array.min()} to {index.array.max()} of {size} elements")
    return reshape(getitem(reshape(input, -1), reshape(index, -1)), index.array.shape)


__all__ = [
    "index_add",
    "index_copy",
    "index_fill",
    "masked_fill",
    "masked_select",
    "scatter",
    "take",
]
