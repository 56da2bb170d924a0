"""Elements by index, and adding up at places that may repeat, on the GPU: csrc/gather.cu.

No atomics: places are sorted, stably, and each result sums what came to it in the order of the index, so the same input
gives the same bits.  Sorting compares each place with every other, so longer indices are left to the reference.
"""

from math import prod
from typing import Any

from ..dispatch import kernel
from ..ops.shape import reshaped

MOST_PLACES = 1 << 16  # that are sorted


def long_integers(k: Any, index: Any, shape: tuple[int, ...]) -> Any:
    """Return an index as int64 in C order and another shape."""
    index = index if index.dtype.char == "l" else k.cast(index, "int64")
    return reshaped(k, index, shape)


def line_shape(shape: tuple[int, ...], axis: int, n: int | None = None) -> tuple[int, int, int]:
    """Return (outer, n, inner) of an array's lines along an axis, in C order."""
    return prod(shape[:axis]), shape[axis] if n is None else n, prod(shape[axis + 1 :])


def takes_one(x: Any, where: Any, arrays: tuple[Any, ...]) -> bool:
    """Return whether integers select along one axis of a float32 array that has elements."""
    return bool(x.dtype.char == "f" and x.size and sum(where) == 1 and arrays[0].dtype.kind in "iu" and arrays[0].size)


@kernel(backend="csrc", composite=True, when=lambda x, where, *arrays: takes_one(x, where, arrays))
def take(k: Any, x: Any, where: Any, *arrays: Any) -> Any:
    """take_lines."""
    (index,), axis = arrays, where.index(True)
    lines = reshaped(k, x, line_shape(x.shape, axis))
    taken = k.take_lines(lines, long_integers(k, index, (index.size,)))
    return taken.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


@kernel(
    backend="csrc",
    out=lambda x, index: [((x.shape[0], index.size, x.shape[2]), x.dtype)],
    flops=lambda *_: 0,
)
def take_lines(y: Any, x: Any, index: Any) -> None:
    """y[o, m, i] = x[o, index[m], i]; negative places count from the end."""


def added_up(k: Any, dy: Any, index: Any, shape: tuple[int, int, int]) -> Any:
    """Return zeros (outer, n, inner) with dy, a row for each place of the index, added up at those places."""
    sorted, order = k.rank_places(long_integers(k, index, (index.size,)), shape[1])
    return k.add_segments(None, sorted, order, reshaped(k, dy, (shape[0], index.size, shape[2])), shape, False)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda dy, shape, where, *arrays: takes_one(dy, where, arrays) and arrays[0].size <= MOST_PLACES,
)
def take_backward(k: Any, dy: Any, shape: Any, where: Any, *arrays: Any) -> Any:
    """rank_places and add_segments."""
    return added_up(k, dy, arrays[0], line_shape(shape, where.index(True))).reshape(shape)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda dy, index, rows: dy.dtype.char == "f" and dy.size and index.size <= MOST_PLACES,
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
    backend="csrc", out=lambda x, sorted, order, source, shape, replace: [(shape, "float32")], flops=lambda x, sorted, order, source, *_: source.size
)
def add_segments(y: Any, x: Any, sorted: Any, order: Any, source: Any, shape: Any, replace: Any) -> None:
    """y[o, j, i] = x[o, j, i] (or 0) + the sum of source[o, k, i] where place k is j, in order; or the last of them."""


def same_but(x: Any, index: Any, axis: int) -> bool:
    """Return whether integers lie beside a float32 array that has elements, as long but along one axis."""
    others = all(a == axis or n == m for a, (n, m) in enumerate(zip(x.shape, index.shape, strict=True)))
    return bool(others and x.dtype.char == "f" and x.size and index.size and index.dtype.kind in "iu")


@kernel(backend="csrc", composite=True, when=same_but)
def gather_forward(k: Any, x: Any, index: Any, axis: int) -> Any:
    """take_each."""
    lines = reshaped(k, x, line_shape(x.shape, axis))
    return k.take_each(lines, long_integers(k, index, line_shape(index.shape, axis))).reshape(index.shape)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, indices, axis: x.ndim and same_but(x, indices.reshape(kept_shape(x, axis)), axis),
)
def pick_forward(k: Any, x: Any, indices: Any, axis: int) -> Any:
    """take_each of one place a line."""
    shape = kept_shape(x, axis)
    index = long_integers(k, indices, line_shape(shape, axis))
    return k.take_each(reshaped(k, x, line_shape(x.shape, axis)), index).reshape(indices.shape)


def kept_shape(x: Any, axis: int) -> tuple[int, ...]:
    """Return the shape of x with one element along an axis."""
    return (*x.shape[:axis], 1, *x.shape[axis + 1 :])


@kernel(backend="csrc", out=lambda x, index: [(index.shape, x.dtype)], flops=lambda *_: 0)
def take_each(y: Any, x: Any, index: Any) -> None:
    """y[o, m, i] = x[o, index[o, m, i], i]."""


def scattered(k: Any, x: Any, index: Any, source: Any, axis: int, replace: bool) -> Any:
    """add_segments of a single line; a walk along each of several."""
    shape, places = line_shape(x.shape, axis), line_shape(index.shape, axis)
    lines, index = reshaped(k, x, shape), long_integers(k, index, places)
    source = reshaped(k, source[tuple(slice(n) for n in places_of(index, x, axis))], places)
    if shape[0] * shape[2] == 1 and places[1] <= MOST_PLACES:
        sorted, order = k.rank_places(index.reshape(-1), shape[1])
        return k.add_segments(lines, sorted, order, source, shape, replace).reshape(x.shape)
    return k.add_each(lines, index, source, replace).reshape(x.shape)


def places_of(lines: Any, x: Any, axis: int) -> tuple[int, ...]:
    """Return the shape of an index of lines beside x."""
    return (*x.shape[:axis], lines.shape[1], *x.shape[axis + 1 :])


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, index, source, axis: same_but(x, index, axis) and source.dtype.char == "f",
)
def scatter_add_forward(k: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
    """Add source at places along an axis."""
    return scattered(k, x, index, source, axis, False)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda x, index, source, axis: same_but(x, index, axis) and source.dtype.char == "f",
)
def scatter_forward(k: Any, x: Any, index: Any, source: Any, axis: int) -> Any:
    """Write source at places along an axis; of repeats the last stays."""
    return scattered(k, x, index, source, axis, True)


@kernel(backend="csrc", composite=True, when=lambda dy, index, x_shape: dy.dtype.char == "f" and dy.size)
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
