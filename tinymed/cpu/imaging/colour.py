"""Colours on the CPU, a pixel at a time without a branch, so that LLVM vectorises; and values one by one."""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.elementary import exp, log
from .rows import ROUND, ROUND_BITS, f4, single_or_whole

i4, i8, u4 = np.int32, np.int64, np.uint32
PIECE = 8192  # pixels of a task
DARKEST = f4(1 / 256)


@serial
def piece(task: Any, n: Any) -> Any:
    """Return (first, end) of a task's pixels."""
    first = i8(task) * PIECE
    return first, min(first + PIECE, n)


@serial
def luma_piece(y: Any, x: Any) -> None:
    """y = .299 R + .587 G + .114 B; of whole numbers rounded, in 65536ths."""
    if x.itemsize < 4:
        for i in range(y.size):
            red, green, blue = u4(x[3 * i]), u4(x[3 * i + 1]), u4(x[3 * i + 2])
            y[i] = (u4(19595) * red + u4(38470) * green + u4(7471) * blue + u4(32768)) >> u4(16)
    else:
        for i in range(y.size):
            y[i] = x[3 * i] * f4(0.299) + x[3 * i + 1] * f4(0.587) + x[3 * i + 2] * f4(0.114)


@kernel(backend="numba", when=single_or_whole)
def luma(y: Any, x: Any) -> None:
    """y = .299 R + .587 G + .114 B."""
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for task in prange((ys.size + PIECE - 1) // PIECE):
        first, end = piece(task, ys.size)
        luma_piece(ys[first:end], xs[3 * first : 3 * end])


@serial
def hsv_piece(y: Any, x: Any) -> None:
    """y = hue, saturation and value."""
    for i in range(x.size // 3):
        red, green, blue = x[3 * i], x[3 * i + 1], x[3 * i + 2]
        value = max(max(red, green), blue)
        span = (value - min(min(red, green), blue)) + f4(0) * (red + green + blue)  # NaN where one is
        scale = f4(1) / (f4(1) if span == f4(0) else span)
        above = (blue - red) * scale + f4(2) if value == green else (red - green) * scale + f4(4)
        sector = (green - blue) * scale if value == red else above
        sector = sector + f4(6) if sector < f4(0) else sector
        y[3 * i] = f4(0) if span == f4(0) else sector * f4(1 / 6)
        y[3 * i + 1] = f4(0) if value == f4(0) else span / value
        y[3 * i + 2] = value if span == span else span


@kernel(backend="numba")
def rgb_to_hsv(y: Any, x: Any) -> None:
    """y = hue, saturation and value, all 0 ... 1."""
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for task in prange((x.shape[0] + PIECE - 1) // PIECE):
        first, end = piece(task, x.shape[0])
        hsv_piece(ys[3 * first : 3 * end], xs[3 * first : 3 * end])


@serial
def density_piece(y: Any, x: Any, scratch: Any, matrix: Any, light: Any, top: Any, whole: Any) -> None:
    """y = light e^-(D matrix) in units of top: logarithms, products, exponentials, each for the whole piece."""
    n, scale = x.size, f4(1) / (top * light)
    for i in range(n):
        scratch[i] = -log(min(max(f4(x[i]) * scale, DARKEST), f4(1)))
    for i in range(n // 3):
        red, green, blue = scratch[3 * i], scratch[3 * i + 1], scratch[3 * i + 2]
        for c in range(3):
            scratch[3 * i + c] = red * matrix[0, c] + green * matrix[1, c] + blue * matrix[2, c]
    for i in range(n):
        scratch[i] = min(max(light * exp(-scratch[i]), f4(0)), f4(1)) * top
    if whole:
        for i in range(n):
            y[i] = f4(scratch[i] + ROUND).view(i4) - ROUND_BITS
    else:
        for i in range(n):
            y[i] = scratch[i]


def density_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch of each task: its densities."""
    return [(max(1, -(-x.shape[0] // PIECE)), 3 * min(PIECE, x.shape[0]))]


@kernel(backend="numba", work=density_work, when=single_or_whole)
def map_densities(y: Any, scratch: Any, x: Any, matrix: Any, light: Any, top: Any, whole: Any) -> None:
    """y = light e^-(D matrix) in units of top, clipped, D = -ln(x / top / light)."""
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for task in prange((x.shape[0] + PIECE - 1) // PIECE):
        first, end = piece(task, x.shape[0])
        pixels = slice(3 * first, 3 * end)
        density_piece(ys[pixels], xs[pixels], scratch[task], matrix, light, top, whole)


@kernel(backend="numba", flat="y x")
def linear_map(y: Any, x: Any, scale: Any, shift: Any) -> None:
    """y = scale x + shift, clipped to 0 ... 1."""
    for task in prange((x.size + PIECE - 1) // PIECE):
        first, end = piece(task, x.size)
        linear_piece(y[first:end], x[first:end], scale, shift)


@serial
def linear_piece(y: Any, x: Any, scale: Any, shift: Any) -> None:
    """y = scale x + shift, clipped."""
    for i in range(x.size):
        value = x[i] * scale + shift
        y[i] = f4(0) if value < f4(0) else f4(1) if value > f4(1) else value


@serial
def power_piece(y: Any, x: Any, exponent: Any) -> None:
    """y = x^exponent, x clipped."""
    for i in range(x.size):
        value = f4(0) if x[i] < f4(0) else f4(1) if x[i] > f4(1) else x[i]
        y[i] = exp(exponent * log(value))


@kernel(backend="numba", flat="y x")
def power_map(y: Any, x: Any, exponent: Any) -> None:
    """y = x^exponent, x clipped to 0 ... 1."""
    for task in prange((x.size + PIECE - 1) // PIECE):
        first, end = piece(task, x.size)
        power_piece(y[first:end], x[first:end], exponent)
