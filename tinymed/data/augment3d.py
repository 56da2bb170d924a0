"""Augmentation of volumes: what `augment/` does in the plane, along three axes.

A volume is turned about its z axis (the patient's long axis) and about x and y by what is drawn for it, sheared,
cropped, scaled, shifted and bent, in one trilinear resampling; the mask follows by the nearest voxel.
"""

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from .. import random
from .augment import BORDERS, Parameters, apply_intensity, reflect
from .augment.geometry import bending, call_bits, call_filled, permutes, quarter_turns
from .augment.intensity import change_gamma, change_tone, changes_stains, changes_tone, cover, tone_by_loop
from .augment.volume_map import volume_map


def augment_volume(
    image: np.ndarray, mask: np.ndarray, drawn: Parameters, *, reference: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume and its mask, changed together as the parameters say: the image trilinear, the mask nearest.

    Args:
        image: float32 [x, y, z, channels].
        mask: [x, y, z].
        drawn: What `parameters` drew.
        reference: Compute by the definition in NumPy, not by the compiled loops.

    Returns:
        Arrays of the same shapes and dtypes.

    Raises:
        ValueError: A change of colours was drawn, which volumes do not have.

    Example:
        >>> image, mask = np.zeros((4, 4, 2, 1), np.float32), np.arange(4, dtype=np.uint8).repeat(8).reshape(4, 4, 2)
        >>> augment_volume(image, mask, Parameters(flip_x=True))[1][:, 0, 0]
        array([3, 2, 1, 0], dtype=uint8)
    """
    turned_image, turned_mask = turn_and_flip(image, drawn), turn_and_flip(mask, drawn)
    if not permutes(drawn):
        warp = by_definition if reference or image.dtype != np.float32 else by_loops
        turned_image, turned_mask = warp(turned_image, turned_mask, drawn)
    return volume_intensity(turned_image, drawn, reference=reference), turned_mask


def turn_and_flip(volume: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Return a volume flipped, then turned by quarters about z where its sides x and y are equal; a view."""
    flipped = volume[:: -1 if drawn.flip_x else 1, :: -1 if drawn.flip_y else 1]
    return np.rot90(flipped, quarter_turns(drawn, *volume.shape[:2]))


def by_loops(image: np.ndarray, mask: np.ndarray, drawn: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return what `by_definition` returns, by the compiled loops."""
    from .augment import loops_geometry

    space = mask.shape
    how = loop_arguments(space, drawn)
    moved = call_filled(loops_geometry.warp_trilinear, image, (), how, drawn.fill)
    return moved, call_bits(loops_geometry.warp_nearest_voxel, mask, (), how, 0.0)


def loop_arguments(space: tuple[int, ...], drawn: Parameters) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the map, the displacements and the border as the compiled loops take them."""
    from .augment import loops_noise

    places = volume_map(drawn, space)
    field = bending(drawn, space, loops_noise.normal)
    return np.concatenate([places.matrix.ravel(), places.shift, places.end]), field, BORDERS.index(drawn.border)


def augment_whole(image: np.ndarray, drawn: Parameters) -> np.ndarray:
    """Return a volume that is classified, changed as the parameters say.

    Space changes as in `augment_volume`, its columns, rows and depth being x, y and z; values as those of a picture.

    Args:
        image: float32 [depth, rows, columns, channels] in 0...1.
        drawn: What `parameters` drew.

    Returns:
        An array of the same shape and type.

    Raises:
        ValueError: A change of colours was drawn.

    Example:
        >>> image = np.arange(4, dtype=np.float32).reshape(1, 1, 4, 1) / 4
        >>> augment_whole(image, Parameters(flip_x=True)).ravel()
        array([0.75, 0.5 , 0.25, 0.  ], dtype=float32)
    """
    moved = turn_and_flip(image.transpose(2, 1, 0, 3), drawn)
    if not permutes(drawn):
        from .augment import loops_geometry

        how = loop_arguments(moved.shape[:3], drawn)
        moved = call_filled(loops_geometry.warp_trilinear, moved, (), how, drawn.fill)
    return apply_intensity(np.ascontiguousarray(moved.transpose(2, 1, 0, 3)), drawn)


def by_definition(image: np.ndarray, mask: np.ndarray, drawn: Parameters) -> tuple[np.ndarray, np.ndarray]:
    """Return a volume and its mask after all that moves voxels between each other."""
    points = source_points(mask.shape, drawn)
    return trilinear(image, points, drawn.border, drawn.fill), nearest(mask, points, drawn.border)


def source_points(space: Sequence[int], drawn: Parameters) -> list[np.ndarray]:
    """Return where each voxel is read from: the inverse of what happens to the volume, about its middle.

    Scaling, turning, shearing, cropping and shifting are undone first, then bending.
    """
    places = volume_map(drawn, tuple(space))
    middles = [(n - 1) / 2 for n in space]
    grid: Any = np.meshgrid(
        *(np.arange(n) - m - s for n, m, s in zip(space, middles, places.shift, strict=True)), indexing="ij"
    )
    points = [row[0] * grid[0] + row[1] * grid[1] + row[2] * grid[2] for row in places.matrix]
    points = [p + end for p, end in zip(points, places.end, strict=True)]
    field = bending(drawn, tuple(space), random.normal)
    return [p + d for p, d in zip(points, field, strict=True)] if field.size else points


def trilinear(
    image: np.ndarray, points: Sequence[np.ndarray], border: str = "reflect", fill: float = 0.0
) -> np.ndarray:
    """Return an image [x, y, z, channels] read between its voxels."""
    base = [np.floor(p).astype(np.intp) for p in points]
    share = [(p - b).astype(np.float32) for p, b in zip(points, base, strict=True)]
    total = np.zeros((*points[0].shape, image.shape[-1]), np.float32)
    for corner in product((0, 1), repeat=3):
        weight = np.ones(points[0].shape, np.float32)
        for c, s in zip(corner, share, strict=True):
            weight *= s if c else 1 - s
        index = [b + c for b, c in zip(base, corner, strict=True)]
        total += weight[..., None] * fetch(image, index, border, fill)
    return total


def nearest(mask: np.ndarray, points: Sequence[np.ndarray], border: str = "reflect") -> np.ndarray:
    """Return a mask [x, y, z] at the nearest voxel; outside, where the border is constant, it is 0."""
    return fetch(mask, [np.rint(p).astype(np.intp) for p in points], border, 0.0)


def fetch(volume: np.ndarray, index: Sequence[np.ndarray], border: str, fill: float) -> np.ndarray:
    """Return the voxels of these indices; those beyond the border are mirrored, clamped, or answered by `fill`."""
    sides = volume.shape[:3]
    if border == "reflect":
        read: np.ndarray = volume[tuple(reflect(i, n) for i, n in zip(index, sides, strict=True))]
        return read
    read = volume[tuple(np.clip(i, 0, n - 1) for i, n in zip(index, sides, strict=True))]
    if border == "constant":
        outside = np.logical_or.reduce([(i < 0) | (i >= n) for i, n in zip(index, sides, strict=True)])
        read[outside] = fill
    return read


def volume_intensity(image: np.ndarray, drawn: Parameters, *, reference: bool = False) -> np.ndarray:
    """Return a volume of z-scores after gamma, contrast about 0, brightness and noise, not clipped, and the cutout.

    Gamma acts on the span from the smallest to the largest value, as nnU-Net's does (Isensee et al. 2021).
    """
    if changes_stains(drawn) or drawn.saturation != 1 or drawn.hue or any(drawn.pca_colour):
        raise ValueError("augment_volume: volumes have no colours; leave saturation, hue, pca_colour and stain at 0")
    out = image
    if drawn.gamma != 1:
        low = float(image.min())
        out = change_gamma(out, drawn.gamma, low, float(image.max()) - low or 1.0)
    if changes_tone(drawn) and (reference or out.dtype != np.float32):
        out = change_tone(out, drawn, 0.0)
    elif changes_tone(drawn):
        out = out.copy(order="C")
        tone_by_loop(out.reshape(-1), drawn, 0.0, (-np.inf, np.inf))
    return cover(out, drawn, out is image or out.base is not None) if drawn.cutout else out
