"""Shapes: views of the same memory, and joining, splitting, turning and repeating.

A view costs nothing and shares its memory's version counter.  Only a reshape that no view can express copies, through
the kernel `canonical`, so that the cost is visible.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..backend import Array, Table, kernel
from ..tape import Cast, Op, result_type
from .axes import one_axis, sizes, some_axes
from .broadcast import drawn_shape, to_shape

Shape = tuple[int, ...]


def reshaped(k: Table, x: Array, shape: Shape) -> Array:
    """A view of x in another shape; of a copy in C order where no view exists."""
    if x.flags.c_contiguous:
        return x.reshape(shape)
    try:
        return k.xp.reshape(x, shape, copy=False)
    except ValueError:
        return k.canonical(x, tuple(range(x.ndim))).reshape(shape)


class Reshape(Op):
    """y = the elements of x in C order in another shape;  dx = dy in x's shape."""

    oracle = "torch.reshape"
    view = True

    def forward(self, x: Array, shape: Shape) -> Array:
        self.save(x.shape)
        y = reshaped(self.k, x, shape)
        self.view = np.may_share_memory(x, y) if isinstance(x, np.ndarray) else True
        return y

    def backward(self, dy: Array) -> Any:
        return reshaped(self.k, dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = drawn_shape(draw)
        size = math.prod(shape)
        return draw.array(shape), draw.choice(((size,), (1, size), shape[::-1]))


class Permute(Op):
    """y[i_0, i_1, ...] = x with its axes in another order;  dx = dy with the order undone."""

    oracle = "torch.permute"
    view = True

    def forward(self, x: Array, dims: Shape) -> Array:
        self.save(dims)
        return x.transpose(dims)

    def backward(self, dy: Array) -> Any:
        (dims,) = self.saved
        return dy.transpose([dims.index(i) for i in range(len(dims))]), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = drawn_shape(draw)
        left = list(range(len(shape)))
        return draw.array(shape), tuple(left.pop(draw.integer(0, len(left) - 1)) for _ in shape)


class Expand(Op):
    """y = x repeated along axes of length 1 and new leading axes, without copying;  dx = dy summed over them."""

    view = True

    def forward(self, x: Array, shape: Shape) -> Array:
        self.save(x.shape)
        return self.k.xp.broadcast_to(x, shape)

    def backward(self, dy: Array) -> Any:
        return to_shape(self.k, dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = drawn_shape(draw)
        source = tuple(n if draw.boolean() else 1 for n in shape)[draw.integer(0, len(shape)) :]
        return draw.array(source), shape

    @staticmethod
    def oracle(torch: Any, x: Any, shape: Shape) -> Any:
        return x.expand(shape)


@kernel(out=lambda axis, *xs: [joined(axis, xs)], flops=lambda axis, *xs: 0)
def concat(xp: Any, axis: int, *xs: Array) -> Array:
    """Arrays one after another along an axis."""
    return xp.concatenate(xs, axis)


def joined(axis: int, xs: Sequence[Array]) -> Shape:
    """The shape of arrays joined along an axis."""
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
    """Consecutive views along an axis."""
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


@kernel(out=lambda x, times: [tuple(n * t for n, t in zip((1,) * (len(times) - x.ndim) + x.shape, times, strict=True))],
        flops=lambda x, times: 0)  # fmt: skip
def repeat_forward(xp: Any, x: Array, times: Shape) -> Array:
    return xp.tile(x, times)


@kernel(out=lambda dy, shape, times: [shape], flops=lambda dy, shape, times: dy.size)
def repeat_backward(xp: Any, dy: Array, shape: Shape, times: Shape) -> Array:
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


@kernel(flops=lambda x: 0)
def copy(xp: Any, x: Array) -> Array:
    """The values in memory of their own, in the same order of axes."""
    return x.copy(order="K")


class Clone(Op):
    """y = x in memory of its own;  dx = dy."""

    oracle = "torch.clone"

    def forward(self, x: Array) -> Array:
        return self.k.copy(x)

    def backward(self, dy: Array) -> Array:
        return dy

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return (draw.array(drawn_shape(draw)),)


# ------------------------------------------------------------------------------------------------ public functions


def reshape(input: Any, *shape: Any) -> Any:
    """The elements in C order in another shape; one length may be -1.  A view where one exists."""
    wanted = sizes("reshape", shape)
    size, holes = input.data.size, wanted.count(-1)
    rest = math.prod(n for n in wanted if n != -1)
    fits = size % rest == 0 if holes and rest else size == rest and not holes
    if holes > 1 or min(wanted, default=0) < -1 or not fits:
        raise ValueError(f"reshape: {list(input.shape)} ({size} elements) does not fit {list(wanted)}; at most one length "
                         "may be -1, and then the others must divide the number of elements")  # fmt: skip
    return Reshape.apply(input, tuple(size // rest if n == -1 else n for n in wanted))


def flatten(input: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    """The axes from start_dim to end_dim as one."""
    first, last = (one_axis("flatten", d, input.data.ndim) for d in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape or (1,)
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def permute(input: Any, *dims: Any) -> Any:
    """The axes in another order, as a view."""
    given, ndim = sizes("permute", dims), input.data.ndim
    order = tuple(one_axis("permute", d, ndim) for d in given)
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute: dims {list(given)} must name each of the {ndim} axes once")
    return Permute.apply(input, order)


def transpose(input: Any, dim0: int, dim1: int) -> Any:
    """Two axes exchanged, as a view."""
    order = list(range(input.data.ndim))
    a, b = (one_axis("transpose", d, len(order)) for d in (dim0, dim1))
    if order:
        order[a], order[b] = b, a
    return Permute.apply(input, tuple(order))


def movedim(input: Any, source: Any, destination: Any) -> Any:
    """Axes moved to other positions, the others staying in order."""
    ndim = input.data.ndim
    pairs = [[one_axis("movedim", d, ndim) for d in ((v,) if isinstance(v, int) else v)] for v in (source, destination)]
    if len(pairs[0]) != len(pairs[1]) or any(len(set(p)) != len(p) for p in pairs):
        raise ValueError(f"movedim: source {source} and destination {destination} must name as many axes, each once")
    order = [i for i in range(ndim) if i not in pairs[0]]
    for place, axis in sorted(zip(pairs[1], pairs[0], strict=True)):
        order.insert(place, axis)
    return Permute.apply(input, tuple(order))


def t(input: Any) -> Any:
    """The transpose of a matrix; a vector or scalar is returned as it is."""
    if input.data.ndim > 2:
        raise ValueError(f"t: needs at most 2 axes, input is {list(input.shape)}; use transpose or permute")
    return Permute.apply(input, tuple(reversed(range(input.data.ndim))))


def expand(input: Any, *shape: Any) -> Any:
    """Repeated along axes of length 1 and new leading axes, without copying; -1 keeps a length."""
    wanted, have = sizes("expand", shape), input.shape
    extra = len(wanted) - len(have)
    full = tuple(have[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(wanted))
    if extra < 0 or any(n < 0 for n in full) or any(h not in (1, n) for h, n in zip(have, full[extra:], strict=True)):
        raise ValueError(f"expand: {list(have)} cannot become {list(wanted)}; only axes of length 1 grow, and new axes "
                         "come first")  # fmt: skip
    return Expand.apply(input, full)


def broadcast_to(input: Any, shape: Sequence[int]) -> Any:
    """As expand."""
    return expand(input, tuple(shape))


def expand_as(input: Any, other: Any) -> Any:
    """Expanded to the shape of another tensor."""
    return expand(input, other.shape)


def squeeze(input: Any, dim: Any = None) -> Any:
    """Without the axes of length 1, or without those of dim that have length 1."""
    axes = some_axes("squeeze", dim, input.data.ndim)
    return Reshape.apply(input, tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in axes))


def unsqueeze(input: Any, dim: int) -> Any:
    """With a new axis of length 1 at dim."""
    place = one_axis("unsqueeze", dim, input.data.ndim + 1)
    return Reshape.apply(input, (*input.shape[:place], 1, *input.shape[place:]))


def cat(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors one after another along dim; the other lengths are equal.  Their common dtype is PyTorch's."""
    tensors = list(tensors)
    if not tensors:
        raise ValueError("cat: needs at least one tensor")
    axis = one_axis("cat", dim, tensors[0].data.ndim)
    first = tensors[0].shape
    for i, x in enumerate(tensors):
        if not x.shape or len(x.shape) != len(first) or any(m != n for a, (m, n) in enumerate(zip(x.shape, first, strict=True))
                                                             if a != axis):  # fmt: skip
            raise ValueError(f"cat: tensor {i} has shape {list(x.shape)}, tensor 0 has {list(first)}; all but axis {axis} "
                             "must be equal, and a tensor without axes cannot be joined (use stack)")  # fmt: skip
    return Cat.apply(axis, *alike(tensors))


def alike(tensors: Sequence[Any]) -> list[Any]:
    """The tensors in their common dtype."""
    dtype = result_type(*tensors)
    return [x if x.data.dtype == dtype else Cast.apply(x, dtype) for x in tensors]


def stack(tensors: Sequence[Any], dim: int = 0) -> Any:
    """Tensors of one shape one after another along a new axis."""
    tensors = list(tensors)
    shapes = sorted({tuple(x.shape) for x in tensors})
    if len(shapes) != 1:
        raise ValueError(f"stack: needs tensors of one shape, got {' and '.join(str(list(s)) for s in shapes) or 'none'}")
    return cat([unsqueeze(x, dim) for x in tensors], dim if dim >= 0 else dim + len(shapes[0]) + 1)


def split(input: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Consecutive parts along dim, as views: of one size (the last may be shorter), or of the sizes in a list."""
    axis = one_axis("split", dim, input.data.ndim)
    n, given = input.shape[axis], split_size_or_sections
    if isinstance(given, int):
        if given < 1:
            raise ValueError(f"split: the size of a part is at least 1, got {given}")
        lengths = [min(given, n - start) for start in range(0, n, given)] or [0]
    else:
        lengths = [int(v) for v in given]
        if sum(lengths) != n or min(lengths, default=0) < 0:
            raise ValueError(f"split: sections {lengths} must add up to {n}, the length of axis {axis}")
    result: tuple[Any, ...] = Split.apply(input, tuple(lengths), axis)
    return result


def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` parts along dim, all of one size but the last."""
    if chunks < 1:
        raise ValueError(f"chunk: needs at least 1 part, got {chunks}")
    n = input.shape[one_axis("chunk", dim, input.data.ndim)]
    return split(input, max(1, -(-n // chunks)), dim) if n else split(input, [0] * chunks, dim)


def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along dim, without that axis, as views."""
    axis = one_axis("unbind", dim, input.data.ndim)
    n = input.shape[axis]
    shape = input.shape[:axis] + input.shape[axis + 1 :]
    return tuple(Reshape.apply(x, shape) for x in split(input, [1] * n, axis)) if n else ()


def flip(input: Any, *dims: Any) -> Any:
    """Reversed along dims; a copy."""
    given = sizes("flip", dims)
    return Flip.apply(input, some_axes("flip", given, input.data.ndim) if given else ())


def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """Moved by shifts along dims, what falls off entering at the other end; without dims, in the flattened tensor."""
    steps = (shifts,) if isinstance(shifts, int) else tuple(shifts)
    if dims is None:
        return reshape(Roll.apply(reshape(input, -1), (sum(steps),), (0,)), input.shape)
    axes = tuple(one_axis("roll", d, input.data.ndim) for d in ((dims,) if isinstance(dims, int) else dims))
    if len(axes) != len(steps):
        raise ValueError(f"roll: {len(steps)} shifts for {len(axes)} dims")
    return Roll.apply(input, steps, axes)


def repeat(input: Any, *repeats: Any) -> Any:
    """Copies side by side, `repeats` along each axis; new axes come first."""
    times = sizes("repeat", repeats)
    if len(times) < input.data.ndim or min(times, default=0) < 0:
        raise ValueError(f"repeat: {list(times)} must be at least one count, 0 or more, for each axis of {list(input.shape)}")
    return Repeat.apply(input, times)


def tile(input: Any, *dims: Any) -> Any:
    """As repeat, with missing leading counts 1."""
    times = sizes("tile", dims)
    return repeat(input, (1,) * (input.data.ndim - len(times)) + times)


def clone(input: Any) -> Any:
    """The values in memory of their own; the gradient flows through."""
    return Clone.apply(input)


view, swapaxes, concatenate = reshape, transpose, cat

__all__ = [
    "broadcast_to", "cat", "chunk", "clone", "concatenate", "expand", "flatten", "flip", "movedim", "permute", "repeat",
    "reshape", "roll", "split", "squeeze", "stack", "swapaxes", "t", "tile", "transpose", "unbind", "unsqueeze",
]  # fmt: skip
