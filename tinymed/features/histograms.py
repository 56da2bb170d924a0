"""Histograms of brightness or colour."""

import numpy as np

from .registry import descriptor


@descriptor("histogram", "Swain & Ballard 1991")
def histogram(images: np.ndarray, bins: int = 32) -> np.ndarray:
    """Compute the share of pixels in bins of 0 ... 1, of each channel.

    Args:
        images: Float [n, height, width, channels] in 0...1; what lies outside counts in the last bins.
        bins: How many, of equal width; 1.0 belongs to the last.

    Returns:
        float64 [n, channels * bins], channel by channel.

    Example:
        >>> histogram(np.array([0.0, 0.4, 0.6, 1.0]).reshape(1, 2, 2, 1), bins=2).tolist()
        [[0.5, 0.5]]

    Reference:
        Swain & Ballard, "Color indexing", International Journal of Computer Vision 7, 1991.
    """
    n, height, width, channels = images.shape
    level = np.clip((images * bins).astype(np.int64), 0, bins - 1)
    numbers = (np.arange(n)[:, None, None, None] * channels + np.arange(channels)) * bins + level
    counts = np.bincount(numbers.ravel(), minlength=n * channels * bins)
    shares: np.ndarray = counts.reshape(n, -1) / (height * width)
    return shares
