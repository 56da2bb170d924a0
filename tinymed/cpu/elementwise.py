"""Element-wise arithmetic on the CPU: one pass over memory, in whatever dense order the arrays lie."""

from typing import Any

import numpy as np
from numba import prange, types
from numba.extending import overload

from ..dispatch import kernel
from .simd.partition import piece, pieces
from .simd.passes import elementwise


def alike(*inputs: Any) -> bool:
    """Return whether these are float32 arrays of one shape, and numbers: a flat loop does not broadcast."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return all(a.shape == arrays[0].shape and a.dtype.char == "f" for a in arrays)


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


def add_piece(t: Any, y: Any, a: Any, b: Any) -> None:
    """Compute piece t of y = a + b, of arrays."""
    sum_of_arrays(t, y, a, b)


def add_number(t: Any, y: Any, a: Any, b: Any) -> None:
    """Compute piece t of y = a + b, one of which is a number."""
    start, size, _ = piece(t, y)
    for i in range(start // 4, start // 4 + size):
        y[i] = at(a, i) + at(b, i)


@overload(add_piece, inline="always")
def add_piece_overload(t: Any, y: Any, a: Any, b: Any) -> Any:
    """Return what Numba compiles for `add_piece`, by the types of a and b."""
    return add_piece if isinstance(a, types.Array) and isinstance(b, types.Array) else add_number


@kernel(backend="numba", flat="y a b", when=alike)
def add(y: Any, a: Any, b: Any) -> None:
    """y = a + b; either may be one number."""
    for t in prange(pieces(y)):
        add_piece(t, y, a, b)


@kernel(backend="numba", flat="y a b", when=alike)
def sub(y: Any, a: Any, b: Any) -> None:
    """y = a - b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) - at(b, i)


@kernel(backend="numba", flat="y a b", when=alike)
def mul(y: Any, a: Any, b: Any) -> None:
    """y = a b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) * at(b, i)


@kernel(backend="numba", flat="y a b", when=alike)
def div(y: Any, a: Any, b: Any) -> None:
    """y = a / b; either may be one number."""
    for i in prange(y.size):
        y[i] = np.true_divide(at(a, i), at(b, i))  # a / b would raise where b = 0


@kernel(backend="numba", flat="y x", when=alike)
def neg(y: Any, x: Any) -> None:
    """y = -x."""
    for i in prange(x.size):
        y[i] = -x[i]


@kernel(backend="numba", flat="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 3 * dy.size)
def clamp_gradient(dx: Any, dy: Any, x: Any, low: Any, high: Any) -> None:
    """dx = dy where low <= x <= high, else 0."""
    for i in prange(x.size):
        dx[i] = dy[i] if low <= x[i] <= high else np.float32(0)
