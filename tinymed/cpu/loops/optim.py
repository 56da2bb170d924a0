"""Optimisers: one parameter after another, in place.  rates and spans are as in tinymed/optim/kernels.py."""

import math

from numba import njit, prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS, flat="p g", writes="p")
def sgd_step(p, g, rates):
    """p -= lr (g + decay p)."""
    lr, decay = rates[0], rates[3]
    for i in prange(p.size):
        p[i] -= lr * (g[i] + decay * p[i])


@kernel(backend=LOOPS, writes="p")
def sgd_flat(p, g, rates, spans):
    """sgd_step of several parameters in one buffer: spans holds rows of (row of rates, first element, end)."""
    for s in prange(spans.shape[0]):
        lr, decay = rates[spans[s, 0], 0], rates[spans[s, 0], 3]
        for i in range(spans[s, 1], spans[s, 2]):
            p[i] -= lr * (g[i] + decay * p[i])


@njit
def follow(p, buffer, g, i, lr, momentum, share, decay, nesterov):
    """buffer = momentum buffer + share d, d = g + decay p;  p -= lr buffer, or lr (d + momentum buffer) if nesterov."""
    d = g[i] + decay * p[i]
    buffer[i] = momentum * buffer[i] + share * d
    p[i] -= lr * (d + momentum * buffer[i] if nesterov else buffer[i])


@kernel(backend=LOOPS, flat="p buffer g", writes="p buffer")
def momentum_step(p, buffer, g, rates, nesterov):
    """Let each parameter follow its buffer, and the buffer the gradient."""
    for i in prange(p.size):
        follow(p, buffer, g, i, rates[0], rates[1], rates[2], rates[3], nesterov)


@kernel(backend=LOOPS, writes="p buffer")
def momentum_flat(p, buffer, g, rates, spans, nesterov):
    """momentum_step of several parameters in one buffer."""
    for s in prange(spans.shape[0]):
        r = spans[s, 0]
        for i in range(spans[s, 1], spans[s, 2]):
            follow(p, buffer, g, i, rates[r, 0], rates[r, 1], rates[r, 2], rates[r, 3], nesterov)


@njit
def adapt(p, m, v, g, i, rates, r, decoupled):
    """m and v follow g and g^2;  p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)."""
    new1, beta2, new2, eps = rates[r, 1], rates[r, 2], rates[r, 3], rates[r, 4]
    step, correction, decay = rates[r, 5], rates[r, 6], rates[r, 7]
    value, d = p[i], g[i]
    if decoupled:
        value = value * (1 - decay)
    else:
        d = d + decay * value
    m[i] += new1 * (d - m[i])
    v[i] = beta2 * v[i] + new2 * d * d
    p[i] = value - step * m[i] / (math.sqrt(v[i]) / correction + eps)


@kernel(
    name="adam_step_loop",
    backend=LOOPS,
    flat="p m v g",
    writes="p m v",
    out=lambda *_: [],
    flops=lambda p, *_: 14 * p.size,
)
def adam(p, m, v, g, rates, decoupled):
    """Let each parameter follow its moments, and the moments the gradient; rates has one row."""
    for i in prange(p.size):
        adapt(p, m, v, g, i, rates, 0, decoupled)


@kernel(backend=LOOPS, composite=True)
def adam_step(k, p, m, v, g, rates, decoupled):
    """Call the loop with rates as a matrix of one row."""
    return k.adam_step_loop(p, m, v, g, rates.reshape(1, 8), decoupled)


@kernel(backend=LOOPS, writes="p m v")
def adam_flat(p, m, v, g, rates, spans, decoupled):
    """adam_step of several parameters in one buffer."""
    for s in prange(spans.shape[0]):
        for i in range(spans[s, 1], spans[s, 2]):
            adapt(p, m, v, g, i, rates, spans[s, 0], decoupled)


@kernel(backend=LOOPS, flat="p square mean buffer g", writes="p square mean buffer")
def rmsprop_step(p, square, mean, buffer, g, rates, centered, momentum):
    """square follows g^2;  p -= lr g / (sqrt(square) + eps).

    centered: mean follows g, and mean^2 is subtracted from square.  momentum: the quotient is gathered in buffer.
    """
    lr, alpha, new, eps, decay, keep = rates[0], rates[1], rates[2], rates[3], rates[4], rates[5]
    for i in prange(p.size):
        d = g[i] + decay * p[i]
        square[i] = alpha * square[i] + new * d * d
        spread = square[i]
        if centered:
            mean[i] += new * (d - mean[i])
            spread = spread - mean[i] * mean[i]
        update = d / (math.sqrt(spread) + eps)
        if momentum:
            buffer[i] = keep * buffer[i] + update
            update = buffer[i]
        p[i] -= lr * update


@kernel(backend=LOOPS, flat="p total g", writes="p total")
def adagrad_step(p, total, g, rates):
    """total += g^2;  p -= lr g / (sqrt(total) + eps)."""
    lr, eps, decay = rates[0], rates[1], rates[2]
    for i in prange(p.size):
        d = g[i] + decay * p[i]
        total[i] += d * d
        p[i] -= lr * d / (math.sqrt(total[i]) + eps)


@kernel(backend=LOOPS, flat="y g")
def scale_gradient(y, g, coefficient):
    """y = coefficient g, an array of one element."""
    for i in prange(g.size):
        y[i] = g[i] * coefficient[()]


@kernel(backend=LOOPS, flat="y g")
def clip_gradient(y, g, limit):
    """y = g clipped to [-limit, limit]."""
    for i in prange(g.size):
        y[i] = -limit if g[i] < -limit else limit if g[i] > limit else g[i]
