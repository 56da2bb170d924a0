"""Backward through dropout and batch norm with forward's mask kept, a bit a number: no word is drawn again.

Words are drawn in windows of WORDS, lane by lane; a window's bits lie in the order of its words.  The masked gradient
lives for a window at a time: it is neither written to memory nor read from it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils

from ..backend import kernel
from ..program import pattern
from . import generated
from .dropout import PARTS, drop, words_work
from .fused_norm import DROPOUT, WINDOWS, add_run, end_block, relu_sum_run, rows_like, sum_lanes, sums_work
from .jit import serial
from .microkernel import I32, I64, address
from .norm import (
    CHUNKS,
    GRAIN,
    add_chunks,
    apply_run,
    backward_map,
    channels_and_map,
    gradient_run,
    lanes,
    map_work,
    tile,
    tile_map,
)
from .philox import BLOCKS, WORDS, draw, take_ticket

u4 = np.uint32
BITS = 16  # words that are compared at once
KEPT = WORDS // 8  # bytes of a window's bits

pattern("dropout's mask kept", """
    y, ticket = batch_norm_dropout(x, forward, state, limit, scale)
    g, dweight, dbias, map = dropout_batch_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training)
    dr, total = batch_norm_gradient_relu(g, x, mean, map, training)
""", """
    y, kept = batch_norm_dropout_kept(x, forward, state, limit, scale)
    dweight, dbias, map = kept_batch_norm_sums(dy, kept, scale, x, weight, mean, rstd, training)
    dr, total = kept_batch_norm_gradient_relu(dy, kept, scale, x, mean, map, training)
""", backend="numba", samples=lambda draw: (v := rows_like(draw)) | DROPOUT | {
        "dy": draw.array(v["x"].shape), "forward": v["map"]})  # fmt: skip


# -------------------------------------------------------------------------------------------- words and their bits


def over_words(body: Callable[[ir.IRBuilder, dict[str, ir.Value], ir.Value, ir.Value], None]) -> Any:
    """What writes a loop over a window: body(builder, arguments, pointer to BITS words, pointer to their bits)."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        with cgutils.for_range(b, I64(WORDS // BITS)) as loop:
            words = b.add(arg["words"], b.mul(loop.index, I64(4 * BITS)))
            bits = b.add(arg["bits"], b.mul(loop.index, I64(BITS // 8)))
            body(b, arg, b.inttoptr(words, VECTOR.as_pointer()), b.inttoptr(bits, ir.IntType(BITS).as_pointer()))

    return emit


VECTOR, MASK = ir.VectorType(I32, BITS), ir.VectorType(ir.IntType(1), BITS)


def compare(b: ir.IRBuilder, arg: dict[str, ir.Value], words: ir.Value, bits: ir.Value) -> None:
    """A bit is set where a word >= limit."""
    lane0 = b.insert_element(ir.Constant(VECTOR, ir.Undefined), b.trunc(arg["limit"], I32), I32(0))
    limit = b.shuffle_vector(lane0, lane0, ir.Constant(VECTOR, None))
    b.store(b.bitcast(b.icmp_unsigned(">=", b.load(words, align=4), limit), ir.IntType(BITS)), bits, align=1)


def expand(b: ir.IRBuilder, arg: dict[str, ir.Value], words: ir.Value, bits: ir.Value) -> None:
    """A word is 1 where its bit is set, else 0."""
    b.store(b.zext(b.bitcast(b.load(bits, align=1), MASK), VECTOR), words, align=4)


keep_bits = generated.function("keep_bits", ["words", "bits", "limit"], over_words(compare))
words_of_bits = generated.function("words_of_bits", ["words", "bits"], over_words(expand))


@serial
def drop_kept(g: Any, dy: Any, words: Any, bits: Any, scale: Any) -> None:
    """g = scale dy where a number's bit is set, else 0 times dy: a window of them."""
    words_of_bits(address(words), address(bits))
    drop(g, dy, words, u4(1), scale)


# -------------------------------------------------------------------------------------------------------- kernels


@kernel(backend="numba", rows="y x", writes="state", flops=lambda x, *_: 4 * x.size,
        out=lambda x, *_: [x.shape, ((-(-x.size // WORDS), KEPT), np.uint8)],
        work=lambda x, *_: [*map_work(x), *words_work(x), (PARTS, WORDS), ((5,), np.uint32)])  # fmt: skip
def batch_norm_dropout_kept(y: Any, kept: Any, strips: Any, words: Any, window: Any, ticket: Any, x: Any, map: Any,
                            state: Any, limit: Any, scale: Any) -> None:  # fmt: skip
    """y = scale ((x - map[0]) map[1] + map[2]) where the element's word >= limit, else 0 times it, and which these are.

    Where p = 1 the limit, 2^32, is beyond any word; there the scale is 0.
    """
    xs, ys, parts, bound = x.reshape(x.size), y.reshape(y.size), words.shape[0], u4(min(limit, 2**32 - 1))
    count = kept.shape[0]
    take_ticket(ticket, state)
    tile_map(strips, map)
    for part in prange(parts):
        for b in range(part * count // parts, (part + 1) * count // parts):
            first, last = b * WORDS, min((b + 1) * WORDS, x.size)
            apply_run(window[part, : last - first], xs[first:last], first, strips)
            draw(words[part], b * BLOCKS, ticket)
            drop(ys[first:last], window[part, : last - first], words[part], bound, scale)
            keep_bits(address(words[part]), address(kept[b]), np.int64(bound))


@kernel(backend="numba", rows="dy x", out=lambda dy, *_: channels_and_map(dy), flops=lambda dy, *_: 5 * dy.size,
        work=lambda dy, *_: [*sums_work(dy), (CHUNKS, WORDS)])  # fmt: skip
def kept_batch_norm_sums(dweight: Any, dbias: Any, map: Any, totals: Any, sums: Any, words: Any, window: Any, dy: Any,
                         kept: Any, scale: Any, x: Any, weight: Any, mean: Any, rstd: Any, training: Any,
                         ) -> None:  # fmt: skip
    """batch_norm_sums of g = scale dy where the number was kept, else 0."""
    xs, dys, chunks, count = x.reshape(x.size), dy.reshape(x.size), totals.shape[0], kept.shape[0]
    for t in prange(chunks):
        tile(sums[t, 0], mean)
        totals[t], sums[t, 1:] = 0, 0
        for b in range(t * count // chunks, (t + 1) * count // chunks):
            first, last = b * WORDS, min((b + 1) * WORDS, x.size)
            g = window[t, : last - first]
            drop_kept(g, dys[first:last], words[t], kept[b], scale)
            add_run(sums[t], xs[first:last], g, first)
            if b % WINDOWS == 0:
                end_block(totals[t], sums[t])
        end_block(totals[t], sums[t])
    add_chunks(totals, dbias, dweight, rstd)
    backward_map(map, totals, rstd, weight, x.shape[0] if training else 0)


@kernel(backend="numba", rows="dr dy x", out=lambda dy, *_: [dy.shape, (dy.shape[1],)],
        flops=lambda dy, *_: 6 * dy.size,
        work=lambda dy, *_: [*map_work(dy), (lanes(dy.shape[1]),), (CHUNKS, lanes(dy.shape[1])), (CHUNKS, WORDS),
                             ((CHUNKS, 4, BLOCKS), np.uint32)])  # fmt: skip
def kept_batch_norm_gradient_relu(dr: Any, total: Any, strips: Any, means: Any, sums: Any, window: Any, words: Any,
                                  dy: Any, kept: Any, scale: Any, x: Any, mean: Any, map: Any, training: Any,
                                  ) -> None:  # fmt: skip
    """dr = map[0] g + map[1] (x - mean) + map[2] where x > 0, else 0, g = scale dy where kept; its sum a channel."""
    xs, dys, drs, count = x.reshape(x.size), dy.reshape(x.size), dr.reshape(x.size), kept.shape[0]
    chunks = max(1, min(CHUNKS, x.size // GRAIN))
    tile_map(strips, map)
    tile(means, mean)
    for t in prange(chunks):
        sums[t] = 0
        for b in range(t * count // chunks, (t + 1) * count // chunks):
            first, last = b * WORDS, min((b + 1) * WORDS, x.size)
            g = window[t, : last - first]
            drop_kept(g, dys[first:last], words[t], kept[b], scale)
            gradient_run(drs[first:last], g, xs[first:last], first, strips, means, training)
            relu_sum_run(drs[first:last], xs[first:last], sums[t], first)
    sum_lanes(total, sums[:chunks])
