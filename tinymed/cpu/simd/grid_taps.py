"""Which pixels count at the places of a grid, and with which weight; sixteen places lie in the lanes of a vector.

Written as LLVM IR: a loop over places with one or three channels has nothing else to fill a vector with, and LLVM does
not find it.  `axis_taps` says which pixels count along an axis; a place's pixels are all combinations of those of its
axes.  A place is rounded once a term, as PyTorch's; nothing else is contracted, which would move it on a pixel's edge.
"""

from collections.abc import Callable, Sequence
from itertools import product
from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

from .vectors import F32, I32, I64, SHAPE, Vectors

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
BORDER, REFLECTION = 1, 2
FAR = 2.0**30  # a place beyond it is outside every image


class Taps(NamedTuple):
    """The pixels that count along one axis: for each tap a vector of what there is at each place."""

    pixel: list[ir.Value]  # int32
    inside: list[ir.Value]  # masks
    weight: list[ir.Value]
    slope: list[ir.Value]  # derivatives of the weights by the grid's number


class Lanes(Vectors):
    """Arithmetic on vectors of places."""

    def __init__(self, b: ir.IRBuilder) -> None:
        super().__init__(b, SHAPE)
        self.integers = ir.VectorType(I32, self.lanes)

    def number(self, value: float) -> ir.Value:
        """Return a vector of one number."""
        return ir.Constant(self.vector, [value] * self.lanes)

    def whole(self, value: int) -> ir.Value:
        """Return a vector of one integer."""
        return ir.Constant(self.integers, [value] * self.lanes)

    def unary(self, name: str, x: ir.Value) -> ir.Value:
        """Return floor, rint or fabs of every lane."""
        return self.call(f"llvm.{name}.v{self.lanes}f32", self.vector, x)

    def add(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fadd(x, y)

    def sub(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fsub(x, y)

    def mul(self, x: ir.Value, y: ir.Value) -> ir.Value:
        return self.b.fmul(x, y)

    def polynomial(self, x: ir.Value, *factors: float) -> ir.Value:
        """Return a polynomial in x, the highest power's factor first."""
        total = self.number(factors[0])
        for factor in factors[1:]:
            total = self.add(self.mul(total, x), self.number(factor))
        return total

    def loads(self, at: ir.Value, left: ir.Value, count: int) -> list[ir.Value]:
        """Return `count` numbers of each place that lie side by side, as a vector of each; `left` numbers exist."""
        parts = [self.load(*self.piece(at, left, k)) for k in range(count)]
        found = []
        for k in range(count):
            total = parts[0]
            for n in range(1, count):  # lanes of the first n parts are in place; take those of the next
                wanted = [count * lane + k for lane in range(self.lanes)]
                picks = [w % self.lanes + self.lanes if w // self.lanes == n else i for i, w in enumerate(wanted)]
                if n == 1:
                    picks = [w % (2 * self.lanes) for w in wanted]
                total = self.b.shuffle_vector(total, parts[n], ir.Constant(self.integers, picks))
            found.append(total)
        return found

    def stores(self, values: Sequence[ir.Value], at: ir.Value, left: ir.Value) -> None:
        """Store some numbers of each place side by side; `left` numbers are wanted."""
        count = len(values)
        for part in range(count):
            wanted = [divmod(part * self.lanes + i, count) for i in range(self.lanes)]  # (lane, which vector)
            total = values[0]
            for n in range(count):
                picks = [lane + self.lanes if k == n else i for i, (lane, k) in enumerate(wanted)]
                total = self.b.shuffle_vector(total, values[n], ir.Constant(self.integers, picks))
            address, mask = self.piece(at, left, part)
            self.store(total, address, mask)

    def piece(self, at: ir.Value, left: ir.Value, k: int) -> tuple[ir.Value, ir.Value]:
        """Return the address of vector k of a run of numbers, and the mask of those that exist."""
        return self.b.add(at, I64(4 * k * self.lanes)), self.below(self.b.sub(left, I64(k * self.lanes)))

    def elements(self, at: ir.Value, index: ir.Value) -> ir.Value:
        """Return pointers to float32 numbers at + 4 index."""
        pointers = self.b.gep(self.b.inttoptr(at, F32.as_pointer()), [I32(0)])
        pointers.indices = [index]  # llvmlite itself makes one pointer of one index only
        pointers.type = ir.VectorType(F32.as_pointer(), self.lanes)
        return pointers

    def every(self, step: ir.Value) -> ir.Value:
        """Return 0, step, 2 step, ... as int32."""
        lane = ir.Constant(self.integers, list(range(self.lanes)))
        return self.b.mul(lane, self.splat(self.b.trunc(step, I32)))

    def gather(self, pointers: ir.Value, mask: ir.Value) -> ir.Value:
        """Return the numbers that pointers show, 0 outside the mask."""
        name = f"llvm.masked.gather.v{self.lanes}f32.v{self.lanes}p0"
        return self.call(name, self.vector, pointers, I32(4), mask, self.zero)

    def scatter(self, value: ir.Value, pointers: ir.Value, mask: ir.Value) -> None:
        """Store numbers where pointers show, none outside the mask."""
        name = f"llvm.masked.scatter.v{self.lanes}f32.v{self.lanes}p0"
        self.call(name, ir.VoidType(), value, pointers, I32(4), mask)


class Rules:
    """What a run of places shares: the padding rule, and whether corners are aligned."""

    def __init__(self, v: Lanes, padding: ir.Value, align: ir.Value) -> None:
        self.v, b = v, v.b
        self.pads = b.icmp_signed("!=", padding, I64(0))
        self.reflects = b.icmp_signed("==", padding, I64(REFLECTION))
        self.aligned = b.icmp_signed("!=", align, I64(0))

    def scale_and_shift(self, n: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return vectors of pixels for each unit of the grid, and of what the first pixel's edge lies before it."""
        b = self.v.b
        size = b.sitofp(n, F32)
        aligned = b.fsub(size, ir.Constant(F32, 1.0))
        half = b.fdiv(b.select(self.aligned, aligned, size), ir.Constant(F32, 2.0))
        shift = b.select(self.aligned, ir.Constant(F32, 0.0), ir.Constant(F32, 0.5))
        return self.v.splat(half), self.v.splat(shift)

    def padded(self, place: ir.Value, n: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return places brought into an axis of n pixels, and the slope of that: 0 where they were cut off."""
        v, b = self.v, self.v.b
        at, slope = cgutils.alloca_once_value(b, place), cgutils.alloca_once_value(b, v.number(1.0))
        with b.if_then(self.reflects):
            turned, sign = self.reflected(place, n)
            b.store(turned, at), b.store(sign, slope)
        with b.if_then(self.pads):
            inner, last = b.load(at), v.splat(b.sitofp(b.sub(n, I64(1)), F32))
            low, high = b.fcmp_ordered("<=", inner, v.zero), b.fcmp_ordered(">=", inner, last)
            b.store(b.select(b.or_(low, high), v.zero, b.load(slope)), slope)
            b.store(b.select(low, v.zero, b.select(high, last, inner)), at)
        return b.load(at), b.load(slope)

    def reflected(self, place: ir.Value, n: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return places reflected as often as it takes, and 1 or -1, the slope of that."""
        v, b = self.v, self.v.b
        scale, shift = self.scale_and_shift(n)
        low, span = v.sub(v.zero, shift), v.add(scale, scale)
        double, some = v.add(span, span), b.fcmp_ordered(">", span, v.zero)
        double = b.select(some, double, v.number(1.0))
        beyond = v.unary("fabs", v.sub(place, low))
        beyond = v.sub(beyond, v.mul(v.unary("floor", b.fdiv(beyond, double)), double))
        over = b.fcmp_ordered(">", beyond, span)
        turned = b.xor(b.fcmp_ordered("<", place, low), over)
        inner = v.add(b.select(over, v.sub(double, beyond), beyond), low)
        return b.select(some, inner, v.zero), b.select(turned, v.number(-1.0), v.number(1.0))


def axis_taps(r: Rules, g: ir.Value, n: ir.Value, mode: int) -> Taps:
    """Return what counts along an axis of n pixels at the places g."""
    v, b = r.v, r.v.b
    scale, shift = r.scale_and_shift(n)
    place = v.multiply_add(v.add(g, v.number(1.0)), scale, v.sub(v.zero, shift))
    if mode != BICUBIC:
        place, slope = r.padded(place, n)
        scale = v.mul(scale, slope)
    base = v.unary("rint" if mode == NEAREST else "floor", place)
    known = b.fcmp_ordered("<", v.unary("fabs", place), v.number(FAR))
    first = b.fptosi(b.select(known, base, v.number(-FAR)), v.integers)
    t = v.sub(place, base)
    if mode == NEAREST:
        weights = [(v.add(v.number(1.0), v.mul(t, v.zero)), v.zero)]  # NaN for a place that is not a number
    elif mode == BILINEAR:
        weights = [(v.sub(v.number(1.0), t), v.sub(v.zero, scale)), (t, scale)]
    else:
        weights = [(w, v.mul(s, scale)) for w, s in cubic_weights(v, t)]
        first = b.sub(first, v.whole(1))
    pixels = [b.add(first, v.whole(k)) for k in range(len(weights))]
    if mode == BICUBIC:
        pixels = [brought(r, pixel, n) for pixel in pixels]
    last = v.splat(b.trunc(b.sub(n, I64(1)), I32))
    inside = [b.and_(b.icmp_signed(">=", pixel, v.whole(0)), b.icmp_signed("<=", pixel, last)) for pixel in pixels]
    return Taps(pixels, inside, *([pair[i] for pair in weights] for i in (0, 1)))


def brought(r: Rules, pixel: ir.Value, n: ir.Value) -> ir.Value:
    """Return a bicubic tap's pixels, which padding may bring into the image."""
    b = r.v.b
    slot = cgutils.alloca_once(b, pixel.type)
    b.store(pixel, slot)
    with b.if_then(r.pads):
        place, _ = r.padded(b.sitofp(pixel, r.v.vector), n)
        b.store(b.fptosi(place, r.v.integers), slot)
    return b.load(slot)


def cubic_weights(v: Lanes, t: ir.Value) -> list[tuple[ir.Value, ir.Value]]:
    """Return (weight, derivative by t) of four taps, t behind the second.  Keys 1981, equation 4, slope -3/4."""

    def inner(d: ir.Value) -> tuple[ir.Value, ir.Value]:
        return v.polynomial(d, 1.25, -2.25, 0.0, 1.0), v.mul(v.polynomial(d, 3.75, -4.5), d)

    def outer(d: ir.Value) -> tuple[ir.Value, ir.Value]:
        return v.polynomial(d, -0.75, 3.75, -6.0, 3.0), v.polynomial(d, -2.25, 7.5, -6.0)

    after = [inner(v.sub(v.number(1.0), t)), outer(v.sub(v.number(2.0), t))]
    return [outer(v.add(t, v.number(1.0))), inner(t), *((w, v.sub(v.zero, s)) for w, s in after)]


class Block:
    """A vector of places: its taps along each axis, and how many of its lanes there are."""

    def __init__(self, b: ir.IRBuilder, arg: dict[str, ir.Value], mode: int, rank: int, first: ir.Value) -> None:
        self.v, self.arg, self.rank, self.first = Lanes(b), arg, rank, first
        self.left = b.sub(arg["places"], first)
        self.mask = self.v.below(self.left)
        rules = Rules(self.v, arg["padding"], arg["align"])
        self.lengths = [arg[name] for name in ("depth", "height", "width")[3 - rank :]]
        numbers = self.v.loads(self.numbers("grid", I64(rank)), b.mul(self.left, I64(rank)), rank)
        self.axes = [axis_taps(rules, g, n, mode) for g, n in zip(reversed(numbers), self.lengths, strict=True)]
        self.count = len(self.axes[0].pixel)

    def numbers(self, name: str, count: ir.Value) -> ir.Value:
        """Return the address of this block's numbers in an array that has `count` for each place."""
        b = self.v.b
        return b.add(self.arg[name], b.shl(b.mul(self.first, count), I64(2)))

    def corners(self) -> list[tuple[int, ...]]:
        """Return the combinations of the axes' taps."""
        return list(product(range(self.count), repeat=self.rank))

    def offset(self, corner: Sequence[int]) -> tuple[ir.Value, ir.Value]:
        """Return (number in the image of the corner pixel's first channel, as int32; the mask of those that exist)."""
        b, v = self.v.b, self.v
        number, mask = None, self.mask
        for tap, axis, n in zip(corner, self.axes, self.lengths, strict=True):
            pixel = axis.pixel[tap]
            number = pixel if number is None else b.add(b.mul(number, v.splat(b.trunc(n, I32))), pixel)
            mask = b.and_(mask, axis.inside[tap])
        return b.mul(number, v.splat(b.trunc(self.arg["channels"], I32))), mask

    def weight(self, corner: Sequence[int], sloped: int = -1) -> ir.Value:
        """Return the product of a corner's weights, along one axis of the weight's slope."""
        total = None
        for a, (tap, axis) in enumerate(zip(corner, self.axes, strict=True)):
            factor = (axis.slope if a == sloped else axis.weight)[tap]
            total = factor if total is None else self.v.mul(total, factor)
        return total

    def over_channels(self, body: Callable[[ir.Value], None]) -> None:
        """Call body with the address of x's channel 0, then 1, ..."""
        with cgutils.for_range(self.v.b, self.arg["channels"]) as loop:
            body(self.v.b.shl(loop.index, I64(2)))

    def of_channel(self, name: str, shift: ir.Value) -> ir.Value:
        """Return pointers to one channel of this block's places in y or dy."""
        at = self.v.b.add(self.numbers(name, self.arg["channels"]), shift)
        return self.v.elements(at, self.v.every(self.arg["channels"]))


def over_blocks(b: ir.IRBuilder, arg: dict[str, ir.Value], mode: int, rank: int, body: Callable[[Block], None]) -> None:
    """Call body for each vector of places."""
    count = b.sdiv(b.add(arg["places"], I64(SHAPE.lanes - 1)), I64(SHAPE.lanes))
    with cgutils.for_range(b, count) as loop:
        body(Block(b, arg, mode, rank, b.mul(loop.index, I64(SHAPE.lanes))))
