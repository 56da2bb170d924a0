"""Joining arrays on the CPU: each is copied once to its place, in the memory order of the first.

The gradient of an input is a window on the whole's: some channels of every pixel, with gaps between.  Kernels want
them dense; `take_channels` copies them, and a recorded program adds what else arrives in the same pass.
"""

import math
from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from ..memory import Order, canonical_order, dense_order, inverse_order, is_dense
from ..program import pattern
from ..program.values import address, root, start


@kernel(backend="numba", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Rows of x at the start of wider rows; the rest is for concat_next."""
    for i in prange(x.shape[0]):
        to, row = y[i, : x.shape[1]], x[i]
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Rows of x into rows of y, in place, from a column on."""
    for i in prange(x.shape[0]):
        to, row = y[i, start : start + x.shape[1]], x[i]  # y[i, start + j] would be checked for a negative index
        for j in range(row.size):
            to[j] = row[j]


@kernel(backend="numba", composite=True, when=lambda axis, *xs: {x.dtype.char for x in xs} == {"f"})
def concat(k: Any, axis: int, *xs: Any) -> Any:
    """concat_first, then concat_next for every further array, as rows in the memory order of the first."""
    order = next((o for x in xs if x.size and (o := dense_order(x))), tuple(range(xs[0].ndim)))
    place = order.index(axis)
    shape = [xs[0].shape[a] for a in order]
    shape[place] = sum(x.shape[axis] for x in xs)
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    width, column, y = shape[place] * inner, 0, None
    for x in xs:
        x = x if is_dense(x, order) else k.canonical(x, order)
        rows = x.transpose(order).reshape(outer, x.shape[axis] * inner)
        if y is None:
            y = k.concat_first(rows, width)
        else:
            k.concat_next(y, rows, column)
        column += rows.shape[1]
    return y.reshape(shape).transpose(inverse_order(order))  # type: ignore[union-attr]


# ------------------------------------------------------------------------------------- windows on some channels


def pitch(x: Any, order: Order) -> int:
    """Numbers from pixel to pixel of a channels-last array that is dense but for gaps between its pixels, else 0."""
    if x.dtype.char != "f" or not x.size or order != canonical_order("rows", x.ndim) or is_dense(x, order):
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
    """The memory from the first number of an array with gaps to its last, as an array of one axis."""
    owner, pixels = root(x), math.prod(x.shape[a] for a in order[:-1])
    return np.ndarray(((pixels - 1) * step + x.shape[order[-1]],), x.dtype, owner, address(x) - start(owner))


@kernel(backend="numba", rows="y", out=lambda x, shape, pitch: [shape], flops=lambda x, *_: 0)
def take_channels(y: Any, x: Any, shape: Any, pitch: Any) -> None:
    """The first channels of every pixel of x, whose pixels lie `pitch` numbers apart."""
    for i in prange(y.shape[0]):
        row, to = x[i * pitch : i * pitch + y.shape[1]], y[i]
        for c in range(row.size):
            to[c] = row[c]


def sample(draw: Any) -> dict[str, Any]:
    """A window of some channels, and what is added."""
    n, c, h, w = shape = draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (3, 16, 1, 2)))
    step = c + draw.integer(0, 5)
    return {"x": draw.array(((n * h * w - 1) * step + c,)), "shape": shape, "pitch": step, "b": draw.array(shape)}


for both in ("a, b", "b, a"):
    pattern("channels of a concatenation + add", f"a = take_channels(x, shape, pitch)\ny = add({both})",
            "y = take_channels_add(x, shape, pitch, b)", backend="numba",
            when=lambda v: v["b"].shape == v["shape"], samples=sample)  # fmt: skip


@kernel(backend="numba", rows="y b", out=lambda x, shape, *_: [shape], flops=lambda x, shape, *_: math.prod(shape))
def take_channels_add(y: Any, x: Any, shape: Any, pitch: Any, b: Any) -> None:
    """take_channels(x, shape, pitch) + b"""
    for i in prange(y.shape[0]):
        row, other, to = x[i * pitch : i * pitch + y.shape[1]], b[i], y[i]
        for c in range(row.size):
            to[c] = row[c] + other[c]
