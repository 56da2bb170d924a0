"""What a network sees of a file, and what an explanation of its answer is of."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...data.image import decode, prepare
from ...data.planes import read_planes
from ...data.transform import normalise, to_float, to_nchw
from ...data.whole import read_whole
from ...explain.pictures import Surroundings
from ..base.config import DataConfig

COVERS = ("black", "white", "mean")  # what may stand where nothing is seen
Place = tuple[int, ...]


@dataclass
class View:
    """An image, or a part of it, as the network sees it.

    Attributes:
        image: [1, channels, *space].
        pixels: The same as a picture of it lies, [rows, columns, channels], or of a volume [depth, rows, columns, 1].
        model: What is asked: a network with one row of outputs for such an image.
        black: The network's input, [channels], where the image is black.
        white: The same of white.
        shown: Turns a map [*space] as `pixels` lie.
        plane: Of networks that see several planes through a voxel, which; else "".
        around: The image around, and which part of it this is; None where this is all of it.
    """

    image: np.ndarray
    pixels: np.ndarray
    model: Any
    black: np.ndarray
    white: np.ndarray
    shown: Callable[[np.ndarray], np.ndarray] = np.asarray
    plane: str = ""
    around: Surroundings | None = None

    def cover(self, name: str) -> np.ndarray:
        """Return one of COVERS as the network would see it, an array that fits one image [channels, *space]."""
        flat = self.image[0].reshape(self.image.shape[1], -1)
        colour = {"black": self.black, "white": self.white}.get(name, flat.mean(axis=1))
        space = [1] * (self.image.ndim - 2)
        return np.broadcast_to(colour, self.image.shape[1]).astype(np.float32).reshape(-1, *space)


def black_and_white(data: DataConfig) -> tuple[np.ndarray, np.ndarray]:
    """Return what the input of a network of pictures is where they are black, and where they are white; [channels]."""
    mean, std = (np.array(v, np.float32) for v in (data.mean or 0.0, data.std or 1.0))
    return (0.0 - mean) / std, (1.0 - mean) / std


def read_file(path: Path, data: DataConfig) -> np.ndarray:
    """Return a file at its own size [height, width, 1 or 3], see `decode`.

    Of a volume the middle planes, or all of it [depth, height, width, 1], where the run is of these.
    """
    if getattr(data, "whole", False):
        return read_whole(path, data.window)
    if getattr(data, "planes", False):
        return read_planes(path, data.window)
    return decode(path, **data.reading())


def read_pixels(path: Path, data: DataConfig) -> np.ndarray:
    """Return a file at the network's size and channels [*sides, channels], on the scale 0 to 255."""
    return prepare(read_file(path, data), data.size, data.channels)


def read_picture(path: Path, data: DataConfig) -> np.ndarray:
    """Return a file as the network sees it, float32 [1, channels, *sides]: read, resized, /255, normalised."""
    return as_input(read_pixels(path, data), data)


def as_input(pixels: np.ndarray, data: DataConfig) -> np.ndarray:
    """Return pixels [*sides, channels] of the scale 0 to 255 as the network sees them, [1, channels, *sides]."""
    scaled = to_float(pixels)[None]
    if data.mean is not None or data.std is not None:
        scaled = normalise(scaled, data.mean or 0.0, data.std or 1.0)
    return to_nchw(scaled)


def whole_view(pixels: np.ndarray, data: DataConfig, ask: Callable[[np.ndarray], Any]) -> View:
    """Return the view of an image that the network sees whole.

    Args:
        pixels: At the network's size, see `read_pixels`.
        data: How images are prepared.
        ask: (image as the network sees it) -> the network as one with a row of outputs for it.
    """
    image = as_input(pixels, data)
    return View(image, pixels, ask(image), *black_and_white(data))
