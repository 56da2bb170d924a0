"""Backward through batch norm and ReLU with the ReLU's mask found again from x: no masked gradient is stored.

Six of nine passes over memory are left (dy, y, x, g written; g, x, dx written, each write preceded by a read).
"""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..norm import (
    BLOCK,
    CHUNKS,
    GRAIN,
    add_chunks,
    add_lanes,
    backward_map,
    channels_and_map,
    fill_map,
    fill_strip,
    rows_of,
    stats_work,
    strip_width,
)
from ..simd.passes import pass_masked_gradient, pass_masked_products, pass_masked_scale
from ..simd.streaming import exceeds_cache
from ..simd.vectors import address
from .norm import rows_like

MASK_FOUND_AGAIN = define(
    "relu's mask found again",
    """
    y = batch_norm_relu(x, forward)
    g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
    dx = batch_norm_apply_gradient(g, x, mean, map, training)
""",
    """
    y = batch_norm_relu(x, forward)
    dweight, dbias, map = batch_norm_relu_backward_sums(dy, x, forward, weight, mean, rstd, training)
    dx = batch_norm_relu_backward(dy, x, forward, mean, map, training)
""",
    backend="numba",
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape), "forward": v["map"]},
)


@kernel(
    backend="numba",
    double="numba",
    rows="dy x",
    out=channels_and_map,
    work=lambda dy, *_: [*stats_work(dy), (4, strip_width(dy.shape[1], rows_of(dy)))],
    flops=lambda dy, *_: 7 * dy.size,
)
def batch_norm_relu_backward_sums(
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    strips: Any,
    dy: Any,
    x: Any,
    forward: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """batch_norm_sums of g = dy where (x - forward[0]) forward[1] + forward[2] > 0, else 0."""
    (n, c), chunks, wide = x.shape, totals.shape[0], strips.shape[1]
    xs, dys, block = x.reshape(x.size), dy.reshape(dy.size), BLOCK * wide
    fill_map(strips, forward)
    fill_strip(strips[3], mean)
    for t in prange(chunks):
        totals[t] = 0
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, block):
            sums[t, 1:] = 0
            pass_masked_products(
                min(block, last - a),
                0,
                wide,
                address(dys[a:]),
                address(xs[a:]),
                address(strips),
                address(sums[t, 1]),
                0,
            )
            add_lanes(totals[t, 0], sums[t, 1])
            add_lanes(totals[t, 1], sums[t, 2])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, n if training else 0)


@serial
def fill_strips(strips: Any, forward: Any, map: Any, mean: Any) -> None:
    """Fill what masked_run reads: the map of forward, that of backward, and the mean, repeated along strips."""
    fill_map(strips, forward)
    fill_map(strips[3:], map)
    fill_strip(strips[6], mean)


@serial
def masked_run(dx: Any, dy: Any, x: Any, strips: Any, training: Any, nontemporal: Any) -> None:
    """dx = a g + b (x - mean) + d for whole rows; with running statistics a g, whatever x is."""
    if training:
        pass_masked_gradient(
            x.size, 0, strips.shape[1], address(dy), address(x), address(dx), address(strips), 0, nontemporal
        )
    else:
        pass_masked_scale(
            x.size, 0, strips.shape[1], address(dy), address(x), address(dx), address(strips), 0, nontemporal
        )


@kernel(
    backend="numba",
    double="numba",
    rows="dx dy x",
    work=lambda dy, *_: [(7, strip_width(dy.shape[1]))],
    out=lambda dy, *_: [dy.shape],
    flops=lambda dy, *_: 7 * dy.size,
)
def batch_norm_relu_backward(
    dx: Any, strips: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any, training: Any
) -> None:
    """dx = map[0] g + map[1] (x - mean) + map[2];  g = dy where the forward map of x is above 0, else 0."""
    n, c = x.shape
    chunks = max(1, min(CHUNKS, x.size // GRAIN))
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    fill_strips(strips, forward, map, mean)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        masked_run(dxs[a:b], dys[a:b], xs[a:b], strips, training, exceeds_cache(dx))


ADD_TO_CONCAT_GRADIENT = define(
    "add to a concatenation's gradient",
    """
    dx = batch_norm_relu_backward(dy, x, forward, mean, map, training)
    total = take_channels_add(whole, shape, pitch, dx)
""",
    "total = batch_norm_relu_backward_add(dy, x, forward, mean, map, training, whole, pitch)",
    backend="numba",
    samples=lambda draw: added(rows_like(draw), draw),
)


def added(v: dict[str, Any], draw: Any) -> dict[str, Any]:
    """Draw the pattern's inputs: a window on the channels of something wider."""
    shape, step = v["x"].shape, v["x"].shape[1] + draw.integer(0, 5)
    size = (v["x"].size // shape[1] - 1) * step + shape[1]
    return v | {
        "dy": draw.array(shape),
        "forward": v["map"],
        "shape": shape,
        "pitch": step,
        "whole": draw.array((size,)),
    }


@kernel(
    backend="numba",
    double="numba",
    rows="total dy x",
    work=lambda dy, *_: [(7, strip_width(dy.shape[1]))],
    out=lambda dy, *_: [dy.shape],
    flops=lambda dy, *_: 8 * dy.size,
)
def batch_norm_relu_backward_add(
    total: Any, strips: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any, training: Any, whole: Any, pitch: Any
) -> None:
    """Compute batch_norm_relu_backward, and add the first channels of whole's pixels, which lie `pitch` apart."""
    n, c = x.shape
    chunks, wide = max(1, min(CHUNKS, x.size // GRAIN)), strips.shape[1]
    xs, dys, totals = x.reshape(x.size), dy.reshape(dy.size), total.reshape(total.size)
    fill_strips(strips, forward, map, mean)
    for t in prange(chunks):
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, wide):
            b = min(a + wide, last)
            masked_run(totals[a:b], dys[a:b], xs[a:b], strips, training, 0)
            for row in range(a // c, b // c):
                to, other = total[row], whole[row * pitch : row * pitch + c]
                for k in range(c):
                    to[k] += other[k]
