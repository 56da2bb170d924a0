"""Products of mixed precision on the CPU: on bfloat16's instructions where they are faster, else in float32.

float32 computes a product of rounded numbers more exactly, which mixed precision allows.  The choice is one of shapes,
and of the processor: groups, few numbers, and a processor without such instructions compute in float32.
"""

import math
from typing import Any

from numba import prange

from ...composites import mixed
from ...dispatch import kernel
from ..arguments import ABSENT, images, matrices
from ..compiler import isa
from ..simd.bf16_product import rounded
from ..simd.partition import pieces
from ..simd.passes import elementwise
from .bf16 import borders

LEAST = 1 << 16  # multiply-adds from which packing pays
FAST = ("amx",)  # paths whose products are faster than float32's

near = elementwise("bf16_round", "x", rounded)


@kernel(backend="numba", flat="y x", flops=lambda x: x.size, when=lambda x: x.dtype.char == "f")
def bf16_round(y: Any, x: Any) -> None:
    """y = the number of bfloat16 nearest to x, of two the one whose last digit is even; NaN stays NaN."""
    for t in prange(pieces(y)):
        near(t, y, x)


def pays(multiplications: float) -> bool:
    """Return whether a product of this size runs on bfloat16's instructions."""
    return isa.path() in FAST and multiplications >= LEAST


# ------------------------------------------------------------------------------------------------- convolution


def windows_fit(padding: Any, groups: int) -> bool:
    """Return whether the kernels take such a convolution: one group, and no pixels cut off."""
    return groups == 1 and all(n >= 0 for pair in padding for n in pair)


@kernel(backend="numba", composite=True, when=lambda x, weight, bias, *_: images(x, weight, bias) and single(x))
def bf16_conv2d_forward(
    k: Any, x: Any, weight: Any, bias: Any, known: bool, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Round and pad x, pack the filter, and run conv_bf16."""
    work = x.size // max(1, x.shape[1]) * math.prod(weight.shape) / math.prod(stride)
    if not (windows_fit(padding, groups) and pays(work)):
        return mixed.convolve(k, 2, x, weight, bias, known, stride, padding, dilation, groups)
    bias = ABSENT if bias is None else bias
    rows = k.bf16_images(x, padding)
    return k.conv_bf16(rows, k.bf16_filter(weight), bias, weight.shape, stride, dilation, 1)


@kernel(backend="numba", composite=True, when=lambda dy, weight, *_: images(dy, weight) and single(dy))
def bf16_conv2d_backward_input(
    k: Any, dy: Any, weight: Any, x_shape: Any, rounds: bool, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Stride 1: run conv_bf16 over dy with the flipped filter.  Otherwise a product for each phase of the stride."""
    work = dy.size // max(1, dy.shape[1]) * math.prod(weight.shape)
    turned = stride == (1, 1)
    if not (windows_fit(padding, groups) and pays(work) and (turned or dilation == (1, 1))):
        return mixed.convolve_back(k, 2, dy, weight, x_shape, rounds, stride, padding, dilation, groups)
    packed = k.bf16_flipped_filter(weight, stride)
    rows = k.bf16_images(dy, around(dy.shape, x_shape, weight.shape, stride, padding, dilation))
    if turned:
        shape = weight.shape[1], weight.shape[0], *weight.shape[2:]
        return k.conv_bf16(rows, packed, ABSENT, shape, stride, dilation, int(rounds))
    return k.conv_bf16_input(rows, packed, x_shape, weight.shape, stride, padding, int(rounds))


def around(dy_shape: Any, x_shape: Any, shape: Any, stride: Any, padding: Any, dilation: Any) -> Any:
    """Return the zeros around dy, which both gradients share; negative ones cut off what no pixel of x has seen."""
    if stride == (1, 1):
        reach = [d * (size - 1) for d, size in zip(dilation, shape[2:], strict=True)]
        return tuple((r - low, r - high) for r, (low, high) in zip(reach, padding, strict=True))
    if dilation == (1, 1):
        return borders(dy_shape[2:], x_shape[2:], shape[2:], stride, padding)
    return ((0, 0), (0, 0))


@kernel(backend="numba", composite=True, when=lambda dy, x, *_: images(dy, x) and single(dy))
def bf16_conv2d_backward_weight(
    k: Any, dy: Any, x: Any, weight_shape: Any, known: bool, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Run conv_bf16_weight on the rounded x of forward, and on the rounded dy of the input's gradient."""
    work = dy.size // max(1, dy.shape[1]) * math.prod(weight_shape)
    if not (windows_fit(padding, groups) and pays(work)):
        return mixed.correlate(k, 2, dy, x, weight_shape, known, stride, padding, dilation, groups)
    zeros = around(dy.shape, x.shape, weight_shape, stride, padding, dilation)
    if any(n < 0 for pair in zeros for n in pair):
        zeros = ((0, 0), (0, 0))
    offset = zeros[0][0], zeros[1][0]
    rows, pixels = k.bf16_images(dy, zeros), k.bf16_images(x, padding)
    return k.conv_bf16_weight(rows, pixels, weight_shape, stride, dilation, tuple(dy.shape[2:]), offset)


# ---------------------------------------------------------------------------------------------------- matrices


def single(x: Any) -> bool:
    """Return whether an array is float32."""
    return bool(x.dtype.char == "f")


def floats(a: Any, b: Any, *_: Any) -> bool:
    """Return whether two arrays are matrices of float32."""
    return matrices(a, b) and single(a)


def as_image(rows: Any) -> Any:
    """Return a matrix as one image whose pixels are its rows, without a copy."""
    return rows.reshape(1, 1, *rows.shape).transpose(0, 3, 1, 2)


def as_filter(b: Any) -> Any:
    """Return a matrix (channels, filters) as a filter of one pixel, without a copy."""
    return b.reshape(1, 1, *b.shape).transpose(3, 2, 0, 1)


def multiply(k: Any, a: Any, packed: Any, bias: Any, n: int, rounds: int) -> Any:
    """Return a times a packed matrix of n columns."""
    (m, depth), how = a.shape, ((1, 1), (1, 1))
    y = k.conv_bf16(k.bf16_images(as_image(a), ((0, 0), (0, 0))), packed, bias, (n, depth, 1, 1), *how, rounds)
    return y.transpose(0, 2, 3, 1).reshape(m, n)


@kernel(backend="numba", composite=True, when=floats)
def bf16_matmul(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """Compute a b, (m, depth) by (depth, n), as a convolution of one pixel."""
    if not pays(a.size * b.shape[1]):
        return mixed.rounded_if(k, k.matmul(k.bf16_round(a), k.bf16_round(b)), rounds)
    return multiply(k, a, k.bf16_filter(as_filter(b)), ABSENT, b.shape[1], int(rounds))


@kernel(backend="numba", composite=True, when=floats)
def bf16_matmul_tb(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """Compute a b^T, (m, depth) by (n, depth), as a convolution of one pixel."""
    if not pays(a.size * b.shape[0]):
        return mixed.rounded_if(k, k.matmul_tb(k.bf16_round(a), k.bf16_round(b)), rounds)
    return multiply(k, a, k.bf16_flipped_filter(as_filter(b), (1, 1)), ABSENT, b.shape[0], int(rounds))


@kernel(backend="numba", composite=True, when=floats)
def bf16_matmul_ta(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """Compute a^T b, (depth, m) by (depth, n), as the gradient of the weight of such a convolution."""
    if not pays(a.size * b.shape[1]):
        return mixed.rounded_if(k, k.matmul_ta(k.bf16_round(a), k.bf16_round(b)), rounds)
    (depth, m), n, none = a.shape, b.shape[1], ((0, 0), (0, 0))
    dy, x = k.bf16_images(as_image(b), none), k.bf16_images(as_image(a), none)
    dw = k.conv_bf16_weight(dy, x, (n, m, 1, 1), (1, 1), (1, 1), (1, depth), (0, 0))
    return mixed.rounded_if(k, dw.transpose(2, 3, 1, 0).reshape(m, n), rounds)


@kernel(backend="numba", composite=True, when=lambda x, weight, bias: floats(x, weight))
def bf16_linear_forward(k: Any, x: Any, weight: Any, bias: Any) -> Any:
    """Compute x weight^T + bias, rounded."""
    if not pays(x.size * weight.shape[0]):
        return k.bf16_round(k.linear_forward(k.bf16_round(x), k.bf16_round(weight), bias))
    packed = k.bf16_flipped_filter(as_filter(weight), (1, 1))
    return multiply(k, x, packed, ABSENT if bias is None else bias, weight.shape[0], 1)
