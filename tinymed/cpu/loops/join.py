"""Arrays one after another."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from ...memory import dense_order, inverse_order
from .views import laid


@kernel(
    name="concat_loop",
    backend=LOOPS,
    out=lambda a, b: [(a.shape[0], a.shape[1] + b.shape[1], a.shape[2])],
    flops=lambda *_: 0,
)
def concat_two(y, a, b):
    """y[l, i, c] = a[l, i, c], and after them y[l, n + i, c] = b[l, i, c], n the length of a."""
    for l in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for c in range(y.shape[2]):
                y[l, i, c] = a[l, i, c] if i < a.shape[1] else b[l, i - a.shape[1], c]


@kernel(backend=LOOPS, composite=True)
def concat(k, axis, *xs):
    """Join two at a time, in the memory order of the first."""
    order = dense_order(xs[0]) or tuple(range(xs[0].ndim))
    place, joined = order.index(axis), None
    for x in xs:
        shape = [x.shape[i] for i in order]
        rows = laid(k, x, order).reshape(math.prod(shape[:place]), shape[place], math.prod(shape[place + 1 :]))
        joined = rows if joined is None else k.concat_loop(joined, rows)
    joined = joined if len(xs) > 1 else k.copy(joined)
    shape[place] = joined.shape[1]
    return joined.reshape(shape).transpose(inverse_order(order))
