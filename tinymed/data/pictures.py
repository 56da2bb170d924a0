"""Pictures without labels: what lies in a folder, or in a list, for what learns from pictures alone."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from .dataset import Dataset, Reading
from .folders import SPLIT_NAMES
from .image import is_picture
from .lists import read_table
from .tables import Columns, Item, existing, find_roles, read_items, refuse_columns
from .values import checked_sets
from .walk import Account, files_below, folders_in, loose_files

CLASSES = ["picture"]
LAYOUTS = "a folder of pictures, perhaps in train, val and test, a folder with splits.csv, or a .csv list"


def open_pictures(
    path: str | Path,
    *,
    path_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    skip_bad: bool = False,
    verify: bool = True,
    leaks: str = "error",
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> dict[str, Dataset]:
    """Open a set of pictures whatever their labels are; all are of one class, "picture".

    Args:
        path: A folder, whose pictures are taken wherever they lie below it, by its folders train, val and test where it
            has them; a folder with splits.csv, which then decides; or a CSV list with a column of paths.
        path_column: Column of the image's path; by default the first of a usual name, as for the other columns.
        group_column: Column of the patient, who is never divided.
        split_column: Column of the part.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        skip_bad: Leave unreadable and missing files out and list them in `skipped`.
        verify: Decode every image now, so that damage and leaks show before training.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        white: The value that is white in pictures deeper than 8 bits, see `decode`.
        window: Instead of white, (centre, width), see `decode`.
        page: Of TIFF and DICOM files of several pages, see `decode`.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.

    Raises:
        UserError: There is nothing at the path, or no picture below it; names the file.

    Example:
        >>> from PIL import Image
        >>> for number in range(3):
        ...     Image.new("L", (8, 8), number).save(f"{number}.png")
        >>> len(open_pictures(".")["all"])
        3
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    columns = Columns(path_column, None, group_column, split_column, suffix)
    table = path / "splits.csv" if path.is_dir() else path
    if table.is_file() and table.suffix.lower() in (".csv", ".tsv"):
        sets = read_list(table, columns, skip_bad)
    elif path.is_dir():
        refuse_columns(path, columns)
        sets = read_folder(path)
    else:
        raise UserError(f"{path}: not a set of pictures; give {LAYOUTS}")
    return checked_sets(path, sets, skip_bad, verify, leaks, Reading(white, window, page), group_column)


def read_list(path: Path, columns: Columns, skip_bad: bool) -> dict[str, Dataset]:
    """Return the data sets of a list."""
    table = read_table(path)
    roles = find_roles(table, columns)
    parts = read_items(table, roles, [0] * len(table.rows), skip_bad)
    return {name: build(path, name, items, roles.group) for name, items in parts.items()}


def build(table: Path, split: str, items: list[Item], group: str | None) -> Dataset:
    """Return one part of a list; what has no file is listed as skipped."""
    files = existing(items, group)
    labels = np.zeros(len(files.samples), np.int64)
    found = Dataset(files.samples, labels, CLASSES, files.groups, split, str(table), files.skipped)
    found.group_column = group or ""
    return found


def read_folder(path: Path) -> dict[str, Dataset]:
    """Return the pictures below a folder, by its folders train, val and test where it has them."""
    splits: dict[str, Path] = {}
    for folder in folders_in(path):
        name = SPLIT_NAMES.get(folder.name.lower())
        if name in splits:
            raise UserError(f"{path}: {splits[name].name} and {folder.name} both mean {name}; keep one")
        if name is not None:
            splits[name] = folder
    beside = Account()
    if splits:
        loose_files(path, is_picture, beside, "images beside the split folders")
    splits = splits or {"all": path}
    sets = {}
    for name in sorted(splits, key=["train", "val", "test", "all"].index):
        account = Account()
        files = files_below(splits[name], is_picture, account)
        if not files:
            raise UserError(f"{splits[name]}: no pictures here or below; give {LAYOUTS}")
        sets[name] = Dataset(files, np.zeros(len(files), np.int64), CLASSES, split=name, source=str(path))
        sets[name].account = account
    first = next(iter(sets.values())).account
    if first is not None:
        first.add(beside)
    return sets
