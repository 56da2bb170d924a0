"""Axial attention on the CPU: as many lines side by side as a vector has lanes, so that no sum goes across it.

Of a head and a tile of lines, queries, keys and values are packed as [feature][position][line].  A query's scores are a
row of the scratch, [position][line]: made, turned into weights and used while they lie in L1.  No square is stored.

The batch norm of the scores needs no scores.  The sums of q_i . k_j and of its square over all i, j are

    sum_c (sum_i q_ci) (sum_j k_cj)      sum_cc' (sum_i q_ci q_c'i) (sum_j k_cj k_c'j)

and those of the terms with positions follow alike from sums over the lines and over windows of the table: features
squared times positions, where the scores are positions squared.  They run in float64, in which the variance may be a
difference.  The way back through the statistics is made of the same sums: of each head it needs only sum ds u_t, so a
first kernel goes back as if the statistics were constants, and a second takes off what they add.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.axial_attention import attended
from ..arguments import ABSENT, all_float32
from ..compiler.jit import serial
from ..simd.axial_queries import output, output_plain, weights, weights_plain
from ..simd.vectors import LANES, address

f4, f8 = np.float32, np.float64
LINES = LANES  # side by side
TASKS = 16  # parts in which sums over lines are made
NO_COUNT = np.zeros(0, np.int64)  # stands for no count of updates


def float32_alone(x: Any, table: Any, gates: Any, *_: Any) -> bool:
    """Return whether the features, the table and the gates are float32 or None."""
    return all_float32(x, table, gates)


def absent(*arrays: Any) -> list[Any]:
    """Return arrays, with an empty one for each None."""
    return [ABSENT if a is None else a for a in arrays]


def table_of(table: Any) -> Any:
    """Return the table, or what stands for none."""
    return ABSENT.reshape(0, 0) if table is None else table


# --------------------------------------------------------------------------------------- lines as lanes


@serial
def tiles_of(a: Any, axis: Any) -> Any:
    """Return how many tiles of lines a map (N, H, W, C) has."""
    return (a.shape[0] * a.shape[4 - axis] + LINES - 1) // LINES


@serial
def pack_lines(z: Any, a: Any, tile: Any, axis: Any, first: Any) -> None:
    """z[c, i, line] = channel first + c of position i of a line of the map (N, H, W, C); 0 beyond the last line."""
    other = a.shape[2] if axis == 2 else a.shape[1]
    lines, size, side = a.shape[0] * other, z.shape[0], z.shape[1]
    for at in range(LINES):
        line = tile * LINES + at
        if line < lines:
            n, o = line // other, line % other
            for i in range(side):
                row = a[n, i, o] if axis == 2 else a[n, o, i]
                for c in range(size):
                    z[c, i, at] = row[first + c]
        else:
            for c in range(size):
                for i in range(side):
                    z[c, i, at] = 0


@serial
def unpack_lines(a: Any, z: Any, tile: Any, axis: Any, first: Any) -> None:
    """Undo `pack_lines`."""
    other = a.shape[2] if axis == 2 else a.shape[1]
    lines, size, side = a.shape[0] * other, z.shape[0], z.shape[1]
    for at in range(min(LINES, lines - tile * LINES)):
        line = tile * LINES + at
        n, o = line // other, line % other
        for i in range(side):
            row = a[n, i, o] if axis == 2 else a[n, o, i]
            for c in range(size):
                row[first + c] = z[c, i, at]


@serial
def fill(a: Any, value: Any) -> None:
    """Set all numbers of a vector."""
    for i in range(a.size):
        a[i] = value


@serial
def across(row: Any) -> Any:
    """Return the sum of a row of lanes."""
    total = 0.0
    for at in range(LINES):
        total += f8(row[at])
    return total


def units(x: Any, heads: int, axis: int) -> int:
    """Return how many tiles all heads have together, of an image (N, C, H, W)."""
    return int(heads * -(-(x.shape[0] * x.shape[5 - axis]) // LINES))


def tasks_of(x: Any, heads: int, axis: int) -> int:
    """Return how many tasks share them."""
    return max(1, min(TASKS, units(x, heads, axis)))


# ------------------------------------------------------------------------------------------- statistics


def moment_work(x: Any, heads: int, axis: int) -> list[Any]:
    """Return the scratch: all sums over lines and pairs; of each task a tile, its sums over positions and lines."""
    half, side = x.shape[1] // heads // 4, x.shape[axis]
    tasks = max(1, min(TASKS, heads))
    return [
        ((2, heads, side, half + 1, half), np.float64),
        ((heads, 2), np.float64),
        ((2, side, half + 1, half), np.float64),
        (tasks, half, side, LINES),
        ((tasks, 2, half + 1, half, LINES), np.float64),
        ((tasks, side, half + 1, half, LINES), np.float64),
    ]


@serial
def add_over_lines(lanes: Any, z: Any) -> None:
    """Add z_c z_c' and z_c of a tile [feature][position][line] to sums [position][row][feature][lane], c' <= c."""
    half = z.shape[0]
    for i in range(z.shape[1]):
        for c in range(half):
            one, total = z[c, i], lanes[i, half, c]
            for at in range(LINES):
                total[at] += f8(one[at])
            for d in range(c + 1):
                other, total = z[d, i], lanes[i, d, c]
                for at in range(LINES):
                    total[at] += f8(one[at]) * f8(other[at])


@serial
def over_positions(sums: Any, z: Any) -> None:
    """Set sums [row][feature][line] to those of z_c z_c' and z_c over the positions of a tile, c' <= c."""
    half = z.shape[0]
    fill(sums.reshape(sums.size), 0)
    for c in range(half):
        for i in range(z.shape[1]):
            one, total = z[c, i], sums[half, c]
            for at in range(LINES):
                total[at] += f8(one[at])
            for d in range(c + 1):
                other, total = z[d, i], sums[d, c]
                for at in range(LINES):
                    total[at] += f8(one[at]) * f8(other[at])


@serial
def end_products(gram: Any, lanes: Any) -> None:
    """Write sums over lines, [position][row][feature], from those of lanes; the half above the diagonal is there."""
    half = gram.shape[2]
    for i in range(gram.shape[0]):
        for c in range(half):
            gram[i, half, c] = across(lanes[i, half, c])
            for d in range(c + 1):
                gram[i, d, c] = gram[i, c, d] = across(lanes[i, d, c])


@serial
def pair_sums(pairs: Any, sums: Any) -> None:
    """Add a tile's sums of q . k and of its square over all pairs of positions."""
    half = sums.shape[2]
    for c in range(half):
        for at in range(LINES):
            pairs[0] += sums[0, half, c, at] * sums[1, half, c, at]
        for d in range(c + 1):
            twice = 1.0 if c == d else 2.0
            for at in range(LINES):
                pairs[1] += twice * sums[0, d, c, at] * sums[1, d, c, at]


@serial
def head_moments(gram: Any, pairs: Any, z: Any, sums: Any, lanes: Any, x: Any, g: Any, axis: Any) -> None:
    """Compute a head's sums over lines, gram[0 queries, 1 keys][head][position][feature or, last, 1][feature].

    pairs[head]: the sum of q . k and of its square.
    """
    half, tiles = z.shape[0], tiles_of(x, axis)
    pairs[g, 0] = pairs[g, 1] = 0
    for which in range(2):
        fill(lanes.reshape(lanes.size), 0)
        for tile in range(tiles):
            pack_lines(z, x, tile, axis, (4 * g + which) * half)
            add_over_lines(lanes, z)
        end_products(gram[which, g], lanes)
    for tile in range(tiles):
        for which in range(2):
            pack_lines(z, x, tile, axis, (4 * g + which) * half)
            over_positions(sums[which], z)
        pair_sums(pairs[g], sums)


@serial
def window_products(windows: Any, table: Any) -> None:
    """windows[0 queries, 1 keys][position][feature or 1][feature]: sums of r_c r_c' over the distances seen there."""
    side, half = windows.shape[1], windows.shape[3]
    for which in range(2):
        for i in range(side):
            for c in range(half):
                one, total = table[which * half + c], 0.0
                for at in range(i, i + side):
                    total += f8(one[at])
                windows[which, i, half, c] = total
                for d in range(c + 1):
                    other, total = table[which * half + d], 0.0
                    for at in range(i, i + side):
                        total += f8(one[at]) * f8(other[at])
                    windows[which, i, d, c] = windows[which, i, c, d] = total


@serial
def gate_of(gates: Any, which: Any) -> Any:
    """Return a gate; 1 where there are none, and of the first term, which has none."""
    return f8(gates[which]) if gates.size > 0 and which >= 0 else 1.0


@serial
def term_moments(t: Any, g: Any, gram: Any, pairs: Any, windows: Any) -> Any:
    """Return the sum of a term of a head and of its square, over all lines and pairs of positions."""
    if t == 0:
        return pairs[g, 0], pairs[g, 1]
    total, squares, half = 0.0, 0.0, gram.shape[4]
    for i in range(gram.shape[2]):
        for c in range(half):
            total += gram[t - 1, g, i, half, c] * windows[t - 1, i, half, c]
            for d in range(half):
                squares += gram[t - 1, g, i, d, c] * windows[t - 1, i, d, c]
    return total, squares


def score_channels(x: Any, table: Any, gates: Any, mean: Any, var: Any, count: Any, heads: int, *_: Any) -> list[Any]:
    """Return the shapes of mean and rstd."""
    return [(heads * (3 if table.size else 1),)] * 2


@kernel(
    backend="numba",
    image="x",
    flat="count",
    out=score_channels,
    work=lambda x, table, gates, mean, var, count, heads, axis, *_: moment_work(x, heads, axis),
    writes="running_mean running_var count",
    flops=lambda x, table, gates, mean, var, count, heads, *_: x.size * (2 + x.shape[1] // heads // 4),
)
def axial_score_statistics(
    mean: Any,
    rstd: Any,
    gram: Any,
    pairs: Any,
    windows: Any,
    packed: Any,
    sums: Any,
    lanes: Any,
    x: Any,
    table: Any,
    gates: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    heads: Any,
    axis: Any,
    momentum: Any,
    eps: Any,
    corrected: Any,
    unbiased: Any,
) -> None:
    """Compute mean and 1 / sqrt(var + eps) of each term of each head; the running statistics move on."""
    tasks = packed.shape[0]
    for task in prange(tasks):
        for g in range(task * heads // tasks, (task + 1) * heads // tasks):
            head_moments(gram, pairs, packed[task], sums[task], lanes[task], x, g, axis)
    if table.size > 0:
        window_products(windows, table)
    n, rate = f8(x.size // x.shape[3] * gram.shape[2]), f8(momentum)
    if count.size > 0:
        count[0] += 1
        if corrected:
            rate = max(rate, 1.0 / f8(count[0]))
    bessel = n / (n - 1.0) if unbiased and n > 1 else 1.0
    for at in range(mean.size):
        total, squares = term_moments(at // heads, at % heads, gram, pairs, windows)
        scale = gate_of(gates, at // heads - 1)
        middle = total / n
        spread = squares / n - middle * middle
        spread = scale * scale * (0.0 if spread < 0.0 else spread)
        middle *= scale
        mean[at], rstd[at] = middle, 1.0 / np.sqrt(spread + f8(eps))
        if running_mean.size > 0:
            running_mean[at] += rate * (middle - running_mean[at])
            running_var[at] += rate * (spread * bessel - running_var[at])


@kernel(backend="numba", composite=True, when=float32_alone)
def axial_statistics(
    k: Any,
    x: Any,
    table: Any,
    gates: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    heads: Any,
    axis: Any,
    momentum: Any,
    eps: Any,
    corrected: Any,
    unbiased: Any,
) -> Any:
    """Call axial_score_statistics, with empty arrays for what is None."""
    given = table_of(table), *absent(gates, running_mean, running_var), NO_COUNT if count is None else count
    return k.axial_score_statistics(x, *given, heads, axis, momentum, eps, corrected, unbiased)


@kernel(backend="numba", composite=True, when=all_float32)
def axial_running_statistics(k: Any, mean: Any, var: Any, eps: Any) -> Any:
    """Call batch_norm_map, for all but its map."""
    return k.batch_norm_map(mean, var, ABSENT, ABSENT, eps)[:2]


# ------------------------------------------------------------------------------------------- forward


@serial
def factors_of(factors: Any, g: Any, heads: Any, weight: Any, rstd: Any, gates: Any) -> None:
    """Write weight rstd gate of a head's three terms, 0 for what it has not, and the gates of values and positions."""
    factors[0] = weight[g] * rstd[g]
    factors[1] = factors[2] = 0
    for t in range(1, weight.size // heads):
        factors[t] = f8(weight[t * heads + g]) * f8(rstd[t * heads + g]) * gate_of(gates, t - 1)
    factors[3], factors[4] = gate_of(gates, 3), gate_of(gates, 2)


def forward_work(x: Any, table: Any, gates: Any, weight: Any, rstd: Any, heads: Any, axis: Any) -> list[Any]:
    """Return the scratch of each task: a tile of x, of y, a query's scores and the sum's inverse, and factors."""
    tasks, side, features = tasks_of(x, heads, axis), x.shape[axis], x.shape[1] // heads
    each = features if table.size else features // 2
    return [(tasks, features, side, LINES), (tasks, each, side, LINES), (tasks, side + 1, LINES), (tasks, 8)]


@kernel(
    backend="numba",
    image="y x",
    out=lambda x, table, *_: attended(x, table if table.size else None),
    work=forward_work,
    flops=lambda x, table, *_: 4 * x.size,
)
def axial_queries(
    y: Any,
    packed: Any,
    made: Any,
    rows: Any,
    factors: Any,
    x: Any,
    table: Any,
    gates: Any,
    weight: Any,
    rstd: Any,
    heads: Any,
    axis: Any,
) -> None:
    """Attend along lines, a head and a tile of lines after the other, query by query."""
    tasks, tiles = packed.shape[0], tiles_of(x, axis)
    features, each, side = packed.shape[1], made.shape[1], packed.shape[2]
    for task in prange(tasks):
        z, out, f = packed[task], made[task], factors[task]
        s, share = address(rows[task]), address(rows[task, side])
        for unit in range(task * heads * tiles // tasks, (task + 1) * heads * tiles // tasks):
            g, tile = unit // tiles, unit % tiles
            factors_of(f, g, heads, weight, rstd, gates)
            pack_lines(z, x, tile, axis, g * features)
            given = address(z), address(table), address(f), side, features // 4
            for i in range(side):
                if table.size > 0:
                    weights(s, share, *given, i)
                    output(address(out), s, share, *given, i)
                else:
                    weights_plain(s, share, *given, i)
                    output_plain(address(out), s, share, *given, i)
            unpack_lines(y, out, tile, axis, g * each)


@kernel(backend="numba", composite=True, when=float32_alone)
def axial_attention_forward(k: Any, x: Any, table: Any, gates: Any, *rest: Any) -> Any:
    """Call axial_queries, with empty arrays for what is None."""
    return k.axial_queries(x, table_of(table), *absent(gates), *rest)
