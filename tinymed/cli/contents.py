"""The commands with the first words of their help, for `tinymed --help`: read from their files, of which none is run.

To import all of them takes three times as long, because the options of `train` are the schemas of every task.
"""

import ast
from collections.abc import Callable, Sequence
from pathlib import Path

from .app import app


def listed(names: Sequence[str]) -> None:
    """Register commands by their names and help alone, in a process that shows nothing else."""
    for name in names:
        app.command(name=name)(stand_in(docstring(name)))


def docstring(name: str) -> str:
    """Return the docstring of a command's function, which has the command's name."""
    function = name.replace("-", "_")
    tree = ast.parse((Path(__file__).parent / f"{function}.py").read_text(encoding="utf-8"))
    found = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function)
    return ast.get_docstring(found) or ""


def stand_in(text: str) -> Callable[[], None]:
    """Return a function with this docstring that does nothing."""

    def command() -> None:
        """Do nothing."""

    command.__doc__ = text
    return command
