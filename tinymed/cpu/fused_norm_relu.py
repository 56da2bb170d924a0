"""Backward through batch norm and ReLU with the ReLU's mask found again from x: no masked gradient is stored.

Of nine passes over memory (dy, y, x, g written; g, x, dx written, each write preceded by a read) six are left.
"""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from ..program import pattern
from . import join  # noqa: F401  whose rewrites are tried first
from .fused_norm import rows_like
from .jit import serial
from .norm import (
    BLOCK,
    CHUNKS,
    GRAIN,
    add_chunks,
    backward_map,
    channels_and_map,
    fold,
    lanes,
    stats_work,
    tile,
    tile_map,
)

f4 = np.float32

pattern("relu's mask found again", """
    y = batch_norm_relu(x, forward)
    g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
    dx = batch_norm_apply_gradient(g, x, mean, map, training)
""", """
    y = batch_norm_relu(x, forward)
    dweight, dbias, map = batch_norm_relu_backward_sums(dy, x, forward, weight, mean, rstd, training)
    dx = batch_norm_relu_backward(dy, x, forward, mean, map, training)
""", backend="numba", samples=lambda draw: (v := rows_like(draw)) | {
        "dy": draw.array(v["x"].shape), "forward": v["map"]})  # fmt: skip


@serial
def add_masked(strips: Any, s: Any, q: Any, dy: Any, x: Any, mean: Any) -> None:
    """s = sum g, q = sum g (x - mean) over the strips of a block; g = dy where the forward map is above 0."""
    center, scale, shift = strips[0], strips[1], strips[2]
    s[:] = 0
    q[:] = 0
    for e in range(0, x.size, s.size):
        xe, de = x[e : e + s.size], dy[e : e + s.size]
        for j in range(xe.size):
            g = de[j] if (xe[j] - center[j]) * scale[j] + shift[j] > 0 else f4(0)
            s[j] += g
            q[j] += g * (xe[j] - mean[j])


@kernel(backend="numba", rows="dy x", out=channels_and_map,
        work=lambda dy, *_: [*stats_work(dy), (4, lanes(dy.shape[1]))], flops=lambda dy, *_: 7 * dy.size)  # fmt: skip
def batch_norm_relu_backward_sums(dweight: Any, dbias: Any, map: Any, totals: Any, sums: Any, strips: Any, dy: Any,
                                  x: Any, forward: Any, weight: Any, mean: Any, rstd: Any, training: Any,
                                  ) -> None:  # fmt: skip
    """batch_norm_sums of g = dy where (x - forward[0]) forward[1] + forward[2] > 0, else 0."""
    (n, c), chunks, wide = x.shape, totals.shape[0], strips.shape[1]
    xs, dys, block = x.reshape(x.size), dy.reshape(dy.size), max(32, BLOCK // wide) * wide
    tile_map(strips, forward)
    tile(strips[3], mean)
    for t in prange(chunks):
        totals[t] = 0
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, block):
            b = min(a + block, last)
            add_masked(strips, sums[t, 1], sums[t, 2], dys[a:b], xs[a:b], strips[3])
            fold(totals[t, 0], sums[t, 1])
            fold(totals[t, 1], sums[t, 2])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, n if training else 0)


@serial
def fill_strips(strips: Any, forward: Any, map: Any, mean: Any) -> None:
    """What masked_strip reads: the map of forward, that of backward, and the mean, repeated along strips."""
    tile_map(strips, forward)
    tile_map(strips[3:], map)
    tile(strips[6], mean)


@serial
def masked_strip(dx: Any, dy: Any, x: Any, strips: Any, training: Any) -> None:
    """dx = a g + b (x - mean) + d for a strip of numbers; with running statistics a g, whatever x is."""
    center, scale, shift, a, b, d = strips[0], strips[1], strips[2], strips[3], strips[4], strips[5]
    mean = strips[6]
    if training:
        for j in range(dx.size):
            g = dy[j] if (x[j] - center[j]) * scale[j] + shift[j] > 0 else f4(0)
            dx[j] = a[j] * g + (b[j] * (x[j] - mean[j]) + d[j])
    else:
        for j in range(dx.size):
            g = dy[j] if (x[j] - center[j]) * scale[j] + shift[j] > 0 else f4(0)
            dx[j] = a[j] * g


@kernel(backend="numba", rows="dx dy x", work=lambda dy, *_: [(7, lanes(dy.shape[1]))],
        out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 7 * dy.size)  # fmt: skip
def batch_norm_relu_backward(dx: Any, strips: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any,
                             training: Any) -> None:  # fmt: skip
    """dx = map[0] g + map[1] (x - mean) + map[2];  g = dy where the forward map of x is above 0, else 0."""
    n, c = x.shape
    chunks, wide = max(1, min(CHUNKS, x.size // GRAIN)), strips.shape[1]
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    fill_strips(strips, forward, map, mean)
    for t in prange(chunks):
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, wide):
            b = min(a + wide, last)
            masked_strip(dxs[a:b], dys[a:b], xs[a:b], strips, training)


pattern("add to a concatenation's gradient", """
    dx = batch_norm_relu_backward(dy, x, forward, mean, map, training)
    total = take_channels_add(whole, shape, pitch, dx)
""", "total = batch_norm_relu_backward_add(dy, x, forward, mean, map, training, whole, pitch)", backend="numba",
        samples=lambda draw: added(rows_like(draw), draw))  # fmt: skip


def added(v: dict[str, Any], draw: Any) -> dict[str, Any]:
    """The pattern's inputs: a window on the channels of something wider."""
    shape, step = v["x"].shape, v["x"].shape[1] + draw.integer(0, 5)
    size = (v["x"].size // shape[1] - 1) * step + shape[1]
    return v | {"dy": draw.array(shape), "forward": v["map"], "shape": shape, "pitch": step,
                "whole": draw.array((size,))}  # fmt: skip


@kernel(backend="numba", rows="total dy x", work=lambda dy, *_: [(7, lanes(dy.shape[1]))],
        out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 8 * dy.size)  # fmt: skip
def batch_norm_relu_backward_add(total: Any, strips: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any,
                                 training: Any, whole: Any, pitch: Any) -> None:  # fmt: skip
    """batch_norm_relu_backward, and added to it the first channels of whole's pixels, which lie `pitch` apart."""
    n, c = x.shape
    chunks, wide = max(1, min(CHUNKS, x.size // GRAIN)), strips.shape[1]
    xs, dys, totals = x.reshape(x.size), dy.reshape(dy.size), total.reshape(total.size)
    fill_strips(strips, forward, map, mean)
    for t in prange(chunks):
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, wide):
            b = min(a + wide, last)
            masked_strip(totals[a:b], dys[a:b], xs[a:b], strips, training)
            for row in range(a // c, b // c):
                to, other = total[row], whole[row * pitch : row * pitch + c]
                for k in range(c):
                    to[k] += other[k]
