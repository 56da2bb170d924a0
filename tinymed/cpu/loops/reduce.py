"""Reductions: a line of elements becomes one number.  Sums run in float64, from the first element to the last."""

import math

import numpy as np
from numba import prange

from ...dispatch import LOOPS, kernel
from ...memory import inverse_order
from ...ops.axes import kept
from .views import along, each, large, line, lines, reduction

SMALLEST = 1e-290  # of a product that may be divided by: smaller ones have lost digits


@reduction()
def sum_forward(y, x):
    """y[l] = sum_i x[l, i]."""
    for l in prange(x.shape[0]):
        total = 0.0
        for i in range(x.shape[1]):
            total += x[l, i]
        y[l] = total


@reduction(worth=large)
def prod_forward(y, x):
    """y[l] = the product of x[l, i] over i."""
    for l in prange(x.shape[0]):
        product = 1.0
        for i in range(x.shape[1]):
            product *= x[l, i]
        y[l] = product


@along(worth=large)
def cumsum_forward(y, x):
    """y[l, i] = x[l, 0] + ... + x[l, i]."""
    for l in prange(x.shape[0]):
        total = 0.0
        for i in range(x.shape[1]):
            total += x[l, i]
            y[l, i] = total


@along(worth=large)
def cumsum_backward(dx, dy):
    """dx[l, i] = dy[l, i] + ... + dy[l, n - 1]."""
    for l in prange(dy.shape[0]):
        total = 0.0
        for i in range(dy.shape[1] - 1, -1, -1):
            total += dy[l, i]
            dx[l, i] = total


@along(worth=large)
def cumprod_forward(y, x):
    """y[l, i] = x[l, 0] x[l, 1] ... x[l, i]."""
    for l in prange(x.shape[0]):
        product = 1.0
        for i in range(x.shape[1]):
            product *= x[l, i]
            y[l, i] = product


@along(worth=large)
def cumprod_backward(dx, dy, x):
    """dx[l, i] = x[l, 0] ... x[l, i - 1] r[i], r[i] = dy[l, i] + x[l, i + 1] r[i + 1]: zeros need no division."""
    for l in prange(x.shape[0]):
        n = x.shape[1]
        after, before = 0.0, 1.0
        for i in range(n - 1, -1, -1):
            after = dy[l, i] + (x[l, i + 1] * after if i + 1 < n else 0.0)
            dx[l, i] = after
        for i in range(n):
            dx[l, i] *= before
            before *= x[l, i]


@kernel(name="prod_backward_loop", backend=LOOPS, out=lambda dy, x: [x.shape], flops=lambda dy, x: 4 * x.size)
def product_gradient(dx, dy, x):
    """dx[l, i] = dy[l] times the product of all other x[l, j]: of all by x[l, i], or of those behind and before."""
    for l in prange(x.shape[0]):
        product = 1.0
        for i in range(x.shape[1]):
            product *= x[l, i]
        if SMALLEST < abs(product) < np.inf:
            for i in range(x.shape[1]):
                dx[l, i] = dy[l] * product / x[l, i]
        else:
            after, before = dy[l] * 1.0, 1.0
            for i in range(x.shape[1] - 1, -1, -1):
                dx[l, i] = after
                after *= x[l, i]
            for i in range(x.shape[1]):
                dx[l, i] *= before
                before *= x[l, i]


@kernel(backend=LOOPS, composite=True, worth=lambda dy, *rest: large(*rest))
def prod_backward(k, dy, x, axes):
    """Call the loop on the lines over the axes."""
    order = (*(i for i in range(x.ndim) if i not in axes), *axes)
    dx = k.prod_backward_loop(line(k, dy), lines(k, x, axes))
    return dx.reshape([x.shape[i] for i in order]).transpose(inverse_order(order))


@reduction()
def logsumexp_forward(y, x):
    """y[l] = m + ln sum_i e^(x[l, i] - m), m = max x, or 0 where that is infinite."""
    for l in prange(x.shape[0]):
        top, total = -np.inf, 0.0
        for i in range(x.shape[1]):
            if x[l, i] > top or x[l, i] != x[l, i]:
                top = x[l, i]
        if not math.isfinite(top):
            top = 0.0
        for i in range(x.shape[1]):
            total += math.exp(x[l, i] - top)
        y[l] = top + math.log(total)


@reduction()
def norm_forward(y, x, p):
    """y[l] = (sum_i |x[l, i]|^p)^(1/p); p = inf: max |x|, -inf: min |x|, 0: the number of non-zeros."""
    for l in prange(x.shape[0]):
        total = np.inf if p == -np.inf else 0.0
        for i in range(x.shape[1]):
            size = abs(x[l, i])
            if p == np.inf or p == -np.inf:
                if size != size or (size > total if p > 0 else size < total):
                    total = size
            elif p == 0:
                total += 0 if size == 0 else 1
            else:
                total += size if p == 1 else size * size if p == 2 else size**p
        y[l] = math.sqrt(total) if p == 2 else total ** (1 / p) if p != 0 and math.isfinite(p) and p != 1 else total


@each("dy x y", out="dx")
def exp_difference(dx, dy, x, y):
    """dx = dy e^(x - y), e^x where y is -inf."""
    for i in prange(dy.size):
        dx[i] = dy[i] * math.exp(x[i] - (0 if y[i] == -np.inf else y[i]))


@kernel(backend=LOOPS, composite=True)
def logsumexp_backward(k, dy, x, y, axes):
    """Call the loop with dy and y spread over the axes."""
    return k.exp_difference(*[a if a is x else a.reshape(kept(x.shape, axes)) for a in (dy, x, y)])
