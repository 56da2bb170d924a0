"""Picking and placing elements by index: gathering, scattering, sorting, masks of position."""

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, floating, held, like, number, numbers, operator, plain, seen, sized, unsupported

REDUCTIONS = ("none", "add", "mul", "max", "min")


@operator("GatherND")
def gather_nd(node: Node, x: Any, indices: Any) -> Any:
    """Return the slices that the last axis of indices names; the first batch_dims axes of both are in step."""
    shared, width = node.get("batch_dims", 0), indices.shape[-1] if indices.ndim else 0
    if not 0 < shared + width <= x.ndim or indices.ndim <= shared or x.shape[:shared] != indices.shape[:shared]:
        raise ValueError(
            f"{node}: indices {list(indices.shape)} and batch_dims {shared} do not fit data {list(x.shape)}"
        )
    sized(node, (*indices.shape[:-1], *x.shape[shared + width :]))
    ahead = indices.ndim - 1
    own = [np.arange(n).reshape((-1, *[1] * (ahead - 1 - a))) for a, n in enumerate(x.shape[:shared])]
    index = [Tensor(np.broadcast_to(o, indices.shape[:-1]).copy()) for o in own]
    index += [plain(lambda i, k=k: np.ascontiguousarray(i[..., k], np.int64), indices) for k in range(width)]
    return F.getitem(x, tuple(index))


@operator("ScatterND")
def scatter_nd(node: Node, x: Any, indices: Any, updates: Any) -> Any:
    """x with slices of updates at the places that the last axis of indices names."""
    width = indices.shape[-1] if indices.ndim else 0
    if not 0 < width <= x.ndim or tuple(updates.shape) != (*indices.shape[:-1], *x.shape[width:]):
        raise ValueError(
            f"{node}: indices {list(indices.shape)} and updates {list(updates.shape)} do not fit data {list(x.shape)}"
        )
    rest = prod(x.shape[width:])
    first = flat_places(node, np.moveaxis(np.asarray(seen(indices)), -1, 0), x.shape[:width]).reshape(-1, 1)
    return placed(node, x, (first * rest + np.arange(rest)).reshape(-1), updates)


@operator("ScatterElements", "Scatter")
def scatter_elements(node: Node, x: Any, indices: Any, updates: Any) -> Any:
    """x with updates[i, j] at [indices[i, j], j] for axis 0, likewise for others."""
    axis = axis_of(node, node.get("axis", 0), x.ndim)
    if indices.ndim != x.ndim or indices.shape != updates.shape:
        raise ValueError(
            f"{node}: indices {list(indices.shape)}, updates {list(updates.shape)}, data {list(x.shape)}; it takes "
            "indices and updates of one shape, with as many axes as data"
        )
    own = list(np.indices(indices.shape, sparse=True))
    own[axis] = np.asarray(seen(indices))
    return placed(node, x, flat_places(node, np.broadcast_arrays(*own), x.shape).reshape(-1), updates)


def flat_places(node: Node, index: Any, shape: tuple[int, ...]) -> Any:
    """Return the place in the flattened tensor of indices along each axis, negative ones from the end."""
    flat = np.zeros(index[0].shape, np.int64)
    for i, n in zip(index, shape, strict=True):
        if i.size and not (i.min() >= -n and i.max() < n):
            raise ValueError(f"{node}: indices from {i.min()} to {i.max()} of an axis of length {n}")
        flat = flat * n + np.where(i < 0, i + n, i)
    return flat


def placed(node: Node, x: Any, flat: Any, updates: Any) -> Any:
    """x with updates at places of the flattened tensor: put there, added, multiplied, or where larger or smaller.

    A place that is named several times takes one update after another, in their order.
    """
    how = node.get("reduction", "none")
    if how not in REDUCTIONS:
        raise unsupported(node, f"reduction {how!r}", ", ".join(REDUCTIONS))
    y, values = F.reshape(x, (-1,)), like(F.reshape(updates, (-1,)), x)
    for source in rounds(flat, y.shape[0], last_only=how == "none"):
        chosen = Tensor(source >= 0)
        given = F.index_select(values, 0, Tensor(np.maximum(source, 0)))
        new = given if how == "none" else COMBINE[how](y, given)
        y = F.where(chosen, new, y)
    return F.reshape(y, x.shape)


def combined(tensors: Any, integers: Any) -> Any:
    """Return an operation on two tensors; integers go through NumPy."""
    return lambda a, b: tensors(a, b) if floating(a, b) else plain(integers, a, b)


COMBINE = {
    "add": combined(F.add, np.add),
    "mul": combined(F.mul, np.multiply),
    "max": combined(F.maximum, np.maximum),
    "min": combined(F.minimum, np.minimum),
}


def rounds(flat: Any, size: int, last_only: bool) -> Iterator[Any]:
    """For each place which update it takes, or -1: of the first updates of all places, then of the second ones, ..."""
    if last_only:
        source = np.full(size, -1)
        source[flat] = np.arange(flat.size)
        if flat.size:
            yield source
        return
    order = np.argsort(flat, kind="stable")
    starts = np.flatnonzero(np.diff(flat[order], prepend=-1))
    rank = np.arange(flat.size) - np.repeat(starts, np.diff([*starts, flat.size]))
    for i in range(int(rank.max(initial=-1)) + 1):
        source = np.full(size, -1)
        mine = order[rank == i]
        source[flat[mine]] = mine
        yield source


@operator("TopK", fixed=(1,))
def top_k(node: Node, x: Any, k: Any = None) -> Any:
    """(values, indices in int64) of the k largest or smallest along an axis, in order; of equal ones the first."""
    count = node.get("k") if node.opset < 10 else number(node, k, "K")
    axis = axis_of(node, node.get("axis", -1), x.ndim)
    if not x.ndim or not 0 <= count <= x.shape[axis]:
        raise ValueError(f"{node}: K is {count} of an axis of length {x.shape[axis] if x.ndim else 1}")
    largest = bool(node.get("largest", 1))
    index = plain(lambda a: np.take(ordered(a, axis, largest), np.arange(count), axis), x)
    return picked(x, axis, index), index


def ordered(a: Any, axis: int, descending: bool) -> Any:
    """Return the order that sorts an array along an axis; equal elements stay in theirs."""
    if not descending:
        return np.argsort(a, axis, kind="stable")
    return a.shape[axis] - 1 - np.flip(np.argsort(np.flip(a, axis), axis, kind="stable"), axis)


def picked(x: Any, axis: int, index: Any) -> Any:
    """x at indices along an axis; integers through NumPy."""
    return F.gather(x, axis, index) if floating(x) else plain(lambda a, i: np.take_along_axis(a, i, axis), x, index)


@operator("NonZero")
def non_zero(node: Node, x: Any) -> Any:
    """Return the indices (axes, count) of the elements that are not 0, in int64."""
    return plain(lambda a: np.stack(np.nonzero(a)).astype(np.int64) if a.ndim else np.zeros((0, int(a != 0)), int), x)


@operator("OneHot", fixed=(1, 2))
def one_hot(node: Node, indices: Any, depth: Any, values: Any) -> Any:
    """values[1] where the place along a new axis is the index, else values[0]; negative indices count from the end."""
    n, axis = int(number(node, depth, "depth")), axis_of(node, node.get("axis", -1), indices.ndim + 1)
    sized(node, (*indices.shape, max(n, -1)))
    places = np.arange(n).reshape(-1, *[1] * (indices.ndim - axis))

    def pick(i: Any, two: Any) -> Any:
        i = np.where(i < 0, i + n, i) if i.dtype.kind != "u" else i
        return np.where(np.expand_dims(i, axis) == places, two[1], two[0]).astype(two.dtype)

    return plain(pick, indices, values)


@operator("Trilu", fixed=(1,))
def trilu(node: Node, x: Any, k: Any = None) -> Any:
    """x with zeros below (upper=1) or above its k-th diagonal."""
    if x.ndim < 2:
        raise ValueError(f"{node}: a tensor of shape {list(x.shape)}; it takes two axes or more")
    shift, upper = 0 if k is None else int(number(node, k, "k")), node.get("upper", 1)
    shift = max(min(shift, x.shape[-1]), -x.shape[-2])
    ones = np.ones(tuple(x.shape[-2:]), bool)
    mask = np.triu(ones, shift) if upper else np.tril(ones, shift)
    if floating(x):
        return F.where(Tensor(np.broadcast_to(mask, x.shape).copy()), x, Tensor(np.zeros((), x.dtype)))
    return plain(lambda a: np.where(mask, a, np.zeros((), a.dtype)), x)


@operator("EyeLike")
def eye_like(node: Node, x: Any) -> Any:
    """Return ones on the k-th diagonal of a matrix of zeros."""
    dtype = held(node, node.get("dtype")) if node.get("dtype") else x.dtype
    if x.ndim != 2:
        raise ValueError(f"{node}: a tensor of shape {list(x.shape)}; it takes a matrix")
    k = max(min(node.get("k", 0), x.shape[1]), -x.shape[0])
    return Tensor(np.eye(x.shape[0], x.shape[1], k, dtype))


@operator("Compress")
def compress(node: Node, x: Any, condition: Any) -> Any:
    """Return the slices along an axis, or the elements, where the condition holds; it may be shorter."""
    if node.get("axis") is None:
        x, axis = F.reshape(x, (-1,)), 0
    else:
        axis = axis_of(node, node.get("axis"), x.ndim)
    kept = np.flatnonzero(numbers(condition))
    if kept.size and kept[-1] >= x.shape[axis]:
        raise ValueError(f"{node}: the condition keeps place {kept[-1]} of an axis of length {x.shape[axis]}")
    return F.index_select(x, axis, Tensor(kept))


@operator("ReverseSequence", fixed=(1,))
def reverse_sequence(node: Node, x: Any, lengths: Any) -> Any:
    """Return the first lengths[n] steps of each sequence n in reverse order."""
    time, batch = node.get("time_axis", 0), node.get("batch_axis", 1)
    if {time, batch} != {0, 1} or x.ndim < 2:
        raise ValueError(f"{node}: time_axis {time}, batch_axis {batch}; it takes 0 and 1, and two axes or more")
    ends, t = np.asarray(numbers(lengths), np.int64), np.arange(x.shape[time])[:, None]
    if ends.shape != (x.shape[batch],) or ends.min(initial=0) < 0 or ends.max(initial=1) > x.shape[time]:
        raise ValueError(
            f"{node}: lengths {ends.tolist()}; it takes {x.shape[batch]} numbers from 0 to {x.shape[time]}"
        )
    order = np.where(t < ends, ends - 1 - t, t)
    own = np.broadcast_to(np.arange(ends.size), order.shape)
    index = (order, own) if time == 0 else (own.T, order.T)
    return F.getitem(x, tuple(Tensor(np.ascontiguousarray(i)) for i in index))


@operator("Unique")
def unique(node: Node, x: Any) -> Any:
    """(distinct elements or slices, where each was first, which each element became, how often), sorted or by first."""
    axis = None if node.get("axis") is None else axis_of(node, node.get("axis"), x.ndim)
    found = np.unique(seen(x), return_index=True, return_inverse=True, return_counts=True, axis=axis)
    y, first, inverse, counts = (np.asarray(a) for a in found)
    inverse = inverse.reshape(-1)
    if not node.get("sorted", 1):
        order = np.argsort(first, kind="stable")
        y = y[order] if axis is None else np.take(y, order, axis)
        first, inverse, counts = first[order], np.argsort(order)[inverse], counts[order]
    return (Tensor(y), *(Tensor(a.astype(np.int64)) for a in (first, inverse, counts)))[: len(node.outputs)]


@operator("TensorScatter")
def tensor_scatter(node: Node, past: Any, update: Any, where: Any = None) -> Any:
    """Return a cache with new entries along an axis, for each sequence from its own place on; circular.

    Round the end.
    """
    axis, n = axis_of(node, node.get("axis", -2), past.ndim), update.ndim
    length, new = past.shape[axis], update.shape[axis] if n == past.ndim else -1
    starts = np.zeros(past.shape[0], np.int64) if where is None else np.asarray(numbers(where), np.int64)
    places = starts[:, None] + np.arange(max(new, 0))
    places = places % max(length, 1) if node.get("mode", "linear") == "circular" else places
    expected = tuple(new if a == axis else m for a, m in enumerate(past.shape))
    outside = places.size and not (places.min() >= 0 and places.max() < length)
    if axis == 0 or tuple(update.shape) != expected or starts.shape != (past.shape[0],) or outside:
        raise ValueError(
            f"{node}: update {list(update.shape)} at {starts.tolist()} does not fit the cache {list(past.shape)}"
        )
    index = list(np.indices(update.shape, sparse=True))
    index[axis] = places.reshape(past.shape[0], *[new if a == axis else 1 for a in range(1, past.ndim)])
    return placed(node, past, flat_places(node, np.broadcast_arrays(*index), past.shape).reshape(-1), update)
