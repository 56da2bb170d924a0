"""The one microkernel under every dense product on the CPU: a register-blocked tile emitted as LLVM IR.

    acc[m][n] = start;  acc[m][n] += sum_i sum_j sum_l x[xtab[m] + i*xi + j*xj + l*xl]
                                                      * w[i*wi + j*wj + l*wl + 4*n];  y[ytab[m] + 4*n] = acc[m][n]

for TILE_ROWS rows m and up to TILE_COLUMNS columns n; float32, every stride and table entry in bytes (in float64 the 4
is an 8, and there are half as many columns).  With each term of the sums `pace` bytes more of what later tiles read, at
`ahead`, are fetched into the L2 cache.  The tables make the rows arbitrary (the indirection buffer of M. Dukhan, "The
Indirect Convolution Algorithm", 2019), so stride, dilation, borders and remainders need no kernels of their own.
README.md of tinymed/cpu explains it.

Written as LLVM IR because LLVM does not find this blocking by itself: Numba's loops stop near half of the peak, which
the tile reaches.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .prefetch import prefetch_line
from .vectors import BYTES, I64, LANES, TILE_COLUMNS, TILE_ROWS, Shape, Vectors, address, ceil_div, vector_function

ZERO, ACCUMULATE = 0, 1  # values of `start` that are not an address: begin with zeros, or with what y holds


class Emitter(Vectors):
    """Writes one tile; `arg` holds the LLVM values of the parameters by name."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape, arg: dict[str, ir.Value]) -> None:
        super().__init__(builder, shape)
        self.shape, self.arg = shape, arg
        self.grid = [(m, n) for m in range(shape.rows) for n in range(shape.vectors)]
        # Stack slots: LLVM's mem2reg turns each into a register, which is what blocks the tile.
        self.acc = {mn: cgutils.alloca_once(builder, self.vector) for mn in self.grid}
        self.tail = self.below(arg["tail"])

    def nth(self, address: ir.Value, n: int) -> tuple[ir.Value, ir.Value | None]:
        """Return address and mask of the n-th vector of columns: of the last one only the valid lanes count."""
        part = n == self.shape.vectors - 1 and not self.shape.whole
        return self.b.add(address, I64(self.item * self.lanes * n)), self.tail if part else None

    def row_addresses(self, table: str, base: str) -> list[ir.Value]:
        pointer = self.b.inttoptr(self.arg[table], I64.as_pointer())
        offsets = [self.b.load(self.b.gep(pointer, [I64(m)])) for m in range(self.shape.rows)]
        return [self.b.add(self.arg[base], offset) for offset in offsets]

    def begin(self, y: list[ir.Value]) -> None:
        """Fill the accumulators: from y, from the vector at `start`, or with zeros."""
        start = self.arg["start"]
        with self.b.if_else(self.b.icmp_signed("==", start, I64(ACCUMULATE))) as (accumulate, fresh):
            with accumulate:
                for m, n in self.grid:
                    self.b.store(self.load(*self.nth(y[m], n)), self.acc[m, n])
            with fresh:
                for m, n in self.grid:
                    self.b.store(self.zero, self.acc[m, n])
                with self.b.if_then(self.b.icmp_signed("!=", start, I64(ZERO))):
                    bias = [self.load(*self.nth(start, n)) for n in range(self.shape.vectors)]
                    for m, n in self.grid:
                        self.b.store(bias[n], self.acc[m, n])

    def accumulate(self, x: list[ir.Value]) -> None:
        """Write the three loops; the innermost body is rows * vectors fused multiply-adds."""
        b, arg = self.b, self.arg
        offset, w = cgutils.alloca_once(b, I64), cgutils.alloca_once(b, I64)
        ahead = cgutils.alloca_once_value(b, arg["ahead"]) if "ahead" in arg else None
        with cgutils.for_range(b, arg["I"]) as outer, cgutils.for_range(b, arg["J"]) as middle:
            b.store(b.add(b.mul(outer.index, arg["xi"]), b.mul(middle.index, arg["xj"])), offset)
            b.store(b.add(arg["w"], b.add(b.mul(outer.index, arg["wi"]), b.mul(middle.index, arg["wj"]))), w)
            with cgutils.for_range(b, arg["L"]):
                if ahead is not None:
                    prefetch_line(b, b.load(ahead), write=False)
                    b.store(b.add(b.load(ahead), arg["pace"]), ahead)
                self.body([b.add(row, b.load(offset)) for row in x], b.load(w))
                b.store(b.add(b.load(offset), arg["xl"]), offset)
                b.store(b.add(b.load(w), arg["wl"]), w)

    def body(self, x: list[ir.Value], w: ir.Value) -> None:
        weights = [self.load(*self.nth(w, n)) for n in range(self.shape.vectors)]
        for m, at in enumerate(x):
            if not self.shape.channelwise:
                broadcast = self.splat(self.b.load(self.b.inttoptr(at, self.element.as_pointer())))
            for n, weight in enumerate(weights):
                value = self.load(*self.nth(at, n)) if self.shape.channelwise else broadcast
                total = self.multiply_add(value, weight, self.b.load(self.acc[m, n]))
                self.b.store(total, self.acc[m, n])

    def emit(self) -> None:
        """Write the tile.

        Every row is read before any is written, so a table may name a row twice: it gets the same value twice.
        """
        x, y = self.row_addresses("xtab", "x"), self.row_addresses("ytab", "y")
        self.begin(y)
        self.accumulate(x)
        for m, n in self.grid:
            value, (place, mask) = self.b.load(self.acc[m, n]), self.nth(y[m], n)
            if self.shape.nontemporal:
                self.store_nontemporal(value, place)
            else:
                self.store(value, place, mask)


PARAMETERS = ["xtab", "x", "ytab", "y", "w", "start", "tail", "I", "J", "L", "xi", "xj", "xl", "wi", "wj", "wl"]
AHEAD = ["ahead", "pace"]  # of tiles that fetch what others will read


def emit_tile(builder: ir.IRBuilder, arguments: dict[str, ir.Value], shape: Shape) -> None:
    """Write a function that runs one tile of this shape; its last vector has `tail` columns."""
    Emitter(builder, shape, arguments).emit()


TALL = 9 if LANES == 16 else TILE_ROWS  # rows of the tile for the weights of a 3 x 3 filter, one channel at a time


def tile_of(name: str, **kind: Any) -> Any:
    """Declare the function that runs one kind of tile."""
    return vector_function(name, [*PARAMETERS, *AHEAD], emit_tile, **kind)


def by_width(name: str, **kind: Any) -> Any:
    """Return tile(), which picks the variant for the number of columns."""
    whole = tile_of(name, whole=True, **kind)
    wide, narrow = tile_of(f"{name}_wide", **kind), tile_of(f"{name}_narrow", vectors=1, **kind)

    @serial
    def tile(
        xtab: Any, x: Any, ytab: Any, y: Any, w: Any, start: Any, columns: Any, loops: Any, ahead: Any, pace: Any
    ) -> None:
        """Run one tile of 1 <= columns <= TILE_COLUMNS; loops = (I, J, L, xi, xj, xl, wi, wj, wl)."""
        i, j, l, xi, xj, xl, wi, wj, wl = merge_loops(loops)
        if columns == TILE_COLUMNS:
            whole(xtab, x, ytab, y, w, start, LANES, i, j, l, xi, xj, xl, wi, wj, wl, ahead, pace)
        elif columns > LANES:
            wide(xtab, x, ytab, y, w, start, columns - LANES, i, j, l, xi, xj, xl, wi, wj, wl, ahead, pace)
        else:
            narrow(xtab, x, ytab, y, w, start, columns, i, j, l, xi, xj, xl, wi, wj, wl, ahead, pace)

    return tile


@serial
def merge_loops(loops: Any) -> Any:
    """Return loops in which two that together walk one straight line are one: long inner loops are fast loops."""
    i, j, l, xi, xj, xl, wi, wj, wl = loops
    if xi == j * xj and wi == j * wj:
        i, j = 1, i * j
    if xj == l * xl and wj == l * wl:
        j, l = 1, j * l
    return i, j, l, xi, xj, xl, wi, wj, wl


tile, channel_tile = by_width("tile"), by_width("channel_tile", channelwise=True)
nontemporal_whole = tile_of("nontemporal_tile", whole=True, nontemporal=True)


@serial
def nontemporal_tile(
    xtab: Any, x: Any, ytab: Any, y: Any, w: Any, start: Any, columns: Any, loops: Any, ahead: Any, pace: Any
) -> None:
    """Run a tile of TILE_COLUMNS columns whose results bypass the caches."""
    i, j, l, xi, xj, xl, wi, wj, wl = merge_loops(loops)
    nontemporal_whole(xtab, x, ytab, y, w, start, LANES, i, j, l, xi, xj, xl, wi, wj, wl, ahead, pace)


tall_tile = by_width("tall_tile", rows=TALL)
HIGH = 12 if LANES == 16 else TILE_ROWS  # rows of the tile for short sums: fewer, larger tiles to begin and to end
high_tile = by_width("high_tile", rows=HIGH)


@serial
def next_panels(w: Any, panel: Any, columns: Any, last: Any, tiles: Any, loops: Any) -> Any:
    """Return what tiles fetch for the next sweep: (from where, bytes with each step of a sum, bytes in a tile).

    The panels behind `last`, or the first where there are none; nothing where w is not packed.
    """
    steps, packed = loops[0] * loops[1] * loops[2], BYTES * TILE_COLUMNS
    if loops[8] != packed or panel != steps * packed:
        return w, 0, 0
    pace = packed // tiles
    return w + (last * panel if last < ceil_div(columns, TILE_COLUMNS) else 0), pace, pace * steps


def make_sweep(tile: Any, height: int) -> Any:
    """Return sweep(): a block of rows times panels of columns, by a kind of tile that has `height` rows."""

    @serial
    def sweep(
        tables: Any,
        tiles: Any,
        x: Any,
        y: Any,
        w: Any,
        panel: Any,
        start: Any,
        columns: Any,
        first: Any,
        last: Any,
        loops: Any,
    ) -> None:
        """Multiply all tiles of a block of rows by panels first..last of TILE_COLUMNS columns.

        panel: bytes from panel to panel in w;  tables: an int64 array [2][>= tiles * height] with the rows' offsets
        from x and from y.  Where panels are packed one behind the other, the panels of the next sweep are fetched
        meanwhile, evenly: a sweep over few rows would wait for each of its own.
        """
        xtab, ytab = address(tables[0]), address(tables[1])
        ahead, pace, share = next_panels(w, panel, columns, last, tiles, loops)
        for t in range(tiles):
            at = 8 * height * t
            for p in range(first, last):
                shift = BYTES * TILE_COLUMNS * p
                begin = start if start <= ACCUMULATE else start + shift
                tile(
                    xtab + at,
                    x,
                    ytab + at,
                    y + shift,
                    w + p * panel,
                    begin,
                    min(TILE_COLUMNS, columns - p * TILE_COLUMNS),
                    loops,
                    ahead,
                    pace,
                )
                ahead += share

    return sweep


sweep, nontemporal_sweep, tall_sweep, high_sweep = (
    make_sweep(tile, TILE_ROWS),
    make_sweep(nontemporal_tile, TILE_ROWS),
    make_sweep(tall_tile, TALL),
    make_sweep(high_tile, HIGH),
)
