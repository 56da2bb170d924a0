"""Pooling: the largest, the mean or the p-norm of a window, or of the whole image."""

from math import prod
from typing import Any

import numpy as np

from ..nn import functional as F
from ..ops.max_pool import MaxPool
from ..ops.pool import AvgPool
from ..tensor import Tensor
from .table import Node, like, numbers, operator, plain, sized
from .windows import Window, by_rank, window


@operator("MaxPool")
def max_pool(node: Node, x: Any) -> Any:
    """Return the largest value of each window; with a second output its index in the flattened tensor, in int64.

    storage_order 1 counts that index with the axes of space in reverse order.
    """
    how = window(node, x.shape[2:], node.get("kernel_shape", ()), x.shape[:2])
    before = tuple(a for a, _ in how.padding)
    exact = x if x.dtype.kind == "f" else x.to(np.float32)  # 8-bit integers, and -inf in the border
    y, index = MaxPool.apply(exact, how.kernel, how.stride, before, how.dilation, how.size, True)
    if len(node.outputs) < 2:
        return like(y, x)
    return like(y, x), plain(flat_index, index, np.asarray(x.shape), node.get("storage_order", 0))


def flat_index(index: Any, shape: Any, order: int) -> Any:
    """Return indices into one image's space as indices into the whole tensor (N, C, *space)."""
    n, c, *space = (int(s) for s in shape)
    if order:
        place = np.unravel_index(index, space)
        index = np.ravel_multi_index(place[::-1], space[::-1])
    planes = np.arange(n * c).reshape(n, c, *[1] * len(space))
    return index + planes * prod(space)


@operator("AveragePool")
def average_pool(node: Node, x: Any) -> Any:
    """Return the mean of each window; count_include_pad: the border's zeros count as pixels."""
    how = window(node, x.shape[2:], node.get("kernel_shape", ()), x.shape[:2])
    include = bool(node.get("count_include_pad", 0))
    if set(how.dilation) == {1}:
        return AvgPool.apply(x, how.kernel, how.stride, how.padding, how.size, include, 0)
    pixels = Tensor(np.ones((1, 1, *x.shape[2:]), x.dtype))
    if include:
        pixels = F.pad(pixels, [p for pair in reversed(how.padding) for p in pair], value=1.0)
        return window_sums(x, how) / window_sums(pixels, how._replace(padding=((0, 0),) * len(how.kernel)))
    return window_sums(x, how) / F.clamp(window_sums(pixels, how), min=1.0)


@operator("LpPool")
def lp_pool(node: Node, x: Any) -> Any:
    """(sum |x|^p)^(1/p) of each window."""
    p, how = float(node.get("p", 2)), window(node, x.shape[2:], node.get("kernel_shape", ()), x.shape[:2])
    return window_sums(F.abs(x) ** p, how) ** (1 / p)


def window_sums(x: Any, how: Window) -> Any:
    """Return the sum of each window: a convolution with ones, each channel by itself."""
    channels, rank = x.shape[1], len(how.kernel)
    reach = [d * (k - 1) + 1 for k, d in zip(how.kernel, how.dilation, strict=True)]
    after = [
        (m - 1) * s + e - n - a
        for m, s, e, n, (a, _) in zip(how.size, how.stride, reach, x.shape[2:], how.padding, strict=True)
    ]
    padding = tuple((a, max(0, b)) for (a, _), b in zip(how.padding, after, strict=True))
    ones = Tensor(np.ones((channels, 1, *how.kernel), x.dtype))
    function = by_rank((F.conv1d, F.conv2d, F.conv3d), rank)
    return function(x, ones, None, how.stride, padding, how.dilation, channels)


@operator("GlobalAveragePool")
def global_average_pool(node: Node, x: Any) -> Any:
    """Return the mean of each channel of each image, the axes of space kept with length 1."""
    return F.mean(x, tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalMaxPool")
def global_max_pool(node: Node, x: Any) -> Any:
    """Return the largest value of each channel of each image."""
    return F.amax(x, tuple(range(2, x.ndim)), keepdim=True)


@operator("GlobalLpPool")
def global_lp_pool(node: Node, x: Any) -> Any:
    """Return the p-norm of each channel of each image."""
    return F.norm(x, float(node.get("p", 2)), tuple(range(2, x.ndim)), keepdim=True)


@operator("MaxUnpool")
def max_unpool(node: Node, x: Any, index: Any, output_shape: Any = None) -> Any:
    """Values back at the places that MaxPool found them at, zeros elsewhere.

    The index counts in the size that kernel_shape, strides and pads imply; a larger output_shape adds zeros after it.
    """
    kernel, rank = node.get("kernel_shape", ()), len(x.shape) - 2
    stride, pads = node.get("strides") or [1] * rank, node.get("pads") or [0] * 2 * rank
    space = [
        (n - 1) * s + k - a - b
        for n, s, k, a, b in zip(x.shape[2:], stride, kernel, pads[:rank], pads[rank:], strict=True)
    ]
    shape = sized(node, (*x.shape[:2], *space))
    zeros = Tensor(np.zeros(prod(shape), x.dtype))
    y = F.reshape(F.scatter_add(zeros, 0, F.reshape(index, (-1,)), F.reshape(x, (-1,))), shape)
    if output_shape is None:
        return y
    wanted = sized(node, numbers(output_shape))
    return F.pad(y, [p for n, m in zip(reversed(shape), reversed(wanted), strict=True) for p in (0, m - n)])
