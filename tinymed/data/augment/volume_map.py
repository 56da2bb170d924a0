"""The map of space for volumes: where each voxel is read, once flips and quarter turns are done."""

import math
from typing import NamedTuple

import numpy as np

from .drawing import Parameters


class VolumeMap(NamedTuple):
    """Where a voxel of the output is read: matrix (voxel - middle - shift) + end, then displaced."""

    matrix: np.ndarray
    shift: np.ndarray
    end: np.ndarray


def volume_map(drawn: Parameters, space: tuple[int, ...]) -> VolumeMap:
    """Return the map of a volume [x, y, z]: the inverse of cropping, shearing, turning, scaling and shifting it.

    It is turned about z by the angle, and about y and x by half of it.
    """
    sides = np.array(space)
    half = drawn.angle / 2
    matrix = turn(0, 1, -drawn.angle) @ turn(0, 2, -half) @ turn(1, 2, -half) / drawn.scale
    if drawn.shear:
        lean = np.eye(3)
        lean[0, 1] = -math.tan(drawn.shear)
        matrix = lean @ matrix
    shift = np.array([drawn.shift_x * sides[0], drawn.shift_y * sides[1], 0.0])
    return VolumeMap(matrix * drawn.crop, shift, (sides - 1) / 2 + np.array(drawn.crop_at) * sides)


def turn(a: int, b: int, angle: float) -> np.ndarray:
    """Return the 3x3 rotation in the plane of axes a and b."""
    matrix = np.eye(3)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix
