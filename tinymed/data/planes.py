"""Volumes for classifiers of pictures: their three middle planes as the three channels of one square picture.

    channel 0   across the last axis (axial of a volume in RAS+)
    channel 1   across the second (coronal)
    channel 2   across the first (sagittal)

A network of three channels then sees a volume from three sides at the price of a picture (the 2.5-D input of J. Yang et
al., "MedMNIST v2", 2023, and of the plane networks of D. Yang et al. 2015); what lies off these planes it does not see.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from .dicom.files import is_dicom
from .image import resize
from .volumes import is_volume, read_volume

PERCENTILES = (0.5, 99.5)  # of a volume's values, black and white where no window says
NETWORK = "resnet8_3d"  # one of volumes, for messages


def is_array_of_volumes(shape: tuple[int, ...]) -> bool:
    """Return whether images of an array are volumes: [n, d, h, w], its last axis no colours, or [n, d, h, w, 1].

    Example:
        >>> is_array_of_volumes((9, 28, 28, 28)), is_array_of_volumes((9, 28, 28, 3))
        (True, False)
    """
    return (len(shape) == 4 and shape[3] not in (1, 3)) or (len(shape) == 5 and shape[4] == 1)


def middle_planes(values: np.ndarray) -> np.ndarray:
    """Return the three middle planes of a volume as channels.

    Args:
        values: [x, y, z] on the scale 0 to 255.

    Returns:
        [side, side, 3] of the same type; side is the longest of the three, to which each plane is stretched.

    Example:
        >>> volume = np.zeros((2, 4, 4), np.uint8)
        >>> volume[1] = 9
        >>> middle_planes(volume)[:, :, 2].tolist()
        [[9, 9, 9, 9], [9, 9, 9, 9], [9, 9, 9, 9], [9, 9, 9, 9]]
    """
    side = max(values.shape)
    planes = [np.rot90(np.take(values, values.shape[axis] // 2, axis)) for axis in (2, 1, 0)]
    return np.concatenate([resize(np.ascontiguousarray(plane)[:, :, None], side) for plane in planes], axis=2)


def read_planes(path: Path, window: tuple[float, float] | None) -> np.ndarray:
    """Return the middle planes of a volume's file [side, side, 3], float32 from 0 to 255.

    Args:
        path: NIfTI, a folder of DICOM slices, or a TIFF of several pages.
        window: (centre, width) of what is to be seen; None: from the 0.5th to the 99.5th percentile of its values.

    Raises:
        UserError: It is a picture, cannot be read, or has several channels.
    """
    return middle_planes(scaled_values(path, window))


def scaled_values(path: Path, window: tuple[float, float] | None) -> np.ndarray:
    """Return the values of a volume's file [x, y, z] in RAS+, float32 from 0 to 255; see `read_planes`."""
    if not path.exists():
        raise UserError(f"{path}: no such file; correct the path or the list that names it")
    if not is_volume(path):
        raise UserError(
            f"{path}: is a picture, and volumes are wanted (.nii, .nii.gz, DICOM series, TIFF of pages); give volumes, "
            "or a network of pictures, without --planes"
        )
    values = read_volume(path).values
    if values.shape[3] != 1:
        raise UserError(f"{path}: has {values.shape[3]} channels, and a volume is classified by one; write one")
    if window is None:
        low, high = np.percentile(values, PERCENTILES)
    else:
        low, high = window[0] - window[1] / 2, window[0] + window[1] / 2
    share: np.ndarray = np.clip((values[..., 0] - low) / max(high - low, 1e-12), 0, 1)
    return (share * 255).astype(np.float32)


def array_planes(values: np.ndarray) -> np.ndarray:
    """Return the middle planes of a volume of an array [d, h, w] or [d, h, w, 1], uint8."""
    return middle_planes(values if values.ndim == 3 else values[..., 0])


def volume_files(folder: Path, files: Sequence[Path]) -> list[Path]:
    """Return the volumes among the files below a folder: DICOM slices stand for the folder that they lie in."""
    return sorted({file.parent if file.parent != folder and is_slice(file) else file for file in files})


def is_readable(path: Path) -> bool:
    """Return whether a file is a volume, or a slice of one."""
    return is_volume(path) or is_dicom(path)


def is_slice(path: Path) -> bool:
    """Return whether a file is DICOM, but no volume by itself."""
    return is_dicom(path) and not is_volume(path)
