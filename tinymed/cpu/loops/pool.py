"""Pooling over two axes of space: the largest pixel or the mean of each window.  Images are [n, i, j, c]."""

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS, image="y index x")
def max_pool2d_forward(y, index, x, kernel, stride, before, dilation, size):
    """y = the largest x of each window, index = the number of its tap; the first of equals, and NaN above all."""
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for c in range(y.shape[3]):
                    largest, where, found = -np.inf, 0, False
                    for a in range(kernel[0]):
                        row = i * stride[0] + a * dilation[0] - before[0]
                        for b in range(kernel[1]):
                            column = j * stride[1] + b * dilation[1] - before[1]
                            if 0 <= row < x.shape[1] and 0 <= column < x.shape[2]:
                                value = x[n, row, column, c]
                                if not found or value > largest or value != value:
                                    largest, where, found = value, a * kernel[1] + b, True
                    y[n, i, j, c], index[n, i, j, c] = largest, where


@kernel(backend=LOOPS, image="dx dy index")
def max_pool2d_backward(dx, dy, index, x_shape, kernel, stride, before, dilation):
    """dx at the largest pixel of each window += dy."""
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for c in range(dy.shape[3]):
                    tap = int(index[n, i, j, c])
                    row = i * stride[0] + tap // kernel[1] * dilation[0] - before[0]
                    column = j * stride[1] + tap % kernel[1] * dilation[1] - before[1]
                    if 0 <= row < dx.shape[1] and 0 <= column < dx.shape[2]:
                        dx[n, row, column, c] += dy[n, i, j, c]


@njit
def window(i, n, kernel, stride, before, after, include_pad):
    """Return the first pixel of window i, the one after its last, and how many it counts as, along one axis of n."""
    start = i * stride - before
    first, last = max(0, start), min(n, start + kernel)
    return first, last, min(start + kernel, n + after) - start if include_pad else max(1, last - first)


@kernel(backend=LOOPS, image="y x")
def avg_pool2d_forward(y, x, kernel, stride, padding, size, include_pad, divisor):
    """y = the sum of x over each window / the number of its pixels, or / divisor if that is not 0."""
    (above, below), (before, after) = padding
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            top, bottom, rows = window(i, x.shape[1], kernel[0], stride[0], above, below, include_pad)
            for j in range(y.shape[2]):
                left, right, columns = window(j, x.shape[2], kernel[1], stride[1], before, after, include_pad)
                for c in range(y.shape[3]):
                    total = 0.0
                    for row in range(top, bottom):
                        for column in range(left, right):
                            total += x[n, row, column, c]
                    y[n, i, j, c] = total / (divisor if divisor != 0 else rows * columns)


@kernel(backend=LOOPS, image="dx dy")
def avg_pool2d_backward(dx, dy, x_shape, kernel, stride, padding, include_pad, divisor):
    """dx += dy / the number of its pixels (or divisor), over each window."""
    (above, below), (before, after) = padding
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            top, bottom, rows = window(i, dx.shape[1], kernel[0], stride[0], above, below, include_pad)
            for j in range(dy.shape[2]):
                left, right, columns = window(j, dx.shape[2], kernel[1], stride[1], before, after, include_pad)
                count = divisor if divisor != 0 else rows * columns
                for row in range(top, bottom):
                    for column in range(left, right):
                        for c in range(dx.shape[3]):
                            dx[n, row, column, c] += dy[n, i, j, c] / count


@kernel(backend=LOOPS, when=lambda index, *_: index.ndim == 4)
def tap_to_flat(flat, index, space, kernel, stride, before, dilation):
    """flat = the largest pixel's position in its image, counted row by row, from the number of its tap."""
    for n in prange(index.shape[0]):
        for c in range(index.shape[1]):
            for i in range(index.shape[2]):
                for j in range(index.shape[3]):
                    tap = int(index[n, c, i, j])
                    row = i * stride[0] + tap // kernel[1] * dilation[0] - before[0]
                    column = j * stride[1] + tap % kernel[1] * dilation[1] - before[1]
                    flat[n, c, i, j] = row * space[1] + column
