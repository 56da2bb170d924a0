"""Many rows of pixels against each other, number by number: their smallest, their largest, their median, their mean.

    y[j] = the smallest, largest, middle or mean of table[0][j], table[1][j], ...

A table holds the addresses of rows, which may overlap: the neighbours of a window are one row at several places.  The
numbers of a vector stay in registers from the first row to the last, so that a result costs one load for each row.

Written as LLVM IR: a call for each pair of rows costs more than the rows, and Numba has no vectors of bytes.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .vectors import I64, SHAPE

BYTES = 4 * SHAPE.lanes  # of a register
STEP = 4  # vectors that are compared with every row before the next ones
ELEMENTS: dict[str, tuple[ir.Type, int]] = {
    "u8": (ir.IntType(8), 1),
    "u16": (ir.IntType(16), 2),
    "f32": (ir.FloatType(), 4),
}
Body = Callable[[ir.Value, ir.Type], None]


def over_numbers(b: ir.IRBuilder, size: ir.Value, name: str, body: Body, vectors: int = 1) -> None:
    """Call body(byte, vector type) for all numbers of a row, so many vectors at once where the row is long enough.

    The last whole step may begin within the one before.  A row shorter than a vector is taken number by number.
    """
    element, width = ELEMENTS[name]
    lanes = vectors * BYTES // width
    with b.if_else(b.icmp_signed(">=", size, I64(lanes))) as (long, short):
        with long:
            last = b.sub(size, I64(lanes))
            with cgutils.for_range(b, b.sdiv(b.add(size, I64(lanes - 1)), I64(lanes))) as loop:
                at = b.mul(loop.index, I64(lanes))
                at = b.select(b.icmp_signed("<", at, last), at, last)
                body(b.mul(at, I64(width)), ir.VectorType(element, lanes))
        with short:
            if vectors > 1:
                over_numbers(b, size, name, body)
            else:
                with cgutils.for_range(b, size) as loop:
                    body(b.mul(loop.index, I64(width)), ir.VectorType(element, 1))


def load(b: ir.IRBuilder, address: ir.Value, kind: ir.Type) -> ir.Value:
    """Return the vector at an address."""
    value = b.load(b.inttoptr(address, kind.as_pointer()))
    value.align = 1
    return value


def store(b: ir.IRBuilder, value: ir.Value, address: ir.Value) -> None:
    """Store a vector at an address."""
    b.store(value, b.inttoptr(address, value.type.as_pointer())).align = 1


def row_at(b: ir.IRBuilder, table: ir.Value, number: ir.Value) -> ir.Value:
    """Return the address that stands in a table."""
    return b.load(b.inttoptr(b.add(table, b.mul(number, I64(8))), I64.as_pointer()))


def is_float(value: ir.Value) -> bool:
    """Return whether a vector is of floats."""
    return bool(value.type.element == ir.FloatType())


def not_a_number(b: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """Return where a vector of floats is NaN."""
    return b.fcmp_unordered("uno", value, value)


def better(b: ir.IRBuilder, found: ir.Value, value: ir.Value, largest: bool) -> ir.Value:
    """Return the larger, or smaller, of two vectors; NaN where one is NaN."""
    relation = ">" if largest else "<"
    if is_float(value):
        taken = b.or_(b.fcmp_ordered(relation, value, found), not_a_number(b, value))
    else:
        taken = b.icmp_unsigned(relation, value, found)
    return b.select(taken, value, found)


def emit_extreme(name: str, largest: bool, b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the loop over vectors, and in it the loop over `count` rows."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        found = cgutils.alloca_once_value(b, load(b, b.add(row_at(b, arg["table"], I64(0)), at), kind))
        with cgutils.for_range(b, b.sub(arg["count"], I64(1))) as loop:
            row = row_at(b, arg["table"], b.add(loop.index, I64(1)))
            b.store(better(b, b.load(found), load(b, b.add(row, at), kind), largest), found)
        store(b, b.load(found), b.add(arg["y"], at))

    over_numbers(b, arg["size"], name, body, STEP)  # leaving the loop over rows costs as much as some rows


@functools.cache
def exchanges(count: int) -> tuple[tuple[int, int], ...]:
    """Return pairs of rows, the smaller and the larger, that bring the median of so many rows to the middle one.

    They are the exchanges of Batcher's odd-even merge sort that the middle row depends on.

    Reference:
        Batcher, AFIPS Spring Joint Computer Conference 1968.
    """
    size = 1 << (count - 1).bit_length()
    pairs = []
    p = 1
    while p < size:
        k = p
        while k >= 1:
            for j in range(k % p, size - k, 2 * k):
                for i in range(min(k, size - j - k)):
                    if (i + j) // (2 * p) == (i + j + k) // (2 * p):
                        pairs.append((i + j, i + j + k))
            k //= 2
        p *= 2
    needed, kept = {count // 2}, []
    for low, high in reversed([pair for pair in pairs if pair[1] < count]):  # beyond count stands infinity, which stays
        if low in needed or high in needed:
            needed |= {low, high}
            kept.append((low, high))
    return tuple(kept[::-1])


def ordered(b: ir.IRBuilder, a: ir.Value, c: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Return the smaller and the larger numbers of two vectors."""
    less = b.fcmp_ordered("<", a, c) if is_float(a) else b.icmp_unsigned("<", a, c)
    return b.select(less, a, c), b.select(less, c, a)


def sorted_three(b: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """Return the smallest, the middle and the largest numbers of three vectors."""
    x, y = ordered(b, x, y)
    y, z = ordered(b, y, z)
    x, y = ordered(b, x, y)
    return x, y, z


def middle_by_exchanges(b: ir.IRBuilder, rows: list[ir.Value]) -> ir.Value:
    """Return the middle of sorted rows."""
    for low, high in exchanges(len(rows)):
        rows[low], rows[high] = ordered(b, rows[low], rows[high])
    return rows[len(rows) // 2]


def broken_by(b: ir.IRBuilder, value: ir.Value, rows: Sequence[ir.Value]) -> ir.Value:
    """Return a vector, NaN where one of the rows is NaN."""
    if not is_float(value):
        return value
    nan = ir.Constant(value.type, [ir.Constant(value.type.element, float("nan"))] * value.type.count)
    return b.select(functools.reduce(b.or_, [not_a_number(b, row) for row in rows]), nan, value)


def emit_median(name: str, count: int, b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the loop over vectors, and in it the choice among so many rows; NaN where one is NaN."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        rows = [load(b, b.add(row_at(b, arg["table"], I64(n)), at), kind) for n in range(count)]
        store(b, broken_by(b, middle_by_exchanges(b, rows[:]), rows), b.add(arg["y"], at))

    over_numbers(b, arg["size"], name, body)


def emit_sorted_columns(name: str, b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the smallest, the middle and the largest of three rows, `pitch` bytes from each other."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        rows = [load(b, b.add(row_at(b, arg["table"], I64(n)), at), kind) for n in range(3)]
        low, middle, high = sorted_three(b, *rows)
        for n, row in enumerate((broken_by(b, low, rows), middle, high)):
            store(b, row, b.add(b.add(arg["y"], b.mul(arg["pitch"], I64(n))), at))

    over_numbers(b, arg["size"], name, body)


def emit_middle_of_columns(name: str, b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the median of each sorted column and the two to its right, `step` bytes from each other.

    It is the middle of the largest smallest, the middle middle and the smallest largest.
    """

    def body(at: ir.Value, kind: ir.Type) -> None:
        low, middle, high = (
            [
                load(
                    b,
                    b.add(b.add(arg["rows"], at), b.add(b.mul(arg["pitch"], I64(n)), b.mul(arg["step"], I64(t)))),
                    kind,
                )
                for t in range(3)
            ]
            for n in range(3)
        )
        ends = sorted_three(b, *low)[2], sorted_three(b, *middle)[1], sorted_three(b, *high)[0]
        store(b, broken_by(b, sorted_three(b, *ends)[1], low), b.add(arg["y"], at))

    over_numbers(b, arg["size"], name, body)


def emit_sums(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the sums, of 16 bits, of `count` rows of bytes."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        wide = ir.VectorType(ir.IntType(16), kind.count)
        total = cgutils.alloca_once_value(b, ir.Constant(wide, None))
        with cgutils.for_range(b, arg["count"]) as loop:
            row = b.add(row_at(b, arg["table"], loop.index), at)
            b.store(b.add(b.load(total), b.zext(load(b, row, kind), wide)), total)
        store(b, b.load(total), b.add(arg["y"], b.mul(at, I64(2))))

    over_numbers(b, arg["size"], "u8", body, 2)


def emit_means(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write (sum + half) multiplier / 2^(16 + shift) of `count` rows of 16 bits, in bytes."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        lanes, narrow = kind.count, ir.IntType(16)
        wide, double = ir.VectorType(narrow, lanes), ir.VectorType(ir.IntType(32), lanes)
        many = {name: splat(b, b.trunc(arg[name], narrow), lanes) for name in ("half", "multiplier", "shift")}
        total = cgutils.alloca_once_value(b, many["half"])
        with cgutils.for_range(b, arg["count"]) as loop:
            row = b.add(row_at(b, arg["table"], loop.index), b.mul(at, I64(2)))
            b.store(b.add(b.load(total), load(b, row, wide)), total)
        product = b.mul(b.zext(b.load(total), double), b.zext(many["multiplier"], double))
        high = b.trunc(b.lshr(product, ir.Constant(double, [16] * lanes)), wide)
        store(b, b.trunc(b.lshr(high, many["shift"]), kind), b.add(arg["y"], at))

    over_numbers(b, arg["size"], "u8", body, 2)


def emit_wide_means(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write the sum of `count` rows of 16 bits, which may have 24, divided by `pixels` and rounded, in bytes."""

    def body(at: ir.Value, kind: ir.Type) -> None:
        narrow, wide, single = (
            ir.VectorType(element, kind.count) for element in (ir.IntType(16), ir.IntType(32), ir.FloatType())
        )
        one, half = (ir.Constant(ir.FloatType(), number) for number in (1.0, 0.5))
        total = cgutils.alloca_once_value(b, ir.Constant(wide, None))
        with cgutils.for_range(b, arg["count"]) as loop:
            row = b.add(row_at(b, arg["table"], loop.index), b.mul(at, I64(2)))
            b.store(b.add(b.load(total), b.zext(load(b, row, narrow), wide)), total)
        scale = b.fdiv(one, b.sitofp(arg["pixels"], ir.FloatType()))
        mean = b.fmul(b.sitofp(b.load(total), single), splat(b, scale, kind.count))
        rounded = b.fptosi(b.fadd(mean, splat(b, half, kind.count)), wide)
        store(b, b.trunc(rounded, kind), b.add(arg["y"], at))

    over_numbers(b, arg["size"], "u8", body)


def splat(b: ir.IRBuilder, value: ir.Value, lanes: int) -> ir.Value:
    """Return a vector with one value in every lane."""
    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = b.insert_element(undefined, value, ir.IntType(32)(0))
    return b.shuffle_vector(first, undefined, ir.Constant(ir.VectorType(ir.IntType(32), lanes), None))


sums_of_rows = llvm_functions.function("sums_of_rows", ["y", "table", "count", "size"], emit_sums)
means_of_rows = llvm_functions.function(
    "means_of_rows", ["y", "table", "count", "size", "half", "multiplier", "shift"], emit_means
)
wide_means_of_rows = llvm_functions.function(
    "wide_means_of_rows", ["y", "table", "count", "size", "pixels"], emit_wide_means
)


def divisor(count: int) -> tuple[int, int] | None:
    """Return (multiplier, shift) with n // count = n multiplier >> 16 + shift for all sums of so many bytes, or None.

    The product's error is n (count multiplier - 2^(16 + shift)), which must not reach 2^(16 + shift).

    Example:
        >>> multiplier, shift = divisor(25)
        >>> all(n * multiplier >> 16 + shift == n // 25 for n in range(25 * 255 + 13))
        True
    """
    most = 255 * count + count // 2
    for shift in range(16):
        power = 1 << 16 + shift
        multiplier = -(-power // count)
        if most < 1 << 16 and multiplier < 1 << 16 and most * (count * multiplier - power) < power:
            return multiplier, shift
    return None


def extreme_of(name: str, largest: bool) -> Any:
    """Declare the extreme of rows of one kind of number; Numba code calls it with (y, table, count, size)."""
    title = f"{'largest' if largest else 'smallest'}_of_rows_{name}"
    return llvm_functions.function(
        title, ["y", "table", "count", "size"], functools.partial(emit_extreme, name, largest)
    )


def median_of(name: str, count: int) -> Any:
    """Declare the median of so many rows of one kind of number; Numba code calls it with (y, table, size)."""
    return llvm_functions.function(
        f"median_of_{count}_rows_{name}", ["y", "table", "size"], functools.partial(emit_median, name, count)
    )


smallest_u8, smallest_u16, smallest_f32 = (extreme_of(name, False) for name in ELEMENTS)
largest_u8, largest_u16, largest_f32 = (extreme_of(name, True) for name in ELEMENTS)
columns_u8, columns_u16, columns_f32 = (
    llvm_functions.function(
        f"sorted_columns_{name}", ["y", "table", "pitch", "size"], functools.partial(emit_sorted_columns, name)
    )
    for name in ELEMENTS
)
middle_u8, middle_u16, middle_f32 = (
    llvm_functions.function(
        f"middle_of_columns_{name}",
        ["y", "rows", "pitch", "step", "size"],
        functools.partial(emit_middle_of_columns, name),
    )
    for name in ELEMENTS
)
median_25_u8, median_25_u16, median_25_f32 = (median_of(name, 25) for name in ELEMENTS)


@serial
def extreme_rows(y: Any, table: Any, count: Any, size: Any, width: Any, largest: Any) -> None:
    """y[j] = the largest, or smallest, of `count` rows of `size` numbers of `width` bytes: y, table are addresses."""
    if width == 1:
        if largest:
            largest_u8(y, table, count, size)
        else:
            smallest_u8(y, table, count, size)
    elif width == 2:
        if largest:
            largest_u16(y, table, count, size)
        else:
            smallest_u16(y, table, count, size)
    elif largest:
        largest_f32(y, table, count, size)
    else:
        smallest_f32(y, table, count, size)


@serial
def median_rows(y: Any, table: Any, size: Any, width: Any) -> None:
    """y[j] = the median of 25 rows of `size` numbers of `width` bytes: y and table are addresses."""
    if width == 1:
        median_25_u8(y, table, size)
    elif width == 2:
        median_25_u16(y, table, size)
    else:
        median_25_f32(y, table, size)


@serial
def sort_columns(y: Any, table: Any, pitch: Any, size: Any, width: Any) -> None:
    """Store three rows of `size` numbers of `width` bytes, sorted number by number, at y, y + pitch, y + 2 pitch."""
    if width == 1:
        columns_u8(y, table, pitch, size)
    elif width == 2:
        columns_u16(y, table, pitch, size)
    else:
        columns_f32(y, table, pitch, size)


@serial
def median_of_columns(y: Any, rows: Any, pitch: Any, step: Any, size: Any, width: Any) -> None:
    """y[j] = the median of three columns, `step` bytes from each other, that `sort_columns` has left at `rows`."""
    if width == 1:
        middle_u8(y, rows, pitch, step, size)
    elif width == 2:
        middle_u16(y, rows, pitch, step, size)
    else:
        middle_f32(y, rows, pitch, step, size)
