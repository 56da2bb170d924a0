"""Elastic deformation: random displacements on a coarse grid, interpolated to every pixel.

U-Net's augmentation: "random displacement vectors on a coarse 3 by 3 grid", Gaussian of 10 pixels, bicubic (Ronneberger
et al. 2015, section 3.1); 3D U-Net does the same in three axes (Cicek et al. 2016, section 3).
"""

from collections.abc import Sequence

import numpy as np

from .. import random


def displacements(space: Sequence[int], deviation: float, grid: int, ticket: tuple[int, int]) -> tuple[np.ndarray, ...]:
    """Draw a smooth field of displacements: Gaussian at a coarse grid of points, interpolated by cubic convolution.

    Args:
        space: Size of the image along each axis, in pixels.
        deviation: Standard deviation of the Gaussian at the grid^n points, in pixels.
        grid: Points along each axis, which lie evenly from edge to edge.
        ticket: Random counter (seed, step).

    Returns:
        One float64 array of the image's size per axis, in pixels.

    Example:
        >>> dy, dx = displacements((8, 6), deviation=2.0, grid=3, ticket=(0, 0))
        >>> dy.shape, dx.shape
        ((8, 6), (8, 6))

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015, section 3.1; Keys, IEEE TASSP 29, 1981.
    """
    axes, (seed, step) = len(space), ticket
    drawn = random.normal(axes * grid**axes, seed, random.ELASTIC, step).reshape(axes, *[grid] * axes) * deviation
    for axis, size in enumerate(space):
        drawn = np.moveaxis(np.tensordot(cubic_matrix(size, grid), drawn, (1, axis + 1)), 0, axis + 1)
    return tuple(drawn)


def cubic_matrix(size: int, grid: int) -> np.ndarray:
    """Return the weights [size, grid] of the grid's points at each pixel, by cubic convolution (Keys 1981, a = -1/2).

    Points lie on the first and the last pixel and evenly between; beyond the ends the last point is repeated.
    """
    places = np.linspace(0, grid - 1, size) if size > 1 else np.array([(grid - 1) / 2])
    left = np.minimum(np.floor(places).astype(int), grid - 2)
    matrix = np.zeros((size, grid))
    for offset in (-1, 0, 1, 2):
        point = left + offset
        distance = np.abs(places - point)
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
        np.add.at(matrix, (np.arange(size), np.clip(point, 0, grid - 1)), weight)
    return matrix
