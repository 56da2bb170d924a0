"""The way back from max pooling: values put where the maxima were, zeros elsewhere."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from .views import laid, large


@kernel(backend=LOOPS, composite=True, worth=large)
def unpool_forward(k, x, index, size):
    """Call the loop on a line for each channel of each sample."""
    lines = [laid(k, a, tuple(range(a.ndim))).reshape(math.prod(a.shape[:2]), -1) for a in (x, index)]
    return k.unpool_forward_loop(*lines, math.prod(size)).reshape(*x.shape[:2], *size)


@kernel(name="unpool_forward_loop", backend=LOOPS, out=lambda x, index, n: [(len(x), n)])
def put_back(y, x, index, n):
    """y[l, index[l, i]] = x[l, i], 0 elsewhere; of several for one place the last stays, one outside is left out."""
    for l in prange(x.shape[0]):
        for j in range(n):
            y[l, j] = 0
        for i in range(x.shape[1]):
            if 0 <= index[l, i] < n:
                y[l, index[l, i]] = x[l, i]


@kernel(backend=LOOPS, composite=True, worth=large)
def unpool_backward(k, dy, index):
    """Call the loop on a line for each channel of each sample."""
    lines = [laid(k, a, tuple(range(a.ndim))).reshape(math.prod(a.shape[:2]), -1) for a in (dy, index)]
    return k.unpool_backward_loop(*lines).reshape(index.shape)


@kernel(name="unpool_backward_loop", backend=LOOPS, out=lambda dy, index: [index.shape], flops=lambda dy, index: 0)
def take_back(dx, dy, index):
    """dx[l, i] = dy[l, index[l, i]], 0 where that is outside."""
    for l in prange(index.shape[0]):
        for i in range(index.shape[1]):
            dx[l, i] = dy[l, index[l, i]] if 0 <= index[l, i] < dy.shape[1] else 0
