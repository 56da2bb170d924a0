"""`tinymed runs`: run folders listed and compared."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import app, examples, say


@app.command(
    epilog=examples(
        "tinymed runs",
        "tinymed runs runs/dcnn-001 runs/dcnn-002 --curves losses.png",
        "tinymed runs --sort test.auc --descending --columns lr,batch,test.auc",
        "tinymed runs --filter recipe=steady --filter 'test.accuracy>0.9' --json",
        "tinymed runs runs/dcnn-001 --tensorboard events",
    )
)
def runs(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Run folders, or folders that hold some (runs).", show_default=False)
    ] = None,
    sort: Annotated[str, typer.Option(help="A column, or any key such as lr, data.size or test.auc.")] = "run",
    descending: Annotated[bool, typer.Option("--descending", help="The highest first.")] = False,
    choose: Annotated[
        list[str] | None,
        typer.Option("--filter", help="KEY=VALUE, or with !=, <, <=, >, >=, ~ (contains); may be repeated."),
    ] = None,
    columns: Annotated[str | None, typer.Option(help="Further keys to show, with commas.", show_default=False)] = None,
    curves: Annotated[
        Path | None, typer.Option(help="Draw the epochs into this PNG, or list them in this CSV.", show_default=False)
    ] = None,
    quantity: Annotated[str, typer.Option(help="What the curves are of, such as loss or accuracy.")] = "loss",
    listing: Annotated[Path | None, typer.Option("--csv", help="Write the table here.", show_default=False)] = None,
    tensorboard: Annotated[
        Path | None, typer.Option(help="Write the epochs as TensorBoard's events below here.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON list and nothing else.")] = False,
) -> None:
    """List run folders: what each is, how far it came, its best epoch, what it scores on val and test.

    Every value of a run's configuration and metrics can be shown, sorted by and chosen by.
    """
    from ..runs.listing import COLUMNS, check_key, find_runs, matches, ordered, read_run
    from ..tasks.results.rows import write_rows

    found = []
    for folder in find_runs(folders or [Path("runs")]):
        try:
            found.append(read_run(folder))
        except UserError as error:
            say(f"left out {error}")
    kept = [run for run in found if all(matches(run, condition) for condition in choose or [])]
    if not kept:
        raise UserError(f"none of {len(found)} runs is left; --filter chose them")
    kept = ordered(kept, sort, descending)
    more = [name.strip() for name in (columns or "").split(",") if name.strip()]
    for name in more:
        check_key(kept, name, "--columns")
    names = [name for name in (*COLUMNS, *more) if name in more or any(run.row.get(name) is not None for run in kept)]
    rows = [{name: run.value(name) for name in names} for run in kept]
    if listing is not None:
        write_rows(listing, rows)
        say(f"table: {listing}")
    if curves is not None:
        say(f"curves: {save_curves(curves, kept, quantity)}")
    if tensorboard is not None:
        save_events(tensorboard, kept)
    print(json.dumps([run.row | {"keys": run.keys} for run in kept]) if as_json else table_text(names, rows))


def table_text(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    """Return the runs as a table."""
    from ..report.tables import table

    return table([tuple(name.replace("_", " ") for name in names), *(tuple(map(cell, row.values())) for row in rows)])


def cell(value: Any) -> str:
    """Return a value as a table has it."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"[{', '.join(cell(each) for each in value)}]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def save_curves(path: Path, found: Sequence[Any], quantity: str) -> Path:
    """Write the epochs of runs as a picture or a list.  Raises UserError."""
    from ..report.plots import save_runs
    from ..tasks.results.rows import write_rows

    histories = {str(run.folder): run.history for run in found if run.history}
    if not histories:
        raise UserError(f"--curves {path}: no run has finished an epoch")
    if path.suffix.lower() == ".png":
        save_runs(histories, path, quantity)
        return path
    if path.suffix.lower() != ".csv":
        raise UserError(f"--curves {path}: is drawn as .png or listed as .csv")
    keys = list(dict.fromkeys(key for history in histories.values() for row in history for key in row))
    rows = [
        {"run": name} | {key: row.get(key) for key in keys} for name, history in histories.items() for row in history
    ]
    write_rows(path, rows)
    return path


def save_events(folder: Path, found: Sequence[Any]) -> None:
    """Write the epochs of runs as TensorBoard's events, a folder a run."""
    from ..runs.events import write_events

    for run in found:
        if run.history:
            write_events(folder / run.folder.name, run.history)
    say(f"events: tensorboard --logdir {folder}")
