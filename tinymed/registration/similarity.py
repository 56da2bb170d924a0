"""How far two images are from being the same: losses that registration makes small, with gradients.

All take tensors (N, 1, *space) of the same shape, images or volumes, and return a number.
"""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor

EPSILON = 1e-6  # keeps an image without any contrast from dividing by 0
FLAT = 1e-8  # likewise a window, of which noise in float32 must not count


def ssd_loss(fixed: Any, moved: Any) -> Any:
    """Return the mean squared difference: for images of one machine and protocol.

    Args:
        fixed, moved: Tensors of one shape.

    Returns:
        A tensor of no axes, 0 for equal images.

    Example:
        >>> import tinymed
        >>> ssd_loss(tinymed.ones(1, 1, 2, 2), tinymed.zeros(1, 1, 2, 2)).item()
        1.0
    """
    return (fixed - moved).square().mean()


def ncc_loss(fixed: Any, moved: Any) -> Any:
    """Return 1 - r, r the correlation of all pixels: for images whose greys differ by a factor and an offset.

    Args:
        fixed, moved: Tensors of one shape.

    Returns:
        A tensor of no axes, from 0 (r = 1) to 2 (r = -1).

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor([[[[1.0, 2.0], [3.0, 5.0]]]])
        >>> round(ncc_loss(x, 3 * x + 1).item(), 4)
        0.0
    """
    a, b = fixed - fixed.mean(), moved - moved.mean()
    return 1 - (a * b).mean() / (a.square().mean() * b.square().mean() + EPSILON**2).sqrt()


def local_ncc_loss(fixed: Any, moved: Any, window: int = 9) -> Any:
    """Return 1 - the mean of r^2, r the correlation in a window around each pixel: greys may drift over the image.

    Args:
        fixed, moved: Tensors of one shape.
        window: Side of the window in pixels, odd.

    Returns:
        A tensor of no axes, from 0 to 1.

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor(np.random.default_rng(0).normal(size=(1, 1, 9, 9)).astype("float32"))
        >>> local_ncc_loss(x, 2 * x, window=3).item() < 0.01
        True

    Reference:
        Avants, Epstein, Grossman and Gee, Medical Image Analysis 2008, section 2.2.
    """
    # the global mean changes no window's correlation, and squares lose fewer digits without it
    a, b = fixed - fixed.mean(), moved - moved.mean()
    mean_a, mean_b, aa, bb, ab = (box_mean(v, window) for v in (a, b, a * a, b * b, a * b))
    covariance, var_a, var_b = ab - mean_a * mean_b, aa - mean_a.square(), bb - mean_b.square()
    return 1 - (covariance.square() / (var_a.clamp(min=0) * var_b.clamp(min=0) + FLAT)).mean()


def box_mean(x: Any, window: int) -> Any:
    """Return the mean over a window around each pixel, of those of its pixels that exist; one axis after another."""
    rank, half = len(x.shape) - 2, window // 2
    if rank == 2:
        return F.avg_pool2d(x, window, 1, half, count_include_pad=False)
    n, c, d, h, w = x.shape
    flat = F.avg_pool2d(x.reshape(n, c, d, h * w), (window, 1), 1, (half, 0), count_include_pad=False)
    planes = flat.reshape(n * c * d, 1, h, w)
    return F.avg_pool2d(planes, window, 1, half, count_include_pad=False).reshape(n, c, d, h, w)


def mutual_information_loss(fixed: Any, moved: Any, bins: int = 32) -> Any:
    """Return minus the mutual information of the grey values, in nats: for images of different kinds.

    A value counts in several bins of the joint histogram, by a Gaussian one bin wide (Parzen's window), so that the
    histogram follows the image smoothly.

    Args:
        fixed, moved: Tensors of one shape, values from 0 to 1.
        bins: Bins of each image's values.

    Returns:
        A tensor of no axes, 0 where one says nothing about the other.

    Example:
        >>> import tinymed
        >>> x = tinymed.tensor(np.linspace(0, 1, 64, dtype="float32").reshape(1, 1, 8, 8))
        >>> mutual_information_loss(x, 1 - x).item() < -1
        True

    Reference:
        Viola and Wells, International Journal of Computer Vision 1997; Mattes et al., IEEE Transactions on Medical
        Imaging 2003.
    """
    first, second = bin_weights(fixed, bins), bin_weights(moved, bins)
    joint = F.matmul(first.transpose(0, 1), second) / first.shape[0]
    apart = F.matmul(joint.sum(1, keepdim=True), joint.sum(0, keepdim=True))
    return -(joint * ((joint + EPSILON**2) / (apart + EPSILON**2)).log()).sum()


def bin_weights(x: Any, bins: int) -> Any:
    """Return how much each pixel counts in each bin: (pixels, bins), rows that add up to 1."""
    centres = (np.arange(bins) + 0.5) / bins
    distance = (x.reshape(-1, 1) - Tensor(centres.astype(x.array.dtype)).to(x.device)) * bins
    return F.softmax(distance.square() * -0.5, 1)


LOSSES = {"ncc": ncc_loss, "local-ncc": local_ncc_loss, "mi": mutual_information_loss, "ssd": ssd_loss}
