"""Dropout on the CPU: words are drawn block by block and used at once."""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils

from ..backend import kernel
from . import generated
from .caches import is_far, settle
from .jit import serial
from .microkernel import F32, I32, I64, LANES, SHAPE, Vectors, address
from .philox import BLOCKS, WORDS, draw, take_ticket

f4, u4 = np.float32, np.uint32
PARTS = 64  # pieces of a draw; no sums, so their number changes no bits
TICKET = ((5,), np.uint32)


def words_work(x: Any, *_: Any) -> list[Any]:
    """The words of one block of draws for each piece."""
    return [((min(PARTS, -(-x.size // WORDS)), 4, BLOCKS), np.uint32)]


def emit_drop(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
    """y = x scale where the word is >= limit, else 0 times x, for `size` numbers.

    words: four rows of BLOCKS; number 4 i + lane has word i of row `lane`, so factors are woven from four vectors.
    scale: the bits of a float;  far: y is written past the caches.
    """
    v = Vectors(b, SHAPE)
    limit, far = v.splat(b.trunc(arg["limit"], I32)), b.icmp_signed("!=", arg["far"], I64(0))
    scale = v.splat(b.bitcast(b.trunc(arg["scale"], I32), F32))
    with cgutils.for_range(b, b.sdiv(b.add(arg["size"], I64(4 * LANES - 1)), I64(4 * LANES))) as group:
        first = b.mul(group.index, I64(4 * LANES))
        factors = []
        for lane in range(4):
            word = v.load(b.add(b.add(arg["words"], first), I64(4 * BLOCKS * lane)))  # a byte of words for a number
            keep = b.icmp_unsigned(">=", b.bitcast(word, ir.VectorType(I32, LANES)), limit)
            factors.append(b.select(keep, scale, v.zero))
        for n, factor in enumerate(woven(b, factors)):
            at, left = b.add(b.mul(first, I64(4)), I64(4 * LANES * n)), b.sub(arg["size"], b.add(first, I64(LANES * n)))
            x, y = b.add(arg["x"], at), b.add(arg["y"], at)
            with b.if_else(b.icmp_signed(">=", left, I64(LANES))) as (whole, part):
                with whole:
                    value = b.fmul(v.load(x), factor)
                    with b.if_else(far) as (past, into):
                        with past:
                            v.stream(value, y)
                        with into:
                            v.store(value, y)
                with part:
                    mask = v.below(left)
                    v.store(b.fmul(v.load(x, mask), factor), y, mask)


def woven(b: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Four vectors a, b, c, d as a0 b0 c0 d0 a1 b1 c1 d1 ..., in four."""
    ab, cd = ([b.shuffle_vector(p, q, indices([i // 2 + half * LANES // 2 + i % 2 * LANES for i in range(LANES)]))
               for half in range(2)] for p, q in (rows[:2], rows[2:]))  # fmt: skip
    mixed = [[i // 4 * 2 + i % 2 + half * LANES // 2 + i % 4 // 2 * LANES for i in range(LANES)] for half in range(2)]
    return [b.shuffle_vector(ab[n // 2], cd[n // 2], indices(mixed[n % 2])) for n in range(4)]


def indices(values: list[int]) -> ir.Constant:
    """Which elements of two vectors a shuffle takes."""
    return ir.Constant(ir.VectorType(I32, LANES), values)


drop_words = generated.function("drop", ["size", "x", "y", "words", "limit", "scale", "far"], emit_drop)


@serial
def drop(y: Any, x: Any, words: Any, limit: Any, scale: Any, far: Any) -> None:
    """y = x scale where the word is >= limit, else 0 times x.  The four lanes of a block are four neighbours.

    far: y is written past the caches, if it lies on whole vectors.
    """
    drop_words(x.size, address(x), address(y), address(words), np.int64(limit), np.int64(f4(scale).view(np.int32)),
               far and address(y) % (4 * LANES) == 0)  # fmt: skip


@serial
def drop_part(y: Any, x: Any, words: Any, part: Any, parts: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """One of several pieces of a draw.  Where p = 1 the limit, 2^32, is beyond any word; there the scale is 0."""
    count, bound = (x.size + WORDS - 1) // WORDS, u4(min(limit, 2**32 - 1))
    for b in range(part * count // parts, (part + 1) * count // parts):
        draw(words, b * BLOCKS, ticket)
        drop(y[b * WORDS : (b + 1) * WORDS], x[b * WORDS : (b + 1) * WORDS], words, bound, scale, is_far(y))
    if is_far(y):
        settle()


@kernel(backend="numba", rows="y x", work=words_work)
def dropout_forward(y: Any, ticket: Any, words: Any, x: Any, state: Any, limit: Any, scale: Any) -> None:
    """y = scale x where the element's word >= limit, else 0; takes the ticket that backward draws with."""
    take_ticket(ticket, state)
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for part in prange(words.shape[0]):
        drop_part(ys, xs, words[part], part, words.shape[0], ticket, limit, scale)


@kernel(backend="numba", rows="dx dy", work=words_work)
def dropout_backward(dx: Any, words: Any, dy: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """dx = scale dy where the word that the ticket draws again is >= limit, else 0."""
    dys, dxs = dy.reshape(dy.size), dx.reshape(dx.size)
    for part in prange(words.shape[0]):
        drop_part(dxs, dys, words[part], part, words.shape[0], ticket, limit, scale)


def channel_work(x: Any, *_: Any) -> list[Any]:
    """A factor for each channel of each sample, ones to scale, and the words of a block."""
    return [x.shape[:2], x.shape[:2], ((4, BLOCKS), np.uint32)]


@serial
def channel_factors(factors: Any, ones: Any, words: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """0 or scale for each channel of each sample."""
    ones[:] = 1
    drop_part(factors.reshape(factors.size), ones.reshape(ones.size), words, 0, 1, ticket, limit, scale)


@serial
def scale_sample(y: Any, x: Any, factor: Any) -> None:
    """y = x factor, a number per channel."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            y[i, k] = x[i, k] * factor[k]


@kernel(backend="numba", rows="y x", work=channel_work)
def dropout_channels_forward(
    y: Any, ticket: Any, factors: Any, ones: Any, words: Any, x: Any, state: Any, limit: Any, scale: Any
) -> None:
    """y[n, c] = factors[n, c] x[n, c], the factor scale where the word of (n, c) >= limit, else 0."""
    take_ticket(ticket, state)
    channel_factors(factors, ones, words, ticket, limit, scale)
    n = factors.shape[0]
    for b in prange(n):
        low, high = b * x.shape[0] // n, (b + 1) * x.shape[0] // n
        scale_sample(y[low:high], x[low:high], factors[b])


@kernel(backend="numba", rows="dx dy", work=channel_work)
def dropout_channels_backward(
    dx: Any, factors: Any, ones: Any, words: Any, dy: Any, ticket: Any, limit: Any, scale: Any
) -> None:
    """dx[n, c] = factors[n, c] dy[n, c], the factors drawn again from the ticket."""
    channel_factors(factors, ones, words, ticket, limit, scale)
    n = factors.shape[0]
    for b in prange(n):
        low, high = b * dy.shape[0] // n, (b + 1) * dy.shape[0] // n
        scale_sample(dx[low:high], dy[low:high], factors[b])
