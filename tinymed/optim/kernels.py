"""Update rules of the optimizers, as kernels that write in place.

Every number that may change from one step to the next (learning rate, momentum, step count) arrives in an array, so
that a recorded step can be replayed.  `hyper` holds a group's numbers in float64; `*_rates` turns them and the step
counts t into one row of coefficients per parameter, in the parameters' dtype; the update reads its parameter's row.
"""

from typing import Any

from ..dispatch import Array, kernel


def nothing(*_: Any) -> list[Any]:
    """Return the outputs of a kernel that only writes in place: none."""
    return []


@kernel(out=nothing, writes="t", flops=lambda t, active: t.size)
def advance_steps(xp: Any, t: Array, active: Array) -> Any:
    """Count a step, t += 1, for the parameters that have a gradient."""
    t += active
    return ()


@kernel(out=lambda t, hyper, like: [((t.size, 4), like.dtype)])
def sgd_rates(xp: Any, t: Array, hyper: Array, like: Array) -> Array:
    """Return rows of (lr, momentum, share of the gradient, weight decay); the first step takes the gradient whole."""
    lr, momentum, dampening, decay = hyper
    share = xp.where(t <= 1, 1.0, 1 - dampening)
    return xp.stack([lr + 0 * share, momentum + 0 * share, share, decay + 0 * share], axis=1).astype(like.dtype)


@kernel(out=nothing, writes="p", flops=lambda p, *_: 4 * p.size)
def sgd_step(xp: Any, p: Array, g: Array, rates: Array) -> Any:
    """Step down the gradient: p -= lr (g + decay p)."""
    lr, _, _, decay = rates
    p -= lr * (g + decay * p)
    return ()


@kernel(out=nothing, writes="p buffer", flops=lambda p, *_: 7 * p.size)
def momentum_step(xp: Any, p: Array, buffer: Array, g: Array, rates: Array, nesterov: bool) -> Any:
    """Step along the velocity in buffer.

    g += decay p;  buffer = momentum buffer + share g;  p -= lr buffer, or lr (g + momentum buffer) if nesterov
    """
    lr, momentum, share, decay = rates
    g = g + decay * p
    buffer *= momentum
    buffer += share * g
    p -= lr * (g + momentum * buffer if nesterov else buffer)
    return ()


@kernel(out=lambda t, hyper, decoupled, like: [((t.size, 8), like.dtype)])
def adam_rates(xp: Any, t: Array, hyper: Array, decoupled: bool, like: Array) -> Array:
    """Return rows of Adam's coefficients.

    They are (beta1, 1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1^t), sqrt(1 - beta2^t), decay).  decoupled
    (AdamW): the last is lr decay, by which p shrinks, instead of what is added to the gradient.
    """
    lr, beta1, beta2, eps, decay = hyper
    t = xp.maximum(t, 1).astype(hyper.dtype)
    same = 0 * t
    rows = [
        beta1 + same,
        1 - beta1 + same,
        beta2 + same,
        1 - beta2 + same,
        eps + same,
        lr / (1 - beta1**t),
        xp.sqrt(1 - beta2**t),
        (lr * decay if decoupled else decay) + same,
    ]
    return xp.stack(rows, axis=1).astype(like.dtype)


@kernel(out=nothing, writes="p m v", flops=lambda p, *_: 14 * p.size)
def adam_step(xp: Any, p: Array, m: Array, v: Array, g: Array, rates: Array, decoupled: bool) -> Any:
    """Let m and v follow g and g^2, then p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)."""
    _, new1, beta2, new2, eps, step, correction, decay = rates
    if decoupled:
        p *= 1 - decay
    else:
        g = g + decay * p
    m += new1 * (g - m)
    v *= beta2
    v += new2 * g * g
    p -= step * m / (xp.sqrt(v) / correction + eps)
    return ()


@kernel(out=nothing, writes="p m v most", flops=lambda p, *_: 15 * p.size)
def amsgrad_step(xp: Any, p: Array, m: Array, v: Array, most: Array, g: Array, rates: Array, decoupled: bool) -> Any:
    """Step as adam_step does, with the largest v so far in place of v."""
    _, new1, beta2, new2, eps, step, correction, decay = rates
    if decoupled:
        p *= 1 - decay
    else:
        g = g + decay * p
    m += new1 * (g - m)
    v *= beta2
    v += new2 * g * g
    most[...] = xp.maximum(most, v)
    p -= step * m / (xp.sqrt(most) / correction + eps)
    return ()


@kernel(out=nothing, writes="p", flops=lambda p, *_: 4 * p.size)
def sgd_flat(xp: Any, p: Array, g: Array, rates: Array, spans: Array) -> Any:
    """Apply sgd_step to several parameters in one buffer: spans holds rows of (row of rates, first element, end)."""
    for row, first, end in spans.tolist():
        sgd_step(xp, p[first:end], g[first:end], rates[row])
    return ()


@kernel(out=nothing, writes="p buffer", flops=lambda p, *_: 7 * p.size)
def momentum_flat(xp: Any, p: Array, buffer: Array, g: Array, rates: Array, spans: Array, nesterov: bool) -> Any:
    """Apply momentum_step to several parameters in one buffer."""
    for row, first, end in spans.tolist():
        momentum_step(xp, p[first:end], buffer[first:end], g[first:end], rates[row], nesterov)
    return ()


@kernel(out=nothing, writes="p m v", flops=lambda p, *_: 14 * p.size)
def adam_flat(xp: Any, p: Array, m: Array, v: Array, g: Array, rates: Array, spans: Array, decoupled: bool) -> Any:
    """Apply adam_step to several parameters in one buffer."""
    for row, first, end in spans.tolist():
        adam_step(xp, p[first:end], m[first:end], v[first:end], g[first:end], rates[row], decoupled)
    return ()


@kernel(out=lambda hyper, like: [((6,), like.dtype)])
def rmsprop_rates(xp: Any, hyper: Array, like: Array) -> Array:
    """Return (lr, alpha, 1 - alpha, eps, decay, momentum)."""
    lr, alpha, eps, decay, momentum = hyper
    return xp.stack([lr, alpha, 1 - alpha, eps, decay, momentum]).astype(like.dtype)


@kernel(out=nothing, writes="p square mean buffer", flops=lambda p, *_: 12 * p.size)
def rmsprop_step(
    xp: Any, p: Array, square: Array, mean: Array, buffer: Array, g: Array, rates: Array, centered: bool, momentum: bool
) -> Any:
    """Let square follow g^2, then p -= lr g / (sqrt(square) + eps).

    centered: mean follows g, and mean^2 is subtracted from square.  momentum: the quotient is gathered in buffer.  mean
    and buffer are empty where they are not used.
    """
    lr, alpha, new, eps, decay, keep = rates
    g = g + decay * p
    square *= alpha
    square += new * g * g
    if centered:
        mean += new * (g - mean)
    update = g / (xp.sqrt(square - mean * mean if centered else square) + eps)
    if momentum:
        buffer *= keep
        buffer += update
        update = buffer
    p -= lr * update
    return ()


@kernel(out=lambda t, hyper, like: [((t.size, 3), like.dtype)])
def adagrad_rates(xp: Any, t: Array, hyper: Array, like: Array) -> Array:
    """Return rows of (lr / (1 + (t - 1) lr_decay), eps, decay)."""
    lr, lr_decay, eps, decay = hyper
    rate = lr / (1 + (xp.maximum(t, 1) - 1) * lr_decay)
    return xp.stack([rate, eps + 0 * rate, decay + 0 * rate], axis=1).astype(like.dtype)


@kernel(out=nothing, writes="p total", flops=lambda p, *_: 8 * p.size)
def adagrad_step(xp: Any, p: Array, total: Array, g: Array, rates: Array) -> Any:
    """Sum up squares, total += g^2, then p -= lr g / (sqrt(total) + eps)."""
    lr, eps, decay = rates
    g = g + decay * p
    total += g * g
    p -= lr * g / (xp.sqrt(total) + eps)
    return ()
