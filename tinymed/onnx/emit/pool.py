"""Pooling.

The engine says how many windows there are; ONNX says how wide the border is.  A border after the image of
(windows - 1) stride + reach - length - before pixels gives exactly those windows, ceil_mode included.
"""

from math import prod
from typing import Any

import numpy as np

from ...ops.adaptive_pool import parts
from ...ops.space import Sizes, extent
from ..trace import Call
from ..writer import Writer, emits


def border_after(space: Sizes, size: Sizes, stride: Sizes, reach: Sizes, before: Sizes) -> list[int]:
    """Pixels after the image that make room for `size` windows."""
    return [max(0, (m - 1) * s + e - n - a) for n, m, s, e, a in zip(space, size, stride, reach, before, strict=True)]


def with_batch(w: Writer, x: Any, rank: int) -> Any:
    """Images (N, C, *space): x itself, or with an axis put before it."""
    return x if x.ndim == rank + 2 else w.add("Unsqueeze", x, w.ints([0]))


def finish(w: Writer, call: Call, operator: str, *inputs: Any, **attributes: Any) -> None:
    """Emit the last node of a pooling, which takes the batch axis away again if the input had none."""
    rank = len(call.size)
    if call.x.ndim == rank + 2:
        w.result(call, operator, *inputs, **attributes)
    else:
        w.result(call, "Squeeze", w.add(operator, *inputs, **attributes), w.ints([0]))


@emits("MaxPool")
def max_pool(w: Writer, call: Call) -> None:
    """MaxPool; without the winners' places, which ONNX counts otherwise."""
    if call.return_indices:
        raise w.refuse("return_indices=True")
    rank = len(call.kernel)
    after = border_after(call.x.shape[-rank:], call.size, call.stride, extent(call.kernel, call.dilation), call.before)
    finish(
        w,
        call,
        "MaxPool",
        with_batch(w, call.x, rank),
        kernel_shape=list(call.kernel),
        strides=list(call.stride),
        dilations=list(call.dilation),
        pads=[*call.before, *after],
    )


@emits("AvgPool")
def average_pool(w: Writer, call: Call) -> None:
    """AveragePool; zeros that count as pixels are put around the image first, so that only they count."""
    rank, x = len(call.kernel), with_batch(w, call.x, len(call.kernel))
    space, before = list(call.x.shape[-rank:]), [a for a, _ in call.padding]
    if call.include_pad and any(sum(p) for p in call.padding):
        pads = [0, 0, *before, 0, 0, *(b for _, b in call.padding)]
        x = w.add("Pad", x, w.ints(pads))
        space, before = [n + sum(p) for n, p in zip(space, call.padding, strict=True)], [0] * rank
    after = border_after(tuple(space), call.size, call.stride, call.kernel, tuple(before))
    attributes = {"kernel_shape": list(call.kernel), "strides": list(call.stride), "pads": [*before, *after]}
    if not call.divisor:
        finish(w, call, "AveragePool", x, **attributes)
        return
    if any(after):  # a window that sticks out is divided by the divisor too
        x = w.add("Pad", x, w.ints([0] * (2 + rank) + [0, 0, *after]))
        attributes["pads"] = [*before, *[0] * rank]
    mean = w.add("AveragePool", x, count_include_pad=1, **attributes)
    finish(w, call, "Mul", mean, w.number(prod(call.kernel) / call.divisor, call.x))


@emits("AdaptiveAvgPool")
def adaptive_average_pool(w: Writer, call: Call) -> None:
    """GlobalAveragePool; AveragePool where the parts are equal; else a product with a matrix for each axis."""
    rank = len(call.size)
    space = call.x.shape[-rank:]
    if set(call.size) == {1}:
        finish(w, call, "GlobalAveragePool", with_batch(w, call.x, rank))
    elif all(n % m == 0 for n, m in zip(space, call.size, strict=True)):
        kernel = [n // m for n, m in zip(space, call.size, strict=True)]
        finish(w, call, "AveragePool", with_batch(w, call.x, rank), kernel_shape=kernel, strides=kernel)
    else:
        x, ndim = w.value(call.x), call.x.ndim
        for axis, (n, m) in enumerate(zip(space, call.size, strict=True), ndim - rank):
            x = averaged(w, x, axis, ndim, means(n, m).astype(call.x.dtype))
        w.result(call, "Identity", x)


def means(n: int, m: int) -> np.ndarray:
    """Return the matrix (n, m) that averages the m parts of an axis of n pixels."""
    matrix = np.zeros((n, m))
    for j, (a, b) in enumerate(parts(n, m)):
        matrix[a:b, j] = 1 / (b - a)
    return matrix


def averaged(w: Writer, x: str, axis: int, ndim: int, matrix: np.ndarray) -> str:
    """x times a matrix along one axis, which goes last for it."""
    order = [i for i in range(ndim) if i != axis] + [axis]
    back = [order.index(i) for i in range(ndim)]
    product = w.add("MatMul", w.add("Transpose", x, perm=order), matrix)
    return w.add("Transpose", product, perm=back)


@emits("AdaptiveMaxPool")
def adaptive_max_pool(w: Writer, call: Call) -> None:
    """GlobalMaxPool, or MaxPool where the parts are equal."""
    rank = len(call.size)
    space = call.x.shape[-rank:]
    if call.return_indices or any(n % m for n, m in zip(space, call.size, strict=True)):
        raise w.refuse(f"return_indices, or {list(call.size)} unequal parts of {list(space)} pixels,")
    kernel = [n // m for n, m in zip(space, call.size, strict=True)]
    finish(w, call, "MaxPool", with_batch(w, call.x, rank), kernel_shape=kernel, strides=kernel)
