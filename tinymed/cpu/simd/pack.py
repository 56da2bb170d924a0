"""Packing: what a tile reads is laid side by side, with zeros where it extends beyond a matrix.

Written as LLVM IR: Numba's loop that copies one row of 32 numbers after the other takes several times as long.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler import llvm_functions
from ..compiler.jit import serial
from .vectors import I64, LANES, SHAPE, TILE_COLUMNS, TILE_ROWS, Vectors, address


def pair(wide: int, pitch: int) -> Callable[[ir.IRBuilder, dict[str, ir.Value]], None]:
    """Return the writer of a loop over pixels that copies two neighbouring runs of `wide` channels to two places.

    y[i] = x[i][:wide], y[i] + gap = x[i][wide : 2 wide], zeros where there are fewer than `size` channels; pixels are
    `pitch` numbers apart in y.  Both runs at once, because they lie in a cache line that may be gone soon.
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Vectors(b, SHAPE)
        every = v.below(I64(wide))
        first, second = (b.and_(every, v.below(b.sub(arg["size"], I64(n)))) for n in (0, wide))
        with cgutils.for_range(b, arg["pixels"]) as loop:
            at = b.add(arg["x"], b.mul(loop.index, arg["step"]))
            to = b.add(arg["y"], b.mul(loop.index, I64(4 * pitch)))
            v.store(v.load(at, first), to, every)
            v.store(v.load(b.add(at, I64(4 * wide)), second), b.add(to, arg["gap"]), every)

    return emit


PARAMETERS = ["x", "step", "size", "pixels", "y", "gap"]
pack_two_tiles = llvm_functions.function("pack_two_tiles", PARAMETERS, pair(TILE_ROWS, TILE_ROWS))
pack_panel = llvm_functions.function("pack_panel", PARAMETERS, pair(LANES, TILE_COLUMNS))


@serial
def pack_rows(panel: Any, rows: Any, column: Any, size: Any, first: Any, last: Any) -> None:
    """Copy rows first..last, columns column..column + size of a matrix into a panel of TILE_COLUMNS, zeros behind."""
    if first < last:
        pack_panel(
            address(rows[first:, column:]),
            4 * rows.shape[1],
            size,
            last - first,
            address(panel[first * TILE_COLUMNS :]),
            4 * LANES,
        )
