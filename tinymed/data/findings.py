"""Images with several findings each: a list with a field such as "Edema|Mass", or with one column of 0 and 1 a finding.

A field of findings      divided by |, ; or , (the first of these that occurs, or the separator given); "No Finding" and
                         the like mean none of them; an image may also have several rows, one a finding
A column a finding       1 there, 0 not there, -1 uncertain, blank not said

What is uncertain or blank is missing (nan): it is neither learnt from nor measured, unless told otherwise.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .arrays import MAX_BYTES, SPLITS, read_arrays
from .dataset import Dataset
from .dataset import Reading as Pictures
from .folders import sort_classes
from .lists import LABELS, Table, canonical_name, missing, read_table
from .tables import Columns, Item, Roles, check_one_label, existing, find_roles, read_items, refuse_columns
from .values import checked_sets

LAYOUTS = "a .csv list, a folder with splits.csv, or MedMNIST's .npz"
SEPARATORS = "|;,"
UNUSUAL = "/+&"  # not taken without being asked for, since names of findings hold them
NONE = frozenset(("nofinding", "nofindings", "none", "normal", "healthy", "negative"))
MEANING = {"0": 0.0, "0.0": 0.0, "1": 1.0, "1.0": 1.0, "-1": -1.0, "-1.0": -1.0}
UNCERTAIN = {"ignore": np.nan, "positive": 1.0, "negative": 0.0}


@dataclass(repr=False)
class FindingDataset(Dataset):
    """Images with several findings each.

    Args:
        samples: Image files, or one array of images.
        labels: Zeros, since nothing tells the images apart when a set is divided.
        classes: Names of the findings.
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
        contradictions: Pairs of names of one picture with different findings.
        findings: float32 [n, findings]: 1 there, 0 not there, nan not known.

    Raises:
        UserError: The parts do not fit each other.

    Example:
        >>> found = np.array([[1, 0], [1, np.nan]], np.float32)
        >>> data = FindingDataset(np.zeros((2, 8, 8), np.uint8), [0, 0], ["edema", "mass"], findings=found)
        >>> data.counts(), data.label_text(1)
        ({'edema': 2, 'mass': 0}, 'edema, mass unknown')
    """

    findings: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def __post_init__(self) -> None:
        super().__post_init__()
        self.findings = np.asarray(self.findings, np.float32)
        if self.findings.shape != (len(self.samples), len(self.classes)):
            where = f"{self.source or 'data'} [{self.split}]"
            raise UserError(
                f"{where}: {len(self.samples)} images with {len(self.classes)} findings, but an array of shape "
                f"{self.findings.shape}"
            )

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """Return the findings of the images at `indices`, float32 [n, findings] with nan where not known."""
        wanted: np.ndarray = self.findings[indices]
        return wanted

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the findings at `rows`."""
        return {"findings": self.findings[rows]}

    def counts(self) -> dict[str, int]:
        """Return the number of images with each finding."""
        return dict(zip(self.classes, (self.findings == 1).sum(axis=0).tolist(), strict=True))

    def known(self) -> dict[str, int]:
        """Return the number of images of which each finding is known."""
        return dict(zip(self.classes, np.isfinite(self.findings).sum(axis=0).tolist(), strict=True))

    def label_text(self, index: int) -> str:
        """Return the findings of an image in words, for a message."""
        row = self.findings[index]
        there = [name for name, value in zip(self.classes, row, strict=True) if value == 1]
        unknown = [f"{name} unknown" for name, value in zip(self.classes, row, strict=True) if np.isnan(value)]
        return ", ".join([*there, *unknown]) or "no finding"

    def same_label(self, first: int, second: int) -> bool:
        """Return whether two images have the same findings."""
        return bool(np.array_equal(self.findings[first], self.findings[second], equal_nan=True))


@dataclass(frozen=True)
class Reading:
    """How a list is read: which findings in which order (all), what divides a field, what -1 and blank mean.

    trained: whether the findings are those of a trained run, of which some may have no image.
    """

    findings: list[str] = field(default_factory=list)
    separator: str | None = None
    uncertain: str = "ignore"
    blank: str = "ignore"
    trained: bool = False


def open_findings(
    path: str | Path,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    findings: Sequence[str] = (),
    classes: Sequence[str] | None = None,
    separator: str | None = None,
    uncertain: str = "ignore",
    blank: str = "ignore",
    skip_bad: bool = False,
    verify: bool = True,
    leaks: str = "error",
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> dict[str, FindingDataset]:
    r"""Open a set of images with several findings each.

    Args:
        path: A CSV list, or a folder with splits.csv.
        path_column: Column of the image's path; by default the first of a usual name, as for the other columns.
        label_column: Column of fields such as "Edema|Mass"; without it one of a usual name, else columns of 0 and 1.
        group_column: Column of the patient, who is never divided.
        split_column: Column of the part.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        findings: Names of the findings, or of their columns, in this order; the others are left out.  By default all.
        classes: The findings of a trained run, in its order: of these some may have no image.
        separator: What divides a field; by default the first of | ; , that occurs.
        uncertain: What -1 in a column is: "ignore" (missing), "positive" or "negative".
        blank: What nothing in a column is: "ignore" (missing) or "negative".
        skip_bad: Leave unreadable and missing files out and list them in `skipped`.
        verify: Decode every image now, so that damage and leaks show before training.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        white: The value that is white in pictures deeper than 8 bits, see `decode`.
        window: Instead of white, (centre, width), see `decode`.
        page: Of TIFF and DICOM files of several pages, see `decode`.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.

    Raises:
        UserError: A column, finding or file is missing, or a field is not understood; names the file and the line.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save("a.png")
        >>> _ = Path("list.csv").write_text("path,findings\na.png,Mass|Edema\n")
        >>> open_findings("list.csv")["all"].classes
        ['Edema', 'Mass']
    """
    path = Path(path)
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    columns = Columns(path_column, label_column, group_column, split_column, suffix)
    how = Reading(list(classes or findings), separator, uncertain, blank, classes is not None)
    if path.suffix.lower() == ".npz":
        refuse_columns(path, columns)
        refuse_idle(path, how, columns=False)
        return checked_sets(path, read_archive(path, how), skip_bad, verify, leaks, Pictures(white, window, page))
    table = path / "splits.csv" if path.is_dir() else path
    if not (table.is_file() and table.suffix.lower() in (".csv", ".tsv")):
        raise UserError(f"{path}: no list of images with findings; give {LAYOUTS}")
    sets = read_list(table, columns, how, skip_bad)
    return checked_sets(path, sets, skip_bad, verify, leaks, Pictures(white, window, page))


def read_archive(path: Path, how: Reading) -> dict[str, FindingDataset]:
    """Return the parts of a MedMNIST archive whose labels are 0 and 1 [n, findings], named by numbers or as is said."""
    arrays = read_arrays(path, MAX_BYTES)
    sets: dict[str, FindingDataset] = {}
    for split in (s for s in SPLITS if f"{s}_images" in arrays):
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
        if labels.ndim != 2 or labels.shape[1] < 2 or not np.isin(labels, (0, 1)).all():
            raise UserError(
                f"{path} [{split}]: labels of shape {labels.shape}; several findings an image are 0 and 1 in a column "
                "each; one class an image is learnt with --task classification"
            )
        names = how.findings or [str(i) for i in range(labels.shape[1])]
        if len(names) != labels.shape[1]:
            raise UserError(f"{path} [{split}]: {labels.shape[1]} findings, but {len(names)} names; give one for each")
        zeros = np.zeros(len(labels), np.int64)
        sets[split] = FindingDataset(images, zeros, list(names), split=split, source=str(path), findings=labels)
    return sets


def read_list(path: Path, columns: Columns, how: Reading, skip_bad: bool) -> dict[str, FindingDataset]:
    """Return the data sets of a list: by a column of fields, or by columns of 0 and 1."""
    table = read_table(path)
    roles = find_roles(table, columns)
    named = finding_columns(table, columns, roles, how)
    refuse_idle(path, how, bool(named))
    if named:
        labels = [tuple(row) for row in column_values(table, named, how)]
        parts = read_items(table, roles, labels, skip_bad)
        check_one_label(path, [item for items in parts.values() for item in items], "keep one row an image")
        return {name: build(path, name, items, named, roles.group) for name, items in parts.items()}
    column = table.needed("label_column", columns.label, LABELS, "the findings")
    names, fields = field_values(table, column, how)
    parts = read_items(table, roles, fields, skip_bad)
    parts = {name: together(items) for name, items in parts.items()}
    for items in parts.values():
        for item in items:
            item.label = tuple(float(name in item.label) for name in names)
    return {name: build(path, name, items, names, roles.group) for name, items in parts.items()}


def refuse_idle(path: Path, how: Reading, columns: bool) -> None:
    """Raise UserError for a rule that this form of list has no use for; a trained run's rules are of its own list."""
    if how.trained:
        return
    if columns and how.separator is not None:
        raise UserError(
            f"{path}: the separator {how.separator!r} has no effect here: it is of a column of fields, and this list "
            "has a column a finding"
        )
    for name, rule in (("uncertain", how.uncertain), ("blank", how.blank)):
        if not columns and rule != "ignore":
            raise UserError(
                f"{path}: {name} {rule!r} has no effect here: it is of columns of 0 and 1, and this list has a column "
                "of fields"
            )


def finding_columns(table: Table, columns: Columns, roles: Roles, how: Reading) -> list[str]:
    """Return the columns that are a finding each; none where a column of fields has them.

    Raises UserError for findings of which only some are columns.
    """
    if columns.label is not None:
        return []
    listed = [name for name in how.findings if name in table.header]
    if listed and len(listed) < len(how.findings):
        absent = [name for name in how.findings if name not in table.header]
        raise UserError(f"{table.path}: no column {', '.join(map(repr, absent))} (it has {table.shown()})")
    if listed:
        return listed
    if table.column("label_column", None, LABELS) is not None:
        return []
    found = [name for name in table.header if name not in roles and is_finding(table, name)]
    if not found:
        raise UserError(
            f"{table.path}: no column of findings (it has {table.shown()})",
            {
                "label_column='NAME'": "name that of fields such as 'Edema|Mass' with {}",
                "findings='NAME,NAME'": "or those of 0 and 1 with {}",
            },
        )
    return found


def is_finding(table: Table, column: str) -> bool:
    """Say whether a column holds 0, 1, -1 and blanks only, and a 0 or 1 among them."""
    values = {row[column] for row in table.rows}
    return all(v in MEANING or missing(v) for v in values) and any(MEANING.get(v, -1) >= 0 for v in values)


def column_values(table: Table, named: Sequence[str], how: Reading) -> np.ndarray:
    """Return the findings of every row from a column each: float [rows, findings].  Raises UserError."""
    found = np.empty((len(table.rows), len(named)))
    blank = UNCERTAIN[how.blank]
    for i, (where, row) in enumerate(table.numbered()):
        for j, name in enumerate(named):
            value = blank if missing(row[name]) else MEANING.get(row[name])
            if value is None:
                raise UserError(
                    f"{where}: {name!r} is {row[name]!r}; a column of a finding holds 1, 0, -1 (uncertain) or nothing"
                )
            found[i, j] = UNCERTAIN[how.uncertain] if value == -1 else value
    return found


# ------------------------------------------------------------------------------------- fields of several findings


def field_values(table: Table, column: str, how: Reading) -> tuple[list[str], list[frozenset[str]]]:
    """Return (the names of the findings, those of every row).  Raises UserError naming line and field."""
    mark = how.separator or next((m for m in SEPARATORS if any(m in row[column] for row in table.rows)), "|")
    rows = []
    for where, row in table.numbered():
        if missing(row[column]):
            raise UserError(f"{where}: an empty {column!r}; write No Finding where there is none, or remove the row")
        parts = [part.strip() for part in row[column].split(mark) if part.strip()]
        none = [part for part in parts if canonical_name(part) in NONE]
        if none and len(parts) > 1:
            raise UserError(f"{where}: {column!r} is {row[column]!r}: {none[0]!r} beside a finding; correct it")
        rows.append(frozenset(parts) - set(none))
    check_separator(table, column, rows, mark)
    present = sort_classes({name for row in rows for name in row})
    absent = [name for name in how.findings if name not in present]
    if absent and not how.trained:
        raise UserError(
            f"{table.path}: no image has the finding {', '.join(map(repr, absent))}; {column!r} holds "
            f"{', '.join(present)}"
        )
    names = how.findings or present
    if not names:
        raise UserError(f"{table.path}: {column!r} holds no finding at all, so there is nothing to learn")
    return list(names), rows


def check_separator(table: Table, column: str, rows: Sequence[frozenset[str]], mark: str) -> None:
    """Raise UserError where names hold another mark that divides them into parts that come again elsewhere."""
    names = Counter(name for row in rows for name in row)
    for other in SEPARATORS + UNUSUAL:
        pieces = {name: [piece.strip() for piece in name.split(other) if piece.strip()] for name in names}
        again = Counter(piece for name in names for piece in set(pieces[name]))
        for name in names:
            if other != mark and len(pieces[name]) > 1 and all(again[piece] > 1 for piece in pieces[name]):
                raise UserError(
                    f"{table.path}: {column!r} has the finding {name!r}, and others called "
                    f"{' and '.join(map(repr, pieces[name]))}: it seems to be divided by {other!r}, not by {mark!r}",
                    {f"separator='{other}'": "if so, say it with {}"},
                )


def together(items: Sequence[Item]) -> list[Item]:
    """Return one item an image: rows of the same file are findings of one image."""
    first: dict[Path, Item] = {}
    kept = []
    for item in items:
        if not isinstance(item.file, Path):
            kept.append(item)
        elif item.file in first:
            first[item.file].label |= item.label
        else:
            first[item.file] = item
            kept.append(item)
    return kept


def build(table: Path, split: str, items: list[Item], names: Sequence[str], group: str | None) -> FindingDataset:
    """Return one part of a list; what has no file is listed as skipped."""
    files = existing(items, group)
    found = np.array([item.label for item in files.items], np.float32).reshape(-1, len(names))
    return FindingDataset(
        files.samples,
        np.zeros(len(files.samples), np.int64),
        list(names),
        files.groups,
        split,
        str(table),
        files.skipped,
        group_column=group or "",
        findings=found,
    )
