"""What was predicted of each image, as a list."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...files import write_atomic


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Write rows of the same keys as CSV, whole or not at all; None is an empty field."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, [text.getvalue().encode()])
