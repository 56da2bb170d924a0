"""Padding with a constant on the CPU: one pass for each padded axis, in the memory order of the array."""

import math
from typing import Any

from numba import prange

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, inverse_order, is_dense


@kernel(
    backend="numba",
    double="numba",
    out=lambda x, before, after, value: [(x.shape[0], x.shape[1] + before + after, x.shape[2])],
    flops=lambda *_: 0,
)
def pad_middle(y: Any, x: Any, before: Any, after: Any, value: Any) -> None:
    """Pad (A, n, C) to (A, before + n + after, C); negative widths crop."""
    for a in prange(y.shape[0]):
        for i in range(y.shape[1]):
            if before <= i < before + x.shape[1]:
                for c in range(y.shape[2]):
                    y[a, i, c] = x[a, i - before, c]
            else:
                for c in range(y.shape[2]):
                    y[a, i, c] = value


@kernel(backend="numba", double="numba", composite=True, when=lambda x, widths, value: is_one_float((x,)))
def pad_constant(k: Any, x: Any, widths: tuple[tuple[int, int], ...], value: Any) -> Any:
    """Call pad_middle once for each axis with a width, in the memory order of x; copy where no width is given."""
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    done = False
    for axis, a in enumerate(order):
        before, after = widths[a]
        if before or after:
            shape = [*x.shape[:axis], x.shape[axis] + before + after, *x.shape[axis + 1 :]]
            rows = x.reshape(math.prod(shape[:axis]), x.shape[axis], math.prod(shape[axis + 1 :]))
            x, done = k.pad_middle(rows, before, after, value).reshape(shape), True
    return (x if done else k.copy(x)).transpose(inverse_order(order))
