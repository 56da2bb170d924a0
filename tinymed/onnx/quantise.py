"""Integers of few bits in place of floats: value = (integer - zero point) scale.  Sums are exact, without gradient."""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .conv import check_kernel
from .dense import product_shape
from .table import Node, axis_of, held, operator, plain, sized
from .windows import by_rank, window


def spread(node: Node, t: Any, shape: tuple[int, ...], axis: int, block: int) -> Any:
    """Return a scale or zero point as an array that broadcasts.

    One number, one for each place of an axis, or each block.
    """
    a = np.asarray(t.array if isinstance(t, Tensor) else t)
    if a.size == 1:
        return a.reshape(())
    if not block:
        if a.ndim != 1 or a.size != shape[axis]:
            raise ValueError(
                f"{node}: a scale or zero point of shape {list(a.shape)} for axis {axis} of {list(shape)}; it takes "
                "one number, or one for each place of the axis"
            )
        return a.reshape([-1 if i == axis else 1 for i in range(len(shape))])
    blocks = [-(-n // block) if i == axis else n for i, n in enumerate(shape)]
    if list(a.shape) != blocks:
        raise ValueError(
            f"{node}: a scale or zero point of shape {list(a.shape)} for blocks of {block} of {list(shape)}; it takes "
            f"{blocks}"
        )
    return np.take(np.repeat(a, block, axis), np.arange(shape[axis]), axis)


def place(node: Node, x: Any, scale: Any) -> int:
    """Return the axis that the scale varies along, which does not matter where it is one number."""
    return 0 if scale.array.size == 1 else axis_of(node, node.get("axis", 1), x.ndim)


@operator("QuantizeLinear", fixed=(1, 2))
def quantize_linear(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    """round(x / scale) + zero point, held within the integers; the even one of two equally near."""
    number = node.get("output_dtype", 0)
    dtype = zero.dtype if zero is not None else held(node, number) if number else np.dtype(np.uint8)
    axis, block = place(node, x, scale), node.get("block_size", 0)
    if dtype.kind not in "iu":
        raise ValueError(f"{node}: {dtype} as its result; it takes int8, uint8, int16, uint16, int32")

    def run(x: Any, scale: Any, zero: Any) -> Any:
        step = spread(node, scale, x.shape, axis, block)
        shift = 0 if zero is None else spread(node, zero, x.shape, axis, block)
        return saturated(np.rint(x.astype(step.dtype, copy=False) / step), shift, dtype)

    return plain(run, x, scale, zero)


def saturated(values: Any, zero: Any, dtype: Any) -> Any:
    """Whole numbers plus the zero point, held within a dtype; what is no number is the zero point."""
    limits = np.iinfo(dtype)
    total = np.nan_to_num(values.astype(np.float64), nan=0.0) + np.asarray(zero, np.float64)
    return np.clip(total, limits.min, limits.max).astype(dtype)


@operator("DequantizeLinear", fixed=(2,))
def dequantize_linear(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    """(x - zero point) scale; the scale has a gradient."""
    axis, block = place(node, x, scale), node.get("block_size", 0)
    if zero is not None and zero.dtype != x.dtype:
        raise ValueError(f"{node}: x is {x.dtype}, its zero point {zero.dtype}; they must be equal")
    kind = scale.dtype

    def run(x: Any, zero: Any) -> Any:
        shift = 0 if zero is None else spread(node, zero, x.shape, axis, block).astype(np.int64)
        return (x.astype(np.int64) - shift).astype(kind)

    steps = plain(run, x, zero)
    if scale.array.size == 1:
        return steps * F.reshape(scale, ())
    spread(node, scale, x.shape, axis, block)  # its shape fits
    if not block:
        return steps * F.reshape(scale, tuple(-1 if i == axis else 1 for i in range(x.ndim)))
    return steps * F.index_select(scale, axis, Tensor(np.arange(x.shape[axis]) // block))


@operator("DynamicQuantizeLinear")
def dynamic_quantize_linear(node: Node, x: Any) -> Any:
    """(uint8, scale, zero point) by the range of the values, which 0 belongs to."""
    a = np.asarray(plain(lambda a: a, x).array, np.float32)
    low, high = np.minimum(a.min(initial=0), np.float32(0)), np.maximum(a.max(initial=0), np.float32(0))
    scale = np.float32(1) if high == low else np.float32((high - low) / np.float32(255))
    zero = saturated(np.rint(-low / scale), 0, np.uint8)
    return Tensor(saturated(np.rint(a / scale), zero, np.uint8)), Tensor(np.asarray(scale)), Tensor(np.asarray(zero))


# --------------------------------------------------------------------------------------- exact sums of integers


def shifted(x: Any, zero: Any) -> Any:
    """x - zero point in float64, in which sums of such integers are exact; zero already broadcasts."""
    return plain(lambda a, z: a.astype(np.float64) - np.asarray(0 if z is None else z, np.float64), x, zero)


def column(zero: Any, ndim: int, axis: int) -> Any:
    """Return a zero point for each place of an axis, as it broadcasts; one number as it is."""
    if zero is None or zero.array.size == 1:
        return None if zero is None else plain(lambda z: z.reshape(()), zero)
    return (
        zero
        if zero.ndim > 1
        else plain(lambda z: z.reshape([-1 if a == axis % ndim else 1 for a in range(ndim)]), zero)
    )


def wrapped(total: Any) -> Any:
    """Exact sums as int32."""
    return plain(lambda a: a.astype(np.int64).astype(np.int32), total)


def exact_conv(node: Node, x: Any, w: Any, x_zero: Any, w_zero: Any) -> Any:
    """Return the convolution of integers without their zero points, in float64."""
    how = window(node, x.shape[2:], check_kernel(node, x, w), x.shape[:2])
    sized(node, (x.shape[0], w.shape[0], *how.size))
    function = by_rank((F.conv1d, F.conv2d, F.conv3d), len(how.kernel))
    left, right = shifted(x, column(x_zero, x.ndim, 1)), shifted(w, column(w_zero, w.ndim, 0))
    return function(left, right, None, how.stride, how.padding, how.dilation, node.get("group", 1))


@operator("ConvInteger")
def conv_integer(node: Node, x: Any, w: Any, x_zero: Any = None, w_zero: Any = None) -> Any:
    """Return the convolution of integers, in int32."""
    return wrapped(exact_conv(node, x, w, x_zero, w_zero))


def exact_product(node: Node, a: Any, b: Any, a_zero: Any, b_zero: Any) -> Any:
    """Return the matrix product of integers without their zero points, one a row of a and a column of b, in float64."""
    product_shape(node, a, b)
    rows = column(a_zero, a.ndim, -2) if a.ndim > 1 else a_zero
    return F.matmul(shifted(a, rows), shifted(b, column(b_zero, b.ndim, -1)))


@operator("MatMulInteger")
def matmul_integer(node: Node, a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    """Return the matrix product of integers, in int32."""
    return wrapped(exact_product(node, a, b, a_zero, b_zero))


def requantized(node: Node, total: Any, scale: Any, y_scale: Any, y_zero: Any, axis: int) -> Any:
    """Exact sums as integers of the result's scale."""

    def run(total: Any, scale: Any, y_scale: Any, zero: Any) -> Any:
        factor = spread(node, scale / y_scale.astype(scale.dtype), total.shape, axis % max(total.ndim, 1), 0)
        return saturated(np.rint(total.astype(np.float32) * factor.astype(np.float32)), zero, zero.dtype)

    return plain(run, total, scale, y_scale, y_zero)


@operator("QLinearConv", fixed=(1, 2, 4, 5, 6, 7))
def qlinear_conv(
    node: Node,
    x: Any,
    x_scale: Any,
    x_zero: Any,
    w: Any,
    w_scale: Any,
    w_zero: Any,
    y_scale: Any,
    y_zero: Any,
    b: Any = None,
) -> Any:
    """Return the convolution of quantised values, quantised; the bias counts in steps of x_scale w_scale."""
    total = exact_conv(node, x, w, x_zero, w_zero)
    if b is not None:
        total = plain(lambda t, b: t + b.reshape(-1, *[1] * (t.ndim - 2)), total, b)
    scale = plain(lambda a, b: a.reshape(()) * b.reshape(-1), x_scale, w_scale)
    return requantized(node, total, scale, y_scale, y_zero, 1)


@operator("QLinearMatMul", fixed=(1, 2, 4, 5, 6, 7))
def qlinear_matmul(
    node: Node, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any, y_zero: Any
) -> Any:
    """Return the matrix product of quantised values, quantised; scales of one number, b's also one a column."""
    total = exact_product(node, a, b, a_zero, b_zero)
    scale = plain(lambda s, t: s.reshape(-1) * t.reshape(-1), a_scale, b_scale)
    return requantized(node, total, scale, y_scale, y_zero, -2 if a_scale.array.size > 1 else -1)
