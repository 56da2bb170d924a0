"""The gates of long short-term memory for each pixel: quarters of its channels."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from .smooth import logistic


@kernel(backend=LOOPS, rows="h c gates sums c0")
def lstm_gates_forward(h, c, gates, sums, c0):
    """c = s(f) c0 + s(i) tanh(g), h = s(o) tanh(c); i, f, g, o the quarters of sums."""
    width = c0.shape[1]
    for p in prange(c0.shape[0]):
        for j in range(width):
            i, f = logistic(sums[p, j]), logistic(sums[p, width + j])
            g, o = math.tanh(sums[p, 2 * width + j]), logistic(sums[p, 3 * width + j])
            c[p, j] = f * c0[p, j] + i * g
            h[p, j] = o * math.tanh(c[p, j])
            gates[p, j], gates[p, width + j] = i, f
            gates[p, 2 * width + j], gates[p, 3 * width + j] = g, o


@kernel(backend=LOOPS, rows="dsums dc0 dh dc gates c c0")
def lstm_gates_backward(dsums, dc0, dh, dc, gates, c, c0):
    """through = dc + dh o (1 - tanh(c)^2), each gate's slope times its share; dc0 = through f."""
    width = c0.shape[1]
    for p in prange(c0.shape[0]):
        for j in range(width):
            i, f = gates[p, j], gates[p, width + j]
            g, o = gates[p, 2 * width + j], gates[p, 3 * width + j]
            bounded = math.tanh(c[p, j])
            through = dc[p, j] + dh[p, j] * o * (1 - bounded * bounded)
            dsums[p, j] = through * g * i * (1 - i)
            dsums[p, width + j] = through * c0[p, j] * f * (1 - f)
            dsums[p, 2 * width + j] = through * i * (1 - g * g)
            dsums[p, 3 * width + j] = dh[p, j] * bounded * o * (1 - o)
            dc0[p, j] = through * f
