"""Axial attention on the CPU, backward: as `axial.py`, whose scores are made again, query by query.

A first loop goes back as if the statistics of the scores were constants.  With a = weight rstd gate of a term u, mean
and n numbers of its channel, what goes through them takes from du

    a kappa (gate u - mean),  kappa = rstd^2 gate (sum ds u) / n,

so that dq, for one, loses a kappa (gate sum_j u_ij k_j - mean sum_j k_j), in which sum_j u_ij k_j is q_i times
sum_j k_j k_j' and needs no u_ij.  A second loop takes that off.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.axial_queries import (
    score_gradients,
    score_gradients_plain,
    term_gradients,
    term_gradients_plain,
    value_gradients,
    value_gradients_plain,
    weights,
    weights_plain,
)
from ..simd.vectors import address
from .axial import (
    LINES,
    absent,
    across,
    factors_of,
    fill,
    float32_alone,
    gate_of,
    head_moments,
    moment_work,
    over_positions,
    pack_lines,
    table_of,
    tasks_of,
    tiles_of,
    unpack_lines,
    window_products,
)

f4, f8 = np.float32, np.float64


def backward_work(
    dy: Any, x: Any, table: Any, gates: Any, weight: Any, mean: Any, rstd: Any, heads: Any, axis: Any, *_: Any
) -> list[Any]:
    """Return the scratch: of the moments, and of each task tiles of x, dx and dy, rows, and sums for the table."""
    tasks, side, features = tasks_of(x, heads, axis), x.shape[axis], x.shape[1] // heads
    each, half = features if table.size else features // 2, features // 4
    return [
        *moment_work(x, heads, axis),
        (tasks, 2, features, side, LINES),
        (tasks, each, side, LINES),
        (tasks, 2 * side + 4, LINES),
        (tasks, 8),
        (tasks, features, 2 * side - 1, LINES),
        ((tasks, features, 2 * side - 1), np.float64),
        ((tasks, heads, 6), np.float64),
        ((tasks, 2, half + 1, half, LINES), np.float64),
    ]


@serial
def end_values(dx: Any, x: Any, sums: Any, gate: Any) -> None:
    """sums[4] += values times their gradient before the gate, of a tile; then multiply by the gate."""
    for c in range(dx.shape[0] // 2, dx.shape[0]):
        for j in range(dx.shape[1]):
            d, v, total = dx[c, j], x[c, j], 0.0
            for at in range(LINES):
                total += f8(d[at] * v[at])
                d[at] *= gate
            sums[4] += total


@serial
def tile_gradients(dx: Any, lanes: Any, sums: Any, rows: Any, x: Any, dy: Any, table: Any, factors: Any) -> None:
    """Go back through the queries of a tile, and add to a head's lanes of the table and to its sums."""
    side, half = x.shape[1], x.shape[0] // 4
    fill(dx.reshape(dx.size), 0)
    products = rows[2 * side + 1 :]
    fill(products.reshape(products.size), 0)
    s, ds, share, z, o = address(rows), address(rows[side:]), address(rows[2 * side :]), address(x), address(dy)
    given, to = (address(table), address(factors), side, half), (address(dx), address(lanes))
    for i in range(side):
        if table.size > 0:
            weights(s, share, z, *given, i)
            score_gradients(s, ds, share, address(products), z, o, *given, i)
            term_gradients(*to, address(products), z, ds, *given, i)
            value_gradients(*to, o, s, side, half, i)
        else:
            weights_plain(s, share, z, *given, i)
            score_gradients_plain(s, ds, share, address(products), z, o, *given, i)
            term_gradients_plain(*to, address(products), z, ds, *given, i)
            value_gradients_plain(*to, o, s, side, half, i)
    sums[0] += across(products[0])
    sums[1] += across(products[1])
    sums[5] += across(products[2])
    end_values(dx, x, sums, factors[3])


@serial
def add_tasks(parts: Any) -> None:
    """Add the sums of all tasks to the first one's."""
    for task in range(1, parts.shape[0]):
        for at in range(parts.shape[1]):
            parts[0, at] += parts[task, at]


@serial
def copy_numbers(to: Any, numbers: Any) -> None:
    """Write as many numbers as there is place for."""
    for at in range(to.size):
        to[at] = numbers[at]


@serial
def end_head(total: Any, sums: Any, lanes: Any, table: Any, factors: Any) -> None:
    """Add a head's lanes to the table's gradient; sums[2, 3]: the table times them, keys' and values' positions."""
    half = lanes.shape[0] // 4
    for f in range(lanes.shape[0]):
        which = min(f // half, 2)
        scale = f8(factors[1] if which == 0 else factors[2] if which == 1 else factors[4])
        for at in range(lanes.shape[1]):
            found = across(lanes[f, at])
            total[f, at] += scale * found
            if which > 0:
                sums[1 + which] += found * f8(table[f, at])


@serial
def normalised_sum(t: Any, g: Any, heads: Any, sums: Any, mean: Any, rstd: Any, gates: Any) -> Any:
    """Return sum ds xhat of a term of a head; sum ds is what rounding leaves of 0, and of equal scores all there is."""
    return f8(rstd[t * heads + g]) * (gate_of(gates, t - 1) * sums[0, g, t] - f8(mean[t * heads + g]) * sums[0, g, 5])


@serial
def kappa(t: Any, g: Any, heads: Any, sums: Any, mean: Any, rstd: Any, gates: Any, n: Any) -> Any:
    """Return rstd (sum ds xhat) / n of a term of a head."""
    return f8(rstd[t * heads + g]) * normalised_sum(t, g, heads, sums, mean, rstd, gates) / n


@serial
def take_off(d: Any, z: Any, sums: Any, windows: Any, a: Any, b: Any, gate: Any, means: Any) -> None:
    """Take from d, of queries or keys z, what goes through the statistics of two terms: a, b are factor times kappa.

    sums: over positions, of what z is multiplied by; windows: of the table, at each position.
    """
    half = z.shape[0]
    for c in range(half):
        for i in range(z.shape[1]):
            row, total = d[c, i], sums[half, c]
            alone = b * means[1] * windows[i, half, c]
            for at in range(LINES):
                row[at] += f4(a * means[0] * total[at] + alone)
            for e in range(half):
                other, product = z[e, i], sums[min(e, c), max(e, c)]
                of_window = b * gate * windows[i, e, c]
                for at in range(LINES):
                    row[at] -= f4(f8(other[at]) * (a * product[at] + of_window))


@kernel(
    backend="numba",
    image="dx dy x",
    out=lambda dy, x, table, gates, weight, *_: [x.shape, table.shape, gates.shape, weight.shape],
    work=backward_work,
    flops=lambda dy, x, *_: 10 * x.size,
)
def axial_gradients(
    dx: Any,
    dtable: Any,
    dgates: Any,
    dweight: Any,
    gram: Any,
    pairs: Any,
    windows: Any,
    moment_tiles: Any,
    moment_sums: Any,
    moment_lanes: Any,
    tiles: Any,
    gradient_tiles: Any,
    rows: Any,
    factors: Any,
    table_lanes: Any,
    tables: Any,
    sums: Any,
    line_sums: Any,
    dy: Any,
    x: Any,
    table: Any,
    gates: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    heads: Any,
    axis: Any,
    eps: Any,
    training: Any,
) -> None:
    """Go back with constant statistics; then, training, take off what goes through them."""
    tasks, count, features, each = tiles.shape[0], tiles_of(x, axis), tiles.shape[2], gradient_tiles.shape[1]
    n = f8(x.size // x.shape[3] * gram.shape[2])
    for task in prange(tasks):
        z, d, o, row, lanes = tiles[task, 0], tiles[task, 1], gradient_tiles[task], rows[task], table_lanes[task]
        fill(tables[task].reshape(tables[task].size), 0)
        fill(sums[task].reshape(sums[task].size), 0)
        begin, end = task * heads * count // tasks, (task + 1) * heads * count // tasks
        for unit in range(begin, end):
            g, tile, f = unit // count, unit % count, factors[task]
            factors_of(f, g, heads, weight, rstd, gates)
            if tile == 0 or unit == begin:
                fill(lanes.reshape(lanes.size), 0)
            pack_lines(z, x, tile, axis, g * features)
            pack_lines(o, dy, tile, axis, g * each)
            tile_gradients(d, lanes, sums[task, g], row, z, o, table, f)
            unpack_lines(dx, d, tile, axis, g * features)
            if table.size > 0 and (tile == count - 1 or unit == end - 1):
                end_head(tables[task], sums[task, g], lanes, table, f)
    add_tasks(sums.reshape(tasks, heads * 6))
    add_tasks(tables.reshape(tasks, tables[0].size))
    if training:
        fill(windows.reshape(windows.size), 0)  # of no table: scratch may hold NaN, which times 0 is none
        if table.size > 0:
            window_products(windows, table)
        shared = moment_tiles.shape[0]
        for task in prange(shared):
            for g in range(task * heads // shared, (task + 1) * heads // shared):
                head_moments(gram, pairs, moment_tiles[task], moment_sums[task], moment_lanes[task], x, g, axis)
        for task in prange(tasks):
            z, d, over = tiles[task, 0], tiles[task, 1], line_sums[task]
            for unit in range(task * heads * count // tasks, (task + 1) * heads * count // tasks):
                g, tile, f = unit // count, unit % count, factors[task]
                factors_of(f, g, heads, weight, rstd, gates)
                known = heads, f, sums, mean, rstd, gates, n
                through_statistics(d, z, over, dx, x, windows, g, tile, axis, table.size > 0, *known)
        if table.size > 0:
            for g in range(heads):
                factors_of(factors[0], g, heads, weight, rstd, gates)
                known = heads, factors[0], sums, mean, rstd, gates, n
                table_through_statistics(tables[0], gram, table, g, *known)
    copy_numbers(dtable.reshape(dtable.size), tables[0].reshape(tables[0].size))
    for at in range(dweight.size):
        dweight[at] = normalised_sum(at // heads, at % heads, heads, sums, mean, rstd, gates)
    if gates.size > 0:
        end_gates(dgates, sums[0], weight, rstd, heads, eps if training else -1.0)


@serial
def through_statistics(
    d: Any,
    z: Any,
    over: Any,
    dx: Any,
    x: Any,
    windows: Any,
    g: Any,
    tile: Any,
    axis: Any,
    positions: Any,
    heads: Any,
    factors: Any,
    sums: Any,
    mean: Any,
    rstd: Any,
    gates: Any,
    n: Any,
) -> None:
    """Take from dq and dk of a tile what goes through the statistics."""
    half = z.shape[0] // 4
    a = f8(factors[0]) * kappa(0, g, heads, sums, mean, rstd, gates, n)
    pack_lines(z[: 2 * half], x, tile, axis, 4 * half * g)
    pack_lines(d[: 2 * half], dx, tile, axis, 4 * half * g)
    for which in range(2):
        over_positions(over[which], z[which * half : (which + 1) * half])
    for which in range(2):
        b, middle = 0.0, 0.0
        if positions:
            b = f8(factors[1 + which]) * kappa(1 + which, g, heads, sums, mean, rstd, gates, n)
            middle = f8(mean[(1 + which) * heads + g])
        part, means = slice(which * half, (which + 1) * half), (f8(mean[g]), middle)
        take_off(d[part], z[part], over[1 - which], windows[which], a, b, gate_of(gates, which), means)
    unpack_lines(dx, d[: 2 * half], tile, axis, 4 * half * g)


@serial
def table_through_statistics(
    total: Any,
    gram: Any,
    table: Any,
    g: Any,
    heads: Any,
    factors: Any,
    sums: Any,
    mean: Any,
    rstd: Any,
    gates: Any,
    n: Any,
) -> None:
    """Take from the table's gradient what goes through the statistics of a head's terms with positions."""
    side, half = gram.shape[2], gram.shape[4]
    for which in range(2):
        scale = f8(factors[1 + which]) * kappa(1 + which, g, heads, sums, mean, rstd, gates, n)
        gate, middle = gate_of(gates, which), f8(mean[(1 + which) * heads + g])
        for i in range(side):
            for c in range(half):
                for at in range(i, i + side):
                    found = -middle * gram[which, g, i, half, c]
                    for d in range(half):
                        found += gate * f8(table[which * half + d, at]) * gram[which, g, i, d, c]
                    total[which * half + c, at] -= scale * found


@serial
def end_gates(dgates: Any, sums: Any, weight: Any, rstd: Any, heads: Any, eps: Any) -> None:
    """Write the gates' gradients: of positions of queries and keys only what eps leaves of them, if eps >= 0.

    A term that is normalised does not change with its gate but for eps: sum dz u = weight rstd (sum ds u) eps rstd^2.
    """
    for which in range(2):
        total = 0.0
        for g in range(heads):
            r = f8(rstd[(1 + which) * heads + g])
            found = f8(weight[(1 + which) * heads + g]) * r * sums[g, 1 + which]
            total += found * eps * r * r if eps >= 0 else found
        dgates[which] = total
    for which in range(2):
        total = 0.0
        for g in range(heads):
            total += sums[g, 3 + which]
        dgates[2 + which] = total


@kernel(backend="numba", composite=True, when=lambda dy, *arrays: float32_alone(*arrays))
def axial_attention_backward(k: Any, dy: Any, x: Any, table: Any, gates: Any, *rest: Any) -> Any:
    """Call axial_gradients, with empty arrays for what is None."""
    dx, dtable, dgates, dweight = k.axial_gradients(dy, x, table_of(table), *absent(gates), *rest)
    return dx, dtable.reshape(dtable.shape if table is not None else (0,)), dgates, dweight
