"""Joining and splitting along an axis, turning and repeating."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import dropped, integer, is_integer, numpy_names, one_axis, sizes, some_axes
from .broadcast import drawn_shape
from .cast import Cast
from .promotion import result_type
from .shape import Reshape, Shape, reshape, unsqueeze


@kernel(out=lambda axis, *xs: [joined(axis, xs)], flops=lambda axis, *xs: 0)
def concat(xp: Any, axis: int, *xs: Array) -> Array:
    """Join arrays one after another along an axis."""
    return xp.concatenate(xs, axis)


def joined(axis: int, xs: Sequence[Array]) -> Shape:
    """Return the shape of arrays joined along an axis."""
    return *xs[0].shape[:axis], int(sum(x.shape[axis] for x in xs)), *xs[0].shape[axis + 1 :]


class Cat(Op):
    """y = the inputs one after another along an axis;  each dx is its part of dy, as a view."""

    def forward(self, axis: int, *xs: Array) -> Array:
        self.save(axis, [x.shape[axis] for x in xs])
        return self.k.concat(axis, *xs)

    def backward(self, dy: Array) -> Any:
        return None, *parts(dy, *self.saved)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.choice((draw.shape(1, 4), (2, 16, 3, 3), (1, 33, 5)))
        axis = draw.integer(0, len(shape) - 1)
        xs = [draw.array((*shape[:axis], draw.integer(0, 4), *shape[axis + 1 :])) for _ in range(draw.integer(1, 3))]
        return axis, *xs

    @staticmethod
    def oracle(torch: Any, axis: int, *xs: Any) -> Any:
        return torch.cat(xs, axis)


def parts(x: Array, axis: int, lengths: Sequence[int]) -> tuple[Array, ...]:
    """Return consecutive views along an axis."""
    stops = np.cumsum(lengths).tolist()
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(stop - n, stop))] for n, stop in zip(lengths, stops, strict=True))


class Split(Op):
    """y_0, y_1, ... = consecutive parts of x along an axis, as views;  dx = the dy's joined."""

    view = True

    def forward(self, x: Array, lengths: Shape, axis: int) -> tuple[Array, ...]:
        self.save(axis)
        return parts(x, axis, lengths)

    def backward(self, *dys: Array) -> Any:
        return self.k.concat(*self.saved, *dys), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 4, 2)
        axis = draw.integer(0, len(shape) - 1)
        first = draw.integer(0, shape[axis])
        return draw.array(shape), (first, shape[axis] - first), axis

    @staticmethod
    def oracle(torch: Any, x: Any, lengths: Shape, axis: int) -> Any:
        return torch.split(x, lengths, axis)


@kernel(flops=lambda x, axes: 0)
def flip_forward(xp: Any, x: Array, axes: Shape) -> Array:
    """y[i] = x[n - 1 - i] along each of the axes."""
    return xp.flip(x, axes).copy() if axes else x.copy()


class Flip(Op):
    """y = x with some axes reversed, a copy;  dx = dy reversed back."""

    oracle = "torch.flip"

    def forward(self, x: Array, axes: Shape) -> Array:
        self.save(axes)
        return self.k.flip_forward(x, axes)

    def backward(self, dy: Array) -> Any:
        return self.k.flip_forward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = drawn_shape(draw)
        return draw.array(shape), tuple(i for i in range(len(shape)) if draw.boolean())


@kernel(flops=lambda x, shifts, axes: 0, out=lambda x, shifts, axes: [x.shape])
def roll_forward(xp: Any, x: Array, shifts: Shape, axes: Shape) -> Array:
    """y[i] = x[(i - shift) mod n] along each axis by its shift."""
    return xp.roll(x, shifts, axes)


class Roll(Op):
    """y = x with elements moved along axes, what falls off entering at the other end;  dx = dy moved back."""

    oracle = "torch.roll"

    def forward(self, x: Array, shifts: Shape, axes: Shape) -> Array:
        self.save(tuple(-s for s in shifts), axes)
        return self.k.roll_forward(x, shifts, axes)

    def backward(self, dy: Array) -> Any:
        return self.k.roll_forward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 4)
        axes = tuple(i for i in range(len(shape)) if draw.boolean()) or (0,)
        return draw.array(shape), tuple(draw.integer(-7, 7) for _ in axes), axes


@kernel(
    out=lambda x, times: [tuple(n * t for n, t in zip((1,) * (len(times) - x.ndim) + x.shape, times, strict=True))],
    flops=lambda x, times: 0,
)
def repeat_forward(xp: Any, x: Array, times: Shape) -> Array:
    """y[i] = x[i mod n] along each axis, which becomes times[axis] n long; missing axes go in front."""
    return xp.tile(x, times)


@kernel(out=lambda dy, shape, times: [shape], flops=lambda dy, shape, times: dy.size)
def repeat_backward(xp: Any, dy: Array, shape: Shape, times: Shape) -> Array:
    """dx[i] = the sum of dy[i + t n] over the repeats t along each axis."""
    full = (1,) * (len(times) - len(shape)) + shape
    blocks = dy.reshape([n for pair in zip(times, full, strict=True) for n in pair])
    return blocks.sum(tuple(range(0, 2 * len(times), 2))).reshape(shape)


class Repeat(Op):
    """y = copies of x side by side, `times` along each axis;  dx = the sum of dy over the copies."""

    def forward(self, x: Array, times: Shape) -> Array:
        self.save(x.shape, times)
        return self.k.repeat_forward(x, times)

    def backward(self, dy: Array) -> Any:
        return self.k.repeat_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(0, 3)
        return draw.array(shape), tuple(draw.integer(0, 3) or 1 for _ in range(len(shape) + draw.integer(0, 2)))

    @staticmethod
    def oracle(torch: Any, x: Any, times: Shape) -> Any:
        return x.repeat(times)


# ------------------------------------------------------------------------------------------------ public functions


@numpy_names
def cat(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Join tensors one after another along an axis.

    Args:
        tensors: Tensors whose other axes are equal; vectors of length 0 are passed over.
        dim: The axis.

    Returns:
        A tensor in the common dtype, as PyTorch promotes.

    Raises:
        ValueError: There is no tensor, or shapes do not fit.

    Example:
        >>> import tinymed
        >>> tinymed.cat([tinymed.zeros(2, 3), tinymed.ones(1, 3)]).shape
        (3, 3)
    """
    tensors = list(tensors)
    if not tensors:
        raise ValueError("cat: needs at least one tensor")
    if any(x.array.ndim != 1 for x in tensors):  # PyTorch passes over vectors of length 0, whatever the others are
        tensors = [x for x in tensors if x.shape != (0,)]
    axis = one_axis("cat", dim, tensors[0].array.ndim)
    first = tensors[0].shape
    for i, x in enumerate(tensors):
        if not x.shape or dropped(x.shape, (axis,)) != dropped(first, (axis,)) or len(x.shape) != len(first):
            shapes = f"tensor {i} has shape {list(x.shape)}, tensor 0 has {list(first)}"
            raise ValueError(
                f"cat: {shapes}; all but axis {axis} must be equal, and a tensor without axes cannot be "
                "joined (use stack)"
            )
    return Cat.apply(axis, *alike(tensors))


def alike(tensors: Sequence[Any]) -> list[Any]:
    """Return the tensors in their common dtype."""
    dtype = result_type(*tensors)
    return [x if x.array.dtype == dtype else Cast.apply(x, dtype) for x in tensors]


@numpy_names
def stack(tensors: Sequence[Any], dim: int = 0) -> Tensor:
    """Join tensors of one shape along a new axis.

    Args:
        tensors: Tensors of one shape.
        dim: The place of the new axis.

    Returns:
        A tensor in the common dtype, with one axis more.

    Raises:
        ValueError: There is no tensor, or shapes differ.

    Example:
        >>> import tinymed
        >>> tinymed.stack([tinymed.zeros(2), tinymed.ones(2)], 1).tolist()
        [[0.0, 1.0], [0.0, 1.0]]
    """
    tensors = list(tensors)
    shapes = sorted({tuple(x.shape) for x in tensors})
    if len(shapes) != 1:
        raise ValueError(
            f"stack: needs tensors of one shape, got {' and '.join(str(list(s)) for s in shapes) or 'none'}"
        )
    return cat([unsqueeze(x, dim) for x in tensors], dim if dim >= 0 else dim + len(shapes[0]) + 1)


@numpy_names
def split(input: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Split an axis into consecutive parts, as views.

    Args:
        input: Tensor with at least one axis.
        split_size_or_sections: The length of each part (the last may be shorter), or a list of lengths that add up.
        dim: The axis.

    Returns:
        A tuple of tensors.

    Raises:
        ValueError: The lengths do not fit.
        IndexError: The tensor has no axes.

    Example:
        >>> import tinymed
        >>> [part.tolist() for part in tinymed.split(tinymed.arange(5), 2)]
        [[0, 1], [2, 3], [4]]
    """
    has_axes("split", input)
    axis = one_axis("split", dim, input.array.ndim)
    n, given = input.shape[axis], split_size_or_sections
    if is_integer(given):
        given = integer("split", "the size of a part", given)
        if given < 1:
            raise ValueError(f"split: the size of a part is at least 1, got {given}")
        lengths = [min(given, n - start) for start in range(0, n, given)] or [0]
    else:
        lengths = list(sizes("split", given))
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise ValueError(f"split: sections {lengths} must add up to {n}, the length of axis {axis}")
    result: tuple[Any, ...] = Split.apply(input, tuple(lengths), axis)
    return result


@numpy_names
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """Split an axis into at most `chunks` parts, all of one length but the last, as views.

    Args:
        input: Tensor with at least one axis.
        chunks: The number of parts, at least 1.
        dim: The axis.

    Returns:
        A tuple of tensors.

    Raises:
        ValueError: chunks is below 1.
        IndexError: The tensor has no axes.

    Example:
        >>> import tinymed
        >>> [part.tolist() for part in tinymed.chunk(tinymed.arange(5), 2)]
        [[0, 1, 2], [3, 4]]
    """
    has_axes("chunk", input)
    chunks = integer("chunk", "chunks", chunks)
    if chunks < 1:
        raise ValueError(f"chunk: needs at least 1 part, got {chunks}")
    n = input.shape[one_axis("chunk", dim, input.array.ndim)]
    return split(input, max(1, -(-n // chunks)), dim) if n else split(input, [0] * chunks, dim)


def has_axes(name: str, input: Any, wanted: Any = (0,)) -> None:
    """Raise where a tensor without axes is asked for one."""
    if not input.array.ndim and wanted:
        raise IndexError(f"{name}: the tensor has no axes, so none can be named; unsqueeze(0) gives it one")


@numpy_names
def unbind(input: Tensor, dim: int = 0) -> tuple[Any, ...]:
    """Return the slices along an axis, without that axis, as views.

    Args:
        input: Tensor with at least one axis.
        dim: The axis.

    Returns:
        A tuple of tensors.

    Raises:
        IndexError: The tensor has no axes.

    Example:
        >>> import tinymed
        >>> [row.tolist() for row in tinymed.unbind(tinymed.eye(2))]
        [[1.0, 0.0], [0.0, 1.0]]
    """
    has_axes("unbind", input)
    axis = one_axis("unbind", dim, input.array.ndim)
    n = input.shape[axis]
    shape = input.shape[:axis] + input.shape[axis + 1 :]
    return tuple(Reshape.apply(x, shape) for x in split(input, [1] * n, axis)) if n else ()


def flip(input: Tensor, *axes: Any, dims: Any = None) -> Tensor:
    """Reverse the order of elements along axes, as a copy.

    Args:
        input: Tensor of any shape.
        axes: The axes, one by one or as a sequence; also given as dims=.
        dims: The axes by name.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.flip(tinymed.arange(3), 0).tolist()
        [2, 1, 0]
    """
    if dims is not None and axes:
        raise TypeError("flip: give dims once, by position or as dims=")
    given = sizes("flip", axes if dims is None else (dims,))
    return Flip.apply(input, some_axes("flip", given, input.array.ndim) if given else ())


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """Shift elements along axes; what leaves at one end enters at the other.

    Args:
        input: Tensor of any shape.
        shifts: The distance in elements, or one per axis.
        dims: The axes; None rolls the flattened tensor.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: There are not as many shifts as axes.

    Example:
        >>> import tinymed
        >>> tinymed.roll(tinymed.arange(4), 1).tolist()
        [3, 0, 1, 2]
    """
    steps = sizes("roll", (shifts,) if is_integer(shifts) else (tuple(shifts),))
    if dims is None:
        if len(steps) != 1:
            raise ValueError(f"roll: {len(steps)} shifts without dims; give one, or as many dims")
        return reshape(Roll.apply(reshape(input, -1), (sum(steps),), (0,)), input.shape)
    given = (dims,) if is_integer(dims) else tuple(dims)
    if len(given) != len(steps) and (given or len(steps) != 1):
        raise ValueError(f"roll: {len(steps)} shifts for {len(given)} dims")
    has_axes("roll", input, given)
    axes = tuple(one_axis("roll", d, input.array.ndim) for d in given)
    if not axes:
        return roll(input, steps)
    return Roll.apply(input, steps, axes)


def repeat(input: Tensor, *repeats: Any) -> Tensor:
    """Repeat the whole tensor side by side along its axes.

    Args:
        input: Tensor of any shape.
        repeats: A count for each axis, new leading axes first.

    Returns:
        A tensor of the input's dtype, a copy.

    Raises:
        ValueError: There are fewer counts than axes, or one is negative.

    Example:
        >>> import tinymed
        >>> tinymed.arange(2).repeat(2, 2).tolist()
        [[0, 1, 0, 1], [0, 1, 0, 1]]
    """
    times = sizes("repeat", repeats)
    if len(times) < input.array.ndim or min(times, default=0) < 0:
        raise ValueError(
            f"repeat: {list(times)} must be at least one count, 0 or more, for each axis of {list(input.shape)}"
        )
    return Repeat.apply(input, times)


def tile(input: Tensor, *dims: Any) -> Tensor:
    """Repeat the whole tensor side by side, with missing leading counts 1.

    Args:
        input: Tensor of any shape.
        dims: The counts, for the last axes.

    Returns:
        A tensor of the input's dtype, a copy.

    Raises:
        ValueError: A count is negative.

    Example:
        >>> import tinymed
        >>> tinymed.tile(tinymed.eye(2), (2,)).tolist()
        [[1.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.0, 1.0]]
    """
    times = sizes("tile", dims)
    return repeat(input, (1,) * (input.array.ndim - len(times)) + times)


concatenate = cat

__all__ = ["cat", "chunk", "concatenate", "flip", "repeat", "roll", "split", "stack", "tile", "unbind"]
