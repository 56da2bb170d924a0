"""Two-dimensional convolution: which algorithm, and the kernels that it is made of.

The public kernels are composites that call the steps of the algorithm chosen: pad, pack or flip the filter, run the
loop (in convolution/).  Each step is a kernel of its own, so a recorded program shares it between forward and backward.
Loops see images as NHWC, filters as HWIO ([kernel row][kernel column][C / groups][K]); offsets and strides are in
bytes.
"""

from typing import Any

import numpy as np
from numba import prange

from ..dispatch import kernel
from .arguments import ABSENT, images
from .convolution import packed_weight
from .convolution.borders import padded
from .convolution.choose import choose
from .convolution.filters import flipped_shape
from .simd.partition import TASKS

WINOGRAD = {"winograd2": 2, "winograd4": 4}  # size of a tile of the output


# ------------------------------------------------------------------------------------------------- composites


@kernel(backend="numba", double="numba", composite=True, when=lambda x, weight, bias, *_: images(x, weight, bias))
def conv2d_forward(k: Any, x: Any, weight: Any, bias: Any, *params: Any) -> Any:
    """Call the kernels of the algorithm that convolution.choose names."""
    bias, algorithm = (
        ABSENT if bias is None else bias,
        choose("forward", x.shape, weight.shape, *params, double=x.dtype.char == "d"),
    )
    if algorithm == "naive":
        return k.conv_naive(x, weight, bias, *params)
    return correlate(k, algorithm, x, weight, bias, *params)


def correlate(
    k: Any, algorithm: str, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """Run a forward pass over x; Winograd's tiles and rows of pixels find the borders themselves, the others pad."""
    if algorithm in WINOGRAD:
        return k.conv_winograd(x, k.winograd_filter(weight, WINOGRAD[algorithm]), bias, weight.shape[0], padding)
    if algorithm == "depthwise":
        return k.depthwise_forward(x, weight, bias, stride, padding, dilation)
    x = padded(k, x, padding)
    return k.conv_direct(x, k.pack_filter(weight, groups), bias, weight.shape, stride, dilation, groups)


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, weight, *_: images(dy, weight))
def conv2d_backward_input(k: Any, dy: Any, weight: Any, x_shape: Any, *params: Any) -> Any:
    """Stride 1: correlate dy with the flipped filter.  Otherwise add each tap to the pixels that it read.

    The first writes each pixel once but multiplies the zeros around dy; at 2x2 -> 4x4 three quarters of it are zeros.
    """
    (stride, padding, dilation, groups), algorithm = (
        params,
        choose("input", x_shape, weight.shape, *params, double=dy.dtype.char == "d"),
    )
    if algorithm == "naive":
        return k.conv_naive_input(dy, weight, x_shape, *params)
    if algorithm == "depthwise":
        return k.depthwise_input(dy, weight, x_shape, stride, padding, dilation)
    spread = algorithm not in WINOGRAD and (
        stride != (1, 1) or x_shape[2] * x_shape[3] >= 1.3 * dy.shape[2] * dy.shape[3]
    )
    if not spread:
        reach = [d * (size - 1) for d, size in zip(dilation, weight.shape[2:], strict=True)]
        edges = tuple((r - low, r - high) for r, (low, high) in zip(reach, padding, strict=True))
        if algorithm == "direct":
            packed, shape = k.pack_flipped_filter(weight, groups), flipped_shape(weight, groups)
            return k.conv_direct(padded(k, dy, edges), packed, ABSENT, shape, stride, dilation, groups)
        return correlate(
            k, algorithm, dy, k.flip_transpose_filter(weight, groups), ABSENT, stride, edges, dilation, groups
        )
    (top, bottom), (left, right) = padding
    shape = (*x_shape[:2], x_shape[2] + top + bottom, x_shape[3] + left + right)
    packed = k.pack_flipped_filter(weight, groups)
    dx = k.conv_scatter(dy, packed, shape, weight.shape, stride, dilation, groups)
    return padded(k, dx, ((-top, -bottom), (-left, -right)))


@kernel(backend="numba", double="numba", composite=True, when=lambda dy, x, *_: images(dy, x))
def conv2d_backward_weight(k: Any, dy: Any, x: Any, weight_shape: Any, *params: Any) -> Any:
    """Call the kernels of the algorithm that convolution.choose names; direct ones share the padded x of forward."""
    (stride, padding, dilation, groups), algorithm = (
        params,
        choose("weight", x.shape, weight_shape, *params, double=x.dtype.char == "d"),
    )
    if algorithm == "naive":
        return k.conv_naive_weight(dy, x, weight_shape, *params)
    if algorithm in WINOGRAD:
        return k.conv_winograd_weight(dy, x, WINOGRAD[algorithm], padding)
    if algorithm == "depthwise":
        return k.depthwise_weight(dy, x, weight_shape, stride, padding, dilation)
    x = padded(k, x, padding)
    if packed_weight.pays(weight_shape, groups):
        return k.conv_packed_weight(dy, x, weight_shape, stride, dilation)
    return k.conv_direct_weight(dy, x, weight_shape, stride, dilation, groups)


# ------------------------------------------------------------------------------------------------------- bias


@kernel(
    backend="numba",
    double="numba",
    rows="dy",
    out=lambda dy: [(dy.shape[1],)],
    work=lambda dy: [((max(1, min(TASKS, dy.size // max(1, dy.shape[1]))), dy.shape[1]), np.float64)],
)
def channel_sum(total: Any, partial: Any, dy: Any) -> None:
    """total[c] = sum of dy over all axes but axis 1, the channels."""
    cuts = partial.shape[0]
    for cut in prange(cuts):
        partial[cut] = 0
        for i in range(cut * dy.shape[0] // cuts, (cut + 1) * dy.shape[0] // cuts):
            for c in range(total.size):
                partial[cut, c] += dy[i, c]
    for c in range(total.size):
        sum = 0.0
        for cut in range(cuts):
            sum += partial[cut, c]
        total[c] = sum


# ------------------------------------------------------------------------------------------ transposed convolution


@kernel(backend="numba", double="numba", rows="y x")
def add_channels(y: Any, x: Any, bias: Any) -> None:
    """y[pixel, c] = x[pixel, c] + bias[c]"""
    for i in prange(y.shape[0]):
        for k in range(y.shape[1]):
            y[i, k] = x[i, k] + bias[k]
