"""Copying short runs of two arrays in turns, as concatenation does.

Written as LLVM IR: a row of some channels is too short for the loop that LLVM makes of a copy, a call of memcpy, and
that call does not bypass the caches.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .streaming import CACHE_BYTES, store_fence, whole_vectors
from .vectors import BYTES, I64, LANES, Shape, Vectors, vector_function


def copy_runs(nontemporal: bool) -> Callable[[ir.IRBuilder, dict[str, ir.Value], Shape], None]:
    """Return the writer of a loop over rows: copy `first` numbers of x, then `second` of z, to y; steps in bytes."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        v = Vectors(b, shape)

        def copy(x: ir.Value, y: ir.Value, size: ir.Value) -> None:
            whole = b.sdiv(size, I64(v.lanes))
            with cgutils.for_range(b, whole) as loop:
                to = b.mul(loop.index, I64(v.item * v.lanes))
                (v.store_nontemporal if nontemporal else v.store)(v.load(b.add(x, to)), b.add(y, to))
            done = b.mul(whole, I64(v.lanes))
            with b.if_then(b.icmp_signed("<", done, size)):
                mask, to = v.below(b.sub(size, done)), b.mul(done, I64(v.item))
                v.store(v.load(b.add(x, to), mask), b.add(y, to), mask)

        with cgutils.for_range(b, arg["rows"]) as loop:
            x, z, y = (b.add(arg[n], b.mul(loop.index, arg[f"{n}_step"])) for n in "xzy")
            copy(x, y, arg["first"])
            copy(z, b.add(y, b.mul(arg["first"], I64(v.item))), arg["second"])

    return emit


PARAMETERS = ["rows", "first", "second", "x", "x_step", "z", "z_step", "y", "y_step"]


cached_runs, nontemporal_runs = (
    vector_function("copy_runs", PARAMETERS, copy_runs(nontemporal=False)),
    vector_function("copy_runs_nontemporal", PARAMETERS, copy_runs(nontemporal=True)),
)


@serial
def runs(
    nontemporal: Any, rows: Any, first: Any, second: Any, x: Any, x_step: Any, z: Any, z_step: Any, y: Any, y_step: Any
) -> None:
    """Copy runs of x and of z in turns; nontemporal: bypassing the caches, to whole aligned vectors."""
    if nontemporal:
        nontemporal_runs(rows, first, second, x, x_step, z, z_step, y, y_step)
        store_fence()
    else:
        cached_runs(rows, first, second, x, x_step, z, z_step, y, y_step)


@serial
def copies_nontemporally(y: Any, first: Any, width: Any) -> Any:
    """Return whether an array of rows is so large that no cache holds it, and all runs lie on whole vectors."""
    return BYTES * y.size >= 4 * CACHE_BYTES and first % LANES == 0 and whole_vectors(y, width)
