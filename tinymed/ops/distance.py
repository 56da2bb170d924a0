"""Lengths and angles of vectors: distances, similarities, and vectors of length 1."""

import operator
from typing import Any

import numpy as np

from .axes import one_axis
from .clamp import clamp
from .elementwise import add, div, maximum, mul, sub
from .reduce import norm, sum
from .shape import expand


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps over the last axis."""
    return norm(add(sub(x1, x2), float(eps)), float(p), -1, keepdim)


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis of two tensors that broadcast."""
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    axis = one_axis("cosine_similarity", operator.index(dim), len(shape))

    def unit(x: Any) -> Any:
        full = expand(x, shape)
        return div(full, at_least(norm(full, 2, axis, True), eps))

    return sum(mul(unit(x1), unit(x2)), axis)


def at_least(length: Any, eps: float) -> Any:
    """max(length, eps), whose gradient is the length's, below eps too: PyTorch's rule."""
    known = length.detach()
    return add(length, sub(maximum(known, float(eps)), known))


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """input / max(its p-norm along dim, eps)."""
    return div(input, clamp(norm(input, float(p), dim, True), min=float(eps)))


__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]
