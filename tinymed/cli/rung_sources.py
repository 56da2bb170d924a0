"""The sources of a ladder's rungs: which files a rung is made of, and what changes from one to another."""

import difflib
import re
from typing import Any

from ..errors import UserError


def chosen_ladder(name: str) -> Any:
    """Return a ladder by name; UserError if there is none."""
    from ..cuda.ladders import LADDERS

    if name not in LADDERS:
        raise UserError(f"there is no ladder for {name!r}; choose one of {', '.join(sorted(LADDERS))}")
    return LADDERS[name]


def difference_of_rungs(name: str, first: int, second: int) -> str:
    """Return what changes in the source from one rung to another, as a unified diff.

    Args:
        name: The ladder's.
        first, second: The rungs' numbers, from 1.

    Raises:
        UserError: There is no such ladder or rung, or a rung is the engine's own kernel, which is no step but the end.
    """
    ladder = chosen_ladder(name)
    texts, labels = [], []
    for number in (first, second):
        if not 1 <= number <= len(ladder.rungs):
            raise UserError(f"--diff {number}: the ladder of {name} has rungs 1 to {len(ladder.rungs)}")
        rung = ladder.rungs[number - 1]
        if not rung.source.startswith("ladders/"):
            last = sum(r.source.startswith("ladders/") for r in ladder.rungs)
            raise UserError(
                f"--diff {number}: {rung.label} is the engine's own kernel, in csrc/{rung.source}; choose 1 to {last}"
            )
        texts.append(source_of(rung.source))
        labels.append(rung.label)
    before, after = (text.splitlines(keepends=True) for text in texts)
    lines = difflib.unified_diff(before, after, fromfile=labels[0], tofile=labels[1], n=3)
    return "".join(lines) or f"{labels[0]} and {labels[1]} are the same\n"


def source_of(source: str) -> str:
    """Return the text of a rung's file, behind the *_tile.cuh or levels.cuh of its ladder that it stands on."""
    from ..cuda.build import CSRC

    folder, text = CSRC / "ladders", (CSRC / source).read_text("utf-8")
    headers = re.findall(r'^#include "(\w+_tile\.cuh)"', text, re.MULTILINE)
    return "".join((folder / header).read_text("utf-8") for header in headers) + text
