"""Elastic deformation: random displacements on a coarse grid, interpolated to every pixel.

U-Net's augmentation: "random displacement vectors on a coarse 3 by 3 grid", Gaussian of 10 pixels, bicubic (Ronneberger
et al. 2015, section 3.1); 3D U-Net does the same in three axes (Cicek et al. 2016, section 3).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np

from .. import random


def displacements(
    space: Sequence[int],
    deviation: float,
    grid: int,
    ticket: tuple[int, int],
    normal: Callable[..., np.ndarray] = random.normal,
) -> np.ndarray:
    """Draw a smooth field of displacements: Gaussian at a coarse grid of points, interpolated by cubic convolution.

    Args:
        space: Size of the image along each axis, in pixels.
        deviation: Standard deviation of the Gaussian at the grid^n points, in pixels.
        grid: Points along each axis, which lie evenly from edge to edge.
        ticket: Random counter (seed, step).
        normal: Draws the numbers; `random.normal`, or what draws the same faster.

    Returns:
        float64 [axes, *space], in pixels.

    Example:
        >>> dy, dx = displacements((8, 6), deviation=2.0, grid=3, ticket=(0, 0))
        >>> dy.shape, dx.shape
        ((8, 6), (8, 6))

    Reference:
        Ronneberger, Fischer & Brox, MICCAI 2015, section 3.1; Keys, IEEE TASSP 29, 1981.
    """
    axes = len(space)
    drawn = grid_vectors(axes, deviation, grid, ticket, normal)
    matrices = [cubic_matrix(size, grid) for size in space]
    if axes == 2:  # the same sums; two products of small matrices are five times as fast
        plane: np.ndarray = matrices[0] @ drawn @ matrices[1].T
        return plane
    for axis, matrix in enumerate(matrices):
        drawn = np.moveaxis(np.tensordot(matrix, drawn, (1, axis + 1)), 0, axis + 1)
    return np.ascontiguousarray(drawn)


def grid_vectors(
    axes: int, deviation: float, grid: int, ticket: tuple[int, int], normal: Callable[..., np.ndarray] = random.normal
) -> np.ndarray:
    """Return the displacements at the grid's points, float64 [axes, grid, grid, ...]."""
    seed, step = ticket
    numbers = normal(axes * grid**axes, seed, random.ELASTIC, step)
    return numbers.reshape(axes, *[grid] * axes) * deviation


def displacements_at(points: np.ndarray, space: Sequence[int], vectors: np.ndarray) -> np.ndarray:
    """Return the displacements [n, axes] at points [n, axes] between the pixels, of the grid's vectors.

    Beyond the image they are those of its edge.
    """
    field = vectors[None]
    for axis, size in enumerate(space):  # the first axis of the grid that is left is summed away
        grid = field.shape[2]
        places = points[:, axis] * (grid - 1) / (size - 1) if size > 1 else np.full(len(points), (grid - 1) / 2)
        weights = cubic_weights(places, grid)
        field = (field * weights.reshape(len(points), 1, grid, *[1] * (field.ndim - 3))).sum(axis=2)
    return field


@lru_cache(maxsize=64)
def cubic_matrix(size: int, grid: int) -> np.ndarray:
    """Return the weights [size, grid] of the grid's points at each pixel, by cubic convolution (Keys 1981, a = -1/2).

    Points lie on the first and the last pixel and evenly between; beyond the ends the last point is repeated.
    """
    places = np.linspace(0, grid - 1, size) if size > 1 else np.array([(grid - 1) / 2])
    matrix = cubic_weights(places, grid)
    matrix.flags.writeable = False  # it is kept, and handed to every caller
    return matrix


def cubic_weights(places: np.ndarray, grid: int) -> np.ndarray:
    """Return the weights [n, grid] of points 0 ... grid - 1 at places on their line, held to it."""
    places = np.clip(places, 0, grid - 1)
    left = np.minimum(np.floor(places).astype(int), grid - 2)
    matrix = np.zeros((len(places), grid))
    for offset in (-1, 0, 1, 2):
        point = left + offset
        distance = np.abs(places - point)
        near = (1.5 * distance - 2.5) * distance**2 + 1
        far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
        weight = np.where(distance <= 1, near, np.where(distance < 2, far, 0.0))
        np.add.at(matrix, (np.arange(len(places)), np.clip(point, 0, grid - 1)), weight)
    return matrix
