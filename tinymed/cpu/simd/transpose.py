"""Transposing a matrix in registers: LANES x LANES numbers at a time, for images, and for packing and flipping filters.

Written as LLVM IR: Numba's loop that copies number by number takes several cycles for each; the network of shuffles
below takes a quarter of one.
"""

from typing import Any

from llvmlite import ir

from ..compiler.jit import serial
from .vectors import BYTES, I32, I64, LANES, Shape, Vectors, vector_function


def exchange(builder: ir.IRBuilder, v: list[ir.Value], h: int, lanes: int) -> None:
    """Swap the off-diagonal quarters of each 2h x 2h block: done for h = 1, 2, 4, ... this transposes the whole."""
    low = ir.Constant(ir.VectorType(I32, lanes), [i + lanes - h if i & h else i for i in range(lanes)])
    high = ir.Constant(ir.VectorType(I32, lanes), [i + lanes if i & h else i + h for i in range(lanes)])
    for i in range(lanes):
        if not i & h:
            a, b = v[i], v[i + h]
            v[i], v[i + h] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)


def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
    """Write y[j][i] = x[i][j] for i < rows, j < columns, at most `lanes`; row, column: bytes per row of x and of y."""
    vectors, v, lanes = Vectors(b, shape), [], shape.lanes
    wide, high = vectors.below(arg["columns"]), vectors.below(arg["rows"])
    for i in range(lanes):
        there = b.select(b.icmp_signed("<", I64(i), arg["rows"]), I64(i), I64(0))
        v.append(vectors.load(b.add(arg["x"], b.mul(there, arg["row"])), wide))
    for h in (1 << k for k in range(lanes.bit_length() - 1)):
        exchange(b, v, h, lanes)
    for j in range(lanes):
        with b.if_then(b.icmp_signed("<", I64(j), arg["columns"])):
            vectors.store(v[j], b.add(arg["y"], b.mul(I64(j), arg["column"])), high)


block = vector_function("transpose", ["x", "row", "y", "column", "rows", "columns"], emit)


@serial
def transpose(x: Any, row: Any, rows: Any, columns: Any, y: Any, column: Any) -> None:
    """y[j][i] = x[i][j] for i < rows, j < columns, from address to address; `row` and `column` in bytes."""
    for i in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            high, wide = min(LANES, rows - i), min(LANES, columns - j)
            block(x + i * row + BYTES * j, row, y + j * column + BYTES * i, column, high, wide)
