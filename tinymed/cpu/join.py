"""Joining arrays on the CPU: each is copied once to its place, in the memory order of the first.

Of two arrays, rows are copied in turns, so that memory is written from one end to the other; by vector instructions,
as rows of some channels are too short for what LLVM makes of a loop.

The gradient of an input is a window on the whole's: some channels of every pixel, with gaps between.  Kernels want
them dense; `take_channels` copies them, and a recorded program adds what else arrives in the same pass.
"""

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import prange
from numba.core import cgutils

from ..dispatch import kernel
from ..memory import Order, canonical_order, dense_order, inverse_order, is_dense
from ..program import pattern
from ..program.values import address, root, start
from . import generated
from .activations import STRIP, piece, pieces
from .caches import FAR, settle, whole_vectors
from .jit import serial
from .microkernel import I64, LANES, SHAPE, TASKS, Vectors
from .microkernel import address as address_of
from .norm_passes import row_pass


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


def copy_runs(far: bool) -> generated.Emit:
    """What writes a loop over `rows` that copies `first` numbers of x and then `second` of z to y; steps are bytes."""

    def emit(b: ir.IRBuilder, arg: dict[str, ir.Value]) -> None:
        v = Vectors(b, SHAPE)

        def copy(x: ir.Value, y: ir.Value, size: ir.Value) -> None:
            whole = b.sdiv(size, I64(v.lanes))
            with cgutils.for_range(b, whole) as loop:
                to = b.mul(loop.index, I64(4 * v.lanes))
                (v.stream if far else v.store)(v.load(b.add(x, to)), b.add(y, to))
            done = b.mul(whole, I64(v.lanes))
            with b.if_then(b.icmp_signed("<", done, size)):
                mask, to = v.below(b.sub(size, done)), b.mul(done, I64(4))
                v.store(v.load(b.add(x, to), mask), b.add(y, to), mask)

        with cgutils.for_range(b, arg["rows"]) as loop:
            x, z, y = (b.add(arg[n], b.mul(loop.index, arg[f"{n}_step"])) for n in "xzy")
            copy(x, y, arg["first"])
            copy(z, b.add(y, b.mul(arg["first"], I64(4))), arg["second"])

    return emit


PARAMETERS = ["rows", "first", "second", "x", "x_step", "z", "z_step", "y", "y_step"]
near_runs, far_runs = (generated.function(f"copy_runs{far:d}", PARAMETERS, copy_runs(far)) for far in (False, True))


@serial
def runs(
    far: Any, rows: Any, first: Any, second: Any, x: Any, x_step: Any, z: Any, z_step: Any, y: Any, y_step: Any
) -> None:
    """Copy runs of x and of z in turns; far: past the caches, to whole aligned vectors."""
    if far:
        far_runs(rows, first, second, x, x_step, z, z_step, y, y_step)
        settle()
    else:
        near_runs(rows, first, second, x, x_step, z, z_step, y, y_step)


@serial
def is_copied_past(y: Any, first: Any, width: Any) -> Any:
    """Whether an array of rows is so large that no cache holds it, and all runs lie on whole vectors."""
    return 4 * y.size >= 4 * FAR and first % LANES == 0 and whole_vectors(y, width)


@kernel(backend="numba", out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
def concat_pair(y: Any, a: Any, b: Any, width: Any) -> None:
    """Rows of a, then of b, at the start of wider rows; the rest is for concat_next."""
    (n, first), second = a.shape, b.shape[1]
    far = is_copied_past(y, first, width)
    for t in prange(TASKS):
        low, high = t * n // TASKS, (t + 1) * n // TASKS
        if low < high:
            runs(
                far,
                high - low,
                first,
                second,
                address_of(a[low]),
                4 * first,
                address_of(b[low]),
                4 * second,
                address_of(y[low]),
                4 * width,
            )


@kernel(backend="numba", composite=True, when=lambda axis, *xs: {x.dtype.char for x in xs} == {"f"})
def concat(k: Any, axis: int, *xs: Any) -> Any:
    """concat_pair, then concat_next for every further array, as rows in the memory order of the first."""
    order = next((o for x in xs if x.size and (o := dense_order(x))), tuple(range(xs[0].ndim)))
    place = order.index(axis)
    shape = [xs[0].shape[a] for a in order]
    shape[place] = sum(x.shape[axis] for x in xs)
    outer, inner = math.prod(shape[:place]), math.prod(shape[place + 1 :])
    dense = [x if is_dense(x, order) else k.canonical(x, order) for x in xs]
    first, *rest = [x.transpose(order).reshape(outer, x.shape[axis] * inner) for x in dense]
    width, column = shape[place] * inner, first.shape[1]
    if rest:
        y = k.concat_pair(first, rest[0], width)
        column += rest[0].shape[1]
    else:
        y = k.concat_first(first, width)
    for rows in rest[1:]:
        k.concat_next(y, rows, column)
        column += rows.shape[1]
    return y.reshape(shape).transpose(inverse_order(order))


# ------------------------------------------------------------------------------------- windows on some channels


def pitch(x: Any, order: Order) -> int:
    """Numbers from pixel to pixel of a channels-last array that is dense but for gaps between its pixels, else 0.

    An array broadcast along an axis lies otherwise: there its stride is 0.
    """
    if any(stride == 0 and n > 1 for stride, n in zip(x.strides, x.shape, strict=True)):
        return 0
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
    n, c = y.shape
    far = is_copied_past(y, c, c)
    for t in prange(TASKS):
        low, high = t * n // TASKS, (t + 1) * n // TASKS
        if low < high:
            runs(far, high - low, c, 0, address_of(x[low * pitch :]), 4 * pitch, 0, 0, address_of(y[low]), 4 * c)


pass_copy = row_pass("copy", "x", "y", "", "", lambda v, x: ((x,), ()))


@kernel(backend="numba", flat="y x", out=lambda x: [x.shape], flops=lambda x: 0)
def copy_dense(y: Any, x: Any) -> None:
    """y = x, in memory of its own."""
    for t in prange(pieces(y)):
        start, size, far = piece(t, y)
        pass_copy(size, 0, STRIP, address_of(x) + start, address_of(y) + start, 0, 0, far)


def is_large(x: Any) -> bool:
    """Whether an array without gaps is too large for NumPy's copy, which is good in the caches."""
    return x.dtype.char == "f" and 4 * x.size >= FAR and dense_order(x) is not None


@kernel(backend="numba", composite=True, when=lambda x: is_large(x) or pitch(x, canonical_order("rows", x.ndim)) > 0)
def copy(k: Any, x: Any) -> Any:
    """copy_dense or take_channels, for a gradient that a leaf keeps."""
    if is_large(x):
        return k.copy_dense(x)
    order = canonical_order("rows", x.ndim)
    step = pitch(x, order)
    return k.take_channels(stretch(x, order, step), x.shape, step)


def sample(draw: Any) -> dict[str, Any]:
    """A window of some channels, and what is added."""
    n, c, h, w = shape = draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (3, 16, 1, 2)))
    step = c + draw.integer(0, 5)
    return {"x": draw.array(((n * h * w - 1) * step + c,)), "shape": shape, "pitch": step, "b": draw.array(shape)}


for both in ("a, b", "b, a"):
    pattern(
        "channels of a concatenation + add",
        f"a = take_channels(x, shape, pitch)\ny = add({both})",
        "y = take_channels_add(x, shape, pitch, b)",
        backend="numba",
        when=lambda v: v["b"].shape == v["shape"],
        samples=sample,
    )


@kernel(backend="numba", rows="y b", out=lambda x, shape, *_: [shape], flops=lambda x, shape, *_: math.prod(shape))
def take_channels_add(y: Any, x: Any, shape: Any, pitch: Any, b: Any) -> None:
    """take_channels(x, shape, pitch) + b"""
    for i in prange(y.shape[0]):
        row, other, to = x[i * pitch : i * pitch + y.shape[1]], b[i], y[i]
        for c in range(row.size):
            to[c] = row[c] + other[c]
