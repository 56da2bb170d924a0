"""Arranging elements: sliding windows, repeats, grids, parts, stacks and turns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op, host_read
from .axes import integer, is_integer, numpy_names, one_axis, sizes
from .gather import index_select
from .indexing import narrow
from .join import cat, flip, split
from .reduce import sum
from .shape import expand, reshape, transpose, unsqueeze


def windowed(x: Array, axis: int, size: int, step: int) -> list[tuple[int, ...]]:
    """Return the shape: windows in place of the axis, their elements last."""
    return [(*x.shape[:axis], (x.shape[axis] - size) // step + 1, *x.shape[axis + 1 :], size) if x.ndim else (size,)]


@kernel(out=windowed, flops=lambda *_: 0)
def windows_forward(xp: Any, x: Array, axis: int, size: int, step: int) -> Array:
    """y[.., i, .., j] = x[.., i step + j, ..]: the windows of one axis, their elements on a new last axis."""
    (shape,) = windowed(x, axis, size, step)
    if not x.ndim:
        return x.reshape(1)[:size].copy()
    strides = (*x.strides[:axis], x.strides[axis] * step, *x.strides[axis + 1 :], x.strides[axis])
    return xp.lib.stride_tricks.as_strided(x, shape, strides).copy()


@kernel(out=lambda dy, shape, *_: [shape], flops=lambda dy, *_: dy.size)
def windows_backward(xp: Any, dy: Array, shape: tuple[int, ...], axis: int, size: int, step: int) -> Array:
    """dx = dy added up over the windows that hold the element."""
    dx = xp.zeros(shape, dy.dtype)
    if not shape:
        return dy.sum().reshape(())
    for i in range(size):
        part = dx[(slice(None),) * axis + (slice(i, i + (dy.shape[axis] - 1) * step + 1, step),)]
        part += dy[..., i]
    return dx


class Windows(Op):
    """y[.., i, .., j] = x[.., i step + j, ..]: windows of one axis on a new last axis;  dx = dy added up."""

    def forward(self, x: Array, axis: int, size: int, step: int) -> Array:
        self.save(x.shape, axis, size, step)
        return self.k.windows_forward(x, axis, size, step)

    def backward(self, dy: Array) -> Any:
        return self.k.windows_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 3)
        axis = draw.integer(0, len(shape) - 1)
        return draw.array(shape), axis, draw.integer(1, shape[axis]), draw.integer(1, 3)

    @staticmethod
    def oracle(torch: Any, x: Any, axis: int, size: int, step: int) -> Any:
        return x.unfold(axis, size, step)


def unfold(input: Any, dimension: int, size: int, step: int) -> Any:
    """Return the windows of an axis as a new last axis; a copy, where PyTorch has a view.

    Args:
        input: Tensor of any shape.
        dimension: The axis.
        size: The length of a window.
        step: The distance of windows.

    Returns:
        A tensor of the input's dtype with one axis more.

    Raises:
        ValueError: The windows do not fit the axis.

    Example:
        >>> import tinymed
        >>> tinymed.arange(5).unfold(0, 3, 2).tolist()
        [[0, 1, 2], [2, 3, 4]]
    """
    axis = one_axis("unfold", dimension, input.array.ndim)
    length, apart = integer("unfold", "size", size), integer("unfold", "step", step)
    n = input.shape[axis] if input.shape else 1
    if not 0 <= length <= n or apart < 1:
        raise ValueError(f"unfold: windows of {size} by steps of {step} do not fit axis {axis} of length {n}")
    return Windows.apply(input, axis, length, apart)


# --------------------------------------------------------------------------------------------------------- repeats


@numpy_names
def repeat_interleave(input: Tensor, repeats: Any, dim: int | None = None, *, output_size: int | None = None) -> Tensor:
    """Repeat each element along an axis some times in a row.

    Args:
        input: Tensor of any shape.
        repeats: A count, or one count for each element.
        dim: The axis; None flattens the input first.
        output_size: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The counts do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.repeat_interleave(tinymed.tensor([7, 8]), 2).tolist()
        [7, 7, 8, 8]
    """
    if dim is None:
        input, dim = reshape(input, -1), 0
    axis = one_axis("repeat_interleave", dim, input.array.ndim)
    flat = input if input.shape else reshape(input, 1)
    n = flat.shape[axis]
    if isinstance(repeats, Node):
        host_read("repeat_interleave with a tensor of counts")
        counts = np.asarray(repeats.array)
    else:
        counts = np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1 or (counts.size and counts.min() < 0):
        raise ValueError(f"repeat_interleave: repeats is a count of at least 0, or {n} of them, got {repeats!r:.60}")
    if counts.ndim and counts.size not in (1, n):
        raise ValueError(f"repeat_interleave: {counts.size} counts for axis {axis} of length {n}")
    if not counts.ndim:  # a view and a copy, which a recorded step can do
        shape = (*flat.shape[: axis + 1], int(counts), *flat.shape[axis + 1 :])
        return reshape(expand(unsqueeze(flat, axis + 1), shape), (*shape[:axis], n * int(counts), *shape[axis + 2 :]))
    places = np.repeat(np.arange(n), np.broadcast_to(counts, (n,)))
    return index_select(flat, axis, flat.result_class(places))


# ----------------------------------------------------------------------------------------------------------- parts


@numpy_names
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Split an axis into parts whose lengths differ by 1 at most, or before given places.

    Args:
        input: Tensor of any shape.
        indices_or_sections: The number of parts, or the places.
        dim: The axis.

    Returns:
        A tuple of views.

    Raises:
        ValueError: There is no part, or no axis.

    Example:
        >>> import tinymed
        >>> [part.tolist() for part in tinymed.tensor_split(tinymed.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    axis = one_axis("tensor_split", dim, input.array.ndim)
    if not input.shape:
        raise ValueError("tensor_split: a tensor without axes has no parts")
    n, given = input.shape[axis], indices_or_sections
    if isinstance(given, Node):
        host_read("tensor_split with a tensor")
        given = given.array.tolist()
    if is_integer(given):
        parts = integer("tensor_split", "sections", given)
        if parts < 1:
            raise ValueError(f"tensor_split: needs at least 1 part, got {parts}")
        return split(input, [n // parts + (i < n % parts) for i in range(parts)], axis)
    cuts = [min(max(c + n if c < 0 else c, 0), n) for c in sizes("tensor_split", (tuple(given),))]
    starts, stops = [0, *cuts], [*cuts, n]
    return tuple(narrow(input, axis, min(a, n), max(0, b - a)) for a, b in zip(starts, stops, strict=True))


def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split one axis into several.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        sizes: The lengths of the new axes; one may be -1.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The lengths do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.unflatten(tinymed.zeros(6, 2), 0, (2, -1)).shape
        (2, 3, 2)
    """
    axis = one_axis("unflatten", dim, input.array.ndim)
    given = tuple(integer("unflatten", "a size", n) for n in sizes)
    known = int(np.prod([n for n in given if n != -1], dtype=np.int64))
    if given.count(-1) > 1 or (-1 in given and (known == 0 or input.shape[axis] % known)):
        raise ValueError(f"unflatten: {list(given)} does not fit axis {axis} of length {input.shape[axis]}")
    full = tuple(input.shape[axis] // known if n == -1 else n for n in given)
    if int(np.prod(full, dtype=np.int64)) != input.shape[axis]:
        raise ValueError(f"unflatten: {list(given)} does not fit axis {axis} of length {input.shape[axis]}")
    return reshape(input, (*input.shape[:axis], *full, *input.shape[axis + 1 :]))


def ravel(input: Tensor) -> Tensor:
    """Return the elements as a vector.

    Args:
        input: Tensor of any shape.

    Returns:
        A vector of the input's dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ravel(tinymed.eye(2)).tolist()
        [1.0, 0.0, 0.0, 1.0]
    """
    return reshape(input, -1)


# ---------------------------------------------------------------------------------------------------------- stacks


def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Return grids of the coordinates that vectors hold, one axis for each vector.

    Args:
        tensors: Vectors of one dtype.
        indexing: "ij", or "xy", which exchanges the first two axes.

    Returns:
        A tuple of views, one for each vector.

    Raises:
        ValueError: A tensor is not a vector, or indexing is unknown.
        TypeError: The dtypes differ.

    Example:
        >>> import tinymed
        >>> y, x = tinymed.meshgrid(tinymed.arange(2), tinymed.arange(3))
        >>> y.tolist(), x.tolist()
        ([[0, 0, 0], [1, 1, 1]], [[0, 1, 2], [0, 1, 2]])
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    if indexing not in ("ij", "xy"):
        raise ValueError(f'meshgrid: indexing is "ij" or "xy", got {indexing!r}')
    if not tensors or any(len(t.shape) > 1 for t in tensors):
        raise ValueError(f"meshgrid: takes vectors, got shapes {[list(t.shape) for t in tensors]}")
    if len({t.array.dtype for t in tensors}) > 1:
        raise TypeError(f"meshgrid: the vectors are {', '.join(str(t.array.dtype) for t in tensors)}; give one dtype")
    swapped = indexing == "xy" and len(tensors) > 1
    order = [tensors[1], tensors[0], *tensors[2:]] if swapped else list(tensors)
    lengths = [int(t.array.size) for t in order]
    ones = [[n if i == j else 1 for j in range(len(order))] for i, n in enumerate(lengths)]
    grids = [expand(reshape(t, shape), lengths) for t, shape in zip(order, ones, strict=True)]
    if swapped:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """Expand tensors to their common shape, as views.

    Args:
        tensors: Tensors that broadcast with each other.

    Returns:
        A tuple of tensors.

    Raises:
        ValueError: They do not broadcast.

    Example:
        >>> import tinymed
        >>> a, b = tinymed.broadcast_tensors(tinymed.zeros(2, 1), tinymed.zeros(3))
        >>> a.shape, b.shape
        ((2, 3), (2, 3))
    """
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    shape = np.broadcast_shapes(*(tuple(t.shape) for t in tensors))
    return tuple(expand(t, shape) for t in tensors)


def broadcast_shapes(*shapes: Any) -> tuple[int, ...]:
    """Return the common shape that shapes broadcast to.

    Args:
        shapes: Tuples of lengths, or single lengths.

    Returns:
        A tuple.

    Raises:
        ValueError: They do not broadcast.

    Example:
        >>> import tinymed
        >>> tinymed.broadcast_shapes((2, 1), (3,))
        (2, 3)
    """
    return tuple(np.broadcast_shapes(*((s,) if is_integer(s) else tuple(s) for s in shapes)))


# ----------------------------------------------------------------------------------------------------------- turns


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """Rotate by quarter turns in the plane of two axes, from the first towards the second.

    Args:
        input: Tensor of any shape.
        k: The number of quarter turns.
        dims: The two axes.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The axes are not two different ones.

    Example:
        >>> import tinymed
        >>> tinymed.rot90(tinymed.tensor([[1, 2], [3, 4]])).tolist()
        [[2, 4], [1, 3]]
    """
    a, b = (one_axis("rot90", d, input.array.ndim) for d in dims)
    if a == b or input.array.ndim < 2:
        raise ValueError(f"rot90: needs two different axes, got {list(dims)} of {list(input.shape)}")
    turns = integer("rot90", "k", k) % 4
    if turns == 1:
        return transpose(flip(input, b), a, b)
    if turns == 3:
        return flip(transpose(input, a, b), b)
    return flip(input, a, b) if turns else flip(input, ())


def fliplr(input: Tensor) -> Tensor:
    """Reverse the second axis.

    Args:
        input: Tensor with at least two axes.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: There are fewer than two axes.

    Example:
        >>> import tinymed
        >>> tinymed.fliplr(tinymed.tensor([[1, 2]])).tolist()
        [[2, 1]]
    """
    if input.array.ndim < 2:
        raise ValueError(f"fliplr: needs at least two axes, got {list(input.shape)}")
    return flip(input, 1)


def flipud(input: Tensor) -> Tensor:
    """Reverse the first axis.

    Args:
        input: Tensor with at least one axis.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: There is no axis.

    Example:
        >>> import tinymed
        >>> tinymed.flipud(tinymed.tensor([1, 2])).tolist()
        [2, 1]
    """
    if not input.array.ndim:
        raise ValueError("flipud: needs at least one axis")
    return flip(input, 0)


@numpy_names
def diff(input: Tensor, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Tensor:
    """Compute the differences of neighbours along an axis.

    Args:
        input: Tensor with at least one axis.
        n: How many times over.
        dim: The axis.
        prepend, append: Tensors to join before and after the input first, or None.

    Returns:
        A tensor of the input's dtype, n shorter along dim; of bool whether neighbours differ.

    Raises:
        ValueError: The tensor has no axes.

    Example:
        >>> import tinymed
        >>> tinymed.diff(tinymed.tensor([1, 4, 9])).tolist()
        [3, 5]
    """
    from .compare import logical_xor
    from .elementwise import sub

    axis = one_axis("diff", dim, input.array.ndim)
    if not input.shape:
        raise ValueError("diff: a tensor without axes has no neighbours")
    parts = [t for t in (prepend, input, append) if t is not None]
    input = cat(parts, axis) if len(parts) > 1 and n else input
    for _ in range(integer("diff", "n", n)):
        length = input.shape[axis]
        if not length:
            return input
        after, before = narrow(input, axis, 1, length - 1), narrow(input, axis, 0, length - 1)
        input = logical_xor(after, before) if input.array.dtype.kind == "b" else sub(after, before)
    return input


def sum_to_size(input: Tensor, *size: Any) -> Tensor:
    """Sum over the axes along which a tensor of a given size was broadcast.

    Args:
        input: Tensor of any shape.
        size: The shape to return, one by one or as a sequence.

    Returns:
        A tensor of that shape.

    Raises:
        ValueError: The input is not what that shape broadcasts to.

    Example:
        >>> import tinymed
        >>> tinymed.ones(4, 3).sum_to_size(1, 3).tolist()
        [[4.0, 4.0, 4.0]]
    """
    shape = sizes("sum_to_size", size)
    extra = input.array.ndim - len(shape)
    if extra < 0 or any(n not in (1, m) for n, m in zip(shape, input.shape[max(extra, 0) :], strict=True)):
        raise ValueError(f"sum_to_size: {list(input.shape)} is not what {list(shape)} broadcasts to")
    axes = [*range(extra), *(extra + i for i, n in enumerate(shape) if n == 1 and input.shape[extra + i] != 1)]
    return reshape(sum(input, axes), shape) if axes else input


__all__ = [
    "broadcast_shapes",
    "broadcast_tensors",
    "diff",
    "fliplr",
    "flipud",
    "meshgrid",
    "ravel",
    "repeat_interleave",
    "rot90",
    "sum_to_size",
    "tensor_split",
    "unflatten",
    "unfold",
]
