"""Transposing a matrix in registers: LANES x LANES numbers at a time, for images, and for packing and flipping filters.

Written as LLVM IR: Numba's loop that copies number by number takes several cycles for each; the network of shuffles
below takes a quarter of one.
"""

from typing import Any

from llvmlite import ir

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .vectors import I32, I64, LANES, SHAPE, Vectors


def exchange(builder: ir.IRBuilder, v: list[ir.Value], h: int) -> None:
    """Swap the off-diagonal quarters of each 2h x 2h block: done for h = 1, 2, 4, ... this transposes the whole."""
    low = ir.Constant(ir.VectorType(I32, LANES), [i + LANES - h if i & h else i for i in range(LANES)])
    high = ir.Constant(ir.VectorType(I32, LANES), [i + LANES if i & h else i + h for i in range(LANES)])
    for i in range(LANES):
        if not i & h:
            a, b = v[i], v[i + h]
            v[i], v[i + h] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)


def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write y[j][i] = x[i][j] for i < rows, j < columns, at most LANES; row, column: bytes per row of x and of y."""
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


block = llvm_functions.function("transpose", ["x", "row", "y", "column", "rows", "columns"], emit)


@serial
def transpose(x: Any, row: Any, rows: Any, columns: Any, y: Any, column: Any) -> None:
    """y[j][i] = x[i][j] for i < rows, j < columns, from address to address; `row` and `column` in bytes."""
    for i in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            high, wide = min(LANES, rows - i), min(LANES, columns - j)
            block(x + i * row + 4 * j, row, y + j * column + 4 * i, column, high, wide)
