"""Pixels to what a network reads: float32 in 0...1, normalised, N C H W in shape and channels-last in memory."""

from collections.abc import Sequence

import numpy as np

from ..errors import UserError


def to_float(pixels: np.ndarray) -> np.ndarray:
    """Bring pixels of 0...255 to 0...1: x / 255, rounded once.

    As `torchvision.transforms.functional.to_tensor`, with the axes left as they are.

    Args:
        pixels: Numbers of any shape.

    Returns:
        float32 of the same shape.

    Example:
        >>> to_float(np.array([0, 51, 255], np.uint8))
        array([0. , 0.2, 1. ], dtype=float32)
    """
    return pixels.astype(np.float32) / np.float32(255)


def channel_values(values: float | Sequence[float], channels: int, name: str) -> np.ndarray:
    """Return one float32 per channel from a number or a sequence; raise UserError if the count does not fit."""
    array = np.asarray(values, np.float32).reshape(-1)
    if array.size not in (1, channels) or not np.isfinite(array).all():
        raise UserError(f"{name} takes one finite number or one a channel ({channels}), got {values}")
    return np.broadcast_to(array, (channels,)).copy()


def normalise(images: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> np.ndarray:
    """Compute (x - mean) / std for each channel.

    As `torchvision.transforms.Normalize`, channels last.

    Args:
        images: float32 [..., channels], in 0...1, as are mean and std.
        mean: A number, or one per channel.
        std: A positive number, or one per channel.

    Returns:
        float32 of the same shape.

    Raises:
        UserError: The count of numbers does not fit, or std is not positive.

    Example:
        >>> normalise(np.array([[0.5, 1.0]], np.float32), [0.5, 0.5], 0.25)
        array([[0., 2.]], dtype=float32)
    """
    channels = images.shape[-1]
    centre, spread = channel_values(mean, channels, "mean"), channel_values(std, channels, "std")
    if not (spread > 0).all():
        raise UserError(f"std must be positive, got {std}")
    scaled: np.ndarray = (images - centre) / spread
    return scaled


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """Turn class numbers into rows that are 1 at the label and 0 elsewhere.

    As `torch.nn.functional.one_hot`, in float32.

    Args:
        labels: Integers of any shape.
        classes: Number of classes.

    Returns:
        float32 [*labels.shape, classes].

    Raises:
        UserError: A label is out of range.

    Example:
        >>> one_hot(np.array([1, 0]), 2)
        array([[0., 1.],
               [1., 0.]], dtype=float32)
    """
    labels = np.asarray(labels, np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise UserError(
            f"labels from {labels.min()} to {labels.max()} do not fit {classes} classes (0 to {classes - 1})"
        )
    out = np.zeros((*labels.shape, classes), np.float32)
    np.put_along_axis(out, labels[..., None], np.float32(1), axis=-1)
    return out


def to_nchw(images: np.ndarray) -> np.ndarray:
    """See [n, h, w, c] as [n, c, h, w], and volumes likewise: the shape of PyTorch over channels-last memory.

    Args:
        images: [n, *space, c].

    Returns:
        A view [n, c, *space]; nothing is copied.

    Example:
        >>> to_nchw(np.zeros((2, 4, 5, 3))).shape
        (2, 3, 4, 5)
    """
    return np.moveaxis(images, -1, 1)
