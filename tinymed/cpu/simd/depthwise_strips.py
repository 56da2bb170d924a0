"""The inner loops of depthwise convolution: strips of neighbouring pixels of a row, all channels.

    y[p, c] = bias[c] + sum_rs x[r, column + p*step + s*dilation, c] * w[r, s, c]      `convolve`
    w[r, s, c] += sum_p y[p, c] * x[r, column + p*step + s*dilation, c]                `correlate`

for pixels p of y, rows of taps r and taps s of a row.  Columns outside the image read as zeros, so nobody makes a
padded copy; rows outside are left out by the caller.

Written as LLVM IR: LLVM does not keep the sums of several pixels in registers across the taps, which is what lets each
pixel of x be loaded once.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from .vectors import I32, I64, SHAPE, Shape, Vectors

SIDE = SHAPE.rows // 2  # vectors of channels side by side in a narrow strip, which then has as many sums as a tile
WIDE, NARROW = 8, 4  # pixels of a strip
TIGHT = 5  # pixels where all map to one set of the L1 cache: it holds these and two more on each side

PARAMETERS = [
    "first",
    "strips",
    "pixels",
    "channels",
    "x",
    "columns",
    "column",
    "step",
    "dilation",
    "pixel",
    "rows",
    "row",
    "w",
    "taps",
    "w_row",
    "w_tap",
    "y",
    "y_step",
    "bias",
]


class Variant(NamedTuple):
    """Pixels of a strip, vectors of channels side by side, and taps of a row (0: as the arguments say).

    Known taps lie side by side, and so do their pixels: what several taps read is loaded once.
    """

    pixels: int
    side: int
    taps: int = 0


class Place(NamedTuple):
    """A strip, for some vectors of channels: its first pixel, the column of its first tap, bytes to each vector."""

    pixel: ir.Value
    column: ir.Value
    shifts: list[ir.Value]
    mask: ir.Value | None


class Strips(Vectors):
    """Writes the loops over strips and channels; arguments are as PARAMETERS names them, distances in bytes."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape, arg: dict[str, ir.Value], variant: Variant) -> None:
        super().__init__(builder, shape)
        self.arg, self.variant = arg, variant
        self.zeros = builder.ptrtoint(cgutils.alloca_once_value(builder, self.zero), I64)

    def slots(self, count: int) -> list[list[ir.Value]]:
        """Return [vector of channels][count] sums, which LLVM keeps in registers."""
        return [[cgutils.alloca_once(self.b, self.vector) for _ in range(count)] for _ in range(self.variant.side)]

    def strips(self, body: Callable[[Place], None]) -> None:
        """Call body(place) for each strip and its channels.

        The last strip ends with the last pixel, so it may overlap the one before.
        """
        b, arg, pixels = self.b, self.arg, self.variant.pixels
        with cgutils.for_range(b, arg["strips"]) as loop:
            at, most = b.add(arg["first"], b.mul(loop.index, I64(pixels))), b.sub(arg["pixels"], I64(pixels))
            at = b.select(b.icmp_signed("<", at, most), at, most)
            self.over_channels(at, b.add(arg["column"], b.mul(at, arg["step"])), body)

    def over_channels(self, pixel: ir.Value, column: ir.Value, body: Callable[[Place], None]) -> None:
        """Call body for groups of vectors side by side, then for what is left one by one, masked."""
        b, channels, size = self.b, self.arg["channels"], self.lanes * self.variant.side
        groups = b.sdiv(channels, I64(size))
        with cgutils.for_range(b, groups) as loop:
            start = b.mul(loop.index, I64(4 * size))
            shifts = [b.add(start, I64(4 * self.lanes * n)) for n in range(self.variant.side)]
            body(Place(pixel, column, shifts, None))
        done = b.mul(groups, I64(size))
        left = b.sub(channels, done)
        with cgutils.for_range(b, b.sdiv(b.add(left, I64(self.lanes - 1)), I64(self.lanes))) as loop:
            offset = b.mul(loop.index, I64(self.lanes))
            body(Place(pixel, column, [b.mul(b.add(done, offset), I64(4))], self.below(b.sub(left, offset))))

    def vectors(self, address: ir.Value, place: Place) -> list[ir.Value]:
        """Return the vectors of channels whose first channel is at an address."""
        return [self.load(self.b.add(address, shift), place.mask) for shift in place.shifts]

    def pixel(self, row: ir.Value, column: ir.Value, place: Place) -> list[ir.Value]:
        """Return the vectors of a pixel of the row of x at `row`, zeros where it has no such column."""
        b = self.b
        inside = b.icmp_unsigned("<", column, self.arg["columns"])  # a negative number is a large one
        address = b.add(row, b.mul(column, self.arg["pixel"]))
        return [self.load(b.select(inside, b.add(address, s), self.zeros), place.mask) for s in place.shifts]

    def y(self, place: Place, p: int) -> ir.Value:
        """Return the address of pixel p of a strip."""
        return self.b.add(self.arg["y"], self.b.mul(self.b.add(place.pixel, I64(p)), self.arg["y_step"]))

    def rows(self, place: Place, body: Callable[[ir.Value, ir.Value, list[ir.Value]], None]) -> None:
        """Call body(row of x, column of the first tap, addresses of taps) for each row of taps, known taps at once."""
        b, arg = self.b, self.arg
        with cgutils.for_range(b, arg["rows"]) as loop:
            x, w = (b.add(arg[n], b.mul(loop.index, arg[by])) for n, by in (("x", "row"), ("w", "w_row")))
            if self.variant.taps:
                body(x, place.column, [b.add(w, b.mul(I64(s), arg["w_tap"])) for s in range(self.variant.taps)])
            else:
                with cgutils.for_range(b, arg["taps"]) as tap:
                    column = b.add(place.column, b.mul(tap.index, arg["dilation"]))
                    body(x, column, [b.add(w, b.mul(tap.index, arg["w_tap"]))])

    def products(self, place: Place, row: ir.Value, column: ir.Value, taps: int) -> Iterator[tuple[int, int, Any]]:
        """Yield (tap, pixel of y, vectors of the pixel of x that it reads), each pixel of x loaded once."""
        for q in range(self.variant.pixels + taps - 1):
            x = self.pixel(row, self.b.add(column, self.b.mul(I64(q), self.arg["step"])), place)
            yield from ((tap, q - tap, x) for tap in range(taps) if 0 <= q - tap < self.variant.pixels)

    def add_product(self, slot: ir.Value, x: ir.Value, y: ir.Value) -> None:
        """Add x y to a slot."""
        self.b.store(self.multiply_add(x, y, self.b.load(slot)), slot)

    def fetch(self, place: Place) -> None:
        """Prefetch the row of pixels behind those of the taps, which the next row of y needs: too many for hardware."""
        b, arg = self.b, self.arg
        row = b.add(arg["x"], b.mul(arg["rows"], arg["row"]))
        for p in range(self.variant.pixels):
            column = b.add(place.column, I64(p + self.variant.taps // 2))
            for shift in place.shifts:
                address = b.add(b.add(row, b.mul(column, arg["pixel"])), shift)
                pointer = b.inttoptr(address, ir.IntType(8).as_pointer())
                self.call("llvm.prefetch.p0", ir.VoidType(), pointer, I32(0), I32(3), I32(1))


def convolve(variant: Variant, shape: Shape = SHAPE) -> llvm_functions.Emit:
    """Return the writer of `strips` strips of a row of y, from pixel `first` of `pixels` on."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Strips(b, shape, arg, variant)
        sums = v.slots(variant.pixels)

        def body(place: Place) -> None:
            some = b.icmp_unsigned("!=", arg["bias"], I64(0))
            for slots, shift in zip(sums, place.shifts, strict=False):
                begin = v.load(b.select(some, b.add(arg["bias"], shift), v.zeros), place.mask)
                for slot in slots:
                    b.store(begin, slot)
            if variant.pixels == WIDE:
                v.fetch(place)

            def row(x: ir.Value, column: ir.Value, taps: list[ir.Value]) -> None:
                weights = [v.vectors(tap, place) for tap in taps]
                for tap, p, pixel in v.products(place, x, column, len(taps)):
                    for slots, value, weight in zip(sums, pixel, weights[tap], strict=False):
                        v.add_product(slots[p], value, weight)

            v.rows(place, row)
            for p in range(variant.pixels):
                for slots, shift in zip(sums, place.shifts, strict=False):
                    v.store(b.load(slots[p]), b.add(v.y(place, p), shift), place.mask)

        v.strips(body)

    return emit


def correlate(variant: Variant, shape: Shape = SHAPE) -> llvm_functions.Emit:
    """Return the writer of their gradient: w[r, s] += the products of x and y.  Strips must not overlap."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Strips(b, shape, arg, variant)
        sums = v.slots(max(1, variant.taps))

        def body(place: Place) -> None:
            if variant.pixels == WIDE:
                v.fetch(place)
            y = [v.vectors(v.y(place, p), place) for p in range(variant.pixels)]

            def row(x: ir.Value, column: ir.Value, taps: list[ir.Value]) -> None:
                for n, tap in enumerate(taps):
                    for slots, value in zip(sums, v.vectors(tap, place), strict=False):
                        b.store(value, slots[n])
                for n, p, pixel in v.products(place, x, column, len(taps)):
                    for slots, value, other in zip(sums, pixel, y[p], strict=False):
                        v.add_product(slots[n], value, other)
                for n, tap in enumerate(taps):
                    for slots, shift in zip(sums, place.shifts, strict=False):
                        v.store(b.load(slots[n]), b.add(tap, shift), place.mask)

            v.rows(place, row)

        v.strips(body)

    return emit
