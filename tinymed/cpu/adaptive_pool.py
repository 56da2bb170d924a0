"""Adaptive and global average pooling on the CPU: part i of m along n pixels is i n/m .. (i + 1) n/m, rounded out."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .arguments import images, volumes
from .pool import add_mean_gradient, mean, mean_of_volume, part

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
        top, bottom = part(i, h, height)
        for j in range(w):
            left, right = part(j, w, width)
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
            top, bottom = part(i, h, height)
            if top <= row < bottom:
                for j in range(w):
                    left, right = part(j, w, width)
                    add_mean_gradient(dx[b, row], dy[b, i, j], left, right, f4((bottom - top) * (right - left)))


@kernel(
    backend="numba",
    double="numba",
    image="y x",
    when=lambda x, *_: volumes(x),
    work=lambda x, size: [(x.shape[0] * size[0] * size[1], 2, x.shape[1])],
)
def adaptive_avg_pool3d_forward(y: Any, lines: Any, x: Any, size: Any) -> None:
    """y[h, i, j] = the mean of x over the part of each axis."""
    n, d, h, w, _ = y.shape
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        planes, rows = part(z, d, x.shape[1]), part(i, h, x.shape[2])
        for j in range(w):
            columns = part(j, w, x.shape[3])
            count = f4((planes[1] - planes[0]) * (rows[1] - rows[0]) * (columns[1] - columns[0]))
            mean_of_volume(y[b, z, i, j], lines[t], x[b], planes, rows, columns, count)


@kernel(backend="numba", double="numba", image="dx dy", when=lambda x, *_: volumes(x))
def adaptive_avg_pool3d_backward(dx: Any, dy: Any, x_shape: Any) -> None:
    """dx = the sum of dy / the box's voxels over the boxes the voxel lies in; each plane gathers its own."""
    n, depth, height, width, _ = dx.shape
    d, h, w = dy.shape[1], dy.shape[2], dy.shape[3]
    for t in prange(n * depth):
        b, plane = t // depth, t % depth
        dx[b, plane] = 0
        for z in range(d):
            front, back = part(z, d, depth)
            if front <= plane < back:
                for i in range(h):
                    top, bottom = part(i, h, height)
                    for j in range(w):
                        left, right = part(j, w, width)
                        count = f4((back - front) * (bottom - top) * (right - left))
                        for row in range(top, bottom):
                            add_mean_gradient(dx[b, plane, row], dy[b, z, i, j], left, right, count)
