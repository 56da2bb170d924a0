"""Moving numbers on the CPU: concatenation, and gradients of what was picked by number.

Concatenation copies each array once to its place, in the memory order of the first.  Rows of two arrays are copied in
turns, so that memory is written from one end to the other.  What picked numbers gets them added up: a task owns the
places that it adds to and goes through the index in its order, so the bits do not depend on the number of threads.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, inverse_order, is_dense
from .simd.copy_runs import copies_nontemporally, runs
from .simd.partition import TASKS
from .simd.vectors import BYTES, address

u8 = np.uint64


@kernel(backend="numba", double="numba", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Copy rows of x to the start of wider rows; the rest is for concat_next."""
    for i in prange(x.shape[0]):
        to, row = y[i, : x.shape[1]], x[i]
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", double="numba", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Copy rows of x into rows of y, in place, from a column on."""
    for i in prange(x.shape[0]):
        to, row = y[i, start : start + x.shape[1]], x[i]  # y[i, start + j] would be checked for a negative index
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", double="numba", out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
def concat_pair(y: Any, a: Any, b: Any, width: Any) -> None:
    """Copy rows of a, then of b, to the start of wider rows; the rest is for concat_next."""
    (n, first), second = a.shape, b.shape[1]
    nontemporal = copies_nontemporally(y, first, width)
    for t in prange(TASKS):
        low, high = t * n // TASKS, (t + 1) * n // TASKS
        if low < high:
            runs(
                nontemporal,
                high - low,
                first,
                second,
                address(a[low]),
                BYTES * first,
                address(b[low]),
                BYTES * second,
                address(y[low]),
                BYTES * width,
            )


@kernel(backend="numba", double="numba", flops=lambda x: 0, out=lambda x: [x.shape])
def flip_lines(y: Any, x: Any) -> None:
    """y[a, i] = x[a, n - 1 - i], rows of numbers."""
    n, columns = x.shape[1], x.shape[2]
    for a in prange(x.shape[0]):
        if columns == 1:
            to, line = y[a].reshape(-1), x[a].reshape(-1)
            for i in range(n):
                to[i] = line[u8(n - 1) - u8(i)]  # a signed index would be checked, and not vectorised
        else:
            for i in range(n):
                row, other = y[a, i], x[a, n - 1 - i]
                for c in range(columns):
                    row[c] = other[c]


@kernel(backend="numba", double="numba", composite=True, when=lambda x, axes: is_one_float((x,)))
def flip_forward(k: Any, x: Any, axes: Any) -> Any:
    """Call flip_lines in the memory order of x, once for each run of axes: two neighbours are reversed as one."""
    if not axes or not x.size:
        return k.copy(x)
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    shape, wanted = x.shape, [a in axes for a in order]
    first = 0
    while first < len(order):
        last = first
        while last < len(order) and wanted[last]:
            last += 1
        if last > first:
            sides = [math.prod(shape[slice(*ends)]) for ends in ((0, first), (first, last), (last, None))]
            x = k.flip_lines(x.reshape(sides))
        first = last + 1
    return x.reshape(shape).transpose(inverse_order(order))


# ----------------------------------------------------------------------------------- gradients of picking by number

OWNERS = 8  # tasks that share the rows of one table, each of which reads the whole index


def in_c_order(k: Any, a: Any, shape: tuple[int, ...]) -> Any:
    """Return the elements of an array in C order, in another shape."""
    order = tuple(range(a.ndim))
    return (a if a.flags.c_contiguous else k.canonical(a, order)).reshape(shape)


@kernel(
    backend="numba",
    double="numba",
    out=lambda dy, index, n: [(dy.shape[0], n, dy.shape[2])],
    flops=lambda dy, *_: dy.size,
)
def add_rows(dx: Any, dy: Any, index: Any, n: Any) -> None:
    """dx[a, index[i]] += dy[a, i], a row of numbers each; NaN everywhere if an index is no row's, which none reads."""
    outer, _, columns = dx.shape
    owners = OWNERS if outer < OWNERS and columns >= OWNERS else 1
    for t in prange(outer * owners):
        a, o = t // owners, t % owners
        low, high = n * o // owners, n * (o + 1) // owners
        rows = dx[a].reshape(-1)
        for j in range(low * columns, high * columns):
            rows[j] = 0
        for i in range(index.size):
            at = index[i] + n if index[i] < 0 else index[i]
            if low <= at < high:
                for c in range(columns):
                    dx[a, u8(at), c] += dy[a, u8(i), c]
            elif at < 0 or at >= n:
                for j in range(low * columns, high * columns):
                    rows[j] = np.nan


@kernel(backend="numba", double="numba", out=lambda dy, index, n: [(dy.shape[0], n)], flops=lambda dy, *_: dy.size)
def add_to_lines(dx: Any, dy: Any, index: Any, n: Any) -> None:
    """dx[l, index[l, i]] += dy[l, i]; NaN all along a line if an index is not on it, which none reads."""
    for l in prange(dx.shape[0]):
        line = dx[l]
        for j in range(n):
            line[j] = 0
        for i in range(index.shape[1]):
            at = index[l, i]
            if 0 <= at < n:
                line[u8(at)] += dy[l, i]
            else:
                for j in range(n):
                    line[j] = np.nan


def one_axis(dy: Any, shape: Any, where: Any, *arrays: Any) -> bool:
    """Return whether numbers were picked along one axis."""
    return len(arrays) == 1 and arrays[0].dtype.kind == "i" and is_one_float((dy,))


@kernel(backend="numba", double="numba", composite=True, when=one_axis)
def take_backward(k: Any, dy: Any, shape: Any, where: Any, index: Any) -> Any:
    """Call add_rows: the axes before the one that was picked from, and those behind it, are one each."""
    axis = where.index(True)
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 :])
    rows = in_c_order(k, dy, (outer, index.size, inner))
    return k.add_rows(rows, in_c_order(k, index, (index.size,)), shape[axis]).reshape(shape)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, *_: is_one_float((dy,)))
def embedding_backward(k: Any, dy: Any, index: Any, rows: int) -> Any:
    """Call add_rows."""
    table = in_c_order(k, dy, (1, index.size, dy.shape[-1]))
    return k.add_rows(table, in_c_order(k, index, (index.size,)), rows).reshape(rows, dy.shape[-1])


def along_lines(k: Any, dy: Any, index: Any, n: int, axis: int) -> Any:
    """Call add_to_lines with the axis as the last one, and bring it back."""
    order = (*(a for a in range(dy.ndim) if a != axis), axis)
    shape = tuple(dy.shape[a] for a in order)
    count = math.prod(shape[:-1])
    lines = [in_c_order(k, a.transpose(order), (count, shape[-1])) for a in (dy, index)]
    return k.add_to_lines(*lines, n).reshape(*shape[:-1], n).transpose(inverse_order(order))


@kernel(
    backend="numba",
    double="numba",
    composite=True,
    when=lambda dy, indices, n, axis: axis == dy.ndim and is_one_float((dy,)),
)
def pick_backward(k: Any, dy: Any, indices: Any, n: int, axis: int) -> Any:
    """Call add_to_lines with one place a line."""
    lines = [in_c_order(k, a, (dy.size, 1)) for a in (dy, indices)]
    return k.add_to_lines(*lines, n).reshape(*dy.shape, n)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, *_: is_one_float((dy,)))
def gather_backward(k: Any, dy: Any, index: Any, n: int, axis: int) -> Any:
    """Call add_to_lines with the axis as the last one."""
    return along_lines(k, dy, index, n, axis)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, *_: is_one_float((dy,)))
def scatter_flat(k: Any, dy: Any, index: Any, x_shape: Any) -> Any:
    """Call add_to_lines with a line for each plane."""
    planes = x_shape[0] * x_shape[1]
    lines = [in_c_order(k, a, (planes, math.prod(dy.shape[2:]))) for a in (dy, index)]
    return k.add_to_lines(*lines, math.prod(x_shape[2:])).reshape(x_shape)
