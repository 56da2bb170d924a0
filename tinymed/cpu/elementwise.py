"""Element-wise arithmetic on the CPU: one pass over memory, in whatever dense order the arrays lie."""

from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import overload

from ..dispatch import kernel
from .arguments import of_one_float
from .compiler import elements
from .simd.partition import piece, pieces
from .simd.passes import elementwise
from .simd.vectors import BYTES


def alike(*inputs: Any) -> bool:
    """Return whether these are arrays of one float and one shape, and numbers: a flat loop does not broadcast."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return of_one_float(arrays) and all(a.shape == arrays[0].shape for a in arrays)


def at(a: Any, i: Any) -> Any:
    """Return element i of an array; a number is each of its elements."""


@overload(at, inline="always")
def at_overload(a: Any, i: Any) -> Any:
    """Return what Numba compiles for `at`, by the type of a."""

    def element(a: Any, i: Any) -> Any:
        return a[i]

    def number(a: Any, i: Any) -> Any:
        return a

    return element if isinstance(a, types.Array) else number


sum_of_arrays = elementwise("add", "a b", lambda v, a, b: v.b.fadd(a, b))


def add_number(t: Any, y: Any, a: Any, b: Any) -> None:
    """Compute piece t of y = a + b, one of which is a number."""
    start, size, _ = piece(t, y)
    for i in range(start // BYTES, start // BYTES + size):
        y[i] = at(a, i) + at(b, i)


def adder(of_arrays: Any, of_a_number: Any) -> Any:
    """Return add_piece(t, y, a, b): piece t of y = a + b, by the types of a and b."""

    def add_piece(t: Any, y: Any, a: Any, b: Any) -> None:
        of_arrays(t, y, a, b)

    @overload(add_piece, inline="always")
    def choose(t: Any, y: Any, a: Any, b: Any) -> Any:
        return add_piece if isinstance(a, types.Array) and isinstance(b, types.Array) else of_a_number

    return add_piece


add_piece = adder(sum_of_arrays, add_number)
elements.declare_twin(add_piece, lambda: adder(elements.doubled(sum_of_arrays), elements.doubled(add_number)))


@kernel(backend="numba", double="numba", flat="y a b", when=alike)
def add(y: Any, a: Any, b: Any) -> None:
    """y = a + b; either may be one number."""
    for t in prange(pieces(y)):
        add_piece(t, y, a, b)


@kernel(backend="numba", double="numba", flat="y a b", when=alike)
def sub(y: Any, a: Any, b: Any) -> None:
    """y = a - b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) - at(b, i)


@kernel(backend="numba", double="numba", flat="y a b", when=alike)
def mul(y: Any, a: Any, b: Any) -> None:
    """y = a b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) * at(b, i)


@kernel(backend="numba", double="numba", flat="y a b", when=alike)
def div(y: Any, a: Any, b: Any) -> None:
    """y = a / b; either may be one number."""
    for i in prange(y.size):
        y[i] = np.true_divide(at(a, i), at(b, i))  # a / b would raise where b = 0


@kernel(backend="numba", double="numba", flat="y x", when=alike)
def neg(y: Any, x: Any) -> None:
    """y = -x."""
    for i in prange(x.size):
        y[i] = -x[i]


@kernel(
    backend="numba", double="numba", flat="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 3 * dy.size
)
def clamp_gradient(dx: Any, dy: Any, x: Any, low: Any, high: Any) -> None:
    """dx = dy where low <= x <= high, else 0."""
    for i in prange(x.size):
        dx[i] = dy[i] if low <= x[i] <= high else np.float32(0)
