"""Backward through batch norm and ReLU in mixed precision, with the ReLU's mask found again from x.

As norm_relu.py, of a map whose numbers were rounded: what rounds to zero passes no gradient on.
"""

from typing import Any

from llvmlite import ir
from numba import prange

from ...dispatch import kernel
from ...program import define
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
from ..simd.bf16_product import rounded
from ..simd.passes import GRADIENT, MASK, Values, affine, gradient, products, row_pass, where_above
from ..simd.streaming import exceeds_cache
from ..simd.vectors import Vectors, address
from .norm import rows_like, sum_lanes
from .norm_relu import fill_strips

MASK_FOUND_AGAIN = define(
    "rounded relu's mask found again",
    """
    y = bf16_norm_relu(x, forward)
    g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
    dx = batch_norm_apply_gradient(g, x, mean, map, training)
""",
    """
    y = bf16_norm_relu(x, forward)
    dweight, dbias, map = bf16_norm_relu_backward_sums(dy, x, forward, weight, mean, rstd, training)
    dx = bf16_norm_relu_backward(dy, x, forward, mean, map, training)
""",
    backend="numba",
    when=lambda v: v["training"],
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape), "forward": v["map"]},
)


GRADIENT_RELU = define(
    "batch norm's gradient, rounded, + relu's, with the sum of both",
    """
    dx = batch_norm_apply_gradient(dy, x, mean, map, training)
    r = bf16_round(dx)
    dr = relu_backward(r, x)
    dbias = channel_sum(dr)
    """,
    "dr, dbias = bf16_norm_gradient_relu(dy, x, mean, map, training)",
    backend="numba",
    when=lambda v: v["training"],
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape)},
)


def passed(v: Vectors, dy: ir.Value, x: ir.Value, center: ir.Value, scale: ir.Value, shift: ir.Value) -> ir.Value:
    """Return dy where (x - center) scale + shift, rounded to bfloat16, is above 0, else 0."""
    return where_above(v, dy, rounded(v, affine(v, x, center, scale, shift)))


def masked_products(v: Vectors, dy: ir.Value, x: ir.Value, *rest: ir.Value) -> tuple[Values, Values]:
    """Return the sums of g and g (x - mean), g = dy where the mask is set, else 0."""
    return (), products(v, passed(v, dy, x, *rest[:3]), x, *rest[3:])


def masked_gradient(v: Vectors, dy: ir.Value, x: ir.Value, *rest: ir.Value) -> tuple[Values, Values]:
    """Return the gradient from dy where the mask is set, else from 0."""
    return (gradient(v, passed(v, dy, x, *rest[:3]), x, *rest[3:]),), ()


def gradient_relu(v: Vectors, dy: ir.Value, x: ir.Value, *rest: ir.Value) -> tuple[Values, Values]:
    """Return the gradient, rounded, where x > 0, else 0, and its sum."""
    *map, s = rest
    g = where_above(v, rounded(v, gradient(v, dy, x, *map)), x)
    return (g,), (v.b.fadd(s, g),)


pass_gradient_relu = row_pass("bf16_gradient_relu", "dy x", "dx", GRADIENT, "s", gradient_relu)
pass_sums = row_pass("bf16_masked_products", "dy x", "", f"{MASK} mean", "s q", masked_products)
pass_gradient = row_pass("bf16_masked_gradient", "dy x", "dx", f"{MASK} {GRADIENT}", "", masked_gradient)


@kernel(
    backend="numba",
    rows="dy x",
    out=channels_and_map,
    work=lambda dy, *_: [*stats_work(dy), (4, strip_width(dy.shape[1], rows_of(dy)))],
    flops=lambda dy, *_: 7 * dy.size,
)
def bf16_norm_relu_backward_sums(
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
    """batch_norm_sums of g = dy where (x - forward[0]) forward[1] + forward[2], rounded, is above 0, else 0."""
    (n, c), chunks, wide = x.shape, totals.shape[0], strips.shape[1]
    xs, dys, block = x.reshape(x.size), dy.reshape(dy.size), BLOCK * wide
    fill_map(strips, forward)
    fill_strip(strips[3], mean)
    for t in prange(chunks):
        totals[t] = 0
        last = (t + 1) * n // chunks * c
        for a in range(t * n // chunks * c, last, block):
            sums[t, 1:] = 0
            size = min(block, last - a)
            pass_sums(size, 0, wide, address(dys[a:]), address(xs[a:]), address(strips), address(sums[t, 1]), 0)
            add_lanes(totals[t, 0], sums[t, 1])
            add_lanes(totals[t, 1], sums[t, 2])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, n if training else 0)


@kernel(
    backend="numba",
    rows="dx dy x",
    work=lambda dy, *_: [(7, strip_width(dy.shape[1]))],
    out=lambda dy, *_: [dy.shape],
    flops=lambda dy, *_: 7 * dy.size,
)
def bf16_norm_relu_backward(
    dx: Any, strips: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any, training: Any
) -> None:
    """dx = map[0] g + map[1] (x - mean) + map[2];  g = dy where the rounded forward map of x is above 0, else 0."""
    (n, c), chunks, wide = x.shape, max(1, min(CHUNKS, x.size // GRAIN)), strips.shape[1]
    xs, dys, dxs = x.reshape(x.size), dy.reshape(dy.size), dx.reshape(dx.size)
    fill_strips(strips, forward, map, mean)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        bypasses = exceeds_cache(dx)
        pass_gradient(b - a, 0, wide, address(dys[a:]), address(xs[a:]), address(dxs[a:]), address(strips), 0, bypasses)


@kernel(
    backend="numba",
    rows="dr dy x",
    out=lambda dy, *_: [dy.shape, (dy.shape[1],)],
    work=lambda dy, *_: [(4, strip_width(dy.shape[1])), (CHUNKS, strip_width(dy.shape[1]))],
    flops=lambda dy, *_: 6 * dy.size,
)
def bf16_norm_gradient_relu(
    dr: Any, dbias: Any, strips: Any, sums: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any
) -> None:
    """dr = map[0] dy + map[1] (x - mean) + map[2], rounded, where x > 0, else 0; its sum over all but the channels."""
    xs, dys, drs, wide = x.reshape(x.size), dy.reshape(dy.size), dr.reshape(dr.size), strips.shape[1]
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    fill_map(strips, map)
    fill_strip(strips[3], mean)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        sums[t] = 0
        pass_gradient_relu(
            b - a,
            0,
            wide,
            address(dys[a:]),
            address(xs[a:]),
            address(drs[a:]),
            address(strips),
            address(sums[t]),
            exceeds_cache(dr),
        )
    sum_lanes(dbias, sums[:chunks])
