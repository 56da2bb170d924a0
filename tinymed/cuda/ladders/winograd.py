"""The ladder of Winograd's F(2x2, 3x3), with bias and ReLU: csrc/ladders/winograd_*.cu."""

from typing import Any

import numpy as np

from ...dispatch import kernel, table
from .rung import EXACT, Ladder, Problem, engine, normal, own, widened

PLACES = 16


def tiles(x: Any) -> int:
    """Return how many tiles of 2 x 2 cover the images."""
    n, _, h, w = x.shape
    return int(n * -(-h // 2) * -(-w // 2))


def images(x: Any, weight: Any, bias: Any) -> list[Any]:
    """(N, filters, H, W)."""
    return [(x.shape[0], bias.shape[0], *x.shape[2:])]


def flops(x: Any, weight: Any, bias: Any) -> float:
    """Return what the definition takes: nine multiplications and additions a channel."""
    return float(18 * x.size * bias.shape[0])


def everything(x: Any, weight: Any, bias: Any) -> list[Any]:
    """Return the workspaces of transformed filters, patches and sums."""
    return [(PLACES, x.shape[1], bias.shape[0]), *patches_and_sums(x, weight, bias)]


def patches_and_sums(x: Any, weight: Any, bias: Any) -> list[Any]:
    """Return the workspaces of transformed patches and of sums."""
    return [(PLACES, tiles(x), x.shape[1]), *sums(x, weight, bias)]


def sums(x: Any, weight: Any, bias: Any) -> list[Any]:
    """Return the workspace of the sums of each place."""
    return [(PLACES, tiles(x), bias.shape[0])]


from_filters = kernel(backend="csrc", image="y x", filter="weight", out=images, flops=flops, work=everything)


@from_filters
def winograd_1_naive(y: Any, u: Any, v: Any, m: Any, x: Any, weight: Any, bias: Any) -> None:
    """Launch a kernel for each step."""


@from_filters
def winograd_2_tiles(y: Any, u: Any, v: Any, m: Any, x: Any, weight: Any, bias: Any) -> None:
    """Multiply by tiles in shared memory."""


@kernel(backend="csrc", image="y x", out=images, flops=flops, work=patches_and_sums)
def winograd_3_once(y: Any, v: Any, m: Any, x: Any, u: Any, bias: Any) -> None:
    """Take filters that were transformed before."""


@kernel(backend="csrc", image="y x", out=images, flops=flops, work=sums)
def winograd_4_fused(y: Any, m: Any, x: Any, u: Any, bias: Any) -> None:
    """Transform the patches where they are read."""


@kernel(backend="csrc", image="y x", out=images, flops=flops)
def winograd_5_epilogue(y: Any, x: Any, u: Any, bias: Any) -> None:
    """Transform the sums, add the bias and apply ReLU before anything is stored."""


def biased(rng: np.random.Generator, n: int, c: int, h: int, w: int, filters: int) -> Problem:
    """(x, weight, bias)."""
    return normal(rng, n, c, h, w), normal(rng, filters, c, 3, 3), normal(rng, filters)


def transformed(x: Any, weight: Any, bias: Any) -> Problem:
    """As the rungs from the third on take it: filters as [16, channels, filters]."""
    for axis in (2, 3):
        a, b, c = (weight.take(i, axis) for i in range(3))
        weight = np.stack([a, (a + b + c) / 2, (a - b + c) / 2, c], axis)
    places = weight.transpose(2, 3, 1, 0)
    return x, places.reshape(PLACES, *places.shape[2:]), bias


def of_engine(x: Any, weight: Any, bias: Any) -> Problem:
    """As conv2d_relu takes it, but for the tile."""
    return x, weight, bias, x.shape[2:], (1, 1), (1, 1), (1, 1), 1


def winograd_in_float64(x: Any, weight: Any, bias: Any) -> Any:
    """Return what the rungs compute, by the definition."""
    one = (1, 1)
    args = widened(x), widened(weight), widened(bias), one, (one, one), one, 1
    return table("numpy").conv2d_forward(*args).clip(min=0)


WINOGRAD = Ladder(
    (
        own("winograd_1_naive", "winograd_1_naive_cu.*product_kernel"),
        own("winograd_2_tiles", "6ladder.*product_kernel"),
        own("winograd_3_once", "6ladder.*product_kernel")._replace(arguments=transformed),
        own("winograd_4_fused", "fused_kernel")._replace(arguments=transformed),
        own("winograd_5_epilogue", "epilogue_kernel")._replace(arguments=transformed),
        engine("conv2d_relu", "exact 64x64", f"{EXACT}.*conv_cu.*Forward", "conv.cu", of_engine),
    ),
    biased,
    (2, 32, 16, 16, 64),
    (128, 64, 32, 32, 128),
    winograd_in_float64,
)
