"""Softmax and logsumexp on the CPU: one row at a time, which stays in the cache.

A row of few classes is too short for vectors: `rows_to_columns` turns a strip of rows into columns for the losses.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..composites.arguments import in_order
from ..dispatch import is_one_float, kernel
from ..memory import inverse_order
from .compiler.jit import serial
from .simd.elementary import exp, log
from .simd.reductions import row_max, row_product_sum, row_sum

f4 = np.float32
PARTITIONS = 64  # pieces of the rows; each row is summed by itself, so their number changes no bits


def like(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return one output of the input's shape."""
    return [x.shape]


@serial
def exponentials(y: Any, x: Any, top: Any) -> Any:
    """Write y = exp(x - top) and return their sum."""
    for j in range(x.size):
        y[j] = exp(x[j] - top)
    return row_sum(y)


@serial
def softmax_row(y: Any, x: Any) -> None:
    """y = exp(x - max x) / sum."""
    scale = f4(1.0 / exponentials(y, x, row_max(x)))
    for j in range(x.size):
        y[j] *= scale


@serial
def log_softmax_row(y: Any, x: Any) -> None:
    """y = (x - max x) - log sum exp(x - max x)."""
    top = row_max(x)
    log_total = f4(np.log(exponentials(y, x, top)))
    for j in range(x.size):
        y[j] = (x[j] - top) - log_total


@kernel(backend="numba", double="numba", rows="y x", out=like, flops=lambda x: 4 * x.size)
def softmax_rows(y: Any, x: Any) -> None:
    """y = e^(x - m) / sum e^(x - m) for each row, m = max x."""
    n = x.shape[0]
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            softmax_row(y[i], x[i])


@kernel(backend="numba", double="numba", rows="y x", out=like, flops=lambda x: 4 * x.size)
def log_softmax_rows(y: Any, x: Any) -> None:
    """y = x - m - ln sum e^(x - m) for each row, m = max x."""
    n = x.shape[0]
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            log_softmax_row(y[i], x[i])


@serial
def softmax_row_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y))."""
    mean = f4(row_product_sum(y, dy, f4(0)))
    for j in range(y.size):
        dx[j] = y[j] * (dy[j] - mean)


@serial
def log_softmax_row_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - exp(y) sum(dy)."""
    s = f4(row_sum(dy))
    for j in range(y.size):
        dx[j] = dy[j] - exp(y[j]) * s


@kernel(backend="numba", double="numba", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = y (dy - sum(dy y)) for each row."""
    n = y.shape[0]
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            softmax_row_backward(dx[i], dy[i], y[i])


@kernel(backend="numba", double="numba", rows="dx dy y", out=like, flops=lambda dy, y: 4 * y.size)
def log_softmax_rows_backward(dx: Any, dy: Any, y: Any) -> None:
    """dx = dy - e^y sum(dy) for each row."""
    n = y.shape[0]
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            log_softmax_row_backward(dx[i], dy[i], y[i])


# ------------------------------------------------------------------------- the logarithm of the sum alone

STRIP = 2048  # numbers whose exponentials are in the first cache at a time


@kernel(backend="numba", double="numba", composite=True, when=lambda x, axes: is_one_float((x,)))
def logsumexp_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Call logsumexp_rows on the lines over the axes; of no numbers it is -inf."""
    if not x.size:
        return k.full(tuple(n for i, n in enumerate(x.shape) if i not in axes), x.dtype, -np.inf)
    rows, shape, _ = lines_over(k, x, axes)
    return k.logsumexp_rows(rows).reshape(shape)


@kernel(
    backend="numba",
    double="numba",
    composite=True,
    when=lambda dy, x, y, axes: is_one_float((dy, x, y)),
)
def logsumexp_backward(k: Any, dy: Any, x: Any, y: Any, axes: tuple[int, ...]) -> Any:
    """Call logsumexp_rows_backward on the lines over the axes."""
    if not x.size:
        return k.full(x.shape, x.dtype, 0)
    rows, _, order = lines_over(k, x, axes)
    dy, y = (in_order(k, a, tuple(range(a.ndim))).reshape(-1) for a in (dy, y))
    dx = k.logsumexp_rows_backward(dy, rows, y)
    return dx.reshape([x.shape[a] for a in order]).transpose(inverse_order(order))


def lines_over(k: Any, x: Any, axes: tuple[int, ...]) -> tuple[Any, tuple[int, ...], tuple[int, ...]]:
    """Return x with a row for each place of the other axes, their lengths, and the order of axes that makes rows."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    rows = math.prod(shape)
    return in_order(k, x, (*kept, *axes)).reshape(rows, x.size // rows), shape, (*kept, *axes)


@kernel(
    backend="numba",
    double="numba",
    out=lambda x: [x.shape[:1]],
    work=lambda x: [(PARTITIONS, min(STRIP, x.shape[1]))],
    flops=lambda x: 4 * x.size,
)
def logsumexp_rows(y: Any, lines: Any, x: Any) -> None:
    """y = m + ln sum e^(x - m) for each row, m = max x, or 0 where that is infinite."""
    n, c = x.shape
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            largest, total = row_max(x[i]), 0.0
            top = largest if abs(largest) < np.inf else f4(0)
            for a in range(0, c, STRIP):
                row = x[i, a : min(a + STRIP, c)]
                total += exponentials(lines[part, : row.size], row, top)
            y[i] = np.log(total) + (largest if largest == np.inf else top)


@kernel(backend="numba", double="numba", out=lambda dy, x, y: [x.shape], flops=lambda dy, x, y: 4 * x.size)
def logsumexp_rows_backward(dx: Any, dy: Any, x: Any, y: Any) -> None:
    """dx = dy e^(x - y) for each row; e^x where y is -inf, for a row of -inf alone has gradient 0."""
    n = x.shape[0]
    for part in prange(PARTITIONS):
        for i in range(part * n // PARTITIONS, (part + 1) * n // PARTITIONS):
            row, to, g, total = x[i], dx[i], dy[i], y[i] if y[i] != -np.inf else f4(0)
            for j in range(row.size):
                to[j] = g * exp(row[j] - total)


# ---------------------------------------------------------------- short rows, as columns


@serial
def rows_to_columns(z: Any, x: Any) -> None:
    """Write rows as columns: z[j * rows + i] = x[i, j].  Of two classes LLVM makes shuffles."""
    rows, c = x.shape
    line = x.reshape(x.size)
    if c == 2:
        even, odd = z[:rows], z[rows:]
        for i in range(rows):
            even[i], odd[i] = line[2 * i], line[2 * i + 1]
    else:
        for j in range(c):
            column = z[j * rows : (j + 1) * rows]
            for i in range(rows):
                column[i] = line[i * c + j]


@serial
def columns_to_rows(x: Any, z: Any) -> None:
    """Write columns as rows: x[i, j] = z[j * rows + i]."""
    rows, c = x.shape
    line = x.reshape(x.size)
    if c == 2:
        even, odd = z[:rows], z[rows:]
        for i in range(rows):
            line[2 * i], line[2 * i + 1] = even[i], odd[i]
    else:
        for j in range(c):
            column = z[j * rows : (j + 1) * rows]
            for i in range(rows):
                line[i * c + j] = column[i]


@serial
def shift_columns(top: Any, z: Any) -> None:
    """Subtract each row's maximum, left in top, from the columns z."""
    rows = top.size
    top[:] = -np.inf
    for a in range(0, z.size, rows):
        column = z[a : a + rows]
        for i in range(rows):
            top[i] = max(top[i], column[i])
    for a in range(0, z.size, rows):
        column = z[a : a + rows]
        for i in range(rows):
            column[i] -= top[i]


@serial
def column_logs(top: Any, logs: Any, z: Any) -> None:
    """Subtract each row's maximum, left in top, from the columns z; logs = ln sum e^z of the rest."""
    rows = top.size
    shift_columns(top, z)
    logs[:] = 0
    for a in range(0, z.size, rows):
        column = z[a : a + rows]
        for i in range(rows):
            logs[i] += exp(column[i])
    for i in range(rows):
        logs[i] = log(logs[i])
