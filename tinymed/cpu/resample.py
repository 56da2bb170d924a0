"""Resampling on the CPU: rows of the output, or of dx, are independent; the innermost loops run over channels.

Positions are computed as in the reference, so both choose the same pixels.
"""

from typing import Any

import numpy as np
from numba import njit, prange

from ..dispatch import kernel
from .arguments import images
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
