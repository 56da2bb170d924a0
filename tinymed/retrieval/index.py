"""An index of pictures: the embedding of each by one network, and what is known of it.

    INDEX/index.safetensors   the unit rows [n, d], how they were made, and the SHA-256 of the list
    INDEX/names.csv           path, label, patient, part and hash of the pixels of each, in the order of the rows

Search is exact: the cosine with every row.  Either file is whole or not there, and an index whose files do not belong
together, or that another network has made, is refused.
"""

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.device_batches import as_arrays
from ..data.dicom.privacy import find_number
from ..errors import UserError, printable
from ..files import write_atomic
from ..tasks.inference.embedding import unit_rows
from ..train.checkpoint import CheckpointError, digest, load_checkpoint, save_checkpoint

ROWS, NAMES = "index.safetensors", "names.csv"
KIND = "index of pictures 1"
ABOUT = {"run", "weights", "model", "layer", "before", "spatial", "root"}
FORMULA = tuple("=+-@\t\r'")  # with which a field would be a formula in a spreadsheet


class Entry(NamedTuple):
    """A picture of an index.

    Attributes:
        path: Below the folder of the data, or as it is.
        label: Its class, or "".
        patient: Its patient, or "".
        part: train, val, test or all.
        pixels: Hash of its decoded pixels, in hex.
    """

    path: str
    label: str
    patient: str
    part: str
    pixels: str


class Found(NamedTuple):
    """A neighbour: its place in the index and its cosine with the query."""

    place: int
    cosine: float


@dataclass
class Index:
    """Embeddings of pictures, ready to be searched.

    Args:
        rows: float32 [n, d], each divided by its length.
        entries: What is known of each.
        about: How the rows were made: run, weights, model (a digest of the weights), layer, before, spatial, root.

    Example:
        >>> entries = [Entry(f"{name}.png", "", "", "all", name) for name in "ab"]
        >>> index = Index(np.eye(2, dtype=np.float32), entries, {})
        >>> index.search(np.array([0.6, 0.8], np.float32), 1, index.excluded(pixels="b"))
        [Found(place=0, cosine=0.6...)]
    """

    rows: np.ndarray
    entries: list[Entry]
    about: dict[str, Any]

    def excluded(self, pixels: str = "", patient: str = "", *, keep_patient: bool = False) -> np.ndarray:
        """Return which pictures are no neighbours of a query, bool [n]: itself, and others of its patient.

        Args:
            pixels: Hash of the query's pixels.
            patient: Its patient; by default that of the picture of the index that it is.
            keep_patient: Let other pictures of its patient be neighbours.
        """
        own = np.array([bool(pixels) and entry.pixels == pixels for entry in self.entries], bool)
        patients = {self.entries[i].patient for i in np.flatnonzero(own)} | {patient}
        patients.discard("")
        if keep_patient or not patients:
            return own
        theirs = np.array([entry.patient in patients for entry in self.entries], bool)
        return np.asarray(own | theirs)

    def search(self, row: np.ndarray, k: int, excluded: np.ndarray | None = None) -> list[Found]:
        """Return the k nearest pictures, nearest first; those equally near in the order of the index.

        Args:
            row: Embedding [d] of the query.
            k: How many at most.
            excluded: Pictures that are left out, bool [n].

        Raises:
            UserError: The query has another number of values than the rows.
        """
        if row.shape != self.rows.shape[1:]:
            raise UserError(f"the query has {row.size} values and the index {self.rows.shape[1]} a picture")
        cosine = self.rows @ unit_rows(row[None])[0]
        if excluded is not None:
            cosine = np.where(excluded, -np.inf, cosine)
        order = np.argsort(-cosine, kind="stable")[:k]
        return [Found(int(i), float(cosine[i])) for i in order if np.isfinite(cosine[i])]

    def save(self, folder: Path) -> None:
        """Write the index into a folder, new or empty.  Raises UserError if it holds something."""
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(f"{folder}: exists and is not an empty folder; give another --out")
        folder.mkdir(parents=True, exist_ok=True)
        names = names_bytes(self.entries)
        tree = {"kind": KIND, "about": self.about, "names": hashlib.sha256(names).hexdigest(), "rows": self.rows}
        write_atomic(folder / NAMES, [names])
        save_checkpoint(folder / ROWS, tree)

    @classmethod
    def load(cls, folder: Path) -> "Index":
        """Read an index.  Raises UserError for none, a damaged one, or files that do not belong together."""
        if not (folder / ROWS).is_file():
            raise UserError(f"{folder}: no index: it has no {ROWS}; make one with `tinymed index RUN DATA --out DIR`")
        try:
            tree = load_checkpoint(folder / ROWS)
        except CheckpointError as error:
            raise UserError(f"{folder}: the index cannot be read: {error.message}") from None
        rows, about = tree.get("rows"), tree.get("about")
        known = isinstance(about, dict) and about.keys() >= ABOUT
        if tree.get("kind") != KIND or not isinstance(rows, np.ndarray) or not isinstance(about, dict) or not known:
            raise UserError(f"{folder / ROWS}: is no index of this version; make it again with `tinymed index`")
        try:
            names = (folder / NAMES).read_bytes()
        except OSError as error:
            raise UserError(f"{folder / NAMES}: cannot be read ({error.strerror}); make the index again") from None
        if hashlib.sha256(names).hexdigest() != tree.get("names"):
            raise UserError(f"{folder / NAMES}: is not the list that this index was made with; make the index again")
        entries = names_from_bytes(names)
        if rows.ndim != 2 or rows.dtype != np.float32 or len(rows) != len(entries) or not np.isfinite(rows).all():
            raise UserError(f"{folder / ROWS}: damaged: its rows do not fit its list; make the index again")
        return cls(rows, entries, about)

    def check_model(self, model: Any, folder: Path, run: Path) -> None:
        """Raise UserError unless this network has made the index."""
        if self.about.get("model") != model_digest(model):
            raise UserError(
                f"{folder}: was made by another network, or other weights, than those of {run}: distances would mean "
                "nothing; make it again with `tinymed index`, or give the run it was made by"
            )

    def file(self, place: int) -> Path:
        """Return where the picture of an entry lies, as far as the index knows."""
        name = self.entries[place].path
        return find_number(name) or Path(self.about.get("root") or ".") / name


def model_digest(model: Any) -> str:
    """Return SHA-256, in hex, of a network's weights and statistics with their names."""
    return digest(as_arrays(dict(model.state_dict())))


def guarded(field: str) -> str:
    """Return a field that no spreadsheet takes for a formula: an apostrophe before what begins like one.

    Example:
        >>> guarded("=1+1.png"), guarded("a.png")
        ("'=1+1.png", 'a.png')
    """
    return f"'{field}" if field.startswith(FORMULA) else field


def names_bytes(entries: Sequence[Entry]) -> bytes:
    """Return the list as CSV: any name survives, whatever its characters, and bytes that are not UTF-8 too."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(Entry._fields)
    writer.writerows([guarded(field) for field in entry] for entry in entries)
    return text.getvalue().encode("utf-8", "surrogateescape")


def names_from_bytes(content: bytes) -> list[Entry]:
    """Read what `names_bytes` wrote.  Raises UserError for another content."""
    text = content.decode("utf-8", "surrogateescape")
    rows = list(csv.reader(io.StringIO(text, newline="")))
    if not rows or tuple(rows[0]) != Entry._fields or any(len(row) != len(Entry._fields) for row in rows):
        raise UserError(f"{NAMES}: is no list of an index; make the index again")
    return [Entry(*(field.removeprefix("'") for field in row)) for row in rows[1:]]


def shown(entry: Entry) -> str:
    """Return an entry as a line of text shows it: no character of a name can move the cursor or end the line."""
    return "".join(c if c.isprintable() else "?" for c in printable(f"{entry.label or '-'}  {entry.path}"))
