"""Pooling on the CPU: images are [n, h, w, c], and the innermost loops run over channels so that they vectorise.

Backward passes gather: a row of dx collects the gradients that its windows route to it, so rows are independent.
"""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from ..ops.max_pool import winner_shapes
from .arguments import images, volumes
from .compiler.jit import serial

f4 = np.float32
PIECES = 32  # of an array of pairs
NARROW = 8  # channels, below which a loop over them costs more than it gains


def is_2x2(kernel: Any, stride: Any, before: Any, dilation: Any, space: Any, size: Any) -> bool:
    """Return whether windows are 2 x 2 at stride 2, inside the image: most networks' only pooling."""
    shape_fits = kernel == stride == (2, 2) and before == (0, 0) and dilation == (1, 1)
    return bool(shape_fits and 2 * size[0] <= space[0] and 2 * size[1] <= space[1])


def is_pairs(x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, space: Any, size: Any) -> bool:
    """Return whether windows are pairs of neighbours in memory, and none is left over: of one axis, in C order."""
    shape_fits = kernel == stride == (1, 2) and before == (0, 0) and dilation == (1, 1)
    return bool(shape_fits and size == (space[0], space[1] // 2) and space[1] % 2 == 0 and x.flags.c_contiguous)


# ---------------------------------------------------------------------------------------------------- maximum


@kernel(backend="numba", double="numba", choice=True, when=lambda x, *_: images(x))
def max_pool2d_forward(k: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> Any:
    """Call max_pool_2x2 for 2 x 2 windows at stride 2, max_pairs for pairs in memory, else max_window."""
    if is_pairs(x, kernel, stride, before, dilation, x.shape[2:], size):
        return k.max_pairs(x, size)
    if is_2x2(kernel, stride, before, dilation, x.shape[2:], size):
        return k.max_pool_2x2(x, size)
    return k.max_window(x, kernel, stride, before, dilation, size)


@kernel(backend="numba", double="numba", choice=True, when=lambda x, *_: images(x))
def max_pool2d_backward(
    k: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> Any:
    """Call the gradient of the kernel that max_pool2d_forward calls."""
    pairs = is_pairs(dy, kernel, stride, before, dilation, x_shape[2:], dy.shape[2:])
    if pairs and index.flags.c_contiguous:
        return k.max_pairs_backward(dy, index, x_shape)
    if is_2x2(kernel, stride, before, dilation, x_shape[2:], dy.shape[2:]):
        return k.max_pool_2x2_backward(dy, index, x_shape)
    return k.max_window_backward(dy, index, x_shape, kernel, stride, before, dilation)


@serial
def exceeds(value: Any, best: Any) -> Any:
    """Return whether a value replaces the maximum so far: the first of equals stays, a NaN replaces any number."""
    return (value > best) | (value != value)


@serial
def larger_of_pairs(y: Any, index: Any, x: Any) -> None:
    """Compute max_pairs for a piece."""
    for i in range(y.size):
        second = exceeds(x[2 * i + 1], x[2 * i])
        y[i] = x[2 * i + 1] if second else x[2 * i]
        index[i] = np.uint8(1) if second else np.uint8(0)


@serial
def to_larger_of_pairs(dx: Any, dy: Any, index: Any) -> None:
    """Compute max_pairs_backward for a piece."""
    for i in range(dy.size):
        first = index[i] == 0
        dx[2 * i] = dy[i] if first else f4(0)
        dx[2 * i + 1] = f4(0) if first else dy[i]


@kernel(backend="numba", double="numba", out=lambda x, n: winner_shapes(x, (1, 2), n), flops=lambda x, n: x.size)
def max_pairs(y: Any, index: Any, x: Any, size: Any) -> None:
    """y, index = the larger of each pair of numbers, and which (0, 1) it was."""
    size = y.size
    for t in prange(PIECES):
        low, high = size * t // PIECES, size * (t + 1) // PIECES
        larger_of_pairs(y.reshape(-1)[low:high], index.reshape(-1)[low:high], x.reshape(-1)[2 * low : 2 * high])


@kernel(backend="numba", double="numba", out=lambda dy, index, shape: [shape], flops=lambda dy, *_: dy.size)
def max_pairs_backward(dx: Any, dy: Any, index: Any, x_shape: Any) -> None:
    """dx = dy at the larger of each pair of numbers, 0 at the other."""
    size = dy.size
    for t in prange(PIECES):
        low, high = size * t // PIECES, size * (t + 1) // PIECES
        to_larger_of_pairs(dx.reshape(-1)[2 * low : 2 * high], dy.reshape(-1)[low:high], index.reshape(-1)[low:high])


@kernel(
    backend="numba",
    double="numba",
    image="y index x",
    out=lambda x, size: winner_shapes(x, (2, 2), size),
    flops=lambda x, size: x.size,
)
def max_pool_2x2(y: Any, index: Any, x: Any, size: Any) -> None:
    """y, index = the largest of the four pixels of each 2 x 2 window, and which (0, 1 / 2, 3) it was."""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        for j in range(w):
            for k in range(c):
                best, argmax = x[b, 2 * i, 2 * j, k], np.uint8(0)
                value = x[b, 2 * i, 2 * j + 1, k]
                if exceeds(value, best):
                    best, argmax = value, np.uint8(1)
                value = x[b, 2 * i + 1, 2 * j, k]
                if exceeds(value, best):
                    best, argmax = value, np.uint8(2)
                value = x[b, 2 * i + 1, 2 * j + 1, k]
                if exceeds(value, best):
                    best, argmax = value, np.uint8(3)
                y[b, i, j, k] = best
                index[b, i, j, k] = argmax


@kernel(
    backend="numba",
    double="numba",
    image="dx dy index",
    out=lambda dy, index, x_shape: [x_shape],
    flops=lambda dy, *_: dy.size,
)
def max_pool_2x2_backward(dx: Any, dy: Any, index: Any, x_shape: Any) -> None:
    """dx = dy at the argmax of each 2 x 2 window, 0 at its other pixels and in a last odd row or column."""
    n, h, w, c = dy.shape
    height, pairs = dx.shape[1], (dx.shape[1] + 1) // 2
    for t in prange(n * pairs):
        b, i = t // pairs, t % pairs
        if i < h:
            for j in range(w):
                for k in range(c):
                    d, argmax = dy[b, i, j, k], index[b, i, j, k]
                    dx[b, 2 * i, 2 * j, k] = d if argmax == 0 else f4(0)
                    dx[b, 2 * i, 2 * j + 1, k] = d if argmax == 1 else f4(0)
                    dx[b, 2 * i + 1, 2 * j, k] = d if argmax == 2 else f4(0)
                    dx[b, 2 * i + 1, 2 * j + 1, k] = d if argmax == 3 else f4(0)
            dx[b, 2 * i : 2 * i + 2, 2 * w :] = 0
        else:
            dx[b, 2 * i : min(2 * i + 2, height)] = 0


@serial
def narrow_row(
    y: Any, index: Any, x: Any, top: Any, kernel: Any, stride: Any, before: Any, dilation: Any, first: Any, again: Any
) -> None:
    """Pool one row of windows of few channels, whose first tap is in row `top` of the image, a tap at a time.

    first: the number of that tap.  again: taps of another plane have been seen: y and index hold their largest.
    """
    started = again  # whether a row of taps was inside the image
    for r in range(kernel[0]):
        row = top + r * dilation[0]
        if 0 <= row < x.shape[0]:
            for s in range(kernel[1]):
                new, tap_number = (
                    0 if started else x.shape[1] if s == 0 else dilation[1],
                    index.dtype.type(first + r * kernel[1] + s),
                )
                for k in range(y.shape[1]):
                    for j in range(y.shape[0]):
                        column = j * stride[1] - before[1] + s * dilation[1]
                        if 0 <= column < x.shape[1]:
                            pixel = x[row, column, k]
                            # A window's first tap inside the image, or a larger pixel.
                            better = column < new or exceeds(pixel, y[j, k])
                            y[j, k] = pixel if better else y[j, k]
                            index[j, k] = tap_number if better else index[j, k]
            started = True


@serial
def wide_row(
    y: Any, index: Any, x: Any, top: Any, kernel: Any, stride: Any, before: Any, dilation: Any, first: Any, again: Any
) -> None:
    """Compute narrow_row for images of more channels, many at a time."""
    for j in range(y.shape[0]):
        best, argmax, found = y[j], index[j], again
        for r in range(kernel[0]):
            row = top + r * dilation[0]
            if 0 <= row < x.shape[0]:
                for s in range(kernel[1]):
                    column = j * stride[1] - before[1] + s * dilation[1]
                    if 0 <= column < x.shape[1]:
                        pixel, tap_number = x[row, column], argmax.dtype.type(first + r * kernel[1] + s)
                        for k in range(best.size):
                            better = not found or exceeds(pixel[k], best[k])
                            best[k] = pixel[k] if better else best[k]
                            argmax[k] = tap_number if better else argmax[k]
                        found = True


@kernel(
    backend="numba",
    double="numba",
    image="y index x",
    out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
    flops=lambda x, *_: x.size,
)
def max_window(y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> None:
    """y, index = the largest pixel of each window and the number of its tap; padding is never the maximum."""
    n, h, _w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        to, where, top = y[b, i], index[b, i], i * stride[0] - before[0]
        to[:] = -np.inf
        where[:] = 0
        if c < NARROW:
            narrow_row(to, where, x[b], top, kernel, stride, before, dilation, 0, False)
        else:
            wide_row(to, where, x[b], top, kernel, stride, before, dilation, 0, False)


@serial
def narrow_taps(dx: Any, dy: Any, index: Any, tap: Any, kernel: Any, stride: Any, before: Any, dilation: Any) -> None:
    """Compute wide_taps for images of few channels."""
    for s in range(kernel[1]):
        for k in range(dx.shape[1]):
            for j in range(dy.shape[0]):
                column = j * stride[1] - before[1] + s * dilation[1]
                if 0 <= column < dx.shape[0]:
                    dx[column, k] += dy[j, k] if index[j, k] == tap + s else f4(0)


@serial
def wide_taps(dx: Any, dy: Any, index: Any, tap: Any, kernel: Any, stride: Any, before: Any, dilation: Any) -> None:
    """Add to one row of dx the gradients routed to it by one row of windows.

    The row is covered by the taps tap, tap + 1, ...
    """
    for j in range(dy.shape[0]):
        d, argmax = dy[j], index[j]
        for s in range(kernel[1]):
            column = j * stride[1] - before[1] + s * dilation[1]
            if 0 <= column < dx.shape[0]:
                total, tap_number = dx[column], argmax.dtype.type(tap + s)
                for k in range(total.size):
                    total[k] += d[k] if argmax[k] == tap_number else f4(0)


@kernel(
    backend="numba",
    double="numba",
    image="dx dy index",
    out=lambda dy, index, x_shape, *_: [x_shape],
    flops=lambda dy, *_: dy.size,
)
def max_window_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dx[row] = the dy of each window that covers the row, at the pixel of its argmax."""
    n, h, _w, c = dy.shape
    for t in prange(n * dx.shape[1]):
        b, row = t // dx.shape[1], t % dx.shape[1]
        dx[b, row] = 0
        for i in range(h):
            reach = row + before[0] - i * stride[0]
            if 0 <= reach <= (kernel[0] - 1) * dilation[0] and reach % dilation[0] == 0:
                tap = reach // dilation[0] * kernel[1]
                if c < NARROW:
                    narrow_taps(dx[b, row], dy[b, i], index[b, i], tap, kernel, stride, before, dilation)
                else:
                    wide_taps(dx[b, row], dy[b, i], index[b, i], tap, kernel, stride, before, dilation)


# ----------------------------------------------------------------------------------------- maximum of volumes


@kernel(backend="numba", double="numba", image="y index x", when=lambda x, *_: volumes(x))
def max_pool3d_forward(
    y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any
) -> None:
    """y, index = the largest voxel of each window and the number of its tap; padding is never the maximum."""
    n, d, h, _w, c = y.shape
    kd, kh, kw = kernel
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        to, where, top, again = y[b, z, i], index[b, z, i], i * stride[1] - before[1], False
        to[:] = -np.inf
        where[:] = 0
        for r in range(kd):
            plane, tap = z * stride[0] - before[0] + r * dilation[0], r * kh * kw
            if 0 <= plane < x.shape[1]:
                seen = x[b, plane]
                if c < NARROW:
                    narrow_row(to, where, seen, top, kernel[1:], stride[1:], before[1:], dilation[1:], tap, again)
                else:
                    wide_row(to, where, seen, top, kernel[1:], stride[1:], before[1:], dilation[1:], tap, again)
                again = True


@kernel(backend="numba", double="numba", image="dx dy index", when=lambda x, *_: volumes(x))
def max_pool3d_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dx[plane] = the dy of each window that covers the plane, at the voxel of its argmax."""
    n, d, h, _w, c = dy.shape
    kd, kh, kw = kernel
    steps, edges, gaps = stride[1:], before[1:], dilation[1:]  # within a plane
    for t in prange(n * dx.shape[1]):
        b, plane = t // dx.shape[1], t % dx.shape[1]
        dx[b, plane] = 0
        for z in range(d):
            reach = plane + before[0] - z * stride[0]
            if 0 <= reach <= (kd - 1) * dilation[0] and reach % dilation[0] == 0:
                base = reach // dilation[0] * kh * kw
                for i in range(h):
                    for s in range(kh):
                        row = i * stride[1] - before[1] + s * dilation[1]
                        if 0 <= row < dx.shape[2]:
                            to, tap = dx[b, plane, row], base + s * kw
                            if c < NARROW:
                                narrow_taps(to, dy[b, z, i], index[b, z, i], tap, (kh, kw), steps, edges, gaps)
                            else:
                                wide_taps(to, dy[b, z, i], index[b, z, i], tap, (kh, kw), steps, edges, gaps)


# ------------------------------------------------------------------------------------------------------- mean


@serial
def add_box(total: Any, line: Any, image: Any, top: Any, bottom: Any, left: Any, right: Any) -> None:
    """total[c] += the sum of a box of an image; long sums are summed by rows first, to lose fewer digits."""
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


@serial
def mean(total: Any, line: Any, image: Any, top: Any, bottom: Any, left: Any, right: Any, count: Any) -> None:
    """total[c] = the sum of a box of an image / count."""
    total[:] = 0
    add_box(total, line, image, top, bottom, left, right)
    for k in range(total.size):
        total[k] /= count


@serial
def mean_of_volume(total: Any, lines: Any, volume: Any, planes: Any, rows: Any, columns: Any, count: Any) -> None:
    """total[c] = the sum of a box of a volume / count, planes of large boxes first; each axis is (first, last)."""
    total[:] = 0
    by_planes = (planes[1] - planes[0]) * (rows[1] - rows[0]) * (columns[1] - columns[0]) > 256
    for z in range(planes[0], planes[1]):
        if by_planes:
            plane = lines[1]
            plane[:] = 0
            add_box(plane, lines[0], volume[z], rows[0], rows[1], columns[0], columns[1])
            for k in range(total.size):
                total[k] += plane[k]
        else:
            add_box(total, lines[0], volume[z], rows[0], rows[1], columns[0], columns[1])
    for k in range(total.size):
        total[k] /= count


@serial
def mean_of_four(y: Any, top: Any, bottom: Any) -> None:
    """Compute a row of means of 2 x 2 windows from two rows of an image; x / 4 rounds as x times 1/4 does."""
    for j in range(y.shape[0]):
        first, second, third, fourth, to = top[2 * j], top[2 * j + 1], bottom[2 * j], bottom[2 * j + 1], y[j]
        for k in range(to.size):
            to[k] = (((first[k] + second[k]) + third[k]) + fourth[k]) * f4(0.25)


@serial
def add_mean_gradient(line: Any, dy: Any, left: Any, right: Any, count: Any) -> None:
    """line[j, c] += dy[c] / count for the pixels left..right of a row."""
    for j in range(left, right):
        for k in range(dy.size):
            line[j, k] += dy[k] / count


@serial
def box(i: Any, n: Any, kernel: Any, stride: Any, before: Any, after: Any, include_pad: Any) -> Any:
    """Return (first, last, pixels) of window i along an axis of n pixels; pixels may count the padding."""
    start = i * stride - before
    first, last = max(0, start), min(n, start + kernel)
    return first, last, min(start + kernel, n + after) - start if include_pad else max(1, last - first)


@serial
def part(i: Any, m: Any, n: Any) -> Any:
    """Return (first, last) of part i of m along an axis of n pixels."""
    return i * n // m, ((i + 1) * n + m - 1) // m


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    when=lambda x, *_: images(x),
    work=lambda x, *params: [(x.shape[0] * params[3][0], x.shape[1])],
)
def avg_pool2d_forward(
    y: Any, lines: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: Any, divisor: Any
) -> None:
    """y = the sum of x over each window / its number of pixels, or / divisor if not 0."""
    n, h, w, _ = y.shape
    (above, below), (before, after) = padding
    fours = kernel == (2, 2) and stride == (2, 2) and above == before == divisor == 0
    fours = fours and 2 * h <= x.shape[1] and 2 * w <= x.shape[2]
    for t in prange(n * h):
        b, i = t // h, t % h
        if fours:
            mean_of_four(y[b, i], x[b, 2 * i], x[b, 2 * i + 1])
        else:
            top, bottom, rows = box(i, x.shape[1], kernel[0], stride[0], above, below, include_pad)
            for j in range(w):
                left, right, columns = box(j, x.shape[2], kernel[1], stride[1], before, after, include_pad)
                count = f4(divisor if divisor != 0 else rows * columns)
                mean(y[b, i, j], lines[t], x[b], top, bottom, left, right, count)


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: images(x))
def avg_pool2d_backward(
    dx: Any, dy: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, include_pad: Any, divisor: Any
) -> None:
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
                    add_mean_gradient(dx[b, row], dy[b, i, j], left, right, count)


# -------------------------------------------------------------------------------------------- mean of volumes


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    when=lambda x, *_: volumes(x),
    work=lambda x, *params: [(x.shape[0] * params[3][0] * params[3][1], 2, x.shape[1])],
)
def avg_pool3d_forward(
    y: Any, lines: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: Any, divisor: Any
) -> None:
    """y = the sum of x over each window / its number of voxels, or / divisor if not 0."""
    n, d, h, w, _ = y.shape
    (front, back), (above, below), (before, after) = padding
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        first, last, planes = box(z, x.shape[1], kernel[0], stride[0], front, back, include_pad)
        top, bottom, rows = box(i, x.shape[2], kernel[1], stride[1], above, below, include_pad)
        for j in range(w):
            left, right, columns = box(j, x.shape[3], kernel[2], stride[2], before, after, include_pad)
            count = f4(divisor if divisor != 0 else planes * rows * columns)
            mean_of_volume(y[b, z, i, j], lines[t], x[b], (first, last), (top, bottom), (left, right), count)


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: volumes(x))
def avg_pool3d_backward(
    dx: Any, dy: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, include_pad: Any, divisor: Any
) -> None:
    """dx = the sum of dy / the window's voxels (or divisor) over the windows the voxel lies in, plane by plane."""
    n, depth, height, width, _ = dx.shape
    (front, back), (above, below), (before, after) = padding
    for t in prange(n * depth):
        b, plane = t // depth, t % depth
        dx[b, plane] = 0
        for z in range(dy.shape[1]):
            first, last, planes = box(z, depth, kernel[0], stride[0], front, back, include_pad)
            if first <= plane < last:
                for i in range(dy.shape[2]):
                    top, bottom, rows = box(i, height, kernel[1], stride[1], above, below, include_pad)
                    for j in range(dy.shape[3]):
                        left, right, columns = box(j, width, kernel[2], stride[2], before, after, include_pad)
                        count = f4(divisor if divisor != 0 else planes * rows * columns)
                        for row in range(top, bottom):
                            add_mean_gradient(dx[b, plane, row], dy[b, z, i, j], left, right, count)
