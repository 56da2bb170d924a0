"""The largest and smallest of a line: their values and where they stand."""

import numpy as np
from numba import prange

from ...dispatch import LOOPS, kernel
from .views import laid, lines, reduction


@reduction()
def amax_forward(y, x):
    """y[l] = max_i x[l, i]; NaN if there is one."""
    for l in prange(x.shape[0]):
        top = -np.inf
        for i in range(x.shape[1]):
            if x[l, i] > top or x[l, i] != x[l, i]:
                top = x[l, i]
        y[l] = top


@reduction()
def amin_forward(y, x):
    """y[l] = min_i x[l, i]; NaN if there is one."""
    for l in prange(x.shape[0]):
        bottom = np.inf
        for i in range(x.shape[1]):
            if x[l, i] < bottom or x[l, i] != x[l, i]:
                bottom = x[l, i]
        y[l] = bottom


@kernel(name="argextreme_loop", backend=LOOPS, out=lambda x, sign: [(x.shape[:1], "int64")], flops=lambda x, *_: x.size)
def argextreme(y, x, sign):
    """y[l] = the i of the first largest sign x[l, i]; a NaN comes before all others."""
    for l in prange(x.shape[0]):
        best = 0
        for i in range(1, x.shape[1]):
            value, top = x[l, i], x[l, best]
            if top == top and (value != value or sign * value > sign * top):
                best = i
        y[l] = best


@kernel(backend=LOOPS, composite=True)
def argextreme_forward(k, x, axis, which):
    """Call the loop on the lines along the axis."""
    shape = tuple(n for i, n in enumerate(x.shape) if i != axis)
    return k.argextreme_loop(lines(k, x, (axis,) if x.ndim else ()), 1 if which == "max" else -1).reshape(shape)


@kernel(name="pick_loop", backend=LOOPS, out=lambda x, indices: [indices.shape], flops=lambda *_: 0)
def pick(y, x, indices):
    """y[l] = x[l, indices[l]]."""
    for l in prange(x.shape[0]):
        y[l] = x[l, indices[l]]


@kernel(backend=LOOPS, composite=True)
def pick_forward(k, x, indices, axis):
    """Call the loop on the lines along the axis."""
    flat = laid(k, indices, tuple(range(indices.ndim))).reshape(-1)
    return k.pick_loop(lines(k, x, (axis,) if x.ndim else ()), flat).reshape(indices.shape)
