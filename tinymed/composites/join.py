"""Concatenation: each array is copied once to its place, as rows in the memory order of the first."""

import math
from typing import Any

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, inverse_order, is_dense


@kernel(backend="numba csrc", double="numba", composite=True, when=lambda axis, *xs: is_one_float(xs))
def concat(k: Any, axis: int, *xs: Any) -> Any:
    """Call concat_pair, then concat_next for every further array; concat_first for one alone."""
    order = next((o for x in xs if x.size and (o := dense_order(x))), tuple(range(xs[0].ndim)))
    place = order.index(axis)
    shape = [xs[0].shape[a] for a in order]
    shape[place] = sum(x.shape[axis] for x in xs)
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    dense = [x if is_dense(x, order) else k.canonical(x, order) for x in xs]
    first, *rest = [x.transpose(order).reshape(outer, x.shape[axis] * inner) for x in dense]
    width, column = shape[place] * inner, first.shape[1]
    if rest:
        y = k.concat_pair(first, rest[0], width)
        column += rest[0].shape[1]
    else:
        y = k.concat_first(first, width)
    for rows in rest[1:]:
        k.concat_next(y, rows, column)
        column += rows.shape[1]
    return y.reshape(shape).transpose(inverse_order(order))
