"""Axial attention, one query after the other: a row of scores, its weights, and what they weigh.

Maps come as [n, row, column, channel]; a line is (n, o), o the place along the axis that is not attended.  Of head g
the queries are channels 4 half g and on, then as many keys, then twice as many values.
"""

import math

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel


@njit
def feature(x, n, o, i, c, axis):
    """Return channel c at position i of a line."""
    return x[n, i, o, c] if axis == 2 else x[n, o, i, c]


@njit
def add(x, n, o, i, c, axis, value):
    """Add to channel c at position i of a line."""
    if axis == 2:
        x[n, i, o, c] += value
    else:
        x[n, o, i, c] += value


@njit
def clear(a):
    """Set all numbers to 0."""
    for at in range(a.size):
        a.flat[at] = 0


@njit
def add_parts(y, parts):
    """y = the sum over heads of their parts."""
    for at in range(y.size):
        y.flat[at] = 0
        for g in range(parts.shape[0]):
            y.flat[at] += parts[g].flat[at]


@njit
def lengths(x, axis):
    """Return the positions of a line, and the lines of a map."""
    return (x.shape[1], x.shape[2]) if axis == 2 else (x.shape[2], x.shape[1])


@njit
def gate(gates, which):
    """Return a gate; 1 where there are none, and of the first term (-1), which has none."""
    if gates is None:
        return 1.0
    return gates[which] if which >= 0 else 1.0


@njit
def term(t, x, table, n, o, g, i, j, half, axis):
    """Return term t of a score: q_i . k_j, q_i . r_q[i - j] or k_j . r_k[j - i]."""
    total, side = 0.0, lengths(x, axis)[0]
    for c in range(half):
        q, k = feature(x, n, o, i, 4 * half * g + c, axis), feature(x, n, o, j, (4 * g + 1) * half + c, axis)
        if t == 0:
            total += q * k
        elif table is not None:
            total += q * table[c, i - j + side - 1] if t == 1 else k * table[half + c, j - i + side - 1]
    return total


@kernel(backend=LOOPS, image="x", writes="running_mean running_var count")
def axial_statistics(
    mean,
    rstd,
    x,
    table,
    gates,
    running_mean,
    running_var,
    count,
    heads,
    axis,
    momentum,
    eps,
    corrected,
    unbiased,
):
    """Compute mean and 1 / sqrt(var + eps) of each gated term of each head, and move the running ones on."""
    (side, other), half, rate = lengths(x, axis), x.shape[3] // heads // 4, momentum
    n = x.shape[0] * other * side * side
    if count is not None:
        count.flat[0] += 1
        if corrected:
            rate = max(momentum, 1 / count.flat[0])
    for at in prange(mean.size):
        t, g = at // heads, at % heads
        middle, spread, scale = 0.0, 0.0, gate(gates, t - 1)
        for step in range(2):  # the mean, then the squares of what is away from it
            total = 0.0
            for line in range(x.shape[0] * other):
                for i in range(side):
                    for j in range(side):
                        z = scale * term(t, x, table, line // other, line % other, g, i, j, half, axis)
                        total += z if step == 0 else (z - middle) ** 2
            if step == 0:
                middle = total / n
            else:
                spread = total / n
        if running_mean is not None:
            running_mean[at] += rate * (middle - running_mean[at])
            running_var[at] += rate * (spread * (n / (n - 1) if unbiased and n > 1 else 1) - running_var[at])
        mean[at], rstd[at] = middle, 1 / math.sqrt(spread + eps)


@kernel(backend=LOOPS)
def axial_running_statistics(mean, rstd, running_mean, running_var, eps):
    """Return the running mean and 1 / sqrt(var + eps)."""
    for at in prange(mean.size):
        mean[at], rstd[at] = running_mean[at], 1 / math.sqrt(running_var[at] + eps)


@njit
def weigh(w, x, table, gates, weight, rstd, n, o, g, i, heads, axis):
    """Write a query's weights, the softmax of its scores."""
    half, top, total = x.shape[3] // heads // 4, -math.inf, 0.0
    for j in range(w.size):
        w[j] = 0
        for t in range(weight.size // heads):
            scale = weight[t * heads + g] * rstd[t * heads + g] * gate(gates, t - 1)
            w[j] += scale * term(t, x, table, n, o, g, i, j, half, axis)
        if w[j] > top or w[j] != w[j]:
            top = w[j]
    for j in range(w.size):
        w[j] = math.exp(w[j] - top)
        total += w[j]
    for j in range(w.size):
        w[j] /= total


def rows(x, table, gates, weight, rstd, heads, axis):
    """Return the scratch: a row of weights for each line."""
    return [((x.shape[0] * x.shape[5 - axis], x.shape[axis]), np.float64)]


@kernel(backend=LOOPS, image="y x", work=rows)
def axial_attention_forward(y, rows, x, table, gates, weight, rstd, heads, axis):
    """y = gate_v sum_j w v_j, beside gate_r sum_j w r_v, of each query's weights w."""
    (side, other), size = lengths(x, axis), x.shape[3] // heads // 2
    for line in prange(x.shape[0] * other):
        n, o, w = line // other, line % other, rows[line]
        for g in range(heads):
            for i in range(side):
                weigh(w, x, table, gates, weight, rstd, n, o, g, i, heads, axis)
                for c in range(size):
                    value, place = 0.0, 0.0
                    for j in range(side):
                        value += w[j] * feature(x, n, o, j, (2 * g + 1) * size + c, axis)
                        if table is not None:
                            place += w[j] * table[size + c, i - j + side - 1]
                    row = y[n, i, o] if axis == 2 else y[n, o, i]
                    if table is None:
                        row[g * size + c] = gate(gates, 3) * value
                    else:
                        row[2 * (g * size + c)], row[2 * (g * size + c) + 1] = (
                            gate(gates, 3) * value,
                            gate(gates, 2) * place,
                        )


@njit
def score_gradients(w, ds, x, dy, table, gates, n, o, g, i, heads, axis):
    """ds = w (dw - sum_j w dw) of a query, dw the gradient of its weights w."""
    side, size, middle = w.size, x.shape[3] // heads // 2, 0.0
    for j in range(side):
        ds[j] = 0
        for c in range(size):
            v, at = feature(x, n, o, j, (2 * g + 1) * size + c, axis), g * size + c
            if table is None:
                ds[j] += gate(gates, 3) * feature(dy, n, o, i, at, axis) * v
            else:
                ds[j] += gate(gates, 3) * feature(dy, n, o, i, 2 * at, axis) * v
                placed = table[size + c, i - j + side - 1]
                ds[j] += gate(gates, 2) * feature(dy, n, o, i, 2 * at + 1, axis) * placed
        middle += w[j] * ds[j]
    for j in range(side):
        ds[j] = w[j] * (ds[j] - middle)


def backward_rows(dy, x, table, gates, weight, mean, rstd, heads, axis, *_):
    """Return the scratch of each head: rows of weights and gradients, and its part of the table's and the gates'."""
    shape = (0, 0) if table is None else table.shape
    return [((heads, 2, x.shape[axis]), np.float64), ((heads, *shape), np.float64), ((heads, 4), np.float64)]


@njit
def add_terms(dx, table_sums, shares, du, dz, u, t, x, table, n, o, g, i, j, half, axis):
    """Add what the gradient of term t of a score gives to queries, keys, the table and the gate."""
    side = lengths(x, axis)[0]
    if t > 0:
        shares[t - 1] += dz * u
    for c in range(half):
        first, second = 4 * half * g + c, (4 * g + 1) * half + c
        q, k = feature(x, n, o, i, first, axis), feature(x, n, o, j, second, axis)
        if t == 0:
            add(dx, n, o, i, first, axis, du * k)
            add(dx, n, o, j, second, axis, du * q)
        elif table is not None and t == 1:
            add(dx, n, o, i, first, axis, du * table[c, i - j + side - 1])
            table_sums[c, i - j + side - 1] += du * q
        elif table is not None:
            add(dx, n, o, j, second, axis, du * table[half + c, j - i + side - 1])
            table_sums[half + c, j - i + side - 1] += du * k


@njit
def add_values(dx, table_sums, shares, w, x, dy, table, gates, n, o, g, i, j, size, axis):
    """Add what a weight gives to the values, to their positions in the table and to their gates."""
    side = lengths(x, axis)[0]
    for c in range(size):
        value, at = (2 * g + 1) * size + c, g * size + c
        found = w * feature(dy, n, o, i, at if table is None else 2 * at, axis)
        if table is not None:
            placed = w * feature(dy, n, o, i, 2 * at + 1, axis)
            table_sums[size + c, i - j + side - 1] += gate(gates, 2) * placed
            shares[2] += placed * table[size + c, i - j + side - 1]
        add(dx, n, o, j, value, axis, gate(gates, 3) * found)
        shares[3] += found * feature(x, n, o, j, value, axis)


@njit
def head_gradients(
    step, dx, table_sums, shares, dweight, rows, dy, x, table, gates, weight, mean, rstd, g, heads, axis, training
):
    """Go over a head's scores: in step 0 for dweight_t = sum ds xhat_t, in step 1 for all that needs it."""
    (side, other), half, terms = lengths(x, axis), x.shape[3] // heads // 4, weight.size // heads
    w, ds, lines = rows[0], rows[1], x.shape[0] * other
    for line in range(lines):
        n, o = line // other, line % other
        for i in range(side):
            weigh(w, x, table, gates, weight, rstd, n, o, g, i, heads, axis)
            score_gradients(w, ds, x, dy, table, gates, n, o, g, i, heads, axis)
            for j in range(side):
                for t in range(terms):
                    at, u = t * heads + g, term(t, x, table, n, o, g, i, j, half, axis)
                    xhat = (gate(gates, t - 1) * u - mean[at]) * rstd[at]
                    if step == 0:
                        dweight[at] += ds[j] * xhat
                    else:
                        dz = ds[j] - (xhat * dweight[at] / (lines * side * side) if training else 0.0)
                        dz *= weight[at] * rstd[at]
                        du = dz * gate(gates, t - 1)
                        add_terms(dx, table_sums, shares, du, dz, u, t, x, table, n, o, g, i, j, half, axis)
                if step == 1:
                    add_values(dx, table_sums, shares, w[j], x, dy, table, gates, n, o, g, i, j, 2 * half, axis)


@kernel(backend=LOOPS, image="dx dy x", work=backward_rows)
def axial_attention_backward(
    dx,
    dtable,
    dgates,
    dweight,
    rows,
    tables,
    shares,
    dy,
    x,
    table,
    gates,
    weight,
    mean,
    rstd,
    heads,
    axis,
    eps,
    training,
):
    """du_t = weight rstd gate (ds - xhat_t dweight_t / n), training, and without the second term else; see the op."""
    clear(dx)
    clear(dweight)
    for g in prange(heads):
        clear(shares[g])
        clear(tables[g])
        given = dy, x, table, gates, weight, mean, rstd, g, heads, axis, training
        for step in range(2):
            head_gradients(step, dx, tables[g], shares[g], dweight, rows[g], *given)
    if table is not None:
        add_parts(dtable, tables)
    if gates is not None:
        add_parts(dgates, shares)
