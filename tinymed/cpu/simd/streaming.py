"""Where memory, not arithmetic, keeps a loop waiting: reading ahead of it, and writing past the caches.

A core that reads what it multiplies from memory waits for it, prefetchers or not; what is fetched into the second-level
cache beforehand, a block at a time, arrives at the memory's full speed.  A line that is written whole past the caches
need not be read first.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .vectors import I64, LANES, SHAPE, Vectors, address

CACHE_BYTES = 1 << 22  # bytes of an array that is no longer in a cache when it is read again
LINE = 64  # bytes


def emit_read_ahead(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """Read a vector of every line; their sum is stored, or the reading would be left out."""
    v = Vectors(b, SHAPE)
    total = cgutils.alloca_once_value(b, v.zero)
    with cgutils.for_range(b, b.sdiv(arg["size"], I64(LINE))) as line:
        b.store(b.fadd(b.load(total), v.load(b.add(arg["x"], b.mul(line.index, I64(LINE))))), total)
    v.store(b.load(total), arg["unused"])


# Bytes from an address on into the caches; a vector at `unused` is overwritten.  Loads, because the processor's
# prefetch instructions, a burst of them, keep the loop behind them waiting.
read_ahead = llvm_functions.function("read_ahead", ["x", "size", "unused"], emit_read_ahead)
store_fence = llvm_functions.function(
    "store_fence", [], lambda b, _: b.fence("seq_cst")
)  # other threads see what was written


@serial
def exceeds_cache(y: Any) -> Any:
    """Whether an array is worth writing past the caches."""
    return 4 * y.size >= CACHE_BYTES


@serial
def whole_vectors(y: Any, columns: Any) -> Any:
    """Whether rows of `columns` numbers of an array lie on whole vectors."""
    return columns % LANES == 0 and address(y) % (4 * LANES) == 0
