"""Backward through dropout, batch norm and ReLU in mixed precision, with two bytes a number between its two passes.

Dropout's gradient, rounded, is read by one pass alone, batch norm's gradient: of the numbers that both move, it is a
third.
"""

from typing import Any

import numpy as np
from numba import prange

from ...dispatch import kernel
from ...ops.dropout import RANGE
from ...program import define
from ..dropout import BLOCKS, NUMBERS, drop_rounded
from ..norm import BLOCK, CHUNKS, GRAIN, add_chunks, backward_map, channels_and_map, fill_map, fill_strip, strip_width
from ..simd.passes import GRADIENT, products, row_pass
from ..simd.philox import draw
from ..simd.streaming import exceeds_cache
from ..simd.vectors import address
from .bf16_norm import gradient_relu
from .norm import dropped_rows, end_block, sum_lanes, sums_work

f4, u2 = np.float32, np.uint16

PACKED = define(
    "two bytes a number between them",
    """
    g, dweight, dbias, map = dropout_batch_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training, 1)
    dr, total = bf16_norm_gradient_relu(g, x, mean, map, training)
    """,
    """
    p, dweight, dbias, map = bf16_dropout_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training)
    dr, total = bf16_packed_gradient_relu(p, x, mean, map)
    """,
    backend="numba",
    samples=dropped_rows,
)

pass_kept_products = row_pass(
    "bf16_kept_products",
    "dy x",
    "g",
    "mean",
    "s q",
    lambda v, dy, x, *rest: ((dy,), products(v, dy, x, *rest)),
    packed="g",
)
pass_gradient_relu = row_pass("bf16_packed_gradient_relu", "dy x", "dx", GRADIENT, "s", gradient_relu, packed="dy")


def packed_work(dy: Any, *_: Any) -> list[Any]:
    """Return the scratch: that of dropout_batch_norm_sums, and a window of numbers for each chunk."""
    work = sums_work(dy)
    return [*work, (work[0][0][0], NUMBERS)]


@kernel(
    backend="numba",
    rows="g dy x",
    work=packed_work,
    flops=lambda dy, *_: 5 * dy.size,
    out=lambda dy, *_: [(dy.shape, u2), *channels_and_map(dy)],
)
def bf16_dropout_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    totals: Any,
    sums: Any,
    words: Any,
    window: Any,
    dy: Any,
    ticket: Any,
    limit: Any,
    scale: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """g = dropout's gradient of dy, both rounded, in two bytes a number; batch norm's sums of it."""
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
            drop_rounded(window[t, : last - first], dys[first:last], words[t], bound, scale, 0)
            pass_kept_products(
                last - first,
                first % wide,
                wide,
                address(window[t]),
                address(xs[first:]),
                address(gs[first:]),
                address(sums[t, 0]),
                address(sums[t, 1]),
                0,
            )
            if b % windows == 0:
                end_block(totals[t], sums[t])
        end_block(totals[t], sums[t])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, x.shape[0] if training else 0)


@kernel(
    backend="numba",
    rows="dr dy x",
    out=lambda dy, *_: [(dy.shape, f4), ((dy.shape[1],), f4)],
    work=lambda dy, *_: [((4, strip_width(dy.shape[1])), f4), ((CHUNKS, strip_width(dy.shape[1])), f4)],
    flops=lambda dy, *_: 6 * dy.size,
)
def bf16_packed_gradient_relu(
    dr: Any, dbias: Any, strips: Any, sums: Any, dy: Any, x: Any, mean: Any, map: Any
) -> None:
    """Compute bf16_norm_gradient_relu of a dy in two bytes a number."""
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
