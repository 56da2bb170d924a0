"""Angles, hyperbolic functions, and the windows of signal processing."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..ops import analytic
from ..tensor import Tensor
from .elementwise import unary
from .table import Node, held, number, operator, sized

for name in ("tan", "asin", "acos", "atan", "sinh", "cosh", "asinh", "acosh", "atanh"):
    unary(name.capitalize(), getattr(analytic, name))


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
