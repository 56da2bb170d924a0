"""Pooling over three axes of space: the loops of pool.py with one axis more.  Images are [n, h, i, j, c]."""

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel
from .pool import window
from .views import large


@njit
def pixel(output, tap, axis, stride, before, dilation):
    """Return the pixel of the input that a tap of a window sees, along one axis."""
    return output * stride[axis] + tap * dilation[axis] - before[axis]


@njit
def inside(plane, row, column, x):
    """Return whether a pixel lies in the image."""
    return 0 <= plane < x.shape[1] and 0 <= row < x.shape[2] and 0 <= column < x.shape[3]


@kernel(backend=LOOPS, image="y index x")
def max_pool3d_forward(y, index, x, kernel, stride, before, dilation, size):
    """y = the largest x of each window, index = the number of its tap; the first of equals, and NaN above all."""
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    for c in range(y.shape[4]):
                        largest, where, found = -np.inf, 0, False
                        for tap in range(kernel[0] * kernel[1] * kernel[2]):
                            plane = pixel(h, tap // (kernel[1] * kernel[2]), 0, stride, before, dilation)
                            row = pixel(i, tap // kernel[2] % kernel[1], 1, stride, before, dilation)
                            column = pixel(j, tap % kernel[2], 2, stride, before, dilation)
                            if inside(plane, row, column, x):
                                value = x[n, plane, row, column, c]
                                if not found or value > largest or value != value:
                                    largest, where, found = value, tap, True
                        y[n, h, i, j, c], index[n, h, i, j, c] = largest, where


@kernel(backend=LOOPS, image="dx dy index")
def max_pool3d_backward(dx, dy, index, x_shape, kernel, stride, before, dilation):
    """dx at the largest pixel of each window += dy."""
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            for i in range(dy.shape[2]):
                for j in range(dy.shape[3]):
                    for c in range(dy.shape[4]):
                        tap = int(index[n, h, i, j, c])
                        plane = pixel(h, tap // (kernel[1] * kernel[2]), 0, stride, before, dilation)
                        row = pixel(i, tap // kernel[2] % kernel[1], 1, stride, before, dilation)
                        column = pixel(j, tap % kernel[2], 2, stride, before, dilation)
                        if inside(plane, row, column, dx):
                            dx[n, plane, row, column, c] += dy[n, h, i, j, c]


@kernel(backend=LOOPS, image="y x", worth=large)
def avg_pool3d_forward(y, x, kernel, stride, padding, size, include_pad, divisor):
    """y = the sum of x over each window / the number of its pixels, or / divisor if that is not 0."""
    outer, middle, inner = padding
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            front, back, planes = window(h, x.shape[1], kernel[0], stride[0], *outer, include_pad)
            for i in range(y.shape[2]):
                top, bottom, rows = window(i, x.shape[2], kernel[1], stride[1], *middle, include_pad)
                for j in range(y.shape[3]):
                    left, right, columns = window(j, x.shape[3], kernel[2], stride[2], *inner, include_pad)
                    for c in range(y.shape[4]):
                        total = 0.0
                        for plane in range(front, back):
                            for row in range(top, bottom):
                                for column in range(left, right):
                                    total += x[n, plane, row, column, c]
                        y[n, h, i, j, c] = total / (divisor if divisor != 0 else planes * rows * columns)


@kernel(backend=LOOPS, image="dx dy", worth=large)
def avg_pool3d_backward(dx, dy, x_shape, kernel, stride, padding, include_pad, divisor):
    """dx += dy / the number of its pixels (or divisor), over each window."""
    outer, middle, inner = padding
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            front, back, planes = window(h, dx.shape[1], kernel[0], stride[0], *outer, include_pad)
            for i in range(dy.shape[2]):
                top, bottom, rows = window(i, dx.shape[2], kernel[1], stride[1], *middle, include_pad)
                for j in range(dy.shape[3]):
                    left, right, columns = window(j, dx.shape[3], kernel[2], stride[2], *inner, include_pad)
                    count = divisor if divisor != 0 else planes * rows * columns
                    for plane in range(front, back):
                        for row in range(top, bottom):
                            for column in range(left, right):
                                for c in range(dx.shape[4]):
                                    dx[n, plane, row, column, c] += dy[n, h, i, j, c] / count
