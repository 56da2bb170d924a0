"""Volumes of which only the slices across the first axis are told apart: does a slice hold an object, or not?"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from .labels import IGNORED


def slice_numbers(numbers: np.ndarray) -> np.ndarray:
    """Return the class of every slice.

    Args:
        numbers: Class numbers [..., slices, rows, columns], IGNORED where they do not count.

    Returns:
        Class numbers [..., slices]: 1 of a slice that holds a voxel of class 1, IGNORED of one in which nothing counts.

    Example:
        >>> slice_numbers(np.array([[[0, 1]], [[0, 255]], [[255, 255]]])).tolist()
        [1, 0, 255]
    """
    found: np.ndarray = (numbers == 1).any(axis=(-2, -1)).astype(numbers.dtype)
    found[(numbers == IGNORED).all(axis=(-2, -1))] = IGNORED
    return found


def fill_slices(numbers: np.ndarray) -> np.ndarray:
    """Return class numbers [slices, rows, columns] in which every voxel has the class of its slice."""
    filled: np.ndarray = np.broadcast_to(slice_numbers(numbers)[:, None, None], numbers.shape).copy()
    return filled


def with_slices(sets: Mapping[str, Any]) -> dict[str, Any]:
    """Return sets of volumes, `MaskDataset`, whose voxels have the class of their slice.

    Raises:
        UserError: There are other than two classes.
    """
    for part in sets.values():
        if len(part.classes) != 2:
            raise UserError(
                f"a network of slices says whether a slice holds one structure, and there are {len(part.classes)} "
                f"classes ({', '.join(part.classes)}); name two with --labels, such as 0=background,1=organ,2=organ"
            )
    return {name: replace(part, slices=True) for name, part in sets.items()}
