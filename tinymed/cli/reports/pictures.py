"""Pictures of a report: what draws into a file gives its bytes here."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...report.document import Picture


def drawn(save: Callable[[Path], Any], alt: str, caption: str) -> Picture:
    """Return the picture that save(path) writes, drawn when it is asked for."""

    def draw() -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "picture.png"
            save(path)
            return path.read_bytes()

    return Picture(draw, alt, caption)
