"""Optimizer updates on the CPU: one pass over a parameter, its gradient and its state."""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel

f4 = np.float32


@kernel(backend="numba", flat="p g")
def sgd_step(p: Any, g: Any, rates: Any) -> None:
    """p -= lr (g + decay p)."""
    lr, decay = rates[0], rates[3]
    for i in prange(p.size):
        p[i] -= lr * (g[i] + decay * p[i])


@kernel(backend="numba", flat="p buffer g")
def momentum_step(p: Any, buffer: Any, g: Any, rates: Any, nesterov: Any) -> None:
    """d = g + decay p;  b = momentum b + share d, the buffer;  p -= lr b, or lr (d + momentum b) if nesterov."""
    lr, momentum, share, decay = rates[0], rates[1], rates[2], rates[3]
    for i in prange(p.size):
        d = g[i] + decay * p[i]
        b = momentum * buffer[i] + share * d
        buffer[i] = b
        p[i] -= lr * (d + momentum * b if nesterov else b)


@kernel(backend="numba", flat="p m v g")
def adam_step(p: Any, m: Any, v: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= step m / (sqrt(v) / correction + eps); decay shrinks p if decoupled, else adds to g."""
    new1, beta2, new2, eps = rates[1], rates[2], rates[3], rates[4]
    step, correction = rates[5], rates[6]
    shrink, decay = (f4(1) - rates[7], f4(0)) if decoupled else (f4(1), rates[7])
    for i in prange(p.size):
        x = p[i] * shrink
        d = g[i] + decay * x
        a = m[i] + new1 * (d - m[i])
        b = beta2 * v[i] + new2 * d * d
        m[i] = a
        v[i] = b
        p[i] = x - step * a / (math.sqrt(b) / correction + eps)


@kernel(backend="numba", flat="p square mean buffer g")
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


@kernel(backend="numba", flat="p total g")
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
