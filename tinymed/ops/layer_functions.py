"""Layers composed of other ops: root-mean-square norm, power-average pooling, channel shuffle, bilinear forms."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .activations import relu
from .elementwise import add, mul, pow
from .matmul import matmul
from .pool import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from .reduce import mean, sum
from .shape import permute, reshape
from .space import per_axis
from .unary import abs, neg, rsqrt, sign


def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """input / sqrt(mean(input^2) + eps) over the last axes, of shape normalized_shape, times weight of that shape.

    eps None: the smallest number that 1 can be increased by, as in PyTorch.  Zhang & Sennrich 2019.
    """
    shape = tuple(
        map(operator.index, normalized_shape if isinstance(normalized_shape, Sequence) else [normalized_shape])
    )
    if not shape or input.shape[-len(shape) :] != shape:
        raise RuntimeError(f"rms_norm: input {list(input.shape)} does not end in normalized_shape {list(shape)}")
    if weight is not None and weight.shape != shape:
        raise RuntimeError(f"rms_norm: weight has shape {list(weight.shape)}, normalized_shape is {list(shape)}")
    least = float(np.finfo(input.array.dtype).eps) if eps is None else float(eps)
    axes = tuple(range(len(input.shape) - len(shape), len(input.shape)))
    y = mul(input, rsqrt(add(mean(mul(input, input), axes, True), least)))
    return y if weight is None else mul(y, weight)


def lp_pool(name: str, rank: int, input: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool) -> Any:
    """(sum of x^p over each window)^(1/p); p inf: the largest |x|.  Nothing negative comes out of a power."""
    averages, maxima = (avg_pool1d, avg_pool2d, avg_pool3d), (max_pool1d, max_pool2d, max_pool3d)
    p, kernel = float(norm_type), per_axis(name, "kernel_size", kernel_size, rank)
    if p == float("inf"):
        return maxima[rank - 1](abs(input), kernel, stride, 0, 1, ceil_mode)
    if p == float("-inf"):
        return neg(maxima[rank - 1](neg(abs(input)), kernel, stride, 0, 1, ceil_mode))
    out = averages[rank - 1](pow(input, p), kernel, stride, 0, ceil_mode)
    positive = mul(sign(out), relu(abs(out)))
    return pow(mul(positive, float(np.prod(kernel))), 1.0 / p)


def lp_pool1d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Power-average pooling of (N, C, L) or (C, L): (sum of x^p over each window)^(1/p)."""
    return lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Power-average pooling of (N, C, H, W) or (C, H, W): (sum of x^p over each window)^(1/p)."""
    return lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(input: Any, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False) -> Any:
    """Power-average pooling of (N, C, D, H, W) or (C, D, H, W): (sum of x^p over each window)^(1/p)."""
    return lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels of (N, C, *space) divided into groups and taken one from each in turn.  Zhang et al., CVPR 2018."""
    n, shape = operator.index(groups), input.shape
    if len(shape) < 3 or n < 1 or shape[1] % n:
        raise ValueError(f"channel_shuffle: needs (N, C, *space) with C divisible by {groups}, got {list(shape)}")
    split = reshape(input, (shape[0], n, shape[1] // n, *shape[2:]))
    return reshape(permute(split, (0, 2, 1, *range(3, len(shape) + 1))), shape)


def bilinear(input1: Any, input2: Any, weight: Any, bias: Any = None) -> Any:
    """y[..., o] = input1[...] weight[o] input2[...] + bias[o], a bilinear form for each output.

    weight: (out, in1, in2); the axes before the last of both inputs are equal.
    """
    out, first, second = weight.shape
    if input1.shape[:-1] != input2.shape[:-1] or (input1.shape[-1], input2.shape[-1]) != (first, second):
        raise RuntimeError(
            f"bilinear: weight {list(weight.shape)} takes inputs (..., {first}) and (..., {second}) that are equal "
            f"before the last axis, got {list(input1.shape)} and {list(input2.shape)}"
        )
    lead = input1.shape[:-1]
    rows = int(np.prod(lead))
    left = matmul(reshape(input1, (rows, first)), reshape(permute(weight, (1, 0, 2)), (first, out * second)))
    y = sum(mul(reshape(left, (rows, out, second)), reshape(input2, (rows, 1, second))), -1)
    return reshape(y if bias is None else add(y, bias), (*lead, out))


__all__ = ["bilinear", "channel_shuffle", "lp_pool1d", "lp_pool2d", "lp_pool3d", "rms_norm"]
