"""Sampling at the places of a grid, and its gradients.

Each function takes a run of places: addresses of y, x, grid, then places, depth, height, width, channels, the padding
and whether corners are aligned.  Sixteen places at a time are read by gathers whose mask leaves out what lies outside
the image; where there are channels enough to fill half a vector, the places are taken one after the other with the
channels in the lanes.  The sum at a place is rounded once a term, as PyTorch's.
"""

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from .grid_taps import BICUBIC, BILINEAR, NEAREST, Block, Lanes, over_blocks
from .vectors import F32, I32, I64, SHAPE, over_channels

PARAMETERS = ["y", "x", "grid", "places", "depth", "height", "width", "channels", "padding", "align"]
Emit = Callable[[ir.IRBuilder, dict[str, ir.Value]], None]


class Corners:
    """What counts of a block's corners, in memory, so that its places can be taken one after the other."""

    def __init__(self, block: Block) -> None:
        self.block, self.corners = block, block.corners()
        v, b, lanes = block.v, block.v.b, block.v.lanes
        self.numbers = cgutils.alloca_once(b, ir.ArrayType(I32, len(self.corners) * lanes))
        self.weights = cgutils.alloca_once(b, ir.ArrayType(F32, len(self.corners) * lanes))
        outside = v.whole(-1)
        for i, corner in enumerate(self.corners):
            number, mask = block.offset(corner)
            kept = (self.numbers, b.select(mask, number, outside)), (self.weights, block.weight(corner))
            for slot, value in kept:
                at = b.gep(slot, [I32(0), I32(i * lanes)])
                b.store(value, b.bitcast(at, value.type.as_pointer())).align = 4

    def of(self, corner: ir.Value, place: ir.Value) -> tuple[ir.Value, ir.Value]:
        """Return (number in the image of the corner's first channel, -1 where there is none; its weight)."""
        b = self.block.v.b
        slot = b.add(b.mul(corner, I64(self.block.v.lanes)), place)
        return tuple(b.load(b.gep(kept, [I32(0), slot])) for kept in (self.numbers, self.weights))

    def over_places(self, body: Callable[[ir.Value, ir.Value], None]) -> None:
        """Call body(the place's lane, address of its first channel in y) for each place of the block."""
        block, b = self.block, self.block.v.b
        left = b.sub(block.arg["places"], block.first)
        there = b.select(b.icmp_signed("<", left, I64(block.v.lanes)), left, I64(block.v.lanes))
        with cgutils.for_range(b, there) as place:
            first = b.mul(b.add(block.first, place.index), block.arg["channels"])
            body(place.index, b.add(block.arg["y"], b.shl(first, I64(2))))


def sample_places(block: Block) -> None:
    """Write y[place, k], place after place, with the channels in the lanes of a vector."""
    v, b, corners = block.v, block.v.b, Corners(block)

    def one_place(lane: ir.Value, to: ir.Value) -> None:
        terms = []
        for i in range(len(corners.corners)):
            number, weight = corners.of(I64(i), lane)
            inside = b.icmp_signed(">=", number, I32(0))
            at = b.add(block.arg["x"], b.shl(b.sext(b.select(inside, number, I32(0)), I64), I64(2)))
            terms.append((at, v.splat(inside), v.splat(weight)))

        def of_channels(shift: ir.Value, mask: ir.Value | None) -> None:
            total = v.zero
            for at, inside, weight in terms:
                there = inside if mask is None else b.and_(mask, inside)
                total = v.multiply_add(weight, v.load(b.add(at, shift), there), total)
            v.store(total, b.add(to, shift), mask)

        over_channels(v, block.arg["channels"], of_channels)

    corners.over_places(one_place)


def choose(
    b: ir.IRBuilder, cases: Sequence[tuple[ir.Value, Callable[[], None]]], otherwise: Callable[[], None]
) -> None:
    """Write the code of the first case that holds, else the other."""
    if not cases:
        otherwise()
        return
    with b.if_else(cases[0][0]) as (holds, rest):
        with holds:
            cases[0][1]()
        with rest:
            choose(b, cases[1:], otherwise)


def sample(mode: int, rank: int) -> Emit:
    """Return the writer of y[place, k] = the sum over the corners of weight x[pixel, k].

    The sixteen terms of a bicubic sample are summed along each row, and then the rows.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        def body(block: Block) -> None:
            v = block.v
            rows: list[tuple[ir.Value | None, list[tuple[ir.Value, ir.Value, ir.Value]]]]
            if mode == BICUBIC:
                across, factors = block.axes[-1].weight, block.axes[0].weight
                rows = [
                    (factor, [(*block.offset((j, i)), weight) for i, weight in enumerate(across)])
                    for j, factor in enumerate(factors)
                ]
            else:
                rows = [(None, [(*block.offset(corner), block.weight(corner)) for corner in block.corners()])]

            def row_sum(shift: ir.Value, pixels: list[tuple[ir.Value, ir.Value, ir.Value]]) -> ir.Value:
                result = v.zero
                for index, mask, weight in pixels:
                    value = v.gather(v.elements(b.add(arg["x"], shift), index), mask)
                    result = v.multiply_add(weight, value, result)
                return result

            def total(shift: ir.Value) -> ir.Value:
                result = v.zero
                for factor, pixels in rows:
                    one = row_sum(shift, pixels)
                    result = one if factor is None else v.multiply_add(factor, one, result)
                return result

            def one_channel(shift: ir.Value) -> None:
                v.scatter(total(shift), block.of_channel("y", shift), block.mask)

            def side_by_side(channels: int) -> None:
                totals = [total(I64(4 * k)) for k in range(channels)]
                v.stores(totals, block.numbers("y", I64(channels)), b.mul(block.left, I64(channels)))

            def many_channels() -> None:
                block.over_channels(one_channel) if mode == BICUBIC else sample_places(block)

            choose(
                b,
                [
                    (b.icmp_signed("==", arg["channels"], I64(1)), lambda: side_by_side(1)),
                    (b.icmp_signed("==", arg["channels"], I64(3)), lambda: side_by_side(3)),
                    (b.icmp_signed(">=", arg["channels"], I64(SHAPE.lanes // 2)), many_channels),
                ],
                lambda: block.over_channels(one_channel),
            )

        over_blocks(b, arg, mode, rank, body)

    return emit


def slopes(mode: int, rank: int) -> Emit:
    """Return the writer of dgrid[place, axis] = the sum over channels and corners of slope (x - x at the first tap) dy.

    The argument y is dgrid; dy is one argument more.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        def body(block: Block) -> None:
            v, corners = block.v, block.corners()
            pixels = {corner: block.offset(corner) for corner in corners}

            def parts(shift: ir.Value) -> list[ir.Value]:
                at = b.add(arg["x"], shift)
                values = {corner: v.gather(v.elements(at, index), mask) for corner, (index, mask) in pixels.items()}
                return [along(block, values, axis) for axis in reversed(range(rank))]

            def one_channel(shift: ir.Value) -> None:
                dy = v.gather(block.of_channel("dy", shift), block.mask)
                for total, part in zip(sums, parts(shift), strict=True):
                    b.store(v.add(b.load(total), v.mul(dy, part)), total)

            to, left = block.numbers("y", I64(rank)), b.mul(block.left, I64(rank))
            sums = [cgutils.alloca_once(b, v.vector) for _ in range(rank)]
            with b.if_else(b.icmp_signed("==", arg["channels"], I64(1))) as (lone, several):
                with lone:
                    (dy,) = v.loads(block.numbers("dy", I64(1)), block.left, 1)
                    v.stores([v.mul(dy, part) for part in parts(I64(0))], to, left)
                with several:
                    for total in sums:
                        b.store(v.zero, total)
                    block.over_channels(one_channel)
                    v.stores([b.load(total) for total in sums], to, left)

        over_blocks(b, arg, mode, rank, body)

    return emit


def along(block: Block, values: dict[tuple[int, ...], ir.Value], axis: int) -> ir.Value:
    """Return the derivative of the corners' weighted sum along an axis, of differences from its first tap."""
    v, total = block.v, block.v.zero
    for corner, value in values.items():
        if corner[axis]:
            first = values[(*corner[:axis], 0, *corner[axis + 1 :])]
            total = v.add(total, v.mul(block.weight(corner, axis), v.sub(value, first)))
    return total


def spread(mode: int, rank: int) -> Emit:
    """Return the writer of dx[pixel, k] += weight dy[place, k] for every corner, place after place.

    The argument x is dx, y is dy.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        def body(block: Block) -> None:
            v, corners = block.v, Corners(block)

            def one_place(lane: ir.Value, dy: ir.Value) -> None:
                with cgutils.for_range(b, I64(len(corners.corners))) as corner:
                    number, weight = corners.of(corner.index, lane)
                    with b.if_then(b.icmp_signed(">=", number, I32(0))):
                        dx = b.add(arg["x"], b.shl(b.sext(number, I64), I64(2)))
                        add_row(v, dx, dy, weight, arg["channels"])

            corners.over_places(one_place)

        over_blocks(b, arg, mode, rank, body)

    return emit


def add_row(v: Lanes, dx: ir.Value, dy: ir.Value, weight: ir.Value, channels: ir.Value) -> None:
    """dx[k] += weight dy[k]: whole vectors, then one by one."""
    b = v.b
    with b.if_else(b.icmp_signed("==", channels, I64(1))) as (lone, several):
        with lone:
            add_number(b, dx, dy, weight)
        with several:
            many, whole = v.splat(weight), b.sdiv(channels, I64(v.lanes))
            with cgutils.for_range(b, whole) as loop:
                shift = b.mul(loop.index, I64(4 * v.lanes))
                to = b.add(dx, shift)
                v.store(v.add(v.load(to), v.mul(many, v.load(b.add(dy, shift)))), to)
            done = b.mul(whole, I64(v.lanes))
            with cgutils.for_range(b, b.sub(channels, done)) as loop:
                shift = b.shl(b.add(done, loop.index), I64(2))
                add_number(b, b.add(dx, shift), b.add(dy, shift), weight)


def add_number(b: ir.IRBuilder, dx: ir.Value, dy: ir.Value, weight: ir.Value) -> None:
    """dx += weight dy, of the numbers at two addresses."""
    to, source = (b.inttoptr(a, F32.as_pointer()) for a in (dx, dy))
    b.store(b.fadd(b.load(to), b.fmul(weight, b.load(source))), to)


def entry(name: str, write: Callable[[int, int], Emit], mode: int, rank: int, *more: str) -> Any:
    """Declare one function of the family."""
    return llvm_functions.function(name, [*PARAMETERS, *more], write(mode, rank))


sample_bilinear2d = entry("sample_bilinear2d", sample, BILINEAR, 2)
sample_nearest2d = entry("sample_nearest2d", sample, NEAREST, 2)
sample_bicubic2d = entry("sample_bicubic2d", sample, BICUBIC, 2)
sample_bilinear3d = entry("sample_bilinear3d", sample, BILINEAR, 3)
sample_nearest3d = entry("sample_nearest3d", sample, NEAREST, 3)
slopes_bilinear2d = entry("slopes_bilinear2d", slopes, BILINEAR, 2, "dy")
slopes_bicubic2d = entry("slopes_bicubic2d", slopes, BICUBIC, 2, "dy")
slopes_bilinear3d = entry("slopes_bilinear3d", slopes, BILINEAR, 3, "dy")
spread_bilinear2d = entry("spread_bilinear2d", spread, BILINEAR, 2)
spread_nearest2d = entry("spread_nearest2d", spread, NEAREST, 2)
spread_bicubic2d = entry("spread_bicubic2d", spread, BICUBIC, 2)
spread_bilinear3d = entry("spread_bilinear3d", spread, BILINEAR, 3)
spread_nearest3d = entry("spread_nearest3d", spread, NEAREST, 3)
