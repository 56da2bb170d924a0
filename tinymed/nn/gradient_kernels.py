"""Norms of gradients, and what limits them, as kernels."""

from typing import Any

from ..dispatch import Array, kernel


@kernel(out=lambda g, order: [()], flops=lambda g, order: 2 * g.size)
def gradient_norm(xp: Any, g: Array, order: float) -> Array:
    """Compute (sum |g|^order)^(1 / order), for inf the largest |g|."""
    if g.size == 0:
        return xp.zeros((), g.dtype)
    if order == float("inf"):
        return abs(g).max()
    return xp.sqrt((g * g).sum()) if order == 2 else (abs(g) ** order).sum() ** (1 / order)


@kernel(out=lambda order, *norms: [()])
def total_norm(xp: Any, order: float, *norms: Array) -> Array:
    """Compute the norm of all gradients together from each one's."""
    return gradient_norm(xp, xp.stack(norms), order)


@kernel(out=lambda total, limit: [()])
def clip_coefficient(xp: Any, total: Array, limit: float) -> Array:
    """Compute min(1, limit / (total + 1e-6)), which brings a norm to the limit."""
    return xp.minimum(limit / (total + 1e-6), 1.0).astype(total.dtype)


@kernel(out=lambda g, coefficient: [g.shape], flops=lambda g, coefficient: g.size)
def scale_gradient(xp: Any, g: Array, coefficient: Array) -> Array:
    """Multiply g by an array of one element."""
    return g * coefficient


@kernel(out=lambda g, limit: [g.shape], flops=lambda g, limit: 2 * g.size)
def clip_gradient(xp: Any, g: Array, limit: float) -> Array:
    """Clip g to [-limit, limit]."""
    return xp.clip(g, -limit, limit)
