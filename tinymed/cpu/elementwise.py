"""Element-wise arithmetic on the CPU: one pass over memory, in whatever dense order the arrays lie."""

from collections.abc import Callable
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


POWERS: dict[float, Callable[[Any, Any], Any]] = {
    2.0: lambda k, a: k.mul(a, a),
    3.0: lambda k, a: k.cube(a),
    -1.0: lambda k, a: k.div(1.0, a),
    0.5: lambda k, a: k.sqrt_forward(a),
}
SLOPES: dict[float, Callable[[Any, Any, Any], Any]] = {
    2.0: lambda k, dy, a: k.slope_of_square(dy, a),
    3.0: lambda k, dy, a: k.slope_of_cube(dy, a),
    -1.0: lambda k, dy, a: k.reciprocal_backward(dy, k.div(1.0, a)),
    0.5: lambda k, dy, a: k.div(k.mul(dy, 0.5), k.sqrt_forward(a)),
}


def simple_power(a: Any, b: Any) -> bool:
    """Return whether an array of floats is to be raised to a number that a product, quotient or root does."""
    return not hasattr(b, "shape") and b in POWERS and of_one_float([a])


@kernel(backend="numba", double="numba", composite=True, when=simple_power)
def pow_forward(k: Any, a: Any, b: Any) -> Any:
    """y = a^b for b = 2, 3, -1 and 1/2."""
    return POWERS[b](k, a)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, a, b: simple_power(a, b))
def pow_backward_base(k: Any, dy: Any, a: Any, b: Any) -> Any:
    """da = dy b a^(b-1) for the same."""
    return SLOPES[b](k, dy, a)


@kernel(backend="numba", double="numba", flat="y x", out=lambda x: [x.shape], flops=lambda x: 2 * x.size)
def cube(y: Any, x: Any) -> None:
    """y = x^3."""
    for i in prange(x.size):
        y[i] = x[i] * x[i] * x[i]


@kernel(backend="numba", double="numba", flat="dx dy x", out=lambda dy, x: [dy.shape], flops=lambda dy, x: 2 * x.size)
def slope_of_square(dx: Any, dy: Any, x: Any) -> None:
    """dx = 2 dy x."""
    for i in prange(x.size):
        dx[i] = dy[i] * np.float32(2) * x[i]


@kernel(backend="numba", double="numba", flat="dx dy x", out=lambda dy, x: [dy.shape], flops=lambda dy, x: 3 * x.size)
def slope_of_cube(dx: Any, dy: Any, x: Any) -> None:
    """dx = 3 dy x^2."""
    for i in prange(x.size):
        dx[i] = dy[i] * np.float32(3) * (x[i] * x[i])


@kernel(
    backend="numba", double="numba", flat="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 3 * dy.size
)
def clamp_gradient(dx: Any, dy: Any, x: Any, low: Any, high: Any) -> None:
    """dx = dy where low <= x <= high, else 0."""
    for i in prange(x.size):
        dx[i] = dy[i] if low <= x[i] <= high else np.float32(0)
