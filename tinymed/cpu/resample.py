"""Resampling on the CPU: rows of the output, or of dx, are independent; the innermost loops run over channels.

Positions are computed as in the reference, so both choose the same pixels.
"""

import functools
import math
from typing import Any

import numpy as np
from numba import njit, prange

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, inverse_order, is_dense
from ..ops.resample_cubic import lattice
from .arguments import images, volumes
from .compiler.jit import serial

f4 = np.float32


@serial
def nearest(i: Any, n: Any, step: Any, offset: Any) -> Any:
    """Return the input pixel that output pixel i takes; found in float32 for any dtype, as in PyTorch."""
    return min(int((np.float32(i) + np.float32(offset)) * np.float32(step)), n - 1)


@njit(fastmath={"nsz"}, error_model="numpy")  # contraction would round otherwise than the reference, and shift pixels
def between(i: Any, n: Any, step: Any, align_corners: Any) -> Any:
    """Return (first, second, weight of the second): the input pixels around output pixel i."""
    at = i * step if align_corners else max(0.0, (i + 0.5) * step - 0.5)
    first = min(int(at), n - 1)
    return first, min(first + 1, n - 1), f4(min(at - first, 1.0))


@kernel(backend="numba", double="numba", image="y x", when=lambda x, *_: images(x))
def upsample_nearest2d_forward(y: Any, x: Any, size: Any, steps: Any, offset: Any) -> None:
    """y[i, j] = x[nearest(i), nearest(j)]."""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        line = x[b, nearest(i, x.shape[1], steps[0], offset)]
        for j in range(w):
            column = nearest(j, x.shape[2], steps[1], offset)
            for k in range(c):
                y[b, i, j, k] = line[column, k]


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: images(x))
def upsample_nearest2d_backward(dx: Any, dy: Any, x_shape: Any, steps: Any, offset: Any) -> None:
    """dx = the sum of dy over the output pixels that took this one; each row gathers its own."""
    n, height, width, c = dx.shape
    for t in prange(n * height):
        b, row = t // height, t % height
        line = dx[b, row]
        line[:] = 0
        for i in range(dy.shape[1]):
            if nearest(i, height, steps[0], offset) == row:
                for j in range(dy.shape[2]):
                    column = nearest(j, width, steps[1], offset)
                    for k in range(c):
                        line[column, k] += dy[b, i, j, k]


@kernel(backend="numba", double="numba", image="y x", when=lambda x, *_: images(x))
def upsample_bilinear2d_forward(y: Any, x: Any, size: Any, steps: Any, align_corners: Any) -> None:
    """y = (1 - down) ((1 - along) p + along q) + down ((1 - along) r + along s), the four pixels around."""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        top, bottom, down = between(i, x.shape[1], steps[0], align_corners)
        for j in range(w):
            left, right, along = between(j, x.shape[2], steps[1], align_corners)
            p, q, r, s = x[b, top, left], x[b, top, right], x[b, bottom, left], x[b, bottom, right]
            for k in range(c):
                upper, lower = (f4(1) - along) * p[k] + along * q[k], (f4(1) - along) * r[k] + along * s[k]
                y[b, i, j, k] = (f4(1) - down) * upper + down * lower


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: images(x))
def upsample_bilinear2d_backward(dx: Any, dy: Any, x_shape: Any, steps: Any, align_corners: Any) -> None:
    """dx = the sum of dy times the weight this pixel had in each output pixel; each row gathers its own."""
    n, height, width, c = dx.shape
    for t in prange(n * height):
        b, row = t // height, t % height
        line = dx[b, row]
        line[:] = 0
        for i in range(dy.shape[1]):
            top, bottom, down = between(i, height, steps[0], align_corners)
            weight = (f4(1) - down if top == row else f4(0)) + (down if bottom == row else f4(0))
            if weight != 0:
                for j in range(dy.shape[2]):
                    left, right, along = between(j, width, steps[1], align_corners)
                    first, second = weight * (f4(1) - along), weight * along
                    for k in range(c):
                        line[left, k] += first * dy[b, i, j, k]
                    for k in range(c):
                        line[right, k] += second * dy[b, i, j, k]


# --------------------------------------------------------------------------------------------------- volumes


@kernel(backend="numba", double="numba", image="y x", when=lambda x, *_: volumes(x))
def upsample_nearest3d_forward(y: Any, x: Any, size: Any, steps: Any, offset: Any) -> None:
    """y[h, i, j] = x[nearest(h), nearest(i), nearest(j)]."""
    n, d, h, w, c = y.shape
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        line = x[b, nearest(z, x.shape[1], steps[0], offset), nearest(i, x.shape[2], steps[1], offset)]
        for j in range(w):
            column = nearest(j, x.shape[3], steps[2], offset)
            for k in range(c):
                y[b, z, i, j, k] = line[column, k]


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: volumes(x))
def upsample_nearest3d_backward(dx: Any, dy: Any, x_shape: Any, steps: Any, offset: Any) -> None:
    """dx = the sum of dy over the output voxels that took this one; each plane gathers its own."""
    n, depth, height, width, c = dx.shape
    for t in prange(n * depth):
        b, plane = t // depth, t % depth
        dx[b, plane] = 0
        for z in range(dy.shape[1]):
            if nearest(z, depth, steps[0], offset) == plane:
                for i in range(dy.shape[2]):
                    line = dx[b, plane, nearest(i, height, steps[1], offset)]
                    for j in range(dy.shape[3]):
                        column = nearest(j, width, steps[2], offset)
                        for k in range(c):
                            line[column, k] += dy[b, z, i, j, k]


@serial
def blend_rows(to: Any, p: Any, q: Any, r: Any, s: Any, down: Any, deep: Any) -> None:
    """to = (1 - deep) ((1 - down) p + down q) + deep ((1 - down) r + down s), of the numbers of a row of pixels."""
    for k in range(to.size):
        front, back = (f4(1) - down) * p[k] + down * q[k], (f4(1) - down) * r[k] + down * s[k]
        to[k] = (f4(1) - deep) * front + deep * back


@serial
def add_row(to: Any, row: Any, weight: Any) -> None:
    """to += weight row, of the numbers of a pixel, or of a row of them."""
    for k in range(to.size):
        to[k] += weight * row[k]


@serial
def touching(row: Any, start: Any, m: Any, n: Any, step: Any, align_corners: Any) -> Any:
    """Return (first, last) of the m output pixels that have input pixel `row` of n around them, none before start."""
    first = start
    while first < m and between(first, n, step, align_corners)[1] < row:
        first += 1
    last = first
    while last < m and between(last, n, step, align_corners)[0] <= row:
        last += 1
    return first, last


@serial
def share(output: Any, pixel: Any, n: Any, step: Any, align_corners: Any) -> Any:
    """Return the weight that an input pixel has in an output pixel, along an axis of n."""
    first, second, weight = between(output, n, step, align_corners)
    return (f4(1) - weight if first == pixel else f4(0)) + (weight if second == pixel else f4(0))


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    when=lambda x, *_: volumes(x),
    work=lambda x, size, *_: [(x.shape[0] * size[0] * size[1], x.shape[4], x.shape[1])],
)
def upsample_trilinear3d_forward(y: Any, rows: Any, x: Any, size: Any, steps: Any, align_corners: Any) -> None:
    """y = the four rows around, blended into one, then its pixels along the third axis."""
    n, d, h, w, c = y.shape
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        front, back, deep = between(z, x.shape[1], steps[0], align_corners)
        top, bottom, down = between(i, x.shape[2], steps[1], align_corners)
        upper, lower = x[b, front], x[b, back]
        p, q, r, s = upper[top], upper[bottom], lower[top], lower[bottom]
        row = rows[t]
        blend_rows(row.reshape(-1), p.reshape(-1), q.reshape(-1), r.reshape(-1), s.reshape(-1), down, deep)
        for j in range(w):
            left, right, along = between(j, x.shape[3], steps[2], align_corners)
            first, second, to = row[left], row[right], y[b, z, i, j]
            for k in range(c):
                to[k] = (f4(1) - along) * first[k] + along * second[k]


@kernel(
    backend="numba",
    double="numba",
    image="dx dy",
    when=lambda x, *_: volumes(x),
    work=lambda dy, x_shape, *_: [(dy.shape[0] * x_shape[2], dy.shape[4], dy.shape[1])],
)
def upsample_trilinear3d_backward(dx: Any, rows: Any, dy: Any, x_shape: Any, steps: Any, align_corners: Any) -> None:
    """dx = the sum of dy times the weight this voxel had in each output voxel; each plane gathers its own.

    The rows of dy that a row of dx had a part in are added first, then spread over its columns.
    """
    n, depth, height, width, _ = dx.shape
    d, h, w = dy.shape[1], dy.shape[2], dy.shape[3]
    for t in prange(n * depth):
        b, plane = t // depth, t % depth
        dx[b, plane] = 0
        total = rows[t]
        front, back = touching(plane, 0, d, depth, steps[0], align_corners)
        top = 0
        for row in range(height):
            top, bottom = touching(row, top, h, height, steps[1], align_corners)
            total[:] = 0
            for z in range(front, back):
                deep = share(z, plane, depth, steps[0], align_corners)
                for i in range(top, bottom):
                    add_row(
                        total.reshape(-1),
                        dy[b, z, i].reshape(-1),
                        deep * share(i, row, height, steps[1], align_corners),
                    )
            line = dx[b, plane, row]
            for j in range(w):
                left, right, along = between(j, width, steps[2], align_corners)
                add_row(line[left], total[j], f4(1) - along)
                add_row(line[right], total[j], along)


# ------------------------------------------------------------------------------------------------ wider filters


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, starts, *_: [(x.shape[0], starts.size - 1)],
    flops=lambda x, starts, pixels, _: 2 * x.shape[0] * pixels.size,
)
def sum_taps(y: Any, x: Any, starts: Any, pixels: Any, weights: Any) -> None:
    """y[l, i] = the sum of weight x[l, pixel] over the taps from starts[i] to starts[i + 1]."""
    for l in prange(x.shape[0]):
        line, to = x[l], y[l]
        for i in range(to.size):
            total = f4(0)
            for t in range(starts[i], starts[i + 1]):
                total += weights[t] * line[pixels[t]]
            to[i] = total


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, starts, *_: [(x.shape[0], starts.size - 1, x.shape[2])],
    flops=lambda x, starts, pixels, _: 2 * x.shape[0] * pixels.size * x.shape[2],
)
def sum_tap_rows(y: Any, x: Any, starts: Any, pixels: Any, weights: Any) -> None:
    """y[l, i, c] = the sum of weight x[l, pixel, c] over the taps from starts[i] to starts[i + 1]."""
    lines, m, _ = y.shape
    for u in prange(lines * m):
        l, i = u // m, u % m
        to = y[l, i]
        to[:] = 0
        for t in range(starts[i], starts[i + 1]):
            add_row(to, x[l, pixels[t]], weights[t])


@functools.lru_cache(maxsize=256)
def tap_tables(back: bool, dtype: Any, *how: Any) -> list[tuple[Any, Any, Any]]:
    """Return (starts, pixels, weights) of each axis of space; back: of the transposed sums."""
    space, size, *_ = how
    found = []
    for n, m, taps in zip(space, size, lattice(*how), strict=True):
        rows: list[list[tuple[int, float]]] = taps
        if back:
            rows = [[] for _ in range(n)]
            for i, around in enumerate(taps[:m]):
                for pixel, weight in around:
                    rows[pixel].append((i, weight))
        pixels = np.array([p for row in rows for p, _ in row], np.int64)
        weights = np.array([w for row in rows for _, w in row], dtype)
        found.append((np.cumsum([0, *map(len, rows)]), pixels, weights))
    return found


def along_space(k: Any, x: Any, tables: list[tuple[Any, Any, Any]]) -> Any:
    """Return x with its axes of space resampled, one after the other, in its memory order."""
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    for axis, table in enumerate(tables, 2):
        at, shape = order.index(axis), list(x.shape)
        outer, inner = math.prod(shape[:at]), math.prod(shape[at + 1 :])
        shape[at] = table[0].size - 1
        lines = (outer, x.shape[at]) if inner == 1 else (outer, x.shape[at], inner)
        x = (k.sum_taps if inner == 1 else k.sum_tap_rows)(x.reshape(lines), *table).reshape(shape)
    return x.transpose(inverse_order(order))


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: is_one_float((x,)))
def resample_wide_forward(k: Any, x: Any, size: Any, steps: Any, *how: Any) -> Any:
    """Call sum_taps or sum_tap_rows for each axis of space."""
    return along_space(k, x, tap_tables(False, x.dtype, tuple(x.shape[2:]), tuple(size), tuple(steps), *how))


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, *_: is_one_float((dy,)))
def resample_wide_backward(k: Any, dy: Any, shape: Any, steps: Any, *how: Any) -> Any:
    """Call the same kernels with the transposed tables."""
    return along_space(k, dy, tap_tables(True, dy.dtype, tuple(shape[2:]), tuple(dy.shape[2:]), tuple(steps), *how))
