"""Products of mixed precision: numbers of bfloat16 in, sums in float32, bfloat16 out where `rounds` says so.

A number of bfloat16 is one of float32 with 8 binary digits, so an array of them lies in float32 here; rounding is to
the nearest, to even in the middle.  Which op uses what stands in the table of `tinymed.precision`.
"""

from math import prod
from typing import Any

from ..dispatch import Array, kernel
from . import conv, matmul
from .space import Pairs, Sizes


@kernel(flops=lambda x: x.size)
def bf16_round(xp: Any, x: Array) -> Array:
    """y = the number of bfloat16 nearest to x, of two the one whose last digit is even; NaN stays NaN."""
    bits = x.view(xp.uint32)
    near = (bits + 0x7FFF + (bits >> 16 & 1)) & xp.uint32(0xFFFF0000)
    return xp.where(xp.isnan(x), x, near.astype(xp.uint32, copy=False).view(xp.float32))


def made(xp: Any, y: Array, rounds: bool) -> Array:
    """Return a product's result, rounded or not."""
    return bf16_round(xp, y) if rounds else y


# ------------------------------------------------------------------------------------------------- convolution


def forward_shape(x: Array, weight: Array, bias: Any, known: bool, *how: Any) -> list[Sizes]:
    """Return (N, O, *size)."""
    return conv.output_shape(x, weight, bias, *how)


def forward_flops(x: Array, weight: Array, bias: Any, known: bool, *how: Any) -> float:
    """Count a multiplication and an addition for each weight at each place of the output."""
    return conv.forward_flops(x, weight, bias, *how)


@kernel(out=forward_shape, flops=forward_flops)
def bf16_conv2d_forward(
    xp: Any,
    x: Array,
    weight: Array,
    bias: Array | None,
    known: bool,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Compute conv2d_forward of x and weight rounded, and round; known: x holds numbers of bfloat16 already."""
    x, weight = bf16_round(xp, x), bf16_round(xp, weight)
    return bf16_round(xp, conv.conv2d_forward(xp, x, weight, bias, stride, padding, dilation, groups))


@kernel(
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def bf16_conv2d_backward_input(
    xp: Any,
    dy: Array,
    weight: Array,
    x_shape: Sizes,
    rounds: bool,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int,
) -> Array:
    """Compute conv2d_backward_input of dy and weight rounded."""
    dy, weight = bf16_round(xp, dy), bf16_round(xp, weight)
    dx = conv.conv2d_backward_input(xp, dy, weight, x_shape, stride, padding, dilation, groups)
    return made(xp, dx, rounds)


@kernel(
    out=lambda dy, x, weight_shape, *_: [weight_shape],
    flops=lambda dy, x, weight_shape, *_: 2 * prod(weight_shape) * dy.size // dy.shape[1],
)
def bf16_conv2d_backward_weight(xp: Any, dy: Array, x: Array, weight_shape: Sizes, known: bool, *how: Any) -> Array:
    """Compute conv2d_backward_weight of dy and x rounded: a gradient of a weight stays float32."""
    return conv.conv2d_backward_weight(xp, bf16_round(xp, dy), bf16_round(xp, x), weight_shape, *how)


@kernel(out=forward_shape, flops=forward_flops)
def bf16_conv3d_forward(xp: Any, *args: Any) -> Array:
    """Compute bf16_conv2d_forward with one axis more."""
    return bf16_conv2d_forward(xp, *args)


@kernel(
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def bf16_conv3d_backward_input(xp: Any, *args: Any) -> Array:
    """Compute bf16_conv2d_backward_input with one axis more."""
    return bf16_conv2d_backward_input(xp, *args)


@kernel(
    out=lambda dy, x, weight_shape, *_: [weight_shape],
    flops=lambda dy, x, weight_shape, *_: 2 * prod(weight_shape) * dy.size // dy.shape[1],
)
def bf16_conv3d_backward_weight(xp: Any, *args: Any) -> Array:
    """Compute bf16_conv2d_backward_weight with one axis more."""
    return bf16_conv2d_backward_weight(xp, *args)


# ---------------------------------------------------------------------------------------------------- matrices


@kernel(out=lambda a, b, rounds: [(a.shape[0], b.shape[1])], flops=lambda a, b, rounds: 2 * a.size * b.shape[1])
def bf16_matmul(xp: Any, a: Array, b: Array, rounds: bool) -> Array:
    """y[i, j] = sum_k a[i, k] b[k, j], a and b rounded."""
    return made(xp, bf16_round(xp, a) @ bf16_round(xp, b), rounds)


@kernel(out=lambda a, b, rounds: [(a.shape[1], b.shape[1])], flops=lambda a, b, rounds: 2 * a.size * b.shape[1])
def bf16_matmul_ta(xp: Any, a: Array, b: Array, rounds: bool) -> Array:
    """y[i, j] = sum_k a[k, i] b[k, j], a and b rounded."""
    return made(xp, bf16_round(xp, a).T @ bf16_round(xp, b), rounds)


@kernel(out=lambda a, b, rounds: [(a.shape[0], b.shape[0])], flops=lambda a, b, rounds: 2 * a.size * b.shape[0])
def bf16_matmul_tb(xp: Any, a: Array, b: Array, rounds: bool) -> Array:
    """y[i, j] = sum_k a[i, k] b[j, k], a and b rounded."""
    return made(xp, bf16_round(xp, a) @ bf16_round(xp, b).T, rounds)


@kernel(
    out=lambda a, b, rounds: matmul.batch_shape(a, b),
    flops=lambda a, b, rounds: 2 * prod(matmul.batch_shape(a, b)[0]) * a.shape[-1],
)
def bf16_batched_matmul(xp: Any, a: Array, b: Array, rounds: bool) -> Array:
    """y[..., i, j] = sum_k a[..., i, k] b[..., k, j], leading axes broadcast, a and b rounded."""
    return made(xp, bf16_round(xp, a) @ bf16_round(xp, b), rounds)


@kernel(
    out=lambda x, weight, bias: [(x.shape[0], weight.shape[0])],
    flops=lambda x, weight, bias: 2 * x.size * weight.shape[0],
)
def bf16_linear_forward(xp: Any, x: Array, weight: Array, bias: Array | None) -> Array:
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o], x and weight rounded, and y."""
    return bf16_round(xp, matmul.linear_forward(xp, bf16_round(xp, x), bf16_round(xp, weight), bias))
