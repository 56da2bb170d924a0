"""Joining and splitting along the axes that names like hstack and vsplit say."""

from collections.abc import Sequence
from typing import Any

from ..annotations import Tensor
from .arrangement import tensor_split
from .join import cat
from .shape import reshape

__all__ = [
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "column_stack",
    "dstack",
    "hsplit",
    "hstack",
    "row_stack",
    "vsplit",
    "vstack",
]


def atleast_1d(*tensors: Any) -> Any:
    """Return tensors with at least one axis.

    Args:
        tensors: Tensors of any shape.

    Returns:
        A tensor; a tuple of several.

    Example:
        >>> import tinymed
        >>> tinymed.atleast_1d(tinymed.tensor(5)).tolist()
        [5]
    """
    return each(tensors, lambda t: t if t.shape else reshape(t, 1))


def atleast_2d(*tensors: Any) -> Any:
    """Return tensors with at least two axes, new ones first.

    Args:
        tensors: Tensors of any shape.

    Returns:
        A tensor; a tuple of several.

    Example:
        >>> import tinymed
        >>> tinymed.atleast_2d(tinymed.arange(3)).shape
        (1, 3)
    """
    return each(tensors, lambda t: reshape(t, (1,) * (2 - len(t.shape)) + tuple(t.shape)) if len(t.shape) < 2 else t)


def atleast_3d(*tensors: Any) -> Any:
    """Return tensors with at least three axes: (1, n, 1) of a vector, (m, n, 1) of a matrix.

    Args:
        tensors: Tensors of any shape.

    Returns:
        A tensor; a tuple of several.

    Example:
        >>> import tinymed
        >>> tinymed.atleast_3d(tinymed.arange(3)).shape
        (1, 3, 1)
    """

    def deep(t: Any) -> Any:
        shape = {0: (1, 1, 1), 1: (1, *t.shape, 1), 2: (*t.shape, 1)}.get(len(t.shape))
        return t if shape is None else reshape(t, shape)

    return each(tensors, deep)


def each(tensors: Any, change: Any) -> Any:
    """Apply a change to one tensor, to several, or to a list of them."""
    if len(tensors) == 1:
        given = tensors[0]
        return tuple(map(change, given)) if isinstance(given, list | tuple) else change(given)
    return tuple(map(change, tensors))


def hstack(tensors: Sequence[Any]) -> Tensor:
    """Join tensors along the second axis, vectors along their only one.

    Args:
        tensors: Tensors whose other axes are equal.

    Returns:
        A tensor in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.hstack([tinymed.arange(2), tinymed.arange(1)]).tolist()
        [0, 1, 0]
    """
    parts = [atleast_1d(t) for t in tensors]
    return cat(parts, 0 if parts and len(parts[0].shape) == 1 else 1)


def vstack(tensors: Sequence[Any]) -> Tensor:
    """Join tensors along the first of at least two axes: vectors become rows.

    Args:
        tensors: Tensors whose other axes are equal.

    Returns:
        A tensor in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.vstack([tinymed.arange(2), tinymed.arange(2)]).tolist()
        [[0, 1], [0, 1]]
    """
    return cat([atleast_2d(t) for t in tensors], 0)


def dstack(tensors: Sequence[Any]) -> Tensor:
    """Join tensors along the third axis.

    Args:
        tensors: Tensors whose other axes are equal.

    Returns:
        A tensor in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.dstack([tinymed.arange(2), tinymed.arange(2)]).shape
        (1, 2, 2)
    """
    return cat([atleast_3d(t) for t in tensors], 2)


def column_stack(tensors: Sequence[Any]) -> Tensor:
    """Join tensors along the second axis: vectors become columns.

    Args:
        tensors: Tensors whose first axes are equal.

    Returns:
        A tensor in the common dtype.

    Example:
        >>> import tinymed
        >>> tinymed.column_stack([tinymed.arange(2), tinymed.arange(2)]).tolist()
        [[0, 0], [1, 1]]
    """
    return cat([t if len(t.shape) > 1 else reshape(t, -1, 1) for t in tensors], 1)


def hsplit(input: Tensor, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split the second axis as tensor_split does, of a vector the only one.

    Args:
        input: Tensor of any shape.
        indices_or_sections: The number of parts, or the places.

    Returns:
        A tuple of views.

    Example:
        >>> import tinymed
        >>> [part.tolist() for part in tinymed.hsplit(tinymed.arange(4), 2)]
        [[0, 1], [2, 3]]
    """
    return tensor_split(input, indices_or_sections, 1 if input.array.ndim > 1 else 0)


def vsplit(input: Tensor, indices_or_sections: Any) -> tuple[Any, ...]:
    """Split the first axis as tensor_split does.

    Args:
        input: Tensor of any shape.
        indices_or_sections: The number of parts, or the places.

    Returns:
        A tuple of views.

    Example:
        >>> import tinymed
        >>> [part.tolist() for part in tinymed.vsplit(tinymed.eye(2), 2)]
        [[[1.0, 0.0]], [[0.0, 1.0]]]
    """
    return tensor_split(input, indices_or_sections, 0)


row_stack = vstack
