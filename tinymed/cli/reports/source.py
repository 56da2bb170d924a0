"""The files of a finished run, read and held to each other; what is missing or damaged is said with its remedy."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...data.dicom.privacy import find_number
from ...errors import UserError
from ...files import read_json
from ...metrics.classification import normalise_rows
from ...tasks.results.rows import Cases, read_cases
from ...train.run import LOG, METRICS, PREDICTIONS, Run
from ..decision import stored

WHOLE = ("test", "val")  # the part that a run's predictions are of: the first that was measured


@dataclass
class Source:
    """A finished run as its folder holds it."""

    run: Run
    metrics: dict[str, Any]
    cases: Cases
    part: str
    history: list[dict[str, Any]] = field(default_factory=list)

    @property
    def config(self) -> Any:
        """Return the run's configuration."""
        return self.run.config

    @property
    def measured(self) -> dict[str, Any]:
        """Return the metrics of the part that the predictions are of."""
        found: dict[str, Any] = self.metrics[self.part]
        return found


@contextmanager
def as_written(path: Path, remedy: str) -> Iterator[None]:
    """Turn what goes wrong with the content of a file into an error that names it and says what to do."""
    try:
        yield
    except (KeyError, ValueError, TypeError, IndexError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        why = f"{type(error).__name__}: {error}"
        raise UserError(f"{path}: does not hold what a run writes there ({why}); {remedy}") from None


def open_source(folder: Path) -> Source:
    """Return a finished run.  Raises UserError naming the file that is missing or damaged."""
    run = Run.open(folder)
    try:
        metrics = read_json(folder / METRICS)
    except FileNotFoundError:
        raise UserError(
            f"{folder}: has no {METRICS}: the run is not finished; `tinymed train --resume {folder}` goes on with it"
        ) from None
    parts = [name for name in WHOLE if isinstance(metrics.get(name), dict)]
    if not parts:
        raise UserError(f"{folder / METRICS}: holds neither test nor val; `tinymed train --resume {folder}` writes it")
    cases = read_cases(folder / PREDICTIONS)
    n, listed = metrics[parts[0]].get("n"), len(cases["path"])
    if isinstance(n, int) and n != listed:
        raise UserError(
            f"{folder / PREDICTIONS}: lists {listed} images, and {METRICS} is of {n}; delete the list, and "
            f"`tinymed evaluate {folder}` writes it anew"
        )
    return Source(run, metrics, cases, parts[0], read_history(folder / LOG))


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return what the log says of each epoch, [] without a log.  Raises UserError naming the damaged line."""
    if not path.exists():
        return []
    epochs: dict[int, dict[str, Any]] = {}
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        try:
            row = json.loads(line)
            if row.get("event") == "epoch":
                epochs[int(row["epoch"])] = row  # an epoch that was repeated after an interruption counts once
        except (ValueError, AttributeError, KeyError, TypeError):
            if number < len(lines):  # a last line may have been cut when the machine stopped
                raise UserError(f"{path}: line {number} is not what a run logs; move the file away") from None
    return [epochs[number] for number in sorted(epochs)]


def probabilities(source: Source) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (probabilities [n, classes], class numbers [n]); None for a task or head that has none."""
    found = source.run.task.class_scores(source.config, source.cases)
    if found is None:
        return None
    scores, labels = found
    rows = normalise_rows(scores)
    return None if rows is None else (rows, labels)


def kept(source: Source, name: str) -> tuple[dict[str, Any] | None, str]:
    """Return (the temperature or threshold of these weights, "") or (None, why there is none)."""
    try:
        return stored(source.run, None, name), ""
    except UserError as error:
        return None, str(error)


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file in hex, read in pieces."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            sha.update(piece)
    return sha.hexdigest()


def image_file(data: str | Path, name: str) -> Path:
    """Return where the image of a row of predictions lies: below the data, beside the list, or by DICOM number."""
    place = Path(data)
    return find_number(name) or (place if place.is_dir() else place.parent) / name
