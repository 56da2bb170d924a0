"""The command line: one file a command, imported by name so that `tinymed --help` stays quick."""

import sys
from importlib import import_module

from .app import app, run

# Each module registers its command on `app` when it is imported; the order is that of `tinymed --help`.
COMMANDS = (
    "train",
    "compare",
    "evaluate",
    "predict",
    "export",
    "models",
    "show",
    "check",
    "bench",
    "ladder",
    "puzzle",
    "audit",
    "warmup",
    "doctor",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 1 (it failed), 2 (wrong input), 130 or 143 (interrupted)."""
    load_commands()
    return run(app, sys.argv[1:] if arguments is None else arguments)


def load_commands() -> None:
    """Register every command."""
    for name in COMMANDS:
        import_module(f"{__name__}.{name}")
