"""CSV lists: one row an image, or, for MNIST's files, one row a range of images."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tinymed.data.arrays import read_idx_rows
from tinymed.data.dataset import Dataset
from tinymed.data.folders import SPLIT_NAMES, sort_classes
from tinymed.errors import UserError

GROUP_COLUMNS = ("patient", "group", "near_duplicate_group")
IDX_COLUMNS = {"images", "labels", "start", "stop", "split"}
Row = dict[str, str]


@dataclass(frozen=True)
class Columns:
    """Which columns of a CSV list mean what.  group=None: the first of patient, group, near_duplicate_group."""

    path: str = "path"
    label: str = "label"
    group: str | None = None
    split: str = "split"


def read_csv(table: Path, columns: Columns, skip_bad: bool, max_bytes: int) -> dict[str, Dataset]:
    """The data sets a list describes; paths are relative to the list.

    Raises UserError: no such column, an empty field, an unknown split, a missing file, a class that train lacks.
    """
    rows, header = read_rows(table)
    if set(header) >= IDX_COLUMNS:
        return read_idx_rows(table, rows, max_bytes)
    for column in (columns.path, columns.label):
        if column not in header:
            raise UserError(
                f"{table}: no column {column!r} (it has {', '.join(header)}); name the column "
                "that holds the image path or the class with path_column / label_column"
            )
    if columns.group is not None and columns.group not in header:
        raise UserError(f"{table}: no column {columns.group!r} for groups (it has {', '.join(header)})")
    parts: dict[str, list[Row]] = {}
    for line, row in enumerate(rows, start=2):
        parts.setdefault(split_of(table, line, row, columns.split), []).append(row)
    check_labels(table, parts, columns.label)
    known = parts.get("train", rows)
    classes = sort_classes({row[columns.label] for row in known})
    group = columns.group or next((c for c in GROUP_COLUMNS if c in header), None)
    order = sorted(parts, key=["train", "val", "test", "all"].index)
    return {name: build(table, name, parts[name], classes, columns, group, skip_bad) for name in order}


def read_rows(table: Path) -> tuple[list[Row], list[str]]:
    """Rows and column names of a UTF-8 CSV file.  Raises UserError for what is none, or has no row."""
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            rows = [{k: (v or "").strip() for k, v in row.items() if k is not None} for row in reader]
            header = list(reader.fieldnames or [])
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{table}: not a UTF-8 CSV list ({error}); save it as comma-separated UTF-8 text") from error
    if not rows:
        raise UserError(f"{table}: no rows below the header; write one row an image")
    return rows, header


def split_of(table: Path, line: int, row: Row, column: str) -> str:
    """train, val, test, or all where the list has no split column."""
    if column not in row:
        return "all"
    name = SPLIT_NAMES.get(row[column].lower())
    if name is None:
        raise UserError(f"{table}, line {line}: split {row[column]!r} is none of train, val, test")
    return name


def check_labels(table: Path, parts: dict[str, list[Row]], column: str) -> None:
    """Raise UserError for an empty label, or one that train does not have."""
    for name, rows in parts.items():
        known = {row[column] for row in parts.get("train", rows)}
        for row in rows:
            if not row[column]:
                raise UserError(f"{table}: a row of {name} has an empty {column!r} ({row}); fill it in")
            if row[column] not in known:
                raise UserError(
                    f"{table}: class {row[column]!r} in {name} is not among those of train "
                    f"({', '.join(sorted(known))}); correct it or add the class to train"
                )


def build(
    table: Path,
    split: str,
    rows: list[Row],
    classes: list[str],
    columns: Columns,
    group: str | None,
    skip_bad: bool,
) -> Dataset:
    """One split of a list.  A missing file raises UserError, or with skip_bad is listed as skipped."""
    number = {name: i for i, name in enumerate(classes)}
    kept: list[tuple[Path, Row]] = []
    skipped: list[tuple[str, str]] = []
    for row in rows:
        path = table.parent / row[columns.path]
        if row[columns.path] and path.is_file():
            kept.append((path, row))
            continue
        reason = f"{path}: no such file, named in {table}; correct the list, or leave it out with --skip-bad"
        if not skip_bad:
            raise UserError(reason)
        skipped.append((str(path), reason))
    labels = np.array([number[row[columns.label]] for _, row in kept], np.int64)
    groups = np.array([row[group] for _, row in kept], str) if group else None
    return Dataset([path for path, _ in kept], labels, classes, groups, split, str(table), skipped)
