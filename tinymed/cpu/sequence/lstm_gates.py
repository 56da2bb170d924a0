"""The gates of long short-term memory on the CPU: pixel by pixel, in the loops of `recurrent`."""

from typing import Any

from numba import prange

from ...dispatch import kernel
from .recurrent import copy_row, lstm_gate_gradient, lstm_row

PARTITIONS = 64  # pieces of the pixels; each pixel is by itself, so their number changes no bits


@kernel(backend="numba", rows="h c gates sums c0")
def lstm_gates_forward(h: Any, c: Any, gates: Any, sums: Any, c0: Any) -> None:
    """c = s(f) c0 + s(i) tanh(g), h = s(o) tanh(c); i, f, g, o the quarters of sums."""
    n = c0.shape[0]
    for part in prange(PARTITIONS):
        for p in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            copy_row(gates[p], sums[p])
            lstm_row(h[p], c[p], gates[p], c0[p])


@kernel(backend="numba", rows="dsums dc0 dh dc gates c c0")
def lstm_gates_backward(dsums: Any, dc0: Any, dh: Any, dc: Any, gates: Any, c: Any, c0: Any) -> None:
    """through = dc + dh o (1 - tanh(c)^2), each gate's slope times its share; dc0 = through f."""
    n = c0.shape[0]
    for part in prange(PARTITIONS):
        for p in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            copy_row(dc0[p], dc[p])
            lstm_gate_gradient(dsums[p], dc0[p], dh[p], gates[p], c[p], c0[p])
