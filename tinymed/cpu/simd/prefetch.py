"""Prefetching: what the next block reads, and writes, comes from memory while this one is multiplied.

A processor does not foresee the tiles of an image, and a matrix product leaves memory idle.  Prefetch instructions wait
for nothing, as long as they come a few at a time (for a burst of them, reads are better: streaming.py).

Written as LLVM IR, because Numba has no prefetch instruction.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .streaming import LINE
from .vectors import I32, I64, address, ceil_div

NEAR = 2  # locality, of 0 to 3: into the L2 cache


def prefetch_line(b: ir.IRBuilder, at: ir.Value, write: bool) -> None:
    """Write a prefetch of the line at an address: an instruction that waits for nothing and never fails."""
    pointer = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer, *[I32(0).type] * 3])
    instruction = cgutils.get_or_insert_function(b.module, kind, "llvm.prefetch.p0")
    b.call(instruction, [b.inttoptr(at, pointer), I32(int(write)), I32(NEAR), I32(1)])


def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Write a loop that fetches `bytes` bytes of each of `count` pixels, `step` bytes apart, to be read or written."""
    with b.if_else(b.icmp_signed("==", arg["write"], I64(1))) as branches:
        for branch, write in zip(branches, (True, False), strict=True):
            with branch, cgutils.for_range(b, arg["count"]) as pixel:
                start = b.add(arg["at"], b.mul(pixel.index, arg["step"]))
                with cgutils.for_range(b, b.sdiv(b.add(arg["bytes"], I64(LINE - 1)), I64(LINE))) as line:
                    prefetch_line(b, b.add(start, b.mul(line.index, I64(LINE))), write)


prefetch = llvm_functions.function("prefetch", ["at", "step", "bytes", "count", "write"], emit, emit)


@serial
def stream(image: Any, first: Any, last: Any, column: Any, columns: Any) -> Any:
    """Return rows first..last of images, some channels, as (address, bytes per step, bytes of one, pixels)."""
    row, pixel = image.shape[2], image.itemsize * image.shape[3]
    at, count = address(image) + first * row * pixel + image.itemsize * column, max(0, last - first) * row
    if columns == image.shape[3]:
        return at, LINE, LINE, ceil_div(count * pixel, LINE)
    return at, pixel, image.itemsize * columns, count


@serial
def fetch_part(stream: Any, part: Any, partitions: Any, write: Any) -> None:
    """Fetch one part of a stream, to be written or only read."""
    at, step, size, count = stream
    first = part * count // partitions
    prefetch(at + first * step, step, size, (part + 1) * count // partitions - first, write)
