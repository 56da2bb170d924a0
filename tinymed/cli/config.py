"""`tinymed config`: the schema of configuration files, a check of one, and the file that repeats a run."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..errors import UserError
from .app import app, examples


@app.command(
    epilog=examples(
        "tinymed config schema > tinymed.schema.json",
        "tinymed config check experiment.toml",
        "tinymed config of runs/dcnn-001 > again.toml",
        "tinymed train --config again.toml --seed 1",
    )
)
def config(
    action: Annotated[
        Literal["schema", "check", "of"],
        typer.Argument(help="schema: print the JSON Schema; check FILE; of RUN: print the file that repeats a run."),
    ],
    path: Annotated[Path | None, typer.Argument(help="The file, or the run's folder.", show_default=False)] = None,
) -> None:
    """Print the schema of configuration files, check one, or print the one that repeats a run.

    Any command takes its options from a TOML file with --config, and writes those that are given with --save-config.
    """
    from . import load_commands
    from .config_file import read_config_file
    from .config_schema import json_schema
    from .run_as_config import run_table

    load_commands()
    if action == "schema":
        if path is not None:
            raise UserError("config schema: takes no file; it prints one")
        print(json.dumps(json_schema(), indent=1, ensure_ascii=False))
        return
    if path is None:
        raise UserError(f"config {action}: name the {'file' if action == 'check' else 'run folder'}")
    if action == "of":
        print(run_table(path), end="")
        return
    tables = read_config_file(path)
    counted = ", ".join(f"[{name}] {len(values)}" for name, values in tables.items())
    print(f"{path}: is well formed: {counted or 'empty'}")
