"""Two-dimensional convolution by its definition: a sum for each number, in loops, on one thread.

For a thousand or two multiplications it takes less time than padding the image and packing the filter for the
microkernel.  Images are NHWC, filters HWIO; stride, padding, dilation and groups are any.  Sums run in float64.  Zeros
around an image are multiplied like any pixel: 0 times NaN is NaN.
"""

import math
from typing import Any

import numpy as np

from ...dispatch import kernel
from ...ops.conv import forward_flops, output_shape

f8 = np.float64


@kernel(backend="numba", double="numba", image="y x", filter="w", out=output_shape, flops=forward_flops, parallel=False)
def conv_naive(y: Any, x: Any, w: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any) -> None:
    """y[n, i, j, k] = bias[k] + sum_rsc x[n, i*sh + r*dh - top, j*sw + s*dw - left, c] w[r, s, c, k]"""
    (top, _), (left, _) = padding
    kh, kw, depth, filters = w.shape
    for b in range(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for k in range(filters):
                    first = k // (filters // groups) * depth
                    total = f8(bias[k]) if bias.size > 0 else 0.0
                    for r in range(kh):
                        row = i * stride[0] + r * dilation[0] - top
                        for s in range(kw):
                            column = j * stride[1] + s * dilation[1] - left
                            inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
                            for c in range(depth):
                                total += (f8(x[b, row, column, first + c]) if inside else 0.0) * f8(w[r, s, c, k])
                    y[b, i, j, k] = total


@kernel(
    backend="numba",
    double="numba",
    image="dx dy",
    filter="w",
    out=lambda dy, w, x_shape, *_: [x_shape],
    flops=lambda dy, w, *_: 2 * math.prod(w.shape[1:]) * dy.size,
    parallel=False,
)
def conv_naive_input(
    dx: Any, dy: Any, w: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> None:
    """dx[n, i*sh + r*dh - top, j*sw + s*dw - left, c] = sum_rsk dy[n, i, j, k] w[r, s, c, k], for each pixel."""
    (top, _), (left, _) = padding
    kh, kw, depth, filters = w.shape
    per_group = filters // groups
    for b in range(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    first, total = c // depth * per_group, 0.0
                    for r in range(kh):
                        down = row + top - r * dilation[0]
                        i = down // stride[0]
                        if down >= 0 and i * stride[0] == down and i < dy.shape[1]:
                            for s in range(kw):
                                across = column + left - s * dilation[1]
                                j = across // stride[1]
                                if across >= 0 and j * stride[1] == across and j < dy.shape[2]:
                                    for k in range(first, first + per_group):
                                        total += f8(dy[b, i, j, k]) * f8(w[r, s, c % depth, k])
                    dx[b, row, column, c] = total


@kernel(
    backend="numba",
    double="numba",
    image="dy x",
    filter="dw",
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * math.prod(shape[1:]) * dy.size,
    parallel=False,
)
def conv_naive_weight(
    dw: Any, dy: Any, x: Any, shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> None:
    """dw[r, s, c, k] = sum_nij x[n, i*sh + r*dh - top, j*sw + s*dw - left, c] dy[n, i, j, k]"""
    (top, _), (left, _) = padding
    kh, kw, depth, filters = dw.shape
    for r in range(kh):
        for s in range(kw):
            for c in range(depth):
                for k in range(filters):
                    channel, total = k // (filters // groups) * depth + c, 0.0
                    for b in range(dy.shape[0]):
                        for i in range(dy.shape[1]):
                            row = i * stride[0] + r * dilation[0] - top
                            for j in range(dy.shape[2]):
                                column = j * stride[1] + s * dilation[1] - left
                                inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
                                total += (f8(x[b, row, column, channel]) if inside else 0.0) * f8(dy[b, i, j, k])
                    dw[r, s, c, k] = total
