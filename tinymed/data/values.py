"""Images with a number each, such as the bone's age: a list with a column of numbers, or folders named by numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .dataset import Dataset, Reading, read_by
from .folders import read_class_folders
from .lists import LABELS, Table, as_number, missing, read_table
from .patients import identify
from .readers import verify_sets
from .remarks import remark
from .tables import Columns, Item, check_one_label, existing, find_roles, read_items, refuse_columns

LAYOUTS = "a .csv list, a folder with splits.csv, or class folders whose names are numbers"
# In the order in which they are preferred, see `lists.canonical_name`.
VALUES = ("target", "value", "age", "boneage", "boneagemonths", "score", "measurement", "y", *LABELS)


@dataclass(repr=False)
class ValueDataset(Dataset):
    """Images with a number each.

    Args:
        samples: Image files, or one array of images.
        labels: Zeros, since nothing tells the images apart when a set is divided.
        classes: The name of the number alone, such as its column.
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
        contradictions: Pairs of names of one picture with two numbers.
        values: Of each image, float64 [n], in the unit of the list.

    Raises:
        UserError: The parts do not fit each other.

    Example:
        >>> data = ValueDataset(np.zeros((2, 8, 8), np.uint8), [0, 0], ["age"], values=np.array([3.0, 5.5]))
        >>> data.targets(np.array([1]))
        array([5.5])
    """

    values: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.values = np.asarray(self.values, np.float64)
        if self.values.shape != (len(self.samples),):
            where = f"{self.source or 'data'} [{self.split}]"
            raise UserError(f"{where}: {len(self.samples)} images but values of shape {self.values.shape}")

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """Return the numbers of the images at `indices`, float64 [n]."""
        wanted: np.ndarray = self.values[indices]
        return wanted

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the numbers at `rows`."""
        return {"values": self.values[rows]}

    def label_text(self, index: int) -> str:
        """Return the number of an image, for a message."""
        return f"{self.values[index]:g}"

    def same_label(self, first: int, second: int) -> bool:
        """Return whether two images have the same number."""
        return bool(self.values[first] == self.values[second])


def open_values(
    path: str | Path,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    skip_bad: bool = False,
    verify: bool = True,
    leaks: str = "error",
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> dict[str, ValueDataset]:
    r"""Open a set of images with a number each.

    Args:
        path: A CSV list (columns path, and one of numbers), a folder with splits.csv, or folders named by numbers.
        path_column: Column of the image's path; by default the first of a usual name, as for the other columns.
        label_column: Column of the number; by default target, value, age, ..., then the usual names of labels.
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
        UserError: A column or file is missing, or a field is no number; names the file and the line.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save("a.png")
        >>> _ = Path("list.csv").write_text("path,age\na.png,4.5\n")
        >>> open_values("list.csv")["all"].values
        array([4.5])
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    columns = Columns(path_column, label_column, group_column, split_column, suffix)
    table = path / "splits.csv" if path.is_dir() else path
    if table.is_file() and table.suffix.lower() in (".csv", ".tsv"):
        sets = read_list(table, columns, skip_bad)
    elif path.is_dir():
        refuse_columns(path, columns)
        sets = read_folders(path)
    else:
        raise UserError(f"{path}: not a set of images with numbers; give {LAYOUTS}")
    return checked_sets(path, sets, skip_bad, verify, leaks, Reading(white, window, page), group_column)


def read_list(path: Path, columns: Columns, skip_bad: bool) -> dict[str, ValueDataset]:
    """Return the data sets of a list."""
    table = read_table(path)
    roles = find_roles(table, columns)
    column = table.needed("label_column", columns.label, VALUES, "the number")
    parts = read_items(table, roles, numbers(table, column), skip_bad)
    check_one_label(path, [item for items in parts.values() for item in items], "keep one row an image")
    return {name: build(path, name, items, column, roles.group) for name, items in parts.items()}


def numbers(table: Table, column: str) -> list[float]:
    """Return the number of every row.  Raises UserError for an empty field, or one that is no finite number."""
    found = []
    for where, row in table.numbered():
        text = row[column]
        if missing(text):
            shown = f" ({text})" if text else ""
            raise UserError(f"{where}: an empty {column!r}{shown}; fill it in or remove the row")
        value = as_number(text)
        if value is None:
            raise not_a_number(table, where, column, text)
        found.append(value)
    return found


def not_a_number(table: Table, where: str, column: str, text: str) -> UserError:
    """Return the error for a field that is no number, which says what may be meant."""
    message = f"{where}: {column!r} is {text!r}, no finite number"
    if as_number(text.replace(",", ".")) is not None:
        return UserError(f"{message}; write its decimal comma as a point")
    others = [
        name for name in table.header if name != column and all(as_number(r[name]) is not None for r in table.rows)
    ]
    hint = f"; {', '.join(others[:5])} {'hold' if len(others) > 1 else 'holds'} numbers" if others else ""
    return UserError(f"{message}{hint}", {"label_column='NAME'": "name the column of the number with {}"})


def build(table: Path, split: str, items: list[Item], column: str, group: str | None) -> ValueDataset:
    """Return one part of a list; what has no file is listed as skipped."""
    files = existing(items, group)
    values = np.array([item.label for item in files.items], np.float64)
    return ValueDataset(
        files.samples,
        np.zeros(len(files.samples), np.int64),
        [column],
        files.groups,
        split,
        str(table),
        files.skipped,
        group_column=group or "",
        values=values,
    )


def read_folders(path: Path) -> dict[str, ValueDataset]:
    """Return the data sets of class folders whose names are numbers."""
    sets = {}
    for name, dataset in read_class_folders(path).items():
        wrong = [folder for folder in dataset.classes if as_number(folder) is None]
        if wrong:
            raise UserError(
                f"{path}: the folder {wrong[0]!r} is no number; name folders by numbers, or give a .csv list"
            )
        values = np.array([float(folder) for folder in dataset.classes])[dataset.labels]
        sets[name] = ValueDataset(
            dataset.samples,
            np.zeros(len(dataset), np.int64),
            ["value"],
            split=dataset.split,
            source=dataset.source,
            account=dataset.account,
            values=values,
        )
    return sets


def checked_sets(
    path: Path,
    sets: Mapping[str, Any],
    skip_bad: bool,
    verify: bool,
    leaks: str,
    reading: Reading,
    group: str | None = None,
) -> dict[str, Any]:
    """Return the parts with every image decoded once, if asked; raise UserError for a part without images."""
    read_by(sets, reading)
    identify(path, sets, group)
    checked = verify_sets(dict(sets), skip_bad, leaks) if verify else dict(sets)
    for name, part in checked.items():
        if not len(part):
            raise UserError(f"{path} [{name}]: no image left; {len(part.skipped)} skipped")
    remark(path, checked)
    return checked
