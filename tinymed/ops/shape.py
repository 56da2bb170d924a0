"""Shapes: views of the same memory, which cost nothing and share its version counter.  Joining is in `join`.

A reshape that no view can express copies, by the visible kernel `canonical`.
"""

import math
from collections.abc import Sequence
from typing import Any

from .. import devices
from ..annotations import Tensor
from ..dispatch import Array, Table, kernel
from ..tape import Op
from .axes import is_integer, numpy_names, one_axis, sizes, some_axes
from .broadcast import drawn_shape, to_shape

Shape = tuple[int, ...]


def reshaped(k: Table, x: Array, shape: Shape) -> Array:
    """Return a view of x in another shape, or of a copy in C order where no view exists."""
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
        self.view = devices.shares_memory(x, y)
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


@kernel(flops=lambda x: 0)
def copy(xp: Any, x: Array) -> Array:
    """Copy the values into memory of their own, in the same order of axes."""
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


def reshape(input: Tensor, *shape: Any) -> Tensor:
    """Return the elements in C order in another shape: a view where one exists, else a copy.

    Args:
        input: Tensor of any shape.
        shape: The new lengths, one by one or as a sequence; one may be -1.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: The numbers of elements differ.

    Example:
        >>> import tinymed
        >>> tinymed.reshape(tinymed.arange(6), 2, -1).tolist()
        [[0, 1, 2], [3, 4, 5]]
    """
    wanted = sizes("reshape", shape)
    size, holes = input.array.size, wanted.count(-1)
    rest = math.prod(n for n in wanted if n != -1)
    fits = size % rest == 0 if holes and rest else size == rest and not holes
    if holes > 1 or min(wanted, default=0) < -1 or not fits:
        raise ValueError(
            f"reshape: {list(input.shape)} ({size} elements) does not fit {list(wanted)}; at most one "
            "length may be -1, and then the others must divide the number of elements"
        )
    return Reshape.apply(input, tuple(size // rest if n == -1 else n for n in wanted))


def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Join consecutive axes into one.

    Args:
        input: Tensor of any shape.
        start_dim, end_dim: The first and the last axis to join.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: start_dim comes after end_dim.

    Example:
        >>> import tinymed
        >>> tinymed.flatten(tinymed.ones(2, 3, 4), 1).shape
        (2, 12)
    """
    first, last = (one_axis("flatten", d, input.array.ndim) for d in (start_dim, end_dim))
    if first > last:
        raise ValueError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    shape = input.shape or (1,)
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


def permute(input: Tensor, *dims: Any) -> Tensor:
    """Return the axes in another order, as a view.

    Args:
        input: Tensor of any shape.
        dims: All axes in the new order, one by one or as a sequence.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: dims does not name each axis once.

    Example:
        >>> import tinymed
        >>> tinymed.permute(tinymed.ones(2, 3, 4), (2, 0, 1)).shape
        (4, 2, 3)
    """
    given, ndim = sizes("permute", dims), input.array.ndim
    order = tuple(one_axis("permute", d, ndim) for d in given)
    if sorted(order) != list(range(ndim)):
        raise ValueError(f"permute: dims {list(given)} must name each of the {ndim} axes once")
    return Permute.apply(input, order)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two axes, as a view.

    Args:
        input: Tensor of any shape.
        dim0, dim1: The axes.

    Returns:
        A tensor of the input's dtype.

    Raises:
        IndexError: An axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.transpose(tinymed.tensor([[1, 2], [3, 4]]), 0, 1).tolist()
        [[1, 3], [2, 4]]
    """
    order = list(range(input.array.ndim))
    a, b = (one_axis("transpose", d, len(order)) for d in (dim0, dim1))
    if order:
        order[a], order[b] = b, a
    return Permute.apply(input, tuple(order))


def movedim(input: Tensor, source: Tensor, destination: Any) -> Tensor:
    """Move axes to other places; the others stay in order.

    Args:
        input: Tensor of any shape.
        source, destination: An axis each, or as many axes each.

    Returns:
        A tensor of the input's dtype, a view.

    Raises:
        ValueError: source and destination do not name as many axes, each once.

    Example:
        >>> import tinymed
        >>> tinymed.movedim(tinymed.ones(2, 3, 4), 0, -1).shape
        (3, 4, 2)
    """
    ndim = input.array.ndim
    given = [(v,) if is_integer(v) else v for v in (source, destination)]
    pairs = [[one_axis("movedim", d, ndim) for d in v] for v in given]
    if len(pairs[0]) != len(pairs[1]) or any(len(set(p)) != len(p) for p in pairs):
        raise ValueError(f"movedim: source {source} and destination {destination} must name as many axes, each once")
    if not ndim:
        return Permute.apply(input, ())
    order = [i for i in range(ndim) if i not in pairs[0]]
    for place, axis in sorted(zip(pairs[1], pairs[0], strict=True)):
        order.insert(place, axis)
    return Permute.apply(input, tuple(order))


def t(input: Tensor) -> Tensor:
    """Return the transpose of a matrix; a vector or a scalar stays as it is.

    Args:
        input: Tensor with at most two axes.

    Returns:
        A tensor of the input's dtype, a view.

    Raises:
        ValueError: There are more than two axes.

    Example:
        >>> import tinymed
        >>> tinymed.t(tinymed.ones(2, 3)).shape
        (3, 2)
    """
    if input.array.ndim > 2:
        raise ValueError(f"t: needs at most 2 axes, input is {list(input.shape)}; use transpose or permute")
    return Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def reversed_axes(input: Any) -> Any:
    """Return the axes in reverse order, as a view: of a matrix the transpose.

    Returns:
        A tensor of this one's dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).T.shape
        (3, 2)
    """
    return Permute.apply(input, tuple(reversed(range(input.array.ndim))))


def adjoint(input: Any) -> Any:
    """Exchange the axes of a matrix, as a view: the numbers are real.

    Returns:
        A tensor of this one's dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ones(2, 3).H.shape
        (3, 2)
    """
    if input.array.ndim not in (0, 2):
        raise ValueError(f"H: needs two axes, input is {list(input.shape)}; use mH")
    return reversed_axes(input)


def transposed(input: Any) -> Any:
    """Exchange the last two axes, as a view.

    Returns:
        A tensor of this one's dtype.

    Example:
        >>> import tinymed
        >>> tinymed.ones(4, 2, 3).mT.shape
        (4, 3, 2)
    """
    if input.array.ndim < 2:
        raise ValueError(f"mT: needs at least two axes, input is {list(input.shape)}")
    return transpose(input, -2, -1)


def positive(input: Tensor) -> Tensor:
    """Return the input itself.

    Args:
        input: Tensor of any shape, of any dtype but bool.

    Returns:
        The input.

    Raises:
        TypeError: The input is bool, which has no sign.

    Example:
        >>> import tinymed
        >>> tinymed.positive(tinymed.tensor([-1])).tolist()
        [-1]
    """
    if input.array.dtype.kind == "b":
        raise TypeError("positive: bool has no sign; convert with .int()")
    return input


def expand(input: Tensor, *shape: Any) -> Tensor:
    """Repeat axes of length 1 and add leading axes, as a view that copies nothing.

    Args:
        input: Tensor of any shape.
        shape: The new lengths, one by one or as a sequence; -1 keeps a length.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: An axis that is not of length 1 would grow.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1, 2]).expand(2, -1).tolist()
        [[1, 2], [1, 2]]
    """
    wanted, have = sizes("expand", shape), input.shape
    extra = len(wanted) - len(have)
    full = tuple(have[i - extra] if n == -1 and i >= extra else n for i, n in enumerate(wanted))
    if extra < 0 or any(n < 0 for n in full) or any(h not in (1, n) for h, n in zip(have, full[extra:], strict=True)):
        raise ValueError(
            f"expand: {list(have)} cannot become {list(wanted)}; only axes of length 1 grow, and new axes come first"
        )
    return Expand.apply(input, full)


def broadcast_to(input: Tensor, shape: Sequence[int]) -> Tensor:
    """Expand to a shape, as a view that copies nothing.

    Args:
        input: Tensor of any shape.
        shape: The new lengths; -1 keeps a length.

    Returns:
        A tensor of the input's dtype.

    Raises:
        ValueError: An axis that is not of length 1 would grow.

    Example:
        >>> import tinymed
        >>> tinymed.broadcast_to(tinymed.tensor([1, 2]), (2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    return expand(input, tuple(shape))


def expand_as(input: Any, other: Any) -> Any:
    """Expand to the shape of another tensor, as a view that copies nothing.

    Args:
        other: The other tensor.

    Returns:
        A tensor of this one's dtype.

    Raises:
        ValueError: An axis that is not of length 1 would grow.

    Example:
        >>> import tinymed
        >>> tinymed.tensor([1, 2]).expand_as(tinymed.zeros(2, 2)).tolist()
        [[1, 2], [1, 2]]
    """
    return expand(input, other.shape)


@numpy_names
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Remove axes of length 1, as a view.

    Args:
        input: Tensor of any shape.
        dim: The axis or axes that may go; None means all.

    Returns:
        A tensor of the input's dtype.

    Raises:
        IndexError: An axis does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.squeeze(tinymed.ones(1, 2, 1), 0).shape
        (2, 1)
    """
    nothing = dim is not None and not is_integer(dim) and len(dim) == 0
    axes = () if nothing else some_axes("squeeze", dim, input.array.ndim)
    return Reshape.apply(input, tuple(n for i, n in enumerate(input.shape) if n != 1 or i not in axes))


@numpy_names
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """Add an axis of length 1, as a view.

    Args:
        input: Tensor of any shape.
        dim: The place of the new axis.

    Returns:
        A tensor of the input's dtype.

    Raises:
        IndexError: The place does not exist.

    Example:
        >>> import tinymed
        >>> tinymed.unsqueeze(tinymed.ones(2), 1).shape
        (2, 1)
    """
    place = one_axis("unsqueeze", dim, input.array.ndim + 1)
    return Reshape.apply(input, (*input.shape[:place], 1, *input.shape[place:]))


def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """Copy the values into memory of their own; the gradient flows through.

    Args:
        input: Tensor of any shape.
        memory_format: Accepted as PyTorch's and ignored.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.clone(tinymed.ones(2)).tolist()
        [1.0, 1.0]
    """
    return Clone.apply(input)


swapaxes, swapdims, moveaxis = transpose, transpose, movedim

__all__ = [
    "broadcast_to",
    "clone",
    "expand",
    "flatten",
    "moveaxis",
    "movedim",
    "permute",
    "positive",
    "reshape",
    "squeeze",
    "swapaxes",
    "swapdims",
    "t",
    "transpose",
    "unsqueeze",
]
