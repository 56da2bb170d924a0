"""Sequences, which are lists of tensors, and optional values, which are None or what they hold."""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, held, number, numbers, operator, sized


@operator("SequenceEmpty")
def sequence_empty(node: Node) -> Any:
    """Return a sequence of nothing."""
    held(node, node.get("dtype", 1))
    return []


@operator("SequenceConstruct")
def sequence_construct(node: Node, *xs: Any) -> Any:
    """Return a sequence of tensors."""
    return list(xs)


def place(node: Node, length: int, position: Any, insert: bool = False) -> int:
    """Return a position in a sequence, counted from the front.  Raises ValueError if there is none such."""
    at = length if position is None and insert else -1 if position is None else int(number(node, position, "position"))
    last = length if insert else length - 1
    if not -length <= at <= last:
        raise ValueError(f"{node}: position {at} in a sequence of {length}; it takes {-length} to {last}")
    return at + length if at < 0 else at


def sequence(node: Node, value: Any) -> list[Any]:
    """Return the list that a sequence is.  Raises ValueError for anything else."""
    if not isinstance(value, list):
        raise ValueError(f"{node}: it takes a sequence, not a tensor")
    return value


@operator("SequenceAt")
def sequence_at(node: Node, items: Any, position: Any) -> Any:
    """Return one element; negative positions count from the end."""
    return sequence(node, items)[place(node, len(items), position)]


@operator("SequenceInsert")
def sequence_insert(node: Node, items: Any, x: Any, position: Any = None) -> Any:
    """Return one element more, by default at the end."""
    at = place(node, len(sequence(node, items)), position, insert=True)
    return [*items[:at], x, *items[at:]]


@operator("SequenceErase")
def sequence_erase(node: Node, items: Any, position: Any = None) -> Any:
    """Return one element less, by default the last."""
    at = place(node, len(sequence(node, items)), position)
    return [*items[:at], *items[at + 1 :]]


@operator("SequenceLength")
def sequence_length(node: Node, items: Any) -> Any:
    """Return how many elements, in int64."""
    return Tensor(np.asarray(len(sequence(node, items)), np.int64))


@operator("SplitToSequence")
def split_to_sequence(node: Node, x: Any, split: Any = None) -> Any:
    """Consecutive parts along an axis: of one length, of given lengths, or single slices, the axis kept or not."""
    axis = axis_of(node, node.get("axis", 0), x.ndim)
    n = x.shape[axis]
    if split is None:
        keep = node.get("keepdims", 1)
        return [F.narrow(x, axis, i, 1) if keep else F.select(x, axis, i) for i in range(n)]
    given = numbers(split)
    if not split.ndim and given[0] > 0:
        given = [min(given[0], n - i) for i in range(0, n, given[0])]
    if min(given, default=0) < 0 or sum(given) != n:
        raise ValueError(f"{node}: parts of lengths {given} of an axis of length {n}")
    return list(F.split(x, given, axis))


@operator("ConcatFromSequence")
def concat_from_sequence(node: Node, items: Any) -> Any:
    """Return the elements one after another along an axis, or along a new one."""
    if not sequence(node, items):
        raise ValueError(f"{node}: the sequence is empty; it takes one tensor or more")
    new = bool(node.get("new_axis", 0))
    axis = axis_of(node, node.get("axis"), items[0].ndim + new)
    sized(node, [sum(x.array.size for x in items)])
    return F.stack(items, axis) if new else F.cat(items, axis)


@operator("Optional")
def optional(node: Node, x: Any = None) -> Any:
    """Return what it is given, or nothing."""
    return x


@operator("OptionalHasElement")
def optional_has_element(node: Node, x: Any = None) -> Any:
    """Return whether there is something."""
    return Tensor(np.asarray(x is not None))


@operator("OptionalGetElement")
def optional_get_element(node: Node, x: Any = None) -> Any:
    """Return what an optional value holds.  Raises ValueError if that is nothing."""
    if x is None:
        raise ValueError(f"{node}: the optional value holds nothing")
    return x
