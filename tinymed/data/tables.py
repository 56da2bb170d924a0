"""CSV lists of images with classes: one row an image, or, for MNIST's files, one row a range of images."""

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserAdvice, UserError
from .arrays import read_idx_rows
from .dataset import Dataset
from .folders import SPLIT_NAMES, sort_classes
from .lists import (
    LABELS,
    PATHS,
    Finder,
    Row,
    Table,
    class_names,
    group_column,
    group_of,
    one_column_a_class,
    read_table,
    split_column,
)

IDX_COLUMNS = {"images", "labels", "start", "stop", "split"}
SEVERAL = "of several findings an image each is learnt with --task multilabel; else keep one row an image"


@dataclass(frozen=True)
class Columns:
    """Which columns of a list mean what.  None: the first of the usual names, see `lists`."""

    path: str | None = None
    label: str | None = None
    group: str | None = None
    split: str | None = None
    suffix: str | None = None  # that the list leaves out of the names of images


@dataclass
class Item:
    """One row of a list: where it stands, the file, or why there is none, what is to be learnt of it, its patient."""

    where: str
    file: Path | UserError
    label: Any
    group: str | None = None


class Roles(NamedTuple):
    """The columns of a list by what they are for; None where it has none."""

    path: str
    split: str | None
    group: str | None
    suffix: str = ""  # to be put behind each path


def find_roles(table: Table, columns: Columns) -> Roles:
    """Return the columns of the image's path, of its part and of its patient.  Raises UserError without a path."""
    split, group = split_column(table, columns.split, list(SPLIT_NAMES)), group_column(table, columns.group)
    path = table.needed("path_column", columns.path, PATHS, "the image path")
    return Roles(path, split, group, columns.suffix or "")


def read_items(table: Table, roles: Roles, labels: Sequence[Any], skip_bad: bool) -> dict[str, list[Item]]:
    """Return {part: its rows} in the order train, val, test; `labels` has what is to be learnt of each row's image.

    Raises UserError naming the line: a part that is none, a file that is not there unless `skip_bad`.
    """
    find = Finder(table.path, roles.suffix)
    parts: dict[str, list[Item]] = {}
    for (where, row), label in zip(table.numbered(), labels, strict=True):
        item = Item(where, find_file(find, where, row[roles.path], skip_bad), label)
        item.group = group_of(row, roles.group, row[roles.path]) if roles.group else None
        parts.setdefault(split_of(where, row, roles.split), []).append(item)
    return {name: parts[name] for name in sorted(parts, key=["train", "val", "test", "all"].index)}


def read_csv(path: Path, columns: Columns, skip_bad: bool, max_bytes: int) -> dict[str, Dataset]:
    """Return the data sets a list describes; paths are relative to the list."""
    table = read_table(path)
    if set(table.header) >= IDX_COLUMNS:
        refuse_columns(path, columns)
        return read_idx_rows(table.path, table.rows, max_bytes)
    roles = find_roles(table, columns)
    parts = read_items(table, roles, classes_of(table, columns, list(roles)), skip_bad)
    check_labels(path, parts)
    check_one_label(path, [item for items in parts.values() for item in items], SEVERAL)
    known = parts.get("train") or [item for items in parts.values() for item in items]
    classes = sort_classes({item.label for item in known})
    return {name: build(path, name, items, classes, roles.group) for name, items in parts.items()}


def refuse_columns(path: Path, columns: Columns) -> None:
    """Raise UserError for columns that are given where none can be chosen: what is given is honoured or refused.

    That of the patient may be a field of DICOM headers in a folder, at which `identify` looks.
    """
    if getattr(columns, "suffix", None) is not None:
        raise UserError(
            f"{path}: the suffix {columns.suffix!r} was given, but there is no list here whose names lack it"
        )
    for name, value in vars(columns).items():
        if name == "group" and path.is_dir():
            continue
        if value not in (None, name):  # path, label and split are what old configurations have without being asked
            raise UserError(
                f"{path}: the column {value!r} was given for {'the patient' if name == 'group' else f'the {name}'}, "
                "but there is no list with such columns here; give a .csv list, or a folder with splits.csv"
            )


def classes_of(table: Table, columns: Columns, besides: list[str | None]) -> list[str]:
    """Return the class of each row: of a column, else of columns of 0 and 1 of which one is 1 in each row.

    Raises UserError naming the line, and the column where there is one.
    """
    column = table.column("label_column", columns.label, LABELS)
    several = one_column_a_class(table, besides) if column is None else []
    if not several:
        return class_names(table, table.needed("label_column", columns.label, LABELS, "the class"))
    classes = []
    for where, row in table.numbered():
        there = [name for name in several if row[name] in ("1", "1.0")]
        if len(there) != 1:
            what = f"{' and '.join(there[:3])} are 1" if there else "none is 1"
            raise UserError(
                f"{where}: of the columns {', '.join(several[:6])}, one a class, {what}; an image has one class: "
                "correct the row, or learn several findings an image with --task multilabel",
                {"label_column='NAME'": "or name the column that holds the class with {}"},
            )
        classes += there
    return classes


def find_file(find: Finder, where: str, name: str, skip_bad: bool) -> Path | UserError:
    """Return the file of a name in a row; with skip_bad the reason why there is none."""
    try:
        return find(name)
    except UserError as error:
        if not skip_bad:
            raise UserError(f"{where}: {error.message}", error.ways) from None
        return error


def split_of(where: str, row: Row, column: str | None) -> str:
    """Return train, val, test, or all where the list has no split column."""
    if column is None:
        return "all"
    name = SPLIT_NAMES.get(row[column].lower())
    if name is None:
        raise UserError(
            f"{where}: split {row[column]!r} is none of train, val, test; write one of these into {column!r}, or "
            "remove the row",
            {"split_column='NAME'": "or name the column of the part with {}"},
        )
    return name


def check_labels(table: Path, parts: dict[str, list[Item]]) -> None:
    """Raise UserError for a class that train does not have."""
    for name, items in parts.items():
        known = {item.label for item in parts.get("train", items)}
        for item in items:
            if item.label not in known:
                raise UserError(
                    f"{table}: class {item.label!r} in {name} is not among those of train "
                    f"({', '.join(sorted(known))}); correct it or add the class to train"
                )


def check_one_label(table: Path, items: list[Item], remedy: str) -> None:
    """Raise UserError for a file that the list names under two labels; remedy: what to do about it.

    Warns of files that it names more than once under one.
    """
    first: dict[Path, Item] = {}
    again: dict[Path, Item] = {}
    for item in items:
        if isinstance(item.file, Path) and first.setdefault(item.file, item).label != item.label:
            again.setdefault(item.file, item)
    if again:
        file, item = next(iter(again.items()))
        more = f" (so are {len(again) - 1:,} more images)" if len(again) > 1 else ""
        raise UserError(
            f"{item.where}: {file} is {item.label!r} here and {first[file].label!r} in another row{more}; {remedy}"
        )
    rows = Counter(item.file for item in items if isinstance(item.file, Path))
    several = [file for file, count in rows.items() if count > 1]
    if several:
        many = f"{len(several):,} images have" if len(several) > 1 else "an image has"
        message = f"{table}: {many} several rows and count as often, such as {several[0]}; keep one row an image"
        warnings.warn(UserAdvice(message), stacklevel=4)


class Files(NamedTuple):
    """The rows of a part that have a file, and what was left out."""

    items: list[Item]
    samples: list[Path]
    groups: np.ndarray | None
    skipped: list[tuple[str, str]]


def existing(items: list[Item], group: str | None) -> Files:
    """Return the rows whose files are there, apart from those that are not."""
    kept = [(item, item.file) for item in items if isinstance(item.file, Path)]
    skipped = [(str(item.file).partition(": ")[0], str(item.file)) for item in items if not isinstance(item.file, Path)]
    groups = np.array([item.group for item, _ in kept], str) if group else None
    return Files([item for item, _ in kept], [file for _, file in kept], groups, skipped)


def build(table: Path, split: str, items: list[Item], classes: list[str], group: str | None) -> Dataset:
    """Return one split of a list; what has no file is listed as skipped."""
    number = {name: i for i, name in enumerate(classes)}
    files = existing(items, group)
    labels = np.array([number[item.label] for item in files.items], np.int64)
    return Dataset(
        files.samples, labels, classes, files.groups, split, str(table), files.skipped, group_column=group or ""
    )
