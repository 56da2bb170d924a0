"""The command line: one file a command, imported by name so that `tinymed --help` stays quick."""

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from .app import app, run

# Each module registers its command on `app` when it is imported; the order is that of `tinymed --help`.
COMMANDS = (
    "train",
    "cv",
    "sweep",
    "lr-find",
    "pretrain",
    "data",
    "compare",
    "evaluate",
    "predict",
    "generate",
    "serve",
    "explain",
    "report",
    "features",
    "export",
    "register",
    "index",
    "search",
    "image",
    "models",
    "show",
    "check",
    "bench",
    "ladder",
    "puzzle",
    "emulate",
    "audit",
    "warmup",
    "build",
    "doctor",
    "runs",
    "config",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (it failed), 2 (wrong input), 130 or 143 (interrupted)."""
    given = sys.argv[1:] if arguments is None else arguments
    first = given[0] if given else completed_command()
    names = (first,) if first in COMMANDS else COMMANDS
    if arguments is None:  # a process of its own: nothing of what it imports becomes garbage
        with without_collection():
            list_commands() if only_lists(given) else load_commands(names)
        gc.freeze()
    else:
        load_commands(names)
    return run(app, given, prepare)


def only_lists(given: Sequence[str]) -> bool:
    """Say whether a command line asks for the list of commands and nothing else."""
    return list(given) in ([], ["-h"], ["--help"]) and "_TINYMED_COMPLETE" not in os.environ


def list_commands() -> None:
    """Register every command by its name and help alone."""
    from .contents import listed

    listed(COMMANDS)


def completed_command() -> str:
    """Return the command whose words a shell asks completions for, once it is written out; else ""."""
    words = os.environ.get("COMP_WORDS", "").split() if "_TINYMED_COMPLETE" in os.environ else []
    written_out = bool(words[1:]) and os.environ.get("COMP_CWORD", "0") not in ("0", "1")
    return words[1] if written_out else ""


def prepare(arguments: Sequence[str]) -> Sequence[str] | None:
    """Return a command line as it is read: with the values of the file that it names, see `config_file.py`."""
    if not any(word.partition("=")[0] in ("--config", "--save-config") for word in arguments):
        return arguments
    from .config_file import expand

    load_commands()  # a file may have tables of other commands
    return expand(arguments)


@contextmanager
def without_collection() -> Iterator[None]:
    """Collect no garbage inside."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


def load_commands(names: Sequence[str] = COMMANDS) -> None:
    """Register commands, by default every one; they are listed in the order of COMMANDS."""
    for name in names:
        import_module(f"{__name__}.{name.replace('-', '_')}")
    app.registered_commands.sort(key=lambda command: COMMANDS.index(name_of(command)))


def name_of(command: Any) -> str:
    """Return the name of a registered command: the one that it was given, or that of its function."""
    return str(command.name or command.callback.__name__)
