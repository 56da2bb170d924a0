"""Counting and finding: results whose shape follows from values, so they are read on the CPU and cannot be recorded.

searchsorted and bucketize, whose shapes are known, are an op.
"""

import math
from typing import Any, NamedTuple

import numpy as np

from .. import device
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
    """The values, which a recorded step would see once and never again."""
    host_read(name)
    found: np.ndarray = device.move(input.array, "cpu")
    return found


def beside(input: Any, values: Any) -> Any:
    """Values of the CPU as a tensor on the input's device."""
    return input.result_class(device.move(np.array(values, order="C"), device.of(input.array)))


# ------------------------------------------------------------------------------------------------- places and kinds


def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places of elements that are not zero: (count, axes), or with as_tuple one vector an axis."""
    a = read("nonzero", input)
    if as_tuple:
        return tuple(beside(input, i) for i in np.atleast_1d(a).nonzero())
    found = np.argwhere(a) if a.ndim else np.empty((int(a != 0), 0), np.int64)
    return beside(input, found.astype(np.int64))


def argwhere(input: Any) -> Any:
    """The places of elements that are not zero, (count, axes)."""
    return nonzero(input)


@numpy_names
def unique(
    input: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The different elements in order, or the different slices along dim.

    Returns the tensor, or a tuple of it, where each element went (return_inverse) and how often each came
    (return_counts).
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
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or slices along dim, that differ from the one before them; returns as unique."""
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
    """Those of three results that were asked for."""
    wanted = [beside(input, values)]
    wanted += [beside(input, inverse.astype(np.int64))] if with_inverse else []
    wanted += [beside(input, counts.astype(np.int64))] if with_counts else []
    return tuple(wanted) if len(wanted) > 1 else wanted[0]


# ---------------------------------------------------------------------------------------------------------- counts


def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each number from 0 on occurs in a vector of integers, or the sum of their weights."""
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


def histc(input: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements lie in each of `bins` equal parts of [min, max]; both 0: of the input's own range."""
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
def count_nonzero(input: Any, dim: Dim = None) -> Any:
    """The number of elements over dim (None: all) that are not zero."""
    return sum(ne(input, 0), dim)


@numpy_names
def nansum(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum over dim (None: all) of the elements that are not NaN."""
    known = input if input.array.dtype.kind != "f" else where(isnan(input), 0.0, input)
    return sum(known, dim, keepdim, dtype=dtype)


@numpy_names
def nanmean(input: Any, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean over dim (None: all) of the elements that are not NaN; NaN where all are."""
    floats_only("nanmean", input)
    return div(nansum(input, dim, keepdim, dtype=dtype), sum(logical_not(isnan(input)), dim, keepdim))


class Range(NamedTuple):
    """What aminmax gives."""

    min: Any
    max: Any


@numpy_names
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Range:
    """The smallest and the largest element over dim (None: all)."""
    return Range(amin(input, dim, keepdim), amax(input, dim, keepdim))


# ------------------------------------------------------------------------------------------------- places in order


@kernel(out=lambda edges, x, right: [(x.shape, "int64")], flops=lambda edges, x, right: 8 * x.size)
def searchsorted_forward(xp: Any, edges: Array, x: Array, right: bool) -> Array:
    """How many of the sorted edges come before each x: those below it, with `right` those not above it."""
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
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Any = None,
) -> Any:
    """The places at which the input would be put into a sorted sequence, a vector or the last axis of both.

    sorter: the indices that sort the sequence, if it is not in order.
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


def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the interval between sorted boundaries that each element lies in."""
    if boundaries.array.ndim != 1:
        raise ValueError(f"bucketize: boundaries are a vector, got shape {list(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Any:
    """Whether each element is one of the others."""
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
