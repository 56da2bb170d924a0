"""Lengths and angles of vectors: distances, similarities, and vectors of length 1."""

import operator
from typing import Any

import numpy as np

from ..annotations import Tensor
from .axes import one_axis
from .clamp import clamp
from .elementwise import add, div, mul, sub
from .maximum import maximum
from .reduce import norm, sum
from .shape import expand


def pairwise_distance(x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Tensor:
    """Compute the p-norm of x1 - x2 + eps over the last axis.

    Args:
        x1, x2: (N, D) or (D,), or shapes that broadcast.
        p: The norm.
        eps: Added to the differences, so that the gradient of a distance 0 is finite.
        keepdim: Keep the reduced axes with length 1.

    Returns:
        (N,), or without axes.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.pairwise_distance(tinymed.zeros(1, 2), tinymed.tensor([[3.0, 4.0]]), eps=0.0).tolist()
        [5.0]
    """
    return norm(add(sub(x1, x2), float(eps)), float(p), -1, keepdim)


def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """Compute x1 . x2 / (max(|x1|, eps) max(|x2|, eps)) along an axis.

    Args:
        x1, x2: Tensors that broadcast with each other.
        dim: The axis.
        eps: The least length.

    Returns:
        A tensor of the broadcast shape without the axis.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.cosine_similarity(tinymed.tensor([[2.0, 0.0]]), tinymed.tensor([[5.0, 0.0]])).tolist()
        [1.0]
    """
    shape = np.broadcast_shapes(x1.shape, x2.shape)
    axis = one_axis("cosine_similarity", operator.index(dim), len(shape))

    def unit(x: Any) -> Any:
        full = expand(x, shape)
        return div(full, at_least(norm(full, 2, axis, True), eps))

    return sum(mul(unit(x1), unit(x2)), axis)


def at_least(length: Any, eps: float) -> Any:
    """Compute max(length, eps), whose gradient is the length's, below eps too: PyTorch's rule."""
    known = length.detach()
    return add(length, sub(maximum(known, float(eps)), known))


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Tensor:
    """Divide by the p-norm along an axis, or by eps where that is smaller.

    Args:
        input: Floating-point tensor of any shape.
        p: The norm.
        dim: The axis, or several.
        eps: The least divisor.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.normalize(tinymed.tensor([[0.0, 4.0]])).tolist()
        [[0.0, 1.0]]
    """
    return div(input, clamp(norm(input, float(p), dim, True), min=float(eps)))


__all__ = ["cosine_similarity", "normalize", "pairwise_distance"]
