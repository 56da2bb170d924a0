"""Products of matrices of bfloat16 with sums in float32, on three paths, written by one generator as LLVM IR.

    y[m, n] = start[n] + sum over l of x[m, l] * w[l, n]       x, w of bfloat16; y of float32

**The layout.**  Both instructions, `tdpbf16ps` (AMX) and `vdpbf16ps` (AVX512-BF16), multiply pairs: two neighbours in
the sum, in one place of 32 bits.  So x lies row by row, TERMS numbers of a sum to a block, and w in panels of COLUMNS
columns, in which a block of TERMS rows is TERMS / 2 pairs:

    w[panel][block of the sum][half of the columns][pair][16 columns][2]

A half is one tile of AMX, or one vector for each pair.  Sums end where a block ends; there, x and w hold zeros.

One function does a chunk: any number of rows times some panels, HEIGHT x COLUMNS sums at a time.  AMX's tiles are
configured where it begins and released where it ends, so that no other code ever runs with them.  A block of sums goes
through a buffer in L1, where the bias or what y holds is added, and each number is rounded to bfloat16 if so asked.
"""

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import isa, llvm_functions
from .tile import ACCUMULATE, ZERO
from .vectors import I32, I64, SHAPE, Shape, Vectors

TERMS, COLUMNS, HEIGHT = 32, 32, 32  # of a block of a sum, of a panel, and rows of x whose sums are made at once
BLOCK_BYTES, HALF_BYTES = 2 * TERMS * COLUMNS, TERMS * COLUMNS  # of one block of a panel, and of half of its columns
SUMS = 4 * HEIGHT * COLUMNS  # bytes of the buffer
SCRATCH = SUMS // 4 + COLUMNS + 16  # numbers of float32: the buffer, zeros, and the configuration of the tiles
ROUNDS, POSITIVE = 1, 2  # of `rounds`: results are rounded to bfloat16; and those below zero become zero
I8, I16, V = ir.IntType(8), ir.IntType(16), ir.VoidType()


def nearest_bits(b: ir.IRBuilder, bits: ir.Value, lanes: int) -> ir.Value:
    """Return the bits of numbers, no NaN, such that the upper half of each is the nearest number of bfloat16."""
    kind = ir.VectorType(I32, lanes)
    odd = b.and_(b.lshr(bits, ir.Constant(kind, [16] * lanes)), ir.Constant(kind, [1] * lanes))
    return b.add(b.add(bits, ir.Constant(kind, [0x7FFF] * lanes)), odd)


def round_bits(b: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """Return a vector of float32, each rounded to the nearest bfloat16, to even in the middle, as bits of float32."""
    kind = ir.VectorType(I32, lanes)

    def every(number: int) -> ir.Value:
        return ir.Constant(kind, [number] * lanes)

    bits = b.bitcast(value, kind)
    quiet = b.or_(bits, every(0x400000))  # a NaN stays one, though its digits are cut off
    near = nearest_bits(b, bits, lanes)
    return b.and_(b.select(b.fcmp_unordered("uno", value, value), quiet, near), every(0xFFFF0000))


def rounded(v: Vectors, value: ir.Value) -> ir.Value:
    """Return a vector of float32 rounded to bfloat16; one of float64, which is in no mixed precision, as it is."""
    return value if v.item == 8 else v.b.bitcast(round_bits(v.b, value, v.lanes), v.vector)


class Product(Vectors):
    """Writes the product of a chunk; a path writes `begin`, `sums` and `end`."""

    def __init__(self, builder: ir.IRBuilder, shape: Shape, arg: dict[str, ir.Value]) -> None:
        super().__init__(builder, shape)
        self.arg = arg
        self.sums_at = arg["scratch"]
        self.zeros_at = builder.add(self.sums_at, I64(SUMS))
        self.tiles_at = builder.add(self.zeros_at, I64(4 * COLUMNS))

    def emit(self) -> None:
        """Write the loops over panels and, inside, over blocks of rows: a panel stays in L1 or L2 meanwhile."""
        b, arg = self.b, self.arg
        for n in range(COLUMNS // self.lanes):
            self.store(self.zero, b.add(self.zeros_at, I64(4 * self.lanes * n)))
        self.begin()
        blocks = b.sdiv(b.add(arg["rows"], I64(HEIGHT - 1)), I64(HEIGHT))
        with cgutils.for_range(b, arg["panels"]) as panel, cgutils.for_range(b, blocks) as block:
            first = b.mul(block.index, I64(HEIGHT))
            x = b.add(arg["x"], b.mul(first, arg["x_step"]))
            self.sums(x, b.add(arg["w"], b.mul(panel.index, arg["w_panel"])))
            left = b.sub(arg["rows"], first)
            rows = b.select(b.icmp_signed("<", left, I64(HEIGHT)), left, I64(HEIGHT))
            self.write(panel.index, first, rows)
        self.end()

    def begin(self) -> None:
        """Write what comes before all sums."""

    def end(self) -> None:
        """Write what comes after all sums."""

    def sums(self, x: ir.Value, w: ir.Value) -> None:
        """Write the HEIGHT x COLUMNS sums from the addresses x and w into the buffer."""
        raise NotImplementedError

    def write(self, panel: ir.Value, first: ir.Value, rows: ir.Value) -> None:
        """Write the loop that takes `rows` rows of the buffer to y."""
        b, arg = self.b, self.arg
        shift = b.mul(panel, I64(4 * COLUMNS))
        adds, fresh = (b.icmp_signed("==", arg["start"], I64(n)) for n in (ACCUMULATE, ZERO))
        constant = b.select(b.or_(adds, fresh), self.zeros_at, b.add(arg["start"], shift))
        columns = b.sub(arg["columns"], b.mul(panel, I64(COLUMNS)))
        masks = [self.below(b.sub(columns, I64(self.lanes * n))) for n in range(COLUMNS // self.lanes)]
        rounds, positive = (b.icmp_signed("!=", b.and_(arg["rounds"], I64(n)), I64(0)) for n in (ROUNDS, POSITIVE))
        table = b.inttoptr(arg["ytab"], I64.as_pointer())
        with cgutils.for_range(b, rows) as row:
            y = b.add(b.add(arg["y"], shift), b.load(b.gep(table, [b.add(first, row.index)])))
            sums, addend = b.add(self.sums_at, b.mul(row.index, I64(4 * COLUMNS))), b.select(adds, y, constant)
            for n, mask in enumerate(masks):
                at = I64(4 * self.lanes * n)
                value = b.fadd(self.load(b.add(sums, at)), self.load(b.add(addend, at), mask))
                value = b.select(rounds, rounded(self, value), value)
                negative = b.and_(b.fcmp_ordered("<=", value, self.zero), self.splat(positive))
                self.store(b.select(negative, self.zero, value), b.add(y, at), mask)


class Tiles(Product):
    """AMX: sums in tiles 0 to 3, two tiles of x (4, 5) and two of w (6, 7)."""

    def amx(self, name: str, *args: ir.Value) -> None:
        self.call(f"llvm.x86.{name}", V, *args)

    def pointer(self, address: ir.Value) -> ir.Value:
        return self.b.inttoptr(address, I8.as_pointer())

    def begin(self) -> None:
        """Configure eight tiles of 16 rows of 64 bytes: palette 1, bytes per row from 16 on, rows from 48 on."""
        half = ir.VectorType(I32, 8)
        for n in (0, 1):
            place = self.b.inttoptr(self.b.add(self.tiles_at, I64(32 * n)), half.as_pointer())
            content = ir.Constant(half, configuration()[8 * n : 8 * n + 8])
            self.b.store(content, place).align = 4
        self.amx("ldtilecfg", self.pointer(self.tiles_at))

    def end(self) -> None:
        self.amx("tilerelease")

    def sums(self, x: ir.Value, w: ir.Value) -> None:
        b, step = self.b, self.arg["x_step"]
        for tile in range(4):
            self.amx("tilezero", I8(tile))
        lower = b.mul(step, I64(16))
        with cgutils.for_range(b, self.arg["terms"]) as term:
            at, panel = b.add(x, b.mul(term.index, I64(2 * TERMS))), b.add(w, b.mul(term.index, I64(BLOCK_BYTES)))
            self.amx("tileloadd64", I8(6), self.pointer(panel), I64(64))
            self.amx("tileloadd64", I8(4), self.pointer(at), step)
            self.amx("tdpbf16ps", I8(0), I8(4), I8(6))
            self.amx("tileloadd64", I8(7), self.pointer(b.add(panel, I64(HALF_BYTES))), I64(64))
            self.amx("tdpbf16ps", I8(1), I8(4), I8(7))
            self.amx("tileloadd64", I8(5), self.pointer(b.add(at, lower)), step)
            self.amx("tdpbf16ps", I8(2), I8(5), I8(6))
            self.amx("tdpbf16ps", I8(3), I8(5), I8(7))
        for tile in range(4):
            place = b.add(self.sums_at, I64(tile // 2 * SUMS // 2 + tile % 2 * 64))
            self.amx("tilestored64", I8(tile), self.pointer(place), I64(4 * COLUMNS))


def configuration() -> Sequence[int]:
    """Return the 64 bytes that configure eight tiles of 16 rows of 64 bytes, as 16 numbers of 32 bits."""
    palette, row_bytes, rows = [1, 0, 0, 0], [64 << 16 | 64] * 4, [0x10101010] * 2
    return [*palette, *row_bytes, 0, 0, 0, 0, *rows, 0, 0]


class Rows(Product):
    """Vectors: some rows of x at a time, each pair of a row spread over a vector of as many sums."""

    rows = 8

    def sums(self, x: ir.Value, w: ir.Value) -> None:
        b, vectors = self.b, COLUMNS // self.lanes
        grid = [(m, n) for m in range(self.rows) for n in range(vectors)]
        acc = {mn: cgutils.alloca_once(b, self.vector) for mn in grid}
        with cgutils.for_range(b, I64(HEIGHT // self.rows)) as part:
            first = b.mul(part.index, I64(self.rows))
            at = [b.add(x, b.mul(b.add(first, I64(m)), self.arg["x_step"])) for m in range(self.rows)]
            for mn in grid:
                b.store(self.zero, acc[mn])
            with cgutils.for_range(b, b.mul(self.arg["terms"], I64(TERMS // 2))) as pair:
                inside = b.add(
                    w,
                    b.add(
                        b.mul(b.ashr(pair.index, I64(4)), I64(BLOCK_BYTES)), b.mul(b.and_(pair.index, I64(15)), I64(64))
                    ),
                )
                self.pair(acc, [b.add(row, b.mul(pair.index, I64(4))) for row in at], inside)
            for m, n in grid:
                place = b.add(self.sums_at, b.mul(b.add(first, I64(m)), I64(4 * COLUMNS)))
                self.store(b.load(acc[m, n]), b.add(place, I64(4 * self.lanes * n)))

    def columns(self, w: ir.Value) -> list[ir.Value]:
        """Return the vectors of a pair's COLUMNS columns, each number the bits of two of bfloat16."""
        kind, found = ir.VectorType(I32, self.lanes), []
        for n in range(COLUMNS // self.lanes):
            half, inside = divmod(n * self.lanes, 16)
            place = self.b.add(w, I64(half * HALF_BYTES + 4 * inside))
            value = self.b.load(self.b.inttoptr(place, kind.as_pointer()))
            value.align = 4
            found.append(value)
        return found

    def spread(self, at: ir.Value) -> ir.Value:
        """Return the pair of bfloat16 at an address in all places of a vector."""
        value = self.b.load(self.b.inttoptr(at, I32.as_pointer()))
        value.align = 2
        return self.splat(value)

    def pair(self, acc: dict[tuple[int, int], ir.Value], x: list[ir.Value], w: ir.Value) -> None:
        """Write the products of one pair: by `vdpbf16ps`, which adds the second of the pair before the first."""
        b, weights = self.b, self.columns(w)
        for m, at in enumerate(x):
            value = self.spread(at)
            for n, weight in enumerate(weights):
                name = "llvm.x86.avx512bf16.dpbf16ps.512"
                b.store(self.call(name, self.vector, b.load(acc[m, n]), value, weight), acc[m, n])


class Floats(Rows):
    """float32: a number of bfloat16 is one of float32 whose lower half is zero; the first of a pair is added first."""

    rows = 4

    def pair(self, acc: dict[tuple[int, int], ir.Value], x: list[ir.Value], w: ir.Value) -> None:
        b, weights = self.b, self.columns(w)
        values = [self.spread(at) for at in x]
        for second in (False, True):
            factors = [self.number(weight, second) for weight in weights]
            for m, value in enumerate(values):
                factor = self.number(value, second)
                for n, weight in enumerate(factors):
                    b.store(self.multiply_add(factor, weight, b.load(acc[m, n])), acc[m, n])

    def number(self, pairs: ir.Value, second: bool) -> ir.Value:
        """Return the first or the second of each pair as float32."""
        every = ir.Constant(pairs.type, [0xFFFF0000 if second else 16] * self.lanes)
        bits = self.b.and_(pairs, every) if second else self.b.shl(pairs, every)
        return self.b.bitcast(bits, self.vector)


PARAMETERS = ["x", "x_step", "rows", "w", "w_panel", "panels", "terms", "y", "ytab", "columns", "start", "rounds"]
WRITERS: dict[str, type[Product]] = {"amx": Tiles, "avx512_bf16": Rows, "float32": Floats}


def product_of(path: str) -> Any:
    """Declare the product on one path; all numbers of bytes: addresses, x_step from row to row, w_panel, ytab's.

    ytab: the address of where each row lies in y, in bytes.  start: ZERO, ACCUMULATE or a bias's address.  rounds: the
    sum of ROUNDS and POSITIVE, or 0.  scratch: SCRATCH numbers of float32.  x is read in whole blocks of HEIGHT rows:
    what lies behind its own decides none of them.
    """
    writer = WRITERS[path]
    return llvm_functions.function(
        f"bf16_product_{path}", [*PARAMETERS, "scratch"], lambda b, arg: writer(b, SHAPE, arg).emit()
    )


products = {path: product_of(path) for path in isa.PATHS if not isa.missing(path)}
bf16_product = products[isa.path()]
