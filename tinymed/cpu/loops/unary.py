"""Functions of one number."""

import math

from numba import prange

from ...dispatch import LOOPS, kernel
from .views import large

ROOT_PI = math.sqrt(math.pi)


@kernel(backend=LOOPS, flat="y x")
def exp_forward(y, x):
    """y = e^x."""
    for i in prange(x.size):
        y[i] = math.exp(x[i])


@kernel(backend=LOOPS, flat="y x")
def expm1_forward(y, x):
    """y = e^x - 1, exact near 0."""
    for i in prange(x.size):
        y[i] = math.expm1(x[i])


@kernel(backend=LOOPS, flat="y x")
def log_forward(y, x):
    """y = ln x."""
    for i in prange(x.size):
        y[i] = math.log(x[i])


@kernel(backend=LOOPS, flat="y x")
def log1p_forward(y, x):
    """y = ln(1 + x), exact near 0."""
    for i in prange(x.size):
        y[i] = math.log1p(x[i])


@kernel(backend=LOOPS, flat="y x")
def sqrt_forward(y, x):
    """y = sqrt(x)."""
    for i in prange(x.size):
        y[i] = math.sqrt(x[i])


@kernel(backend=LOOPS, flat="y x")
def rsqrt_forward(y, x):
    """y = 1 / sqrt(x)."""
    for i in prange(x.size):
        y[i] = 1 / math.sqrt(x[i])


@kernel(backend=LOOPS, flat="dx dy y", worth=large)
def rsqrt_backward(dx, dy, y):
    """dx = -dy y^3 / 2."""
    for i in prange(dy.size):
        dx[i] = -0.5 * dy[i] * y[i] * y[i] * y[i]


@kernel(backend=LOOPS, flat="dx dy y", worth=large)
def reciprocal_backward(dx, dy, y):
    """dx = -dy y^2."""
    for i in prange(dy.size):
        dx[i] = -dy[i] * y[i] * y[i]


@kernel(backend=LOOPS, flat="y x")
def abs_forward(y, x):
    """y = |x|."""
    for i in prange(x.size):
        y[i] = abs(x[i])


@kernel(backend=LOOPS, flat="y x")
def sign_forward(y, x):
    """y = -1, 0 or 1 with the sign of x; 0 of NaN."""
    for i in prange(x.size):
        y[i] = 1 if x[i] > 0 else -1 if x[i] < 0 else 0


@kernel(backend=LOOPS, flat="y x")
def sin_forward(y, x):
    """y = sin x."""
    for i in prange(x.size):
        y[i] = math.sin(x[i])


@kernel(backend=LOOPS, flat="y x")
def cos_forward(y, x):
    """y = cos x."""
    for i in prange(x.size):
        y[i] = math.cos(x[i])


@kernel(backend=LOOPS, flat="y x", worth=large)
def erf_forward(y, x):
    """y = 2 / sqrt(pi) times the integral of e^(-t^2) from 0 to x."""
    for i in prange(x.size):
        y[i] = math.erf(x[i])


@kernel(backend=LOOPS, flat="dx dy x")
def erf_backward(dx, dy, x):
    """dx = dy 2 / sqrt(pi) e^(-x^2)."""
    for i in prange(dy.size):
        dx[i] = dy[i] * (2 / ROOT_PI) * math.exp(-x[i] * x[i])
