"""The ladders of batch norm's moments and of layer norm: csrc/ladders/batch_norm_*.cu, layer_norm_*.cu."""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import Ladder, Problem, Rung, normal, own, widened


def moments(x: Any, *_: Any) -> list[Any]:
    """mean and rstd of each channel."""
    return [(x.shape[1],), (x.shape[1],)]


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 4 * x.size)
def batch_norm_1_naive(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a thread for each channel."""


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 4 * x.size)
def batch_norm_2_blocks(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a block for each channel."""


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 5 * x.size)
def batch_norm_3_tiles(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a block for 32 channels, in one pass."""


def unweighted(x: Any, eps: float) -> Problem:
    """As batch_norm_moments takes it: no weight, bias or running moments."""
    none = x.reshape(-1)[:0]
    return x, None, None, none, none, none.astype("int64"), 0.1, eps, False, False


BATCH_NORM = Ladder(
    (
        own("batch_norm_1_naive"),
        own("batch_norm_2_blocks"),
        own("batch_norm_3_tiles"),
        Rung("batch_norm_moments", "norm_cu.*14moments_kernel", "norm.cu", unweighted, "batch_norm_moments"),
    ),
    lambda rng, rows, channels: (normal(rng, rows, channels), 1e-5),
    (512, 64),
    (131072, 64),
    lambda x, eps: (widened(x).mean(0), 1 / np.sqrt(widened(x).var(0) + eps)),
)


def normalised(x: Any, *_: Any) -> list[Any]:
    """Return y, and mean and rstd of each row."""
    return [x.shape, (x.shape[0], 1), (x.shape[0], 1)]


def normalised_in_float64(x: Any, eps: float) -> tuple[Any, Any, Any]:
    """Return the same, computed in float64."""
    x = widened(x)
    mean, rstd = x.mean(1, keepdims=True), 1 / np.sqrt(x.var(1, keepdims=True) + eps)
    return (x - mean) * rstd, mean, rstd


rows_kernel = kernel(backend="csrc", out=normalised, flops=lambda x, eps: 7 * x.size)


@rows_kernel
def layer_norm_1_naive(y: Any, mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a thread for each row."""


@rows_kernel
def layer_norm_2_blocks(y: Any, mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a block for each row."""


@rows_kernel
def layer_norm_3_warp(y: Any, mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a warp for each row."""


@rows_kernel
def layer_norm_4_held(y: Any, mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a warp for each row, which stays in its registers."""


LAYER_NORM = Ladder(
    (
        own("layer_norm_1_naive"),
        own("layer_norm_2_blocks"),
        own("layer_norm_3_warp"),
        own("layer_norm_4_held"),
        Rung(
            "layer_norm_forward",
            "normalise_row_kernelILi32E",
            "group_norm.cu",
            lambda x, eps: (x, None, None, 1, eps),
            "layer_norm_forward",
        ),
    ),
    lambda rng, rows, columns: (normal(rng, rows, columns), 1e-5),
    (256, 256),
    (65536, 1024),
    normalised_in_float64,
)
