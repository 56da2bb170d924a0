"""The matrix products of Winograd's convolution: those of tile.py, for rows that are evenly spaced.

Without tables of rows a tile begins sooner, and each step of the loop prefetches a little of what comes next.  Written
as LLVM IR for the same reason as the tile: LLVM does not find the blocking in registers.
"""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .prefetch import prefetch_line
from .streaming import LINE
from .tile import Emitter
from .vectors import BYTES, I64, LANES, TILE_COLUMNS, Shape, vector_function
from .winograd_transforms import Steps

PARAMETERS = ["x", "row", "step", "w", "y", "start", "tail", "count", "groups", "next_x", "next_w", "next_y"]


class Product(Emitter):
    """Writes y[g][m][n] = start + sum_l x[(g * rows + m) * row + l * step] * w[l][n], bytes, for all groups of rows.

    w and y have TILE_COLUMNS columns.  next_x, next_w, next_y: where each step fetches half a line.
    """

    def __init__(self, b: ir.IRBuilder, shape: Shape, arg: dict[str, ir.Value]) -> None:
        super().__init__(b, shape, arg)
        self.x, self.w, self.ahead = (cgutils.alloca_once(b, I64) for _ in range(3))
        self.rows = Steps(b, arg["row"], shape.rows)
        self.columns = TILE_COLUMNS * BYTES // self.item  # of w and of y: as many as whole tiles have

    def step_once(self) -> None:
        """Write rows * vectors fused multiply-adds, and prefetches of half a line of what comes next."""
        b, x, w, ahead = self.b, *(self.b.load(at) for at in (self.x, self.w, self.ahead))
        self.body([self.rows.at(x, m) for m in range(self.shape.rows)], w)
        for name in ("next_x", "next_w", "next_y"):
            prefetch_line(b, b.add(self.arg[name], ahead), write=name == "next_y")
        b.store(b.add(x, self.arg["step"]), self.x)
        b.store(b.add(w, I64(self.item * self.columns)), self.w)
        b.store(b.add(ahead, I64(LINE // 2)), self.ahead)

    def emit(self) -> None:
        b, arg, rows = self.b, self.arg, self.shape.rows
        b.store(I64(0), self.ahead)
        with cgutils.for_range(b, arg["groups"]) as group:
            first = b.mul(group.index, I64(rows))
            y = [b.add(arg["y"], b.mul(b.add(first, I64(m)), I64(self.item * self.columns))) for m in range(rows)]
            b.store(b.add(arg["x"], b.mul(first, arg["row"])), self.x)
            b.store(arg["w"], self.w)
            self.rows.begin()
            self.begin(y)
            with cgutils.for_range(b, arg["count"]):
                self.step_once()
            for m, n in self.grid:
                self.store(b.load(self.acc[m, n]), *self.nth(y[m], n))


def emit_product(builder: ir.IRBuilder, arguments: dict[str, ir.Value], shape: Shape) -> None:
    """Write the product of this shape."""
    Product(builder, shape, arguments).emit()


whole, wide, narrow = (
    vector_function(f"product_{name}", PARAMETERS, emit_product, **kind)
    for name, kind in (("whole", {"whole": True}), ("wide", {}), ("narrow", {"vectors": 1}))
)


@serial
def product(
    x: Any,
    row: Any,
    step: Any,
    w: Any,
    y: Any,
    start: Any,
    columns: Any,
    count: Any,
    groups: Any,
    next_x: Any,
    next_w: Any,
    next_y: Any,
) -> None:
    """Run `groups` tiles of TILE_ROWS rows and 1 <= columns <= TILE_COLUMNS: see Product.  next: what is fetched."""
    if columns == TILE_COLUMNS:
        whole(x, row, step, w, y, start, LANES, count, groups, next_x, next_w, next_y)
    elif columns > LANES:
        wide(x, row, step, w, y, start, columns - LANES, count, groups, next_x, next_w, next_y)
    else:
        narrow(x, row, step, w, y, start, columns, count, groups, next_x, next_w, next_y)
