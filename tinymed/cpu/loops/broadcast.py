"""Arithmetic of two operands, one element at a time."""

from numba import prange

from ...dispatch import LOOPS, kernel
from ...ops.broadcast import broadcast_axes
from .views import each


@each("a b")
def add(y, a, b):
    """y = a + b."""
    for i in prange(y.size):
        y[i] = a[i] + b[i]


@each("a b")
def sub(y, a, b):
    """y = a - b."""
    for i in prange(y.size):
        y[i] = a[i] - b[i]


@each("a b")
def mul(y, a, b):
    """y = a b."""
    for i in prange(y.size):
        y[i] = a[i] * b[i]


@each("a b")
def div(y, a, b):
    """y = a / b."""
    for i in prange(y.size):
        y[i] = a[i] / b[i]


@kernel(backend=LOOPS, flat="y x")
def neg(y, x):
    """y = -x."""
    for i in prange(x.size):
        y[i] = -x[i]


@kernel(backend=LOOPS, composite=True)
def sum_to(k, dy, shape):
    """Sum over the axes along which an array of this shape was broadcast."""
    return k.sum_forward(dy, broadcast_axes(dy.shape, shape)).reshape(shape)
