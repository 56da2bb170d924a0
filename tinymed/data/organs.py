"""Masks of an organ, in which alone a network looks for something else: the second half of a cascade.

A first network finds the organ and `tinymed predict` writes its masks; the second sees images whose pixels outside that
organ have one value, and finds nothing there.  Christ et al., "Automatic liver and lesion segmentation in CT using
cascaded fully convolutional neural networks and 3D conditional random fields", MICCAI 2016.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import UserError
from .contours import dilate
from .image import decode_mask
from .volumes import is_volume, read_values

ENDINGS = (".nii.gz", ".nii", ".png", ".tif")


@dataclass(frozen=True)
class Organs:
    """A folder of masks, one for each image and named as it is; what is not 0 is the organ.

    Args:
        folder: Of the masks, as `tinymed predict --out` writes them.
        margin: Pixels around the organ that belong to it too, since the first network errs at its border.

    Example:
        >>> from PIL import Image
        >>> Image.fromarray(np.array([[0, 0, 0, 255]], np.uint8)).save("a.png")
        >>> Organs(Path("."), margin=1).region("a", (1, 4)).astype(int).tolist()
        [[0, 0, 1, 1]]
    """

    folder: Path
    margin: int = 2

    def file(self, name: str) -> Path:
        """Return the mask of an image by the stem of its name; raise UserError where there is none."""
        for ending in ENDINGS:
            path = self.folder / f"{name}{ending}"
            if path.is_file():
                return path
        raise UserError(
            f"{self.folder}: has no mask of the organ in {name}: tinymed predict ORGAN_RUN IMAGE --out {self.folder} "
            "writes it"
        )

    def region(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """Return where the organ is, booleans of an image's shape; raise UserError for a mask of another size."""
        path = self.file(name)
        values = read_values(path)[0] if is_volume(path) else decode_mask(path)
        if values.shape != shape:
            raise UserError(f"{path}: the mask has {list(values.shape)} pixels, its image {list(shape)}")
        return dilate(values != 0, self.margin)


def keep_inside(image: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return an image whose pixels outside a region have the mean of those inside, each channel by itself.

    image: [*space, channels], of any number type, which stays.  Of an empty region everything has the image's mean.
    """
    inside = image[region] if region.any() else image.reshape(-1, image.shape[-1])
    mean = inside.mean(axis=0, dtype=np.float64)
    return np.where(region[..., None], image, mean.astype(image.dtype))


def nothing_outside(scores: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Return probabilities [classes, *space] that are the background's, class 0, outside a region."""
    result = scores.copy()
    result[:, ~region] = 0
    result[0, ~region] = 1
    return result
