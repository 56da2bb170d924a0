"""What was predicted of each image, as a list: written by a run, read again by whatever compares or pools runs."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import UserError
from ...files import write_atomic

Row = dict[str, Any]
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet would take for a formula


class Cases(Mapping[str, npt.NDArray[Any]]):
    """The columns of a list of predictions, by name, as text; empty fields are numbers that are nan.

    Example:
        >>> cases = Cases({"path": ["a.png", "b.png"], "score": ["0.5", ""]})
        >>> len(cases["path"]), cases.numbers("score").tolist()
        (2, [0.5, nan])
    """

    def __init__(self, columns: Mapping[str, Sequence[Any]]):
        self.columns = {name: np.asarray(values, str) for name, values in columns.items()}

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        return self.columns[name]

    def __iter__(self) -> Any:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def numbers(self, name: str) -> npt.NDArray[np.float64]:
        """Return a column as numbers."""
        return np.array([float(text) if text else np.nan for text in self.columns[name].tolist()])

    def table(self, prefix: str, names: Sequence[str]) -> npt.NDArray[np.float64]:
        """Return the columns "PREFIX NAME" as numbers [n, names]."""
        return np.stack([self.numbers(f"{prefix} {name}") for name in names], axis=1)

    def number_of(self, name: str, among: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return a column of names as numbers in a list of them."""
        place = {text: i for i, text in enumerate(among)}
        return np.array([place[text] for text in self.columns[name].tolist()], np.int64)

    @property
    def folds(self) -> npt.NDArray[Any] | None:
        """Return the fold of each image, where the images are of several networks."""
        return self.columns.get("fold")

    @property
    def groups(self) -> npt.NDArray[Any] | None:
        """Return the group of each image: its patient; None where each image is one."""
        return self.columns.get("group")


def with_groups(rows: Sequence[Row], groups: npt.NDArray[Any] | None) -> list[Row]:
    """Return rows with the number of each image's patient after its path; who it is stays in the list of the data."""
    if groups is None:
        return list(rows)
    numbers = np.unique(groups, return_inverse=True)[1].reshape(-1)
    return [{"path": row["path"], "group": int(g)} | row for row, g in zip(rows, numbers, strict=True)]


def as_cases(rows: Sequence[Row]) -> Cases:
    """Return rows as the columns that `read_cases` finds when they are written."""
    return Cases({name: ["" if row[name] is None else row[name] for row in rows] for name in rows[0]})


def write_rows(path: Path, rows: Sequence[Row]) -> None:
    """Write rows of the same keys as CSV, whole or not at all; None is an empty field.

    A name that a spreadsheet would take for a formula is written behind an apostrophe.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows({key: harmless(value) for key, value in row.items()} for row in rows)
    write_atomic(path, [text.getvalue().encode("utf-8", "backslashreplace")])


def harmless(value: Any) -> Any:
    """Return a text that no spreadsheet takes for a formula; numbers stay numbers."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def read_cases(path: Path) -> Cases:
    """Return the columns of a list of predictions.  Raises UserError naming the file."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
    except FileNotFoundError:
        raise UserError(f"{path}: is not there; `tinymed evaluate {path.parent}` writes it") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read as a list ({error})") from None
    names = list(reader.fieldnames or ())
    if "path" not in names or not rows or any(None in row or None in row.values() for row in rows):
        raise UserError(f"{path}: is no list of predictions, one row an image with its path")
    return Cases({name: [plain_text(row[name]) for row in rows] for name in names})


def plain_text(text: str) -> str:
    """Return a text as it was before `harmless`."""
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
