"""Recurrences on the CPU: a few sequences at a time walk through all steps, their gates in the cache.

Sequences do not depend on each other, so a task is TILE_ROWS of them, the height of the register tile, and no thread
waits for another between two steps.  A step is one product of the states with the packed weight, which starts from
what the input gave, and then the gates, row by row, in loops that LLVM vectorises.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.recurrent import gru_gradient_shapes, gru_shapes, lstm_shapes, products, rnn_shapes
from ..arguments import all_float32
from ..compiler.jit import serial
from ..simd.elementary import sigmoid, sigmoid_and_tanh, tanh
from ..simd.tile import ACCUMULATE, sweep
from ..simd.vectors import TILE_COLUMNS, TILE_ROWS, address, ceil_div

f4 = np.float32


# ------------------------------------------------------------------------------------------- steps and products


@serial
def places(step: Any, steps: Any, reverse: Any) -> Any:
    """Return (t, before, after) of a step of the walk: the indices of the step and of the states around it."""
    if reverse:
        return steps - 1 - step, steps - step, steps - 1 - step
    return step, step, step + 1


@serial
def fill_table(table: Any, first: Any, last: Any, from_row: Any, to_row: Any) -> None:
    """Write where each row of a task lies, in bytes; the last is repeated to the height of the tile."""
    for i in range(TILE_ROWS):
        row = min(first + i, last - 1)
        table[0, i], table[1, i] = 4 * row * from_row, 4 * row * to_row


@serial
def add_product(y: Any, x: Any, packed: Any, columns: Any, depth: Any, table: Any) -> None:
    """y += x (the packed matrix), for the rows of a task; `table` says where they lie in x and y."""
    loops = (1, 1, depth, 0, 0, 4, 0, 0, 4 * TILE_COLUMNS)
    panels = ceil_div(columns, TILE_COLUMNS)
    step = 4 * TILE_COLUMNS * depth
    sweep(table, 1, address(x), address(y), address(packed), step, ACCUMULATE, columns, 0, panels, loops)


@serial
def copy_row(y: Any, x: Any) -> None:
    """y = x."""
    for j in range(y.size):
        y[j] = x[j]


@serial
def add_row(y: Any, x: Any) -> None:
    """y += x."""
    for j in range(y.size):
        y[j] += x[j]


@serial
def fill_row(y: Any, value: Any) -> None:
    """y = value."""
    for j in range(y.size):
        y[j] = value


def tables(batch: int) -> Any:
    """Return the scratch: one table of rows a task."""
    return (-(-batch // TILE_ROWS), 2, TILE_ROWS), np.int64


# --------------------------------------------------------------------------------------------------------- RNN


@kernel(backend="numba", composite=True, when=all_float32)
def rnn_forward(k: Any, x: Any, weight: Any, h0: Any, lengths: Any, reverse: Any, rectified: Any) -> Any:
    """Call rnn_walk with the weight packed."""
    return k.rnn_walk(x, k.pack_matrix(weight, True), h0, lengths, reverse, rectified)


@serial
def rnn_row(y: Any, state: Any, rectified: Any) -> None:
    """y = state = f(state)."""
    if rectified:
        for j in range(y.size):
            state[j] = f4(0) if state[j] < f4(0) else state[j]
    else:
        for j in range(y.size):
            state[j] = tanh(state[j])
    copy_row(y, state)


@kernel(
    backend="numba",
    work=lambda x, packed, h0, *_: [tables(len(h0))],
    out=rnn_shapes,
    flops=lambda x, packed, *_: products(x, packed),
)
def rnn_walk(
    y: Any,
    states: Any,
    table: Any,
    x: Any,
    packed: Any,
    h0: Any,
    lengths: Any,
    reverse: Any,
    rectified: Any,
) -> None:
    """h_t = f(x_t + h_(t-1) weight'), f = max(0, .) if rectified, else tanh."""
    steps, batch, hidden = x.shape
    start = steps if reverse else 0
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, hidden, hidden)
        for n in range(first, last):
            copy_row(states[start, n], h0[n])
        for step in range(steps):
            t, before, after = places(step, steps, reverse)
            for n in range(first, last):
                copy_row(states[after, n], x[t, n])
            add_product(states[after], states[before], packed, hidden, hidden, table[task])
            for n in range(first, last):
                if t < lengths[n]:
                    rnn_row(y[t, n], states[after, n], rectified)
                else:
                    fill_row(y[t, n], f4(0))
                    copy_row(states[after, n], states[before, n])


@kernel(backend="numba", composite=True, when=all_float32)
def rnn_backward(k: Any, dy: Any, dh: Any, states: Any, weight: Any, lengths: Any, reverse: Any, rectified: Any) -> Any:
    """Call rnn_walk_back with the weight packed."""
    return k.rnn_walk_back(dy, dh, states, k.pack_matrix(weight, False), lengths, reverse, rectified)


@serial
def rnn_row_gradient(dx: Any, dh: Any, dy: Any, h: Any, rectified: Any) -> None:
    """dx = (dy + dh) f'(h); dh = 0."""
    if rectified:
        for j in range(dx.size):
            dx[j] = (dy[j] + dh[j]) * (f4(1) if h[j] > f4(0) else h[j])
    else:
        for j in range(dx.size):
            dx[j] = (dy[j] + dh[j]) * (f4(1) - h[j] * h[j])
    fill_row(dh, f4(0))


@kernel(
    backend="numba",
    work=lambda dy, dh, *_: [tables(len(dh))],
    out=lambda dy, dh, *_: [dy.shape, dh.shape],
    flops=lambda dy, dh, states, packed, *_: products(dy, packed),
)
def rnn_walk_back(
    dx: Any,
    dh0: Any,
    table: Any,
    dy: Any,
    dh: Any,
    states: Any,
    packed: Any,
    lengths: Any,
    reverse: Any,
    rectified: Any,
) -> None:
    """dx_t = (dy_t + dh_t) f'(h_t), dh_(t-1) = dx_t weight, from the last step of the walk to the first."""
    steps, batch, hidden = dy.shape
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, hidden, hidden)
        for n in range(first, last):
            copy_row(dh0[n], dh[n])
        for step in range(steps - 1, -1, -1):
            t, _, after = places(step, steps, reverse)
            for n in range(first, last):
                if t < lengths[n]:
                    rnn_row_gradient(dx[t, n], dh0[n], dy[t, n], states[after, n], rectified)
                else:
                    fill_row(dx[t, n], f4(0))
            add_product(dh0, dx[t], packed, hidden, hidden, table[task])


# -------------------------------------------------------------------------------------------------------- LSTM


@kernel(backend="numba", composite=True, when=all_float32)
def lstm_forward(k: Any, x: Any, weight: Any, h0: Any, c0: Any, lengths: Any, reverse: Any) -> Any:
    """Call lstm_walk with the weight packed."""
    return k.lstm_walk(x, k.pack_matrix(weight, True), h0, c0, lengths, reverse)


@serial
def lstm_row(state: Any, cell: Any, gates: Any, cell_before: Any) -> None:
    """Make gates of the sums that stand in their place, then the cell and the state."""
    hidden = cell.size
    i, f, g, o = gates[:hidden], gates[hidden : 2 * hidden], gates[2 * hidden : 3 * hidden], gates[3 * hidden :]
    for j in range(hidden):  # LLVM vectorises a loop that begins at 0
        i[j], g[j] = sigmoid_and_tanh(i[j], g[j])
    for j in range(hidden):
        f[j] = sigmoid(f[j])
    for j in range(hidden):
        cell[j] = f[j] * cell_before[j] + i[j] * g[j]
    for j in range(hidden):
        o[j], bounded = sigmoid_and_tanh(o[j], cell[j])
        state[j] = o[j] * bounded


@kernel(
    backend="numba",
    work=lambda x, packed, h0, *_: [tables(len(h0))],
    out=lstm_shapes,
    flops=lambda x, packed, *_: products(x, packed),
)
def lstm_walk(
    y: Any,
    states: Any,
    cells: Any,
    gates: Any,
    table: Any,
    x: Any,
    packed: Any,
    h0: Any,
    c0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t); i, f, g, o = x_t + h_(t-1) weight'."""
    (steps, batch), hidden = x.shape[:2], h0.shape[1]
    start = steps if reverse else 0
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, hidden, 4 * hidden)
        for n in range(first, last):
            copy_row(states[start, n], h0[n])
            copy_row(cells[start, n], c0[n])
        for step in range(steps):
            t, before, after = places(step, steps, reverse)
            for n in range(first, last):
                copy_row(gates[t, n], x[t, n])
            add_product(gates[t], states[before], packed, 4 * hidden, hidden, table[task])
            for n in range(first, last):
                if t < lengths[n]:
                    lstm_row(states[after, n], cells[after, n], gates[t, n], cells[before, n])
                    copy_row(y[t, n], states[after, n])
                else:
                    fill_row(y[t, n], f4(0))
                    fill_row(gates[t, n], f4(0))
                    copy_row(states[after, n], states[before, n])
                    copy_row(cells[after, n], cells[before, n])


@kernel(backend="numba", composite=True, when=all_float32)
def lstm_backward(
    k: Any,
    dy: Any,
    dh: Any,
    dc: Any,
    gates: Any,
    cells: Any,
    weight: Any,
    lengths: Any,
    reverse: Any,
) -> Any:
    """Call lstm_walk_back with the weight packed."""
    return k.lstm_walk_back(dy, dh, dc, gates, cells, k.pack_matrix(weight, False), lengths, reverse)


@serial
def lstm_gate_gradient(dx: Any, dc: Any, dh: Any, gates: Any, cell: Any, cell_before: Any) -> None:
    """Compute the gradient of the sums from dh and dc, which becomes the gradient of the cell before.

    Short loops: LLVM vectorises one only if it can check that few arrays overlap.
    """
    hidden = dc.size
    i, f, g, o = gates[:hidden], gates[hidden : 2 * hidden], gates[2 * hidden : 3 * hidden], gates[3 * hidden :]
    di, df, dg, do = dx[:hidden], dx[hidden : 2 * hidden], dx[2 * hidden : 3 * hidden], dx[3 * hidden :]
    for j in range(hidden):
        do[j] = tanh(cell[j])
    for j in range(hidden):
        dc[j] += dh[j] * o[j] * (f4(1) - do[j] * do[j])
    for j in range(hidden):
        do[j] = dh[j] * do[j] * o[j] * (f4(1) - o[j])
    for j in range(hidden):
        di[j] = dc[j] * g[j] * i[j] * (f4(1) - i[j])
    for j in range(hidden):
        df[j] = dc[j] * cell_before[j] * f[j] * (f4(1) - f[j])
    for j in range(hidden):
        dg[j] = dc[j] * i[j] * (f4(1) - g[j] * g[j])
    for j in range(hidden):
        dc[j] *= f[j]


@kernel(
    backend="numba",
    work=lambda dy, dh, *_: [tables(len(dh))],
    out=lambda dy, dh, dc, gates, *_: [gates.shape, dh.shape, dc.shape],
    flops=lambda dy, dh, dc, gates, cells, packed, *_: products(gates, packed),
)
def lstm_walk_back(
    dx: Any,
    dh0: Any,
    dc0: Any,
    table: Any,
    dy: Any,
    dh: Any,
    dc: Any,
    gates: Any,
    cells: Any,
    packed: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """Walk from the last step to the first: the gates' gradients, then dh_(t-1) = dx_t weight."""
    steps, batch, hidden = dy.shape
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, 4 * hidden, hidden)
        for n in range(first, last):
            copy_row(dh0[n], dh[n])
            copy_row(dc0[n], dc[n])
        for step in range(steps - 1, -1, -1):
            t, before, after = places(step, steps, reverse)
            for n in range(first, last):
                if t < lengths[n]:
                    add_row(dh0[n], dy[t, n])
                    lstm_gate_gradient(dx[t, n], dc0[n], dh0[n], gates[t, n], cells[after, n], cells[before, n])
                    fill_row(dh0[n], f4(0))
                else:
                    fill_row(dx[t, n], f4(0))
            add_product(dh0, dx[t], packed, hidden, 4 * hidden, table[task])


# --------------------------------------------------------------------------------------------------------- GRU


@kernel(backend="numba", composite=True, when=all_float32)
def gru_forward(k: Any, x: Any, weight: Any, bias: Any, h0: Any, lengths: Any, reverse: Any) -> Any:
    """Call gru_walk with the weight packed."""
    return k.gru_walk(x, k.pack_matrix(weight, True), bias, h0, lengths, reverse)


@serial
def gru_row(y: Any, state: Any, gates: Any, x: Any, before: Any) -> None:
    """Make gates r, u, m, n of the recurrent sums that stand in the first three places, then the state."""
    hidden = y.size
    r, u, m, new = gates[:hidden], gates[hidden : 2 * hidden], gates[2 * hidden : 3 * hidden], gates[3 * hidden :]
    own = x[2 * hidden :]
    for j in range(2 * hidden):
        gates[j] = sigmoid(gates[j] + x[j])
    for j in range(hidden):
        new[j] = tanh(own[j] + r[j] * m[j])
    for j in range(hidden):
        state[j] = (f4(1) - u[j]) * new[j] + u[j] * before[j]
    copy_row(y, state)


@kernel(
    backend="numba",
    work=lambda x, packed, bias, h0, *_: [tables(len(h0))],
    out=gru_shapes,
    flops=lambda x, packed, *_: products(x, packed),
)
def gru_walk(
    y: Any,
    states: Any,
    gates: Any,
    table: Any,
    x: Any,
    packed: Any,
    bias: Any,
    h0: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """h_t = (1 - u) n + u h_(t-1), n = tanh(x_n + s(x_r + r) m), u = s(x_z + z); r, z, m = h_(t-1) weight' + bias."""
    (steps, batch), hidden = x.shape[:2], h0.shape[1]
    start = steps if reverse else 0
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, hidden, 4 * hidden)
        for n in range(first, last):
            copy_row(states[start, n], h0[n])
        for step in range(steps):
            t, before, after = places(step, steps, reverse)
            for n in range(first, last):
                copy_row(gates[t, n, : 3 * hidden], bias)
            add_product(gates[t], states[before], packed, 3 * hidden, hidden, table[task])
            for n in range(first, last):
                if t < lengths[n]:
                    gru_row(y[t, n], states[after, n], gates[t, n], x[t, n], states[before, n])
                else:
                    fill_row(y[t, n], f4(0))
                    fill_row(gates[t, n], f4(0))
                    copy_row(states[after, n], states[before, n])


@kernel(backend="numba", composite=True, when=all_float32)
def gru_backward(k: Any, dy: Any, dh: Any, gates: Any, states: Any, weight: Any, lengths: Any, reverse: Any) -> Any:
    """Call gru_walk_back with the weight packed."""
    return k.gru_walk_back(dy, dh, gates, states, k.pack_matrix(weight, False), lengths, reverse)


@serial
def gru_row_gradient(dx: Any, dsums: Any, dh: Any, dy: Any, gates: Any, before: Any) -> None:
    """Compute dx and dsums from dy + dh; dh becomes the part that does not go through the sums."""
    hidden = dy.size
    r, u, m, new = gates[:hidden], gates[hidden : 2 * hidden], gates[2 * hidden : 3 * hidden], gates[3 * hidden :]
    dr, du, dn, dm = dx[:hidden], dx[hidden : 2 * hidden], dx[2 * hidden :], dsums[2 * hidden :]
    add_row(dh, dy)
    for j in range(hidden):
        dn[j] = dh[j] * (f4(1) - u[j]) * (f4(1) - new[j] * new[j])
    for j in range(hidden):
        dm[j] = dn[j] * r[j]
    for j in range(hidden):
        dr[j] = dm[j] * m[j] * (f4(1) - r[j])
    for j in range(hidden):
        du[j] = dh[j] * (before[j] - new[j]) * u[j] * (f4(1) - u[j])
    for j in range(hidden):
        dh[j] *= u[j]
    copy_row(dsums[: 2 * hidden], dx[: 2 * hidden])


@kernel(
    backend="numba",
    work=lambda dy, dh, *_: [tables(len(dh))],
    out=gru_gradient_shapes,
    flops=lambda dy, dh, gates, states, packed, *_: products(gates, packed),
)
def gru_walk_back(
    dx: Any,
    dsums: Any,
    dh0: Any,
    table: Any,
    dy: Any,
    dh: Any,
    gates: Any,
    states: Any,
    packed: Any,
    lengths: Any,
    reverse: Any,
) -> None:
    """Walk from the last step to the first: the gradients of the sums, then dh_(t-1) = dh_t u + dsums_t weight."""
    steps, batch, hidden = dy.shape
    for task in prange(table.shape[0]):
        first, last = task * TILE_ROWS, min((task + 1) * TILE_ROWS, batch)
        fill_table(table[task], first, last, 3 * hidden, hidden)
        for n in range(first, last):
            copy_row(dh0[n], dh[n])
        for step in range(steps - 1, -1, -1):
            t, before, _ = places(step, steps, reverse)
            for n in range(first, last):
                if t < lengths[n]:
                    gru_row_gradient(dx[t, n], dsums[t, n], dh0[n], dy[t, n], gates[t, n], states[before, n])
                else:
                    fill_row(dx[t, n], f4(0))
                    fill_row(dsums[t, n], f4(0))
            add_product(dh0, dsums[t], packed, hidden, 3 * hidden, table[task])
