"""Sampling at the places of a grid, on the CPU: rows of places are independent, and so are the images of dx.

The work is done by `simd/grid_sampling.py`.
"""

from math import prod
from typing import Any

from numba import prange

from ..dispatch import kernel
from .arguments import images, volumes
from .simd.grid_sampling import (
    sample_bicubic2d,
    sample_bilinear2d,
    sample_bilinear3d,
    sample_nearest2d,
    sample_nearest3d,
    slopes_bicubic2d,
    slopes_bilinear2d,
    slopes_bilinear3d,
    spread_bicubic2d,
    spread_bilinear2d,
    spread_bilinear3d,
    spread_nearest2d,
    spread_nearest3d,
)
from .simd.vectors import address

BILINEAR, NEAREST = 0, 1


def takes_images(x: Any, *args: Any) -> bool:
    """Return whether the arrays are images of float32, whose elements 31 bits number."""
    return images(x, *[a for a in args if hasattr(a, "ndim")]) and numbered(x, *args)


def takes_volumes(x: Any, *args: Any) -> bool:
    """Return whether the arrays are volumes of float32, whose elements 31 bits number, sampled by two taps or one."""
    mode = args[-3]
    return mode < 2 and volumes(x, *[a for a in args if hasattr(a, "ndim")]) and numbered(x, *args)


def numbered(*args: Any) -> bool:
    """Return whether 31 bits number the elements of an image, of each array and of each shape."""
    return all(prod(getattr(a, "shape", a)[1:]) < 2**31 for a in args if hasattr(a, "shape") or isinstance(a, tuple))


# ------------------------------------------------------------------------------------------------- two axes


@kernel(backend="numba", image="y x", when=takes_images)
def grid_sample2d_forward(y: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any) -> None:
    """y[n, i, j] = x[n] at the place grid[n, i, j]."""
    n, h, w, c = y.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        to, image, at = address(y[b, i]), address(x[b]), address(grid[b, i])
        if mode == BILINEAR:
            sample_bilinear2d(to, image, at, w, 1, x.shape[1], x.shape[2], c, padding, align_corners)
        elif mode == NEAREST:
            sample_nearest2d(to, image, at, w, 1, x.shape[1], x.shape[2], c, padding, align_corners)
        else:
            sample_bicubic2d(to, image, at, w, 1, x.shape[1], x.shape[2], c, padding, align_corners)


@kernel(backend="numba", image="dx dy", when=takes_images)
def grid_sample2d_backward_input(
    dx: Any, dy: Any, grid: Any, x_shape: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dx at the pixels around each place += their weights dy."""
    n, h, w, c = dx.shape
    places = dy.shape[1] * dy.shape[2]
    for b in prange(n):
        dx[b] = 0
        image, of, at = address(dx[b]), address(dy[b]), address(grid[b])
        if mode == BILINEAR:
            spread_bilinear2d(of, image, at, places, 1, h, w, c, padding, align_corners)
        elif mode == NEAREST:
            spread_nearest2d(of, image, at, places, 1, h, w, c, padding, align_corners)
        else:
            spread_bicubic2d(of, image, at, places, 1, h, w, c, padding, align_corners)


@kernel(backend="numba", image="x dy", when=takes_images)
def grid_sample2d_backward_grid(
    dgrid: Any, dy: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dgrid = the sum over channels of dy times y's derivative along each axis."""
    n, h, w, c = dy.shape
    for t in prange(n * h):
        b, i = t // h, t % h
        to, image, at, of = address(dgrid[b, i]), address(x[b]), address(grid[b, i]), address(dy[b, i])
        if mode == BILINEAR:
            slopes_bilinear2d(to, image, at, w, 1, x.shape[1], x.shape[2], c, padding, align_corners, of)
        else:
            slopes_bicubic2d(to, image, at, w, 1, x.shape[1], x.shape[2], c, padding, align_corners, of)


# ----------------------------------------------------------------------------------------------- three axes


@kernel(backend="numba", image="y x", when=takes_volumes)
def grid_sample3d_forward(y: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any) -> None:
    """y[n, h, i, j] = x[n] at the place grid[n, h, i, j]."""
    n, d, h, w, c = y.shape
    depth, height, width = x.shape[1], x.shape[2], x.shape[3]
    for t in prange(n * d):
        b, i = t // d, t % d
        to, image, at = address(y[b, i]), address(x[b]), address(grid[b, i])
        if mode == BILINEAR:
            sample_bilinear3d(to, image, at, h * w, depth, height, width, c, padding, align_corners)
        else:
            sample_nearest3d(to, image, at, h * w, depth, height, width, c, padding, align_corners)


@kernel(backend="numba", image="dx dy", when=takes_volumes)
def grid_sample3d_backward_input(
    dx: Any, dy: Any, grid: Any, x_shape: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dx at the voxels around each place += their weights dy."""
    n, depth, height, width, c = dx.shape
    places = dy.shape[1] * dy.shape[2] * dy.shape[3]
    for b in prange(n):
        dx[b] = 0
        image, of, at = address(dx[b]), address(dy[b]), address(grid[b])
        if mode == BILINEAR:
            spread_bilinear3d(of, image, at, places, depth, height, width, c, padding, align_corners)
        else:
            spread_nearest3d(of, image, at, places, depth, height, width, c, padding, align_corners)


@kernel(backend="numba", image="x dy", when=takes_volumes)
def grid_sample3d_backward_grid(
    dgrid: Any, dy: Any, x: Any, grid: Any, mode: Any, padding: Any, align_corners: Any
) -> None:
    """dgrid = the sum over channels of dy times y's derivative along each axis."""
    n, d, h, w, c = dy.shape
    for t in prange(n * d):
        b, i = t // d, t % d
        to, image, at, of = address(dgrid[b, i]), address(x[b]), address(grid[b, i]), address(dy[b, i])
        slopes_bilinear3d(to, image, at, h * w, x.shape[1], x.shape[2], x.shape[3], c, padding, align_corners, of)
