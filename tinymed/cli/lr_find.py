"""`tinymed lr-find`: its options are those of `train`.  What it does is in `lr_range.py`."""

from typing import Annotated, Any

import typer

from .app import Computing, app, examples
from .options import Given, all_options, parameter, path_option, with_options

# Options of `train` that a test of the learning rate leaves without effect.
ABSENT = {"data", "lr", "schedule", "epochs", "steps", "early_stop", "monitor", "keep", "checkpoint_every"}


def lr_find(given: Given) -> int:
    """Raise the learning rate step by step from very small to too large, and suggest one from how the loss falls.

    The rule: of the smoothed loss against the logarithm of the rate, the rate where it falls most steeply before it is
    lowest.  Nothing is kept of the network; val and test are not looked at.
    """
    from .lr_range import lr_find_command

    return lr_find_command(given)


def typed(kind: Any, help: str) -> Any:
    """Return the annotation of an option that only this command has."""
    return Annotated[kind | None, typer.Option(help=help, rich_help_panel="Range", show_default=False)]


DATA: Any = Annotated[
    str | None, typer.Argument(help="The images, as --data of train; by default synthetic.", show_default=False)
]
BEFORE = {
    "data": DATA,
    "low": typed(float, "Learning rate of the first step (1e-6)."),
    "high": typed(float, "Learning rate of the last step (1)."),
    "range_steps": typed(int, "Number of steps (150)."),
    "out": path_option("Range", "Folder of lr_find.json, .csv and .png (runs/lr-find)."),
    "as_json": Annotated[bool | None, typer.Option("--json", help="Print one JSON object and nothing else.")],
}
OPTIONS = {name: option for name, option in all_options().items() if name not in ABSENT}

command = with_options(lr_find, BEFORE, [parameter(option) for option in OPTIONS.values()])
app.command(
    cls=Computing,
    name="lr-find",
    epilog=examples(
        "tinymed lr-find DIR --positive parasitized --batch 32",
        "tinymed lr-find DIR --task segmentation --model unet_small --size 128 --optimizer sgd --high 10",
    ),
)(command)
