"""Optimizer updates on the CPU: one pass over parameters, their gradients and their state.

A `*_step` updates one parameter.  A `*_flat` updates all parameters of a buffer in one pass, as a captured step does:
`spans` holds a row (row of rates, first element, end) for each parameter, and pieces of equal length are divided among
the threads whatever parameters they lie in.  Both run the same loop.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .compiler.jit import serial
from .simd.vectors import ceil_div

f4 = np.float32
PIECE = 8192  # elements of one task


@serial
def pieces(spans: Any) -> Any:
    """Return how many pieces the parameters extend over."""
    return -(-spans[spans.shape[0] - 1, 2] // PIECE)


@serial
def clipped(spans: Any, s: Any, piece: Any) -> Any:
    """Return (first, end) of parameter s within a piece."""
    return max(spans[s, 1], piece * PIECE), min(spans[s, 2], (piece + 1) * PIECE)


# The loops have functions of their own: LLVM knows there that slices are contiguous, and uses vectors.


@serial
def sgd_run(p: Any, g: Any, lr: Any, decay: Any) -> None:
    """p -= lr (g + decay p)"""
    for i in range(p.size):
        p[i] -= lr * (g[i] + decay * p[i])


@kernel(backend="numba", double="numba", flat="p g")
def sgd_step(p: Any, g: Any, rates: Any) -> None:
    """p -= lr (g + decay p)."""
    for t in prange(ceil_div(p.size, PIECE)):
        first, end = t * PIECE, min((t + 1) * PIECE, p.size)
        sgd_run(p[first:end], g[first:end], rates[0], rates[3])


@kernel(backend="numba", double="numba", flat="p g")
def sgd_flat(p: Any, g: Any, rates: Any, spans: Any) -> None:
    """p -= lr (g + decay p)."""
    for t in prange(pieces(spans)):
        for s in range(spans.shape[0]):
            first, end = clipped(spans, s, t)
            if first < end:
                sgd_run(p[first:end], g[first:end], rates[spans[s, 0], 0], rates[spans[s, 0], 3])


@serial
def momentum_run(p: Any, buffer: Any, g: Any, r: Any, nesterov: Any) -> None:
    """Update one parameter with momentum."""
    lr, momentum, share, decay = r[0], r[1], r[2], r[3]
    for i in range(p.size):
        d = g[i] + decay * p[i]
        b = momentum * buffer[i] + share * d
        buffer[i] = b
        p[i] -= lr * (d + momentum * b if nesterov else b)


@kernel(backend="numba", double="numba", flat="p buffer g")
def momentum_step(p: Any, buffer: Any, g: Any, rates: Any, nesterov: Any) -> None:
    """d = g + decay p;  b = momentum b + share d, the buffer;  p -= lr b, or lr (d + momentum b) if nesterov."""
    for t in prange(ceil_div(p.size, PIECE)):
        first, end = t * PIECE, min((t + 1) * PIECE, p.size)
        momentum_run(p[first:end], buffer[first:end], g[first:end], rates, nesterov)


@kernel(backend="numba", double="numba", flat="p buffer g")
def momentum_flat(p: Any, buffer: Any, g: Any, rates: Any, spans: Any, nesterov: Any) -> None:
    """d = g + decay p;  b = momentum b + share d, the buffer;  p -= lr b, or lr (d + momentum b) if nesterov."""
    for t in prange(pieces(spans)):
        for s in range(spans.shape[0]):
            first, end = clipped(spans, s, t)
            if first < end:
                momentum_run(p[first:end], buffer[first:end], g[first:end], rates[spans[s, 0]], nesterov)


@serial
def adam_run(p: Any, m: Any, v: Any, g: Any, r: Any, decoupled: Any) -> None:
    """Update one parameter with Adam."""
    new1, beta2, new2, eps, step, correction = r[1], r[2], r[3], r[4], r[5], r[6]
    shrink, decay = (f4(1) - r[7], f4(0)) if decoupled else (f4(1), r[7])
    for i in range(p.size):
        x = p[i] * shrink
        d = g[i] + decay * x
        a = m[i] + new1 * (d - m[i])
        b = beta2 * v[i] + new2 * d * d
        m[i] = a
        v[i] = b
        p[i] = x - step * a / (math.sqrt(b) / correction + eps)


@kernel(backend="numba", double="numba", flat="p m v g")
def adam_step(p: Any, m: Any, v: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= step m / (sqrt(v) / correction + eps); decay shrinks p if decoupled, else adds to g."""
    for t in prange(ceil_div(p.size, PIECE)):
        first, end = t * PIECE, min((t + 1) * PIECE, p.size)
        adam_run(p[first:end], m[first:end], v[first:end], g[first:end], rates, decoupled)


@kernel(backend="numba", double="numba", flat="p m v g")
def adam_flat(p: Any, m: Any, v: Any, g: Any, rates: Any, spans: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= step m / (sqrt(v) / correction + eps); decay shrinks p if decoupled, else adds to g."""
    for t in prange(pieces(spans)):
        for s in range(spans.shape[0]):
            first, end = clipped(spans, s, t)
            if first < end:
                adam_run(p[first:end], m[first:end], v[first:end], g[first:end], rates[spans[s, 0]], decoupled)


@kernel(backend="numba", double="numba", flat="p square mean buffer g")
def rmsprop_step(p: Any, square: Any, mean: Any, buffer: Any, g: Any, rates: Any, centered: Any, momentum: Any) -> None:
    """square follows g^2;  p -= lr g / (sqrt(square) + eps); less mean^2 if centered, through buffer if momentum."""
    lr, alpha, new, eps, decay, keep = rates[0], rates[1], rates[2], rates[3], rates[4], rates[5]
    for i in prange(p.size):
        d = g[i] + decay * p[i]
        s = alpha * square[i] + new * d * d
        square[i] = s
        if centered:
            a = mean[i] + new * (d - mean[i])
            mean[i] = a
            s -= a * a
        u = d / (math.sqrt(s) + eps)
        if momentum:
            u += keep * buffer[i]
            buffer[i] = u
        p[i] -= lr * u


@kernel(backend="numba", double="numba", flat="p total g")
def adagrad_step(p: Any, total: Any, g: Any, rates: Any) -> None:
    """d = g + decay p;  total += d^2;  p -= lr d / (sqrt(total) + eps)."""
    lr, eps, decay = rates[0], rates[1], rates[2]
    for i in prange(p.size):
        d = g[i] + decay * p[i]
        t = total[i] + d * d
        total[i] = t
        p[i] -= lr * d / (math.sqrt(t) + eps)


@kernel(backend="numba", flat="y g")
def scale_gradient(y: Any, g: Any, coefficient: Any) -> None:
    """y = coefficient g."""
    c = coefficient[()]
    for i in prange(g.size):
        y[i] = g[i] * c
