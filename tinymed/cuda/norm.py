"""Batch normalisation, on the GPU: csrc/norm.cu.  Each direction is two kernels, as on the CPU, under the same names:

    batch_norm_moments            mean, rstd and the map of y, moving the running statistics on
    batch_norm_apply              y = (x - map[0]) map[1] + map[2]
    batch_norm_sums               dweight, dbias and the map of dx
    batch_norm_apply_gradient     dx = map[0] dy + map[1] (x - mean) + map[2]

The first of each sums over all rows, the second maps every number; programs fuse either with its neighbours.
"""

from typing import Any

from ..dispatch import kernel
from .reduce import rows_of, sums_work


def channels_and_map(x: Any, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of two numbers a channel, and of a map."""
    return [(x.shape[1],), (x.shape[1],), (3, x.shape[1])]


def two_sums(x: Any, *_: Any) -> list[Any]:
    """Return the workspace of two sums per channel."""
    return [sums_work(2, *rows_of(x))]


@kernel(
    backend="csrc",
    rows="x",
    flat="count",
    writes="running_mean running_var count",
    out=channels_and_map,
    work=two_sums,
    flops=lambda x, *_: 5 * x.size,
)
def batch_norm_moments(
    mean: Any,
    rstd: Any,
    map: Any,
    partial: Any,
    x: Any,
    weight: Any,
    bias: Any,
    running_mean: Any,
    running_var: Any,
    count: Any,
    momentum: Any,
    eps: Any,
    corrected: Any,
    unbiased: Any,
) -> None:
    """Moments by chunks of rows, merged; the running ones move on."""


@kernel(backend="csrc", rows="y x", out=lambda x, map: [x.shape], flops=lambda x, *_: 3 * x.size)
def batch_norm_apply(y: Any, x: Any, map: Any) -> None:
    """y = (x - map[0]) map[1] + map[2], a number of each per channel."""


@kernel(
    backend="csrc",
    out=lambda running_mean, *_: [running_mean.shape] * 2 + [(3, running_mean.size)],
    flops=lambda running_mean, *_: 6 * running_mean.size,
)
def batch_norm_map(
    mean: Any, rstd: Any, map: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, eps: Any
) -> None:
    """Compute the map by running statistics: rstd = 1 / sqrt(running_var + eps)."""


@kernel(backend="csrc", rows="dy x", out=channels_and_map, work=two_sums, flops=lambda dy, *_: 4 * dy.size)
def batch_norm_sums(
    dweight: Any, dbias: Any, map: Any, partial: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, training: Any
) -> None:
    """dweight = sum dy xhat;  dbias = sum dy;  dx = weight rstd (dy - dbias / n - xhat dweight / n), as a map."""


@kernel(backend="csrc", rows="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 4 * dy.size)
def batch_norm_apply_gradient(dx: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any) -> None:
    """dx = map[0] dy + map[1] (x - mean) + map[2]"""
