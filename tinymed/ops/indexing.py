"""Reading and writing elements: t[...] and the op of t[...] = value.

Picking along one axis is in `gather`, what may be written in `inplace`.

An index is taken apart as PyTorch does: numbers, slices and None first, which give a view; then arrays of integers,
which copy.  A mask of bool counts as the positions where it is true.
"""

import operator
from typing import Any, NamedTuple

import numpy as np

from .. import devices, tape
from ..annotations import Tensor
from ..dispatch import Array, is_array, kernel
from ..tape import Node, Op
from .axes import integer, numpy_names, one_axis
from .broadcast import to_shape

Where = tuple[bool, ...]  # for each leading axis: whether the next index array selects along it


class Span(NamedTuple):
    """A slice that can be a key of the kernel table, which slices become only in Python 3.12."""

    start: int | None = None
    stop: int | None = None
    step: int | None = None


Basic = tuple[int | Span | None, ...]


class Index(NamedTuple):
    """The meaning of t[...]: a view by `basic`, then index arrays along the axes that `where` names."""

    basic: Basic
    where: Where
    arrays: list[Any]


def parse(shape: tuple[int, ...], index: Any, place: str = "cpu") -> Index:
    """Take an index apart, its arrays brought to a device; IndexError where it has more entries than axes."""
    items = [entry(i) for i in (index if isinstance(index, tuple) else (index,))]
    used = sum(i.ndim if is_mask(i) else i is not None and i is not Ellipsis for i in items)
    if used > len(shape):
        raise IndexError(f"index of {used} entries for a tensor of {len(shape)} axes, {list(shape)}")
    if sum(i is Ellipsis for i in items) > 1:
        raise IndexError("an index can have one ellipsis ('...')")
    if Ellipsis not in [i if i is Ellipsis else None for i in items]:
        items.append(Ellipsis)
    at = next(n for n, i in enumerate(items) if i is Ellipsis)
    items[at : at + 1] = [Span()] * (len(shape) - used)
    basic: list[Any] = []
    where: list[Any] = []
    arrays: list[Any] = []
    axis = 0
    for i in items:
        if is_array(i):
            taken = positions(i, shape, axis)
            arrays += taken
            basic += [Span()] * len(taken)
            where += [True] * len(taken)
            axis += len(taken)
        else:
            basic.append(i)
            where += [] if isinstance(i, int) else [False]
            axis += i is not None
    return Index(tuple(basic), tuple(where) if arrays else (), [brought(a, place) for a in arrays])


def brought(a: Array, place: str) -> Array:
    """Return an index array where the tensor is, if it is the host's: as in PyTorch, a GPU's tensor takes those too."""
    return devices.move(a, place) if place != "cpu" else a


def entry(i: Any) -> Any:
    """Return one entry of an index: a number, a slice, None, an ellipsis, or an array of integers or bool."""
    if i is None or i is Ellipsis:
        return i
    if isinstance(i, slice):
        return Span(*(None if v is None else operator.index(v) for v in (i.start, i.stop, i.step)))
    a = i.array if isinstance(i, Node) else i
    if isinstance(a, bool) or not (is_array(a) or isinstance(a, int | np.integer | list | tuple | range)):
        raise TypeError(f"an index is made of integers, slices, None, '...' and arrays of them, got {type(i).__name__}")
    if not is_array(a):
        a = np.asarray(a, np.int64) if isinstance(a, list | tuple | range) and len(a) == 0 else np.asarray(a)
    if a.dtype.kind != "b" and ((a.dtype.kind != "i" and a.dtype != np.uint64) or a.dtype == np.uint8):
        raise TypeError(f"an index array is of integers or bool, got {a.dtype}; convert it with .long() or .bool()")
    if a.ndim or a.dtype.kind == "b":
        return a
    if isinstance(i, Node):
        tape.host_read("use as an index")
    return int(a)


def is_mask(i: Any) -> bool:
    """Return whether an index is a boolean array."""
    return is_array(i) and i.dtype.kind == "b"


def positions(i: Array, shape: tuple[int, ...], axis: int) -> list[Array]:
    """Return an integer array as it is; a mask as the positions where it is true, one array per axis."""
    if not is_mask(i):
        return [i]
    if i.shape != shape[axis : axis + i.ndim]:
        raise IndexError(
            f"the mask has shape {list(i.shape)}, the axes it selects from {list(shape[axis : axis + i.ndim])}"
        )
    tape.host_read("a mask as an index")
    return list(i.nonzero())


def slices(basic: Basic) -> tuple[Any, ...]:
    """Return the index as NumPy takes it."""
    return tuple(slice(*b) if isinstance(b, Span) else b for b in basic)


def joined(where: Where, arrays: Any) -> tuple[Any, ...]:
    """Return the index with its arrays in their places."""
    rest = iter(arrays)
    return tuple(next(rest) if w else slice(None) for w in where)


@kernel(out=lambda dy, shape, basic: [shape], flops=lambda dy, shape, basic: 0)
def getitem_backward(xp: Any, dy: Array, shape: tuple[int, ...], basic: Basic) -> Array:
    """dx = dy at the elements of `shape` that the numbers and slices pick, else 0."""
    dx = xp.zeros(shape, dy.dtype)
    dx[slices(basic)] = dy
    return dx


class GetItem(Op):
    """y = x[numbers, slices, None], a view;  dx = dy there, else 0."""

    view = True

    def forward(self, x: Array, basic: Basic) -> Array:
        self.save(x.shape, basic)
        return x[(*slices(basic), Ellipsis)]

    def backward(self, dy: Array) -> Any:
        return self.k.getitem_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 4, 2)
        basic = [draw.choice((Span(), 0, Span(1), Span(step=2), -1, Span(step=-1))) for _ in shape]
        if draw.boolean():
            basic.insert(draw.integer(0, len(basic)), None)
        return draw.array(shape), tuple(basic)

    @staticmethod
    def oracle(torch: Any, x: Any, basic: Basic) -> Any:
        turned = tuple(Span() if b == Span(step=-1) else b for b in basic)  # torch takes no negative step
        left = [b for b in basic if not isinstance(b, int)]
        return x[slices(turned)].flip([i for i, b in enumerate(left) if b == Span(step=-1)])


def taken_shape(x: Array, where: Where, *arrays: Array) -> list[tuple[int, ...]]:
    """Return the shape of an advanced index, found without reading elements."""
    return [np.broadcast_to(np.empty((), bool), x.shape)[joined(where, arrays)].shape]


@kernel(out=taken_shape, flops=lambda *_: 0)
def take(xp: Any, x: Array, where: Where, *arrays: Array) -> Array:
    """Return x[...] with index arrays."""
    return x[joined(where, arrays)]


@kernel(out=lambda dy, shape, where, *arrays: [shape], flops=lambda dy, *_: dy.size)
def take_backward(xp: Any, dy: Array, shape: tuple[int, ...], where: Where, *arrays: Array) -> Array:
    """dy added up at the places it was taken from."""
    dx = xp.zeros(shape, dy.dtype)
    xp.add.at(dx, joined(where, arrays), dy)
    return dx


class Take(Op):
    """y = x[index arrays], a copy;  dx = dy added up at the places taken, which may repeat."""

    def forward(self, x: Array, where: Where, *arrays: Array) -> Array:
        self.save(x.shape, where, *arrays)
        return self.k.take(x, where, *arrays)

    def backward(self, dy: Array) -> Any:
        return self.k.take_backward(dy, *self.saved), *[None] * (len(self.saved) - 1)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 4, 2)
        where = [draw.boolean() for _ in shape]
        where[draw.integer(0, len(shape) - 1)] = True
        wanted = draw.shape(0, 2, 1, 3)
        arrays = [draw.integers(wanted, -n, n - 1) for n, w in zip(shape, where, strict=True) if w]
        return draw.array(shape), tuple(where), *arrays

    @staticmethod
    def oracle(torch: Any, x: Any, where: Where, *arrays: Any) -> Any:
        return x[joined(where, arrays)]


@kernel(out=lambda *_: [], writes="x", flops=lambda *_: 0)
def setitem(xp: Any, x: Array, value: Array, basic: Basic, where: Where, *arrays: Array) -> Any:
    """x[...] = value, in place."""
    if where:
        x[slices(basic)][joined(where, arrays)] = value
    else:
        x[slices(basic)] = value
    return ()


def written(dy: Array, basic: Basic, where: Where, *arrays: Array) -> list[tuple[int, ...]]:
    """Return the shapes of the tensor and of the part that was written."""
    part = np.broadcast_to(np.empty((), bool), dy.shape)[(*slices(basic), Ellipsis)]
    return [dy.shape, part[joined(where, arrays)].shape if where else part.shape]


@kernel(out=written, flops=lambda dy, *_: dy.size)
def setitem_backward(xp: Any, dy: Array, basic: Basic, where: Where, *arrays: Array) -> Any:
    """dy with 0 at the places written, and dy at those places."""
    dx = dy.copy()
    if where:
        index = joined(where, arrays)
        dvalue = dx[slices(basic)][index]
        dx[slices(basic)][index] = 0
    else:
        dvalue = dx[slices(basic)].copy()
        dx[slices(basic)] = 0
    return dx, dvalue


class SetItem(Op):
    """x[...] = value in place; y is x afterwards;  dx = dy with 0 at the places written, dvalue = dy there.

    The value is broadcast.  Where an index repeats, which value stays is not defined, as in PyTorch.
    """

    view = True

    def forward(self, x: Array, value: Array, basic: Basic, where: Where, *arrays: Array) -> Array:
        self.save(value.shape, basic, where, *arrays)
        self.k.setitem(x, value, basic, where, *arrays)
        return x

    def backward(self, dy: Array) -> Any:
        shape, *index = self.saved
        dx, dvalue = self.k.setitem_backward(dy, *index)
        inner = shape[max(0, len(shape) - dvalue.ndim) :]  # leading axes of length 1 are allowed
        return dx, to_shape(self.k, dvalue, inner).reshape(shape), *[None] * len(index)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape(1, 3, 2)
        x, first = draw.array(shape), draw.choice((Span(), 0, Span(step=2), Span(1)))
        if draw.boolean():
            array = draw.choice((np.array([0]), np.array([1, 0]), np.array([-1])))
            return x, draw.array((*array.shape, *shape[1:])), (Span(),) * len(shape), (True,), array
        target = x[slices((first,))].shape
        value = draw.array(target if draw.boolean() else target[1:])
        return x, value, (first, *[Span()] * (len(shape) - 1)), ()

    @staticmethod
    def oracle(torch: Any, x: Any, value: Any, basic: Any, where: Any, *arrays: Any) -> Any:
        y = x.clone()
        y[joined(where, arrays) if where else slices(basic)] = value
        return y


# ------------------------------------------------------------------------------------------------ public functions


def getitem(input: Tensor, index: Any) -> Tensor:
    """Return input[index]: a view for numbers, slices, None and "...", a copy where arrays or masks take part.

    Args:
        input: Tensor of any shape.
        index: What stands between the brackets.

    Returns:
        A tensor of the input's dtype.

    Raises:
        IndexError: The index does not fit the axes.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([[1, 2], [3, 4]])[:, 1].tolist()
        [2, 4]
    """
    basic, where, arrays = parse(input.shape, index, devices.of(input.array))
    plain = all(b == Span() for b in basic)
    viewed = input if where and plain else GetItem.apply(input, basic)
    return Take.apply(viewed, where, *(viewed.result_class(a) for a in arrays)) if where else viewed


@numpy_names
def narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    """Return a part of an axis, as a view.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        start: The first place; a negative one counts from the end.
        length: The number of places.

    Returns:
        A tensor of the input's dtype.

    Raises:
        IndexError: The part is not inside the axis.

    Example:
        >>> import tinymed
        >>> tinymed.narrow(tinymed.arange(5), 0, 1, 3).tolist()
        [1, 2, 3]
    """
    if not input.array.ndim:
        raise ValueError("narrow: a tensor without axes has no part")
    axis = one_axis("narrow", dim, input.array.ndim)
    start, length = integer("narrow", "start", start), integer("narrow", "length", length)
    n = input.shape[axis]
    first = start + n if start < 0 else start
    if not 0 <= first <= n or length < 0 or first + length > n:
        raise IndexError(f"narrow: start {start} and length {length} do not fit axis {axis} of length {n}")
    return getitem(input, (*[slice(None)] * axis, slice(first, first + length)))


@numpy_names
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """Return one slice along an axis, without that axis, as a view.

    Args:
        input: Tensor of any shape.
        dim: The axis.
        index: The place; a negative one counts from the end.

    Returns:
        A tensor of the input's dtype with one axis fewer.

    Raises:
        IndexError: The axis or the place does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.select(tinymed.eye(2), 0, 1).tolist()
        [0.0, 1.0]
    """
    if not input.array.ndim:
        raise IndexError("select: a tensor without axes has no slices")
    return getitem(input, (*[slice(None)] * one_axis("select", dim, input.array.ndim), operator.index(index)))


__all__ = ["getitem", "narrow", "select"]
