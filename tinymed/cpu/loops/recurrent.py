"""Recurrences: one sequence after another, each step from the state that the step before left.

A state is `states[i, n]`, one more than there are steps; `before` and `after` are its places around a step.
"""

import math

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...ops.matmul import rows
from .smooth import logistic


@njit
def places(step, steps, reverse):
    """Return (t, before, after) of a step of the walk, which goes from the last to the first in reverse."""
    t = steps - 1 - step if reverse else step
    return (t, t + 1, t) if reverse else (t, t, t + 1)


@njit
def dot(states, before, n, weight, q):
    """Return the sum over k of states[before, n, k] weight[q, k]."""
    total = 0.0
    for k in range(weight.shape[1]):
        total += states[before, n, k] * weight[q, k]
    return total


@njit
def back(dh, n, dx, t, weight):
    """dh[n, k] += sum over q of dx[t, n, q] weight[q, k]."""
    for k in range(weight.shape[1]):
        total = 0.0
        for q in range(weight.shape[0]):
            total += dx[t, n, q] * weight[q, k]
        dh[n, k] += total


@kernel(backend=LOOPS)
def rnn_forward(y, states, x, weight, h0, lengths, reverse, rectified):
    """h_t = f(x_t + h_(t-1) weight'), f = max(0, .) if rectified, else tanh."""
    for n in prange(h0.shape[0]):
        for j in range(h0.shape[1]):
            states[x.shape[0] if reverse else 0, n, j] = h0[n, j]
        for step in range(x.shape[0]):
            t, before, after = places(step, x.shape[0], reverse)
            for j in range(h0.shape[1]):
                if t < lengths[n]:
                    total = x[t, n, j] + dot(states, before, n, weight, j)
                    y[t, n, j] = (0 if total < 0 else total) if rectified else math.tanh(total)
                    states[after, n, j] = y[t, n, j]
                else:
                    y[t, n, j] = 0
                    states[after, n, j] = states[before, n, j]


@kernel(backend=LOOPS)
def rnn_backward(dx, dh0, dy, dh, states, weight, lengths, reverse, rectified):
    """dx_t = (dy_t + dh_t) f'(h_t), dh_(t-1) = dx_t weight; dh0 runs from the last state's gradient to the first's."""
    for n in prange(dh.shape[0]):
        for j in range(dh.shape[1]):
            dh0[n, j] = dh[n, j]
        for step in range(dy.shape[0] - 1, -1, -1):
            t, _, after = places(step, dy.shape[0], reverse)
            for j in range(dh.shape[1]):
                dx[t, n, j] = 0
                if t < lengths[n]:
                    h = states[after, n, j]
                    slope = (1 if h > 0 else h) if rectified else 1 - h * h
                    dx[t, n, j] = (dy[t, n, j] + dh0[n, j]) * slope
                    dh0[n, j] = 0
            if t < lengths[n]:
                back(dh0, n, dx, t, weight)


@kernel(backend=LOOPS)
def lstm_forward(y, states, cells, gates, x, weight, h0, c0, lengths, reverse):
    """c_t = s(f) c_(t-1) + s(i) tanh(g), h_t = s(o) tanh(c_t); i, f, g, o = x_t + h_(t-1) weight'."""
    hidden, start = h0.shape[1], x.shape[0] if reverse else 0
    for n in prange(h0.shape[0]):
        for j in range(hidden):
            states[start, n, j], cells[start, n, j] = h0[n, j], c0[n, j]
        for step in range(x.shape[0]):
            t, before, after = places(step, x.shape[0], reverse)
            for q in range(4 * hidden):
                gates[t, n, q] = 0
                if t < lengths[n]:
                    total = x[t, n, q] + dot(states, before, n, weight, q)
                    gates[t, n, q] = math.tanh(total) if q // hidden == 2 else logistic(total)
            for j in range(hidden):
                y[t, n, j], states[after, n, j], cells[after, n, j] = 0, states[before, n, j], cells[before, n, j]
                if t < lengths[n]:
                    kept = gates[t, n, hidden + j] * cells[before, n, j]
                    cells[after, n, j] = kept + gates[t, n, j] * gates[t, n, 2 * hidden + j]
                    y[t, n, j] = gates[t, n, 3 * hidden + j] * math.tanh(cells[after, n, j])
                    states[after, n, j] = y[t, n, j]


@kernel(backend=LOOPS)
def lstm_backward(dx, dh0, dc0, dy, dh, dc, gates, cells, weight, lengths, reverse):
    """Of x, h0 and c0, which runs from the last cell's gradient to the first's."""
    hidden = dh.shape[1]
    for n in prange(dh.shape[0]):
        for j in range(hidden):
            dh0[n, j], dc0[n, j] = dh[n, j], dc[n, j]
        for step in range(dy.shape[0] - 1, -1, -1):
            t, before, after = places(step, dy.shape[0], reverse)
            for j in range(hidden):
                i, f = gates[t, n, j], gates[t, n, hidden + j]
                g, o = gates[t, n, 2 * hidden + j], gates[t, n, 3 * hidden + j]
                dx[t, n, j] = dx[t, n, hidden + j] = dx[t, n, 2 * hidden + j] = dx[t, n, 3 * hidden + j] = 0
                if t < lengths[n]:
                    bounded, through = math.tanh(cells[after, n, j]), dy[t, n, j] + dh0[n, j]
                    dc_t = dc0[n, j] + through * o * (1 - bounded * bounded)
                    dx[t, n, j] = dc_t * g * i * (1 - i)
                    dx[t, n, hidden + j] = dc_t * cells[before, n, j] * f * (1 - f)
                    dx[t, n, 2 * hidden + j] = dc_t * i * (1 - g * g)
                    dx[t, n, 3 * hidden + j] = through * bounded * o * (1 - o)
                    dc0[n, j], dh0[n, j] = dc_t * f, 0
            if t < lengths[n]:
                back(dh0, n, dx, t, weight)


def sums_of(k, x, weight, bias):
    """Return W x_t + b of every step."""
    return k.linear_forward(rows(k, x), weight, bias).reshape(*x.shape[:2], -1)


@kernel(backend=LOOPS, composite=True)
def lstm_layer_forward(k, x, weight, bias, *rest):
    """Walk over the sums that one product made for all steps."""
    return k.lstm_forward(sums_of(k, x, weight, bias), *rest)


@kernel(backend=LOOPS, composite=True)
def lstm_layer_answer(k, x, weight, bias, recurrent, h0, c0, lengths, reverse):
    """Walk over the sums that one product made for all steps; keep the outputs and the last state and cell."""
    h0, c0 = (k.full((x.shape[1], recurrent.shape[1]), x.dtype, 0) if s is None else s for s in (h0, c0))
    lengths = k.full((x.shape[1],), np.dtype(np.int64), x.shape[0]) if lengths is None else lengths
    y, states, cells, _ = k.lstm_forward(sums_of(k, x, weight, bias), recurrent, h0, c0, lengths, reverse)
    last = 0 if reverse else x.shape[0]
    return y, k.copy(states[last]), k.copy(cells[last])


@kernel(backend=LOOPS)
def gru_forward(y, states, gates, x, weight, bias, h0, lengths, reverse):
    """h_t = (1 - u) n + u h_(t-1), n = tanh(x_n + s(x_r + r) m), u = s(x_z + z); r, z, m = h_(t-1) weight' + bias."""
    hidden = h0.shape[1]
    for n in prange(h0.shape[0]):
        for j in range(hidden):
            states[x.shape[0] if reverse else 0, n, j] = h0[n, j]
        for step in range(x.shape[0]):
            t, before, after = places(step, x.shape[0], reverse)
            for j in range(hidden):
                r = x[t, n, j] + dot(states, before, n, weight, j) + bias[j]
                u = x[t, n, hidden + j] + dot(states, before, n, weight, hidden + j) + bias[hidden + j]
                m = dot(states, before, n, weight, 2 * hidden + j) + bias[2 * hidden + j]
                r, u = logistic(r), logistic(u)
                new = math.tanh(x[t, n, 2 * hidden + j] + r * m)
                running, h = t < lengths[n], (1 - u) * new + u * states[before, n, j]
                y[t, n, j] = h if running else 0
                states[after, n, j] = h if running else states[before, n, j]
                gates[t, n, j], gates[t, n, hidden + j] = r if running else 0, u if running else 0
                gates[t, n, 2 * hidden + j], gates[t, n, 3 * hidden + j] = m if running else 0, new if running else 0


@kernel(backend=LOOPS)
def gru_backward(dx, dsums, dh0, dy, dh, gates, states, weight, lengths, reverse):
    """Of x, of the recurrent sums r, z, m, and of h0, which runs from the last state's gradient to the first's."""
    hidden = dh.shape[1]
    for n in prange(dh.shape[0]):
        for j in range(hidden):
            dh0[n, j] = dh[n, j]
        for step in range(dy.shape[0] - 1, -1, -1):
            t, before, _ = places(step, dy.shape[0], reverse)
            for q in range(3 * hidden):
                dx[t, n, q] = dsums[t, n, q] = 0
            if t < lengths[n]:
                for j in range(hidden):
                    r, u = gates[t, n, j], gates[t, n, hidden + j]
                    m, new = gates[t, n, 2 * hidden + j], gates[t, n, 3 * hidden + j]
                    through = dy[t, n, j] + dh0[n, j]
                    dn = through * (1 - u) * (1 - new * new)
                    dx[t, n, j] = dsums[t, n, j] = dn * m * r * (1 - r)
                    du = through * (states[before, n, j] - new) * u * (1 - u)
                    dx[t, n, hidden + j] = dsums[t, n, hidden + j] = du
                    dx[t, n, 2 * hidden + j], dsums[t, n, 2 * hidden + j] = dn, dn * r
                    dh0[n, j] = through * u
                back(dh0, n, dsums, t, weight)
