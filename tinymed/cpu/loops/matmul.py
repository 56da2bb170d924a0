"""Products of matrices: for each row of y, the rows of b, each times one number of a."""

from numba import prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS)
def matmul(y, a, b):
    """y[i, j] = sum_k a[i, k] b[k, j]."""
    for i in prange(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = 0
        for k in range(a.shape[1]):
            for j in range(y.shape[1]):
                y[i, j] += a[i, k] * b[k, j]


@kernel(backend=LOOPS)
def matmul_ta(y, a, b):
    """y[i, j] = sum_k a[k, i] b[k, j]."""
    for i in prange(y.shape[0]):
        for j in range(y.shape[1]):
            y[i, j] = 0
        for k in range(a.shape[0]):
            for j in range(y.shape[1]):
                y[i, j] += a[k, i] * b[k, j]


@kernel(backend=LOOPS)
def matmul_tb(y, a, b):
    """y[i, j] = sum_k a[i, k] b[j, k]."""
    for i in prange(y.shape[0]):
        for j in range(y.shape[1]):
            total = 0.0
            for k in range(a.shape[1]):
                total += a[i, k] * b[j, k]
            y[i, j] = total


@kernel(backend=LOOPS)
def linear_forward(y, x, weight, bias):
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o]."""
    for n in prange(y.shape[0]):
        for o in range(y.shape[1]):
            total = 0.0
            for i in range(x.shape[1]):
                total += x[n, i] * weight[o, i]
            y[n, o] = total if bias is None else total + bias[o]
