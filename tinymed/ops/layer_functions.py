"""Layers composed of other ops: root-mean-square norm, power-average pooling, channel shuffle, bilinear forms."""

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..annotations import Size, Tensor
from .activations import relu
from .elementwise import add, mul, pow
from .matmul import matmul
from .pool import avg_pool1d, avg_pool2d, avg_pool3d, max_pool1d, max_pool2d, max_pool3d
from .reduce import mean, sum
from .shape import permute, reshape
from .space import per_axis
from .unary import abs, neg, rsqrt, sign


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide each sample by the root of the mean square over its last axes.

    y = x / sqrt(mean(x^2) + eps) weight.

    Args:
        input: (..., *normalized_shape), floating point.
        normalized_shape: The lengths of the last axes.
        weight: Of shape normalized_shape, or None.
        eps: Added to the mean square; None means the dtype's machine epsilon, as in PyTorch.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        RuntimeError: The input does not end in normalized_shape, or weight has another shape.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.rms_norm(tinymed.tensor([[3.0, -3.0]]), (2,), eps=0.0).tolist()
        [[1.0, -1.0]]

    Reference:
        Zhang & Sennrich, NeurIPS 2019.
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
    """Compute (sum of x^p over each window)^(1/p); p inf: the largest |x|.  Nothing negative comes out of a power."""
    averages, maxima = (avg_pool1d, avg_pool2d, avg_pool3d), (max_pool1d, max_pool2d, max_pool3d)
    p, kernel = float(norm_type), per_axis(name, "kernel_size", kernel_size, rank)
    if p == float("inf"):
        return maxima[rank - 1](abs(input), kernel, stride, 0, 1, ceil_mode)
    if p == float("-inf"):
        return neg(maxima[rank - 1](neg(abs(input)), kernel, stride, 0, 1, ceil_mode))
    out = averages[rank - 1](pow(input, p), kernel, stride, 0, ceil_mode)
    positive = mul(sign(out), relu(abs(out)))
    return pow(mul(positive, float(np.prod(kernel))), 1.0 / p)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """Compute the power average of each window along one axis: (sum of x^p)^(1/p).

    Args:
        input: (N, C, L) or (C, L), floating point.
        norm_type: The power p.
        kernel_size: Length of the window in samples.
        stride: Step between windows; kernel_size if None.
        ceil_mode: Also take the window that sticks out at the end.

    Returns:
        (N, C, M) or (C, M) in the input's dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.lp_pool1d(tinymed.ones(1, 1, 4), 1.0, 2).tolist()
        [[[2.0, 2.0]]]
    """
    return lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """Compute the power average of each window of images: (sum of x^p)^(1/p).

    Args:
        input: (N, C, H, W) or (C, H, W), floating point.
        norm_type: The power p.
        kernel_size, stride: In pixels, an int or one per axis; stride None means kernel_size.
        ceil_mode: Also take windows that stick out at the end.

    Returns:
        (N, C, OH, OW) or (C, OH, OW) in the input's dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.lp_pool2d(tinymed.ones(1, 1, 4, 4), 2.0, 2).tolist()
        [[[[2.0, 2.0], [2.0, 2.0]]]]
    """
    return lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False
) -> Tensor:
    """Compute the power average of each window of volumes: (sum of x^p)^(1/p).

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        norm_type: The power p.
        kernel_size, stride: In voxels, an int or one per axis; stride None means kernel_size.
        ceil_mode: Also take windows that stick out at the end.

    Returns:
        (N, C, OD, OH, OW) or (C, OD, OH, OW) in the input's dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.lp_pool3d(tinymed.ones(1, 1, 4, 4, 4), 2.0, 2).shape
        (1, 1, 2, 2, 2)
    """
    return lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode)


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Interleave the channels of groups: take one channel from each group in turn.

    Args:
        input: (N, C, *space).
        groups: The number of groups; it divides C.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: groups does not divide the channels.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.channel_shuffle(tinymed.arange(4.0).reshape(1, 4, 1, 1), 2).flatten().tolist()
        [0.0, 2.0, 1.0, 3.0]

    Reference:
        Zhang et al., CVPR 2018, section 3.1.
    """
    n, shape = operator.index(groups), input.shape
    if len(shape) < 3 or n < 1 or shape[1] % n:
        raise ValueError(f"channel_shuffle: needs (N, C, *space) with C divisible by {groups}, got {list(shape)}")
    split = reshape(input, (shape[0], n, shape[1] // n, *shape[2:]))
    return reshape(permute(split, (0, 2, 1, *range(3, len(shape) + 1))), shape)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Compute a bilinear form of two inputs for each output: y[..., o] = input1 weight[o] input2 + bias[o].

    Args:
        input1, input2: (..., I1) and (..., I2), equal in the axes before the last.
        weight: (O, I1, I2).
        bias: (O,) or None.

    Returns:
        (..., O).

    Raises:
        RuntimeError: Shapes do not fit together.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.bilinear(tinymed.ones(5, 2), tinymed.ones(5, 3), tinymed.ones(4, 2, 3)).shape
        (5, 4)
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
