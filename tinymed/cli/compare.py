"""`tinymed compare`: its options are those of a classification.  What it does is in `comparing.py`."""

from typing import Annotated, Any

import typer

from .. import tasks
from .app import Computing, app, examples
from .options import Given, parameter, path_option, with_options

PAPERS = "dcnn resnet50 xception densenet121 dcnn_vgg16"
# Options of `train` that compare has not: it names networks itself, and every run begins anew.
ABSENT = {"task", "model", "init", "freeze", "freeze_statistics", "lr_for", "padding", "statistics", "synthetic_images"}
ABSENT |= {"difficulty"}  # it needs --data
HELP = {
    "option": "NAME=VALUE, for networks that take it; may be repeated.",
    "size": "Side that images are resized to, in pixels (64).",
    "batch": "Images in a step (32).",
    "epochs": "Passes over the training set (20).",
    "recipe": "How to train where no option says: paper, steady or quick (paper).",
    "positive": "Of two classes, the one that sensitivity speaks of (the second).",
}


def compare(given: Given) -> int:
    """Compare trained runs, or train several networks on one split with one recipe and compare them.

    Two run folders (or two of `tinymed cv`) are compared image by image: the difference of every measure with its
    interval, DeLong's and McNemar's tests.  Else the arguments are networks.

    Each is a run folder in --out, trained in a process of its own.  What is there already with the same settings is not
    trained again, and an interrupted comparison goes on when the command is repeated.  Classical classifiers may stand
    among them: bagging, boosting, cart, elm, knn, majority, pnn, svm, svm_linear and svr, on --features, or each on its
    own, as svm@hog+lbp.  Every row is compared with the first, image by image.
    """
    more = given.pop("more", [])
    from .paired_runs import compare_runs, is_run

    if more and "models" not in given and any(map(is_run, more)):
        return compare_runs(more, given)
    names = " ".join([given.pop("models", "" if more else PAPERS), *more])
    from .comparing import compare_command

    return compare_command(names.replace(",", " ").split(), given)


def typed(kind: Any, panel: str, help: str) -> Any:
    """Return the annotation of an option that only this command has."""
    return Annotated[kind | None, typer.Option(help=help, rich_help_panel=panel, show_default=False)]


def switch(panel: str, help: str) -> Any:
    """Return the annotation of a switch that only this command has; its name follows below."""
    return Annotated[bool | None, typer.Option(help=help, rich_help_panel=panel, show_default=False)]


BEFORE = {
    "more": Annotated[
        list[str] | None, typer.Argument(help="Two run folders, or further networks.", show_default=False)
    ],
    "models": typed(str, "Model", f"The networks, see `tinymed models` ({PAPERS})."),
    "width": typed(float, "Model", "Multiplier of the channels, of networks that have one (1)."),
    "features": typed(
        str,
        "Classical",
        "What they see: pixels, gist, glcm, histogram, hog, lbp, words, RUN or RUN:LAYER, joined by + (pixels).",
    ),
    "l2": switch("Classical", "Divide each source's row by its length before they are joined."),
    "spatial": typed(str, "Classical", "Of a layer's maps: mean or max over places, or flatten (mean)."),
    "inner_folds": typed(
        int, "Classical", "Choose their options in so many folds of train (0: on val; without a test part 5)."
    ),
    "out": path_option("Run", "Folder of the comparison (runs/compare; of two runs none)."),
    "as_json": Annotated[bool | None, typer.Option("--json", help="Print one JSON object and nothing else.")],
}
OPTIONS = {n: o for n, o in tasks.find(tasks.DEFAULT).options.items() if n not in ABSENT}

command = with_options(compare, BEFORE, [parameter(o, HELP.get(n, "")) for n, o in OPTIONS.items()])
app.command(
    cls=Computing,
    name="compare",
    epilog=examples(
        f"tinymed compare --models {PAPERS} --data DIR --width 0.25 --size 64",
        "tinymed compare runs/dcnn-001 runs/resnet20-001",
        "tinymed compare --models dcnn resnet20 --data DIR --epochs 10 --out runs/two",
        "tinymed compare --models majority dcnn svm_linear@hog+lbp knn pnn --data DIR",
        "tinymed compare --models svm@pixels svm@runs/dcnn-001:classifier.0+hog --data DIR --l2 --json",
    ),
)(command)
