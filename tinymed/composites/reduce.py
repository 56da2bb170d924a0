"""Sums over any axes in any memory order: the axes that are kept are brought together, so that three kernels do."""

import math
from typing import Any

from ..dispatch import is_one_float, kernel
from ..memory import dense_order, is_dense
from ..ops.broadcast import broadcast_axes

FEW = 8  # rows below which partial sums would be larger than what is summed


@kernel(backend="numba csrc", double="numba", composite=True, when=lambda x, axes: is_one_float((x,)))
def sum_forward(k: Any, x: Any, axes: tuple[int, ...]) -> Any:
    """Sum x in its memory order, or a copy whose kept axes lie together, by the kernel that suits its sides."""
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    shape = tuple(x.shape[i] for i in kept)
    if not x.size:
        return k.full(shape, x.dtype, 0)
    order = dense_order(x) or tuple(range(x.ndim))
    run = [i for i, a in enumerate(order) if a in kept]
    first = run[0] if run else 0
    if order[first : first + len(kept)] != kept:  # the kept axes do not lie together
        order, first = (*axes, *kept), len(axes)
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    columns, outer = math.prod(shape), math.prod(x.shape[:first])
    if columns == 1:
        return k.sum_all(x.reshape(-1)).reshape(shape)
    inner = x.size // (outer * columns)
    if inner == 1 and outer < FEW:
        return k.sum_few(x.reshape(outer, columns)).reshape(shape)
    if inner == 1:
        return k.sum_outer(x.reshape(outer, columns)).reshape(shape)
    return k.sum_inner(x.reshape(outer, columns, inner)).reshape(shape)


@kernel(backend="numba csrc", double="numba", composite=True, when=lambda dy, shape: is_one_float((dy,)))
def sum_to(k: Any, dy: Any, shape: tuple[int, ...]) -> Any:
    """Call sum_forward over the axes that broadcasting added or stretched; return it in the shape wanted."""
    return k.sum_forward(dy, broadcast_axes(dy.shape, shape)).reshape(shape)
