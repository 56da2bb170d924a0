"""The one microkernel under every dense product on the CPU: a register-blocked tile emitted as LLVM IR.

    acc[m][n] = start;  acc[m][n] += sum_i sum_j sum_l x[xtab[m] + i*xi + j*xj + l*xl]
                                                      * w[i*wi + j*wj + l*wl + 4*n];  y[ytab[m] + 4*n] = acc[m][n]

for `ROWS` rows m and up to `COLUMNS` columns n; float32, every stride and table entry in bytes.  The tables make the
rows arbitrary (the indirection buffer of M. Dukhan, "The Indirect Convolution Algorithm", 2019), so stride, dilation,
borders and remainders need no kernels of their own.  README.md in this folder walks through it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils, config
from numba.extending import intrinsic

from . import generated
from .jit import serial

F32, I32, I64 = ir.FloatType(), ir.IntType(32), generated.I64
TASKS = 32  # pieces of work a loop is cut into, about; the shape decides, never the number of threads
ZERO, ACCUMULATE = 0, 1  # values of `start` that are no address: begin with zeros, begin with what y holds


@dataclass(frozen=True)
class Shape:
    """Size of the register tile: `rows` x (`vectors` of `lanes` floats).

    fma: the processor fuses multiply and add.  channelwise: column n reads its own x, x[... + 4*n], instead of one for
    all columns: a matrix times a vector.  whole: there are as many columns as the tile has, and no masks.  far: y is
    written past the caches; its rows lie on whole vectors.
    """

    rows: int
    vectors: int
    lanes: int
    fma: bool
    channelwise: bool = False
    whole: bool = False
    far: bool = False


def host_shape() -> Shape:
    """The tile that fills this processor's vector registers: accumulators, a row of w, one broadcast x.

    AVX-512 has 32 registers of 16 floats (16 + 2 + 1 used), AVX2 16 of 8 (12 + 2 + 1), SSE 16 of 4 and NEON 32 of 4.
    """
    features = getattr(config, "CPU_FEATURES", None)
    if features:  # Numba compiles for these instead of the host's when told to
        has = {f[1:] for f in features.split(",") if f.startswith("+")}
    else:
        has = {name for name, present in binding.get_host_cpu_features().items() if present}
    if "avx512f" in has:
        return Shape(rows=8, vectors=2, lanes=16, fma=True)
    if {"avx2", "fma"} <= has:
        return Shape(rows=6, vectors=2, lanes=8, fma=True)
    return Shape(rows=4, vectors=2, lanes=4, fma="neon" in has or "fma" in has)


class Vectors:
    """Writes vector instructions into a function being compiled; addresses are integers."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape) -> None:
        self.b, self.lanes, self.fma = builder, shape.lanes, shape.fma
        self.vector, self.bytes = ir.VectorType(F32, shape.lanes), ir.VectorType(ir.IntType(8), shape.lanes)
        self.zero = ir.Constant(self.vector, None)

    def call(self, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
        kind = ir.FunctionType(result, [a.type for a in args])
        return self.b.call(cgutils.get_or_insert_function(self.b.module, kind, name), args)

    def splat(self, value: ir.Value, lanes: int = 0) -> ir.Value:
        """A vector with `value` in every lane, as many as a register has or `lanes` (one broadcast instruction)."""
        lanes = lanes or self.lanes
        undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
        lane0 = self.b.insert_element(undefined, value, I32(0))
        return self.b.shuffle_vector(lane0, undefined, ir.Constant(ir.VectorType(I32, lanes), None))

    def byte(self, value: int) -> ir.Value:
        """A vector of bytes with `value` in every lane."""
        return ir.Constant(self.bytes, [value] * self.lanes)

    def below(self, count: ir.Value) -> ir.Value:
        """The mask of the first `count` lanes."""
        every = ir.Constant(ir.VectorType(I64, self.lanes), list(range(self.lanes)))
        return self.b.icmp_signed("<", every, self.splat(count))

    def load(self, address: ir.Value, mask: ir.Value | None = None, kind: ir.Type | None = None) -> ir.Value:
        """The vector at `address`, of floats or of `kind`; with a mask its lanes only, the rest 0, touching no more."""
        kind = kind or self.vector
        pointer = self.b.inttoptr(address, kind.as_pointer())
        if mask is None:
            value = self.b.load(pointer)
            value.align = self.size(kind)
            return value
        none = ir.Constant(kind, None)
        return self.call(f"llvm.masked.load.{self.suffix(kind)}.p0", kind, pointer, I32(self.size(kind)), mask, none)

    def store(self, value: ir.Value, address: ir.Value, mask: ir.Value | None = None) -> None:
        kind = value.type
        pointer = self.b.inttoptr(address, kind.as_pointer())
        if mask is None:
            self.b.store(value, pointer).align = self.size(kind)
        else:
            name = f"llvm.masked.store.{self.suffix(kind)}.p0"
            self.call(name, ir.VoidType(), value, pointer, I32(self.size(kind)), mask)

    def stream(self, value: ir.Value, address: ir.Value) -> None:
        """Store a vector past the caches; the address is a multiple of its size."""
        instruction = self.b.store(value, self.b.inttoptr(address, value.type.as_pointer()))
        instruction.align = self.lanes * self.size(value.type)
        instruction.set_metadata("nontemporal", self.b.module.add_metadata([I32(1)]))

    def size(self, kind: ir.Type) -> int:
        """Bytes of an element."""
        return 4 if kind == self.vector else 1

    def suffix(self, kind: ir.Type) -> str:
        """How LLVM's intrinsics name a vector."""
        return f"v{self.lanes}{'f32' if kind == self.vector else 'i8'}"

    def multiply_add(self, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
        if self.fma:
            return self.call(f"llvm.fma.v{self.lanes}f32", self.vector, x, y, z)
        return self.b.fadd(self.b.fmul(x, y), z)  # llvm.fma would become a call into libm per lane


def over_channels(v: Vectors, channels: ir.Value, body: Callable[[ir.Value, ir.Value | None], None]) -> None:
    """body(bytes from the first channel, mask of the valid lanes or None) for each vector of channels."""
    b = v.b
    with cgutils.for_range(b, b.sdiv(b.add(channels, I64(v.lanes - 1)), I64(v.lanes))) as loop:
        done = b.mul(loop.index, I64(v.lanes))
        left, shift = b.sub(channels, done), b.mul(done, I64(4))
        mask = v.below(left)
        with b.if_else(b.icmp_signed(">=", left, I64(v.lanes))) as (whole, part):
            with whole:
                body(shift, None)
            with part:
                body(shift, mask)


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
        """Address and mask of the n-th vector of columns: of the last one only the valid lanes count."""
        part = n == self.shape.vectors - 1 and not self.shape.whole
        return self.b.add(address, I64(4 * self.lanes * n)), self.tail if part else None

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
        """The three loops; the innermost body is rows * vectors fused multiply-adds."""
        b, arg = self.b, self.arg
        offset, w = cgutils.alloca_once(b, I64), cgutils.alloca_once(b, I64)
        with cgutils.for_range(b, arg["I"]) as outer, cgutils.for_range(b, arg["J"]) as middle:
            b.store(b.add(b.mul(outer.index, arg["xi"]), b.mul(middle.index, arg["xj"])), offset)
            b.store(b.add(arg["w"], b.add(b.mul(outer.index, arg["wi"]), b.mul(middle.index, arg["wj"]))), w)
            with cgutils.for_range(b, arg["L"]):
                self.body([b.add(row, b.load(offset)) for row in x], b.load(w))
                b.store(b.add(b.load(offset), arg["xl"]), offset)
                b.store(b.add(b.load(w), arg["wl"]), w)

    def body(self, x: list[ir.Value], w: ir.Value) -> None:
        weights = [self.load(*self.nth(w, n)) for n in range(self.shape.vectors)]
        for m, address in enumerate(x):
            if not self.shape.channelwise:
                broadcast = self.splat(self.b.load(self.b.inttoptr(address, F32.as_pointer())))
            for n, weight in enumerate(weights):
                value = self.load(*self.nth(address, n)) if self.shape.channelwise else broadcast
                total = self.multiply_add(value, weight, self.b.load(self.acc[m, n]))
                self.b.store(total, self.acc[m, n])

    def emit(self) -> None:
        """Every row is read before any is written, so a table may name a row twice: it gets the same value twice."""
        x, y = self.row_addresses("xtab", "x"), self.row_addresses("ytab", "y")
        self.begin(y)
        self.accumulate(x)
        for m, n in self.grid:
            value, (place, mask) = self.b.load(self.acc[m, n]), self.nth(y[m], n)
            if self.shape.far:
                self.stream(value, place)
            else:
                self.store(value, place, mask)


PARAMETERS = ["xtab", "x", "ytab", "y", "w", "start", "tail", "I", "J", "L", "xi", "xj", "xl", "wi", "wj", "wl"]


def emitter(shape: Shape) -> Callable[[ir.IRBuilder, dict[str, ir.Value]], None]:
    """What writes a function that runs one tile of this shape; its last vector has `tail` columns."""
    return lambda builder, arguments: Emitter(builder, shape, arguments).emit()


SHAPE = host_shape()
ROWS, LANES, COLUMNS = SHAPE.rows, SHAPE.lanes, SHAPE.vectors * SHAPE.lanes
TALL = 9 if LANES == 16 else ROWS  # rows of the tile for the weights of a 3 x 3 filter, one channel at a time


def emit_address(_: Any, a: Any) -> Any:
    """The type of an array's address, and what writes it into a function."""

    def emit(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ptrtoint(context.make_array(signature.args[0])(context, builder, args[0]).data, I64)

    return types.int64(a), emit


address: Any = intrinsic(emit_address)  # address(a): of an array's first element


def tile_of(name: str, **kind: Any) -> Any:
    """The function that runs one kind of tile."""
    return generated.function(name, PARAMETERS, emitter(replace(SHAPE, **kind)))


def dispatcher(name: str, **kind: Any) -> Any:
    """tile(): the variant for the number of columns."""
    whole = tile_of(name, whole=True, **kind)
    wide, narrow = tile_of(f"{name}_wide", **kind), tile_of(f"{name}_narrow", vectors=1, **kind)

    @serial
    def tile(xtab: Any, x: Any, ytab: Any, y: Any, w: Any, start: Any, columns: Any, loops: Any) -> None:
        """One tile of ROWS rows and 1 <= columns <= COLUMNS; loops = (I, J, L, xi, xj, xl, wi, wj, wl)."""
        i, j, l, xi, xj, xl, wi, wj, wl = straight(loops)
        if columns == COLUMNS:
            whole(xtab, x, ytab, y, w, start, LANES, i, j, l, xi, xj, xl, wi, wj, wl)
        elif columns > LANES:
            wide(xtab, x, ytab, y, w, start, columns - LANES, i, j, l, xi, xj, xl, wi, wj, wl)
        else:
            narrow(xtab, x, ytab, y, w, start, columns, i, j, l, xi, xj, xl, wi, wj, wl)

    return tile


@serial
def straight(loops: Any) -> Any:
    """Two loops that together walk one straight line are run as one: long inner loops are fast loops."""
    i, j, l, xi, xj, xl, wi, wj, wl = loops
    if xi == j * xj and wi == j * wj:
        i, j = 1, i * j
    if xj == l * xl and wj == l * wl:
        j, l = 1, j * l
    return i, j, l, xi, xj, xl, wi, wj, wl


tile, channel_tile = dispatcher("tile"), dispatcher("channel_tile", channelwise=True)
past = tile_of("far_tile", whole=True, far=True)


@serial
def far_tile(xtab: Any, x: Any, ytab: Any, y: Any, w: Any, start: Any, columns: Any, loops: Any) -> None:
    """A tile of COLUMNS columns that is written past the caches."""
    i, j, l, xi, xj, xl, wi, wj, wl = straight(loops)
    past(xtab, x, ytab, y, w, start, LANES, i, j, l, xi, xj, xl, wi, wj, wl)


tall_tile = dispatcher("tall_tile", rows=TALL)


def sweeper(tile: Any, height: int) -> Any:
    """sweep(): a block of rows times panels of columns, by a kind of tile that has `height` rows."""

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
        """Panels first..last of COLUMNS columns, `panel` bytes apart in w, times all tiles of a block of rows.

        tables: an int64 array [2][>= tiles * height] with the rows' offsets from x and from y.
        """
        xtab, ytab = address(tables[0]), address(tables[1])
        for t in range(tiles):
            at = 8 * height * t
            for p in range(first, last):
                shift = 4 * COLUMNS * p
                begin = start if start <= ACCUMULATE else start + shift
                tile(
                    xtab + at, x, ytab + at, y + shift, w + p * panel, begin, min(COLUMNS, columns - p * COLUMNS), loops
                )

    return sweep


sweep, far_sweep, tall_sweep = sweeper(tile, ROWS), sweeper(far_tile, ROWS), sweeper(tall_tile, TALL)


@serial
def share(blocks: Any, panels: Any) -> Any:
    """How a block loop is cut: (pieces over blocks, pieces over panels)."""
    over_blocks = max(1, min(blocks, 2 * TASKS))
    return over_blocks, max(1, min(panels, TASKS // over_blocks))


@serial
def ceil_div(a: Any, b: Any) -> Any:
    """a / b rounded up."""
    return -(-a // b)
