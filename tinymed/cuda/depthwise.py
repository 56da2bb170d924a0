"""Depthwise convolution on the GPU, filters of their own for each channel: csrc/depthwise.cu."""

from math import prod
from typing import Any

from ..dispatch import kernel
from .tiles import pixel_parts


@kernel(
    backend="csrc",
    image="y x",
    filter="weight",
    out=lambda x, weight, bias, size, *_: [(x.shape[0], weight.shape[0], *size)],
    flops=lambda x, weight, bias, size, *_: 2 * x.shape[0] * prod(size) * prod(weight.shape),
)
def depthwise2d_forward(
    y: Any, x: Any, weight: Any, bias: Any, size: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """y[n, i, j, o] = bias[o] + sum_rs x[n, i sh + r dh - top, j sw + s dw - left, o // per] weight[r, s, 0, o]."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def depthwise2d_backward_input(
    dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dx[n, i sh + r dh - top, j sw + s dw - left, o // per] += dy[n, i, j, o] weight[r, s, 0, o]."""


def weight_work(dy: Any, x: Any, shape: Any, *_: Any) -> list[Any]:
    """Partial sums."""
    return [(pixel_parts(dy.size // dy.shape[1], shape[0]), prod(shape))]


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    work=weight_work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape) * dy.size // dy.shape[1],
)
def depthwise2d_backward_weight(
    dweight: Any, partial: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dweight[r, s, 0, o] = sum_nij x[n, i sh + r dh - top, j sw + s dw - left, o // per] dy[n, i, j, o]."""
