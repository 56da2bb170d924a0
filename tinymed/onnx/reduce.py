"""Reductions over axes."""

from itertools import accumulate
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, floating, like, number, numbers, operator, plain

AXES_AS_INPUT = {"ReduceSum": 13}  # the others since opset 18


def axes_of(node: Node, x: Any, axes: Any) -> tuple[int, ...] | None:
    """Return the axes to reduce, all by default.

    None if none is asked for and noop_with_empty_axes says to reduce none.

    They are an attribute up to opset 17 (ReduceSum: 12), an input since then.
    """
    early = node.opset < AXES_AS_INPUT.get(node.operator, 18)
    given = (node.get("axes") or []) if early else numbers(axes)
    if not given and node.get("noop_with_empty_axes", 0):
        return None
    return tuple(sorted({axis_of(node, a, x.ndim) for a in given})) if given else tuple(range(x.ndim))


def reduction(name: str, function: Any, integers: Any) -> None:
    """Put a reduction into the table: function(x, axes, keepdim) on tensors, and what NumPy does for integers."""

    def reduce(node: Node, x: Any, axes: Any = None) -> Any:
        which = axes_of(node, x, axes)
        if which is None:
            return x if name in UNCHANGED else function(x, (), False) if floating(x) else plain(integers, x, (), False)
        keep = bool(node.get("keepdims", 1))
        return like(function(x, which, keep), x) if floating(x) else like(plain(integers, x, which, keep), x)

    reduce.__doc__ = f"{name} over axes."
    operator(name)(reduce)


UNCHANGED = ("ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd")


def total(x: Any, axes: Any, keep: bool) -> Any:
    """Return the sum; over no axis x itself."""
    return F.sum(x, axes, keep) if axes else x


def product(x: Any, axes: Any, keep: bool) -> Any:
    """Return the product over several axes, one after another."""
    for axis in sorted(axes, reverse=True):
        x = F.prod(x, axis, keep)
    return x


def extreme(function: Any, sign: float) -> Any:
    """amax or amin, whose result over nothing is -inf or inf."""

    def run(x: Any, axes: Any, keep: bool) -> Any:
        if x.array.size:
            return function(x, axes, keep)
        return plain(lambda a: np.sum(a, axes, keepdims=keep) + a.dtype.type(sign), x)

    return run


def integer_extreme(function: Any, largest: bool) -> Any:
    """Return the largest or smallest integer; over nothing the least or greatest of the dtype."""

    def run(x: Any, axes: Any, keep: bool) -> Any:
        least, greatest = (False, True) if x.dtype == bool else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        return function(x, axes, keepdims=keep, initial=least if largest else greatest)

    return run


def numpy_sum(function: Any) -> Any:
    """Return the sum of a function of integers, in their dtype."""
    return lambda x, axes, keep: function(x).sum(axes, keepdims=keep, dtype=x.dtype)


def of_floats(function: Any) -> Any:
    """Return a function of float64, for integers: ONNX rounds its result towards zero."""
    return lambda x, axes, keep: function(x.astype(np.float64), axes, keep).astype(x.dtype)


def log_sum_exp(x: Any, axes: Any, keep: bool) -> Any:
    """ln sum e^x; -inf over nothing."""
    if not x.array.size:
        return plain(lambda a: np.log(np.exp(a).sum(axes, keepdims=keep)), x)
    return F.logsumexp(x, axes, keep) if axes else x


reduction("ReduceSum", total, numpy_sum(lambda x: x))
reduction("ReduceSumSquare", lambda x, a, k: total(x * x, a, k), numpy_sum(np.square))
reduction("ReduceMean", lambda x, a, k: F.mean(x, a, k), of_floats(lambda x, a, k: x.mean(a, keepdims=k)))
reduction("ReduceMax", extreme(F.amax, -np.inf), integer_extreme(np.max, True))
reduction("ReduceMin", extreme(F.amin, np.inf), integer_extreme(np.min, False))
reduction("ReduceProd", product, lambda x, a, k: np.prod(x, a, keepdims=k, dtype=x.dtype))
reduction("ReduceL1", lambda x, a, k: total(F.abs(x), a, k), numpy_sum(np.abs))
reduction(
    "ReduceL2",
    lambda x, a, k: F.norm(x, 2.0, a, k) if a else F.abs(x),
    of_floats(lambda x, a, k: np.sqrt((x * x).sum(a, keepdims=k))),
)
reduction(
    "ReduceLogSum", lambda x, a, k: F.log(total(x, a, k)), of_floats(lambda x, a, k: np.log(x.sum(a, keepdims=k)))
)
reduction("ReduceLogSumExp", log_sum_exp, of_floats(lambda x, a, k: np.log(np.exp(x).sum(a, keepdims=k))))


def arg(node: Node, x: Any, function: Any) -> Any:
    """Return the index of the first, or with select_last_index the last, extreme along an axis, in int64."""
    axis, keep = axis_of(node, node.get("axis", 0), x.ndim), bool(node.get("keepdims", 1))
    a = x.array
    if node.get("select_last_index", 0):
        index = a.shape[axis] - 1 - function(np.flip(a, axis), axis=axis, keepdims=keep)
    else:
        index = function(a, axis=axis, keepdims=keep)
    return Tensor(np.asarray(index, np.int64))


@operator("CumSum")
def cum_sum(node: Node, x: Any, axis: Any) -> Any:
    """x[0] + ... + x[i] along an axis; exclusive: without x[i]; reverse: from the end."""
    along, backwards = axis_of(node, numbers(axis)[0], x.ndim), node.get("reverse", 0)
    y = F.flip(x, along) if backwards else x
    y = like(F.cumsum(y, along) - y if node.get("exclusive", 0) else F.cumsum(y, along), x)
    return F.flip(y, along) if backwards else y


@operator("CumProd")
def cum_prod(node: Node, x: Any, axis: Any) -> Any:
    """x[0] ... x[i] multiplied along an axis; exclusive: without x[i]; reverse: from the end."""
    along = axis_of(node, int(number(node, axis, "axis")), x.ndim)
    parts = list(F.split(x, 1, along)) if x.shape[along] else []
    parts = parts[::-1] if node.get("reverse", 0) else parts
    if node.get("exclusive", 0) and parts:
        parts = [Tensor(np.ones(parts[0].shape, x.dtype)), *parts[:-1]]
    made = list(accumulate(parts, lambda a, b: like(a * b, x)))
    return F.cat(made[::-1] if node.get("reverse", 0) else made, along) if made else x


@operator("ArgMax")
def arg_max(node: Node, x: Any) -> Any:
    """Return the index of the largest element along an axis."""
    return arg(node, x, np.argmax)


@operator("ArgMin")
def arg_min(node: Node, x: Any) -> Any:
    """Return the index of the smallest element along an axis."""
    return arg(node, x, np.argmin)
