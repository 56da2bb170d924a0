"""Dropout on the CPU: words are drawn block by block and used at once."""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from .jit import serial
from .philox import BLOCKS, WORDS, draw, take_ticket

f4, u4 = np.float32, np.uint32
PARTS = 64  # pieces of a draw; no sums, so their number changes no bits
TICKET = ((5,), np.uint32)


def words_work(x: Any, *_: Any) -> list[Any]:
    """The words of one block of draws for each piece."""
    return [((min(PARTS, -(-x.size // WORDS)), 4, BLOCKS), np.uint32)]


@serial
def drop(y: Any, x: Any, words: Any, limit: Any, scale: Any) -> None:
    """y = x scale where the word is >= limit, else 0 times x.  The four lanes of a block are four neighbours."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    zero, whole = f4(0), x.size // 4
    for i in range(whole):
        a0 = scale if w0[i] >= limit else zero
        a1 = scale if w1[i] >= limit else zero
        a2 = scale if w2[i] >= limit else zero
        a3 = scale if w3[i] >= limit else zero
        y[4 * i] = x[4 * i] * a0
        y[4 * i + 1] = x[4 * i + 1] * a1
        y[4 * i + 2] = x[4 * i + 2] * a2
        y[4 * i + 3] = x[4 * i + 3] * a3
    for i in range(4 * whole, x.size):
        y[i] = x[i] * (scale if words[i % 4, i // 4] >= limit else zero)


@serial
def drop_part(y: Any, x: Any, words: Any, part: Any, parts: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """One of several pieces of a draw.  Where p = 1 the limit, 2^32, is beyond any word; there the scale is 0."""
    count, bound = (x.size + WORDS - 1) // WORDS, u4(min(limit, 2**32 - 1))
    for b in range(part * count // parts, (part + 1) * count // parts):
        draw(words, b * BLOCKS, ticket)
        drop(y[b * WORDS : (b + 1) * WORDS], x[b * WORDS : (b + 1) * WORDS], words, bound, scale)


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
