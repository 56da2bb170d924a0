"""Augmentation of volumes: what `augment.py` does in the plane, along three axes.

A volume is turned about its z axis (the patient's long axis) and about x and y by what is drawn for it, scaled, shifted
and bent, in one trilinear resampling; the mask follows by the nearest voxel.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from .. import random
from .augment import Parameters, reflect
from .elastic import displacements


def augment_volume(image: np.ndarray, mask: np.ndarray, drawn: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume and its mask, changed together as the parameters say: the image trilinear, the mask nearest."""
    if drawn.flip_x:
        image, mask = image[::-1], mask[::-1]
    if drawn.flip_y:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if drawn.angle or drawn.scale != 1 or drawn.shift_x or drawn.shift_y or drawn.elastic:
        points = source_points(mask.shape, drawn)
        image, mask = trilinear(image, points), nearest(mask, points)
    if drawn.contrast != 1 or drawn.brightness:
        image = image * np.float32(drawn.contrast) + np.float32(drawn.brightness)
    if drawn.noise:
        noise = random.normal(image.size, drawn.ticket[0], random.NOISE, drawn.ticket[1])
        image = image + (noise * drawn.noise).reshape(image.shape).astype(np.float32)
    return image, mask


def source_points(space: Sequence[int], drawn: Parameters) -> list[np.ndarray]:
    """Return where each voxel is read from: the inverse of what happens to the volume, about its middle.

    Scaling, turning and shifting are undone first, then bending.
    """
    grid = np.stack(np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in space), indexing="ij"))
    grid[0] -= drawn.shift_x * space[0]
    grid[1] -= drawn.shift_y * space[1]
    matrix = turn(0, 1, -drawn.angle) @ turn(0, 2, -drawn.angle / 2) @ turn(1, 2, -drawn.angle / 2) / drawn.scale
    points = np.tensordot(matrix, grid, 1)
    points += (np.array(space)[:, None, None, None] - 1) / 2
    if drawn.elastic:
        points += np.stack(displacements(space, drawn.elastic, drawn.elastic_grid, drawn.ticket))
    return list(points)


def turn(a: int, b: int, angle: float) -> np.ndarray:
    """Return the 3x3 rotation in the plane of axes a and b."""
    matrix = np.eye(3)
    matrix[[a, a, b, b], [a, b, a, b]] = np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)
    return matrix


def trilinear(image: np.ndarray, points: Sequence[np.ndarray]) -> np.ndarray:
    """Return an image [x, y, z, channels] read between its voxels; beyond the border it is mirrored."""
    base = [np.floor(p).astype(np.intp) for p in points]
    share = [(p - b).astype(np.float32) for p, b in zip(points, base, strict=True)]
    total = np.zeros((*points[0].shape, image.shape[-1]), np.float32)
    for corner in product((0, 1), repeat=3):
        index = tuple(reflect(b + c, n) for b, c, n in zip(base, corner, image.shape, strict=False))
        weight = np.ones(points[0].shape, np.float32)
        for c, s in zip(corner, share, strict=True):
            weight *= s if c else 1 - s
        total += weight[..., None] * image[index]
    return total


def nearest(mask: np.ndarray, points: Sequence[np.ndarray]) -> np.ndarray:
    """Return a mask [x, y, z] at the nearest voxel; beyond the border it is mirrored."""
    index = tuple(reflect(np.rint(p).astype(np.intp), n) for p, n in zip(points, mask.shape, strict=True))
    read: np.ndarray = mask[index]
    return read
