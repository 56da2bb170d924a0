"""The two ceilings of this machine, measured: multiply-adds on data in the L1 cache, and a stream from memory."""

import time
from typing import Any

import numpy as np
from numba import prange

from ..compiler.jit import compile_kernel
from .tile import ZERO, tile
from .vectors import TILE_COLUMNS, TILE_ROWS, address

DEPTH = 128  # terms of one tile: its operands stay in the first cache
STREAM = 1 << 24  # floats of each array of the stream: 64 MiB, beyond the last cache


def spin(table: Any, x: Any, y: Any, w: Any, tiles: int) -> None:
    """Run `tiles` register tiles in each of x.shape[0] independent pieces."""
    for piece in prange(x.shape[0]):
        for _ in range(tiles):
            tile(
                address(table[0]),
                address(x[piece]),
                address(table[1]),
                address(y[piece]),
                address(w[piece]),
                ZERO,
                TILE_COLUMNS,
                (1, 1, DEPTH, 0, 0, 4, 0, 0, 4 * TILE_COLUMNS),
                address(w[piece]),
                0,
            )


def triad(y: Any, a: Any, b: Any) -> None:
    """y = a + 2 b."""
    for i in prange(y.size):
        y[i] = a[i] + np.float32(2) * b[i]


def peak_gflops(threads: int = 1, seconds: float = 0.2) -> float:
    """Return GFLOP/s of the microkernel on operands in the L1 cache, with this many threads."""
    x, w = np.ones((threads, TILE_ROWS, DEPTH), np.float32), np.ones((threads, DEPTH, TILE_COLUMNS), np.float32)
    y, table = np.zeros((threads, TILE_ROWS, TILE_COLUMNS), np.float32), np.zeros((2, TILE_ROWS), np.int64)
    table[0], table[1] = np.arange(TILE_ROWS) * 4 * DEPTH, np.arange(TILE_ROWS) * 4 * TILE_COLUMNS
    run, tiles = compile_kernel(spin), 2000
    return (
        threads * tiles * 2 * TILE_ROWS * TILE_COLUMNS * DEPTH / best(lambda: run(table, x, y, w, tiles), seconds) / 1e9
    )


def bandwidth_gbs(seconds: float = 0.3) -> float:
    """Return GB/s of a triad over arrays that no cache holds: two read, one written."""
    y, a, b = (np.ones(STREAM, np.float32) for _ in range(3))
    run = compile_kernel(triad)
    return 12 * STREAM / best(lambda: run(y, a, b), seconds) / 1e9


def best(call: Any, seconds: float) -> float:
    """Return the shortest of the calls that fit into a time."""
    call()
    shortest, end = float("inf"), time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        call()
        shortest = min(shortest, time.perf_counter() - start)
    return shortest
