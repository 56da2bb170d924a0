"""Angles, hyperbolic functions, and the windows of signal processing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..nn import functional as F
from ..ops.arc import acos, asin, atan
from ..tensor import Tensor
from .elementwise import unary
from .table import Node, held, number, operator, sized

unary("Tan", lambda x: F.sin(x) / F.cos(x))
unary("Asin", asin)
unary("Acos", acos)
unary("Atan", atan)
unary("Sinh", lambda x: (F.expm1(x) - F.expm1(-x)) * 0.5)
unary("Cosh", lambda x: (F.exp(x) + F.exp(-x)) * 0.5)


def asinh(x: Any) -> Any:
    """ln(x + sqrt(x^2 + 1)), from |x|, which loses no digits near 0 or far below it."""
    a = F.abs(x)
    return F.sign(x) * F.log1p(a + a * a / (F.sqrt(a * a + 1) + 1))


unary("Asinh", asinh)
unary("Acosh", lambda x: F.log(x + F.sqrt((x - 1) * (x + 1))))
unary("Atanh", lambda x: (F.log1p(x) - F.log1p(-x)) * 0.5)


def cosines(name: str, shares: Sequence[float]) -> None:
    """Put a window into the table: shares[k] cos(2 pi k i / n), added up."""

    def run(node: Node, size: Any) -> Any:
        n = int(number(node, size, "size"))
        dtype = held(node, node.get("output_datatype", 1))
        sized(node, (n,))
        turn = 2 * np.pi * np.arange(n) / max(n if node.get("periodic", 1) else n - 1, 1)
        return Tensor((np.cos(turn[:, None] * np.arange(len(shares))) @ np.asarray(shares)).astype(dtype))

    run.__doc__ = f"{name}, periodic or symmetric."
    operator(name)(run)


cosines("HannWindow", (0.5, -0.5))
cosines("HammingWindow", (25 / 46, -21 / 46))
cosines("BlackmanWindow", (0.42, -0.5, 0.08))
