"""What a run was trained with, kept beside it: versions and processor, never the name of a machine or user.

environment.json: {"sittings": [{"tinymed": "0.1.0", ..., "backend": "numba"}, ...]}, one more where a run went on
elsewhere
"""

import os
import platform
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_json
from .doctor import versions

FILE = "environment.json"


def environment(backend: str) -> dict[str, Any]:
    """Return versions, system and processor of this process."""
    found: dict[str, Any] = {name: value for name, value in versions().items() if value != "absent"}
    found |= {"system": platform.system(), "machine": platform.machine(), "processors": os.cpu_count() or 0}
    return found | {"backend": backend}


def note_environment(folder: Path, backend: str) -> None:
    """Write down what a run is trained with, unless it is what was written last."""
    here, before = environment(backend), sittings(folder)
    if not before or before[-1] != here:
        write_json(folder / FILE, {"sittings": [*before, here]})


def sittings(folder: Path) -> list[dict[str, Any]]:
    """Return what a run was trained with, one after the other; [] of runs that did not keep it.

    Raises UserError where the file is damaged.
    """
    try:
        found = read_json(folder / FILE).get("sittings")
    except FileNotFoundError:
        return []
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise UserError(f"{folder / FILE}: does not hold what a run writes there; move the file away")
    return found
