"""Padding on the CPU, with a constant or with an array's own elements: two neighbouring axes in one pass.

Axes are those of memory.  What lies before the two is one axis of planes, what lies behind them `step` numbers a pixel.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, inverse_order, is_dense
from .compiler.jit import serial

REFLECT, REPLICATE, CIRCULAR, CONSTANT = range(4)
MODES = {"reflect": REFLECT, "replicate": REPLICATE, "circular": CIRCULAR}
TASKS = 32  # pieces that few planes are cut into, about

Widths = tuple[tuple[int, int], ...]
Pass = Callable[[Any, tuple[int, int], tuple[int, int], int], Any]


@serial
def source(i: Any, n: Any, mode: Any) -> Any:
    """Return the element of n that place i shows: reflected at the ends, the last one again, or from the other end."""
    if mode == REPLICATE:
        return min(max(i, 0), n - 1)
    if mode == CIRCULAR:
        near = i + n if i < 0 else i - n if i >= n else i
        return near if 0 <= near < n else i % n
    near = -i if i < 0 else 2 * (n - 1) - i if i >= n else i
    if 0 <= near < n:
        return near
    period = max(1, 2 * (n - 1))
    return min(i % period, period - i % period) if n > 1 else 0


@serial
def copy_to(y: Any, first: Any, x: Any, start: Any, count: Any) -> None:
    """Copy a run of numbers of x to a place in y."""
    to, run = y[first : first + count], x[start : start + count]
    for i in range(count):
        to[i] = run[i]


@serial
def fill_run(y: Any, first: Any, last: Any, value: Any) -> None:
    """Fill a run of numbers."""
    to = y[first:last]
    for i in range(to.size):
        to[i] = value


@serial
def find_sources(shown: Any, left: Any, n: Any, step: Any, mode: Any) -> None:
    """Write where the pixels that the border of a row of n shows begin: those before the row, then those behind it."""
    for j in range(shown.size):
        shown[j] = source(j - left if j < left else j - left + n, n, mode) * step


@serial
def show_pixels(y: Any, first: Any, x: Any, shown: Any, step: Any) -> None:
    """Write pixels of x to a place in y."""
    for j in range(shown.size):
        if step == 1:  # a loop over one number costs as much as ten
            y[first + j] = x[shown[j]]
        else:
            copy_to(y, first + j * step, x, shown[j], step)


@serial
def pad_row(y: Any, x: Any, shown: Any, left: Any, step: Any, mode: Any, value: Any) -> None:
    """Write a row with its border; a negative width takes pixels away."""
    cut, first = max(-left, 0) * step, max(left, 0) * step
    last = first + max(0, min(x.size - cut, y.size - first))
    copy_to(y, first, x, cut, last - first)
    if mode == CONSTANT:
        fill_run(y, 0, first, value)
        fill_run(y, last, y.size, value)
    else:
        show_pixels(y, 0, x, shown[:left], step)
        show_pixels(y, last, x, shown[left:], step)


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, down, across, step, *_: [(x.shape[0], x.shape[1] + sum(down), x.shape[2] + sum(across) * step)],
    work=lambda x, down, across, *_: [((max(0, sum(across)),), np.int64)],
    flops=lambda *_: 0,
)
def pad_planes(y: Any, shown: Any, x: Any, down: Any, across: Any, step: Any, mode: Any, value: Any) -> None:
    """Pad rows and columns of planes (A, H, W step)."""
    planes, height = y.shape[0], y.shape[1]
    if mode != CONSTANT:
        find_sources(shown, across[0], x.shape[2] // step, step, mode)
    pieces = max(1, min(height, TASKS // max(1, planes)))
    for t in prange(planes * pieces):
        a, piece = t // pieces, t % pieces
        for i in range(height * piece // pieces, height * (piece + 1) // pieces):
            row = i - down[0]
            if mode != CONSTANT:
                row = source(row, x.shape[1], mode)
            if 0 <= row < x.shape[1]:
                pad_row(y[a, i], x[a, row], shown, across[0], step, mode, value)
            else:
                fill_run(y[a, i], 0, y.shape[2], value)


@serial
def add_row(dx: Any, dy: Any, shown: Any, left: Any, step: Any) -> None:
    """Add a row of dy, and its border to the pixels that it shows."""
    add_run(dx, dy[left * step : left * step + dx.size])
    add_border(dx, dy, shown, left, step)


@serial
def add_border(dx: Any, dy: Any, shown: Any, left: Any, step: Any) -> None:
    """Add the border of a row to the pixels that it shows."""
    for j in range(shown.size):
        first = j * step if j < left else j * step + dx.size
        if step == 1:
            dx[shown[j]] += dy[first]
        else:
            add_run(dx[shown[j] : shown[j] + step], dy[first : first + step])


@serial
def add_run(dx: Any, dy: Any) -> None:
    """dx += dy"""
    for i in range(dx.size):
        dx[i] += dy[i]


@kernel(
    backend="numba",
    double="numba",
    out=lambda dy, down, across, step, mode: [
        (dy.shape[0], dy.shape[1] - sum(down), dy.shape[2] - sum(across) * step),
    ],
    work=lambda dy, down, across, *_: [((sum(across),), np.int64)],
    flops=lambda dy, *_: dy.size,
)
def add_borders(dx: Any, shown: Any, dy: Any, down: Any, across: Any, step: Any, mode: Any) -> None:
    """dx = dy without the border, and each place of the border added to the element that it shows."""
    height, size, left = dx.shape[1], dx.shape[2], across[0]
    find_sources(shown, left, size // step, step, mode)
    for a in prange(dx.shape[0]):
        for i in range(height):
            copy_to(dx[a, i], 0, dy[a, down[0] + i], left * step, size)
            add_border(dx[a, i], dy[a, down[0] + i], shown, left, step)
        for i in range(dy.shape[1] - height):
            row = i if i < down[0] else i + height
            add_row(dx[a, source(row - down[0], height, mode)], dy[a, row], shown, left, step)


# ----------------------------------------------------------------------------------------------- two axes at a time


def by_pairs(k: Any, x: Any, widths: Widths, call: Pass) -> Any:
    """Call call(planes, down, across, step) for each axis with a width, for two at once where they are neighbours.

    A copy is returned if none has.
    """
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    wanted = [(int(widths[a][0]), int(widths[a][1])) for a in order]
    if not any(map(any, wanted)):
        return k.copy(x).transpose(inverse_order(order))
    i, shape = 0, list(x.shape)
    while i < len(order):
        if not any(wanted[i]):
            i += 1
            continue
        two = i + 1 < len(order) and any(wanted[i + 1])
        height, width = (shape[i], shape[i + 1]) if two else (1, shape[i])
        down, across = (wanted[i], wanted[i + 1]) if two else ((0, 0), wanted[i])
        step = math.prod(shape[i + 1 + two :])
        x = call(x.reshape(math.prod(shape[:i]), height, width * step), down, across, step)
        shape[i : i + 1 + two] = [x.shape[1], x.shape[2] // max(1, step)] if two else [x.shape[2] // max(1, step)]
        i += 1 + two
    return x.reshape(shape).transpose(inverse_order(order))


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: is_one_float((x,)))
def pad_constant(k: Any, x: Any, widths: Widths, value: Any) -> Any:
    """Call pad_planes; an empty array has nothing but its border."""
    if not x.size:
        return k.full(tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), x.dtype, value)
    return by_pairs(
        k, x, widths, lambda rows, down, across, step: k.pad_planes(rows, down, across, step, CONSTANT, float(value))
    )


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: is_one_float((x,)))
def pad_border(k: Any, x: Any, widths: Widths, mode: str) -> Any:
    """Call pad_planes."""
    if not x.size:
        return k.full(tuple(n + a + b for n, (a, b) in zip(x.shape, widths, strict=True)), x.dtype, 0)
    return by_pairs(
        k, x, widths, lambda rows, down, across, step: k.pad_planes(rows, down, across, step, MODES[mode], 0.0)
    )


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, *_: is_one_float((dy,)))
def pad_border_backward(k: Any, dy: Any, shape: Any, widths: Widths, mode: str) -> Any:
    """Call add_borders."""
    if not math.prod(shape):
        return k.full(tuple(shape), dy.dtype, 0)
    return by_pairs(
        k, dy, widths, lambda rows, down, across, step: k.add_borders(rows, down, across, step, MODES[mode])
    )
