"""Dropout: which elements are kept is a function of the ticket (seed, stream, step) and the element's position alone.

Philox4x32-10 makes four words of 32 bits of every block number; a word decides about two elements, 16 bits for each.
Elements of an image count channels-last, as the rows that these loops see.  The definition is tinymed/random.py.
"""

import numpy as np
from numba import njit, prange

from ...dispatch import kernel
from ...dispatch.declare import LOOPS, like_first
from ...memory import canonical_order, inverse_order
from ...ops.dropout import ALPHA, alpha_map, limit_of
from ...random import MASK, MULTIPLIERS, ROUNDS, WEYL
from .views import laid

u4, u8 = np.uint32, np.uint64
M0, M1, W0, W1, LOW, HIGH = (u8(v) for v in (*MULTIPLIERS, *WEYL, MASK, 32))


def drawn(x, *_):
    """Return the shapes of the output and of the ticket."""
    return [x.shape, ((5,), np.uint32)]


def size(x, *_):
    """Return the number of elements."""
    return x.size


@njit
def philox(block, ticket):
    """Return the four words of a block; 32-bit numbers in uint64, where products are exact."""
    k0, k1, c3, c1, c2 = u8(ticket[0]), u8(ticket[1]), u8(ticket[2]), u8(ticket[3]), u8(ticket[4])
    c0 = u8(block)
    for _ in range(ROUNDS):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> HIGH) ^ c1 ^ k0, p1 & LOW, (p0 >> HIGH) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return np.int64(c0), np.int64(c1), np.int64(c2), np.int64(c3)


@njit
def take_ticket(ticket, state):
    """Copy the generator's state, which moves on to its next draw."""
    for i in range(5):
        ticket[i] = state[i]
    step = (u8(state[3]) | u8(state[4]) << HIGH) + u8(1)
    state[3], state[4] = u4(step & LOW), u4(step >> HIGH)


@njit
def half(words, i):
    """Return the 16 bits of element i: a word's low half, then its high half."""
    word = words[i // 2 % 4]
    return word & 0xFFFF if i % 2 == 0 else word >> 16


@njit
def uniform(word, lower, upper):
    """Return a number between lower and upper: the middle of the word's 2^-32."""
    return lower + (upper - lower) * ((word + 0.5) * 2.0**-32)


@kernel(backend=LOOPS, rows="y x", writes="state")
def dropout_forward(y, ticket, x, state, limit, scale):
    """y = scale x where the element's bits are >= limit, else 0; also the ticket of the draw."""
    take_ticket(ticket, state)
    channels = x.shape[1]
    for block in prange((x.size + 7) // 8):
        words = philox(block, ticket)
        for i in range(8 * block, min(8 * block + 8, x.size)):
            factor = scale if half(words, i) >= limit else 0.0
            y[i // channels, i % channels] = x[i // channels, i % channels] * factor


@kernel(backend=LOOPS, rows="dx dy")
def dropout_backward(dx, dy, ticket, limit, scale):
    """dx = scale dy where the bits that the ticket draws again are >= limit, else 0."""
    channels = dy.shape[1]
    for block in prange((dy.size + 7) // 8):
        words = philox(block, ticket)
        for i in range(8 * block, min(8 * block + 8, dy.size)):
            factor = scale if half(words, i) >= limit else 0.0
            dx[i // channels, i % channels] = dy[i // channels, i % channels] * factor


@njit
def kept(number, ticket, limit):
    """Return whether a number's bits are >= limit."""
    return half(philox(number // 8, ticket), number) >= limit


@kernel(name="dropout_channels_forward_loop", backend=LOOPS, out=drawn, writes="state", flops=size)
def dropout_channels(y, ticket, x, state, limit, scale):
    """y[n, c] = scale x[n, c] where the bits of (n, c) are >= limit, else 0; also the ticket of the draw."""
    take_ticket(ticket, state)
    for n in prange(x.shape[0]):
        for p in range(x.shape[1]):
            for c in range(x.shape[2]):
                factor = scale if kept(n * x.shape[2] + c, ticket, limit) else 0.0
                y[n, p, c] = x[n, p, c] * factor


@kernel(name="dropout_channels_backward_loop", backend=LOOPS, out=like_first, flops=size)
def channels_backward(dx, dy, ticket, limit, scale):
    """dx[n, c] = scale dy[n, c] where the bits of (n, c) drawn again are >= limit, else 0."""
    for n in prange(dy.shape[0]):
        for p in range(dy.shape[1]):
            for c in range(dy.shape[2]):
                factor = scale if kept(n * dy.shape[2] + c, ticket, limit) else 0.0
                dx[n, p, c] = dy[n, p, c] * factor


@kernel(name="alpha_dropout_forward_loop", backend=LOOPS, out=drawn, writes="state", flops=size)
def alpha_dropout(y, ticket, x, state, limit, a, b, channels):
    """y = a x + b where kept, else a ALPHA + b; a draw for each element, or for each channel of each sample."""
    take_ticket(ticket, state)
    pixels = 1 if channels else x.shape[1]
    for n in prange(x.shape[0]):
        for p in range(x.shape[1]):
            for c in range(x.shape[2]):
                number = (n * pixels + p % pixels) * x.shape[2] + c
                y[n, p, c] = a * (x[n, p, c] if kept(number, ticket, limit) else ALPHA) + b


@kernel(name="alpha_dropout_backward_loop", backend=LOOPS, out=like_first, flops=size)
def alpha_backward(dx, dy, ticket, limit, a, channels):
    """dx = a dy where the ticket's draw kept x, else 0."""
    pixels = 1 if channels else dy.shape[1]
    for n in prange(dy.shape[0]):
        for p in range(dy.shape[1]):
            for c in range(dy.shape[2]):
                number = (n * pixels + p % pixels) * dy.shape[2] + c
                dx[n, p, c] = a * dy[n, p, c] if kept(number, ticket, limit) else 0


# ------------------------------------------------------------------------------------------- as [n, pixel, channel]


@kernel(backend=LOOPS, composite=True)
def dropout_channels_forward(k, x, state, limit, scale):
    """Call the loop on [n, pixel, channel]."""
    y, ticket = k.dropout_channels_forward_loop(as_pixels(k, x), state, limit, scale)
    return as_image(y, x.shape), ticket


@kernel(backend=LOOPS, composite=True)
def dropout_channels_backward(k, dy, ticket, limit, scale):
    """Call the loop on [n, pixel, channel]."""
    return as_image(k.dropout_channels_backward_loop(as_pixels(k, dy), ticket, limit, scale), dy.shape)


@kernel(backend=LOOPS, composite=True)
def alpha_dropout_forward(k, x, state, p, channels):
    """Call the loop on [n, pixel, channel] with (a, b) = alpha_map(p)."""
    limit, (a, b) = limit_of(p)[0], alpha_map(p)
    y, ticket = k.alpha_dropout_forward_loop(as_pixels(k, x), state, limit, a, b, channels)
    return as_image(y, x.shape), ticket


@kernel(backend=LOOPS, composite=True)
def alpha_dropout_backward(k, dy, ticket, p, channels):
    """Call the loop on [n, pixel, channel] with a from alpha_map(p)."""
    limit, (a, _) = limit_of(p)[0], alpha_map(p)
    return as_image(k.alpha_dropout_backward_loop(as_pixels(k, dy), ticket, limit, a, channels), dy.shape)


def as_pixels(k, x):
    """Return (N, C, *space) as [n, pixel, channel]; fewer axes count as channels."""
    n, c = x.shape[:2] if x.ndim > 1 else (1, x.size)
    return laid(k, x, canonical_order("image", x.ndim)).reshape(n, x.size // max(1, n * c), c)


def as_image(y, shape):
    """Return [n, pixel, channel] as (N, C, *space)."""
    order = canonical_order("image", len(shape))
    return y.reshape([shape[i] for i in order]).transpose(inverse_order(order))
