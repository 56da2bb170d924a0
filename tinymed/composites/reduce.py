"""Sums over any axes in any memory order: what lies together among the axes decides which of four kernels adds up."""

import math
from typing import Any

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, is_dense
from ..ops.broadcast import broadcast_axes

FEW = 8  # rows below which partial sums would be larger than what is summed
WIDE, WIDE_OF_FEW = 4096, 512  # columns from which sums are made strip by strip, of many rows and of few


@kernel(backend="numba csrc", double="numba", composite=True, when=lambda x, axes: is_one_float((x,)))
def sum_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Sum x in its memory order, or a copy whose kept axes lie together, by the kernel that suits its sides.

    Where what is summed lies together between what is kept, the kept axes need not.
    """
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    if not x.size:
        return k.full(shape, x.dtype, 0)
    order = dense_order(x) or tuple(range(x.ndim))
    between = middle(order, axes)
    if between is not None and tuple(a for a in order if a in kept) == kept:
        sides = [math.prod(x.shape[a] for a in order[slice(*ends)]) for ends in between]
        x = x if is_dense(x, order) else k.canonical(x, order)
        return k.sum_middle(x.transpose(order).reshape(sides)).reshape(shape)
    run = [i for i, a in enumerate(order) if a in kept]
    first = run[0] if run else 0
    if order[first : first + len(kept)] != kept:  # the kept axes do not lie together
        order, first = (*axes, *kept), len(axes)
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    columns, outer = math.prod(shape), math.prod(x.shape[:first])
    if columns == 1:
        return k.sum_all(x.reshape(-1)).reshape(shape)
    inner = x.size // (outer * columns)
    if inner == 1 and columns >= (WIDE_OF_FEW if outer < FEW else WIDE):
        return k.sum_middle(x.reshape(1, outer, columns)).reshape(shape)
    if inner == 1:
        return k.sum_outer(x.reshape(outer, columns)).reshape(shape)
    return k.sum_inner(x.reshape(outer, columns, inner)).reshape(shape)


def middle(order: tuple[int, ...], axes: tuple[int, ...]) -> tuple[tuple[int, int], ...] | None:
    """Return where in an order of axes those before, of and behind `axes` begin and end; None unless all three are."""
    at = [i for i, a in enumerate(order) if a in axes]
    if not at or at[-1] - at[0] >= len(at) or at[0] == 0 or at[-1] == len(order) - 1:
        return None
    return (0, at[0]), (at[0], at[-1] + 1), (at[-1] + 1, len(order))


@kernel(backend="numba csrc", double="numba", composite=True, when=lambda dy, shape: is_one_float((dy,)))
def sum_to(k: Any, dy: Any, shape: tuple[int, ...]) -> Any:
    """Call sum_forward over the axes that broadcasting added or stretched; return it in the shape wanted."""
    return k.sum_forward(dy, broadcast_axes(dy.shape, shape)).reshape(shape)
