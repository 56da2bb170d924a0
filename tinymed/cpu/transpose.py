"""Transposing a matrix in registers: LANES x LANES numbers at a time, for packing and turning filters.

A loop that copies number by number takes several cycles for each; the network of shuffles below takes a quarter of one.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .jit import serial
from .microkernel import F32, I32, I64, LANES

VECTOR = ir.VectorType(F32, LANES)


def masked(builder: ir.IRBuilder, operation: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    kind = ir.FunctionType(result, [a.type for a in args])
    name = f"llvm.masked.{operation}.v{LANES}f32.p0"
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), args)


def exchange(builder: ir.IRBuilder, v: list[ir.Value], h: int) -> None:
    """Swap the off-diagonal quarters of each 2h x 2h block: done for h = 1, 2, 4, ... this transposes the whole."""
    low = ir.Constant(ir.VectorType(I32, LANES), [i + LANES - h if i & h else i for i in range(LANES)])
    high = ir.Constant(ir.VectorType(I32, LANES), [i + LANES if i & h else i + h for i in range(LANES)])
    for i in range(LANES):
        if not i & h:
            a, b = v[i], v[i + h]
            v[i], v[i + h] = builder.shuffle_vector(a, b, low), builder.shuffle_vector(a, b, high)


@intrinsic
def block(typing, x, row, y, column, rows, columns):  # type: ignore[no-untyped-def]
    """y[j][i] = x[i][j] for i < rows, j < columns, at most LANES; row, column: bytes between rows of x and of y."""

    def codegen(context: Any, b: ir.IRBuilder, signature: Any, args: Any) -> Any:
        x, row, y, column, rows, columns = args
        lanes = ir.Constant(ir.VectorType(I64, LANES), list(range(LANES)))
        below = {}
        for name, count in (("rows", rows), ("columns", columns)):
            one = b.insert_element(ir.Constant(lanes.type, ir.Undefined), count, I32(0))
            every = b.shuffle_vector(one, one, ir.Constant(ir.VectorType(I32, LANES), None))
            below[name] = b.icmp_signed("<", lanes, every)
        v = []
        for i in range(LANES):
            there = b.select(b.icmp_signed("<", I64(i), rows), I64(i), I64(0))
            at = b.inttoptr(b.add(x, b.mul(there, row)), VECTOR.as_pointer())
            v.append(masked(b, "load", VECTOR, at, I32(4), below["columns"], ir.Constant(VECTOR, None)))
        for h in (1 << k for k in range(LANES.bit_length() - 1)):
            exchange(b, v, h)
        for j in range(LANES):
            with b.if_then(b.icmp_signed("<", I64(j), columns)):
                at = b.inttoptr(b.add(y, b.mul(I64(j), column)), VECTOR.as_pointer())
                masked(b, "store", ir.VoidType(), v[j], at, I32(4), below["rows"])
        return context.get_dummy_value()

    return types.void(*[types.int64] * 6), codegen


@serial
def transpose(x: Any, row: Any, rows: Any, columns: Any, y: Any, column: Any) -> None:
    """y[j][i] = x[i][j] for i < rows, j < columns, from address to address; `row` and `column` in bytes."""
    for i in range(0, rows, LANES):
        for j in range(0, columns, LANES):
            high, wide = min(LANES, rows - i), min(LANES, columns - j)
            block(x + i * row + 4 * j, row, y + j * column + 4 * i, column, high, wide)  # type: ignore[call-arg]
