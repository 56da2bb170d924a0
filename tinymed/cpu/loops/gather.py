"""Elements by index along an axis: [l, i, c], where i counts along it."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from .views import laid


@kernel(
    name="gather_backward_loop",
    backend=LOOPS,
    out=lambda dy, index, n: [(dy.shape[0], n, dy.shape[2])],
    flops=lambda dy, *_: dy.size,
)
def add_at(dx, dy, index, n):
    """dx[l, index[l, i, c], c] += dy[l, i, c]."""
    for l in prange(dx.shape[0]):
        for i in range(n):
            for c in range(dx.shape[2]):
                dx[l, i, c] = 0
        for i in range(dy.shape[1]):
            for c in range(dx.shape[2]):
                dx[l, index[l, i, c], c] += dy[l, i, c]


@kernel(backend=LOOPS, composite=True)
def gather_backward(k, dy, index, n, axis):
    """Call the loop on the array's lines along the axis."""
    shape = dy.shape
    lines = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    dy, index = (laid(k, a, tuple(range(a.ndim))).reshape(lines) for a in (dy, index))
    return k.gather_backward_loop(dy, index, n).reshape(*shape[:axis], n, *shape[axis + 1 :])
