"""Batch normalisation, from two kernels a direction: the first sums over all rows, the second maps every number.

    batch_norm_moments            mean, rstd and the map of y; updates the running statistics
    batch_norm_apply              y = (x - map[0]) map[1] + map[2]
    batch_norm_sums               dweight, dbias and the map of dx
    batch_norm_apply_gradient     dx = map[0] dy + map[1] (x - mean) + map[2]

Programs fuse either with its neighbours.
"""

import functools
from typing import Any

import numpy as np

from ..dispatch import kernel, table
from .arguments import all_alike


@functools.cache
def empty_line(name: str, dtype: str) -> Any:
    """Return a backend's empty array for what is None and would be written; always the same, so programs are, too."""
    return table(name).empty((0,), np.dtype(dtype))


def or_absent(k: Any, array: Any) -> Any:
    """Return what stands for None on this backend in place of it."""
    return k.absent if array is None else array


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def batch_norm_forward(
    k: Any, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, count: Any, *rule: Any
) -> Any:
    """Call batch_norm_moments, with empty arrays for statistics that are None, and batch_norm_apply."""
    running = [empty_line(k.name, "float32") if v is None else v for v in (running_mean, running_var)]
    count = empty_line(k.name, "int64") if count is None else count
    mean, rstd, map = k.batch_norm_moments(x, or_absent(k, weight), or_absent(k, bias), *running, count, *rule)
    return k.batch_norm_apply(x, map), mean, rstd


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def batch_norm_inference(k: Any, x: Any, weight: Any, bias: Any, mean: Any, var: Any, eps: float) -> Any:
    """Call batch_norm_map and batch_norm_apply."""
    mean, rstd, map = k.batch_norm_map(mean, var, or_absent(k, weight), or_absent(k, bias), eps)
    return k.batch_norm_apply(x, map), mean, rstd


@kernel(backend="numba csrc", double="numba", composite=True, when=all_alike)
def batch_norm_backward(k: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, training: bool) -> Any:
    """Call batch_norm_sums and batch_norm_apply_gradient."""
    dweight, dbias, map = k.batch_norm_sums(dy, x, or_absent(k, weight), mean, rstd, training)
    return k.batch_norm_apply_gradient(dy, x, mean, map, training), dweight, dbias
