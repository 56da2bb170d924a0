"""Sets of images for a network that registers: with masks, by which it is measured, or images alone."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..data.dataset_json import listed_pairs
from ..data.folders import SPLIT_NAMES
from ..data.image import image_size
from ..data.lists import MASKS, read_table
from ..data.masks import MaskDataset
from ..data.readers import verify_sets
from ..data.segmentation_layouts import IMAGES, folder_named, has_pairs, is_image, open_segmentation
from ..data.splits import leak_check
from ..data.unlabelled import UnlabelledDataset, open_unlabelled
from ..data.volumes import grid, is_volume, open_image
from ..data.walk import Account, files_below, folders_in
from ..errors import UserError


def open_images(
    path: str, values: Mapping[int, str] | None, leaks: str, verify: bool = True, **columns: Any
) -> dict[str, Any]:
    """Open a set, with masks where there are any.

    Args:
        path: A set as segmentation takes it; or a folder of images, perhaps in train, val and test, or a list.
        values: What the values in masks mean; None: as the data say.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        verify: Read every image now and compare the parts.
        columns: The list's, as of `open_segmentation`.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.

    Raises:
        UserError: Names the file and the remedy.

    Example:
        >>> from PIL import Image
        >>> for number in range(2):
        ...     Image.new("L", (8, 8), number).save(f"{number}.png")
        >>> {name: len(part) for name, part in open_images(".", None, "error").items()}
        {'all': 2}
    """
    if values is not None or columns.get("mask_column") or has_masks(Path(path)):
        return dict(open_segmentation(path, values=values, leaks=leaks, verify=verify, **columns))
    columns.pop("mask_column", None)
    found = open_unlabelled(images_of(Path(path)), leaks=leaks, verify=False, **columns)
    for part in found.values():
        if isinstance(part.samples, np.ndarray):
            raise UserError(f"{path}: is an array of images; registration reads files: give a folder or a list of them")
    check_axes(path, found)
    if not verify:
        return dict(found)
    if any(is_volume(file) for part in found.values() for file in part.samples):
        for part in found.values():
            part.hashes = [hashlib.sha256(Path(file).read_bytes()).digest() for file in part.samples]
        leak_check(found, rule=leaks)
        return dict(found)
    return verify_sets(dict(found), skip_bad=False, leaks=leaks, at_once=True)


def has_masks(path: Path) -> bool:
    """Return whether what lies at a path names masks: a column of a list, or a folder beside the images."""
    table = path / "splits.csv" if path.is_dir() else path
    if table.is_file():
        if table.suffix.lower() not in (".csv", ".tsv"):
            return False
        return read_table(table).column("mask_column", None, MASKS) is not None
    return path.is_dir() and (has_pairs(path) or any(map(has_pairs, parts_of(path))) or bool(listed_pairs(path)))


def parts_of(path: Path) -> list[Path]:
    """Return the folders in a folder that are named for a part: train, val, test."""
    return [folder for folder in folders_in(path) if folder.name.lower() in SPLIT_NAMES]


def images_of(path: Path) -> Path:
    """Return where the images of a set without masks lie: in images/ where a folder has it, else the path.

    Raises:
        UserError: Beside a folder images/ lie others with pictures, which would be masks under another name.
    """
    for folder in [path, *parts_of(path)] if path.is_dir() and not (path / "splits.csv").is_file() else []:
        images = folder_named(folder, IMAGES)
        for other in folders_in(folder) if images is not None else []:
            if other != images and other not in parts_of(folder) and files_below(other, is_image, Account()):
                raise UserError(
                    f"{folder}: images lie in {other.name} too, beside {images.name if images else ''}; name a folder "
                    f"of masks masks or labels, or give --data {images} to register without masks"
                )
        if images is not None and folder == path:
            return images
    return path


def check_axes(path: str, sets: Mapping[str, UnlabelledDataset]) -> None:
    """Raise UserError where some images are volumes and others pictures."""
    first: dict[bool, Any] = {}
    for part in sets.values():
        for file in part.samples:
            first.setdefault(is_volume(file), file)
    if len(first) > 1:
        raise UserError(f"{path}: {first[True]} is a volume and {first[False]} a picture; give images of one kind")


def size_of(dataset: Dataset, index: int) -> tuple[int, ...]:
    """Return the size of an image by its header: (height, width), or (x, y, z) of a volume."""
    file = Path(str(dataset.samples[index]))
    return grid(open_image(file))[1] if is_volume(file) else image_size(file)


def masks_of(dataset: Dataset) -> list[Path]:
    """Return the files of a set's masks; none of images alone."""
    return dataset.masks if isinstance(dataset, MaskDataset) else []
