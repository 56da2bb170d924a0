"""Vector code for the pixels of 2 x 2 pooling windows; the argmax is a byte for each channel.

Written as LLVM IR: LLVM does not vectorise a loop that stores floats and bytes side by side under comparisons.
"""

import functools

from llvmlite import ir
from numba.core import cgutils

from .bf16_product import nearest_bits
from .vectors import I32, I64, Shape, Vectors, over_channels, vector_function


def largest(v: Vectors, pixels: list[ir.Value], rounds: bool = False) -> tuple[ir.Value, ir.Value]:
    """Return the largest ReLU of some vectors, and its index: the first of equals; NaN exceeds any number.

    rounds: the vectors are rounded to bfloat16 first.
    """
    if rounds and v.item == 4:
        return largest_rounded(v, pixels)
    b = v.b
    relu = [b.select(b.fcmp_ordered("<=", x, v.zero), v.zero, x) for x in pixels]
    best, first = relu[0], v.byte(0)
    for number, x in enumerate(relu[1:], 1):
        exceeds = b.or_(b.fcmp_ordered(">", x, best), b.fcmp_unordered("uno", x, x))
        best, first = b.select(exceeds, x, best), b.select(exceeds, v.byte(number), first)
    return best, first


def largest_rounded(v: Vectors, pixels: list[ir.Value]) -> tuple[ir.Value, ir.Value]:
    """Return `largest` of the vectors rounded to bfloat16, by their bits: numbers from 0 up have the order of integers.

    A NaN becomes an integer above all numbers, a later one a larger one; its number is cut off at the end.
    """
    b, kind = v.b, ir.VectorType(I32, v.lanes)

    def every(number: int) -> ir.Value:
        return ir.Constant(kind, [number] * v.lanes)

    bits = []
    for number, x in enumerate(pixels):
        near = b.and_(nearest_bits(b, b.bitcast(x, kind), v.lanes), every(0xFFFF0000))
        near = b.select(b.icmp_signed(">", near, every(0)), near, every(0))
        bits.append(b.select(b.fcmp_unordered("uno", x, x), every(0x7FC00000 + number), near))
    best, first = bits[0], v.byte(0)
    for number, x in enumerate(bits[1:], 1):
        exceeds = b.icmp_signed(">", x, best)
        best, first = b.select(exceeds, x, best), b.select(exceeds, v.byte(number), first)
    return b.bitcast(b.and_(best, every(0xFFFF0000)), v.vector), first


def emit_relu_max_pool_2x2(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape, rounds: bool = False) -> None:
    """y, index = the largest of ReLU, and which, of each of `windows` 2 x 2 windows of two rows of pixels.

    A pixel has `channels` floats, and so has a window of y; `above` and `below` are the rows' addresses.  rounds: to
    bfloat16, before all else.
    """
    v = Vectors(b, shape)
    pixel = b.mul(arg["channels"], I64(v.item))
    with cgutils.for_range(b, arg["windows"]) as loop:
        there, here = b.mul(b.mul(loop.index, I64(2)), pixel), b.mul(loop.index, arg["channels"])

        def body(shift: ir.Value, mask: ir.Value | None) -> None:
            starts = [b.add(b.add(arg[row], there), shift) for row in ("above", "below")]
            best, first = largest(
                v, [v.load(at, mask) for start in starts for at in (start, b.add(start, pixel))], rounds
            )
            v.store(best, b.add(b.add(arg["y"], b.mul(here, I64(v.item))), shift), mask)
            v.store(first, b.add(b.add(arg["index"], here), b.sdiv(shift, I64(v.item))), mask)

        over_channels(v, arg["channels"], body)


def emit_unpool(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
    """Write two neighbours of the map before pooling, `pixel` bytes apart: dq at the argmax, else 0.

    The neighbours are pixels `number` and `number` + 1 of their window.
    """
    v = Vectors(b, shape)
    numbers = [v.splat(b.add(b.trunc(arg["number"], v.bytes.element), v.bytes.element(side))) for side in (0, 1)]

    def body(shift: ir.Value, mask: ir.Value | None) -> None:
        value = v.load(b.add(arg["dq"], shift), mask)
        argmax = v.load(b.add(arg["index"], b.sdiv(shift, I64(v.item))), mask, v.bytes)
        for side, number in enumerate(numbers):
            at = b.add(b.add(arg["dy"], shift), b.mul(arg["pixel"], I64(side)))
            v.store(b.select(b.icmp_signed("==", argmax, number), value, v.zero), at, mask)

    over_channels(v, arg["channels"], body)


WINDOWS = ["y", "index", "above", "below", "windows", "channels"]
relu_max_pool_2x2 = vector_function("relu_max_pool_2x2", WINDOWS, emit_relu_max_pool_2x2)
bf16_relu_max_pool_2x2 = vector_function(
    "bf16_relu_max_pool_2x2", WINDOWS, functools.partial(emit_relu_max_pool_2x2, rounds=True)
)
unpool = vector_function("unpool", ["dy", "dq", "index", "number", "pixel", "channels"], emit_unpool)
