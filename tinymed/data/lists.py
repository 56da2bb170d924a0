"""Lists in CSV files as people have them: of any encoding, divider and column names, with Windows paths and blanks.

UTF-8, with a byte order mark or without; UTF-16 with one; else Windows-1252, which is said in a warning
commas, semicolons or tabs, whichever divides the header
columns by their usual names (`PATHS`, `LABELS`, ...) whatever their case, spaces and underscores, or by the name given
"""

import csv
import io
import math
import re
import unicodedata
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError, printable
from .dicom.privacy import find_number
from .image import SUFFIXES, is_picture

Row = dict[str, str]
MAX_BYTES = 256 << 20
MARKS = ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
MISSING = frozenset(("", "nan", "na", "n/a", "#n/a", "<na>", "null", "#null!"))
# In the order in which they are preferred; compared without case, spaces, underscores, hyphens and dots.
PATHS = (
    "path",
    "filepath",
    "imagepath",
    "imgpath",
    "file",
    "filename",
    "imagefile",
    "imagefilename",
    "image",
    "imagename",
    "imageindex",
    "imageid",
    "img",
    "imgname",
    "imgid",
    "picture",
)
LABELS = (
    "label",
    "labels",
    "class",
    "classname",
    "target",
    "category",
    "diagnosis",
    "dx",
    "findinglabels",
    "finding",
    "findings",
    "pathology",
    "grade",
)
UNKNOWN = "unknown patient"  # how the group of an image is called whose row names none
MASKS = ("mask", "maskpath", "maskfile", "maskname", "segmentation", "seg", "annotation", "groundtruth", "gt")
SPLITS = ("split", "set", "subset", "partition", "phase", "part")
PATIENTS = (
    "patient",
    "patientid",
    "patientno",
    "patientnumber",
    "patientname",
    "subject",
    "subjectid",
    "participant",
    "participantid",
    "person",
    "personid",
    "pid",
    "mrn",
    "case",
    "caseid",
)
GROUPS = (*PATIENTS, "lesion", "lesionid", "group", "groupid", "nearduplicategroup")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
DRIVE = re.compile(r"^[A-Za-z]:[\\/]")


@dataclass
class Table:
    """A list: its file, the names of its columns, its rows, and the line in the file on which each row ends."""

    path: Path
    header: list[str]
    rows: list[Row]
    lines: list[int]

    def numbered(self) -> Iterator[tuple[str, Row]]:
        """Yield ("list.csv, line 7", row) of every row."""
        for line, row in zip(self.lines, self.rows, strict=True):
            yield f"{self.path}, line {line}", row

    def column(self, argument: str, named: str | None, usual: Sequence[str]) -> str | None:
        """Return the column that a role is played by: the given one, else the first of the usual names, else None.

        Raises:
            UserError: The given column is not there, or two columns have the same usual name.
        """
        ways = {f"{argument}='NAME'": "name the right column with {}"}
        if named is not None and self.header.count(named) == 1:
            return named
        for name in usual if named is None else [canonical_name(named)]:
            alike = [column for column in self.header if canonical_name(column) == name]
            if len(alike) > 1:
                raise UserError(f"{self.path}: the columns {' and '.join(alike)} have the same name", ways)
            if alike:
                return alike[0]
        if named is not None:
            raise UserError(f"{self.path}: no column {named!r} (it has {self.shown()})", ways)
        return None

    def needed(self, argument: str, named: str | None, usual: Sequence[str], what: str) -> str:
        """Return the column of a role that every list must have.  Raises UserError if there is none."""
        found = self.column(argument, named, usual)
        if found is None:
            ways = {f"{argument}='NAME'": f"name the column that holds {what} with {{}}"}
            message = f"{self.path}: no column {usual[0]!r} (it has {self.shown()}) or of another usual name for {what}"
            raise UserError(message, ways)
        return found

    def shown(self) -> str:
        """Return the names of the columns for a message, of many the first."""
        names = [name or "''" for name in self.header]
        return ", ".join(names if len(names) <= 20 else [*names[:20], f"and {len(names) - 20} more"])


def canonical_name(name: str) -> str:
    """Return a column's name as it is compared: "Patient ID", patient_id and PatientID are one.

    Example:
        >>> canonical_name("Patient ID"), canonical_name("image_id")
        ('patientid', 'imageid')
    """
    return re.sub(r"[\s_.\-]+", "", name).lower()


def missing(value: str) -> bool:
    """Return whether a field holds nothing, as spreadsheets, pandas and R write it."""
    return value.lower() in MISSING


def as_number(text: str) -> float | None:
    """Return a text as a finite number, or None: digits, a point, an exponent, nothing else that Python takes.

    Example:
        >>> as_number("1.5e3"), as_number("1_5"), as_number("inf")
        (1500.0, None, None)
    """
    value = float(text) if NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def read_table(path: Path) -> Table:
    """Read a list.

    Raises:
        UserError: It cannot be read as text, is damaged, has no row, or a row has more fields than the header.
    """
    text = read_text(path)
    first, _, rest = text.partition("\n")
    if first.strip().lower().strip('"').startswith("sep=") and len(first.strip().strip('"')) <= 5:
        text = "\n" + rest  # how a spreadsheet says its divider; the line still counts
    head = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=divider(head), strict=True, skipinitialspace=True)
    rows, lines, header = [], [], None
    try:
        for fields in reader:
            cells = [field.strip() for field in fields]
            if not any(cells):
                continue
            if header is None:
                header = cells
                continue
            if any(cells[len(header) :]):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(cells)} fields, but the header has {len(header)}; "
                    "put a field that holds the divider into quotes"
                )
            cells += [""] * (len(header) - len(cells))
            rows.append(dict(zip(header, cells, strict=False)))
            lines.append(reader.line_num)
    except csv.Error as error:
        if header is None:
            raise not_a_list(path, error) from error
        after = f"the row after line {lines[-1]}" if lines else "the first row"
        raise UserError(
            f'{path}: not a UTF-8 CSV list ({error}): {after} may have a " that is opened and never closed; write it '
            "twice inside quotes, or leave it out"
        ) from error
    if header is None or not rows:
        raise UserError(f"{path}: no rows below the header; write one row an image")
    return Table(path, header, rows, lines)


def not_a_list(path: Path, why: object) -> UserError:
    """Return the error for a file that is not a list."""
    return UserError(f"{path}: not a UTF-8 CSV list ({why}); save it as comma-separated UTF-8 text")


def read_text(path: Path) -> str:
    """Return a list's text by its byte order mark, else as UTF-8, else, with a warning, as Windows-1252."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes are more than a list may have ({MAX_BYTES:,})")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); correct the path") from None
    encoding = next((name for mark, name in MARKS if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8" or b"\0" in content:
            raise not_a_list(path, error) from None
        try:
            text = content.decode("cp1252")
        except UnicodeDecodeError:
            raise not_a_list(path, error) from None
        warnings.warn(
            f"{path} is not UTF-8 and was read as Windows-1252: see that names with accents are right, "
            "or save it as UTF-8",
            stacklevel=2,
        )
    if "\0" in text:
        raise not_a_list(path, "it holds zero bytes")
    return text


def divider(head: str) -> str:
    """Return what divides a header's names: the one of comma, semicolon and tab that occurs most outside quotes."""
    bare = re.sub(r'"[^"]*"', "", head)
    return max(",;\t", key=bare.count)


# -------------------------------------------------------------------------------------------------- fields


class Finder:
    r"""Files by the names that a list has for them, relative to the list.

    What is not there as it is written is looked for with / for the \ of Windows, in another case or Unicode form, and,
    where the name has no suffix of an image, with one.  A suffix that is given is put behind images' names without it.
    """

    def __init__(self, table: Path, suffix: str = ""):
        self.table, self.folder, self.suffix = table, table.parent, suffix
        self.listed: dict[Path, dict[str, list[Path]]] = {}

    def __call__(self, name: str, what: str = "image") -> Path:
        """Return the file.

        Raises:
            UserError: There is none, or several.  It can be left out where the reader has skip_bad.
        """
        numbered = find_number(name)  # of DICOM files, whose names no list has
        if numbered is not None and exists(numbered):
            return numbered
        if what == "image" and name and not name.lower().endswith(self.suffix.lower()):
            name += self.suffix
        slashed = name if DRIVE.match(name) else name.replace("\\", "/")
        for candidate in dict.fromkeys((name, slashed)):
            if candidate and exists(self.folder / candidate):
                return self.folder / candidate
        alike = self.alike(self.folder / slashed) if slashed else []
        if len(alike) == 1:
            return alike[0]
        raise UserError(self.reason(name, slashed, alike, what), {"skip_bad=True": "or leave it out with {}"})

    def alike(self, path: Path) -> list[Path]:
        """Return the files beside which differ in case, Unicode form or a missing suffix only."""
        folder = path.parent
        if folder not in self.listed:
            names: dict[str, list[Path]] = {}
            try:
                files = sorted(folder.iterdir())
            except OSError:
                files = []
            for file in files:
                names.setdefault(folded(file.name), []).append(file)
                if is_picture(file) and not file.name.startswith("."):
                    names.setdefault(folded(file.stem), []).append(file)
            self.listed[folder] = names
        return [file for file in self.listed[folder].get(folded(path.name), []) if exists(file)]

    def reason(self, name: str, slashed: str, alike: list[Path], what: str) -> str:
        """Return why a name leads to no file."""
        if not name:
            return "an empty path: fill it in or remove the row"
        where = f"{self.folder / slashed}"
        if len(alike) > 1:
            return f"{where}: could be {alike[0].name} or {alike[1].name}; write the whole name into {self.table}"
        if DRIVE.match(name):
            return (
                f"{name}: no such file, named in {self.table}; a path with a drive of Windows (C:\\) leads nowhere: "
                "write paths relative to the list"
            )
        windows = " (its \\ was read as /)" if slashed != name else ""
        bare = bool(slashed) and what == "image" and not is_picture(slashed)
        tried = f", nor one with a suffix such as {' '.join(sorted(SUFFIXES)[-6:])}" if bare else ""
        return f"{where}: no such file{windows}, named in {self.table}{tried}; correct the list or add the {what}"


def exists(path: Path) -> bool:
    """Return whether a path leads to a file; a name that no file can have leads to none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def likeness(name: str) -> str:
    """Return what is left of a name without case, spaces, underscores, Unicode form and invisible characters.

    Of a number its value.  Names that are equal then are most likely one, written in two ways.

    Example:
        >>> likeness("Ductal_carcinoma") == likeness("ductal  carcinoma"), likeness("007") == likeness("7.0")
        (True, True)
    """
    plain = as_seen(name)
    number = as_number(plain.strip())
    return repr(number) if number is not None else "".join(plain.casefold().replace("_", " ").split())


def as_seen(name: str) -> str:
    """Return a name in one Unicode form, without characters that nobody sees."""
    return "".join(c for c in unicodedata.normalize("NFKC", name) if unicodedata.category(c) != "Cf")


def folded(name: str) -> str:
    """Return a name without differences in case and Unicode form."""
    return unicodedata.normalize("NFC", name).casefold()


def group_column(table: Table, named: str | None) -> str | None:
    """Return the column of patients: the given one, or one of a usual name that is not empty."""
    found = table.column("group_column", named, GROUPS)
    if found is not None and named is None and all(missing(row[found]) for row in table.rows):
        return None
    if found is not None and all(missing(row[found]) for row in table.rows):
        raise UserError(f"{table.path}: the column {found!r} for groups is empty")
    return found


def group_of(row: Row, column: str, own: object) -> str:
    """Return the patient of a row; one whose patient is not known is a group of its own, called by `own`."""
    return f"{UNKNOWN} of {printable(own)}" if missing(row[column]) else row[column]


def split_column(table: Table, named: str | None, known: Sequence[str]) -> str | None:
    """Return the column that divides a list: the given one, split, or one whose values all name a part."""
    if named is not None:
        return table.column("split_column", named, SPLITS)
    for name in SPLITS:
        for column in table.header:
            if canonical_name(column) == name and (
                column.lower() == SPLITS[0] or all(row[column].lower() in known for row in table.rows)
            ):
                return column
    return None


# ------------------------------------------------------------------------------------------------- classes


def class_names(table: Table, column: str) -> list[str]:
    """Return the class of every row.

    Numbers are named alike however they are written: where any has a point (1.0), whole ones lose it.

    Raises:
        UserError: An empty field, a fraction, or several findings in one field.
    """
    names = []
    for where, row in table.numbered():
        if missing(row[column]):
            shown = f" ({row[column]})" if row[column] else ""
            raise UserError(f"{where}: an empty {column!r}{shown}; fill it in or remove the row")
        names.append(row[column])
    check_findings(table, column, names)
    return whole_numbers(table, column, names)


def check_findings(table: Table, column: str, names: Sequence[str]) -> None:
    """Raise UserError where a field holds several findings: divided by |, or by ; or , with parts that come again."""
    different = list(dict.fromkeys(names))
    for mark in "|;,":
        parts = {name: [part.strip() for part in name.split(mark) if part.strip()] for name in different}
        several = [name for name in different if len(parts[name]) > 1]
        if not several:
            continue
        again = [n for n in Counter(part for name in different for part in set(parts[name])).values() if n > 1]
        if mark == "|" or again:
            count = sum(name in several for name in names)
            findings = list(dict.fromkeys(part for name in several for part in parts[name]))
            raise UserError(
                f"{table.path}: {column!r} holds several findings in {count:,} of {len(names):,} rows, divided by "
                f"{mark!r}, such as {several[0]!r} (findings: {', '.join(findings[:5])}); each is learnt with "
                "--task multilabel; else keep the rows with one finding, or write a column with one class; if it is "
                f"the name of one class, write it without {mark!r}"
            )


def whole_numbers(table: Table, column: str, names: list[str]) -> list[str]:
    """Return the names with 1.0 as 1 where all are numbers.  Raises UserError for a fraction."""
    values = [value for name in names if (value := as_number(name)) is not None]
    if len(values) < len(names) or all("." not in name for name in names):
        return names
    for (where, _), name, value in zip(table.numbered(), names, values, strict=True):
        if not value.is_integer():
            raise UserError(
                f"{where}: {column!r} is {name}, and the others are numbers too: a class is a name or a whole number; "
                "numbers are predicted with --task regression"
            )
    return [str(int(value)) for value in values]


def one_column_a_class(table: Table, besides: Sequence[str | None]) -> list[str]:
    """Return the columns that hold 0 and 1 only, one per class: how some sets give their labels."""
    found = [
        column
        for column in table.header
        if column not in besides and {row[column] for row in table.rows} <= {"0", "1", "0.0", "1.0", "-1", "-1.0", ""}
    ]
    return found if len(found) > 1 else []
