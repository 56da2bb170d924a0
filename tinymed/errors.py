"""The one error a user can cause and mend; the command line prints it as one line."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class UserError(ValueError):
    """A wrong file, argument or value: says what was given, what is accepted and what to do."""


@contextmanager
def one_line_for_commands() -> Iterator[None]:
    """End a command with one line where an environment variable that is read at import has a wrong value.

    In a program that imports tinymed the ValueError is raised as it is.
    """
    try:
        yield
    except ValueError as error:
        if Path((getattr(sys, "argv", None) or [""])[0]).stem not in ("tinymed", "-m", "__main__"):
            raise
        sys.stderr.write(f"tinymed: {error}\n")
        raise SystemExit(2) from None
