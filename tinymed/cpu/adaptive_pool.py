"""Adaptive pooling on the CPU, averages and maxima: part i of m along n pixels is i n/m .. (i + 1) n/m, rounded out."""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import is_one_float, kernel
from ..memory import canonical_order, is_dense
from .arguments import images, volumes
from .pool import add_mean_gradient, mean, mean_of_volume, part

f4 = np.float32


def global_mean(k: Any, x: Any, size: Any) -> Any:
    """Return the mean over all pixels where that is wanted of C order, in which sums need no conversion; else None."""
    if math.prod(size) > 1 or not x.flags.c_contiguous or is_dense(x, canonical_order("image", x.ndim)):
        return None
    total = k.sum_forward(x, tuple(range(2, x.ndim)))
    return k.div(total, float(math.prod(x.shape[2:]))).reshape(*x.shape[:2], *size)


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: images(x))
def adaptive_avg_pool2d_forward(k: Any, x: Any, size: Any) -> Any:
    """Call adaptive_means, or sum all pixels."""
    means = global_mean(k, x, size)
    return k.adaptive_means(x, size) if means is None else means


@kernel(backend="numba", double="numba", composite=True, when=lambda x, *_: volumes(x))
def adaptive_avg_pool3d_forward(k: Any, x: Any, size: Any) -> Any:
    """Call adaptive_volume_means, or sum all voxels."""
    means = global_mean(k, x, size)
    return k.adaptive_volume_means(x, size) if means is None else means


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    out=lambda x, size: [(*x.shape[:2], *size)],
    flops=lambda x, size: x.size,
    work=lambda x, size: [(x.shape[0] * size[0], x.shape[1])],
)
def adaptive_means(y: Any, lines: Any, x: Any, size: Any) -> None:
    """y[i, j] = the mean of x over rows floor(i H / h) to ceil((i + 1) H / h), columns likewise."""
    n, h, w, _ = y.shape
    height, width = x.shape[1], x.shape[2]
    for t in prange(n * h):
        b, i = t // h, t % h
        top, bottom = part(i, h, height)
        for j in range(w):
            left, right = part(j, w, width)
            mean(y[b, i, j], lines[t], x[b], top, bottom, left, right, f4((bottom - top) * (right - left)))


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: images(x))
def adaptive_avg_pool2d_backward(dx: Any, dy: Any, x_shape: Any) -> None:
    """dx = the sum of dy / the box's pixels over the boxes the pixel lies in; each row gathers its own."""
    n, height, width, _ = dx.shape
    h, w = dy.shape[1], dy.shape[2]
    for t in prange(n * height):
        b, row = t // height, t % height
        dx[b, row] = 0
        for i in range(h):
            top, bottom = part(i, h, height)
            if top <= row < bottom:
                for j in range(w):
                    left, right = part(j, w, width)
                    add_mean_gradient(dx[b, row], dy[b, i, j], left, right, f4((bottom - top) * (right - left)))


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    out=lambda x, size: [(*x.shape[:2], *size)],
    flops=lambda x, size: x.size,
    work=lambda x, size: [(x.shape[0] * size[0] * size[1], 2, x.shape[1])],
)
def adaptive_volume_means(y: Any, lines: Any, x: Any, size: Any) -> None:
    """y[h, i, j] = the mean of x over the part of each axis."""
    n, d, h, w, _ = y.shape
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        planes, rows = part(z, d, x.shape[1]), part(i, h, x.shape[2])
        for j in range(w):
            columns = part(j, w, x.shape[3])
            count = f4((planes[1] - planes[0]) * (rows[1] - rows[0]) * (columns[1] - columns[0]))
            mean_of_volume(y[b, z, i, j], lines[t], x[b], planes, rows, columns, count)


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: volumes(x))
def adaptive_avg_pool3d_backward(dx: Any, dy: Any, x_shape: Any) -> None:
    """dx = the sum of dy / the box's voxels over the boxes the voxel lies in; each plane gathers its own."""
    n, depth, height, width, _ = dx.shape
    d, h, w = dy.shape[1], dy.shape[2], dy.shape[3]
    for t in prange(n * depth):
        b, plane = t // depth, t % depth
        dx[b, plane] = 0
        for z in range(d):
            front, back = part(z, d, depth)
            if front <= plane < back:
                for i in range(h):
                    top, bottom = part(i, h, height)
                    for j in range(w):
                        left, right = part(j, w, width)
                        count = f4((back - front) * (bottom - top) * (right - left))
                        for row in range(top, bottom):
                            add_mean_gradient(dx[b, plane, row], dy[b, z, i, j], left, right, count)


# ------------------------------------------------------------------------------------------------------- maxima

TASKS = 32  # among which planes are divided, each with a row of maxima so far


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, size: [((x.shape[0], *size), x.dtype), ((x.shape[0], *size), "int64")],
    work=lambda x, size: [(min(TASKS, x.shape[0]), x.shape[3]), ((min(TASKS, x.shape[0]), x.shape[3]), np.int32)],
    flops=lambda x, size: x.size,
)
def adaptive_max(y: Any, index: Any, tops: Any, rows: Any, x: Any, size: Any) -> None:
    """y[p, h, i, j] = the largest x of a part of volume p, index = where it stands: the first, and NaN above all.

    Down each part's rows by vectors, a maximum and its row for each column; then along the columns.
    """
    volumes, depth, height, width = x.shape
    tasks = min(TASKS, volumes)
    for t in prange(tasks):
        top, row = tops[t], rows[t]
        for p in range(volumes * t // tasks, volumes * (t + 1) // tasks):
            for h in range(size[0]):
                front, back = part(h, size[0], depth)
                for i in range(size[1]):
                    first, last = part(i, size[1], height)
                    for c in range(width):
                        top[c], row[c] = x[p, front, first, c], np.int32(front * height + first)
                    for z in range(front, back):
                        for r in range(first + (z == front), last):
                            line, number = x[p, z, r], np.int32(z * height + r)
                            for c in range(width):
                                larger = line[c] > top[c] or (line[c] != line[c] and top[c] == top[c])
                                top[c] = line[c] if larger else top[c]
                                row[c] = number if larger else row[c]
                    for j in range(size[2]):
                        left, right = part(j, size[2], width)
                        best, at, column = top[left], row[left], left
                        for c in range(left + 1, right):
                            same = top[c] == best or (top[c] != top[c] and best != best)
                            larger = top[c] > best or (top[c] != top[c] and best == best)
                            if larger or (same and row[c] < at):
                                best, at, column = top[c], row[c], c
                        y[p, h, i, j], index[p, h, i, j] = best, at * width + column


@kernel(backend="numba", double="numba", composite=True, when=lambda x, size: is_one_float((x,)))
def adaptive_max_pool_forward(k: Any, x: Any, size: Any) -> Any:
    """Call adaptive_max on three axes of space, of which the first may be of length 1."""
    space, wanted = ((1, 1, *s)[-3:] for s in (x.shape[2:], size))
    x = x if x.flags.c_contiguous else k.canonical(x, tuple(range(x.ndim)))
    volumes = x.reshape(math.prod(x.shape[:2]), *space)
    return tuple(a.reshape(*x.shape[:2], *size) for a in k.adaptive_max(volumes, tuple(wanted)))
