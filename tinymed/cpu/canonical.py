"""Changing the memory order of an array on the CPU, and closing the gaps between its pixels.

The gradient of one input of a concatenation is a window on the whole gradient: some channels of every pixel, with gaps
between them.  Kernels want them dense; `take_channels` copies them, and a recorded program adds what else arrives in
the same pass.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from ..memory import Order, as_matrices, canonical_order, dense_order, inverse_order, is_dense, moved_sides
from ..program.values import address, root, start
from .compiler.jit import serial
from .simd.copy_runs import copies_nontemporally, runs
from .simd.partition import TASKS, pieces
from .simd.passes import elementwise
from .simd.streaming import CACHE_BYTES
from .simd.transpose import transpose
from .simd.vectors import BYTES
from .simd.vectors import address as address_of

RUN = 4096  # numbers of a row that one task takes


def changes_places(x: Any, order: Order) -> bool:
    """Return whether the old order of an array and the new one differ by two runs of axes changing places."""
    if x.dtype.char not in "fd" or not x.size or is_dense(x, order):
        return False
    now = dense_order(x)
    return now is not None and moved_sides(x.shape, now, order) is not None


@kernel(
    backend="numba",
    double="numba",
    composite=True,
    when=lambda x, order: changes_places(x, order) or pitch(x, order) > 0,
)
def canonical(k: Any, x: Any, order: Order) -> Any:
    """Call transpose_matrices and view the result as the array asked for; call take_channels where pixels have gaps."""
    matrices = as_matrices(x, order)
    if matrices is None:
        step = pitch(x, order)
        return k.take_channels(stretch(x, order, step), x.shape, step)
    y = k.transpose_matrices(matrices)
    return y.reshape([x.shape[a] for a in order]).transpose(inverse_order(order))


@serial
def interleave(y: Any, a: Any, b: Any, c: Any) -> None:
    """Write y = a[0], b[0], c[0], a[1], ...: the rows of a colour image are too few for a block of `transpose`."""
    for i in range(a.size):
        y[3 * i], y[3 * i + 1], y[3 * i + 2] = a[i], b[i], c[i]


@kernel(backend="numba", double="numba", out=lambda x: [(x.shape[0], x.shape[2], x.shape[1])], flops=lambda x: 0)
def transpose_matrices(y: Any, x: Any) -> None:
    """Transpose each of a matrices: [a, m, n] to [a, n, m]."""
    rows, columns = x.shape[1], x.shape[2]
    runs = -(-columns // RUN)
    for t in prange(x.shape[0] * runs):
        b, first = t // runs, t % runs * RUN
        last = min(first + RUN, columns)
        if rows == 3:
            interleave(y[b, first:last].reshape(-1), x[b, 0, first:last], x[b, 1, first:last], x[b, 2, first:last])
        else:
            transpose(
                address_of(x[b]) + BYTES * first,
                BYTES * columns,
                rows,
                last - first,
                address_of(y[b, first:]),
                BYTES * rows,
            )


def pitch(x: Any, order: Order) -> int:
    """Return the distance of two pixels, in numbers, if x is channels-last with gaps only between pixels, else 0.

    An array that is broadcast along an axis is not such an array: its stride there is 0.
    """
    if x.dtype.char not in "fd" or not x.size or order != canonical_order("rows", x.ndim) or is_dense(x, order):
        return 0
    if any(stride == 0 and n > 1 for stride, n in zip(x.strides, x.shape, strict=True)):
        return 0
    if not root(x).flags.c_contiguous:
        return 0
    step = following = 0
    for axis in reversed(order[:-1]):
        if x.shape[axis] > 1:
            if following and x.strides[axis] != following:
                return 0
            step, following = step or x.strides[axis], x.strides[axis] * x.shape[axis]
    touching = x.strides[order[-1]] == x.itemsize or x.shape[order[-1]] == 1
    return step // x.itemsize if touching and step >= x.shape[order[-1]] * x.itemsize else 0


def stretch(x: Any, order: Order, step: int) -> Any:
    """Return the memory from the first number of an array with gaps to its last, as an array of one axis."""
    owner, pixels = root(x), math.prod(x.shape[a] for a in order[:-1])
    return np.ndarray(((pixels - 1) * step + x.shape[order[-1]],), x.dtype, owner, address(x) - start(owner))


@kernel(backend="numba", double="numba", rows="y", out=lambda x, shape, pitch: [shape], flops=lambda x, *_: 0)
def take_channels(y: Any, x: Any, shape: Any, pitch: Any) -> None:
    """Copy the first channels of every pixel of x, whose pixels lie `pitch` numbers apart."""
    n, c = y.shape
    nontemporal = copies_nontemporally(y, c, c)
    for t in prange(TASKS):
        low, high = t * n // TASKS, (t + 1) * n // TASKS
        if low < high:
            runs(
                nontemporal,
                high - low,
                c,
                0,
                address_of(x[low * pitch :]),
                BYTES * pitch,
                0,
                0,
                address_of(y[low]),
                BYTES * c,
            )


copy_piece = elementwise("copy", "x", lambda v, x: x)


@kernel(backend="numba", double="numba", flat="y x", out=lambda x: [x.shape], flops=lambda x: 0)
def copy_dense(y: Any, x: Any) -> None:
    """Copy x into memory of its own."""
    for t in prange(pieces(y)):
        copy_piece(t, y, x)


def is_large(x: Any) -> bool:
    """Return whether an array without gaps is too large for NumPy's copy, which is good within the caches."""
    return x.dtype.char in "fd" and x.nbytes >= CACHE_BYTES and dense_order(x) is not None


@kernel(
    backend="numba",
    double="numba",
    composite=True,
    when=lambda x: is_large(x) or pitch(x, canonical_order("rows", x.ndim)) > 0,
)
def copy(k: Any, x: Any) -> Any:
    """Call copy_dense or take_channels, for a gradient that a leaf keeps."""
    if is_large(x):
        return k.copy_dense(x)
    order = canonical_order("rows", x.ndim)
    step = pitch(x, order)
    return k.take_channels(stretch(x, order, step), x.shape, step)
