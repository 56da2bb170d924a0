"""Piecewise linear activations on the CPU: one pass over memory, in whatever dense order the arrays lie.

The formulas of relu, leaky relu and hardtanh are written as LLVM IR.  LLVM vectorises such a loop by itself; what it
does not find is the non-temporal store, which saves reading each line of a large output before it is written.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange

from ..dispatch import kernel
from .arguments import channels
from .compiler.jit import serial
from .simd.partition import STRIP, pieces
from .simd.passes import above_zero, elementwise, where_above
from .simd.philox import BLOCKS, WORDS, draw, take_ticket
from .simd.vectors import Vectors

f4, f8 = np.float32, np.float64


def clamp(v: Vectors, x: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """min(max(x, low), high), NaN staying NaN."""
    least = v.b.select(v.b.fcmp_ordered("<", x, low), low, x)
    return v.b.select(v.b.fcmp_ordered(">", least, high), high, least)


def within(v: Vectors, dy: ir.Value, y: ir.Value, low: ir.Value, high: ir.Value) -> ir.Value:
    """dy where low < y < high or y is NaN, else 0."""
    inside = v.b.and_(v.b.fcmp_unordered(">", y, low), v.b.fcmp_unordered("<", y, high))
    return v.b.select(inside, dy, v.zero)


def leaky(v: Vectors, value: ir.Value, x: ir.Value, slope: ir.Value) -> ir.Value:
    """value where x > 0, else slope value."""
    return v.b.select(v.b.fcmp_ordered(">", x, v.zero), value, v.b.fmul(slope, value))


relu = elementwise("relu", "x", above_zero)
relu_gradient = elementwise("relu_gradient", "dy y", where_above)
leaky_relu = elementwise("leaky_relu", "value x", leaky, constants="slope")
hardtanh = elementwise("hardtanh", "x", clamp, constants="low high")
hardtanh_gradient = elementwise("hardtanh_gradient", "dy y", within, constants="low high")


def strip_of_one(*_: Any) -> list[Any]:
    """Return the scratch of a pass with one constant: the constant, repeated along a strip."""
    return [(1, STRIP)]


def strip_of_two(*_: Any) -> list[Any]:
    """Return the scratch of a pass with two constants, each repeated along a strip."""
    return [(2, STRIP)]


@kernel(backend="numba", double="numba", flat="y x")
def relu_forward(y: Any, x: Any) -> None:
    """y = max(x, 0)."""
    for t in prange(pieces(y)):
        relu(t, y, x)


@kernel(backend="numba", double="numba", flat="dx dy y")
def relu_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy where y > 0 or NaN, else 0."""
    for t in prange(pieces(y)):
        relu_gradient(t, dx, dy, y)


@kernel(backend="numba", double="numba", flat="y x", work=strip_of_one)
def leaky_relu_forward(y: Any, map: Any, x: Any, slope: Any) -> None:
    """y = x where x > 0, else slope x."""
    map[0] = slope
    for t in prange(pieces(y)):
        leaky_relu(t, y, x, x, map)


@kernel(backend="numba", double="numba", flat="dx dy x", work=strip_of_one)
def leaky_relu_backward(dx: Any, map: Any, dy: Any, x: Any, slope: Any) -> None:
    """dx = dy where x > 0, else slope dy."""
    map[0] = slope
    for t in prange(pieces(x)):
        leaky_relu(t, dx, dy, x, map)


@kernel(backend="numba", double="numba", flat="y x", work=strip_of_two)
def hardtanh_forward(y: Any, map: Any, x: Any, low: Any, high: Any) -> None:
    """y = min(max(x, low), high)."""
    map[0], map[1] = low, high
    for t in prange(pieces(y)):
        hardtanh(t, y, x, map)


@kernel(backend="numba", double="numba", flat="dx dy y", work=strip_of_two)
def hardtanh_backward(dx: Any, map: Any, dy: Any, y: Any, low: Any, high: Any) -> None:
    """dx = dy where low < y < high or y is NaN, else 0."""
    map[0], map[1] = low, high
    for t in prange(pieces(y)):
        hardtanh_gradient(t, dx, dy, y, map)


@kernel(backend="numba", double="numba", flat="y x")
def hardsigmoid_forward(y: Any, x: Any) -> None:
    """y = min(max(x + 3, 0), 6) / 6."""
    for i in prange(x.size):
        z = x[i] + f4(3)
        z = f4(0) if z < f4(0) else z
        y[i] = (f4(6) if z > f4(6) else z) / f4(6)


@kernel(backend="numba", double="numba", flat="dx dy y")
def hardsigmoid_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy / 6 where 0 < y < 1, else 0."""
    for i in prange(y.size):
        dx[i] = dy[i] / f4(6) if f4(0) < y[i] < f4(1) else f4(0)


@kernel(backend="numba", double="numba", flat="y x")
def hardshrink_forward(y: Any, x: Any, limit: Any) -> None:
    """y = 0 where -limit <= x <= limit, else x."""
    for i in prange(x.size):
        y[i] = f4(0) if -limit <= x[i] <= limit else x[i]


@kernel(backend="numba", double="numba", flat="y x")
def softshrink_forward(y: Any, x: Any, limit: Any) -> None:
    """y = x - limit where x > limit, x + limit where x < -limit, else 0 (NaN of NaN)."""
    for i in prange(x.size):
        below = x[i] + limit if x[i] < -limit else f4(0) * x[i]
        y[i] = x[i] - limit if x[i] > limit else below


@kernel(backend="numba", double="numba", flat="dx dy x")
def shrink_backward(dx: Any, dy: Any, x: Any, limit: Any) -> None:
    """dx = 0 where -limit <= x <= limit, else dy."""
    for i in prange(x.size):
        dx[i] = f4(0) if -limit <= x[i] <= limit else dy[i]


# ----------------------------------------------------------------------------------------------------- parametric


@kernel(backend="numba", double="numba", rows="y x")
def prelu_forward(y: Any, x: Any, weight: Any) -> None:
    """y = x where x > 0, else weight[c] x, on rows of channels; a weight of one element serves all."""
    for i in prange(x.shape[0]):
        for k in range(x.shape[1]):
            w = weight[k] if weight.size > 1 else weight[0]
            y[i, k] = x[i, k] if x[i, k] > f4(0) else w * x[i, k]


@serial
def prelu_rows(dx: Any, total: Any, dy: Any, x: Any, weight: Any) -> None:
    """Compute dx of some rows, and per channel the float64 sum of x dy where x <= 0."""
    total[:] = 0
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            w = weight[k] if weight.size > 1 else weight[0]
            above = x[i, k] > f4(0)
            dx[i, k] = dy[i, k] if above else w * dy[i, k]
            total[k] += f8(f4(0) if above else x[i, k] * dy[i, k])


@serial
def prelu_slopes(dweight: Any, totals: Any) -> None:
    """Add the sums of the chunks in their order; a single slope takes the sum over channels."""
    dweight[:] = 0
    for k in range(totals.shape[1]):
        total = 0.0
        for t in range(totals.shape[0]):
            total += totals[t, k]
        dweight[k if dweight.size > 1 else 0] += f4(total)


def chunk_work(dy: Any, *_: Any) -> list[Any]:
    """Return the scratch: sums per channel for as many chunks of rows as the shape asks for."""
    rows = dy.size // max(1, channels(dy))
    return [((max(1, min(64, rows // 256)), channels(dy)), np.float64)]


@kernel(backend="numba", double="numba", rows="dx dy x", work=chunk_work)
def prelu_backward(dx: Any, dweight: Any, totals: Any, dy: Any, x: Any, weight: Any) -> None:
    """dx = dy where x > 0, else weight[c] dy;  dweight = sum of x dy where x <= 0, by chunks of rows."""
    n, chunks = x.shape[0], totals.shape[0]
    for t in prange(chunks):
        a, b = t * n // chunks, (t + 1) * n // chunks
        prelu_rows(dx[a:b], totals[t], dy[a:b], x[a:b], weight)
    prelu_slopes(dweight, totals)


# ----------------------------------------------------------------------------------------------------- randomised


def words_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: for each task the words of one block of draws."""
    return [((min(64, -(-x.size // WORDS)), 4, BLOCKS), np.uint32)]


@serial
def slope_of(word: Any, lower: Any, width: Any) -> Any:
    """Return a number in [lower, lower + width], uniform over random words."""
    return lower + width * ((f4(word) + f4(0.5)) * f4(2.0**-32))


@serial
def apply_slopes(y: Any, v: Any, x: Any, words: Any, lower: Any, width: Any) -> None:
    """Compute y = v where x > 0, else v times the slope of its word; the four lanes of a block are four neighbours."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    whole, one = x.size // 4, f4(1)
    for i in range(whole):
        a0 = one if x[4 * i] > 0 else slope_of(w0[i], lower, width)
        a1 = one if x[4 * i + 1] > 0 else slope_of(w1[i], lower, width)
        a2 = one if x[4 * i + 2] > 0 else slope_of(w2[i], lower, width)
        a3 = one if x[4 * i + 3] > 0 else slope_of(w3[i], lower, width)
        y[4 * i] = v[4 * i] * a0
        y[4 * i + 1] = v[4 * i + 1] * a1
        y[4 * i + 2] = v[4 * i + 2] * a2
        y[4 * i + 3] = v[4 * i + 3] * a3
    for i in range(4 * whole, x.size):
        y[i] = v[i] * (one if x[i] > 0 else slope_of(words[i % 4, i // 4], lower, width))


@serial
def apply_slopes_part(
    y: Any, v: Any, x: Any, words: Any, part: Any, partitions: Any, ticket: Any, lower: Any, width: Any
) -> None:
    """Apply the slopes of one task's blocks of a draw."""
    count = (x.size + WORDS - 1) // WORDS
    for b in range(part * count // partitions, (part + 1) * count // partitions):
        draw(words, b * BLOCKS, ticket)
        a, e = b * WORDS, (b + 1) * WORDS
        apply_slopes(y[a:e], v[a:e], x[a:e], words, lower, width)


@kernel(backend="numba", rows="y x", work=words_work)
def rrelu_forward(y: Any, ticket: Any, words: Any, x: Any, state: Any, lower: Any, upper: Any) -> None:
    """y = x where x > 0, else a x, a uniform from lower to upper; takes the ticket that backward draws with."""
    take_ticket(ticket, state)
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for part in prange(words.shape[0]):
        apply_slopes_part(ys, xs, xs, words[part], part, words.shape[0], ticket, lower, upper - lower)


@kernel(backend="numba", rows="dx dy x", work=words_work)
def rrelu_backward(dx: Any, words: Any, dy: Any, x: Any, ticket: Any, lower: Any, upper: Any) -> None:
    """dx = dy where x > 0, else a dy, with the slopes a that the ticket draws again."""
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    for part in prange(words.shape[0]):
        apply_slopes_part(dxs, dys, xs, words[part], part, words.shape[0], ticket, lower, upper - lower)
