"""Rows of features as a file: NumPy's archive or a list, whole or not at all."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from ..files import write_atomic

FORMATS = (".npz", ".csv")


class Table(NamedTuple):
    """Rows of several parts of a data set.

    Attributes:
        kind: What the rows hold: "features" or "codes".
        rows: float32 or uint8 [n, d].
        names: Of the images.
        labels: What each is labelled as.
        splits: The part that each belongs to.
    """

    kind: str
    rows: np.ndarray
    names: Sequence[str]
    labels: Sequence[str]
    splits: Sequence[str]


def check_format(path: Path) -> None:
    """Raise UserError unless a file of this name can be written: .npz or .csv, in a folder that is there."""
    if path.suffix.lower() not in FORMATS:
        raise UserError(f"--out {path}: its name ends in {' or '.join(FORMATS)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"--out {path}: there is no folder {path.parent}; make it first")


def write_table(path: Path, table: Table) -> None:
    """Write rows with names, labels and parts.

    .npz holds arrays "features" or "codes", "names", "labels" and "splits", which numpy.load reads without pickle; .csv
    has the columns name, split, label and f0, f1, ... or b0, b1, ...

    Example:
        >>> write_table(Path("two.csv"), Table("codes", np.eye(2, dtype=np.uint8), "ab", "xy", ["all", "all"]))
        >>> print(Path("two.csv").read_text().splitlines()[1])
        a,all,x,1,0
    """
    if path.suffix.lower() == ".npz":
        content = io.BytesIO()
        texts = {name: np.array(getattr(table, name), np.str_) for name in ("names", "labels", "splits")}
        np.savez_compressed(content, allow_pickle=False, **{table.kind: table.rows}, **texts)
        write_atomic(path, [content.getbuffer()])
        return
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    letter = "b" if table.kind == "codes" else "f"
    writer.writerow(["name", "split", "label", *(f"{letter}{i}" for i in range(table.rows.shape[1]))])
    for name, split, label, row in zip(table.names, table.splits, table.labels, table.rows.tolist(), strict=True):
        writer.writerow([name, split, label, *row])
    write_atomic(path, [text.getvalue().encode()])
