"""Elements by index, and adding up at places that may repeat, on the GPU: csrc/gather.cu.

No atomics: places are sorted, stably, and each result sums what came to it in the order of the index, so the same input
gives the same bits.  A kernel sorts by comparing each place with every other, which suits no very long index.
"""

from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import kernel
from ..memory import inverse_order
from ..ops.indexing import Span
from ..ops.shape import reshaped

MOST_PLACES = 1 << 16  # that the kernel sorts; more are left to argsort


def long_integers(k: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index as int64 in C order and another shape."""
    index = index if index.dtype.char == "l" else k.cast(index, "int64")
    return reshaped(k, index, shape)


def line_shape(shape: tuple[int, ...], axis: int, n: int | None = None) -> tuple[int, int, int]:
    """Return (outer, n, inner) of an array's lines along an axis, in C order."""
    return prod(shape[:axis]), shape[axis] if n is None else n, prod(shape[axis + 1 :])


class Places(NamedTuple):
    """Index arrays as one, along merged axes.

    order: Of the axes; those selected from are neighbours, `merged` of them from the `first`.  line: (outer, n, inner)
    in that order.  index: The places.
    """

    order: tuple[int, ...]
    first: int
    merged: int
    line: tuple[int, int, int]
    index: Any

    def taken_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of what is taken from an array."""
        lengths = [shape[a] for a in self.order]
        return (*lengths[: self.first], *self.index.shape, *lengths[self.first + self.merged :])


def places_in(k: Any, shape: tuple[int, ...], where: Any, arrays: tuple[Any, ...]) -> Places:
    """Return where index arrays point: the axes they select along merged, in front unless they are neighbours."""
    chosen = [a for a, w in enumerate(where) if w]
    beside = chosen[-1] - chosen[0] == len(chosen) - 1
    rest = [a for a in range(len(shape)) if a not in chosen]
    order = tuple(range(len(shape))) if beside else (*chosen, *rest)
    first = chosen[0] if beside else 0
    common = np.broadcast_shapes(*(a.shape for a in arrays))
    index, n = long_integers(k, arrays[0], arrays[0].shape), shape[chosen[0]]
    index = k.xp.broadcast_to(index, common)
    for axis, more in zip(chosen[1:], arrays[1:], strict=True):
        other = k.xp.broadcast_to(long_integers(k, more, more.shape), common)
        index = k.join_places(index, other, n, shape[axis])
        n *= shape[axis]
    lengths = [shape[a] for a in order]
    line = prod(lengths[:first]), n, prod(lengths[first + len(chosen) :])
    return Places(order, first, len(chosen), line, index)


def takes(x: Any, where: Any, arrays: tuple[Any, ...]) -> bool:
    """Return whether integers select from a float32 array."""
    return bool(x.dtype.char == "f" and any(where) and all(a.dtype.kind in "iu" for a in arrays))


@kernel(backend="csrc", composite=True, when=lambda x, where, *arrays: takes(x, where, arrays))
def take(k: Any, x: Any, where: Any, *arrays: Any) -> Any:
    """take_lines."""
    places = places_in(k, x.shape, where, arrays)
    index = reshaped(k, places.index, (places.index.size,))
    taken = k.take_lines(reshaped(k, x.transpose(places.order), places.line), index)
    return taken.reshape(places.taken_shape(x.shape))


@kernel(
    backend="csrc",
    flat="y a b",
    out=lambda a, b, m, n: [(a.shape, "int64")],
    flops=lambda *_: 0,
    when=lambda a, b, m, n: a.dtype.char == b.dtype.char == "l",
)
def join_places(y: Any, a: Any, b: Any, m: Any, n: Any) -> None:
    """y = a n + b, for places a along an axis of length m and b along the next, of length n."""


@kernel(
    backend="csrc",
    out=lambda x, index: [((x.shape[0], index.size, x.shape[2]), x.dtype)],
    flops=lambda *_: 0,
)
def take_lines(y: Any, x: Any, index: Any) -> None:
    """y[o, m, i] = x[o, index[m], i]; negative places count from the end."""


def in_order(k: Any, index: Any, n: int) -> tuple[Any, Any]:
    """Return places along an axis of length n in ascending order, equal ones in theirs, and where each stood."""
    if index.size <= MOST_PLACES:
        return k.rank_places(index, n)  # type: ignore[no-any-return]
    places = k.join_places(k.full(index.shape, index.dtype, 0), index, 1, n)  # counted from the beginning
    order = k.argsort_forward(places, 0, False)
    return k.take(places, (True,), order), order


def added_up(k: Any, dy: Any, index: Any, shape: tuple[int, int, int]) -> Any:
    """Return zeros (outer, n, inner) with dy, a row for each place of the index, added up at those places."""
    sorted, order = in_order(k, long_integers(k, index, (index.size,)), shape[1])
    return k.add_segments(None, sorted, order, reshaped(k, dy, (shape[0], index.size, shape[2])), shape, False)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda dy, shape, where, *arrays: takes(dy, where, arrays),
)
def take_backward(k: Any, dy: Any, shape: Any, where: Any, *arrays: Any) -> Any:
    """rank_places and add_segments."""
    places = places_in(k, shape, where, arrays)
    dx = added_up(k, dy, places.index, places.line)
    return dx.reshape([shape[a] for a in places.order]).transpose(inverse_order(places.order))


@kernel(
    backend="csrc",
    composite=True,
    when=lambda dy, index, rows: dy.dtype.char == "f",
)
def embedding_backward(k: Any, dy: Any, index: Any, rows: int) -> Any:
    """rank_places and add_segments."""
    return added_up(k, dy, index, (1, rows, dy.shape[-1])).reshape(rows, dy.shape[-1])


@kernel(
    backend="csrc",
    out=lambda index, n: [((index.size,), "int64")] * 2,
    flops=lambda index, n: index.size**2,
    when=lambda index, n: index.dtype.char == "l",
)
def rank_places(sorted: Any, order: Any, index: Any, n: Any) -> None:
    """sorted, order = the places in ascending order, equal ones in theirs, and where each stood."""


@kernel(
    backend="csrc",
    out=lambda x, sorted, order, source, shape, replace: [(shape, "float32")],
    flops=lambda x, sorted, order, source, *_: source.size,
)
def add_segments(y: Any, x: Any, sorted: Any, order: Any, source: Any, shape: Any, replace: Any) -> None:
    """y[o, j, i] = x[o, j, i] (or 0) + the sum of source[o, k, i] where place k is j, in order; or the last of them."""


def picks(x: Any, index: Any, *_: Any) -> bool:
    """Return whether integers pick from a float32 array."""
    return bool(x.dtype.char == "f" and index.dtype.kind in "iu")


def within(x: Any, index: Any, axis: int) -> Any:
    """Return the part of x that lies beside an index, which may be shorter along all axes but one."""
    return x[tuple(slice(None if a == axis else n) for a, n in enumerate(index.shape))]


@kernel(backend="csrc", composite=True, when=picks)
def gather_forward(k: Any, x: Any, index: Any, axis: int) -> Any:
    """take_each."""
    if not x.ndim:
        return k.copy(x).reshape(index.shape)
    lines = reshaped(
        k, within(x, index, axis), line_shape((*index.shape[:axis], x.shape[axis], *index.shape[axis + 1 :]), axis)
    )
    return k.take_each(lines, long_integers(k, index, line_shape(index.shape, axis))).reshape(index.shape)


@kernel(backend="csrc", composite=True, when=picks)
def pick_forward(k: Any, x: Any, indices: Any, axis: int) -> Any:
    """take_each of one place a line."""
    if not x.ndim:
        return k.copy(x)
    lines = reshaped(k, x, line_shape(x.shape, axis))
    index = long_integers(k, indices, (lines.shape[0], 1, lines.shape[2]))
    return k.take_each(lines, index).reshape(indices.shape)


@kernel(backend="csrc", composite=True, when=picks)
def along_forward(k: Any, x: Any, indices: Any, axis: int) -> Any:
    """take_each"""
    if not x.ndim:
        return k.copy(x)
    lines = reshaped(k, x, line_shape(x.shape, axis))
    return k.take_each(lines, long_integers(k, indices, line_shape(indices.shape, axis))).reshape(indices.shape)


@kernel(backend="csrc", composite=True, when=picks)
def pick_backward(k: Any, dy: Any, indices: Any, n: int, axis: int) -> Any:
    """put_each"""
    lines = prod(dy.shape[:axis]), prod(dy.shape[axis:])
    dx = k.put_each(reshaped(k, dy, lines), long_integers(k, indices, lines), n)
    return dx.reshape(*dy.shape[:axis], n, *dy.shape[axis:])


@kernel(
    backend="csrc", out=lambda dy, index, n: [(dy.shape[0], n, dy.shape[1])], flops=lambda dy, index, n: n * dy.size
)
def put_each(dx: Any, dy: Any, index: Any, n: Any) -> None:
    """dx[o, j, i] = dy[o, i] where j = index[o, i], else 0."""


@kernel(backend="csrc", out=lambda x, index: [(index.shape, x.dtype)], flops=lambda *_: 0)
def take_each(y: Any, x: Any, index: Any) -> None:
    """y[o, m, i] = x[o, index[o, m, i], i]."""


def scattered(k: Any, x: Any, index: Any, source: Any, axis: int, replace: bool) -> Any:
    """Return x with source at places along an axis, in the part of x that lies beside the index."""
    if not x.ndim:  # one number is a line of one
        return scattered(k, x.reshape(1), index.reshape(1), source.reshape(1), 0, replace).reshape(())
    part, source = within(x, index, axis), source[tuple(slice(n) for n in index.shape)]
    if part.shape != x.shape:
        y = k.copy(x)
        k.setitem(y, scattered(k, part, index, source, axis, replace), spans(part.shape), ())
        return y
    shape, places = line_shape(x.shape, axis), line_shape(index.shape, axis)
    lines, source = reshaped(k, x, shape), reshaped(k, source, places)
    if shape[0] * shape[2] == 1:
        sorted, order = in_order(k, long_integers(k, index, (places[1],)), shape[1])
        return k.add_segments(lines, sorted, order, source, shape, replace).reshape(x.shape)
    return k.add_each(lines, long_integers(k, index, places), source, replace).reshape(x.shape)


def spans(shape: tuple[int, ...]) -> tuple[Span, ...]:
    """Return the index of the first so many places along each axis."""
    return tuple(Span(0, n) for n in shape)


@kernel(backend="csrc", composite=True, when=lambda x, index, source, axis: picks(x, index) and picks(source, index))
def scatter_add_forward(k: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
    """add_segments of a single line; a walk along each of several."""
    return scattered(k, x, index, source, axis, False)


@kernel(backend="csrc", composite=True, when=lambda x, index, source, axis: picks(x, index) and picks(source, index))
def scatter_forward(k: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
    """Do the same with the last of repeats instead of their sum."""
    return scattered(k, x, index, source, axis, True)


@kernel(backend="csrc", composite=True, when=picks)
def gather_backward(k: Any, dy: Any, index: Any, n: int, axis: int) -> Any:
    """Add to zeros by scatter_add_forward."""
    zeros = k.full((*dy.shape[:axis], n, *dy.shape[axis + 1 :]), dy.dtype, 0)
    return k.scatter_add_forward(zeros, index, dy, axis)


@kernel(backend="csrc", composite=True, when=lambda dy, index, x_shape: dy.dtype.char == "f")
def scatter_flat(k: Any, dy: Any, index: Any, x_shape: Any) -> Any:
    """Add dy at positions in each plane: a walk along each."""
    planes, places = prod(x_shape[:2]), prod(dy.shape[2:])
    zeros = k.full((planes, prod(x_shape[2:]), 1), dy.dtype, 0)
    index = long_integers(k, index, (planes, places, 1))
    return k.add_each(zeros, index, reshaped(k, dy, (planes, places, 1)), False).reshape(x_shape)


@kernel(backend="csrc", out=lambda x, *_: [x.shape], flops=lambda x, index, *_: index.size)
def add_each(y: Any, x: Any, index: Any, source: Any, replace: Any) -> None:
    """y = x, then y[o, index[o, k, i], i] += source[o, k, i], or = it."""


@kernel(backend="csrc", when=lambda index, classes: index.dtype.char == "l")
def one_hot_forward(y: Any, index: Any, classes: Any) -> None:
    """y[..., c] = 1 where index = c, else 0."""
