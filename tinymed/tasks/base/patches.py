"""The option --patch of tasks that see parts of images: its text, and sides that fit the images."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.masks import MaskDataset, by
from ...errors import UserError

SIDE, STEP = 64, 16  # a volume's patch is at most so large a side, and a multiple of STEP


def parse_patch(value: Any) -> Any:
    """Turn the text 64, or 48,64,48, of the command line into sides."""
    if not isinstance(value, str):
        return value
    sides = value.split(",")
    if not all(side.strip().isdecimal() and int(side) for side in sides):
        raise UserError(f"--patch {value!r}: write a side, or one an axis such as 48,64,48")
    return [int(side) for side in sides]


def patch_sides(text: str, dimensions: int) -> list[int]:
    """Return --patch as one side for each axis.  Raises UserError where there are more or fewer."""
    sides: list[int] = parse_patch(text)
    if len(sides) not in (1, dimensions):
        raise UserError(f"--patch {text!r}: write a side, or one an axis such as 48,64,48")
    return sides * (dimensions if len(sides) == 1 else 1)


def refuse_larger(sides: Sequence[int], scored: Sequence[int], sets: dict[str, MaskDataset]) -> None:
    """Raise UserError where what a network scores of a patch is larger than every image.

    It may reach beyond an image's border, where the image is mirrored, up to the next multiple of STEP; the margin
    that a network loses may lie outside altogether.
    """
    largest = np.zeros(len(sides), np.int64)
    for part in sets.values():
        for index in range(len(part)):
            largest = np.maximum(largest, part.mask(index).shape)
            if (np.ceil(largest / STEP) * STEP >= scored).all():
                return
    middle = "" if tuple(scored) == tuple(sides) else f"the network scores {by(scored)} of it, "
    raise UserError(f"--patch {by(sides)}: {middle}larger than every image; the largest are {by(largest.tolist())}")


def volume_patch(sets: dict[str, MaskDataset]) -> list[int]:
    """Return the sides of patches of volumes: their median size, at most SIDE and a multiple of STEP."""
    shapes = np.array([part.mask(i).shape for part in sets.values() for i in range(min(len(part), 20))])
    middle = np.ceil(np.median(shapes, axis=0) / STEP) * STEP
    return [int(side) for side in np.minimum(middle, SIDE)]


def whole_slices(text: str | None, sets: dict[str, MaskDataset]) -> list[int]:
    """Return --patch, or sides for want of it, of patches that hold whole slices across the first axis.

    Raises UserError where a slice of a volume is larger than the patch.
    """
    shapes = np.array([part.space(index) for part in sets.values() for index in range(len(part))])
    rows, columns = shapes.max(axis=0)[1:].tolist()
    if text is None:
        return [volume_patch(sets)[0], *(-(-side // STEP) * STEP for side in (rows, columns))]
    sides = patch_sides(text, shapes.shape[1])
    refuse_larger(sides, sides, sets)
    if sides[1] < rows or sides[2] < columns:
        raise UserError(
            f"--patch {by(sides)}: slices across the first axis are seen whole, and the largest have "
            f"{by((rows, columns))} voxels; make the last two sides as large, or leave --patch out"
        )
    return sides
