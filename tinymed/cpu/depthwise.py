"""Depthwise convolution (one filter per channel): bandwidth bound, so plain loops over channels that vectorise.

The composites of conv.py lead here when groups == channels == filters.  Images are NHWC and already padded, filters
are [kernel row][kernel column][1][channel].
"""

import numpy as np
from numba import prange

from ..backend import kernel
from .conv import direct_out
from .microkernel import TASKS


@kernel(backend="numba", image="y x", filter="w",
        out=lambda x, w, bias, stride, dilation: direct_out(x, None, bias, w.shape, stride, dilation, 1))  # fmt: skip
def depthwise_direct(y, x, w, bias, stride, dilation):
    """y[n, h, w, c] = bias[c] + sum_rs x[n, h*sh + r*dh, w*sw + s*dw, c] * weight[r, s, c]"""
    n, h, width, c = y.shape
    kh, kw = w.shape[0], w.shape[1]
    for t in prange(n * h):
        b, i = t // h, t % h
        for j in range(width):
            total = y[b, i, j]
            for o in range(c):
                total[o] = bias[o] if bias.size else np.float32(0)
            for r in range(kh):
                for s in range(kw):
                    pixel, tap = x[b, i * stride[0] + r * dilation[0], j * stride[1] + s * dilation[1]], w[r, s, 0]
                    for o in range(c):
                        total[o] += pixel[o] * tap[o]


@kernel(backend="numba", image="dx dy", filter="turned", out=lambda dy, turned, x_shape, *_: [x_shape])
def depthwise_scatter(dx, dy, turned, x_shape, stride, dilation):
    """dx[n, h*sh + r*dh, w*sw + s*dw, c] += dy[n, h, w, c] * weight[r, s, c], into a padded dx."""
    n, h, width, c = dy.shape
    kh, kw = turned.shape[0], turned.shape[1]
    for b in prange(n):
        dx[b] = 0
        for i in range(h):
            for j in range(width):
                pixel = dy[b, i, j]
                for r in range(kh):
                    for s in range(kw):
                        total = dx[b, i * stride[0] + r * dilation[0], j * stride[1] + s * dilation[1]]
                        tap = turned[kh - 1 - r, kw - 1 - s, 0]
                        for o in range(c):
                            total[o] += pixel[o] * tap[o]


def weight_work(dy, x, shape, stride, dilation):
    return [(max(1, min(TASKS, dy.shape[0] * dy.shape[2])), shape[2] * shape[3] * shape[0])]


@kernel(backend="numba", image="dy x", filter="dw", work=weight_work, out=lambda dy, x, shape, *_: [shape])
def depthwise_weight(dw, partial, dy, x, shape, stride, dilation):
    """dw[r, s, c] = sum_nhw x[n, h*sh + r*dh, w*sw + s*dw, c] * dy[n, h, w, c], rows cut into a fixed number of pieces."""
    n, h, width, c = dy.shape
    kh, kw, cuts = shape[2], shape[3], partial.shape[0]
    for cut in prange(cuts):
        partial[cut] = 0
        for t in range(cut * n * h // cuts, (cut + 1) * n * h // cuts):
            b, i = t // h, t % h
            for j in range(width):
                for r in range(kh):
                    for s in range(kw):
                        pixel = x[b, i * stride[0] + r * dilation[0], j * stride[1] + s * dilation[1]]
                        total = partial[cut, (r * kw + s) * c : (r * kw + s + 1) * c]
                        for o in range(c):
                            total[o] += pixel[o] * dy[b, i, j, o]
    total = dw.reshape(-1)
    total[:] = 0
    for cut in range(cuts):
        for i in range(total.size):
            total[i] += partial[cut, i]
