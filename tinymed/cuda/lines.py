"""An array seen as lines along some of its axes, [outer, n, inner], as the kernels of csrc/lines.cuh take it."""

from math import prod
from typing import Any, NamedTuple

from ..memory import Order, dense_order, inverse_order
from ..ops.shape import reshaped


class Lines(NamedTuple):
    """The lines of an array, in the order of axes that it lies in.

    array: [outer, n, inner].  shape: Of the array with its axes in `order`.  rest: The axes that are no part of lines.
    """

    array: Any
    shape: tuple[int, ...]
    order: Order
    rest: tuple[int, ...]

    def like(self, y: Any) -> Any:
        """Return an array of these lines in the original's shape."""
        return y.reshape(self.shape).transpose(inverse_order(self.order))

    def longer(self, y: Any, axis: int) -> Any:
        """Return an array of lines of another length, along one axis, in the original's order of axes."""
        shape = [y.shape[1] if a == axis else n for a, n in zip(self.order, self.shape, strict=True)]
        return y.reshape(shape).transpose(inverse_order(self.order))

    def one_each(self, y: Any) -> Any:
        """Return a number for each line in the original's shape, without the axes of the lines."""
        kept = [n for a, n in zip(self.order, self.shape, strict=True) if a in self.rest]
        axes = [a for a in self.order if a in self.rest]
        return y.reshape(kept).transpose(sorted(range(len(axes)), key=axes.__getitem__))

    def numbers(self, k: Any, y: Any) -> Any:
        """Return an array of a number for each line as a line, in the order that the lines have."""
        sizes = dict(zip(self.order, self.shape, strict=True))
        ascending = sorted(self.rest)
        y = y.reshape([sizes[a] for a in ascending])
        y = y.transpose([ascending.index(a) for a in self.order if a in self.rest])
        return reshaped(k, y, (y.size,))


def each_line(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return one output of a number a line."""
    return [(x.shape[0] * x.shape[2],)]


def is_lined(x: Any, *_: Any) -> bool:
    """Return whether an array is of float32, with no more axes than a launcher takes."""
    return bool(x.dtype.char == "f" and x.ndim <= 8)


def has_extremes(x: Any, axes: tuple[int, ...]) -> bool:
    """Return whether it is, and every line along the axes has a number."""
    return is_lined(x) and bool(x.size or prod(n for a, n in enumerate(x.shape) if a not in axes) == 0)


def lines_along(k: Any, x: Any, axes: tuple[int, ...]) -> Lines:
    """Return the lines along axes: as x lies if they are neighbours there, else with those axes last.

    Along no axis, every number is a line.
    """
    if not axes or not x.ndim:
        order = tuple(range(x.ndim))
        return Lines(reshaped(k, x, (x.size, 1, 1)), tuple(x.shape), order, order)
    lying = dense_order(x)
    places = sorted(lying.index(a) for a in axes) if lying else []
    if lying is None or places[-1] - places[0] >= len(places):
        order = (*(a for a in range(x.ndim) if a not in axes), *axes)
        x = k.canonical(x, order)
        places = list(range(x.ndim - len(axes), x.ndim))
    else:
        order = lying
    shape = tuple(x.shape[a] for a in order)
    first, last = places[0], places[-1] + 1
    array = x.transpose(order).reshape(prod(shape[:first]), prod(shape[first:last]), prod(shape[last:]))
    return Lines(array, shape, order, tuple(a for a in range(x.ndim) if a not in axes))
