"""Whether pictures have an up and a down: radiographs and slices do, cells and pieces of tissue do not."""

from collections.abc import Callable

import numpy as np

from .dataset import Dataset

SIDE = 32  # pixels that are compared, along a side; finer ones tell nothing of a whole picture
MOST = 2_000  # images that are looked at, at even distances


def upside_down(picture: np.ndarray) -> np.ndarray:
    """Return a picture [height, width, channels] mirrored up-down."""
    return picture[::-1]


def across(picture: np.ndarray) -> np.ndarray:
    """Return a square picture mirrored at its diagonal, which with the other mirrors makes turns of 90 degrees."""
    return picture.transpose(1, 0, 2)


def shared_by_all(
    dataset: Dataset, size: int, channels: int = 3, mirror: Callable[[np.ndarray], np.ndarray] = upside_down
) -> float:
    """Return how much of what tells pictures from their mirrors is the same in all of them, from 0 to 1.

    Half the difference of a picture and its mirror is what the flip would change.  Of pictures that lie any way round
    it averages to nothing; where there is an up, it does not.  Labels are not looked at.

    Args:
        dataset: The images, two or more; of fewer nothing is known, and the answer is 0.
        size: Side in pixels that they are resized to first.
        channels: 1 (grey) or 3 (RGB).
        mirror: `upside_down` or `across`.

    Returns:
        |mean half difference|^2 over the mean |half difference|^2, less what chance alone would give; about 0 where
        nothing is shared.

    Raises:
        UserError: An image is unreadable.

    Example:
        >>> sky = np.linspace(0, 255, 64).astype(np.uint8).reshape(8, 8)
        >>> round(shared_by_all(Dataset(np.stack([sky] * 4), [0, 1, 0, 1], ["a", "b"]), 8, 1), 6)
        1.0
        >>> round(shared_by_all(Dataset(np.stack([sky, sky[::-1]] * 4), [0, 1] * 4, ["a", "b"]), 8, 1), 2)
        0.0
    """
    count = min(len(dataset), MOST)
    if count < 2:
        return 0.0
    total: np.ndarray = np.zeros(())
    energy = 0.0
    for index in np.rint(np.linspace(0, len(dataset) - 1, count)).astype(int).tolist():
        picture = shrunk(dataset.prepared(index, size, channels))
        half = (picture - mirror(picture)) / 2
        total, energy = total + half, energy + float(np.sum(half**2)) / count
    if not energy:
        return 0.0
    common = (float(np.sum((total / count) ** 2)) - energy / count) / (1 - 1 / count)
    return max(0.0, common / energy)


def shrunk(picture: np.ndarray) -> np.ndarray:
    """Return a picture [height, width, channels] of about SIDE pixels a side: means of squares of pixels."""
    step = max(1, min(picture.shape[:2]) // SIDE)
    height, width = (side // step for side in picture.shape[:2])
    cut = picture[: height * step, : width * step].astype(np.float64)
    means: np.ndarray = cut.reshape(height, step, width, step, -1).mean(axis=(1, 3))
    return means
