"""Pixels to what a network reads: float32 in 0...1, normalised, N C H W in shape and channels-last in memory."""

from collections.abc import Sequence

import numpy as np

from ..errors import UserError


def to_float(pixels: np.ndarray) -> np.ndarray:
    """uint8 0...255 to float32 0...1: x / 255, rounded once."""
    return pixels.astype(np.float32) / np.float32(255)


def channel_values(values: float | Sequence[float], channels: int, name: str) -> np.ndarray:
    """One float32 a channel from a number or a sequence.  Raises UserError if the count does not fit."""
    array = np.asarray(values, np.float32).reshape(-1)
    if array.size not in (1, channels) or not np.isfinite(array).all():
        raise UserError(f"{name} takes one finite number or one a channel ({channels}), got {values}")
    return np.broadcast_to(array, (channels,)).copy()


def normalise(images: np.ndarray, mean: float | Sequence[float], std: float | Sequence[float]) -> np.ndarray:
    """(x - mean) / std for each channel.  images: float32 [..., channels], in 0...1, as are mean and std."""
    channels = images.shape[-1]
    centre, spread = channel_values(mean, channels, "mean"), channel_values(std, channels, "std")
    if not (spread > 0).all():
        raise UserError(f"std must be positive, got {std}")
    scaled: np.ndarray = (images - centre) / spread
    return scaled


def one_hot(labels: np.ndarray, classes: int) -> np.ndarray:
    """float32 [n, classes], 1 at the label.  Raises UserError for a label out of range."""
    labels = np.asarray(labels, np.int64)
    if labels.size and not (labels.min() >= 0 and labels.max() < classes):
        raise UserError(
            f"labels from {labels.min()} to {labels.max()} do not fit {classes} classes (0 to {classes - 1})"
        )
    out = np.zeros((*labels.shape, classes), np.float32)
    np.put_along_axis(out, labels[..., None], np.float32(1), axis=-1)
    return out


def to_nchw(images: np.ndarray) -> np.ndarray:
    """[n, h, w, c], C order, seen as [n, c, h, w]: the shape of PyTorch over channels-last memory, no copy."""
    return images.transpose(0, 3, 1, 2)
