"""Joining arrays, on the GPU: csrc/join.cu.  Each is copied once to its place, in the memory order of the first."""

import math
from typing import Any

from ..dispatch import kernel
from ..memory import dense_order, inverse_order, is_dense


@kernel(backend="csrc", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Rows of x at the start of wider rows; the rest is for concat_next."""


@kernel(backend="csrc", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Rows of x into rows of y, in place, from a column on."""


@kernel(backend="csrc", composite=True, when=lambda axis, *xs: {x.dtype.char for x in xs} == {"f"})
def concat(k: Any, axis: int, *xs: Any) -> Any:
    """concat_first, then concat_next for every further array, as rows in the memory order of the first."""
    order = next((o for x in xs if x.size and (o := dense_order(x))), tuple(range(xs[0].ndim)))
    place = order.index(axis)
    shape = [xs[0].shape[a] for a in order]
    shape[place] = sum(x.shape[axis] for x in xs)
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    width, start, y = shape[place] * inner, 0, None
    for x in xs:
        x = x if is_dense(x, order) else k.canonical(x, order)
        rows = x.transpose(order).reshape(outer, x.shape[axis] * inner)
        if y is None:
            y = k.concat_first(rows, width)
        else:
            k.concat_next(y, rows, start)
        start += rows.shape[1]
    return y.reshape(shape).transpose(inverse_order(order))  # type: ignore[union-attr]
