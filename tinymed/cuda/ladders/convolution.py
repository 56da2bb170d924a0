"""The ladders of the convolution and of its gradients: csrc/ladders/conv2d_*.cu."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from ...dispatch import kernel, table
from ...ops.space import slides
from ..conv import forward_flops, forward_out
from .rung import EXACT, TF32, Ladder, Problem, engine, normal, own, parts_work, products, widened

SMALL, LARGE = (2, 16, 8, 8, 64, 3, 1, 1), (128, 64, 32, 32, 128, 3, 1, 1)
STRIDED = (1, 16, 8, 8, 32, 3, 2, 1), (128, 64, 32, 32, 128, 3, 2, 1)


def convolution(
    rng: np.random.Generator, n: int, c: int, h: int, w: int, o: int, k: int, stride: int, padding: int
) -> Problem:
    """(x, weight, size of y, stride, zeros before)."""
    size = slides((h, w), (k, k), (stride,) * 2, ((padding,) * 2,) * 2, (1, 1))
    return normal(rng, n, c, h, w), normal(rng, o, c, k, k), size, (stride,) * 2, (padding,) * 2


def input_gradient(rng: np.random.Generator, *sizes: int) -> Problem:
    """(dy, weight, shape of x, stride, zeros before)."""
    x, weight, size, *how = convolution(rng, *sizes)
    return normal(rng, x.shape[0], weight.shape[0], *size), weight, x.shape, *how


def weight_gradient(rng: np.random.Generator, *sizes: int) -> Problem:
    """(dy, x, shape of the weight, stride, zeros before)."""
    x, weight, size, *how = convolution(rng, *sizes)
    return normal(rng, x.shape[0], weight.shape[0], *size), x, weight.shape, *how


def undilated(*problem: Any) -> Problem:
    """As the engine's kernels take it, but for the tile."""
    return *problem, (1, 1), 1


def without_bias(x: Any, weight: Any, *how: Any) -> Problem:
    """As conv2d_gemm takes it, but for the tile."""
    return undilated(x, weight, None, *how)


def windows_out(x: Any, weight: Any, size: Any, *_: Any) -> list[Any]:
    """(N, O, *size)."""
    return forward_out(x, weight, None, size)


def windows_flops(x: Any, weight: Any, size: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each weight at each place."""
    return forward_flops(x, weight, None, size)


def in_float64(direction: str) -> Callable[..., Any]:
    """Return a kernel of the reference, as the rungs of a ladder take their problem, in float64."""

    def run(a: Any, b: Any, shape: Any, stride: Any, before: Any) -> Any:
        how = stride, tuple((n, n) for n in before), (1, 1), 1
        call = getattr(table("numpy"), direction)
        about = None if direction == "conv2d_forward" else shape
        return call(widened(a), widened(b), about, *how)

    return run


def windows_work(x: Any, weight: Any, size: Any, *_: Any) -> list[Any]:
    """Return the workspace of a product in parts."""
    return parts_work(x.shape[0] * prod(size), weight.shape[0], prod(weight.shape[1:]))


windows = kernel(backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops)
windows_in_parts = kernel(
    backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops, work=windows_work
)


@windows
def conv2d_1_naive(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Neighbouring threads take neighbouring places."""


@windows
def conv2d_2_coalesced(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Neighbouring threads take neighbouring filters."""


@windows
def conv2d_3_shared(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Multiply the matrix of windows by tiles in shared memory."""


@windows
def conv2d_4_column(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Eight sums of a column a thread."""


@windows
def conv2d_5_registers(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """4 x 4 sums a thread."""


@windows
def conv2d_6_float4(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Load 16 bytes at once."""


@windows
def conv2d_7_swizzle(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """No two lanes in one bank."""


@windows
def conv2d_8_double_buffer(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Bring the next tiles while these are multiplied."""


@windows
def conv2d_9_warp_tile(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """64 sums a thread, in the shape of its warp."""


@windows
def conv2d_10_mma(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """On tensor cores, operands rounded to tf32."""


@windows
def conv2d_11_ldmatrix(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Fragments by one instruction."""


@windows
def conv2d_12_two_stages(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Copy by cp.async, one step ahead."""


@windows
def conv2d_13_three_stages(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Copy by cp.async, two steps ahead."""


@windows_in_parts
def conv2d_14_split(y: Any, partial: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Launch a block for each tile and part of the depth."""


@windows
def conv2d_15_raster(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Tiles visited in squares."""


CONV2D = Ladder(
    (
        *products("conv2d", "7Windows"),
        engine("conv2d_gemm", "exact 64x64", f"{EXACT}.*conv_cu.*Forward", "conv.cu", without_bias),
        engine("conv2d_gemm", "tf32 128x64", f"{TF32}.*conv_cu.*Forward", "conv.cu", without_bias),
    ),
    convolution,
    SMALL,
    LARGE,
    in_float64("conv2d_forward"),
)


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape[1:]) * dy.size,
)
def conv2d_input_1_naive(dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any) -> None:
    """Launch a thread for each number, which tries every tap."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape[1:]) * dy.size,
)
def conv2d_input_2_shared(dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any) -> None:
    """Launch an implicit matrix product by tiles in shared memory, zeros included."""


CONV2D_INPUT = Ladder(
    (
        own("conv2d_input_1_naive"),
        own("conv2d_input_2_shared"),
        engine("conv2d_gemm_input", "exact 64x64", f"{EXACT}.*conv_input_cu.*Input", "conv_input.cu", undilated),
        engine("conv2d_gemm_input", "tf32 128x64", f"{TF32}.*conv_input_cu.*Input", "conv_input.cu", undilated),
    ),
    input_gradient,
    *STRIDED,
    in_float64("conv2d_backward_input"),
)


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape[1:]) * dy.size,
)
def conv2d_weight_1_naive(dweight: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, before: Any) -> None:
    """Launch a thread for each number."""


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape[1:]) * dy.size,
)
def conv2d_weight_2_shared(dweight: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, before: Any) -> None:
    """Launch an implicit matrix product by tiles in shared memory, a block for each tile."""


CONV2D_WEIGHT = Ladder(
    (
        own("conv2d_weight_1_naive"),
        own("conv2d_weight_2_shared"),
        engine("conv2d_gemm_weight", "exact 64x64", f"{EXACT}.*conv_weight_cu.*Weight", "conv_weight.cu", undilated),
        engine("conv2d_gemm_weight", "tf32 64x64", "tf32_kernelILi64.*Weight", "conv_weight.cu", undilated),
    ),
    weight_gradient,
    (2, 16, 16, 16, 32, 3, 1, 1),
    LARGE,
    in_float64("conv2d_backward_weight"),
)
