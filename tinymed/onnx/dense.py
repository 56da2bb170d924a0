"""Matrix products."""

from typing import Any

import numpy as np

from ..nn import functional as F
from .table import Node, floating, operator, plain


@operator("Gemm")
def gemm(node: Node, a: Any, b: Any, c: Any = None) -> Any:
    """alpha A B + beta C, A and B transposed if transA and transB; C broadcasts."""
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


@operator("MatMul")
def matmul(node: Node, a: Any, b: Any) -> Any:
    """The matrix product over the last two axes; those before them broadcast."""
    return F.matmul(a, b) if floating(a, b) else plain(np.matmul, a, b)
