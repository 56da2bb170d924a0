"""Volumes to another size: linear along each axis, antialiased when shrinking, as `resize` of pictures is."""

from collections.abc import Sequence

import numpy as np

from ..ops.resample_cubic import smooth_taps


def fit_volume(voxels: np.ndarray, sides: Sequence[int]) -> np.ndarray:
    """Return a volume of these sides; the aspect ratio is not kept.

    The triangle filter is widened by the reduction factor, so every voxel counts.

    Args:
        voxels: uint8 or float32 [depth, height, width, channels].
        sides: (depth, height, width).

    Returns:
        An array of the same type, rounded where it is of integers.

    Example:
        >>> fit_volume(np.arange(4, dtype=np.float32).reshape(4, 1, 1, 1), (2, 1, 1)).ravel().astype(float).round(3)
        array([0.714, 2.286])
    """
    if voxels.shape[:3] == tuple(sides):
        return voxels
    found = voxels.astype(np.float32)
    for axis, side in enumerate(sides):
        if found.shape[axis] != side:
            found = np.moveaxis(np.tensordot(weights(found.shape[axis], side), found, (1, axis)), 0, axis)
    rounded = np.rint(found) if voxels.dtype.kind in "iu" else found
    return np.ascontiguousarray(rounded, voxels.dtype)


def weights(size: int, wanted: int) -> np.ndarray:
    """Return float32 [wanted, size]: how much of each voxel of an axis goes into each voxel of the resized one."""
    table = np.zeros((wanted, size), np.float32)
    for row, taps in enumerate(smooth_taps(size, wanted, size / wanted, "bilinear")):
        for place, weight in taps:
            table[row, place] += weight
    return table
