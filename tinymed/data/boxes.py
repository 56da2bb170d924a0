"""Images with boxes around objects: `boxes.csv` with the columns path, label, xmin, ymin, xmax, ymax and perhaps split.

Coordinates are pixels; a box covers xmin <= x < xmax.  `splits.csv` beside it may name further images, those without a
box, and divides the set where boxes.csv does not.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

import numpy as np

from tinymed.data.dataset import Dataset
from tinymed.data.folders import SPLIT_NAMES, sort_classes
from tinymed.data.splits import image_hashes, leak_check
from tinymed.data.tables import GROUP_COLUMNS, Row, read_rows
from tinymed.errors import UserError

CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass
class BoxDataset(Dataset):
    """Images with boxes.

    boxes: of each image float64 [n, 4]: xmin, ymin, xmax, ymax.  kinds: of each image int64 [n]: the boxes' classes,
    indices into `classes`.  labels: zeros, since nothing tells the images themselves apart when a set is divided.
    """

    boxes: list[np.ndarray] = field(default_factory=list)
    kinds: list[np.ndarray] = field(default_factory=list)

    def subset(self, indices: Iterable[int] | np.ndarray, split: str | None = None) -> Self:
        """The images at `indices` with their boxes, in that order."""
        rows = [int(i) for i in indices]
        part = super().subset(np.array(rows, np.int64), split)
        boxes, kinds = [self.boxes[i] for i in rows], [self.kinds[i] for i in rows]
        result: Self = replace(part, boxes=boxes, kinds=kinds)  # type: ignore[call-arg, assignment]
        return result

    def box_counts(self) -> dict[str, int]:
        """Boxes of each class."""
        kinds = np.concatenate([*self.kinds, np.zeros(0, np.int64)])
        return dict(zip(self.classes, np.bincount(kinds, minlength=len(self.classes)).tolist(), strict=True))


def open_boxes(
    path: str | Path, *, classes: list[str] | None = None, leaks: str = "error", verify: bool = True
) -> dict[str, BoxDataset]:
    """{"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.

    path: a folder with boxes.csv, or the list itself.  classes: those of a trained run, in its order.  Raises UserError
    naming the file and line: a missing column or image, a box that is none or lies outside its image.
    """
    path = Path(path)
    table = path / "boxes.csv" if path.is_dir() else path
    if not table.is_file():
        raise UserError(f"{path}: no boxes.csv; give a folder with boxes.csv (path, label, {', '.join(CORNERS)}) in it")
    rows, header = read_rows(table)
    for column in ("path", "label", *CORNERS):
        if column not in header:
            raise UserError(f"{table}: no column {column!r} (it has {', '.join(header)})")
    images = listed_images(table)
    found: dict[str, list[tuple[int, Row]]] = {}
    for line, row in enumerate(rows, start=2):
        found.setdefault(row["path"], []).append((line, row))
        images.setdefault(row["path"], row)
    names = classes or sort_classes({row["label"] for row in rows})
    unknown = {row["label"] for row in rows} - set(names)
    if unknown:
        raise UserError(f"{table}: class {', '.join(sorted(unknown))} is unknown, expected {', '.join(names)}")
    parts: dict[str, list[str]] = {}
    for name, row in images.items():
        split = SPLIT_NAMES.get(row["split"].lower()) if "split" in row else "all"
        if split is None:
            raise UserError(f"{table}: {name}: split {row['split']!r} is none of train, val, test")
        parts.setdefault(split, []).append(name)
    order = [split for split in ("train", "val", "test", "all") if split in parts]
    sets: dict[str, BoxDataset] = {s: build(table, s, parts[s], found, images, names) for s in order}
    if verify:
        for part in sets.values():
            check_inside(part)
            part.hashes = image_hashes(part)[1]
        leak_check(sets, rule=leaks)
    return sets


def listed_images(table: Path) -> dict[str, Row]:
    """The images that splits.csv names, where there is one."""
    beside = table.with_name("splits.csv")
    return {row["path"]: row for row in read_rows(beside)[0] if row.get("path")} if beside.is_file() else {}


def build(
    table: Path,
    split: str,
    names: list[str],
    found: dict[str, list[tuple[int, Row]]],
    images: dict[str, Row],
    classes: list[str],
) -> BoxDataset:
    """One part as a data set."""
    number = {name: i for i, name in enumerate(classes)}
    samples, boxes, kinds = [], [], []
    for name in names:
        path = table.parent / name
        if not path.is_file():
            raise UserError(f"{path}: no such file, named in {table}; correct the list")
        samples.append(path)
        rows = found.get(name, [])
        boxes.append(np.array([corners(table, line, row) for line, row in rows], np.float64).reshape(-1, 4))
        kinds.append(np.array([number[row["label"]] for _, row in rows], np.int64))
    column = next((c for c in GROUP_COLUMNS if all(c in images[name] for name in names)), None)
    groups = np.array([images[name][column] for name in names], str) if column else None
    return BoxDataset(
        samples, np.zeros(len(names), np.int64), classes, groups, split, str(table), boxes=boxes, kinds=kinds
    )


def corners(table: Path, line: int, row: Row) -> list[float]:
    """The four numbers of a row.  Raises UserError unless they are a box."""
    try:
        box = [float(row[name]) for name in CORNERS]
    except ValueError:
        raise UserError(f"{table}, line {line}: {[row[name] for name in CORNERS]} are no numbers") from None
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise UserError(f"{table}, line {line}: {box} is no box: xmin < xmax and ymin < ymax")
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
