"""Three-dimensional max-pooling on the CPU: volumes are [n, d, h, w, c], the innermost loops run over channels."""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .pool import wins

f4 = np.float32


def takes(x: Any, *_: Any) -> bool:
    """What the loops can run on: float32 volumes."""
    return bool(x.ndim == 5 and x.dtype == f4)


@kernel(backend="numba", image="y index x", when=takes)
def max_pool3d_forward(
    y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any
) -> None:
    """y, index = the largest voxel of each window and the number of its tap; taps in the padding never win."""
    n, d, h, w, c = y.shape
    kd, kh, kw = kernel
    for t in prange(n * d * h):
        b, z, i = t // (d * h), t // h % d, t % h
        for j in range(w):
            best, first, found = y[b, z, i, j], index[b, z, i, j], False
            best[:] = -np.inf
            first[:] = 0
            for tap in range(kd * kh * kw):
                plane = z * stride[0] - before[0] + tap // (kh * kw) * dilation[0]
                row = i * stride[1] - before[1] + tap // kw % kh * dilation[1]
                column = j * stride[2] - before[2] + tap % kw * dilation[2]
                if 0 <= plane < x.shape[1] and 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                    voxel, number = x[b, plane, row, column], first.dtype.type(tap)
                    for k in range(c):
                        take = not found or wins(voxel[k], best[k])
                        best[k] = voxel[k] if take else best[k]
                        first[k] = number if take else first[k]
                    found = True


@kernel(backend="numba", image="dx dy index", when=takes)
def max_pool3d_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dx[plane] = the dy of each window that covers the plane, at the voxel whose tap won."""
    n, d, h, w, c = dy.shape
    kd, kh, kw = kernel
    for t in prange(n * dx.shape[1]):
        b, plane = t // dx.shape[1], t % dx.shape[1]
        dx[b, plane] = 0
        for z in range(d):
            reach = plane + before[0] - z * stride[0]
            if 0 <= reach <= (kd - 1) * dilation[0] and reach % dilation[0] == 0:
                base = reach // dilation[0] * kh * kw
                for at in range(h * w * kh * kw):
                    i, j, s, u = at // (w * kh * kw), at // (kh * kw) % w, at // kw % kh, at % kw
                    row = i * stride[1] - before[1] + s * dilation[1]
                    column = j * stride[2] - before[2] + u * dilation[2]
                    if 0 <= row < dx.shape[2] and 0 <= column < dx.shape[3]:
                        total, received, first = dx[b, plane, row, column], dy[b, z, i, j], index[b, z, i, j]
                        tap = first.dtype.type(base + s * kw + u)
                        for k in range(c):
                            total[k] += received[k] if first[k] == tap else f4(0)
