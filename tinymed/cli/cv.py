"""`tinymed cv`: its options are those of `train`.  What it does is in `cross_validation.py`."""

from typing import Annotated, Any

import typer

from .app import Computing, app, examples
from .options import Given, all_options, parameter, path_option, with_options

ABSENT = {"data", "test_fraction"}  # the data are the argument, and the folds are the test


def cv(given: Given) -> int:
    """Cross-validate: train a network for each fold, and measure each image by the network that did not see it.

    No patient, group or copy of an image is divided where the data name them.  Statistics, class weights and the
    validation part come from what a fold's network learns from.  Each fold is a run folder in --out; an interrupted
    cross-validation goes on when the command is repeated.
    """
    from .cross_validation import cv_command

    return cv_command(given)


def typed(kind: Any, help: str) -> Any:
    """Return the annotation of an option that only this command has."""
    return Annotated[kind | None, typer.Option(help=help, rich_help_panel="Cross-validation", show_default=False)]


DATA: Any = Annotated[
    str | None, typer.Argument(help="The images, as --data of train; by default synthetic.", show_default=False)
]
BEFORE = {
    "data": DATA,
    "folds": typed(int, "Number of folds (5)."),
    "repeats": typed(int, "How often the data are divided anew, by the seeds after --seed (1)."),
    "with_test": Annotated[
        bool,
        typer.Option(
            "--with-test",
            help="Divide the data's own test part too, instead of leaving it untouched.",
            rich_help_panel="Cross-validation",
        ),
    ],
    "grid": typed(list[str], "OPTION=VALUE,VALUE: choose within each fold, by inner folds (nested); may be repeated."),
    "inner": typed(int, "Number of inner folds, with --grid (3)."),
    "out": path_option("Run", "Folder of the cross-validation (runs/cv)."),
    "as_json": Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")],
}
OPTIONS = {name: option for name, option in all_options().items() if name not in ABSENT}

command = with_options(cv, BEFORE, [parameter(option) for option in OPTIONS.values()])
app.command(
    cls=Computing,
    name="cv",
    epilog=examples(
        "tinymed cv DIR --positive parasitized --epochs 20",
        "tinymed cv list.csv --group-column patient --folds 5 --repeats 2 --out runs/malaria-cv",
        "tinymed cv DIR --folds 5 --grid lr=1e-3,3e-4 --grid batch=16,32 --inner 3",
        "tinymed cv DIR --task segmentation --folds 4",
    ),
)(command)
