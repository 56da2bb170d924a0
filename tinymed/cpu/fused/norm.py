"""Batch normalisation and its neighbours in one pass, each kernel beside the pattern that brings it in.

A pattern's left side is the definition of its fused kernel; the tests run both.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.dropout import RANGE, TICKET
from ...program import define
from ..compiler.jit import serial
from ..dropout import BLOCKS, NUMBERS, PARTITIONS, drop, drop_rounded, words_work
from ..norm import (
    BLOCK,
    CHUNKS,
    GRAIN,
    add_chunks,
    add_lanes,
    apply_run,
    backward_map,
    channels_and_map,
    fill_map,
    fill_strip,
    lane_sum,
    map_work,
    stats_work,
    strip_width,
)
from ..simd.passes import (
    pass_add_relu_products,
    pass_affine_add_relu,
    pass_affine_relu,
    pass_gradient_relu,
    pass_products,
    pass_relu_products,
    pass_scale_relu,
)
from ..simd.philox import draw, take_ticket
from ..simd.streaming import exceeds_cache, store_fence
from ..simd.vectors import address

SHAPES = ((3, 4, 5, 6), (2, 33, 7, 3), (1, 1, 1, 1), (8, 32, 16, 16), (2, 300, 3, 3), (5, 7))


def rows_like(draw: Any) -> dict[str, Any]:
    """Draw x of some shape, a map and a mean for its channels: what the patterns' samples begin with."""
    shape = draw.choice(SHAPES)
    c = (shape[1],)
    return {
        "x": draw.array(shape),
        "map": draw.array((3, *c)),
        "mean": draw.array(c),
        "weight": draw.array(c),
        "rstd": draw.array(c, low=0.5, high=2),
        "training": True,
    }


# ---------------------------------------------------------------------------------------------------- forward


NORM_RELU = define(
    "batch norm + relu",
    "n = batch_norm_apply(x, map)\ny = relu_forward(n)",
    "y = batch_norm_relu(x, map)",
    backend="numba",
    samples=rows_like,
)


@kernel(
    backend="numba",
    double="numba",
    rows="y x",
    out=lambda x, map: [x.shape],
    work=map_work,
    flops=lambda x, *_: 4 * x.size,
)
def batch_norm_relu(y: Any, strips: Any, x: Any, map: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2], 0)"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        pass_affine_relu(
            b - a, 0, strips.shape[1], address(xs[a:]), address(ys[a:]), address(strips), 0, exceeds_cache(y)
        )


NORM_ADD_RELU = tuple(
    define(
        "batch norm + add + relu",
        f"n = batch_norm_apply(x, map)\ns = add({terms})\ny = relu_forward(s)",
        "y = batch_norm_add_relu(x, map, z)",
        backend="numba",
        when=lambda v: v["z"].shape == v["x"].shape,
        samples=lambda draw: (v := rows_like(draw)) | {"z": draw.array(v["x"].shape)},
    )
    for terms in ("n, z", "z, n")
)


@kernel(
    backend="numba",
    double="numba",
    rows="y x z",
    out=lambda x, *_: [x.shape],
    work=map_work,
    flops=lambda x, *_: 5 * x.size,
)
def batch_norm_add_relu(y: Any, strips: Any, x: Any, map: Any, z: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2] + z, 0)"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys, zs = x.reshape(x.size), y.reshape(y.size), z.reshape(z.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        pass_affine_add_relu(
            b - a,
            0,
            strips.shape[1],
            address(xs[a:]),
            address(zs[a:]),
            address(ys[a:]),
            address(strips),
            0,
            exceeds_cache(y),
        )


DROPOUT = {"state": np.arange(5, dtype=np.uint32), "limit": 1 << 14, "scale": 4 / 3}
NORM_DROPOUT = define(
    "batch norm + dropout",
    "n = batch_norm_apply(x, map)\ny, ticket = dropout_forward(n, state, limit, scale)",
    "y, ticket = batch_norm_dropout(x, map, state, limit, scale, 0)",
    backend="numba",
    samples=lambda draw: rows_like(draw) | DROPOUT,
)
NORM_DROPOUT_ROUNDED = define(
    "batch norm, rounded, + dropout, rounded",
    "n = bf16_norm(x, map)\nd, ticket = dropout_forward(n, state, limit, scale)\ny = bf16_round(d)",
    "y, ticket = batch_norm_dropout(x, map, state, limit, scale, 1)",
    backend="numba",
    samples=lambda draw: rows_like(draw) | DROPOUT,
)


@kernel(
    backend="numba",
    double="numba",
    rows="y x",
    writes="state",
    out=lambda x, *_: [x.shape, TICKET],
    work=lambda x, *_: [*map_work(x), *words_work(x), (PARTITIONS, NUMBERS)],
    flops=lambda x, *_: 4 * x.size,
)
def batch_norm_dropout(
    y: Any,
    ticket: Any,
    strips: Any,
    words: Any,
    window: Any,
    x: Any,
    map: Any,
    state: Any,
    limit: Any,
    scale: Any,
    rounds: Any,
) -> None:
    """y = scale ((x - map[0]) map[1] + map[2]) where the element's bits are >= limit, else 0 times it.

    rounds: to bfloat16, before dropout and after it.
    """
    xs, ys, partitions, bound = x.reshape(x.size), y.reshape(y.size), words.shape[0], min(limit, RANGE - 1)
    count = (x.size + NUMBERS - 1) // NUMBERS
    take_ticket(ticket, state)
    fill_map(strips, map)
    for part in prange(partitions):
        for b in range(part * count // partitions, (part + 1) * count // partitions):
            first, last = b * NUMBERS, min((b + 1) * NUMBERS, x.size)
            apply_run(window[part], xs[first:last], first, strips, 0)
            draw(words[part], b * BLOCKS, ticket)
            if rounds:
                drop_rounded(ys[first:last], window[part, : last - first], words[part], bound, scale, exceeds_cache(y))
            else:
                drop(ys[first:last], window[part, : last - first], words[part], bound, scale, exceeds_cache(y))
        if exceeds_cache(y):
            store_fence()


# --------------------------------------------------------------------------------------------------- backward


def sums_work(dy: Any, *_: Any) -> list[Any]:
    """Return the scratch: that of batch_norm_sums, and the words of a window for each chunk."""
    stats = stats_work(dy)
    return [*stats, ((stats[1][0], 4, BLOCKS), np.uint32)]


@serial
def end_block(total: Any, sums: Any) -> None:
    """Add the strips of a block to the sums of its chunk, and clear them."""
    add_lanes(total[0], sums[1])
    add_lanes(total[1], sums[2])
    sums[1:] = 0


def dropped_rows(draw: Any) -> dict[str, Any]:
    """Draw the gradient of a dropout behind batch norm, and what both have kept."""
    v = rows_like(draw)
    return v | {"dy": draw.array(v["x"].shape), "ticket": DROPOUT["state"], "limit": 1 << 14, "scale": 4 / 3}


DROPOUT_SUMS = define(
    "dropout + batch norm's sums",
    """
    g = dropout_backward(dy, ticket, limit, scale)
    dweight, dbias, map = batch_norm_sums(g, x, weight, mean, rstd, training)
""",
    "g, dweight, dbias, map = dropout_batch_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training, 0)",
    backend="numba",
    samples=dropped_rows,
)
DROPOUT_SUMS_ROUNDED = define(
    "dropout of what is rounded, rounded, + batch norm's sums",
    """
    r = bf16_round(dy)
    d = dropout_backward(r, ticket, limit, scale)
    g = bf16_round(d)
    dweight, dbias, map = batch_norm_sums(g, x, weight, mean, rstd, training)
""",
    "g, dweight, dbias, map = dropout_batch_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training, 1)",
    backend="numba",
    samples=dropped_rows,
)


@kernel(
    backend="numba",
    double="numba",
    rows="g dy x",
    work=sums_work,
    flops=lambda dy, *_: 5 * dy.size,
    out=lambda dy, *_: [dy.shape, *channels_and_map(dy)],
)
def dropout_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    words: Any,
    dy: Any,
    ticket: Any,
    limit: Any,
    scale: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
    rounds: Any,
) -> None:
    """g = scale dy where the bits drawn again are >= limit, else 0; the sums of g and g xhat.

    rounds: to bfloat16, dy and g.
    """
    xs, dys, gs, chunks = x.reshape(x.size), dy.reshape(x.size), g.reshape(x.size), totals.shape[0]
    count, bound = (x.size + NUMBERS - 1) // NUMBERS, min(limit, RANGE - 1)
    wide = sums.shape[2]
    windows = max(1, BLOCK * wide // NUMBERS)  # of NUMBERS numbers, whose sums run in float32
    for t in prange(chunks):
        fill_strip(sums[t, 0], mean)
        totals[t], sums[t, 1:] = 0, 0
        for b in range(t * count // chunks, (t + 1) * count // chunks):
            first, last = b * NUMBERS, min((b + 1) * NUMBERS, x.size)
            draw(words[t], b * BLOCKS, ticket)
            if rounds:
                drop_rounded(gs[first:last], dys[first:last], words[t], bound, scale, 0)
            else:
                drop(gs[first:last], dys[first:last], words[t], bound, scale, 0)
            pass_products(
                last - first,
                first % wide,
                wide,
                address(gs[first:]),
                address(xs[first:]),
                address(sums[t, 0]),
                address(sums[t, 1]),
                0,
            )
            if b % windows == 0:
                end_block(totals[t], sums[t])
        end_block(totals[t], sums[t])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, x.shape[0] if training else 0)


RELU_SUMS = define(
    "relu + batch norm's sums",
    """
    g = relu_backward(dy, y)
    dweight, dbias, map = batch_norm_sums(g, x, weight, mean, rstd, training)
""",
    "g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)",
    backend="numba",
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape), "y": draw.array(v["x"].shape)},
)


@kernel(
    backend="numba",
    double="numba",
    rows="g dy y x",
    work=stats_work,
    flops=lambda dy, *_: 5 * dy.size,
    out=lambda dy, *_: [dy.shape, *channels_and_map(dy)],
)
def relu_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    dy: Any,
    y: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """g = dy where y > 0, else 0; the sums of g and g xhat."""
    xs, ys, dys, gs = x.reshape(x.size), y.reshape(x.size), dy.reshape(x.size), g.reshape(x.size)
    (n, c), chunks, wide = x.shape, totals.shape[0], sums.shape[2]
    for t in prange(chunks):
        fill_strip(sums[t, 0], mean)
        totals[t], sums[t, 1:] = 0, 0
        last, block = (t + 1) * n // chunks * c, BLOCK * wide
        for first in range(t * n // chunks * c, last, block):
            pass_relu_products(
                min(block, last - first),
                0,
                wide,
                address(dys[first:]),
                address(ys[first:]),
                address(xs[first:]),
                address(gs[first:]),
                address(sums[t, 0]),
                address(sums[t, 1]),
                exceeds_cache(g),
            )
            end_block(totals[t], sums[t])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, x.shape[0] if training else 0)


ADD_RELU_SUMS = tuple(
    define(
        "add + relu + batch norm's sums",
        f"""
        dy = add({terms})
        g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
        """,
        "g, dweight, dbias, map = add_relu_batch_norm_sums(a, b, y, x, weight, mean, rstd, training)",
        backend="numba",
        when=lambda v: v["a"].shape == v["b"].shape,
        samples=lambda draw: (v := rows_like(draw)) | {n: draw.array(v["x"].shape) for n in "aby"},
    )
    for terms in ("a, b", "b, a")
)


@kernel(
    backend="numba",
    double="numba",
    rows="g a b y x",
    work=stats_work,
    flops=lambda a, *_: 6 * a.size,
    out=lambda a, *_: [a.shape, *channels_and_map(a)],
)
def add_relu_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    a: Any,
    b: Any,
    y: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """g = a + b where y > 0, else 0, gradients of a residual sum; the sums of g and g xhat."""
    xs, ys, gs = x.reshape(x.size), y.reshape(x.size), g.reshape(x.size)
    one, other = a.reshape(x.size), b.reshape(x.size)
    (n, c), chunks, wide = x.shape, totals.shape[0], sums.shape[2]
    for t in prange(chunks):
        fill_strip(sums[t, 0], mean)
        totals[t], sums[t, 1:] = 0, 0
        last, block = (t + 1) * n // chunks * c, BLOCK * wide
        for first in range(t * n // chunks * c, last, block):
            pass_add_relu_products(
                min(block, last - first),
                0,
                wide,
                address(one[first:]),
                address(other[first:]),
                address(ys[first:]),
                address(xs[first:]),
                address(gs[first:]),
                address(sums[t, 0]),
                address(sums[t, 1]),
                exceeds_cache(g),
            )
            end_block(totals[t], sums[t])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, x.shape[0] if training else 0)


GRADIENT_RELU = define(
    "batch norm's gradient + relu + bias",
    """
    dx = batch_norm_apply_gradient(dy, x, mean, map, training)
    dr = relu_backward(dx, x)
    dbias = channel_sum(dr)
""",
    "dr, dbias = batch_norm_gradient_relu(dy, x, mean, map, training)",
    backend="numba",
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape)},
)


@kernel(
    backend="numba",
    double="numba",
    rows="dr dy x",
    out=lambda dy, *_: [dy.shape, (dy.shape[1],)],
    work=lambda dy, *_: [(4, strip_width(dy.shape[1])), (CHUNKS, strip_width(dy.shape[1]))],
    flops=lambda dy, *_: 6 * dy.size,
)
def batch_norm_gradient_relu(
    dr: Any, dbias: Any, strips: Any, sums: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any
) -> None:
    """dr = map[0] dy + map[1] (x - mean) + map[2] where x > 0, else 0; its sum over all but the channels."""
    xs, dys, drs, wide = x.reshape(x.size), dy.reshape(dy.size), dr.reshape(dr.size), strips.shape[1]
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    fill_map(strips, map)
    fill_strip(strips[3], mean)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        sums[t] = 0
        if training:
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
        else:
            pass_scale_relu(
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


@serial
def sum_lanes(total: Any, sums: Any) -> None:
    """Sum all chunks' strips, one number per channel."""
    for k in range(total.size):
        all = 0.0
        for t in range(sums.shape[0]):
            all += lane_sum(sums[t], k, total.size)
        total[k] = all
