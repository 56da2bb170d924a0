"""A tile for few columns: the terms of a sum lie in the lanes of a vector, and are added up at its end.

    y[ytab[m] + 4k] = start[k] + sum over i < I, j < J, e < run of
                          x[xtab[m] + i*xi + j*xj + 4e] * w[k*wk + i*wi + j*wj + 4e]

The tile of tile.py has columns in its lanes; where a convolution has three filters, thirteen of sixteen lanes would be
idle.  Here every lane multiplies, as long as a run of neighbouring numbers fills vectors.  Written as LLVM IR for the
same reason as the tile.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

from ..compiler.jit import serial
from .vectors import BYTES, I32, I64, LANES, TILE_ROWS, Shape, Vectors, address, vector_function

MOST = 3 if LANES == 16 else 2  # columns of one tile: their sums fill the registers
PARAMETERS = ["xtab", "x", "ytab", "y", "w", "start", "I", "J", "run", "xi", "xj", "wi", "wj", "wk"]


def lanes_sum(b: ir.IRBuilder, total: ir.Value, lanes: int) -> ir.Value:
    """Return the sum of a vector's lanes, halves added to halves."""
    while lanes > 1:
        lanes //= 2
        halves = [ir.Constant(ir.VectorType(I32, lanes), list(range(n, n + lanes))) for n in (0, lanes)]
        total = b.fadd(*[b.shuffle_vector(total, total, half) for half in halves])
    return b.extract_element(total, I32(0))


def emitter(columns: int) -> Callable[[ir.IRBuilder, dict[str, ir.Value], Shape], None]:
    """Return the writer of the tile of TILE_ROWS rows and so many columns."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        v, grid = Vectors(b, shape), [(m, k) for m in range(TILE_ROWS) for k in range(columns)]
        tables = {n: b.inttoptr(arg[n], I64.as_pointer()) for n in ("xtab", "ytab")}
        rows = [b.add(arg["x"], b.load(b.gep(tables["xtab"], [I64(m)]))) for m in range(TILE_ROWS)]
        sums = {place: cgutils.alloca_once_value(b, v.zero) for place in grid}

        def step(at: ir.Value, w: ir.Value, mask: ir.Value | None) -> None:
            weights = [v.load(b.add(w, b.mul(arg["wk"], I64(k)))) for k in range(columns)]
            for m, row in enumerate(rows):
                numbers = v.load(b.add(row, at), mask)
                for k, weight in enumerate(weights):
                    b.store(v.multiply_add(numbers, weight, b.load(sums[m, k])), sums[m, k])

        whole = b.sdiv(arg["run"], I64(v.lanes))
        done = b.mul(whole, I64(v.item * v.lanes))
        left = b.sub(arg["run"], b.mul(whole, I64(v.lanes)))
        with cgutils.for_range(b, arg["I"]) as outer, cgutils.for_range(b, arg["J"]) as inner:
            at = b.add(b.mul(outer.index, arg["xi"]), b.mul(inner.index, arg["xj"]))
            w = b.add(arg["w"], b.add(b.mul(outer.index, arg["wi"]), b.mul(inner.index, arg["wj"])))
            with cgutils.for_range(b, whole) as loop:
                shift = b.mul(loop.index, I64(v.item * v.lanes))
                step(b.add(at, shift), b.add(w, shift), None)
            with b.if_then(b.icmp_signed(">", left, I64(0))):
                step(b.add(at, done), b.add(w, done), v.below(left))
        start = b.inttoptr(arg["start"], v.element.as_pointer())
        begin = [b.load(b.gep(start, [I64(k)])) for k in range(columns)]
        for m in range(TILE_ROWS):
            y = b.inttoptr(b.add(arg["y"], b.load(b.gep(tables["ytab"], [I64(m)]))), v.element.as_pointer())
            for k in range(columns):
                b.store(b.fadd(lanes_sum(b, b.load(sums[m, k]), v.lanes), begin[k]), b.gep(y, [I64(k)]))

    return emit


dots1, dots2, dots3 = (vector_function(f"dots_{n}", PARAMETERS, emitter(n)) for n in (1, 2, 3))


@serial
def dots(table: Any, tiles: Any, x: Any, y: Any, w: Any, start: Any, columns: Any, loops: Any, step: Any) -> None:
    """Multiply all tiles of a block of rows by `columns` columns of w, `step` bytes apart.

    loops = (I, J, run, xi, xj, wi, wj);  table: the rows' offsets from x and from y;  start: address of what a column
    begins with.
    """
    i, j, run, xi, xj, wi, wj = loops
    for t in range(tiles):
        xtab, ytab = address(table[0, t * TILE_ROWS :]), address(table[1, t * TILE_ROWS :])
        for k in range(0, columns, MOST):
            at, weights, begin = y + BYTES * k, w + k * step, start + BYTES * k
            if columns - k == 1:
                dots1(xtab, x, ytab, at, weights, begin, i, j, run, xi, xj, wi, wj, step)
            elif columns - k == 2 or MOST == 2:
                dots2(xtab, x, ytab, at, weights, begin, i, j, run, xi, xj, wi, wj, step)
            else:
                dots3(xtab, x, ytab, at, weights, begin, i, j, run, xi, xj, wi, wj, step)
