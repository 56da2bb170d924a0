"""Histograms and look-up tables on the CPU: a number at a time, in several tables so that none waits for another."""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ..compiler.jit import serial
from ..simd.byte_tables import look_up_bytes
from ..simd.vectors import address
from .rows import f4

i8 = np.int64
WAYS = 4  # tables of a task: neighbours are often equal, and a count waits for the one before it
MANY = 4096  # values from which on there are two: to clear and to add up more costs as much as the waiting
PIECE = 1 << 16  # pixels of a task, at least


def whole_values(x: Any, *_: Any) -> bool:
    """Return whether pixels are uint8 or uint16."""
    return x.dtype.char in "BH"


def count_work(x: Any, count: Any) -> list[Any]:
    """Return the scratch: tables for each task."""
    tasks = max(1, min(16, x.shape[0] // max(PIECE, 16 * count)))
    return [((tasks, WAYS if count <= MANY else 2, x.shape[1], count), np.int32)]


@serial
def clear(y: Any) -> None:
    """y = 0."""
    for v in range(y.size):
        y[v] = 0


@serial
def count_piece(tables: Any, xs: Any, c: Any) -> None:
    """Count the values of pixels of c channels, neighbours in different tables."""
    ways = tables.shape[0]
    for way in range(ways):
        for k in range(c):
            clear(tables[way, k])
    if c == 1 and ways == WAYS:
        one, two, three, four = tables[0, 0], tables[1, 0], tables[2, 0], tables[3, 0]
        last = xs.size // 4 * 4
        for i in range(0, last, 4):
            one[xs[i]] += 1
            two[xs[i + 1]] += 1
            three[xs[i + 2]] += 1
            four[xs[i + 3]] += 1
        for i in range(last, xs.size):
            one[xs[i]] += 1
    elif c == 1:
        one, two = tables[0, 0], tables[1, 0]
        last = xs.size // 2 * 2
        for i in range(0, last, 2):
            one[xs[i]] += 1
            two[xs[i + 1]] += 1
        for i in range(last, xs.size):
            one[xs[i]] += 1
    else:
        for i in range(xs.size // c):
            for k in range(c):
                tables[i & (ways - 1), k, xs[i * c + k]] += 1


@serial
def copy_counts(y: Any, counts: Any) -> None:
    """y = counts."""
    for v in range(y.size):
        y[v] = counts[v]


@serial
def add_counts(y: Any, counts: Any) -> None:
    """y += counts, in the order in which they lie."""
    for v in range(y.size):
        y[v] += counts[v]


@kernel(backend="numba", work=count_work, when=whole_values)
def count_values(y: Any, tables: Any, x: Any, count: Any) -> None:
    """y[c, v] = how often v occurs in channel c."""
    xs, n, c = x.reshape(x.size), x.shape[0], x.shape[1]
    tasks = tables.shape[0]
    for task in prange(tasks):
        t = i8(task)
        count_piece(tables[task], xs[t * n // tasks * c : (t + 1) * n // tasks * c], c)
    for k in range(c):
        copy_counts(y[k], tables[0, 0, k])
        for part in range(tasks):
            for way in range(0 if part else 1, tables.shape[1]):
                add_counts(y[k], tables[part, way, k])


@serial
def count_tile(counts: Any, plane: Any, top: Any, left: Any, height: Any, width: Any) -> None:
    """Count the values of one tile."""
    for v in range(counts.size):
        counts[v] = 0
    for i in range(top, top + height):
        row = plane[i, left : left + width]
        for j in range(width):
            counts[row[j]] += 1


@kernel(backend="numba", when=whole_values)
def count_tiles(y: Any, x: Any, tiles: Any, levels: Any) -> None:
    """y[p, r, s, v] = how often v occurs in tile r, s of plane p."""
    rows, columns = tiles
    height, width = x.shape[1] // rows, x.shape[2] // columns
    for task in prange(x.shape[0] * rows * columns):
        t = i8(task)
        p, r, s = t // (rows * columns), t // columns % rows, t % columns
        count_tile(y[p, r, s], x[p], r * height, s * width, height, width)


@serial
def look_up(y: Any, x: Any, values: Any) -> None:
    """y = values[x]."""
    for i in range(y.size):
        y[i] = values[x[i]]


@serial
def look_up_colours(y: Any, x: Any, values: Any) -> None:
    """y = three values for each of x."""
    for i in range(x.size):
        at = 3 * i8(x[i])
        y[3 * i], y[3 * i + 1], y[3 * i + 2] = values[at], values[at + 1], values[at + 2]


@kernel(backend="numba", when=whole_values)
def apply_table(y: Any, x: Any, values: Any) -> None:
    """y[i, c] = values[x[i, c or 0], c or 0]."""
    xs, ys, n, c = x.reshape(x.size), y.reshape(y.size), x.shape[0], y.shape[1]
    pieces = (n + PIECE - 1) // PIECE
    if values.shape[1] == 1:
        column = values.reshape(values.size)
        for task in prange(pieces):
            first, end = i8(task) * PIECE * c, min((i8(task) + 1) * PIECE, n) * c
            if x.itemsize == 1 and y.itemsize == 1:
                look_up_bytes(address(ys) + first, address(xs) + first, address(column), end - first)
            else:
                look_up(ys[first:end], xs[first:end], column)
    elif x.shape[1] == 1 and c == 3:
        line = values.reshape(values.size)
        for task in prange(pieces):
            first, end = i8(task) * PIECE, min((i8(task) + 1) * PIECE, n)
            look_up_colours(ys[3 * first : 3 * end], xs[first:end], line)
    else:
        for task in prange(pieces):
            for i in range(i8(task) * PIECE, min((i8(task) + 1) * PIECE, n)):
                for k in range(c):
                    y[i, k] = values[x[i, k if x.shape[1] > 1 else 0], k]


@serial
def tile_between(i: Any, side: Any, count: Any) -> Any:
    """Return the two tiles around a pixel, and the weight of the second."""
    place = f4(i) * (f4(1) / f4(side)) - f4(0.5)
    first = i8(np.floor(place))
    return max(first, 0), min(first + 1, count - 1), place - f4(first)


def blend_work(x: Any, tables: Any, *_: Any) -> list[Any]:
    """Return the scratch: for each column the offsets of its two tables and the weight of the second."""
    return [((x.shape[2], 2), np.int64), (x.shape[2],)]


@serial
def blend_row(y: Any, x: Any, above: Any, below: Any, offsets: Any, weights: Any, down: Any) -> None:
    """y = x looked up in the four tables around each pixel; above and below: the tables of two rows of tiles."""
    up = f4(1) - down
    for j in range(y.size):
        v, a, b, across = i8(x[j]), offsets[j, 0], offsets[j, 1], weights[j]
        back = f4(1) - across
        top = f4(above[a + v]) * back + f4(above[b + v]) * across
        bottom = f4(below[a + v]) * back + f4(below[b + v]) * across
        y[j] = i8(np.rint(top * up + bottom * down))


@kernel(backend="numba", work=blend_work, when=whole_values)
def blend_tables(y: Any, offsets: Any, weights: Any, x: Any, tables: Any, height: Any, width: Any) -> None:
    """y = each pixel looked up in the tables of the four tiles around it, mixed by nearness."""
    h, w, (rows, columns, levels) = x.shape[1], x.shape[2], tables.shape[1:]
    xs, ys, all_tables = x.reshape(x.size), y.reshape(y.size), tables.reshape(tables.size)
    for j in range(w):
        left, right, across = tile_between(j, width, columns)
        offsets[j, 0], offsets[j, 1], weights[j] = left * levels, right * levels, across
    for task in prange(x.shape[0] * h):
        p, i = i8(task) // h, i8(task) % h
        top, bottom, down = tile_between(i, height, rows)
        a, b, size = (p * rows + top) * columns * levels, (p * rows + bottom) * columns * levels, columns * levels
        start = (p * h + i) * w
        blend_row(
            ys[start : start + w],
            xs[start : start + w],
            all_tables[a : a + size],
            all_tables[b : b + size],
            offsets,
            weights,
            down,
        )
