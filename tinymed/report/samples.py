"""A grid of the images that training sees, so that augmentation can be looked at before it is trusted."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import write_atomic

__all__ = ["grid", "save_samples"]

GAP = 2  # pixels between images


def grid(
    rows: Sequence[np.ndarray], mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> np.ndarray:
    """Put images side by side, a row beneath the other.

    Args:
        rows: float32 [n, channels, *space] each, as loaders give batches; of volumes the middle slice is shown, its
            z-scores from -2.5 to 2.5; of other than three channels the first.
        mean: What was subtracted from each channel.
        std: What each channel was divided by.

    Returns:
        uint8 [height, width, 3].

    Example:
        >>> grid([np.zeros((2, 1, 4, 4), np.float32), np.ones((1, 1, 4, 4), np.float32)]).shape
        (10, 10, 3)
    """
    shown = [shown_images(row, mean, std) for row in rows]
    height, width = shown[0].shape[1:3]
    columns = max(len(row) for row in shown)
    canvas = np.full((len(rows) * (height + GAP) - GAP, columns * (width + GAP) - GAP, 3), 255, np.uint8)
    for i, row in enumerate(shown):
        for j, image in enumerate(row):
            top, left = i * (height + GAP), j * (width + GAP)
            canvas[top : top + height, left : left + width] = image
    return canvas


def shown_images(images: np.ndarray, mean: Sequence[float] | None, std: Sequence[float] | None) -> np.ndarray:
    """Return a batch as uint8 [n, height, width, 3]."""
    values = np.moveaxis(images, 1, -1).astype(np.float64)
    if values.ndim == 5:
        values = values[:, :, :, values.shape[3] // 2].transpose(0, 2, 1, 3) / 5 + 0.5
    else:
        values = values * (1.0 if std is None else np.array(std)) + (0.0 if mean is None else np.array(mean))
    if values.shape[-1] != 3:
        values = np.repeat(values[..., :1], 3, axis=-1)
    pixels: np.ndarray = np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)
    return pixels


def save_samples(
    rows: Sequence[np.ndarray],
    path: str | Path,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Path:
    """Write the grid of some batches as PNG, whole or not at all.

    Args:
        rows: The batches, see `grid`.
        path: Where; ends in .png.
        mean: What was subtracted from each channel.
        std: What each channel was divided by.

    Returns:
        The path.

    Raises:
        UserError: The path is not that of a PNG, or cannot be written.

    Example:
        >>> save_samples([np.zeros((3, 3, 8, 8), np.float32)], "seen.png").stat().st_size > 50
        True
    """
    return save_picture(grid(rows, mean, std), path)


def save_picture(pixels: np.ndarray, path: str | Path) -> Path:
    """Write pixels as PNG, whole or not at all.

    Args:
        pixels: uint8 [height, width, 3].
        path: Where; ends in .png.

    Returns:
        The path.

    Raises:
        UserError: The path is not that of a PNG, or cannot be written.

    Example:
        >>> save_picture(np.zeros((4, 4, 3), np.uint8), "black.png").stat().st_size > 50
        True
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise UserError(f"{path}: the picture is a PNG; give a name that ends in .png")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, [png_bytes(pixels)])
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None
    return path


def png_bytes(pixels: np.ndarray) -> bytes:
    """Return pixels, uint8 [height, width, 3], as the bytes of a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="png")
    return buffer.getvalue()
