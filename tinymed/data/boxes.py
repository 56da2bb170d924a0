"""Images with boxes around objects: `boxes.csv` with the columns path, label, xmin, ymin, xmax, ymax and perhaps split.

COCO's and YOLO's forms are read too, see `box_formats`.

Coordinates are pixels; a box covers xmin <= x < xmax.  `splits.csv` beside it may name further images, those without a
box, and divides the set where boxes.csv does not.  Columns of other usual names are found, see `lists`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError, printable
from .box_formats import Entry, other_entries
from .dataset import Dataset, Reading, read_by
from .decoded import Decoded
from .folders import SPLIT_NAMES, sort_classes
from .image import is_picture
from .lists import (
    LABELS,
    PATHS,
    UNKNOWN,
    Finder,
    Row,
    Table,
    as_number,
    class_names,
    group_column,
    group_of,
    read_table,
    split_column,
)
from .patients import identify
from .remarks import remark
from .splits import image_hashes, leak_check
from .tables import Columns, refuse_columns, split_of
from .walk import Account, files_below

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(repr=False)
class BoxDataset(Dataset):
    """Images with boxes around objects.

    Args:
        samples: Image files.
        labels: Zeros, since nothing tells the images themselves apart when a set is divided.
        classes: Names of the boxes' classes.
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
        contradictions: Pairs of names of one picture with different boxes.
        boxes: Of each image float64 [n, 4]: xmin, ymin, xmax, ymax in pixels.
        kinds: Of each image int64 [n]: the boxes' classes, indices into `classes`.

    Raises:
        UserError: The parts do not fit each other.

    Example:
        >>> pixels = np.zeros((1, 8, 8), np.uint8)
        >>> BoxDataset(pixels, [0], ["cell"], boxes=[np.array([[1.0, 1, 3, 3]])], kinds=[np.array([0])]).box_counts()
        {'cell': 1}
    """

    boxes: list[np.ndarray] = field(default_factory=list)
    kinds: list[np.ndarray] = field(default_factory=list)

    @property
    def keeps_pictures(self) -> bool:
        """Return False: what is kept is whole, since boxes are in its pixels."""
        return False

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the boxes and their classes at `rows`."""
        return {"boxes": [self.boxes[i] for i in rows], "kinds": [self.kinds[i] for i in rows]}

    def box_counts(self) -> dict[str, int]:
        """Return the number of boxes of each class."""
        kinds = np.concatenate([*self.kinds, np.zeros(0, np.int64)])
        return dict(zip(self.classes, np.bincount(kinds, minlength=len(self.classes)).tolist(), strict=True))

    def label_text(self, index: int) -> str:
        """Return the boxes of an image in words, for a message."""
        return "1 box" if len(self.boxes[index]) == 1 else f"{len(self.boxes[index])} boxes"

    def same_label(self, first: int, second: int) -> bool:
        """Return whether two images have the same boxes, in any order."""
        return self.sorted_boxes(first) == self.sorted_boxes(second)

    def sorted_boxes(self, index: int) -> list[list[float]]:
        """Return class and corners of each box, in one order."""
        return sorted([float(k), *box] for k, box in zip(self.kinds[index], self.boxes[index].tolist(), strict=True))


def open_boxes(
    path: str | Path,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    classes: list[str] | None = None,
    leaks: str = "error",
    verify: bool = True,
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> dict[str, BoxDataset]:
    r"""Open a set of images with boxes.

    Args:
        path: A folder with boxes.csv (columns path, label, xmin, ymin, xmax, ymax), or the list itself; COCO's .json, a
            folder of them, or YOLO's images and labels.
        path_column: Column of the image's path; by default the first of a usual name, as for the other columns.
        label_column: Column of the box's class.
        group_column: Column of the patient, here or in splits.csv beside the list.
        split_column: Column of the part, here or in splits.csv beside the list.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        classes: Names of a trained run, in its order.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        verify: Decode every image now, so that damage and leaks show before training.
        white: See `decode`.
        window: Likewise.
        page: Likewise.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.  Warns (`UserAdvice`)
        of one image with different boxes.

    Raises:
        UserError: A column or image is missing, a box is none or lies outside its image; names the file and line.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save("a.png")
        >>> _ = Path("boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\na.png,cell,1,1,4,5\n")
        >>> open_boxes(".", classes=["cell"])["all"].boxes[0]
        array([[1., 1., 4., 5.]])
    """
    path = Path(path)
    table = path / "boxes.csv" if path.is_dir() else path
    columns = Columns(path_column, label_column, group_column, split_column, suffix)
    others = other_entries(path)
    if others is not None:
        refuse_columns(path, columns)
        entries, group = others, ""
    elif not table.is_file():
        raise UserError(
            f"{path}: no boxes.csv; give a folder with boxes.csv (path, label, {', '.join(CORNERS)}) in it, COCO's "
            ".json, or YOLO's images and labels"
        )
    else:
        entries, group = read_entries(table, columns)
    found = {label for entry in entries for label, _ in entry.boxes}
    names = classes or sort_classes(found)
    if not names:
        raise UserError(f"{table}: no image has a box, so there is nothing to learn")
    unknown = found - set(names)
    if unknown:
        raise UserError(f"{table}: class {', '.join(sorted(unknown))} is unknown, expected {', '.join(names)}")
    parts: dict[str, list[Entry]] = {}
    divided = any(entry.split for entry in entries)
    for entry in entries:
        if divided and entry.split is None:
            raise UserError(f"{table}: {entry.file} has no split, but others have; name one of train, val, test")
        parts.setdefault(entry.split or "all", []).append(entry)
    order = [split for split in ("train", "val", "test", "all") if split in parts]
    sets: dict[str, BoxDataset] = {s: build(table, s, parts[s], names, group) for s in order}
    if path.is_dir():
        account = Account()
        account_for_unlisted(path, {entry.file for entry in entries}, account)
        sets[order[0]].account = account
    read_by(sets, Reading(white, window, page))
    identify(path, sets, group_column)
    if verify:
        kept = Decoded()
        for part in sets.values():
            part.decoded = kept
            check_inside(part)
            checked, part.hashes = image_hashes(part)
            part.brightest = checked.brightest
        leak_check(sets, rule=leaks)
        remark(path, sets)
    return sets


def read_entries(path: Path, columns: Columns) -> tuple[list[Entry], str]:
    """Return the images of boxes.csv and of splits.csv beside it, and the column of patients or nothing."""
    beside = path.with_name("splits.csv")
    table, others = read_table(path), read_table(beside) if beside.is_file() else None
    name = table.needed("path_column", columns.path, PATHS, "the image path")
    label = table.needed("label_column", columns.label, LABELS, "the class")
    corner = [table.needed(c, None, [c], "a corner of the box") for c in CORNERS]
    find = Finder(path, columns.suffix or "")
    entries: dict[Path, Entry] = {}
    used = ""
    for each, path_name in ((others, None), (table, name)):
        if each is None:
            continue
        split, group = optional(each, columns, table if each is others else others)
        used = group or used
        path_name = path_name or each.column("path_column", None, PATHS)
        for where, row in each.numbered():
            if path_name is None or not row[path_name]:
                continue
            file = find(row[path_name])
            entry = entries.setdefault(file, Entry(file))
            entry.split = entry.split or (split_of(where, row, split) if split else None)
            entry.group = entry.group or (group_of(row, group, row[path_name]) if group else None)
    for (where, row), class_name in zip(table.numbered(), class_names(table, label), strict=True):
        entries[find(row[name])].boxes.append((class_name, corners(where, row, corner)))
    return list(entries.values()), used


def optional(table: Table, columns: Columns, other: Table | None) -> tuple[str | None, str | None]:
    """Return the columns of the part and of the patient of a list; a named one may be in the other list instead."""
    split, group = columns.split, columns.group
    if other is not None:
        split = None if split is not None and split not in table.header and split in other.header else split
        group = None if group is not None and group not in table.header and group in other.header else group
    return split_column(table, split, list(SPLIT_NAMES)), group_column(table, group)


def account_for_unlisted(
    folder: Path, taken_files: set[Path], account: Account, readable: Callable[[Path], bool] = is_picture
) -> None:
    """Put what lies in a folder into an account: images that its lists name are taken, others are in no row."""
    seen = {file.resolve() for file in taken_files}
    own = Account()
    files = files_below(folder, readable, own)
    own.taken = 0
    for file in files:
        if file.resolve() in seen:
            own.taken += 1
        else:
            own.leave_out(file, "images that no row names")
    account.add(own)


def build(table: Path, split: str, entries: list[Entry], classes: list[str], group: str) -> BoxDataset:
    """Return one part as a data set."""
    number = {name: i for i, name in enumerate(classes)}
    boxes = [np.array([box for _, box in entry.boxes], np.float64).reshape(-1, 4) for entry in entries]
    kinds = [np.array([number[label] for label, _ in entry.boxes], np.int64) for entry in entries]
    known = [entry.group or f"{UNKNOWN} of {printable(entry.file)}" for entry in entries]
    groups = np.array(known, str) if group else None
    samples, labels = [entry.file for entry in entries], np.zeros(len(entries), np.int64)
    return BoxDataset(samples, labels, classes, groups, split, str(table), boxes=boxes, kinds=kinds, group_column=group)


def corners(where: str, row: Row, columns: list[str]) -> list[float]:
    """Return the four numbers of a row; raise UserError unless they are a box."""
    found = [as_number(row[name]) for name in columns]
    box = [value for value in found if value is not None]
    if len(box) < len(columns):
        wrong = columns[found.index(None)]
        raise UserError(f"{where}: {wrong!r} is {row[wrong]!r}, no finite number; correct the row or remove it")
    if not (box[0] < box[2] and box[1] < box[3]):
        raise UserError(f"{where}: {box} is no box: xmin < xmax and ymin < ymax; correct the row or remove it")
    return box


def check_inside(dataset: BoxDataset) -> None:
    """Raise UserError for a box whose middle lies outside its image: mixed up coordinates, or another image."""
    for index, boxes in enumerate(dataset.boxes):
        height, width = dataset.image(index).shape[:2]
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        wrong = np.flatnonzero((middle < 0).any(axis=1) | (middle[:, 0] > width) | (middle[:, 1] > height))
        if wrong.size:
            raise UserError(
                f"{dataset.name(index)}: the box {boxes[wrong[0]].tolist()} lies outside the image, which "
                f"is {width} wide and {height} high"
            )
