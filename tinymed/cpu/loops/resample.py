"""Resampling: each pixel of the output takes the nearest pixel of the input, or the mean of those around its place.

Images are [n, i, j, c], or [n, h, i, j, c].
"""

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel
from .views import large


@njit
def nearest(i, n, step, offset):
    """Return the pixel of n that output pixel i takes: floor((i + offset) step), in float32 as in PyTorch."""
    return min(int(np.float32(i + offset) * np.float32(step)), n - 1)


@njit
def between(i, n, step, align_corners):
    """Return the two pixels of n around output pixel i, and the weight of the second."""
    at = i * step if align_corners else max(0.0, (i + 0.5) * step - 0.5)
    first = min(int(at), n - 1)
    return first, min(first + 1, n - 1), min(at - first, 1.0)


@kernel(backend=LOOPS, image="y x")
def upsample_nearest2d_forward(y, x, size, steps, offset):
    """y[n, i, j, c] = x[n, nearest(i), nearest(j), c]."""
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            row = nearest(i, x.shape[1], steps[0], offset)
            for j in range(y.shape[2]):
                column = nearest(j, x.shape[2], steps[1], offset)
                for c in range(y.shape[3]):
                    y[n, i, j, c] = x[n, row, column, c]


@kernel(backend=LOOPS, image="dx dy")
def upsample_nearest2d_backward(dx, dy, x_shape, steps, offset):
    """dx[n, nearest(i), nearest(j), c] += dy[n, i, j, c]."""
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            row = nearest(i, dx.shape[1], steps[0], offset)
            for j in range(dy.shape[2]):
                column = nearest(j, dx.shape[2], steps[1], offset)
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] += dy[n, i, j, c]


@kernel(backend=LOOPS, image="y x")
def upsample_bilinear2d_forward(y, x, size, steps, align_corners):
    """y = (1 - u) ((1 - v) p + v q) + u ((1 - v) r + v s), p q r s the pixels around, u v the place between them."""
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom, u = between(i, x.shape[1], steps[0], align_corners)
            for j in range(y.shape[2]):
                left, right, v = between(j, x.shape[2], steps[1], align_corners)
                for c in range(y.shape[3]):
                    upper = (1 - v) * x[n, top, left, c] + v * x[n, top, right, c]
                    lower = (1 - v) * x[n, bottom, left, c] + v * x[n, bottom, right, c]
                    y[n, i, j, c] = (1 - u) * upper + u * lower


@kernel(backend=LOOPS, image="dx dy")
def upsample_bilinear2d_backward(dx, dy, x_shape, steps, align_corners):
    """dx at each of the four pixels around += its weight * dy[n, i, j, c]."""
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            top, bottom, u = between(i, dx.shape[1], steps[0], align_corners)
            for j in range(dy.shape[2]):
                left, right, v = between(j, dx.shape[2], steps[1], align_corners)
                for c in range(dx.shape[3]):
                    d = dy[n, i, j, c]
                    dx[n, top, left, c] += (1 - u) * (1 - v) * d
                    dx[n, top, right, c] += (1 - u) * v * d
                    dx[n, bottom, left, c] += u * (1 - v) * d
                    dx[n, bottom, right, c] += u * v * d


@kernel(backend=LOOPS, image="y x", worth=large)
def upsample_nearest3d_forward(y, x, size, steps, offset):
    """y[n, h, i, j, c] = x[n, nearest(h), nearest(i), nearest(j), c]."""
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            plane = nearest(h, x.shape[1], steps[0], offset)
            for i in range(y.shape[2]):
                row = nearest(i, x.shape[2], steps[1], offset)
                for j in range(y.shape[3]):
                    column = nearest(j, x.shape[3], steps[2], offset)
                    for c in range(y.shape[4]):
                        y[n, h, i, j, c] = x[n, plane, row, column, c]


@kernel(backend=LOOPS, image="dx dy", worth=large)
def upsample_nearest3d_backward(dx, dy, x_shape, steps, offset):
    """dx[n, nearest(h), nearest(i), nearest(j), c] += dy[n, h, i, j, c]."""
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            plane = nearest(h, dx.shape[1], steps[0], offset)
            for i in range(dy.shape[2]):
                row = nearest(i, dx.shape[2], steps[1], offset)
                for j in range(dy.shape[3]):
                    column = nearest(j, dx.shape[3], steps[2], offset)
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] += dy[n, h, i, j, c]


@kernel(backend=LOOPS, image="y x", worth=large)
def upsample_trilinear3d_forward(y, x, size, steps, align_corners):
    """y = the eight pixels around the place of h, i, j, weighted by their nearness along each axis."""
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            front, back, t = between(h, x.shape[1], steps[0], align_corners)
            for i in range(y.shape[2]):
                top, bottom, u = between(i, x.shape[2], steps[1], align_corners)
                for j in range(y.shape[3]):
                    left, right, v = between(j, x.shape[3], steps[2], align_corners)
                    for c in range(y.shape[4]):
                        total = 0.0
                        for plane, a in ((front, 1 - t), (back, t)):
                            for row, b in ((top, 1 - u), (bottom, u)):
                                total += a * b * (1 - v) * x[n, plane, row, left, c]
                                total += a * b * v * x[n, plane, row, right, c]
                        y[n, h, i, j, c] = total


@kernel(backend=LOOPS, image="dx dy", worth=large)
def upsample_trilinear3d_backward(dx, dy, x_shape, steps, align_corners):
    """dx at each of the eight pixels around += its weight * dy[n, h, i, j, c]."""
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            front, back, t = between(h, dx.shape[1], steps[0], align_corners)
            for i in range(dy.shape[2]):
                top, bottom, u = between(i, dx.shape[2], steps[1], align_corners)
                for j in range(dy.shape[3]):
                    left, right, v = between(j, dx.shape[3], steps[2], align_corners)
                    for c in range(dx.shape[4]):
                        d = dy[n, h, i, j, c]
                        for plane, a in ((front, 1 - t), (back, t)):
                            for row, b in ((top, 1 - u), (bottom, u)):
                                dx[n, plane, row, left, c] += a * b * (1 - v) * d
                                dx[n, plane, row, right, c] += a * b * v * d
