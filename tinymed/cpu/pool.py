"""Pooling on the CPU: images are [n, h, w, c], and the innermost loops run over channels so that they vectorise.

Backward passes gather: a row of dx collects what its windows send it, so rows are independent.
"""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from ..ops.pool import winner_shapes
from .jit import inline, serial

f4 = np.float32


def takes(x: Any, *_: Any) -> bool:
    """What the loops can run on: float32 images."""
    return bool(x.ndim == 4 and x.dtype.char == "f")


def halves(kernel: Any, stride: Any, before: Any, dilation: Any, space: Any, size: Any) -> bool:
    """Whether windows are 2 x 2 at stride 2, inside the image: most networks' only pooling."""
    plain = kernel == stride == (2, 2) and before == (0, 0) and dilation == (1, 1)
    return bool(plain and 2 * size[0] <= space[0] and 2 * size[1] <= space[1])


# ---------------------------------------------------------------------------------------------------- maximum


@kernel(backend="numba", choice=True, when=takes)
def max_pool2d_forward(k: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> Any:
    """The loop for 2 x 2 windows, or the one for any."""
    if halves(kernel, stride, before, dilation, x.shape[2:], size):
        return k.max_halve(x, size)
    return k.max_window(x, kernel, stride, before, dilation, size)


@kernel(backend="numba", choice=True, when=takes)
def max_pool2d_backward(k: Any, dy: Any, index: Any, x_shape: Any,
                        kernel: Any, stride: Any, before: Any, dilation: Any) -> Any:  # fmt: skip
    """max_halve_backward for 2 x 2 windows at stride 2, else max_window_backward."""
    if halves(kernel, stride, before, dilation, x_shape[2:], dy.shape[2:]):
        return k.max_halve_backward(dy, index, x_shape)
    return k.max_window_backward(dy, index, x_shape, kernel, stride, before, dilation)


@serial
def wins(value: Any, best: Any) -> Any:
    """Whether a value replaces the best so far: the first of equals stays, a NaN wins."""
    return (value > best) | (value != value)


@kernel(backend="numba", image="y index x", out=lambda x, size: winner_shapes(x, (2, 2), size),
        flops=lambda x, size: x.size)  # fmt: skip
def max_halve(y: Any, index: Any, x: Any, size: Any) -> None:
    """y, index = the largest of the four pixels of each 2 x 2 window, and which (0, 1 / 2, 3) it was."""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        for j in range(w):
            for k in range(c):
                best, first = x[b, 2 * i, 2 * j, k], np.uint8(0)
                value = x[b, 2 * i, 2 * j + 1, k]
                if wins(value, best):
                    best, first = value, np.uint8(1)
                value = x[b, 2 * i + 1, 2 * j, k]
                if wins(value, best):
                    best, first = value, np.uint8(2)
                value = x[b, 2 * i + 1, 2 * j + 1, k]
                if wins(value, best):
                    best, first = value, np.uint8(3)
                y[b, i, j, k] = best
                index[b, i, j, k] = first


@kernel(backend="numba", image="dx dy index", out=lambda dy, index, x_shape: [x_shape], flops=lambda dy, *_: dy.size)
def max_halve_backward(dx: Any, dy: Any, index: Any, x_shape: Any) -> None:
    """dx = dy at the pixel that won its 2 x 2 window, 0 at the others and in a last odd row or column."""
    n, h, w, c = dy.shape
    height, pairs = dx.shape[1], (dx.shape[1] + 1) // 2
    for t in prange(n * pairs):
        b, i = t // pairs, t % pairs
        if i < h:
            for j in range(w):
                for k in range(c):
                    d, first = dy[b, i, j, k], index[b, i, j, k]
                    dx[b, 2 * i, 2 * j, k] = d if first == 0 else f4(0)
                    dx[b, 2 * i, 2 * j + 1, k] = d if first == 1 else f4(0)
                    dx[b, 2 * i + 1, 2 * j, k] = d if first == 2 else f4(0)
                    dx[b, 2 * i + 1, 2 * j + 1, k] = d if first == 3 else f4(0)
            dx[b, 2 * i : 2 * i + 2, 2 * w :] = 0
        else:
            dx[b, 2 * i : min(2 * i + 2, height)] = 0


@serial
def reach(tap: Any, pixels: Any, windows: Any, stride: Any, before: Any, dilation: Any) -> Any:
    """(first, last): the windows whose tap lies inside a row of pixels."""
    offset = tap * dilation - before
    if stride == 1:  # a division takes as long as some pixels
        return max(0, -offset), min(windows, pixels - offset)
    first = 0 if offset >= 0 else (stride - 1 - offset) // stride
    return first, min(windows, (pixels - 1 - offset) // stride + 1)


@serial
def first_taps(best: Any, first: Any, c: Any, pixels: Any, taps: Any, stride: Any, before: Any, dilation: Any,
               above: Any) -> None:  # fmt: skip
    """best = -inf, first = the number of the first tap inside the image, for a row of windows; above: taps skipped."""
    for j in range(best.size // c):
        start = j * stride - before
        tap = 0 if start >= 0 else (dilation - 1 - start) // dilation
        number = above + tap if tap < taps and start + tap * dilation < pixels else 0
        for e in range(j * c, (j + 1) * c):
            best[e], first[e] = -np.inf, number


@inline
def challenge(best: Any, first: Any, pixels: Any, tap: Any) -> None:
    """best, first = the pixels and their tap, where they win."""
    for e in range(best.size):
        take = wins(pixels[e], best[e])
        best[e] = pixels[e] if take else best[e]
        first[e] = tap if take else first[e]


@kernel(backend="numba", image="y index x",
        out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
        flops=lambda x, *_: x.size)  # fmt: skip
def max_window(y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> None:
    """y, index = the largest pixel of each window and the number of its tap; taps in the padding never win."""
    n, h, w, c = y.shape
    best, first = y.reshape(n * h, w * c), index.reshape(n * h, w * c)
    lines, run = x.reshape(n * x.shape[1], x.shape[2] * c), w if stride[1] == 1 else 1
    for t in prange(n * h):
        down = t % h * stride[0] - before[0]
        top = max(0, (dilation[0] - 1 - down) // dilation[0])
        first_taps(best[t], first[t], c, x.shape[2] if down + top * dilation[0] < x.shape[1] else 0, kernel[1],
                   stride[1], before[1], dilation[1], top * kernel[1])  # fmt: skip
        for r in range(top, kernel[0]):
            row = down + r * dilation[0]
            if row < x.shape[1]:
                line = lines[t // h * x.shape[1] + row]
                for s in range(kernel[1]):
                    j, last = reach(s, x.shape[2], w, stride[1], before[1], dilation[1])
                    while j < last:
                        at, end = j * stride[1] + s * dilation[1] - before[1], min(j + run, last)
                        challenge(best[t, j * c : end * c], first[t, j * c : end * c],
                                  line[at * c : (at + end - j) * c], index.dtype.type(r * kernel[1] + s))  # fmt: skip
                        j = end


@inline
def collect(dx: Any, dy: Any, first: Any, tap: Any) -> None:
    """dx += dy where the tap won."""
    for e in range(dx.size):
        dx[e] += dy[e] if first[e] == tap else f4(0)


@kernel(backend="numba", image="dx dy index", out=lambda dy, index, x_shape, *_: [x_shape],
        flops=lambda dy, *_: dy.size)  # fmt: skip
def max_window_backward(dx: Any, dy: Any, index: Any, x_shape: Any,
                        kernel: Any, stride: Any, before: Any, dilation: Any) -> None:  # fmt: skip
    """dx[row] = the dy of each window that covers the row, at the pixel whose tap won."""
    n, h, w, c = dy.shape
    d, first = dy.reshape(n * h, w * c), index.reshape(n * h, w * c)
    total, run = dx.reshape(n * dx.shape[1], dx.shape[2] * c), w if stride[1] == 1 else 1
    for t in prange(n * dx.shape[1]):
        total[t] = 0
        for i in range(h):
            r = t % dx.shape[1] + before[0] - i * stride[0]
            if 0 <= r <= (kernel[0] - 1) * dilation[0] and r % dilation[0] == 0:
                window = t // dx.shape[1] * h + i
                for s in range(kernel[1]):
                    j, last = reach(s, dx.shape[2], w, stride[1], before[1], dilation[1])
                    while j < last:
                        at, end = j * stride[1] + s * dilation[1] - before[1], min(j + run, last)
                        collect(total[t, at * c : (at + end - j) * c], d[window, j * c : end * c],
                                first[window, j * c : end * c],
                                index.dtype.type(r // dilation[0] * kernel[1] + s))  # fmt: skip
                        j = end


# ------------------------------------------------------------------------------------------------------- mean


@serial
def mean(total: Any, line: Any, image: Any, top: Any, bottom: Any, left: Any, right: Any, count: Any) -> None:
    """total[c] = the sum of a box of an image / count; long sums are summed by rows first, to lose fewer digits."""
    total[:] = 0
    by_rows = (bottom - top) * (right - left) > 256
    for i in range(top, bottom):
        if by_rows:
            line[:] = 0
            for j in range(left, right):
                for k in range(total.size):
                    line[k] += image[i, j, k]
            for k in range(total.size):
                total[k] += line[k]
        else:
            for j in range(left, right):
                for k in range(total.size):
                    total[k] += image[i, j, k]
    for k in range(total.size):
        total[k] /= count


@serial
def share(line: Any, dy: Any, left: Any, right: Any, count: Any) -> None:
    """line[j, c] += dy[c] / count for the pixels left..right of a row."""
    for j in range(left, right):
        for k in range(dy.size):
            line[j, k] += dy[k] / count


@serial
def box(i: Any, n: Any, kernel: Any, stride: Any, before: Any, after: Any, include_pad: Any) -> Any:
    """(first, last, pixels) of window i along an axis of n pixels, cut off at its ends; pixels perhaps with padding."""
    start = i * stride - before
    first, last = max(0, start), min(n, start + kernel)
    return first, last, min(start + kernel, n + after) - start if include_pad else max(1, last - first)


@kernel(backend="numba", image="y x", when=takes, work=lambda x, *how: [(x.shape[0] * how[3][0], x.shape[1])])
def avg_pool2d_forward(y: Any, lines: Any, x: Any, kernel: Any, stride: Any,
                       padding: Any, size: Any, include_pad: Any, divisor: Any) -> None:  # fmt: skip
    """y = the sum of x over each window / its number of pixels, or / divisor if not 0."""
    n, h, w, _ = y.shape
    (above, below), (before, after) = padding
    for t in prange(n * h):
        b, i = t // h, t % h
        top, bottom, rows = box(i, x.shape[1], kernel[0], stride[0], above, below, include_pad)
        for j in range(w):
            left, right, columns = box(j, x.shape[2], kernel[1], stride[1], before, after, include_pad)
            count = f4(divisor if divisor != 0 else rows * columns)
            mean(y[b, i, j], lines[t], x[b], top, bottom, left, right, count)


@kernel(backend="numba", image="dx dy", when=takes)
def avg_pool2d_backward(dx: Any, dy: Any, x_shape: Any, kernel: Any,
                        stride: Any, padding: Any, include_pad: Any, divisor: Any) -> None:  # fmt: skip
    """dx = the sum of dy / the window's pixels (or divisor) over the windows the pixel lies in, row by row."""
    n, height, width, _ = dx.shape
    (above, below), (before, after) = padding
    for t in prange(n * height):
        b, row = t // height, t % height
        dx[b, row] = 0
        for i in range(dy.shape[1]):
            top, bottom, rows = box(i, height, kernel[0], stride[0], above, below, include_pad)
            if top <= row < bottom:
                for j in range(dy.shape[2]):
                    left, right, columns = box(j, width, kernel[1], stride[1], before, after, include_pad)
                    count = f4(divisor if divisor != 0 else rows * columns)
                    share(dx[b, row], dy[b, i, j], left, right, count)
