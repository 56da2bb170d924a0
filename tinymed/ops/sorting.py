"""Sorting along an axis: values and indices; NaN counts as the largest.  topk, argsort, median and kthvalue follow."""

from typing import Any, NamedTuple

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer, numpy_names, one_axis
from .reduce import floats_only
from .shape import reshape, squeeze


class Sorted(NamedTuple):
    """Values and their indices, as sort, topk, median and kthvalue return them."""

    values: Any
    indices: Any


@kernel(out=lambda x, axis, descending: [(x.shape, "int64")], flops=lambda x, *_: 20 * x.size)
def argsort_forward(xp: Any, x: Array, axis: int, descending: bool) -> Array:
    """Return the indices that sort x along the axis; equal elements stay in order."""
    if not x.ndim:
        return xp.zeros((), xp.int64)
    if not descending:
        return xp.argsort(x, axis, kind="stable").astype(xp.int64)
    backwards = xp.argsort(xp.flip(x, axis), axis, kind="stable")
    return (x.shape[axis] - 1 - xp.flip(backwards, axis)).astype(xp.int64)


@kernel(out=lambda x, indices, axis: [indices.shape], flops=lambda *_: 0)
def along_forward(xp: Any, x: Array, indices: Array, axis: int) -> Array:
    """Return x taken at the indices along the axis."""
    return xp.take_along_axis(x, indices, axis) if x.ndim else x.copy()


class Sort(Op):
    """(values, indices) of x sorted along an axis, equal elements in order;  dx = dy at the indices."""

    def forward(self, x: Array, axis: int, descending: bool) -> tuple[Array, Array]:
        indices = self.k.argsort_forward(x, axis, descending)
        self.save(indices, axis)
        return self.k.along_forward(x, indices, axis), indices

    def backward(self, dy: Array, _: Any) -> Any:
        indices, axis = self.saved
        if not dy.ndim:
            return dy, None, None
        return self.k.gather_backward(dy, indices, dy.shape[axis], axis), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.shape(), distinct=True)
        return x, draw.integer(0, (x.ndim or 1) - 1), draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, axis: int, descending: bool) -> Any:
        return tuple(torch.sort(x, axis, descending))


@kernel(
    out=lambda x, axis, descending, first, count: [((*x.shape[:axis], count, *x.shape[axis + 1 :]), "int64")],
    flops=lambda x, *_: 20 * x.size,
)
def argsort_part_forward(xp: Any, x: Array, axis: int, descending: bool, first: int, count: int) -> Array:
    """Return `count` of the indices that sort x along the axis, from place `first` on."""
    part = (*[slice(None)] * axis, slice(first, first + count))
    return xp.ascontiguousarray(argsort_forward(xp, x, axis, descending)[part])


class SortPart(Op):
    """(values, indices) at places first ... first + count - 1 of x sorted along an axis;  dx = dy at the indices."""

    def forward(self, x: Array, axis: int, descending: bool, first: int, count: int) -> tuple[Array, Array]:
        indices = self.k.argsort_part_forward(x, axis, descending, first, count)
        self.save(indices, x.shape[axis], axis)
        return self.k.along_forward(x, indices, axis), indices

    def backward(self, dy: Array, _: Any) -> Any:
        return self.k.gather_backward(dy, *self.saved), None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.shape(1), distinct=True)
        axis = draw.integer(0, x.ndim - 1)
        first = draw.integer(0, x.shape[axis])
        return x, axis, draw.boolean(), first, draw.integer(0, x.shape[axis] - first)

    @staticmethod
    def oracle(torch: Any, x: Any, axis: int, descending: bool, first: int, count: int) -> Any:
        return tuple(part.narrow(axis, first, count) for part in torch.sort(x, axis, descending))


# ------------------------------------------------------------------------------------------------ public functions


@numpy_names
def sort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Sorted:
    """Sort along an axis; equal elements stay in order, and NaN counts as the largest.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        descending: Begin with the largest.
        stable: Accepted as PyTorch's; every sort is stable.

    Returns:
        The named tuple (values, indices), the indices int64.

    Example:
        >>> import tinymed
        >>> values, indices = tinymed.sort(tinymed.tensor([3, 1, 2]))
        >>> values.tolist(), indices.tolist()
        ([1, 2, 3], [1, 2, 0])
    """
    return Sorted(*Sort.apply(input, one_axis("sort", dim, input.array.ndim), bool(descending)))


@numpy_names
def argsort(input: Tensor, dim: int = -1, descending: bool = False, stable: bool = True) -> Tensor:
    """Return the indices that sort along an axis.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        descending: Begin with the largest.
        stable: Accepted as PyTorch's; every sort is stable.

    Returns:
        An int64 tensor of the input's shape.

    Example:
        >>> import tinymed
        >>> tinymed.argsort(tinymed.tensor([3, 1, 2])).tolist()
        [1, 2, 0]
    """
    return sort(input, dim, descending).indices


def msort(input: Tensor) -> Tensor:
    """Sort along the first axis.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.msort(tinymed.tensor([3, 1, 2])).tolist()
        [1, 2, 3]
    """
    return sort(input, 0).values


@numpy_names
def topk(input: Tensor, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sorted:
    """Return the k largest or smallest elements along an axis, the most extreme first.

    Args:
        input: Tensor of any shape.
        k: How many, from 0 to the length of the axis.
        dim: The axis.
        largest: The largest, else the smallest.
        sorted: Accepted as PyTorch's; the result is always sorted.

    Returns:
        The named tuple (values, indices), the indices int64.

    Raises:
        ValueError: k is longer than the axis.

    Example:
        >>> import tinymed
        >>> tinymed.topk(tinymed.tensor([3, 1, 2]), 2).values.tolist()
        [3, 2]
    """
    axis, count = one_axis("topk", dim, input.array.ndim), integer("topk", "k", k)
    n = input.shape[axis] if input.shape else 1
    if not 0 <= count <= n:
        raise ValueError(f"topk: k is from 0 to {n}, the length of axis {axis}; got {count}")
    if not input.shape:
        return sort(input, axis, largest)
    return Sorted(*SortPart.apply(input, axis, bool(largest), 0, count))


@numpy_names
def kthvalue(input: Tensor, k: int, dim: int = -1, keepdim: bool = False) -> Sorted:
    """Return the k-th smallest element along an axis.

    Args:
        input: Tensor of any shape.
        k: The rank, counted from 1.
        dim: The axis.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        The named tuple (values, indices), the indices int64.

    Raises:
        ValueError: k does not fit the axis.

    Example:
        >>> import tinymed
        >>> tinymed.kthvalue(tinymed.tensor([3, 1, 2]), 2).values.item()
        2
    """
    axis, count = one_axis("kthvalue", dim, input.array.ndim), integer("kthvalue", "k", k)
    n = input.shape[axis] if input.shape else 1
    if not 1 <= count <= n:
        raise ValueError(f"kthvalue: k is from 1 to {n}, the length of axis {axis}; got {count}")
    return chosen(input, axis, count - 1, keepdim)


def chosen(input: Any, axis: int, place: int, keepdim: bool) -> Sorted:
    """Return what sorting brings to one place of each line."""
    if not input.shape:
        return sort(input, axis)
    one = SortPart.apply(input, axis, False, place, 1)
    return Sorted(*(part if keepdim else squeeze(part, axis) for part in one))


@numpy_names
def median(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Any:
    """Return the median; of an even count the lower one of the two in the middle, and NaN where an element is NaN.

    Args:
        input: Tensor of any shape.
        dim: The axis; None means all elements.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A tensor without axes; with dim the named tuple (values, indices).

    Raises:
        IndexError: The axis is empty.

    Example:
        >>> import tinymed
        >>> tinymed.median(tinymed.tensor([4, 1, 3, 2])).item()
        2
    """
    if dim is None:
        flat = reshape(input, -1)
        if not flat.shape[0]:
            floats_only("median", input)
            return input.result_class(np.full((), np.nan, input.array.dtype))
        return middle(flat, 0, False).values
    axis = one_axis("median", dim, input.array.ndim)
    if input.shape and not input.shape[axis]:
        raise IndexError(f"median: axis {axis} of {list(input.shape)} is empty and has no median")
    return middle(input, axis, keepdim)


def middle(input: Any, axis: int, keepdim: bool) -> Sorted:
    """Return the lower median along an axis; the first NaN where there is one."""
    from .compare import isnan
    from .elementwise import where
    from .extremes import max
    from .reduce import any

    n = input.shape[axis] if input.shape else 1
    lower = chosen(input, axis, (n - 1) // 2, keepdim)
    if input.array.dtype.kind != "f" or not input.shape:
        return lower
    odd = any(isnan(input), axis, keepdim)
    first = max(input, axis, keepdim)  # NaN wins, the first of them
    return Sorted(where(odd, first.values, lower.values), where(odd, first.indices, lower.indices))


__all__ = ["argsort", "kthvalue", "median", "msort", "sort", "topk"]
