"""A row of scores turned into exponentials, and their sum, in one pass.

    x[j] = e^(x[j] - top);  returns sum_j x[j]        for x[j] <= top

Written as LLVM IR: a loop of Numba's may not add in the order of lanes, so it would need a second pass for the sum.
The exponential is that of `elementary.exp`, less what only arguments above 0 need.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiler.jit import serial
from .dots import lanes_sum
from .elementary import EXP_TERMS, LN2_HIGH, LN2_LOW, LOG2_E, LOWEST, ROUND
from .reductions import typed
from .vectors import I64, SHAPE, Vectors, address

f4 = np.float32


def exp_below_zero(v: Vectors, x: ir.Value) -> ir.Value:
    """Return e^x of the lanes of x <= 0; 0 below -87.3, and a NaN of a NaN."""
    b, number = v.b, lambda value: ir.Constant(v.vector, [float(value)] * v.lanes)
    whole = ir.VectorType(ir.IntType(32), v.lanes)
    shifted = v.multiply_add(x, number(LOG2_E), number(ROUND))  # n = x / ln 2, rounded, in the low bits
    n = b.fsub(shifted, number(ROUND))
    r = v.multiply_add(n, number(-LN2_HIGH), x)
    r = v.multiply_add(n, number(-LN2_LOW), r)
    p = number(EXP_TERMS[0])
    for term in EXP_TERMS[1:]:
        p = v.multiply_add(p, r, number(term))
    rest = v.multiply_add(p, b.fmul(r, r), r)
    exponent = b.shl(b.bitcast(shifted, whole), ir.Constant(whole, [23] * v.lanes))
    scale = b.bitcast(b.add(exponent, ir.Constant(whole, [127 << 23] * v.lanes)), v.vector)
    return b.select(b.fcmp_ordered("<", x, number(LOWEST)), v.zero, v.multiply_add(scale, rest, scale))


def write(v: Vectors, args: Any) -> ir.Value:
    """Turn args[1] numbers at args[0] into e^(number - args[2]); return their sum."""
    b, (at, size, top) = v.b, args
    top, total = v.splat(top), cgutils.alloca_once_value(b, v.zero)

    def turn(place: ir.Value, mask: ir.Value | None) -> None:
        found = exp_below_zero(v, b.fsub(v.load(place, mask), top))
        v.store(found, place, mask)
        b.store(b.fadd(b.load(total), found if mask is None else b.select(mask, found, v.zero)), total)

    whole = b.sdiv(size, I64(v.lanes))
    with cgutils.for_range(b, whole) as loop:
        turn(b.add(at, b.mul(loop.index, I64(v.item * v.lanes))), None)
    left = b.sub(size, b.mul(whole, I64(v.lanes)))
    with b.if_then(b.icmp_signed(">", left, I64(0))):
        turn(b.add(at, b.mul(whole, I64(v.item * v.lanes))), v.below(left))
    return lanes_sum(b, b.load(total), v.lanes)


exponentials_at: Any = intrinsic(lambda _, at, size, top: typed(write, SHAPE, types.float32(at, size, types.float32)))


@serial
def row_exponentials(x: Any, top: Any) -> Any:
    """Turn a dense row into e^(x - top), where nothing is larger than top; return the sum."""
    return exponentials_at(address(x), x.size, f4(top))
