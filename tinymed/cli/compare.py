"""`tinymed compare`: its options.  What it does is in `comparing.py`, imported when it runs."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app, examples
from .train import (
    AUGMENT,
    DATA,
    LOOP,
    MODEL,
    RUN,
    Augment,
    Data,
    Grey,
    Head,
    Keep,
    Leaks,
    Normalise,
    Number,
    Real,
    Schedule,
    Switch,
    Text,
    option,
)

PAPERS = "dcnn resnet50 xception densenet121 dcnn_vgg16"


@app.command(
    epilog=examples(
        f"tinymed compare --models {PAPERS} --data DIR --width 0.25 --size 64",
        "tinymed compare --models dcnn resnet20 --data DIR --epochs 10 --out runs/two",
    )
)
def compare(
    more: Annotated[list[str] | None, typer.Argument(help="Further networks.", show_default=False)] = None,
    models: Annotated[Text, option(MODEL, f"The networks, see `tinymed models` ({PAPERS}).", "--models")] = None,
    width: Annotated[Real, option(MODEL, "Multiplier of the channels, of networks that have one (1).")] = None,
    option_: Annotated[list[str] | None, option(MODEL, "NAME=VALUE, for networks that take it.", "--option")] = None,
    head: Head = None,
    data: Data = None,
    size: Annotated[Number, option(DATA, "Side that images are resized to, in pixels (64).")] = None,
    grey: Grey = None,
    merge: Annotated[list[str] | None, option(DATA, "Put classes together: NEW=OLD,OLD; for every new class.")] = None,
    normalise: Normalise = None,
    leaks: Leaks = None,
    epochs: Annotated[Number, option(LOOP, "Passes over the training set (20).")] = None,
    steps: Annotated[Number, option(LOOP, "Optimiser steps, instead of epochs.")] = None,
    batch: Annotated[Number, option(LOOP, "Images a step (32).")] = None,
    optimizer: Annotated[Text, option(LOOP, "adam, adamw, sgd, momentum, nesterov, rmsprop or adagrad (adam).")] = None,
    lr: Annotated[Real, option(LOOP, "Learning rate (0.001).")] = None,
    weight_decay: Annotated[Real, option(LOOP, "L2 penalty; decoupled with adamw (0).")] = None,
    clip_norm: Annotated[Real, option(LOOP, "Largest norm of the gradients.")] = None,
    schedule: Schedule = None,
    keep: Keep = None,
    augment: Augment = None,
    flip: Annotated[Switch, option(AUGMENT, "Mirror left-right and up-down.", "--flip")] = None,
    horizontal_flip: Annotated[Switch, option(AUGMENT, "Mirror left-right.", "--horizontal-flip")] = None,
    positive: Annotated[Text, option(RUN, "Of two classes, the one that sensitivity speaks of (the second).")] = None,
    seed: Annotated[Number, option(RUN, "Of weights, order, augmentation, dropout and splits (0).")] = None,
    backend: Annotated[Text, option(RUN, "numba or numpy, see `tinymed doctor` (numba).")] = None,
    workers: Annotated[Number, option(RUN, "Threads that prepare images (2).")] = None,
    out: Annotated[Path | None, option(RUN, "Folder of the comparison (runs/compare).")] = None,
) -> None:
    """Train several networks on one split with one recipe; one table and one picture of how they compare.

    Each is a run folder in --out, trained in a process of its own.  What is there already with the same settings is not
    trained again, and an interrupted comparison goes on when the command is repeated.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    names = " ".join([given.pop("models", PAPERS if not more else ""), *given.pop("more", ())])
    from .comparing import compare_command

    raise typer.Exit(compare_command(names.replace(",", " ").split(), given))
