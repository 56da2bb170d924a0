"""Whole volumes as the images of a classifier: one channel, [depth, rows, columns].

The planes lie as pictures of them do (see planes.py): the depth goes from foot to head, the rows from front to back,
the columns from the patient's left to the right.  An archive of arrays keeps the order that it has.
"""

from pathlib import Path

import numpy as np

from .planes import scaled_values


def read_whole(path: Path, window: tuple[float, float] | None) -> np.ndarray:
    """Return a volume's file as an image [depth, rows, columns, 1], float32 from 0 to 255.

    Args:
        path: NIfTI, a folder of DICOM slices, or a TIFF of several pages.
        window: (centre, width) of what is to be seen; None: from the 0.5th to the 99.5th percentile of its values.

    Raises:
        UserError: It is a picture, cannot be read, or has several channels.
    """
    upright = scaled_values(path, window)[:, ::-1].transpose(2, 1, 0)
    return np.ascontiguousarray(upright)[..., None]


def array_whole(values: np.ndarray) -> np.ndarray:
    """Return a volume of an array [d, h, w] or [d, h, w, 1] as an image [d, h, w, 1]."""
    return values if values.ndim == 4 else values[..., None]
