"""Transposing a matrix in registers: LANES x LANES numbers at a time, for images, and for packing and turning filters.

A loop that copies number by number takes several cycles for each; the network of shuffles below takes a quarter of one.
"""

from typing import Any

from llvmlite import ir
from numba import prange

from ..dispatch import kernel
from ..memory import Order, as_matrices, inverse_order, is_dense
from . import generated
from .jit import serial
from .join import pitch, stretch
from .microkernel import I32, I64, LANES, SHAPE, Vectors, address


def exchange(builder: ir.IRBuilder, v: list[ir.Value], h: int) -> None:
    """Swap the off-diagonal quarters of each 2h x 2h block: done for h = 1, 2, 4, ... this transposes the whole."""
    low = ir.Constant(ir.VectorType(I32, LANES), [i + LANES - h if i & h else i for i in range(LANES)])
    high = ir.Constant(ir.VectorType(I32, LANES), [i + LANES if i & h else i + h for i in range(LANES)])
    for i in range(LANES):
        if not i & h:
            a, b = v[i], v[i + h]
            v[i], v[i + h] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)


def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """y[j][i] = x[i][j] for i < rows, j < columns, at most LANES; row, column: bytes between rows of x and of y."""
    vectors, v = Vectors(b, SHAPE), []
    wide, high = vectors.below(arg["columns"]), vectors.below(arg["rows"])
    for i in range(LANES):
        there = b.select(b.icmp_signed("<", I64(i), arg["rows"]), I64(i), I64(0))
        v.append(vectors.load(b.add(arg["x"], b.mul(there, arg["row"])), wide))
    for h in (1 << k for k in range(LANES.bit_length() - 1)):
        exchange(b, v, h)
    for j in range(LANES):
        with b.if_then(b.icmp_signed("<", I64(j), arg["columns"])):
            vectors.store(v[j], b.add(arg["y"], b.mul(I64(j), arg["column"])), high)


block = generated.function("transpose", ["x", "row", "y", "column", "rows", "columns"], emit)


@serial
def transpose(x: Any, row: Any, rows: Any, columns: Any, y: Any, column: Any) -> None:
    """y[j][i] = x[i][j] for i < rows, j < columns, from address to address; `row` and `column` in bytes."""
    for i in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            high, wide = min(LANES, rows - i), min(LANES, columns - j)
            block(x + i * row + 4 * j, row, y + j * column + 4 * i, column, high, wide)


RUN = 4096  # numbers of a row that one task takes


def changes_places(x: Any, order: Order) -> bool:
    """Whether the old order of a float32 array and the new differ by two runs of axes changing places."""
    return bool(x.dtype.char == "f" and x.size and not is_dense(x, order) and as_matrices(x, order) is not None)


@kernel(backend="numba", composite=True, when=lambda x, order: changes_places(x, order) or pitch(x, order) > 0)
def canonical(k: Any, x: Any, order: Order) -> Any:
    """transpose_matrices, seen as what was asked for; take_channels where there are gaps between pixels."""
    if step := pitch(x, order):
        return k.take_channels(stretch(x, order, step), x.shape, step)
    y = k.transpose_matrices(as_matrices(x, order))
    return y.reshape([x.shape[a] for a in order]).transpose(inverse_order(order))


@serial
def weave(y: Any, a: Any, b: Any, c: Any) -> None:
    """y = a[0], b[0], c[0], a[1], ...: three rows, the colours of an image, are too few for a block."""
    for i in range(a.size):
        y[3 * i], y[3 * i + 1], y[3 * i + 2] = a[i], b[i], c[i]


@kernel(backend="numba", out=lambda x: [(x.shape[0], x.shape[2], x.shape[1])], flops=lambda x: 0)
def transpose_matrices(y: Any, x: Any) -> None:
    """[a, m, n] to [a, n, m]."""
    rows, columns = x.shape[1], x.shape[2]
    runs = -(-columns // RUN)
    for t in prange(x.shape[0] * runs):
        b, first = t // runs, t % runs * RUN
        last = min(first + RUN, columns)
        if rows == 3:
            weave(y[b, first:last].reshape(-1), x[b, 0, first:last], x[b, 1, first:last], x[b, 2, first:last])
        else:
            transpose(address(x[b]) + 4 * first, 4 * columns, rows, last - first, address(y[b, first:]), 4 * rows)
