"""Element-wise arithmetic on the CPU: one pass over memory, in whatever dense order the arrays lie."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import prange, types
from numba.extending import overload

from ..dispatch import kernel
from ..memory import inverse_order
from .arguments import in_order, of_one_float
from .compiler import elements
from .compiler.jit import inline
from .simd.partition import piece, pieces
from .simd.passes import elementwise
from .simd.vectors import BYTES


def alike(*inputs: Any) -> bool:
    """Return whether these are arrays of one float and one shape, and numbers: a flat loop does not broadcast."""
    arrays = [a for a in inputs if hasattr(a, "shape")]
    return of_one_float(arrays) and all(a.shape == arrays[0].shape for a in arrays)


def shape_of_one(a: Any, b: Any) -> list[Any]:
    """Return the shape of a result of two inputs, one of which may be a number."""
    return [a.shape if hasattr(a, "shape") else b.shape]


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


@kernel(backend="numba", double="numba", choice=True, when=alike)
def sub(k: Any, a: Any, b: Any) -> Any:
    """y = a - b; either may be one number, or lie repeated along some axes."""
    return k.sub_repeated(a, b) if is_repeated(a, b) else k.sub_flat(a, b)


@kernel(backend="numba", double="numba", choice=True, when=alike)
def mul(k: Any, a: Any, b: Any) -> Any:
    """y = a b; either may be one number, or lie repeated along some axes, or each along the other's."""
    if is_repeated(a, b):
        return k.mul_repeated(a, b)
    return k.mul_outer(a, b) if outer_cut(a, b) or outer_cut(b, a) else k.mul_flat(a, b)


@kernel(backend="numba", double="numba", choice=True, when=alike)
def div(k: Any, a: Any, b: Any) -> Any:
    """y = a / b; either may be one number, or lie repeated along some axes."""
    return k.div_repeated(a, b) if is_repeated(a, b) else k.div_flat(a, b)


@kernel(backend="numba", double="numba", flat="y a b", out=shape_of_one)
def sub_flat(y: Any, a: Any, b: Any) -> None:
    """y = a - b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) - at(b, i)


@kernel(backend="numba", double="numba", flat="y a b", out=shape_of_one)
def mul_flat(y: Any, a: Any, b: Any) -> None:
    """y = a b; either may be one number."""
    for i in prange(y.size):
        y[i] = at(a, i) * at(b, i)


@kernel(backend="numba", double="numba", flat="y a b", out=shape_of_one)
def div_flat(y: Any, a: Any, b: Any) -> None:
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


# --------------------------------------------------------------------------------------------- repeated operands

WORTH = 1 << 13  # numbers from which a copy of what is repeated costs more than finding out how it is
CUTS = 64  # pieces of work, about


class Sides(NamedTuple):
    """How an array b is repeated beside a dense one: seen as [P, A, R, K], b is [A, K], in whatever order it lies."""

    order: tuple[int, ...]  # of the axes as the dense one lies
    back: tuple[int, ...]  # and the way back
    shape: tuple[int, int, int, int]
    once: tuple[slice, ...]  # what takes b without what is repeated


def is_repeated(a: Any, b: Any) -> bool:
    """Return whether one of two arrays is dense and the other lies repeated along some of its axes."""
    if not (hasattr(a, "shape") and hasattr(b, "shape")) or a.size < WORTH:
        return False
    return sides(a, b) is not None or sides(b, a) is not None


def sides(x: Any, b: Any) -> Sides | None:
    """Return how b is repeated beside x; None where x is not dense, or b not repeated in one of these ways."""
    return found_sides(x.shape, x.strides, b.strides, x.itemsize)


@lru_cache(maxsize=4096)
def found_sides(
    shape: tuple[int, ...], strides: tuple[int, ...], repeated: tuple[int, ...], itemsize: int
) -> Sides | None:
    """Return the same from shape and strides."""
    order = tuple(sorted(range(len(shape)), key=lambda i: (-strides[i], shape[i])))
    whole = itemsize  # bytes between neighbours along an axis of the dense one
    found, kinds, place = [1, 1, 1, 1], (True, False, True, False), 4  # whether P, A, R, K are repeated
    for axis in reversed(order):
        n = shape[axis]
        if n == 1:
            continue
        again = repeated[axis] == 0
        if strides[axis] != whole:
            return None
        place = place if place < 4 and kinds[place] == again else place - 1
        place = place if place < 0 or kinds[place] == again else place - 1
        if place < 0:
            return None
        found[place] *= n
        whole *= n
    if found[0] * found[2] == 1:
        return None
    once = tuple(slice(0, 1) if step == 0 or n == 1 else slice(None) for n, step in zip(shape, repeated, strict=True))
    return Sides(order, inverse_order(order), (found[0], found[1], found[2], found[3]), once)


def beside(k: Any, call: Any, x: Any, b: Any, how: Sides) -> Any:
    """Return what a kernel makes of a dense array and one that lies repeated beside it."""
    _, outer, _, inner = how.shape
    y = call(x.transpose(how.order).reshape(how.shape), in_order(k, b[how.once], how.order).reshape(outer, inner))
    return y.reshape([x.shape[i] for i in how.order]).transpose(how.back)


@kernel(backend="numba", double="numba", composite=True, out=shape_of_one)
def sub_repeated(k: Any, a: Any, b: Any) -> Any:
    """Call sub_beside, or sub_from_beside where a is repeated."""
    how = sides(a, b)
    return beside(k, k.sub_beside, a, b, how) if how else beside(k, k.sub_from_beside, b, a, known(sides(b, a)))


@kernel(backend="numba", double="numba", composite=True, out=shape_of_one)
def mul_repeated(k: Any, a: Any, b: Any) -> Any:
    """Call mul_beside."""
    how = sides(a, b)
    return beside(k, k.mul_beside, a, b, how) if how else beside(k, k.mul_beside, b, a, known(sides(b, a)))


@kernel(backend="numba", double="numba", composite=True, out=shape_of_one)
def div_repeated(k: Any, a: Any, b: Any) -> Any:
    """Call div_beside, or div_into_beside where a is repeated."""
    how = sides(a, b)
    return beside(k, k.div_beside, a, b, how) if how else beside(k, k.div_into_beside, b, a, known(sides(b, a)))


def outer_cut(a: Any, b: Any) -> int:
    """Return from which axis on b is repeated, before which a is: their product is an outer one; 0 if it is not."""
    if not (hasattr(a, "shape") and hasattr(b, "shape")) or a.size < WORTH:
        return 0
    moving = [axis for axis in range(a.ndim) if a.shape[axis] > 1]
    cut = next((i for i, axis in enumerate(moving) if a.strides[axis]), 0)
    if not cut or not all(a.strides[axis] for axis in moving[cut:]):
        return 0
    rows, columns = ([bool(b.strides[axis]) for axis in axes] for axes in (moving[:cut], moving[cut:]))
    return moving[cut] if all(rows) and not any(columns) else 0


@kernel(backend="numba", double="numba", composite=True, out=shape_of_one)
def mul_outer(k: Any, a: Any, b: Any) -> Any:
    """Call mul_lines with what is repeated along the last axes, then with what is repeated along the first."""
    last, first = (a, b) if outer_cut(a, b) else (b, a)
    cut = outer_cut(last, first)
    rows = in_order(k, first[(..., *[slice(0, 1)] * (a.ndim - cut))], tuple(range(a.ndim)))
    columns = in_order(k, last[(slice(0, 1),) * cut], tuple(range(a.ndim)))
    return k.mul_lines(rows.reshape(-1), columns.reshape(-1)).reshape(a.shape)


@kernel(backend="numba", double="numba", out=lambda a, b: [(a.size, b.size)], flops=lambda a, b: a.size * b.size)
def mul_lines(y: Any, a: Any, b: Any) -> None:
    """y[i, j] = a[i] b[j]."""
    for i in prange(a.size):
        line, number = y[i], a[i]
        for j in range(b.size):
            line[j] = number * b[j]


def known(how: Sides | None) -> Sides:
    """Return how an array is repeated, which `is_repeated` found before."""
    assert how is not None
    return how


@inline
def cuts_of(x: Any) -> Any:
    """Return in how many pieces the rows that share numbers of b are cut."""
    return max(1, min(x.shape[2], CUTS // max(1, x.shape[0] * x.shape[1])))


@inline
def piece_beside(t: Any, x: Any, cuts: Any) -> Any:
    """Return (where the numbers of piece t begin, where they end, their row of b)."""
    _, outer, middle, inner = x.shape
    unit, cut = t // cuts, t % cuts
    first, last = middle * cut // cuts, middle * (cut + 1) // cuts
    return (unit * middle + first) * inner, (unit * middle + last) * inner, unit % outer


@kernel(backend="numba", double="numba", out=lambda x, b: [x.shape])
def mul_beside(y: Any, x: Any, b: Any) -> None:
    """y[p, a, r, k] = x[p, a, r, k] b[a, k]."""
    ys, xs, width, cuts = y.reshape(y.size), x.reshape(x.size), x.shape[3], cuts_of(x)
    for t in prange(x.shape[0] * x.shape[1] * cuts):
        begin, end, a = piece_beside(t, x, cuts)
        if width == 1:
            yl, xl, number = ys[begin:end], xs[begin:end], b[a, 0]
            for i in range(yl.size):
                yl[i] = xl[i] * number
        else:
            line = b[a]
            for row in range(begin, end, width):
                yl, xl = ys[row : row + width], xs[row : row + width]
                for k in range(width):
                    yl[k] = xl[k] * line[k]


@kernel(backend="numba", double="numba", out=lambda x, b: [x.shape])
def sub_beside(y: Any, x: Any, b: Any) -> None:
    """y[p, a, r, k] = x[p, a, r, k] - b[a, k]."""
    ys, xs, width, cuts = y.reshape(y.size), x.reshape(x.size), x.shape[3], cuts_of(x)
    for t in prange(x.shape[0] * x.shape[1] * cuts):
        begin, end, a = piece_beside(t, x, cuts)
        if width == 1:
            yl, xl, number = ys[begin:end], xs[begin:end], b[a, 0]
            for i in range(yl.size):
                yl[i] = xl[i] - number
        else:
            line = b[a]
            for row in range(begin, end, width):
                yl, xl = ys[row : row + width], xs[row : row + width]
                for k in range(width):
                    yl[k] = xl[k] - line[k]


@kernel(backend="numba", double="numba", out=lambda x, b: [x.shape])
def sub_from_beside(y: Any, x: Any, b: Any) -> None:
    """y[p, a, r, k] = b[a, k] - x[p, a, r, k]."""
    ys, xs, width, cuts = y.reshape(y.size), x.reshape(x.size), x.shape[3], cuts_of(x)
    for t in prange(x.shape[0] * x.shape[1] * cuts):
        begin, end, a = piece_beside(t, x, cuts)
        line = b[a]
        for row in range(begin, end, width):
            yl, xl = ys[row : row + width], xs[row : row + width]
            for k in range(width):
                yl[k] = line[k] - xl[k]


@kernel(backend="numba", double="numba", out=lambda x, b: [x.shape])
def div_beside(y: Any, x: Any, b: Any) -> None:
    """y[p, a, r, k] = x[p, a, r, k] / b[a, k]."""
    ys, xs, width, cuts = y.reshape(y.size), x.reshape(x.size), x.shape[3], cuts_of(x)
    for t in prange(x.shape[0] * x.shape[1] * cuts):
        begin, end, a = piece_beside(t, x, cuts)
        if width == 1:
            yl, xl, number = ys[begin:end], xs[begin:end], b[a, 0]
            for i in range(yl.size):
                yl[i] = np.true_divide(xl[i], number)
        else:
            line = b[a]
            for row in range(begin, end, width):
                yl, xl = ys[row : row + width], xs[row : row + width]
                for k in range(width):
                    yl[k] = np.true_divide(xl[k], line[k])


@kernel(backend="numba", double="numba", out=lambda x, b: [x.shape])
def div_into_beside(y: Any, x: Any, b: Any) -> None:
    """y[p, a, r, k] = b[a, k] / x[p, a, r, k]."""
    ys, xs, width, cuts = y.reshape(y.size), x.reshape(x.size), x.shape[3], cuts_of(x)
    for t in prange(x.shape[0] * x.shape[1] * cuts):
        begin, end, a = piece_beside(t, x, cuts)
        line = b[a]
        for row in range(begin, end, width):
            yl, xl = ys[row : row + width], xs[row : row + width]
            for k in range(width):
                yl[k] = np.true_divide(line[k], xl[k])
