"""Local response normalisation on the CPU: pixels are rows of channels, so a window is a run of neighbours."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .arguments import channels
from .compiler.jit import serial

f4 = np.float32
CHUNKS = 64  # pieces of work at most, each with rows of its own to sum in


def rows_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: two rows of channels for each chunk of pixels."""
    c = channels(x)
    return [(max(1, min(CHUNKS, x.size // max(1, c) // 16)), 2, c)]


@serial
def add_window(total: Any, v: Any, before: int, after: int) -> None:
    """total[c] += the sum of v[c - before] to v[c + after]: one pass over the channels for each place in the window."""
    n = total.size
    for shift in range(-before, after + 1):
        for c in range(max(0, -shift), min(n, n - shift)):
            total[c] += v[c + shift]


@serial
def energies(s: Any, square: Any, x: Any, size: int, alpha: Any, k: Any) -> None:
    """s = k + alpha / size times the sum of x^2 over each channel's window."""
    factor = alpha / f4(size)
    for c in range(x.size):
        square[c] = factor * x[c] * x[c]
        s[c] = k
    add_window(s, square, size // 2, (size - 1) // 2)


@serial
def inverse_powers(s: Any, beta: Any) -> None:
    """s^-beta in place; for 3/4, as in every paper, by square roots, which go eight at a time."""
    if beta == f4(0.75):
        for c in range(s.size):
            root = np.sqrt(s[c])
            s[c] = f4(1) / (root * np.sqrt(root))
    else:
        for c in range(s.size):
            s[c] = s[c] ** -beta


@kernel(backend="numba", rows="y x", work=rows_work)
def local_response_norm_forward(y: Any, work: Any, x: Any, size: int, alpha: Any, beta: Any, k: Any) -> None:
    """y = x s^-beta, a pixel at a time."""
    n, chunks = x.shape[0], work.shape[0]
    for t in prange(chunks):
        s, square = work[t, 0], work[t, 1]
        for i in range(t * n // chunks, (t + 1) * n // chunks):
            energies(s, square, x[i], size, alpha, k)
            inverse_powers(s, beta)
            for c in range(x.shape[1]):
                y[i, c] = x[i, c] * s[c]


@serial
def pixel_backward(dx: Any, s: Any, t: Any, dy: Any, x: Any, size: int, alpha: Any, beta: Any, k: Any) -> None:
    """Compute dx of one pixel.

    s becomes the energies, then their powers; dx holds dy x s^(-beta - 1) until it is summed.
    """
    n = x.size
    energies(s, t, x, size, alpha, k)
    for c in range(n):
        t[c] = s[c]
    inverse_powers(s, beta)
    for c in range(n):
        dx[c] = dy[c] * x[c] * s[c] / t[c]
        t[c] = f4(0)
    add_window(t, dx, (size - 1) // 2, size // 2)
    factor = f4(2) * alpha * beta / f4(size)
    for c in range(n):
        dx[c] = dy[c] * s[c] - factor * x[c] * t[c]


@kernel(backend="numba", rows="dx dy x", work=rows_work)
def local_response_norm_backward(dx: Any, work: Any, dy: Any, x: Any, size: int, alpha: Any, beta: Any, k: Any) -> None:
    """dx = dy s^-beta - 2 alpha beta / size x sum(dy x s^(-beta - 1)), a pixel at a time."""
    n, chunks = x.shape[0], work.shape[0]
    for t in prange(chunks):
        for i in range(t * n // chunks, (t + 1) * n // chunks):
            pixel_backward(dx[i], work[t, 0], work[t, 1], dy[i], x[i], size, alpha, beta, k)
