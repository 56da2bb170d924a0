"""Sampling at the places of a grid, on the GPU: csrc/grid_sample.cu."""

from typing import Any

import numpy as np

from ..dispatch import kernel
from .reduce import parts_work


def one_or_two_taps(*args: Any) -> bool:
    """Return whether the mode, third from the end, is not bicubic."""
    return bool(args[-3] < 2)


@kernel(backend="csrc", image="y x")
def grid_sample2d_forward(y: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any) -> None:
    """y[n, i, j] = x[n] at the place grid[n, i, j]."""


@kernel(backend="csrc", image="y x", when=one_or_two_taps)
def grid_sample3d_forward(y: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any) -> None:
    """y[n, h, i, j] = x[n] at the place grid[n, h, i, j]."""


@kernel(backend="csrc", image="x dy")
def grid_sample2d_backward_grid(
    dgrid: Any, dy: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dgrid = the sum over channels of dy times y's derivative along each axis."""


@kernel(backend="csrc", image="x dy", when=one_or_two_taps)
def grid_sample3d_backward_grid(
    dgrid: Any, dy: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dgrid = the sum over channels of dy times y's derivative along each axis."""


def whole_numbers(dy: Any, grid: Any, x_shape: Any, *_: Any) -> list[Any]:
    """Return the workspaces of the input's gradient.

    A whole number and a note of what is not finite for each of its numbers, the parts of the largest |dy|, and that.
    """
    count = (int(np.prod(x_shape)),)
    return [(count, np.int64), (count, np.int32), *parts_work(dy), ((1,), np.float64)]


@kernel(backend="csrc", image="dx dy", work=whole_numbers)
def grid_sample2d_backward_input(
    dx: Any,
    sum: Any,
    found: Any,
    partial: Any,
    largest: Any,
    dy: Any,
    grid: Any,
    x_shape: Any,
    mode: Any,
    padding: Any,
    align_corners: Any,
) -> None:
    """dx at the pixels around each place += their weights dy, in whole numbers of a quantum."""


@kernel(backend="csrc", image="dx dy", work=whole_numbers, when=one_or_two_taps)
def grid_sample3d_backward_input(
    dx: Any,
    sum: Any,
    found: Any,
    partial: Any,
    largest: Any,
    dy: Any,
    grid: Any,
    x_shape: Any,
    mode: Any,
    padding: Any,
    align_corners: Any,
) -> None:
    """dx at the voxels around each place += their weights dy, in whole numbers of a quantum."""
