"""Adaptive and global average pooling on the CPU: part i of m along n pixels is i n/m .. (i + 1) n/m, rounded out."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .arguments import images
from .pool import add_mean_gradient, mean

f4 = np.float32


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    when=lambda x, *_: images(x),
    work=lambda x, size: [(x.shape[0] * size[0], x.shape[1])],
)
def adaptive_avg_pool2d_forward(y: Any, lines: Any, x: Any, size: Any) -> None:
    """y[i, j] = the mean of x over rows floor(i H / h) to ceil((i + 1) H / h), columns likewise."""
    n, h, w, _ = y.shape
    height, width = x.shape[1], x.shape[2]
    for t in prange(n * h):
        b, i = t // h, t % h
        top, bottom = i * height // h, ((i + 1) * height + h - 1) // h
        for j in range(w):
            left, right = j * width // w, ((j + 1) * width + w - 1) // w
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
            top, bottom = i * height // h, ((i + 1) * height + h - 1) // h
            if top <= row < bottom:
                for j in range(w):
                    left, right = j * width // w, ((j + 1) * width + w - 1) // w
                    add_mean_gradient(dx[b, row], dy[b, i, j], left, right, f4((bottom - top) * (right - left)))
