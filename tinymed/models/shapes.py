"""A forward pass of shapes: every kernel answers with arrays that have a shape and no memory.

    with no_weights():              parameters of no memory
        model = create("vgg16")
    with shapes_only():             results of no memory, from the `out=` that each reference kernel declares
        model(blank((1, 3, 224, 224)))

So a network of any size is counted in milliseconds.  An array of zeros whose strides are 0 keeps its own few bytes,
and views of it share their address: `tape.Observer`s can tell which memory an op saved.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ..dispatch import Array, Dispatcher, Table, use_table


def blank(shape: tuple[int, ...], dtype: Any = np.float32) -> Array:
    """Return an array of zeros of this shape that occupies one element."""
    return filled(shape, np.zeros((), dtype))


def filled(shape: tuple[int, ...], number: Array) -> Array:
    """Return an array without axes in another shape, read-only: np.broadcast_to, which takes ten times as long."""
    array: Array = np.ndarray(shape, number.dtype, number, 0, (0,) * len(shape))
    array.flags.writeable = False
    return array


class ShapeDispatcher(Dispatcher):
    """A kernel that computes nothing: its results are blank, of the declared shapes."""

    def __call__(self, *args: Any) -> Any:
        """Return blank results for these arguments; one number everywhere, which takes no memory, is that number."""
        if self.name == "full":
            shape, dtype, value = args
            return filled(tuple(shape), np.full((), value, dtype))
        outs = tuple(blank(shape, dtype) for shape, dtype in self.kernels[0].specs(args))
        return outs[0] if len(outs) == 1 else outs


class ShapeTable(Table):
    """A table of such kernels: `table.relu_forward(x)` is blank."""

    def __init__(self) -> None:
        super().__init__("numpy", skipped=lambda *_: None)  # dry: who reads values on the host may leave it

    def dispatcher(self, name: str) -> Dispatcher:
        """Return the dispatcher for a kernel name."""
        return ShapeDispatcher(name, self)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Let ops check their arguments and return blank results: nothing is computed, no state is updated.

    Yields:
        Nothing; the block runs on shapes alone.

    Example:
        >>> with shapes_only():
        ...     y = tinymed.nn.Conv2d(3, 8, 3)(tinymed.zeros(1, 3, 1000, 1000))
        >>> y.shape
        (1, 8, 998, 998)
    """
    with use_table(ShapeTable()):
        yield
