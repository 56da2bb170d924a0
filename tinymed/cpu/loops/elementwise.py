"""Powers, the larger and smaller of two, clamping and choosing, one element at a time."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from .views import each, large


@each("a b")
def pow_forward(y, a, b):
    """y = a^b."""
    for i in prange(y.size):
        y[i] = a[i] ** b[i]


@each("dy a b", out="da")
def pow_backward_base(da, dy, a, b):
    """da = dy b a^(b-1), 0 where b = 0."""
    for i in prange(dy.size):
        da[i] = 0 if b[i] == 0 else dy[i] * b[i] * a[i] ** (b[i] - 1)


@each("dy y a b", out="db")
def pow_backward_exponent(db, dy, y, a, b):
    """db = dy y ln a, 0 where a = 0 and b >= 0."""
    for i in prange(dy.size):
        db[i] = 0 if a[i] == 0 and b[i] >= 0 else dy[i] * y[i] * math.log(a[i])


@each("a b")
def maximum_forward(y, a, b):
    """y = max(a, b); a NaN of either comes out."""
    for i in prange(y.size):
        y[i] = a[i] if a[i] >= b[i] or math.isnan(a[i]) else b[i]


@each("a b")
def minimum_forward(y, a, b):
    """y = min(a, b); a NaN of either comes out."""
    for i in prange(y.size):
        y[i] = a[i] if a[i] <= b[i] or math.isnan(a[i]) else b[i]


@each("dy a b", out="da db", worth=large)
def larger_backward(da, db, dy, a, b):
    """dy to the larger of a and b, half to each where they are equal."""
    for i in prange(dy.size):
        share = dy[i] / 2 if a[i] == b[i] else dy[i]
        da[i] = 0 if a[i] < b[i] else share
        db[i] = 0 if a[i] > b[i] else share


@kernel(backend=LOOPS, flat="y x")
def clamp_forward(y, x, low, high):
    """y = min(max(x, low), high); a bound that is None does not bind."""
    for i in prange(x.size):
        value = x[i]
        if low is not None and value < low:
            value = low
        if high is not None and value > high:
            value = high
        y[i] = value


@kernel(backend=LOOPS, flat="dx dy x")
def clamp_backward(dx, dy, x, low, high):
    """dx = dy where low <= x <= high, else 0; a bound that is None does not bind."""
    for i in prange(dy.size):
        inside = (low is None or x[i] >= low) and (high is None or x[i] <= high)
        dx[i] = dy[i] if inside else 0


@each("condition a b", worth=large)
def where_forward(y, condition, a, b):
    """y = a where the condition holds, else b."""
    for i in prange(y.size):
        y[i] = a[i] if condition[i] else b[i]
