"""Images or volumes with a class for every pixel: pairs of files that stay on disk until they are asked for."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from tinymed.data.dataset import Dataset
from tinymed.data.image import decode, decode_mask, image_size, with_channels
from tinymed.data.labels import Labels
from tinymed.data.volumes import check_grids, grid, is_volume, opened, read_values, read_volume
from tinymed.errors import UserError, printable


@dataclass(repr=False)
class MaskDataset(Dataset):
    """Images with a mask each.

    samples: the image files.  more: further files of each case, one list a modality; their channels are put behind
    those of the first.  masks: the label files.  meaning: what their values mean; `classes` are its names.
    labels: zeros, since nothing tells the images themselves apart when a set is divided.
    """

    masks: list[Path] = field(default_factory=list)
    more: list[list[Path]] = field(default_factory=list)
    meaning: Labels = field(default_factory=lambda: Labels({0: "background", 255: "foreground"}))

    @property
    def dimensions(self) -> int:
        """2 for pictures, 3 for volumes."""
        return 3 if is_volume(Path(self.samples[0])) else 2

    def files(self, index: int) -> list[Path]:
        """The image files of a case, one a modality."""
        return [Path(str(self.samples[index])), *(files[index] for files in self.more)]

    def image(self, index: int) -> np.ndarray:
        """[height, width, channels], see `decode`, or float32 [x, y, z, channels] of a volume.  Raises UserError."""
        return read_case(self.files(index), self.white)

    def space(self, index: int) -> tuple[int, ...]:
        """The size of an image by its header: (height, width) as it lies in the file, or (x, y, z)."""
        path = self.files(index)[0]
        return grid(opened(path))[1] if is_volume(path) else image_size(path)

    def check_headers(self, index: int) -> None:
        """Raise UserError where a volume's mask lies on other voxels in space."""
        image, mask = self.files(index)[0], self.masks[index]
        if is_volume(image) and is_volume(mask):
            check_grids(image, mask, "mask")

    def label_text(self, index: int) -> str:
        """The mask of an image, for a message."""
        return f"mask {printable(self.masks[index])}"

    def same_label(self, first: int, second: int) -> bool:
        """Whether two images have the same mask."""
        return np.array_equal(self.mask(first), self.mask(second))

    def mask(self, index: int) -> np.ndarray:
        """Class numbers, uint8 [height, width] or [x, y, z], IGNORED where they do not count."""
        path = self.masks[index]
        raw = read_values(path)[0] if is_volume(path) else decode_mask(path)
        return self.meaning.numbers(raw, path)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """(image, mask).  Raises UserError unless they have one size and, in space, one place."""
        self.check_headers(index)
        image, mask = self.image(index), self.mask(index)
        if image.shape[:-1] != mask.shape:
            raise UserError(
                f"{printable(self.masks[index])}: the mask has {by(mask.shape)} pixels, its image {self.name(index)} "
                f"{by(image.shape[:-1])}; a mask has the size of its image"
            )
        return image, mask

    def spacing(self, index: int) -> tuple[float, ...]:
        """Distance between neighbouring pixels along each axis: millimetres of a volume, 1 pixel of a picture."""
        return read_volume(self.files(index)[0]).spacing if self.dimensions == 3 else (1.0, 1.0)

    def subset(self, indices: Iterable[int] | np.ndarray, split: str | None = None) -> Self:
        """The pairs at `indices`, in that order."""
        rows = [int(i) for i in indices]
        part = super().subset(np.array(rows, np.int64), split)
        more = [[files[i] for i in rows] for files in self.more]
        result: Self = replace(part, masks=[self.masks[i] for i in rows], more=more)  # type: ignore[call-arg, assignment]
        return result


def by(shape: Iterable[int]) -> str:
    """Such as 256 x 256."""
    return " x ".join(map(str, shape))


def read_case(files: list[Path], white: float | None = None) -> np.ndarray:
    """The image of a case from its files, one a modality.  Raises UserError where their sizes or places differ."""
    images = [read_volume(path).values if is_volume(path) else decode(path, white=white) for path in files]
    for path, image in zip(files[1:], images[1:], strict=True):
        if image.shape[:-1] != images[0].shape[:-1]:
            raise UserError(
                f"{path}: {by(image.shape[:-1])} pixels, but the first modality {files[0]} has "
                f"{by(images[0].shape[:-1])}; resample the modalities of a case to one grid"
            )
        if is_volume(path) and is_volume(files[0]):
            check_grids(files[0], path, "modality")
    if len(images) == 1:
        return images[0]
    return np.concatenate([image if image.ndim == 4 else with_channels(image, 1) for image in images], axis=-1)


def check_pairs(dataset: MaskDataset, workers: int = 2) -> np.ndarray:
    """Read every mask and image once; int64 [n, classes]: pixels of each class in each mask, ignored ones left out.

    Raises UserError for the first pair, in order, that cannot be used.
    """
    classes = len(dataset.classes)

    def count(index: int) -> np.ndarray:
        mask = dataset.pair(index)[1]
        return np.bincount(mask.ravel(), minlength=256)[:classes]

    with ThreadPoolExecutor(workers) as pool:
        rows = list(pool.map(count, range(len(dataset))))
    return np.array(rows, np.int64).reshape(len(dataset), classes)


def values_in(masks: Iterable[Path], workers: int = 2) -> list[int]:
    """The different values that label files hold, sorted."""

    def values(path: Path) -> np.ndarray:
        return np.unique(read_values(path)[0] if is_volume(path) else decode_mask(path))

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(values, masks))
    different: list[int] = np.unique(np.concatenate(found)).tolist() if found else []
    return different
