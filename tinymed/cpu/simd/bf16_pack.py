"""Laying numbers where the products of bf16_product read them: rounded, in rows of windows, in pairs.

A sum over pixels, the gradient of a weight, multiplies pairs of neighbours in the sum: two pixels of one channel, which
lie as far apart as a pixel has channels.  `bf16_pairs` puts them side by side; `bf16_columns` does so and turns the
matrix, so that a row is a channel and walks along the pixels.  A table says where each pixel is: any stride.
"""

from collections.abc import Callable

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from .bf16_product import BLOCK_BYTES, TERMS, round_bits
from .transpose import exchange
from .vectors import F32, I32, I64

I16, LANES16, CHUNK = ir.IntType(16), 16, 32
WIDE = ir.VectorType(I32, LANES16)


def below(b: ir.IRBuilder, count: ir.Value, lanes: int) -> ir.Value:
    """Return the mask of the first `count` of some lanes."""
    kind = ir.VectorType(I64, lanes)
    undefined = ir.Constant(kind, ir.Undefined)
    every = b.shuffle_vector(
        b.insert_element(undefined, count, I32(0)), undefined, ir.Constant(ir.VectorType(I32, lanes), None)
    )
    return b.icmp_signed("<", ir.Constant(kind, list(range(lanes))), every)


def masked(b: ir.IRBuilder, name: str, result: ir.Type, *args: ir.Value) -> ir.Value:
    """Write a masked load or store of a vector of 16-bit numbers."""
    kind = ir.FunctionType(result, [a.type for a in args])
    return b.call(cgutils.get_or_insert_function(b.module, kind, name), args)


def load(b: ir.IRBuilder, at: ir.Value, mask: ir.Value, lanes: int) -> ir.Value:
    """Return `lanes` numbers of 16 bits at an address, zeros where the mask is not set, which are not touched."""
    kind = ir.VectorType(I16, lanes)
    place = b.inttoptr(at, kind.as_pointer())
    return masked(b, f"llvm.masked.load.v{lanes}i16.p0", kind, place, I32(2), mask, ir.Constant(kind, None))


def emit_rows(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write y[row] = the runs of x at table[row], one behind the other, and zeros."""
    kind = ir.VectorType(I16, CHUNK)
    table = b.inttoptr(arg["table"], I64.as_pointer())
    whole = b.sdiv(arg["size"], I64(CHUNK))
    done = b.mul(whole, I64(CHUNK))
    rest, zeros = b.sub(arg["size"], done), below(b, arg["zeros"], CHUNK)
    tail = below(b, rest, CHUNK)

    def store(value: ir.Value, at: ir.Value, mask: ir.Value) -> None:
        place = b.inttoptr(at, kind.as_pointer())
        masked(b, f"llvm.masked.store.v{CHUNK}i16.p0", ir.VoidType(), value, place, I32(2), mask)

    with cgutils.for_range(b, arg["rows"]) as row:
        x = b.add(arg["x"], b.load(b.gep(table, [row.index])))
        y = b.add(arg["y"], b.mul(row.index, arg["y_step"]))
        with cgutils.for_range(b, arg["runs"]) as run:
            source = b.add(x, b.mul(run.index, arg["run_step"]))
            to = b.add(y, b.mul(run.index, b.mul(arg["size"], I64(2))))
            with cgutils.for_range(b, whole) as loop:
                shift = b.mul(loop.index, I64(2 * CHUNK))
                value = b.load(b.inttoptr(b.add(source, shift), kind.as_pointer()))
                value.align = 2
                b.store(value, b.inttoptr(b.add(to, shift), kind.as_pointer())).align = 2
            with b.if_then(b.icmp_signed(">", rest, I64(0))):
                shift = b.mul(done, I64(2))
                store(load(b, b.add(source, shift), tail, CHUNK), b.add(to, shift), tail)
        behind = b.mul(b.mul(arg["runs"], arg["size"]), I64(2))
        store(ir.Constant(kind, None), b.add(y, behind), zeros)


def pairs_of(turned: bool) -> Callable[[ir.IRBuilder, dict[str, ir.Value]], None]:
    """Return the writer of the loop over blocks of TERMS pixels and, inside, over 16 of their channels at a time.

    turned: a row of y is a channel, `y_step` bytes from the next; else y is in panels, `y_step` bytes long.  A pixel's
    channels are read one after the other: they share lines, and memory is read in the order in which it lies.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        table, shift = b.inttoptr(arg["table"], I64.as_pointer()), ir.Constant(WIDE, [16] * LANES16)
        parts = b.sdiv(b.add(arg["channels"], I64(LANES16 - 1)), I64(LANES16))
        with cgutils.for_range(b, b.sdiv(b.add(arg["pixels"], I64(TERMS - 1)), I64(TERMS))) as block:
            first, places = b.mul(block.index, I64(TERMS)), []
            for pixel in range(TERMS):
                index = b.add(first, I64(pixel))
                there = b.icmp_signed("<", index, arg["pixels"])
                at = b.add(arg["x"], b.load(b.gep(table, [b.select(there, index, I64(0))])))
                places.append((at, there))
            with cgutils.for_range(b, parts) as part:
                channel = b.mul(part.index, I64(LANES16))
                channels, found = below(b, b.sub(arg["channels"], channel), LANES16), []
                for at, there in places:
                    mask = b.select(there, channels, ir.Constant(channels.type, None))
                    found.append(b.zext(load(b, b.add(at, b.mul(channel, I64(2))), mask, LANES16), WIDE))
                pairs = [b.or_(found[i], b.shl(found[i + 1], shift)) for i in range(0, TERMS, 2)]
                if turned:
                    for h in (1, 2, 4, 8):
                        exchange(b, pairs, h, LANES16)
                    to = b.add(b.mul(channel, arg["y_step"]), b.mul(block.index, I64(2 * TERMS)))
                else:
                    panel, half = b.ashr(part.index, I64(1)), b.and_(part.index, I64(1))
                    to = b.add(b.mul(panel, arg["y_step"]), b.mul(block.index, I64(BLOCK_BYTES)))
                    to = b.add(to, b.mul(half, I64(BLOCK_BYTES // 2)))
                for i, value in enumerate(pairs):
                    row = b.mul(I64(i), arg["y_step"]) if turned else I64(4 * LANES16 * i)
                    place = b.add(b.add(arg["y"], to), row)
                    b.store(value, b.inttoptr(place, WIDE.as_pointer())).align = 4

    return emit


# ------------------------------------------------------------------------------------------------ from float32


def floats(b: ir.IRBuilder, at: ir.Value, mask: ir.Value) -> ir.Value:
    """Return 16 numbers of float32 at an address, rounded to bfloat16, as bits of float32; zeros outside the mask."""
    kind = ir.VectorType(F32, LANES16)
    place = b.inttoptr(at, kind.as_pointer())
    value = masked(b, f"llvm.masked.load.v{LANES16}f32.p0", kind, place, I32(4), mask, ir.Constant(kind, None))
    return round_bits(b, value, LANES16)


def upper(b: ir.IRBuilder, bits: ir.Value) -> ir.Value:
    """Return the upper halves of 16 numbers."""
    return b.trunc(b.lshr(bits, ir.Constant(WIDE, [16] * LANES16)), ir.VectorType(I16, LANES16))


def emit_bits(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write y[i] = x[i] rounded to bfloat16, for `size` numbers."""
    kind = ir.VectorType(I16, LANES16)
    with cgutils.for_range(b, b.sdiv(b.add(arg["size"], I64(LANES16 - 1)), I64(LANES16))) as loop:
        first = b.mul(loop.index, I64(LANES16))
        mask = below(b, b.sub(arg["size"], first), LANES16)
        value = upper(b, floats(b, b.add(arg["x"], b.mul(first, I64(4))), mask))
        place = b.inttoptr(b.add(arg["y"], b.mul(first, I64(2))), kind.as_pointer())
        masked(b, f"llvm.masked.store.v{LANES16}i16.p0", ir.VoidType(), value, place, I32(2), mask)


def emit_panel(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write half a panel of a matrix [term][column], `terms` rows of `step` bytes, `columns` of them: rows in pairs."""
    columns, none = below(b, arg["columns"], LANES16), ir.Constant(ir.VectorType(ir.IntType(1), LANES16), None)
    with cgutils.for_range(b, b.sdiv(b.add(arg["terms"], I64(TERMS - 1)), I64(TERMS))) as block:
        y, start = b.add(arg["y"], b.mul(block.index, I64(BLOCK_BYTES))), b.mul(block.index, I64(TERMS))
        with cgutils.for_range(b, I64(TERMS // 2)) as pair:
            first = b.add(start, b.mul(pair.index, I64(2)))
            found = []
            for second in (0, 1):
                term = b.add(first, I64(second))
                mask = b.select(b.icmp_signed("<", term, arg["terms"]), columns, none)
                found.append(floats(b, b.add(arg["x"], b.mul(term, arg["step"])), mask))
            value = b.or_(b.lshr(found[0], ir.Constant(WIDE, [16] * LANES16)), found[1])
            b.store(value, b.inttoptr(b.add(y, b.mul(pair.index, I64(64))), WIDE.as_pointer())).align = 4


def emit_turned_panel(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write a block of half a panel of a matrix that lies [column][term]: neighbours in memory are the pairs."""
    join = ir.Constant(ir.VectorType(I32, 2 * LANES16), list(range(2 * LANES16)))
    none, found = ir.Constant(ir.VectorType(ir.IntType(1), LANES16), None), []
    halves = [below(b, b.sub(arg["terms"], I64(n)), LANES16) for n in (0, LANES16)]
    for column in range(LANES16):
        there = b.icmp_signed("<", I64(column), arg["columns"])
        row = b.add(arg["x"], b.mul(I64(column), arg["step"]))
        low, high = (
            upper(b, floats(b, b.add(row, I64(4 * LANES16 * n)), b.select(there, mask, none)))
            for n, mask in enumerate(halves)
        )
        found.append(b.bitcast(b.shuffle_vector(low, high, join), WIDE))
    for h in (1, 2, 4, 8):
        exchange(b, found, h, LANES16)
    for pair, value in enumerate(found):
        b.store(value, b.inttoptr(b.add(arg["y"], I64(64 * pair)), WIDE.as_pointer())).align = 4


bf16_bits = llvm_functions.function("bf16_bits", ["x", "y", "size"], emit_bits)
bf16_panel = llvm_functions.function("bf16_panel", ["x", "step", "terms", "columns", "y"], emit_panel)
bf16_turned_panel = llvm_functions.function(
    "bf16_turned_panel", ["x", "step", "terms", "columns", "y"], emit_turned_panel
)
bf16_rows = llvm_functions.function(
    "bf16_rows", ["x", "table", "rows", "y", "y_step", "runs", "run_step", "size", "zeros"], emit_rows
)
bf16_pairs = llvm_functions.function(
    "bf16_pairs", ["x", "table", "pixels", "channels", "y", "y_step"], pairs_of(turned=False)
)
bf16_columns = llvm_functions.function(
    "bf16_columns", ["x", "table", "pixels", "channels", "y", "y_step"], pairs_of(turned=True)
)
