"""`tinymed sweep`: its options are those of `train`.  What it does is in `sweeping.py`."""

from typing import Annotated, Any

import typer

from .app import Computing, app, examples
from .options import Given, all_options, parameter, path_option, with_options


def sweep(given: Given) -> int:
    """Train with every setting of a grid, or with random ones, and choose by the validation part.

    The test part is not looked at: train the chosen setting with `tinymed train` for that.  Each setting and seed is a
    run folder in --out; an interrupted sweep goes on when the command is repeated.
    """
    from .sweeping import sweep_command

    return sweep_command(given)


def typed(kind: Any, help: str) -> Any:
    """Return the annotation of an option that only this command has."""
    return Annotated[kind | None, typer.Option(help=help, rich_help_panel="Sweep", show_default=False)]


DATA: Any = Annotated[
    str | None, typer.Argument(help="The images, as --data of train; by default synthetic.", show_default=False)
]
BEFORE = {
    "data": DATA,
    "grid": typed(list[str], "OPTION=VALUE,VALUE: values of any option of train; may be repeated."),
    "range": typed(list[str], "OPTION=LOW:HIGH, with --random; logarithmic where LOW is above 0; may be repeated."),
    "random": typed(int, "Try so many random settings of --grid and --range, instead of all of the grid."),
    "seeds": typed(int, "Runs of each setting, with the seeds from --seed on (1)."),
    "choose": typed(str, "The measure of val that chooses (--monitor)."),
    "out": path_option("Run", "Folder of the sweep (runs/sweep)."),
    "as_json": Annotated[bool | None, typer.Option("--json", help="Print one JSON object and nothing else.")],
}
OPTIONS = {name: option for name, option in all_options().items() if name != "data"}

command = with_options(sweep, BEFORE, [parameter(option) for option in OPTIONS.values()])
app.command(
    cls=Computing,
    name="sweep",
    epilog=examples(
        "tinymed sweep DIR --grid lr=1e-4,1e-3,1e-2 --epochs 10 --positive parasitized",
        "tinymed sweep DIR --grid optimizer=adam,sgd --grid batch=16,64 --seeds 3",
        "tinymed sweep DIR --random 20 --range lr=1e-5:1e-1 --range weight-decay=1e-6:1e-2",
    ),
)(command)
