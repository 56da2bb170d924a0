"""Packing: what a tile reads is laid side by side, with zeros where it extends beyond a matrix.

Written as LLVM IR: Numba's loop that copies one row of 32 numbers after the other takes several times as long.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .transpose import transpose
from .vectors import BYTES, I64, LANES, TILE_COLUMNS, Shape, Vectors, address, vector_function


def pair(widths: Callable[[Shape], tuple[int, int]]) -> Callable[[ir.IRBuilder, dict[str, ir.Value], Shape], None]:
    """Return the writer of a loop over pixels that copies two neighbouring runs of `wide` channels to two places.

    y[i] = x[i][:wide], y[i] + gap = x[i][wide : 2 wide], zeros where there are fewer than `size` channels; pixels are
    `pitch` numbers apart in y.  Both runs at once, because they lie in a cache line that may be gone soon.  widths: the
    processor's vectors -> (wide, pitch).
    """

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        v, (wide, pitch) = Vectors(b, shape), widths(shape)
        every = v.below(I64(wide))
        first, second = (b.and_(every, v.below(b.sub(arg["size"], I64(n)))) for n in (0, wide))
        with cgutils.for_range(b, arg["pixels"]) as loop:
            at = b.add(arg["x"], b.mul(loop.index, arg["step"]))
            to = b.add(arg["y"], b.mul(loop.index, I64(v.item * pitch)))
            v.store(v.load(at, first), to, every)
            v.store(v.load(b.add(at, I64(v.item * wide)), second), b.add(to, arg["gap"]), every)

    return emit


PARAMETERS = ["x", "step", "size", "pixels", "y", "gap"]
pack_two_tiles = vector_function("pack_two_tiles", PARAMETERS, pair(lambda shape: (shape.rows, shape.rows)))
pack_panel = vector_function("pack_panel", PARAMETERS, pair(lambda shape: (shape.lanes, shape.vectors * shape.lanes)))


@serial
def pack_rows(panel: Any, rows: Any, column: Any, size: Any, first: Any, last: Any) -> None:
    """Copy rows first..last, columns column..column + size of a matrix into a panel of TILE_COLUMNS, zeros behind."""
    if first < last:
        pack_panel(
            address(rows[first:, column:]),
            BYTES * rows.shape[1],
            size,
            last - first,
            address(panel[first * TILE_COLUMNS :]),
            BYTES * LANES,
        )


@serial
def pack_columns(panel: Any, rows: Any, row: Any, size: Any, first: Any, last: Any) -> None:
    """Do the same with a matrix that lies transposed: columns first..last of rows row..row + size."""
    for d in range(first, last):
        for j in range(size, TILE_COLUMNS):
            panel[d * TILE_COLUMNS + j] = 0
    transpose(
        address(rows[row:, first:]),
        BYTES * rows.shape[1],
        size,
        last - first,
        address(panel[first * TILE_COLUMNS :]),
        BYTES * TILE_COLUMNS,
    )
