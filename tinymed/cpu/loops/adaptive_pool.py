"""Adaptive pooling: part i of m along an axis of n pixels is floor(i n / m) .. ceil((i + 1) n / m).

Images are [n, i, j, c], or [n, h, i, j, c].
"""

import math

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...ops.adaptive_pool import largest
from .views import laid, large


@njit
def part(i, m, n):
    """Return the first pixel of part i of m, and the one after its last, along an axis of n pixels."""
    return i * n // m, ((i + 1) * n + m - 1) // m


@kernel(backend=LOOPS, image="y x")
def adaptive_avg_pool2d_forward(y, x, size):
    """y = the mean of x over each part."""
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom = part(i, y.shape[1], x.shape[1])
            for j in range(y.shape[2]):
                left, right = part(j, y.shape[2], x.shape[2])
                for c in range(y.shape[3]):
                    total = 0.0
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += x[n, row, column, c]
                    y[n, i, j, c] = total / ((bottom - top) * (right - left))


@kernel(backend=LOOPS, image="dx dy")
def adaptive_avg_pool2d_backward(dx, dy, x_shape):
    """dx += dy / the number of its pixels, over each part."""
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            top, bottom = part(i, dy.shape[1], dx.shape[1])
            for j in range(dy.shape[2]):
                left, right = part(j, dy.shape[2], dx.shape[2])
                for row in range(top, bottom):
                    for column in range(left, right):
                        for c in range(dx.shape[3]):
                            dx[n, row, column, c] += dy[n, i, j, c] / ((bottom - top) * (right - left))


@kernel(backend=LOOPS, image="y x")
def adaptive_avg_pool3d_forward(y, x, size):
    """y = the mean of x over each part."""
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            front, back = part(h, y.shape[1], x.shape[1])
            for i in range(y.shape[2]):
                top, bottom = part(i, y.shape[2], x.shape[2])
                for j in range(y.shape[3]):
                    left, right = part(j, y.shape[3], x.shape[3])
                    count = (back - front) * (bottom - top) * (right - left)
                    for c in range(y.shape[4]):
                        total = 0.0
                        for plane in range(front, back):
                            for row in range(top, bottom):
                                for column in range(left, right):
                                    total += x[n, plane, row, column, c]
                        y[n, h, i, j, c] = total / count


@kernel(backend=LOOPS, image="dx dy", worth=large)
def adaptive_avg_pool3d_backward(dx, dy, x_shape):
    """dx += dy / the number of its pixels, over each part."""
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            front, back = part(h, dy.shape[1], dx.shape[1])
            for i in range(dy.shape[2]):
                top, bottom = part(i, dy.shape[2], dx.shape[2])
                for j in range(dy.shape[3]):
                    left, right = part(j, dy.shape[3], dx.shape[3])
                    count = (back - front) * (bottom - top) * (right - left)
                    for plane in range(front, back):
                        for row in range(top, bottom):
                            for column in range(left, right):
                                for c in range(dx.shape[4]):
                                    dx[n, plane, row, column, c] += dy[n, h, i, j, c] / count


@kernel(name="adaptive_max_pool_forward_loop", backend=LOOPS, out=largest, flops=lambda x, size: x.size)
def adaptive_max(y, index, x, size):
    """y = the largest x of each part, index = its position counted row by row; [n, c, h, i, j], NaN above all."""
    for n in prange(y.shape[0]):
        for c in range(y.shape[1]):
            for h in range(size[0]):
                front, back = part(h, size[0], x.shape[2])
                for i in range(size[1]):
                    top, bottom = part(i, size[1], x.shape[3])
                    for j in range(size[2]):
                        left, right = part(j, size[2], x.shape[4])
                        best, where = -np.inf, -1
                        for plane in range(front, back):
                            for row in range(top, bottom):
                                for column in range(left, right):
                                    value = x[n, c, plane, row, column]
                                    if where < 0 or value > best or (value != value and best == best):
                                        best = value
                                        where = (plane * x.shape[3] + row) * x.shape[4] + column
                        y[n, c, h, i, j], index[n, c, h, i, j] = best, where


@kernel(backend=LOOPS, composite=True)
def adaptive_max_pool_forward(k, x, size):
    """Call the loop on three axes of space, of which the first may be of length 1."""
    space, wanted = ((1, 1, *s)[-3:] for s in (x.shape[2:], size))
    images = laid(k, x, tuple(range(x.ndim))).reshape(*x.shape[:2], *space)
    return tuple(a.reshape(*x.shape[:2], *size) for a in k.adaptive_max_pool_forward_loop(images, tuple(wanted)))


@kernel(backend=LOOPS, composite=True, worth=large)
def scatter_flat(k, dy, index, x_shape):
    """Call the loop on [n c, place]."""
    planes, places = x_shape[0] * x_shape[1], dy.size // max(1, x_shape[0] * x_shape[1])
    flat = [laid(k, a, tuple(range(a.ndim))).reshape(planes, places) for a in (dy, index)]
    return k.scatter_flat_loop(*flat, (planes, math.prod(x_shape[2:]))).reshape(x_shape)


@kernel(name="scatter_flat_loop", backend=LOOPS, out=lambda dy, index, shape: [shape], flops=lambda dy, *_: dy.size)
def scatter(dx, dy, index, shape):
    """dx[p, index[p, i]] += dy[p, i], for each plane p."""
    for p in prange(dx.shape[0]):
        for i in range(dx.shape[1]):
            dx[p, i] = 0
        for i in range(dy.shape[1]):
            dx[p, index[p, i]] += dy[p, i]
