"""Padding along one axis at a time: [l, i, c], where i counts along the axis."""

import math

from numba import njit, prange

from ...dispatch import LOOPS, kernel
from ...memory import dense_order, inverse_order
from .views import laid, large

MODES = {"reflect": 0, "replicate": 1, "circular": 2}


@kernel(
    name="pad_constant_loop",
    backend=LOOPS,
    out=lambda x, before, after, value: [(x.shape[0], x.shape[1] + before + after, x.shape[2])],
    flops=lambda *_: 0,
)
def pad_axis(y, x, before, after, value):
    """y[l, i] = x[l, i - before] where there is one, else value; negative widths take elements away."""
    for l in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for c in range(y.shape[2]):
                y[l, i, c] = x[l, i - before, c] if 0 <= i - before < x.shape[1] else value


@njit
def source(i, n, mode):
    """Return the element of n that place i shows: reflected at the ends, the last one again, or from the other end."""
    if mode == 1:
        return min(max(i, 0), n - 1)
    if mode == 2:
        return i % n
    period = max(1, 2 * (n - 1))
    return min(i % period, period - i % period) if n > 1 else 0


@kernel(
    name="pad_border_loop",
    backend=LOOPS,
    out=lambda x, before, after, mode: [(x.shape[0], x.shape[1] + before + after, x.shape[2])],
    flops=lambda *_: 0,
)
def border_axis(y, x, before, after, mode):
    """y[l, i] = x[l, source(i - before)]."""
    for l in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for c in range(y.shape[2]):
                y[l, i, c] = x[l, source(i - before, x.shape[1], mode), c]


@kernel(
    name="pad_border_backward_loop",
    backend=LOOPS,
    out=lambda dy, before, n, mode: [(dy.shape[0], n, dy.shape[2])],
    flops=lambda dy, *_: dy.size,
)
def border_axis_backward(dx, dy, before, n, mode):
    """dx[l, source(i - before)] += dy[l, i]."""
    for l in prange(dx.shape[0]):
        for i in range(n):
            for c in range(dx.shape[2]):
                dx[l, i, c] = 0
        for i in range(dy.shape[1]):
            for c in range(dx.shape[2]):
                dx[l, source(i - before, n, mode), c] += dy[l, i, c]


# -------------------------------------------------------------------------------------------------- axis by axis


@kernel(backend=LOOPS, composite=True)
def pad_constant(k, x, widths, value):
    """Call the loop for each axis with a width, in the memory order of x."""
    return by_axes(k, x, widths, lambda rows, axis, width: k.pad_constant_loop(rows, *width, float(value)))


@kernel(backend=LOOPS, composite=True, worth=large)
def pad_border(k, x, widths, mode):
    """Call the loop for each axis with a width, in the memory order of x."""
    return by_axes(k, x, widths, lambda rows, axis, width: k.pad_border_loop(rows, *width, MODES[mode]))


@kernel(backend=LOOPS, composite=True, worth=large)
def pad_border_backward(k, dy, shape, widths, mode):
    """Call the loop for each axis with a width, in the memory order of dy."""

    def back(rows, axis, width):
        return k.pad_border_backward_loop(rows, width[0], shape[axis], MODES[mode])

    return by_axes(k, dy, widths, back)


def by_axes(k, x, widths, pad):
    """Call pad([l, i, c], axis, width) for each axis that has a width; return a copy if none has."""
    order, before = dense_order(x) or tuple(range(x.ndim)), x
    x = laid(k, x, order)
    for place, axis in enumerate(order):
        if tuple(widths[axis]) != (0, 0):
            shape = list(x.shape)
            rows = x.reshape(math.prod(shape[:place]), shape[place], math.prod(shape[place + 1 :]))
            rows = pad(rows, axis, widths[axis])
            shape[place] = rows.shape[1]
            x, before = rows.reshape(shape), None
    return k.copy(before) if before is not None else x.transpose(inverse_order(order))
