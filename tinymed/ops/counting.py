"""Counting and finding: results whose shape follows from values, so they are read on the CPU and cannot be recorded.

searchsorted and bucketize, whose shapes are known, are an op.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import devices
from ..annotations import DType, Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op, host_read
from .axes import integer, numpy_names, one_axis
from .cast import Cast, common_dtype
from .compare import isnan, logical_not, ne
from .elementwise import div, where
from .extremes import amax, amin
from .gather import gather
from .reduce import Dim, floats_only, sum


def read(name: str, input: Any) -> np.ndarray:
    """Return the values, which a recorded step would see once and never again."""
    host_read(name)
    found: np.ndarray = devices.move(input.array, "cpu")
    return found


def beside(input: Any, values: Any) -> Any:
    """Return values of the CPU as a tensor on the input's device."""
    return input.result_class(devices.move(np.array(values, order="C"), devices.of(input.array)))


# ------------------------------------------------------------------------------------------------- places and kinds


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Return the places of elements that are not zero.

    Args:
        input: Tensor of any shape.
        as_tuple: Return one vector for each axis.

    Returns:
        An int64 tensor (count, axes), or a tuple of vectors.

    Example:
        >>> import tinymed
        >>> tinymed.nonzero(tinymed.tensor([0, 7, 8])).tolist()
        [[1], [2]]
    """
    a = read("nonzero", input)
    if as_tuple:
        return tuple(beside(input, i) for i in np.atleast_1d(a).nonzero())
    found = np.argwhere(a) if a.ndim else np.empty((int(a != 0), 0), np.int64)
    return beside(input, found.astype(np.int64))


def argwhere(input: Tensor) -> Tensor:
    """Return the places of elements that are not zero.

    Args:
        input: Tensor of any shape.

    Returns:
        An int64 tensor (count, axes).

    Example:
        >>> import tinymed
        >>> tinymed.argwhere(tinymed.eye(2)).tolist()
        [[0, 0], [1, 1]]
    """
    return nonzero(input)


@numpy_names
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """Return the different elements, or the different slices along an axis, in order.

    Args:
        input: Tensor of any shape.
        sorted: Accepted as PyTorch's; the result is always sorted.
        return_inverse: Also return where each element went.
        return_counts: Also return how often each came.
        dim: The axis of slices; None means elements.

    Returns:
        A tensor, or a tuple of it and what else was asked for.

    Example:
        >>> import tinymed
        >>> values, counts = tinymed.unique(tinymed.tensor([3, 1, 3]), return_counts=True)
        >>> values.tolist(), counts.tolist()
        ([1, 3], [1, 2])
    """
    a = read("unique", input)
    axis = None if dim is None else one_axis("unique", dim, a.ndim)
    values, inverse, counts = np.unique(
        np.atleast_1d(a) if axis is not None else a, return_inverse=True, return_counts=True, axis=axis
    )
    inverse = inverse.reshape(a.shape if axis is None or not a.ndim else -1)
    return chosen(input, values, inverse, counts, return_inverse, return_counts)


@numpy_names
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """Return the elements, or slices along an axis, that differ from the one before them.

    Args:
        input: Tensor of any shape.
        return_inverse: Also return where each element went.
        return_counts: Also return how often each came.
        dim: The axis of slices; None means elements.

    Returns:
        A tensor, or a tuple of it and what else was asked for.

    Example:
        >>> import tinymed
        >>> tinymed.unique_consecutive(tinymed.tensor([1, 1, 2, 1])).tolist()
        [1, 2, 1]
    """
    a = read("unique_consecutive", input)
    axis = None if dim is None else one_axis("unique_consecutive", dim, a.ndim)
    lines = a.reshape(-1) if axis is None else np.moveaxis(np.atleast_1d(a), axis, 0)
    n = lines.shape[0]
    differs = (lines[1:] != lines[:-1]).any(tuple(range(1, lines.ndim)))
    starts = np.concatenate([[0], 1 + differs.nonzero()[0]]).astype(np.int64) if n else np.empty(0, np.int64)
    inverse = np.cumsum(np.concatenate([[False], differs])).astype(np.int64)[:n]
    values = lines[starts] if axis is None else np.moveaxis(lines[starts], 0, axis)
    counts = np.diff(np.append(starts, n)).astype(np.int64)
    inverse = inverse.reshape(a.shape) if dim is None else inverse
    return chosen(input, values, inverse, counts, return_inverse, return_counts)


def chosen(input: Any, values: Any, inverse: Any, counts: Any, with_inverse: bool, with_counts: bool) -> Any:
    """Return those of three results that were asked for."""
    wanted = [beside(input, values)]
    wanted += [beside(input, inverse.astype(np.int64))] if with_inverse else []
    wanted += [beside(input, counts.astype(np.int64))] if with_counts else []
    return tuple(wanted) if len(wanted) > 1 else wanted[0]


# ---------------------------------------------------------------------------------------------------------- counts


def bincount(input: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """Count how often each number from 0 on occurs.

    Args:
        input: A vector of integers, at least 0.
        weights: Numbers to add up instead of ones, in the input's shape.
        minlength: The least length of the result.

    Returns:
        A vector: int64, or floating point with weights.

    Raises:
        ValueError: The input is not such a vector, or the weights do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.bincount(tinymed.tensor([0, 2, 2])).tolist()
        [1, 0, 2]
    """
    a, least = read("bincount", input), integer("bincount", "minlength", minlength)
    if a.ndim != 1 or a.dtype.kind not in "iu" or (a.size and a.min() < 0) or least < 0:
        raise ValueError(f"bincount: takes a vector of integers of at least 0, got {a.dtype}{list(a.shape)}")
    if weights is None:
        return beside(input, np.bincount(a.astype(np.int64), minlength=least).astype(np.int64))
    w = read("bincount", weights)
    if w.shape != a.shape:
        raise ValueError(f"bincount: weights have shape {list(w.shape)}, the input {list(a.shape)}")
    found = np.bincount(a.astype(np.int64), w, least)
    return beside(input, found.astype(w.dtype if w.dtype == np.float32 else np.float64))


def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """Count the elements in equal parts of a range.

    Args:
        input: Floating-point tensor of any shape.
        bins: The number of parts.
        min, max: The range; that of the input where both are equal.

    Returns:
        A vector (bins,) of the input's dtype; elements outside do not count.

    Raises:
        ValueError: There is no bin, or the range is not one.

    Example:
        >>> import tinymed
        >>> tinymed.histc(tinymed.tensor([0.0, 1.0, 4.0]), bins=4, min=0, max=4).tolist()
        [1.0, 1.0, 0.0, 1.0]
    """
    floats_only("histc", input)
    a, count = read("histc", input).reshape(-1), integer("histc", "bins", bins)
    if count < 1 or min > max:
        raise ValueError(f"histc: needs at least one bin and min <= max, got {bins}, {min} and {max}")
    low, high = float(min), float(max)
    if low == high and a.size:
        low, high = float(a.min()), float(a.max())
    if low == high:
        low, high = low - 1, high + 1
    if not np.isfinite(low + high):
        raise ValueError(f"histc: the range is {low} to {high}; it must be finite")
    inside = a[(a >= low) & (a <= high)]
    places = np.minimum(((inside - low) / (high - low) * count).astype(np.int64), count - 1)
    return beside(input, np.bincount(places, minlength=count).astype(a.dtype))


@numpy_names
def count_nonzero(input: Tensor, dim: Dim = None) -> Tensor:
    """Count the elements over axes that are not zero.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.

    Returns:
        An int64 tensor without the reduced axes.

    Example:
        >>> import tinymed
        >>> tinymed.count_nonzero(tinymed.eye(3)).item()
        3
    """
    return sum(ne(input, 0), dim)


@numpy_names
def nansum(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Compute the sum over axes of the elements that are not NaN.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor without the reduced axes.

    Example:
        >>> import tinymed
        >>> tinymed.nansum(tinymed.tensor([1.0, tinymed.nan])).item()
        1.0
    """
    known = input if input.array.dtype.kind != "f" else where(isnan(input), 0.0, input)
    return sum(known, dim, keepdim, dtype=dtype)


@numpy_names
def nanmean(input: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: DType | None = None) -> Tensor:
    """Compute the mean over axes of the elements that are not NaN; NaN where all are.

    Args:
        input: Floating-point tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.
        dtype: Convert the input to this dtype first.

    Returns:
        A tensor without the reduced axes.

    Raises:
        TypeError: The input is not of floating-point numbers.

    Example:
        >>> import tinymed
        >>> tinymed.nanmean(tinymed.tensor([1.0, tinymed.nan])).item()
        1.0
    """
    floats_only("nanmean", input)
    return div(nansum(input, dim, keepdim, dtype=dtype), sum(logical_not(isnan(input)), dim, keepdim))


class Range(NamedTuple):
    """The smallest and the largest element, as aminmax returns them."""

    min: Any
    max: Any


@numpy_names
def aminmax(input: Tensor, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """Compute the smallest and the largest element along an axis.

    Args:
        input: Tensor of any shape.
        dim: The axis; None means all elements.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        The named tuple (min, max).

    Raises:
        IndexError: The axis does not exist or is empty.

    Example:
        >>> import tinymed
        >>> low, high = tinymed.aminmax(tinymed.tensor([3, 1, 2]))
        >>> low.item(), high.item()
        (1, 3)
    """
    return Range(amin(input, dim, keepdim), amax(input, dim, keepdim))


# ------------------------------------------------------------------------------------------------- places in order


@kernel(out=lambda edges, x, right: [(x.shape, "int64")], flops=lambda edges, x, right: 8 * x.size)
def searchsorted_forward(xp: Any, edges: Array, x: Array, right: bool) -> Array:
    """Count the sorted edges that come before each x: those below it, with `right` those not above it."""
    side = "right" if right else "left"
    if edges.ndim == 1:
        return xp.searchsorted(edges, x, side=side).astype(xp.int64)
    if not x.size:
        return xp.zeros(x.shape, xp.int64)
    lines, wanted = edges.reshape(math.prod(edges.shape[:-1]), edges.shape[-1]), x.reshape(-1, x.shape[-1])
    found = [xp.searchsorted(line, values, side=side) for line, values in zip(lines, wanted, strict=True)]
    return xp.stack(found).reshape(x.shape).astype(xp.int64)


class SearchSorted(Op):
    """y = the place of each x among sorted edges, of one vector or of the last axis of both."""

    promotes = common_dtype
    backward = None

    def forward(self, edges: Array, x: Array, right: bool) -> Array:
        return self.k.searchsorted_forward(edges, x, right)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        edges = np.sort(np.round(draw.array((*draw.shape(0, 2), draw.integer(1, 5))), 1), -1)
        shape = draw.shape() if edges.ndim == 1 else (*edges.shape[:-1], draw.integer(1, 4))
        return edges, np.asarray(np.round(draw.array(shape), 1)), draw.boolean()

    @staticmethod
    def oracle(torch: Any, edges: Any, x: Any, right: bool) -> Any:
        return torch.searchsorted(edges, x, right=right)


def searchsorted(
    sorted_sequence: Any,
    input: Tensor,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Tensor:
    """Return the places at which numbers would be put into a sorted sequence.

    Args:
        sorted_sequence: A vector, or sequences along the last axis.
        input: Numbers, with the same leading axes unless the sequence is a vector.
        out_int32: Return int32 instead of int64.
        right: Return the place after equal elements instead of before.
        side: "left" or "right", the same in words.
        sorter: The indices that sort the sequence, if it is not in order.

    Returns:
        An integer tensor of the input's shape.

    Raises:
        ValueError: Shapes or side do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.searchsorted(tinymed.tensor([1, 3, 5]), tinymed.tensor([3, 4])).tolist()
        [1, 2]
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ValueError(f'searchsorted: side is "left" or "right" and agrees with right=, got {side!r} and {right}')
    edges = sorted_sequence if sorter is None else gather(sorted_sequence, -1, sorter)
    given: Any = input if isinstance(input, Node) else edges.result_class(np.asarray(input, edges.array.dtype))
    if not edges.array.ndim or (edges.array.ndim > 1 and edges.shape[:-1] != given.shape[:-1]):
        raise ValueError(
            f"searchsorted: a sequence of shape {list(edges.shape)} does not fit an input of {list(given.shape)}"
        )
    found = SearchSorted.apply(edges, given, bool(right or side == "right"))
    return Cast.apply(found, np.dtype(np.int32)) if out_int32 else found


def bucketize(input: Tensor, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """Return the number of the interval between sorted boundaries that each element lies in.

    Args:
        input: Tensor of any shape.
        boundaries: A sorted vector.
        out_int32: Return int32 instead of int64.
        right: Let an interval include its lower boundary instead of its upper one.

    Returns:
        An integer tensor of the input's shape.

    Raises:
        ValueError: boundaries is not a vector.

    Example:
        >>> import tinymed
        >>> tinymed.bucketize(tinymed.tensor([0, 3, 9]), tinymed.tensor([1, 3, 5])).tolist()
        [0, 1, 3]
    """
    if boundaries.array.ndim != 1:
        raise ValueError(f"bucketize: boundaries are a vector, got shape {list(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Return whether each element is one of others.

    Args:
        elements: A tensor, or numbers.
        test_elements: A tensor, or numbers.
        invert: Return whether it is none of them.

    Returns:
        A bool tensor of the elements' shape.

    Example:
        >>> import tinymed
        >>> tinymed.isin(tinymed.tensor([1, 2]), tinymed.tensor([2, 3])).tolist()
        [False, True]
    """
    given = elements if isinstance(elements, Node) else test_elements.result_class(np.asarray(elements))
    others = test_elements if isinstance(test_elements, Node) else elements.result_class(np.asarray(test_elements))
    return beside(given, np.isin(read("isin", given), read("isin", others), invert=invert))


__all__ = [
    "aminmax",
    "argwhere",
    "bincount",
    "bucketize",
    "count_nonzero",
    "histc",
    "isin",
    "nanmean",
    "nansum",
    "nonzero",
    "searchsorted",
    "unique",
    "unique_consecutive",
]
