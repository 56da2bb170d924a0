"""Dropout on the CPU: random words are drawn block by block and used at once, each for two numbers.

The comparison and the multiplication are written as LLVM IR: a word holds the bits of two neighbours, and LLVM does not
find the shuffles that bring four rows of words into the order of the numbers.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils

from ..dispatch import kernel
from ..ops.dropout import RANGE
from .compiler import elements
from .compiler.jit import serial
from .simd.bf16_product import rounded
from .simd.philox import draw, take_ticket
from .simd.streaming import exceeds_cache, store_fence
from .simd.vectors import BYTES, I32, I64, LANES, SHAPE, Shape, Vectors, address, vector_function

f4, BITS = np.float32, np.int32  # a number's type, and that of its bits
elements.NAMES |= {"BITS": np.int64}
PARTITIONS = 64  # pieces of a draw; no sums, so their number changes no bits
BLOCKS = 128  # of Philox drawn at a time
NUMBERS = 8 * BLOCKS  # decided about by one block, 16 bits each


def words_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: for each task the words of one block of draws."""
    return [((min(PARTITIONS, -(-x.size // NUMBERS)), 4, BLOCKS), np.uint32)]


def dropper(finish: Any) -> Any:
    """Return the writer of y = finish(finish(x) scale), or 0 times it."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape) -> None:
        emit_drop(b, arg, shape, finish)

    return emit


def emit_drop(b: ir.IRBuilder, arg: dict[str, ir.Value], shape: Shape, finish: Any) -> None:
    """y = x scale where its bits are >= limit, else 0 times x, for `size` numbers.

    words: four rows of BLOCKS; numbers 8 i + 2 lane and the next have the halves of word i of row `lane`, so four
    vectors of words are interleaved into one order.  scale: the bits of a float;  nontemporal: y bypasses the caches.
    """
    v, words_of, halves = Vectors(b, shape), Vectors(b, SHAPE), ir.VectorType(ir.IntType(16), 2 * LANES)
    limit, nontemporal = (
        v.splat(b.trunc(arg["limit"], halves.element), 2 * LANES),
        b.icmp_signed("!=", arg["nontemporal"], I64(0)),
    )
    scale = v.splat(b.bitcast(arg["scale"] if shape.double else b.trunc(arg["scale"], I32), v.element))
    with cgutils.for_range(b, b.sdiv(b.add(arg["size"], I64(8 * LANES - 1)), I64(8 * LANES))) as group:
        first = b.mul(group.index, I64(4 * LANES))  # bytes of a row's words; one word decides about two numbers
        rows = [words_of.load(b.add(b.add(arg["words"], first), I64(4 * BLOCKS * lane))) for lane in range(4)]
        for n, words in enumerate(interleaved(b, rows)):
            keep = b.icmp_unsigned(">=", b.bitcast(words, halves), limit)
            for part in range(0, 2 * LANES, v.lanes):
                lanes = indices([part + i for i in range(v.lanes)])
                factor = b.select(b.shuffle_vector(keep, keep, lanes), scale, v.zero)
                done = b.add(b.mul(first, I64(2)), I64(2 * n * LANES + part))
                drop_vector(v, arg["x"], arg["y"], factor, done, arg["size"], nontemporal, finish)


def drop_vector(
    v: Vectors,
    x: ir.Value,
    y: ir.Value,
    factor: ir.Value,
    done: ir.Value,
    size: ir.Value,
    nontemporal: ir.Value,
    finish: Any,
) -> None:
    """y = x factor, the vector from number `done` of `size` on, or what is left of it."""
    b = v.b
    shift, left = b.mul(done, I64(v.item)), b.sub(size, done)
    x, y = b.add(x, shift), b.add(y, shift)
    with b.if_else(b.icmp_signed(">=", left, I64(v.lanes))) as (whole, part):
        with whole:
            value = finish(v, b.fmul(finish(v, v.load(x)), factor))
            with b.if_else(nontemporal) as (bypassing, cached):
                with bypassing:
                    v.store_nontemporal(value, y)
                with cached:
                    v.store(value, y)
        with part:
            mask = v.below(left)
            v.store(finish(v, b.fmul(finish(v, v.load(x, mask)), factor)), y, mask)


def interleaved(b: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Return four vectors a, b, c, d as a0 b0 c0 d0 a1 b1 c1 d1 ..., in four."""
    ab, cd = (
        [
            b.shuffle_vector(p, q, indices([i // 2 + half * LANES // 2 + i % 2 * LANES for i in range(LANES)]))
            for half in range(2)
        ]
        for p, q in (rows[:2], rows[2:])
    )
    mixed = [[i // 4 * 2 + i % 2 + half * LANES // 2 + i % 4 // 2 * LANES for i in range(LANES)] for half in range(2)]
    return [b.shuffle_vector(ab[n // 2], cd[n // 2], indices(mixed[n % 2])) for n in range(4)]


def indices(values: list[int]) -> ir.Constant:
    """Return the mask of a shuffle: which elements of two vectors it takes."""
    return ir.Constant(ir.VectorType(I32, len(values)), values)


def rounding(v: Vectors, x: ir.Value) -> ir.Value:
    """Return numbers rounded to bfloat16; those of float64 are never asked for."""
    return x if v.item == 8 else rounded(v, x)


PARAMETERS = ["size", "x", "y", "words", "limit", "scale", "nontemporal"]
drop_words = vector_function("drop", PARAMETERS, dropper(lambda v, x: x))
drop_rounded_words = vector_function("drop_rounded", PARAMETERS, dropper(rounding))


@serial
def drop(y: Any, x: Any, words: Any, limit: Any, scale: Any, nontemporal: Any) -> None:
    """y = x scale where its bits are >= limit, else 0 times x.  The eight halves of a block are eight neighbours.

    nontemporal: y bypasses the caches, if it lies on whole vectors.
    """
    drop_words(
        x.size,
        address(x),
        address(y),
        address(words),
        np.int64(limit),
        np.int64(f4(scale).view(BITS)),
        nontemporal and address(y) % (BYTES * LANES) == 0,
    )


@serial
def drop_rounded(y: Any, x: Any, words: Any, limit: Any, scale: Any, nontemporal: Any) -> None:
    """Drop as `drop` does numbers that are rounded to bfloat16, and round what is left."""
    drop_rounded_words(
        x.size,
        address(x),
        address(y),
        address(words),
        np.int64(limit),
        np.int64(f4(scale).view(BITS)),
        nontemporal and address(y) % (BYTES * LANES) == 0,
    )


@serial
def drop_part(y: Any, x: Any, words: Any, part: Any, partitions: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """Drop one task's blocks of a draw.  Where p = 1 the limit is beyond any bits; there the scale is 0."""
    count = (x.size + NUMBERS - 1) // NUMBERS
    for b in range(part * count // partitions, (part + 1) * count // partitions):
        draw(words, b * BLOCKS, ticket)
        first, last = b * NUMBERS, min((b + 1) * NUMBERS, x.size)
        drop(y[first:last], x[first:last], words, min(limit, RANGE - 1), scale, exceeds_cache(y))
    if exceeds_cache(y):
        store_fence()


@kernel(backend="numba", double="numba", rows="y x", work=words_work)
def dropout_forward(y: Any, ticket: Any, words: Any, x: Any, state: Any, limit: Any, scale: Any) -> None:
    """y = scale x where the element's bits are >= limit, else 0; takes the ticket that backward draws with."""
    take_ticket(ticket, state)
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    for part in prange(words.shape[0]):
        drop_part(ys, xs, words[part], part, words.shape[0], ticket, limit, scale)


@kernel(backend="numba", double="numba", rows="dx dy", work=words_work)
def dropout_backward(dx: Any, words: Any, dy: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """dx = scale dy where the bits that the ticket draws again are >= limit, else 0."""
    dys, dxs = dy.reshape(dy.size), dx.reshape(dx.size)
    for part in prange(words.shape[0]):
        drop_part(dxs, dys, words[part], part, words.shape[0], ticket, limit, scale)


def channel_work(x: Any, *_: Any) -> list[Any]:
    """Return the scratch: a factor for each channel of each sample, ones to scale, and the words of a block."""
    return [x.shape[:2], x.shape[:2], ((4, BLOCKS), np.uint32)]


@serial
def channel_factors(factors: Any, ones: Any, words: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """Write 0 or scale for each channel of each sample."""
    ones[:] = 1
    drop_part(factors.reshape(factors.size), ones.reshape(ones.size), words, 0, 1, ticket, limit, scale)


@serial
def scale_sample(y: Any, x: Any, factor: Any) -> None:
    """y = x factor, a number per channel."""
    for i in range(x.shape[0]):
        for k in range(x.shape[1]):
            y[i, k] = x[i, k] * factor[k]


@kernel(backend="numba", double="numba", rows="y x", work=channel_work)
def dropout_channels_forward(
    y: Any, ticket: Any, factors: Any, ones: Any, words: Any, x: Any, state: Any, limit: Any, scale: Any
) -> None:
    """y[n, c] = factors[n, c] x[n, c], the factor scale where the bits of (n, c) are >= limit, else 0."""
    take_ticket(ticket, state)
    channel_factors(factors, ones, words, ticket, limit, scale)
    n = factors.shape[0]
    for b in prange(n):
        low, high = b * x.shape[0] // n, (b + 1) * x.shape[0] // n
        scale_sample(y[low:high], x[low:high], factors[b])


@kernel(backend="numba", double="numba", rows="dx dy", work=channel_work)
def dropout_channels_backward(
    dx: Any, factors: Any, ones: Any, words: Any, dy: Any, ticket: Any, limit: Any, scale: Any
) -> None:
    """dx[n, c] = factors[n, c] dy[n, c], the factors drawn again from the ticket."""
    channel_factors(factors, ones, words, ticket, limit, scale)
    n = factors.shape[0]
    for b in prange(n):
        low, high = b * dy.shape[0] // n, (b + 1) * dy.shape[0] // n
        scale_sample(dx[low:high], dy[low:high], factors[b])
