"""Variance over lines."""

from numba import prange

from ...dispatch import LOOPS, kernel
from .views import large, reduction


@reduction()
def var_forward(y, x, correction):
    """y[l] = sum_i (x[l, i] - mean)^2 / max(0, n - correction)."""
    for l in prange(x.shape[0]):
        total, squares = 0.0, 0.0
        for i in range(x.shape[1]):
            total += x[l, i]
        mean = total / max(1, x.shape[1])
        for i in range(x.shape[1]):
            squares += (x[l, i] - mean) ** 2
        y[l] = squares / max(0.0, x.shape[1] - correction)


@kernel(backend=LOOPS, flat="y a b", worth=large)
def ratio(y, a, b):
    """y = a / b, 0 where b = 0."""
    for i in prange(a.size):
        y[i] = 0 if b[i] == 0 else a[i] / b[i]
