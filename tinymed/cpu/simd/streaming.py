"""Reading ahead and non-temporal (streaming) stores for memory-bound loops.

A core that reads what it multiplies from memory waits for it, prefetchers or not; what is read into the L2 cache
beforehand, a block at a time, arrives at the memory's full speed.  A line that is written whole by non-temporal stores
need not be read first.

Written as LLVM IR, because LLVM would leave out reads whose results nobody uses, and Numba has no store fence.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .vectors import BYTES, I64, LANES, Shape, Vectors, address, vector_function

CACHE_BYTES = 1 << 22  # bytes from which an array is no longer in a cache when it is read again
LINE = 64  # bytes


def emit_read_ahead(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
    """Write a loop that reads a vector of every line and stores their sum, or LLVM would leave the reads out."""
    v = Vectors(b, shape)
    total = cgutils.alloca_once_value(b, v.zero)
    with cgutils.for_range(b, b.sdiv(arg["size"], I64(LINE))) as line:
        b.store(b.fadd(b.load(total), v.load(b.add(arg["x"], b.mul(line.index, I64(LINE))))), total)
    v.store(b.load(total), arg["unused"])


# Bytes from an address on into the caches; a vector at `unused` is overwritten.  Loads, because the processor's
# prefetch instructions, a burst of them, keep the loop behind them waiting.
read_ahead = vector_function("read_ahead", ["x", "size", "unused"], emit_read_ahead)


def emit_fence(b: ir.IRBuilder, _: dict[str, ir.Value]) -> None:
    """Write a fence: other threads see what was written."""
    b.fence("seq_cst")


store_fence = llvm_functions.function("store_fence", [], emit_fence, emit_fence)


@serial
def exceeds_cache(y: Any) -> Any:
    """Return whether an array is too large for the caches, so that non-temporal stores pay."""
    return BYTES * y.size >= CACHE_BYTES


@serial
def whole_vectors(y: Any, columns: Any) -> Any:
    """Return whether rows of `columns` numbers of an array lie on whole vectors."""
    return columns % LANES == 0 and address(y) % (BYTES * LANES) == 0
