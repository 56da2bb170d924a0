"""Which cases of a long list run every time: a slice chosen by their names, the same ones in each run.

The others are run by `pytest -m full`.
"""

import zlib
from collections.abc import Iterable
from typing import Any

import pytest


def one_in(n: int, cases: Iterable[Any], name: Any = str, always: Iterable[str] = ()) -> list[Any]:
    """Return parameters of a test: one case in n runs every time, besides those whose names are in `always`.

    cases: values, or tuples of values.  name: makes of a case what it is called.

    Example:
        >>> [bool(case.marks) for case in one_in(2, "abcd", always=("a",))]
        [False, True, True, False]
    """
    found = []
    for case in cases:
        values = case if isinstance(case, tuple) else (case,)
        called = name(case)
        every_time = called in always or zlib.crc32(called.encode()) % n == 0
        found.append(pytest.param(*values, id=called, marks=() if every_time else pytest.mark.full))
    return found
