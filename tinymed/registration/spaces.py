"""Images in space: where each pixel lies, in millimetres or pixels, and what a map of space is to a grid.

A `Space` is a picture's or volume's size and the affine that brings its indices into the world.  Transforms are maps of
the world: from a point of the fixed image to the point of the moving image that belongs there.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..data.image import decode, is_picture
from ..data.volumes import Volume, grid, is_volume, read_volume
from ..errors import UserError

PERCENTILES = (1, 99)  # of an image's values, which become 0 and 1


@dataclass(frozen=True)
class Space:
    """Size and place of an image.

    Attributes:
        size: Pixels along each axis.
        affine: [axes + 1, axes + 1], from indices to the world.

    Example:
        >>> Space((4, 6), np.diag([0.5, 0.5, 1.0])).centre.tolist()
        [0.75, 1.25]
    """

    size: tuple[int, ...]
    affine: np.ndarray

    @property
    def rank(self) -> int:
        """Return the number of axes."""
        return len(self.size)

    @property
    def centre(self) -> np.ndarray:
        """Return the middle of the image in the world."""
        middle = (np.asarray(self.size) - 1) / 2
        result: np.ndarray = self.affine[:-1, :-1] @ middle + self.affine[:-1, -1]
        return result

    @property
    def spacing(self) -> np.ndarray:
        """Return the distance of neighbouring pixels along each axis."""
        result: np.ndarray = np.linalg.norm(self.affine[:-1, :-1], axis=0)
        return result

    @property
    def radius(self) -> float:
        """Return half the image's diagonal: what a turn of 1 moves its corners by."""
        return float(np.linalg.norm(np.asarray(self.size) * self.spacing) / 2)

    def points(self) -> np.ndarray:
        """Return every pixel's place in the world: [*size, axes]."""
        index = np.stack(np.meshgrid(*map(np.arange, self.size), indexing="ij"), -1)
        result: np.ndarray = index @ self.affine[:-1, :-1].T + self.affine[:-1, -1]
        return result


@dataclass(frozen=True)
class Image:
    """A picture or a volume to be registered.

    Attributes:
        values: As in the file, [*space, channels].
        grey: float32 [*space] from 0 to 1: the mean of the channels between its 1st and 99th percentile.
        space: Where it lies.
        volume: What it was read from, None of a picture.
        path: The file.
    """

    values: np.ndarray
    grey: np.ndarray
    space: Space
    volume: Volume | None
    path: Path


def read_image(path: str | Path) -> Image:
    """Read a picture, or a volume in RAS+ orientation.

    Args:
        path: A picture (.png, .jpg, .tif, ...), or a volume: .nii, .nii.gz, a folder of DICOM slices, a TIFF of pages.

    Returns:
        An Image.  A picture's world is (row, column) in pixels, a volume's (x, y, z) in millimetres.

    Raises:
        UserError: The file is missing, damaged, of no known kind, or has one value everywhere.
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file; give a picture or a volume (.nii, .nii.gz, a folder of DICOM slices)")
    if is_volume(path):
        volume = read_volume(path)
        values, place = volume.values, grid(volume.origin)[0]
    elif is_picture(path):
        volume, values, place = None, decode(path), np.eye(3)
    else:
        raise UserError(f"{path}: neither a picture nor a volume (.nii, .nii.gz, a folder of DICOM slices); convert it")
    values = values if values.ndim == len(place) else values[..., None]
    return Image(values, grey_values(values, path), Space(values.shape[:-1], place), volume, path)


def grey_values(values: np.ndarray, path: Path) -> np.ndarray:
    """Return the mean of the channels, its 1st percentile as 0 and its 99th as 1.

    Raises:
        UserError: The values are all the same, so nothing can be registered.
    """
    grey = values.astype(np.float64).mean(-1)
    low, high = np.percentile(grey, PERCENTILES)
    if not high > low:
        low, high = grey.min(), grey.max()
    if not high > low:
        raise UserError(f"{path}: every pixel is {low:g}, so there is nothing to align; give an image with contrast")
    result: np.ndarray = np.clip((grey - low) / (high - low), 0, 1).astype(np.float32)
    return result


def check_pair(fixed: Image, moving: Image) -> None:
    """Raise UserError unless both are pictures or both are volumes."""
    if fixed.space.rank != moving.space.rank:
        kinds = [f"{i.path} is a {'volume' if i.volume else 'picture'} of {shape(i.space)}" for i in (fixed, moving)]
        raise UserError(f"{'; '.join(kinds)}: they need the same number of axes; give two pictures or two volumes")


def shape(space: Space) -> str:
    """Return a size in words: 35 x 51 x 35."""
    return " x ".join(map(str, space.size))


def normalised(space: Space) -> np.ndarray:
    """Return the matrix from indices to -1 to 1 between the image's edges, the axes in their order."""
    n = np.asarray(space.size, float)
    result = np.diag([*(2 / n), 1.0])
    result[:-1, -1] = 1 / n - 1
    return result


def grid_frames(fixed: Space, moving: Space) -> tuple[np.ndarray, np.ndarray]:
    """Return (left, right): left W right is affine_grid's theta of a map W of the world about the fixed centre.

    W maps points relative to the fixed image's centre to points relative to it.  A grid counts the last axis first.
    """
    turned = np.eye(fixed.rank + 1)
    turned[:-1, :-1] = turned[:-1, :-1][::-1]
    to_centre, from_centre = shift(-fixed.centre), shift(fixed.centre)
    left = turned @ normalised(moving) @ np.linalg.inv(moving.affine) @ from_centre
    right = to_centre @ fixed.affine @ np.linalg.inv(normalised(fixed)) @ turned
    return left, right


def shift(by: np.ndarray) -> np.ndarray:
    """Return the matrix of a translation."""
    result = np.eye(len(by) + 1)
    result[:-1, -1] = by
    return result


def centre_of_mass(image: Image) -> np.ndarray:
    """Return the mean place of an image's grey values in the world."""
    weight = image.grey / image.grey.sum()
    result: np.ndarray = (image.space.points() * weight[..., None]).reshape(-1, image.space.rank).sum(0)
    return result


def as_tensor_axes(values: np.ndarray) -> Any:
    """Return [*space, channels] as float32 (1, channels, *space)."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 0)[None], np.float32)
