"""The largest number, sums and products of a row.

Written as LLVM IR: LLVM may not reorder maxima, sums or products by itself, so it would not vectorise them.  Four
vectors are in flight, as each waits for the last operation on it; the order depends on the length alone.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from ..compiler import elements
from ..compiler.jit import serial
from .vectors import DOUBLE, I32, I64, SHAPE, Shape, Vectors, address

FLIGHT = 4
Numbers = Sequence[ir.Value]
Step = Callable[[Vectors, ir.Value, Numbers, ir.Value | None], ir.Value]  # (result so far, vectors, mask) -> result
Join = Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]


def reduced(v: Vectors, at: Numbers, size: ir.Value, start: ir.Value, step: Step, join: Join) -> ir.Value:
    """Return what step makes, beginning with start, of the numbers at some addresses, and join of the lanes."""
    b, block = v.b, FLIGHT * v.lanes
    slots = [cgutils.alloca_once_value(b, start) for _ in range(FLIGHT)]
    blocks = b.sdiv(size, I64(block))
    with cgutils.for_range(b, blocks) as loop:
        for n, slot in enumerate(slots):
            to = b.add(b.mul(loop.index, I64(v.item * block)), I64(v.item * v.lanes * n))
            b.store(step(v, b.load(slot), [v.load(b.add(a, to)) for a in at], None), slot)
    done = b.mul(blocks, I64(block))
    left = b.sub(size, done)
    with cgutils.for_range(b, b.sdiv(b.add(left, I64(v.lanes - 1)), I64(v.lanes))) as loop:
        offset = b.mul(loop.index, I64(v.lanes))
        mask, to = v.below(b.sub(left, offset)), b.mul(b.add(done, offset), I64(v.item))
        b.store(step(v, b.load(slots[0]), [v.load(b.add(a, to), mask) for a in at], mask), slots[0])
    first, second, third, fourth = (b.load(slot) for slot in slots)
    rest, lanes = join(b, join(b, first, second), join(b, third, fourth)), v.lanes
    while lanes > 1:
        lanes //= 2
        halves = [ir.Constant(ir.VectorType(I32, lanes), list(range(n, n + lanes))) for n in (0, lanes)]
        rest = join(b, *[b.shuffle_vector(rest, rest, half) for half in halves])
    return b.extract_element(rest, I32(0))


def larger(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return x, or y where that is larger; a NaN is passed over."""
    return b.select(b.fcmp_ordered(">", y, x), y, x)


def plus(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return x + y, where y may be narrower."""
    return b.fadd(x, y if y.type == x.type else b.fpext(y, x.type))


def times(b: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
    """Return x y, where y may be narrower."""
    return b.fmul(x, y if y.type == x.type else b.fpext(y, x.type))


def maximum(v: Vectors, args: Numbers) -> ir.Value:
    """Return the largest of the args[1] numbers at args[0]."""
    lowest = ir.Constant(v.vector, [float("-inf")] * v.lanes)

    def step(v: Vectors, best: ir.Value, x: Numbers, mask: ir.Value | None) -> ir.Value:
        return larger(v.b, best, x[0] if mask is None else v.b.select(mask, x[0], lowest))

    return reduced(v, args[:1], args[1], lowest, step, larger)


def float64_sum(v: Vectors, args: Numbers) -> ir.Value:
    """Return the float64 sum of the args[1] numbers at args[0]."""
    zero = ir.Constant(ir.VectorType(ir.DoubleType(), v.lanes), None)
    return reduced(v, args[:1], args[1], zero, lambda v, s, x, _: plus(v.b, s, x[0]), plus)


def float64_product(v: Vectors, args: Numbers) -> ir.Value:
    """Return the float64 product of the args[1] numbers at args[0]."""
    wide = ir.VectorType(ir.DoubleType(), v.lanes)
    one, ones = ir.Constant(wide, [1.0] * v.lanes), ir.Constant(v.vector, [1.0] * v.lanes)

    def step(v: Vectors, product: ir.Value, x: Numbers, mask: ir.Value | None) -> ir.Value:
        return times(v.b, product, x[0] if mask is None else v.b.select(mask, x[0], ones))

    return reduced(v, args[:1], args[1], one, step, times)


def product_sum(v: Vectors, args: Numbers) -> ir.Value:
    """Return the sum of x (y - shift), args[2] of x at args[0], y at args[1]: float32 products, a float64 sum."""
    zero, shift = ir.Constant(ir.VectorType(ir.DoubleType(), v.lanes), None), v.splat(args[3])

    def step(v: Vectors, total: ir.Value, x: Numbers, mask: ir.Value | None) -> ir.Value:
        other = v.b.fsub(x[1], shift)
        return plus(v.b, total, v.b.fmul(x[0], other if mask is None else v.b.select(mask, other, v.zero)))

    return reduced(v, args[:2], args[2], zero, step, plus)


def typed(write: Callable[[Vectors, Numbers], ir.Value], shape: Shape, result: Any) -> Any:
    """Return what Numba asks of an intrinsic: its type, and the function that writes it into a kernel."""
    return result, lambda context, b, signature, args: write(Vectors(b, shape), args)


def maximum_of(shape: Shape, number: Any) -> Any:
    """Return maximum_at(address, size): the largest of some numbers."""
    return intrinsic(lambda _, at, size: typed(maximum, shape, number(at, size)))


def sum_of(shape: Shape) -> Any:
    """Return sum_at(address, size): the sum of some numbers, as float64."""
    return intrinsic(lambda _, at, size: typed(float64_sum, shape, types.float64(at, size)))


def product_of(shape: Shape) -> Any:
    """Return product_at(address, size): the product of some numbers, as float64."""
    return intrinsic(lambda _, at, size: typed(float64_product, shape, types.float64(at, size)))


def product_sum_of(shape: Shape) -> Any:
    """Return product_sum_at(address, address, size, shift): the sum of x (y - shift), as float64."""
    return intrinsic(lambda _, x, y, n, shift: typed(product_sum, shape, types.float64(x, y, n, shift)))


maximum_at, sum_at, product_sum_at = maximum_of(SHAPE, types.float32), sum_of(SHAPE), product_sum_of(SHAPE)
product_at = product_of(SHAPE)
elements.declare_twin(maximum_at, functools.partial(maximum_of, DOUBLE, types.float64))
elements.declare_twin(sum_at, functools.partial(sum_of, DOUBLE))
elements.declare_twin(product_at, functools.partial(product_of, DOUBLE))
elements.declare_twin(product_sum_at, functools.partial(product_sum_of, DOUBLE))
f4, f8 = np.float32, np.float64


@serial
def row_max(x: Any) -> Any:
    """Return the maximum of a dense row; -inf of none."""
    return maximum_at(address(x), x.size)


@serial
def row_sum(x: Any) -> Any:
    """Return the sum of a dense row, in float64."""
    return sum_at(address(x), x.size)


@serial
def row_product(x: Any) -> Any:
    """Return the product of a dense row, in float64."""
    return product_at(address(x), x.size)


@serial
def row_product_sum(x: Any, y: Any, shift: Any) -> Any:
    """Return the sum of x (y - shift) of dense rows, in float64."""
    return product_sum_at(address(x), address(y), x.size, f4(shift))


@serial
def add_four(total: Any, x: Any, row: Any, first: Any, size: Any) -> None:
    """Add four rows' columns from `first` on to a row of sums, which is read and written once for them."""
    for k in range(size):
        at = first + k
        total[k] += (f8(x[row, at]) + f8(x[row + 1, at])) + (f8(x[row + 2, at]) + f8(x[row + 3, at]))


@serial
def add_one(total: Any, x: Any) -> None:
    """Add a row to a row of sums."""
    for k in range(x.size):
        total[k] += x[k]
