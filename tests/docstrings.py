"""Code that docstrings show, as something a test can run."""

import textwrap
from types import ModuleType
from typing import Any


def shown(module: ModuleType, first: str) -> str:
    """The indented block of a module's docstring that begins with a line, down to the next that is not part of it."""
    lines = (module.__doc__ or "").splitlines()
    start = next(i for i, line in enumerate(lines) if line.strip().startswith(first))
    end = next((i for i in range(start, len(lines)) if lines[i] and not lines[i].startswith("    ")), len(lines))
    return textwrap.dedent("\n".join(lines[start:end])).strip()


def run(code: str, **scope: Any) -> dict[str, Any]:
    """The names that such code defines."""
    exec(code, scope)  # noqa: S102  the package's own docstring
    return scope
