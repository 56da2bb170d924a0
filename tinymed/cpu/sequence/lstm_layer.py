"""A layer of long short-term memory on the CPU, the product with its input within the walk.

The sums of all steps need not be written and read again: before a step a sequence's x_t and h_(t-1) lie side by side,
so that one product with both weights, packed one below the other, gives its gates from the bias on.  Without gradients
the gates stay in the cache, and of states and cells the last ones alone are kept.
"""

from typing import Any

import numpy as np
from numba import get_num_threads, prange

from ...dispatch import kernel
from ...ops.lstm_layer import layer_flops, layer_products, layer_shapes
from ..arguments import ABSENT, all_float32
from ..compiler.jit import serial
from ..simd.pack import pack_columns
from ..simd.tile import ZERO, sweep
from ..simd.vectors import TILE_COLUMNS, TILE_ROWS, address, ceil_div
from .recurrent import copy_row, fill_row, lstm_row, places

f4 = np.float32
TILES = 2  # of a task
WHOLE = np.zeros(0, np.int64)  # stands for the lengths of whole sequences
ZEROS = np.zeros((0, 0), np.float32)  # stands for an initial state of zeros


@kernel(backend="numba", composite=True, when=all_float32)
def lstm_layer_forward(k: Any, x: Any, weight: Any, bias: Any, recurrent: Any, *rest: Any) -> Any:
    """Call lstm_layer_walk with both weights packed together."""
    return k.lstm_layer_walk(x, k.pack_below(weight, recurrent), ABSENT if bias is None else bias, *rest)


@kernel(backend="numba", composite=True, when=all_float32)
def lstm_layer_answer(
    k: Any, x: Any, weight: Any, bias: Any, recurrent: Any, h0: Any, c0: Any, lengths: Any, reverse: Any
) -> Any:
    """Call lstm_layer_run with both weights packed together."""
    packed, hidden = k.pack_below(weight, recurrent), recurrent.shape[1]
    h0, c0 = (ZEROS if state is None else state for state in (h0, c0))
    bias, lengths = ABSENT if bias is None else bias, WHOLE if lengths is None else lengths
    return k.lstm_layer_run(x, packed, bias, hidden, h0, c0, lengths, reverse)


def packed_shape(weight: Any, recurrent: Any) -> list[Any]:
    """Return the shape of two packed weights: panels of TILE_COLUMNS columns, and what one holds."""
    depth = weight.shape[1] + recurrent.shape[1]
    return [(-(-weight.shape[0] // TILE_COLUMNS), depth * TILE_COLUMNS)]


@kernel(backend="numba", out=packed_shape)
def pack_below(packed: Any, weight: Any, recurrent: Any) -> None:
    """Pack the transposes of two matrices of as many rows: of each panel the first one's terms, then the second's."""
    rows, depth = weight.shape
    for p in prange(packed.shape[0]):
        first, size = p * TILE_COLUMNS, min(TILE_COLUMNS, rows - p * TILE_COLUMNS)
        pack_columns(packed[p], weight, first, size, 0, depth)
        pack_columns(packed[p, depth * TILE_COLUMNS :], recurrent, first, size, 0, recurrent.shape[1])


@serial
def sums_of_step(gates: Any, joined: Any, packed: Any, bias: Any, columns: Any, table: Any) -> None:
    """Set gates to bias + joined (the packed weights), for the rows of a task: all of them, panel by panel."""
    depth, tiles = joined.shape[1], joined.shape[0] // TILE_ROWS
    loops = (1, 1, depth, 0, 0, 4, 0, 0, 4 * TILE_COLUMNS)
    start = address(bias) if bias.size else ZERO
    step = 4 * TILE_COLUMNS * depth
    for p in range(ceil_div(columns, TILE_COLUMNS)):
        sweep(table, tiles, address(joined), address(gates), address(packed), step, start, columns, p, p + 1, loops)


def rows_of_task(batch: int) -> int:
    """Return the sequences of a task: two tiles, between which a panel stays in L1, if each thread has as many."""
    return TILES * TILE_ROWS if batch >= TILES * TILE_ROWS * get_num_threads() else TILE_ROWS


def walk_scratch(x: Any, packed: Any, bias: Any, h0: Any, *_: Any) -> list[Any]:
    """Return the scratch: a task's tables, and x_t and h_(t-1) side by side."""
    return scratch_of(x, h0.shape[1])


def scratch_of(x: Any, hidden: int) -> list[Any]:
    """Return the scratch of the walk over a layer of so many units."""
    rows = rows_of_task(x.shape[1])
    tasks = -(-x.shape[1] // rows)
    return [((tasks, 2, rows), np.int64), ((tasks, rows, x.shape[2] + hidden), np.float32)]


def run_scratch(x: Any, packed: Any, bias: Any, hidden: int, *_: Any) -> list[Any]:
    """Return the scratch: that of the walk, and the gates and cells of one step."""
    table, joined = scratch_of(x, hidden)
    tasks, rows = joined[0][:2]
    return [table, joined, ((tasks, rows, 4 * hidden), np.float32), ((tasks, rows, hidden), np.float32)]


def run_shapes(x: Any, packed: Any, bias: Any, hidden: int, *_: Any) -> list[Any]:
    """Return the shapes of outputs, last state and last cell."""
    return [(*x.shape[:2], hidden), (x.shape[1], hidden), (x.shape[1], hidden)]


@serial
def lay_task(table: Any, first: Any, last: Any, from_row: Any, to_first: Any, to_row: Any) -> None:
    """Write where each row of a task lies, in bytes: in the scratch that is read, and in what is written."""
    for i in range(table.shape[1]):
        table[0, i], table[1, i] = 4 * i * from_row, 4 * (to_first + min(i, last - first - 1)) * to_row


@kernel(backend="numba", work=walk_scratch, out=layer_shapes, flops=layer_products)
def lstm_layer_walk(
    y: Any,
    states: Any,
    cells: Any,
    gates: Any,
    table: Any,
    joined: Any,
    x: Any,
    packed: Any,
    bias: Any,
    h0: Any,
    c0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """i, f, g, o = W x_t + b + U h_(t-1); c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t)."""
    (steps, batch, inputs), hidden, rows = x.shape, h0.shape[1], table.shape[2]
    start = steps if reverse else 0
    for task in prange(table.shape[0]):
        first, last = task * rows, min((task + 1) * rows, batch)
        side = joined[task]
        lay_task(table[task], first, last, inputs + hidden, first, 4 * hidden)
        for n in range(first, last):
            copy_row(states[start, n], h0[n])
            copy_row(cells[start, n], c0[n])
        for step in range(steps):
            t, before, after = places(step, steps, reverse)
            for i in range(rows):
                n = min(first + i, last - 1)
                copy_row(side[i, :inputs], x[t, n])
                copy_row(side[i, inputs:], states[before, n])
            sums_of_step(gates[t], side, packed, bias, 4 * hidden, table[task])
            for n in range(first, last):
                if t < lengths[n]:
                    lstm_row(states[after, n], cells[after, n], gates[t, n], cells[before, n])
                    copy_row(y[t, n], states[after, n])
                else:
                    fill_row(y[t, n], f4(0))
                    fill_row(gates[t, n], f4(0))
                    copy_row(states[after, n], states[before, n])
                    copy_row(cells[after, n], cells[before, n])


@serial
def copy_or_clear(y: Any, x: Any, n: Any) -> None:
    """y = x[n], or 0 where x is absent."""
    if x.size:
        copy_row(y, x[n])
    else:
        fill_row(y, f4(0))


@kernel(
    backend="numba", work=run_scratch, out=run_shapes, flops=lambda x, packed, bias, hidden, *_: layer_flops(x, hidden)
)
def lstm_layer_run(
    y: Any,
    h: Any,
    c: Any,
    table: Any,
    joined: Any,
    gates: Any,
    cells: Any,
    x: Any,
    packed: Any,
    bias: Any,
    hidden: Any,
    h0: Any,
    c0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """Walk as lstm_layer_walk does, and keep y and the last state and cell."""
    (steps, batch, inputs), rows = x.shape, table.shape[2]
    for task in prange(table.shape[0]):
        first, last = task * rows, min((task + 1) * rows, batch)
        side, gate, cell = joined[task], gates[task], cells[task]
        lay_task(table[task], first, last, inputs + hidden, 0, 4 * hidden)
        for n in range(first, last):
            copy_or_clear(h[n], h0, n)
            copy_or_clear(c[n], c0, n)
        for step in range(steps):
            t, _, _ = places(step, steps, reverse)
            for i in range(rows):
                n = min(first + i, last - 1)
                copy_row(side[i, :inputs], x[t, n])
                copy_row(side[i, inputs:], h[n])
            sums_of_step(gate, side, packed, bias, 4 * hidden, table[task])
            for n in range(first, last):
                if lengths.size == 0 or t < lengths[n]:
                    copy_row(cell[n - first], c[n])
                    lstm_row(h[n], c[n], gate[n - first], cell[n - first])
                    copy_row(y[t, n], h[n])
                else:
                    fill_row(y[t, n], f4(0))
