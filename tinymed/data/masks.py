"""Images or volumes with a class for every pixel: pairs of files that stay on disk until they are asked for."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, printable
from .contours import mark_boundary
from .dataset import Dataset, Reading
from .image import decode, decode_mask, image_size, with_channels
from .labels import Labels
from .organs import Organs, keep_inside
from .slices import fill_slices
from .tiff import check_pages
from .volumes import case_name, check_grids, grid, is_volume, open_image, read_values, read_volume

MASK = "mask"  # how a label file is read, as `Decoded` tells it from a picture
BOUNDARY = "boundary"  # the third class of objects whose boundary is told apart


@dataclass(repr=False)
class MaskDataset(Dataset):
    """Images or volumes with a class for every pixel: pairs of files that stay on disk until they are asked for.

    Args:
        samples: The image files.
        labels: Zeros, since nothing tells the images themselves apart when a set is divided.
        classes: Names of the classes, those of `meaning`.
        groups: Patient of each image, or None.
        split: "train", "val", "test" or "all".
        source: Where the set came from, for messages.
        skipped: (name, reason) of what was left out.
        hashes: Of the decoded pixels, where they were computed.
        account: The files that were seen, taken and left out.
        white: See `decode`.
        window: Likewise.
        page: Likewise.
        group_column: The list's column that `groups` come from.
        divided: The rule by which the set was cut from a whole.
        brightest: The brightest pixel of deep pictures.
        volumes: "": what has such labels is no volume that is classified.
        contradictions: Pairs of names of one picture with two masks.
        masks: The label files.
        more: Further files of each case, one list per modality; their channels follow those of the first.
        meaning: What the values in the label files mean.
        organs: Masks outside which images have one value (see `data/organs.py`), or None.
        boundary: Pixels that the boundary of objects has, a third class (see `data/contours.py`); 0 for none.
        slices: Whether a voxel has the class of its slice (see `data/slices.py`).

    Raises:
        UserError: The parts do not fit each other.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (6, 4)).save("a.png")
        >>> Image.new("L", (6, 4), 255).save("mask.png")
        >>> data = MaskDataset([Path("a.png")], [0], ["background", "foreground"], masks=[Path("mask.png")])
        >>> image, mask = data.pair(0)
        >>> image.shape, mask.shape, int(mask.min())
        ((4, 6, 1), (4, 6), 1)
    """

    masks: list[Path] = field(default_factory=list)
    more: list[list[Path]] = field(default_factory=list)
    meaning: Labels = field(default_factory=lambda: Labels({0: "background", 255: "foreground"}))
    boundary: int = 0
    slices: bool = False
    organs: Organs | None = None

    @property
    def dimensions(self) -> int:
        """Return 2 for pictures, 3 for volumes."""
        return 3 if self.is_volume(Path(self.samples[0])) else 2

    def is_volume(self, path: Path) -> bool:
        """Return whether a file is read as a volume."""
        return is_volume(path, self.page)

    def files(self, index: int) -> list[Path]:
        """Return the image files of a case, one per modality."""
        return [Path(str(self.samples[index])), *(files[index] for files in self.more)]

    def image(self, index: int) -> np.ndarray:
        """Return [height, width, channels], see `decode`, or float32 [x, y, z, channels] of a volume."""
        image = joined(self.files(index), self.opened, self.page)
        if self.organs is None:
            return image
        return keep_inside(image, self.organs.region(case_name(self.files(index)[0]), image.shape[:-1]))

    def read(self, path: str | Path) -> np.ndarray:
        """Decode an image file."""
        return read_image(Path(path), Reading(self.white, self.window, self.page))

    @property
    def keeps_pictures(self) -> bool:
        """Return False: a case may have several files, and what is kept of them is whole."""
        return False

    def space(self, index: int) -> tuple[int, ...]:
        """Return the size of an image by its header: (height, width) as it lies in the file, or (x, y, z)."""
        path = self.files(index)[0]
        return grid(open_image(path))[1] if self.is_volume(path) else image_size(path)

    def check_headers(self, index: int) -> None:
        """Raise UserError where a volume's mask lies on other voxels in space, or has another number of pages."""
        image, mask = self.files(index)[0], self.masks[index]
        if self.page is None:
            check_pages(image, mask)
        if self.is_volume(image) and self.is_volume(mask):
            check_grids(image, mask, "mask")

    def label_text(self, index: int) -> str:
        """Return the mask of an image in words, for a message."""
        return f"mask {printable(self.masks[index])}"

    def same_label(self, first: int, second: int) -> bool:
        """Return whether two images have the same mask."""
        return np.array_equal(self.mask(first), self.mask(second))

    def mask(self, index: int) -> np.ndarray:
        """Return class numbers, uint8 [height, width] or [x, y, z], IGNORED where they do not count."""
        path = self.masks[index]
        raw = (
            self.read_mask(path)
            if self.decoded is None
            else self.decoded.image(path, lambda: self.read_mask(path), MASK)
        )
        numbers = self.meaning.numbers(raw, path)
        if self.boundary:
            return mark_boundary(numbers, self.boundary)
        return fill_slices(numbers) if self.slices else numbers

    def read_mask(self, path: Path) -> np.ndarray:
        """Decode a label file: the values that lie in it."""
        return read_values(path)[0] if self.is_volume(path) else decode_mask(path)

    def pair(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (image, mask); raise UserError unless they have one size and, in space, one place."""
        self.check_headers(index)
        image, mask = self.image(index), self.mask(index)
        if image.shape[:-1] != mask.shape:
            raise UserError(
                f"{printable(self.masks[index])}: the mask has {by(mask.shape)} pixels, its image {self.name(index)} "
                f"{by(image.shape[:-1])}; a mask has the size of its image"
            )
        return image, mask

    def spacing(self, index: int) -> tuple[float, ...]:
        """Return the distance between neighbouring pixels along each axis: mm of a volume, 1 pixel of a picture."""
        return read_volume(self.files(index)[0]).spacing if self.dimensions == 3 else (1.0, 1.0)

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the masks, and the files of the other modalities, at `rows`."""
        more = [[files[i] for i in rows] for files in self.more]
        return {"masks": [self.masks[i] for i in rows], "more": more}


def with_boundary(sets: Mapping[str, MaskDataset], radius: int) -> dict[str, MaskDataset]:
    """Return sets of two classes as sets of three, see `mark_boundary`.

    Raises:
        UserError: There are other than two classes.
    """
    for part in sets.values():
        if len(part.classes) != 2:
            raise UserError(
                f"--boundary: tells the boundary of one class of objects apart, and there are {len(part.classes)} "
                f"classes ({', '.join(part.classes)}); name two with --labels"
            )
    return {name: replace(part, boundary=radius, classes=[*part.classes, BOUNDARY]) for name, part in sets.items()}


def by(shape: Iterable[int]) -> str:
    """Return a size in words, such as 256 x 256."""
    return " x ".join(map(str, shape))


def read_image(path: Path, reading: Reading) -> np.ndarray:
    """Return a picture as `decode` does, or the values of a volume: as they are, or 0 to 255 through a window."""
    if not is_volume(path, reading.page):
        return decode(path, white=reading.white, window=reading.window, page=reading.page)
    values = read_volume(path).values
    if reading.window is None:
        return values
    centre, width = reading.window
    shown: np.ndarray = np.clip((values - centre) / width + 0.5, 0, 1) * np.float32(255)
    return shown.astype(np.float32)


def read_case(files: list[Path], reading: Reading | None = None) -> np.ndarray:
    """Return the image of a case from its files, one per modality; raise UserError where sizes or places differ."""
    reading = reading or Reading()
    return joined(files, lambda path: read_image(path, reading), reading.page)


def joined(files: list[Path], read: Callable[[Path], np.ndarray], page: int | None) -> np.ndarray:
    """Return the image of a case from its files, see `read_case`; read: gives the pixels of one."""
    images = [read(path) for path in files]
    for path, image in zip(files[1:], images[1:], strict=True):
        if image.shape[:-1] != images[0].shape[:-1]:
            raise UserError(
                f"{path}: {by(image.shape[:-1])} pixels, but the first modality {files[0]} has "
                f"{by(images[0].shape[:-1])}; resample the modalities of a case to one grid"
            )
        if is_volume(path, page) and is_volume(files[0], page):
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
    """Return the different values that label files hold, sorted."""

    def values(path: Path) -> np.ndarray:
        return np.unique(read_values(path)[0] if is_volume(path) else decode_mask(path))

    with ThreadPoolExecutor(workers) as pool:
        found = list(pool.map(values, masks))
    different: list[int] = np.unique(np.concatenate(found)).tolist() if found else []
    return different
