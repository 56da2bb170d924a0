"""`tinymed evaluate`: a trained run on a set of images.  What it does is in `evaluating.py`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from .app import Computing, app, examples
from .options import CRF_HELP, STEPS_HELP, Given, keyword, path_option, required, with_options


def evaluate(given: Given) -> int:
    """Measure a trained run on a set of images, by the measures of its task, with intervals and floors.

    What is chosen after training, a temperature or a threshold, is chosen on the run's validation part, kept with the
    run, and used where it is asked for.
    """
    from .evaluating import evaluate_command

    return evaluate_command(given)


def typed(kind: Any, help: str, *names: str, panel: str | None = None) -> Any:
    """Return the annotation of an option."""
    return Annotated[kind | None, typer.Option(*names, help=help, rich_help_panel=panel, show_default=False)]


AFTER = "After training"
RUN: Any = Annotated[Path, typer.Argument(help="The run's folder.", show_default=False)]
OPTIONS = {
    "data": typed(str, "Images as for train; without it the run's own."),
    "split": typed(str, "Which part: train, val or test (test if there is one; without parts all)."),
    "weights": typed(str, "best or last (what the run keeps)."),
    "backend": typed(str, "numba, loops, numpy, cuda, cupy or emulated (the run's)."),
    "postprocess": typed(str, STEPS_HELP),
    "crf": typed(str, CRF_HELP),
    "skip_bad": typed(bool, "Leave unreadable images out and list them.", "--skip-bad"),
    "as_json": typed(bool, "Print one JSON object and nothing else.", "--json"),
    "predictions": path_option(
        AFTER, "List what is predicted of each image in this CSV (of the run's own parts: in its folder)."
    ),
    "calibrate": typed(
        bool, "Fit a temperature to the run's val part, keep it with the run, and use it.", "--calibrate", panel=AFTER
    ),
    "calibrated": typed(bool, "Use the temperature that is kept with the run.", "--calibrated", panel=AFTER),
    "threshold": typed(
        str,
        "Choose a threshold on the run's val part and keep it: youden, 'sensitivity>=0.95' or 'specificity>=0.9'.",
        panel=AFTER,
    ),
    "subgroup": typed(list[str], "Measure each value of a column of the list; may be repeated.", panel=AFTER),
    "pictures": path_option(AFTER, "Folder for pictures of reliability, precision and recall, and net benefit."),
}

command = with_options(
    evaluate, {}, [required("run", RUN), *(keyword(name, annotation) for name, annotation in OPTIONS.items())]
)
app.command(
    cls=Computing,
    name="evaluate",
    epilog=examples(
        "tinymed evaluate runs/dcnn-001",
        "tinymed evaluate runs/dcnn-001 --data DIR --split test",
        "tinymed evaluate runs/dcnn-001 --data DIR --json > result.json",
        "tinymed evaluate runs/unet-001 --postprocess auto --crf auto",
        "tinymed evaluate runs/unet-001 --postprocess largest,fill --crf w=4,d=40,c=15",
        "tinymed evaluate runs/dcnn-001 --calibrate --threshold 'sensitivity>=0.95' --pictures figures",
        "tinymed evaluate runs/dcnn-001 --subgroup sex --subgroup age",
    ),
)(command)
