"""The pixels themselves, reduced until a classical classifier can take them."""

import numpy as np

from ..data.image import resize
from .registry import descriptor

SIDE = 32


@descriptor("pixels", "the image at 32 pixels")
def pixels(images: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Return the values of images, reduced to a side of 32 pixels where they are larger.

    Args:
        images: Float [n, height, width, channels] in 0...1.
        side: Most pixels a side.

    Returns:
        float64 [n, height * width * channels].

    Example:
        >>> pixels(np.ones((1, 64, 48, 3))).shape
        (1, 3072)
    """
    size = tuple(min(side, length) for length in images.shape[1:3])
    small = [resize(image.astype(np.float32), size) for image in images]
    return np.stack(small).reshape(len(images), -1).astype(np.float64)
