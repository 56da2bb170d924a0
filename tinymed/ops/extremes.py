"""Largest and smallest elements: values, indices, and how ties share a gradient."""

from typing import Any, NamedTuple

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Node, Op
from .axes import dropped, is_integer, kept, numpy_names, one_axis, some_axes
from .maximum import maximum, minimum
from .reduce import Dim, drawn_axes, keep

Axes = tuple[int, ...]


class Extremes(NamedTuple):
    """Extremes along an axis and their indices, as max and min return them."""

    values: Any
    indices: Any


@kernel(out=lambda x, axes: [dropped(x.shape, axes)], flops=lambda x, axes: x.size)
def amax_forward(xp: Any, x: Array, axes: Axes) -> Array:
    """y = max of x over the axes, which are dropped; NaN where one is NaN."""
    return x.max(axes)


@kernel(out=lambda x, axes: [dropped(x.shape, axes)], flops=lambda x, axes: x.size)
def amin_forward(xp: Any, x: Array, axes: Axes) -> Array:
    """y = min of x over the axes, which are dropped; NaN where one is NaN."""
    return x.min(axes)


@kernel(out=lambda dy, x, y, axes: [x.shape], flops=lambda dy, x, y, axes: 3 * x.size)
def extremes_backward(xp: Any, dy: Array, x: Array, y: Array, axes: Axes) -> Array:
    """dy to the elements equal to y, in equal shares."""
    shape = kept(x.shape, axes)
    chosen = (x == y.reshape(shape)).astype(x.dtype)
    return dy.reshape(shape) * chosen / chosen.sum(axes, keepdims=True)


class AMax(Op):
    """y = the largest x over axes;  dy goes to the elements equal to y, in equal shares."""

    oracle = "torch.amax"

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        y = self.k.amax_forward(x, axes)
        self.save(x, y, axes)
        return keep(y, x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return self.k.extremes_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_distinct(draw)


class AMin(Op):
    """y = the smallest x over axes;  dy goes to the elements equal to y, in equal shares."""

    oracle = "torch.amin"

    def forward(self, x: Array, axes: Axes, keepdim: bool) -> Array:
        y = self.k.amin_forward(x, axes)
        self.save(x, y, axes)
        return keep(y, x.shape, axes, keepdim)

    def backward(self, dy: Array) -> Any:
        return self.k.extremes_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return drawn_distinct(draw)


def drawn_distinct(draw: Any) -> tuple[Any, ...]:
    """Draw an array without ties or empty axes, some of its axes, and keepdim."""
    x, axes, keepdim = drawn_axes(draw)
    return draw.array(tuple(n or 1 for n in x.shape), distinct=True), axes, keepdim


def line(x: Array, axis: int) -> tuple[int, ...]:
    """Return the shape without one axis; a scalar has none to lose."""
    return dropped(x.shape, (axis,)) if x.ndim else ()


@kernel(out=lambda x, axis, which: [(line(x, axis), "int64")], flops=lambda x, axis, which: x.size)
def argextreme_forward(xp: Any, x: Array, axis: int, which: str) -> Array:
    """Return the index of the first largest or smallest element; a NaN comes before all others."""
    return (xp.argmax(x, axis) if which == "max" else xp.argmin(x, axis)) if x.ndim else xp.zeros((), xp.int64)


@kernel(out=lambda x, indices, axis: [indices.shape], flops=lambda x, indices, axis: 0)
def pick_forward(xp: Any, x: Array, indices: Array, axis: int) -> Array:
    """Pick one element along an axis for every line."""
    return xp.take_along_axis(x, xp.expand_dims(indices, axis), axis).squeeze(axis) if x.ndim else x.copy()


@kernel(out=lambda dy, indices, n, axis: [(*dy.shape[:axis], n, *dy.shape[axis:])], flops=lambda dy, *_: dy.size)
def pick_backward(xp: Any, dy: Array, indices: Array, n: int, axis: int) -> Array:
    """dy at the elements picked, else 0."""
    place = xp.arange(n).reshape((n,) + (1,) * (dy.ndim - axis))
    return xp.where(xp.expand_dims(indices, axis) == place, xp.expand_dims(dy, axis), 0)


class MaxAlong(Op):
    """(values, indices) of the first largest ("max") or smallest x along an axis;  dy goes to that element alone."""

    def forward(self, x: Array, axis: int, which: str, keepdim: bool) -> tuple[Array, Array]:
        indices = self.k.argextreme_forward(x, axis, which)
        values = self.k.pick_forward(x, indices, axis)
        self.save(indices, x.shape, axis)
        return keep(values, x.shape, (axis,), keepdim), keep(indices, x.shape, (axis,), keepdim)

    def backward(self, dy: Array, _: Any) -> Any:
        indices, shape, axis = self.saved
        if not shape:
            return dy, None, None, None
        return self.k.pick_backward(dy.reshape(indices.shape), indices, shape[axis], axis), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.shape(), distinct=True)
        return x, draw.integer(0, (x.ndim or 1) - 1), draw.choice(("max", "min")), draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, axis: int, which: str, keepdim: bool) -> Any:
        return tuple(getattr(torch, which)(x, axis, keepdim))


class ArgExtreme(Op):
    """y = the index of the first largest or smallest x along an axis."""

    backward = None

    def forward(self, x: Array, axis: int, which: str, keepdim: bool) -> Array:
        return keep(self.k.argextreme_forward(x, axis, which), x.shape, (axis,), keepdim)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.shape(), distinct=True)
        return x, draw.integer(0, (x.ndim or 1) - 1), draw.choice(("max", "min")), draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, axis: int, which: str, keepdim: bool) -> Any:
        return getattr(torch, "arg" + which)(x, axis, keepdim)


# ------------------------------------------------------------------------------------------------ public functions


def not_empty(name: str, shape: tuple[int, ...], axes: Axes) -> None:
    """Raise where a reduced axis is empty: an extreme of nothing does not exist."""
    for a in axes:
        if shape and shape[a] == 0:
            raise IndexError(f"{name}: axis {a} of {list(shape)} is empty and has no largest or smallest element")


@numpy_names
def amax(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Compute the largest element over axes; equal ones share the gradient.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A tensor of the input's dtype without the reduced axes.

    Raises:
        IndexError: An axis does not exist, or a reduced axis is empty.

    Example:
        >>> import tinymed
        >>> tinymed.amax(tinymed.tensor([[1, 5], [7, 2]]), 1).tolist()
        [5, 7]
    """
    axes = some_axes("amax", dim, input.array.ndim)
    not_empty("amax", input.array.shape, axes)
    return AMax.apply(input, axes, bool(keepdim))


@numpy_names
def amin(input: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Compute the smallest element over axes; equal ones share the gradient.

    Args:
        input: Tensor of any shape.
        dim: The axis, or several; None means all.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        A tensor of the input's dtype without the reduced axes.

    Raises:
        IndexError: An axis does not exist, or a reduced axis is empty.

    Example:
        >>> import tinymed
        >>> tinymed.amin(tinymed.tensor([[1, 5], [7, 2]]), 1).tolist()
        [1, 2]
    """
    axes = some_axes("amin", dim, input.array.ndim)
    not_empty("amin", input.array.shape, axes)
    return AMin.apply(input, axes, bool(keepdim))


def check_tensor(name: str, input: Any) -> None:
    """Raise where not even the first argument is a tensor."""
    if not isinstance(input, Node):
        raise TypeError(f"{name}: takes a tensor first, got {type(input).__name__} {input!r:.40}")


def along(which: str, input: Any, dim: int, keepdim: bool) -> Extremes:
    """Return (values, indices) along one axis."""
    axis = one_axis(which, dim, input.array.ndim)
    not_empty(which, input.array.shape, (axis,))
    return Extremes(*MaxAlong.apply(input, axis, which, bool(keepdim)))


@numpy_names
def max(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Compute the largest element, of all, along an axis, or of two tensors element by element.

    Equal elements share the gradient without dim, the first takes it with dim, and each of two tensors takes half.

    Args:
        input: Tensor of any shape.
        dim: None, an axis, or another tensor that broadcasts.
        keepdim: With an axis, keep it with length 1.

    Returns:
        A tensor; with an axis the named tuple (values, indices), the indices int64.

    Raises:
        IndexError: The axis does not exist or is empty.

    Example:
        >>> import tinymed
        >>> values, indices = tinymed.max(tinymed.tensor([[1, 5], [7, 2]]), 1)
        >>> values.tolist(), indices.tolist()
        ([5, 7], [1, 0])
    """
    check_tensor("max", input)
    if dim is None:
        return amax(input)
    return along("max", input, dim, keepdim) if is_integer(dim) else maximum(input, dim)


@numpy_names
def min(input: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """Compute the smallest element, of all, along an axis, or of two tensors element by element.

    Equal elements share the gradient without dim, the first takes it with dim, and each of two tensors takes half.

    Args:
        input: Tensor of any shape.
        dim: None, an axis, or another tensor that broadcasts.
        keepdim: With an axis, keep it with length 1.

    Returns:
        A tensor; with an axis the named tuple (values, indices), the indices int64.

    Raises:
        IndexError: The axis does not exist or is empty.

    Example:
        >>> import tinymed
        >>> tinymed.min(tinymed.tensor([[1, 5], [7, 2]])).item()
        1
    """
    check_tensor("min", input)
    if dim is None:
        return amin(input)
    return along("min", input, dim, keepdim) if is_integer(dim) else minimum(input, dim)


def arg(which: str, input: Any, dim: int | None, keepdim: bool) -> Any:
    """Return the index along an axis, or in the flattened tensor."""
    from .shape import reshape

    ndim = input.array.ndim
    if dim is None:
        not_empty("arg" + which, input.array.shape, tuple(range(ndim)))
        y = ArgExtreme.apply(reshape(input, -1), 0, which, False)
        return reshape(y, (1,) * ndim) if keepdim else y
    axis = one_axis("arg" + which, dim, ndim)
    not_empty("arg" + which, input.array.shape, (axis,))
    return ArgExtreme.apply(input, axis, which, bool(keepdim))


@numpy_names
def argmax(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the index of the first largest element.

    Args:
        input: Tensor of any shape.
        dim: The axis; None means the flattened tensor.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        An int64 tensor without the axis.

    Raises:
        IndexError: The axis does not exist or is empty.

    Example:
        >>> import tinymed
        >>> tinymed.argmax(tinymed.tensor([[1, 5], [7, 2]]), 1).tolist()
        [1, 0]
    """
    return arg("max", input, dim, keepdim)


@numpy_names
def argmin(input: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """Return the index of the first smallest element.

    Args:
        input: Tensor of any shape.
        dim: The axis; None means the flattened tensor.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        An int64 tensor without the axis.

    Raises:
        IndexError: The axis does not exist or is empty.

    Example:
        >>> import tinymed
        >>> tinymed.argmin(tinymed.tensor([[1, 5], [7, 2]]), 1).tolist()
        [0, 1]
    """
    return arg("min", input, dim, keepdim)


__all__ = ["amax", "amin", "argmax", "argmin", "max", "min"]
