"""Vector code for the pixels of 2 x 2 pooling windows; the argmax is a byte for each channel.

Written as LLVM IR: LLVM does not vectorise a loop that stores floats and bytes side by side under comparisons.
"""

from llvmlite import ir
from numba.core import cgutils

from .vectors import I64, Shape, Vectors, over_channels, vector_function


def largest(v: Vectors, pixels: list[ir.Value]) -> tuple[ir.Value, ir.Value]:
    """Return the largest ReLU of some vectors, and its index: the first of equals; NaN exceeds any number."""
    b = v.b
    relu = [b.select(b.fcmp_ordered("<=", x, v.zero), v.zero, x) for x in pixels]
    best, first = relu[0], v.byte(0)
    for number, x in enumerate(relu[1:], 1):
        exceeds = b.or_(b.fcmp_ordered(">", x, best), b.fcmp_unordered("uno", x, x))
        best, first = b.select(exceeds, x, best), b.select(exceeds, v.byte(number), first)
    return best, first


def emit_relu_max_pool_2x2(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
    """y, index = the largest of ReLU, and which, of each of `windows` 2 x 2 windows of two rows of pixels.

    A pixel has `channels` floats, and so has a window of y; `above` and `below` are the rows' addresses.
    """
    v = Vectors(b, shape)
    pixel = b.mul(arg["channels"], I64(v.item))
    with cgutils.for_range(b, arg["windows"]) as loop:
        there, here = b.mul(b.mul(loop.index, I64(2)), pixel), b.mul(loop.index, arg["channels"])

        def body(shift: ir.Value, mask: ir.Value | None) -> None:
            starts = [b.add(b.add(arg[row], there), shift) for row in ("above", "below")]
            best, first = largest(v, [v.load(at, mask) for start in starts for at in (start, b.add(start, pixel))])
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


relu_max_pool_2x2 = vector_function(
    "relu_max_pool_2x2", ["y", "index", "above", "below", "windows", "channels"], emit_relu_max_pool_2x2
)
unpool = vector_function("unpool", ["dy", "dq", "index", "number", "pixel", "channels"], emit_unpool)
