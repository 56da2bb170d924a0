"""Which files `tinymed predict` takes, and its answers as a list."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..data.dicom.series import is_series
from ..data.image import is_picture
from ..data.walk import Account, files_below
from ..errors import UserError
from ..tasks.results.rows import write_rows
from .app import say

VOLUMES = (".nii", ".nii.gz")


def expand(images: Sequence[Path], volumes: bool = False) -> list[Path]:
    """Return the files that are named, and of each folder the images in it and below, sorted.

    volumes: the network takes volumes, and a folder of DICOM files is one.
    Raises UserError for a folder without any.
    """
    files: list[Path] = []
    for path in images:
        if not path.is_dir() or (volumes and is_series(path)):  # a series is one image
            files.append(path)
            continue
        account = Account()
        found = sorted(files_below(path, is_image, account))
        if not found:
            raise UserError(f"{path}: holds no image: {account.line()}")
        if account.remarkable:
            say(f"{path}: {account.line()}")
        files += found
    return files


def is_image(path: Path) -> bool:
    """Say whether a file is a picture or a volume by its name."""
    return is_picture(path) or path.name.lower().endswith(VOLUMES)


def list_predictions(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write answers as CSV, a row an image; what an image lacks is an empty field.  Raises UserError without rows."""
    if not rows:
        raise UserError(f"--csv {path}: no image could be read")
    flat = [flat_row(row) for row in rows]
    keys = list(dict.fromkeys(key for row in flat for key in row))
    write_rows(path, [{key: row.get(key) for key in keys} for row in flat])


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return an answer without nesting: {"scores": {"ill": .9}} is "score ill", a list stays as JSON.

    Example:
        >>> flat_row({"image": "a.png", "scores": {"ill": 0.9}, "boxes": [1, 2]})
        {'image': 'a.png', 'score ill': 0.9, 'boxes': '[1, 2]'}
    """
    found: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, Mapping):
            found |= {f"{name.removesuffix('s')} {inner}": each for inner, each in value.items()}
        else:
            found[name] = json.dumps(value) if isinstance(value, list) else value
    return found
