"""Matrix products."""

from typing import Any

import numpy as np

from ..nn import functional as F
from .table import Node, floating, operator, plain, sized


@operator("Gemm")
def gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    """alpha A B + beta C, A and B transposed if transA and transB; C broadcasts."""
    if a.ndim != 2 or b.ndim != 2:
        raise ValueError(f"{node}: A has shape {list(a.shape)}, B {list(b.shape)}; it takes matrices")
    sized(node, (a.shape[1 if node.get("transA", 0) else 0], b.shape[0 if node.get("transB", 0) else 1]))
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    left, right = node.get("transA", 0), node.get("transB", 0)
    if not floating(a, b, c):
        return plain(integer_gemm, a, b, c, alpha, beta, left, right)
    a = F.t(a) if left else a
    vector = c is None or (c.ndim == 1 and c.shape[0] == b.shape[0 if right else 1])
    if alpha == beta == 1 and right and vector:  # a dense layer
        return F.linear(a, b, c)
    y = F.matmul(a, F.t(b) if right else b)
    y = y if alpha == 1 else y * alpha
    return y if c is None else y + (c if beta == 1 else c * beta)


def integer_gemm(a: Any, b: Any, c: Any, alpha: float, beta: float, left: int, right: int) -> Any:
    """Gemm of integers, which have no gradient."""
    y = alpha * ((a.T if left else a) @ (b.T if right else b))
    return (y if c is None else y + beta * c).astype(a.dtype)


def product_shape(node: Node, a: Any, b: Any) -> tuple[int, ...]:
    """Return the shape of a matrix product.

    Raises ValueError for numbers, and for results larger than `sized` takes.
    """
    if not a.ndim or not b.ndim:
        raise ValueError(f"{node}: of shapes {list(a.shape)} and {list(b.shape)}; it takes vectors, matrices and more")
    ahead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return sized(node, (*ahead, *a.shape[-2:-1], *(b.shape[-1:] if b.ndim > 1 else ())))


@operator("MatMul")
def matmul(node: Node, a: Any, b: Any) -> Any:
    """Return the matrix product over the last two axes; those before them broadcast."""
    product_shape(node, a, b)
    return F.matmul(a, b) if floating(a, b) else plain(np.matmul, a, b)
