"""Softmax and its logarithm along lines, shifted by the largest element so that nothing overflows."""

import math

import numpy as np
from numba import njit, prange

from .views import along


@njit
def largest(x, l):
    """Return the largest element of line l; NaN if there is one."""
    top = -np.inf
    for i in range(x.shape[1]):
        if x[l, i] > top or x[l, i] != x[l, i]:
            top = x[l, i]
    return top


@along()
def softmax_forward(y, x):
    """y = e^(x - m) / sum e^(x - m) along each line, m = max x."""
    for l in prange(x.shape[0]):
        top, total = largest(x, l), 0.0
        for i in range(x.shape[1]):
            y[l, i] = math.exp(x[l, i] - top)
            total += y[l, i]
        for i in range(x.shape[1]):
            y[l, i] /= total


@along()
def softmax_backward(dx, dy, y):
    """dx = y (dy - sum(dy y)), the sum along each line."""
    for l in prange(y.shape[0]):
        total = 0.0
        for i in range(y.shape[1]):
            total += dy[l, i] * y[l, i]
        for i in range(y.shape[1]):
            dx[l, i] = y[l, i] * (dy[l, i] - total)


@along()
def log_softmax_forward(y, x):
    """y = x - m - ln sum e^(x - m) along each line, m = max x."""
    for l in prange(x.shape[0]):
        top, total = largest(x, l), 0.0
        for i in range(x.shape[1]):
            total += math.exp(x[l, i] - top)
        for i in range(x.shape[1]):
            y[l, i] = x[l, i] - top - math.log(total)


@along()
def log_softmax_backward(dx, dy, y):
    """dx = dy - e^y sum(dy), the sum along each line."""
    for l in prange(y.shape[0]):
        total = 0.0
        for i in range(y.shape[1]):
            total += dy[l, i]
        for i in range(y.shape[1]):
            dx[l, i] = dy[l, i] - math.exp(y[l, i]) * total
