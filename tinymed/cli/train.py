"""`tinymed train`: its options.  What it does is in `training.py`, imported when it runs."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

from .app import app, examples

Text: TypeAlias = str | None
Number: TypeAlias = int | None
Real: TypeAlias = float | None
Switch: TypeAlias = bool | None
DATA, MODEL, LOOP, AUGMENT, RUN = "Data", "Model", "Training", "Augmentation", "Run"
MASKS, TRANSFER = "Segmentation", "Transfer"


def option(panel: str, help: str, *names: str, **more: Any) -> Any:
    """An option whose default is None: what is not given is decided by the configuration's schema."""
    return typer.Option(*names, help=help, rich_help_panel=panel, show_default=False, **more)


# The options that take more than a line.
Data = Annotated[
    Text,
    option(
        DATA,
        "Folder of class folders, perhaps in train, val, test; .csv; .npz; MNIST's. "
        "Without it: built-in synthetic blood smears.",
    ),
]
Grey = Annotated[Switch, option(DATA, "One grey channel, or three of RGB (the model's own).", "--grey/--rgb")]
Normalise = Annotated[Switch, option(DATA, "Subtract the training set's mean, divide by its deviation.", "--normalise")]
Leaks = Annotated[Text, option(DATA, "An image or patient on two sides of a split: error, warn or ignore (error).")]
Head = Annotated[
    Text,
    option(
        MODEL,
        "sigmoid (one a class, as in the paper), softmax, or own: the "
        "model's loss (own where there is one, else sigmoid).",
    ),
]
Schedule = Annotated[
    Text, option(LOOP, "Learning rate: constant, cosine or plateau (constant; without --data cosine).")
]
Keep = Annotated[
    Text, option(LOOP, "Weights to evaluate: last, or best on val (last; best with --early-stop and without --data).")
]
Augment = Annotated[
    Switch,
    option(
        AUGMENT,
        "A mild mixture: flips, rotate 15, shift .05, scale .9 to 1.1, brightness .05, contrast .1.",
        "--augment",
    ),
]
Freeze = Annotated[
    list[str] | None, option(TRANSFER, "Layers that keep these weights: a name or pattern; may be repeated.")
]
FreezeStatistics = Annotated[
    Switch,
    option(TRANSFER, "Batch norm that is frozen evaluates with its running statistics.", "--freeze-statistics"),
]


@app.command(
    epilog=examples(
        "tinymed train",
        "tinymed train --data DIR --positive parasitized --epochs 20 --batch 128",
        "tinymed train lenet5 --data MNIST --positive 1 --epochs 5",
        "tinymed train --data DIR --steps 3000 --batch 32 --flip --early-stop 5",
        "tinymed train --task segmentation --data DIR --model unet_small --size 128",
        "tinymed train dcnn --data DIR --init runs/dcnn-001 --freeze features --lr-for classifier=1e-4",
        "tinymed train --task detection --data DIR --model unet_bn --option base=16 --flip",
        "tinymed train --resume runs/dcnn-001",
    )
)
def train(
    model: Annotated[Text, typer.Argument(help="The network, see `tinymed models` (dcnn).", show_default=False)] = None,
    task: Annotated[Text, option(RUN, "classification, segmentation or detection (classification).")] = None,
    model_: Annotated[Text, option(MODEL, "The network, instead of the argument.", "--model")] = None,
    data: Data = None,
    size: Annotated[Number, option(DATA, "Side that images are resized to, in pixels (the model's own).")] = None,
    grey: Grey = None,
    merge: Annotated[list[str] | None, option(DATA, "Put classes together: NEW=OLD,OLD; for every new class.")] = None,
    label_column: Annotated[Text, option(DATA, "Column of the label in a CSV (label).")] = None,
    group_column: Annotated[Text, option(DATA, "Column of the patient in a CSV: never divided by a split.")] = None,
    split: Annotated[Text, option(DATA, "How to divide: auto, stratified, grouped, last (auto).")] = None,
    val_fraction: Annotated[Real, option(DATA, "Part for validation (0.15; last: 0.3).")] = None,
    test_fraction: Annotated[Real, option(DATA, "Part for the test (0.15; last: 0).")] = None,
    normalise: Normalise = None,
    skip_bad: Annotated[Switch, option(DATA, "Leave unreadable images out and list them.", "--skip-bad")] = None,
    difficulty: Annotated[Real, option(DATA, "Of the synthetic smears, 0 to 1 (0.4).")] = None,
    leaks: Leaks = None,
    head: Head = None,
    padding: Annotated[Text, option(MODEL, "Of the convolutions: valid or same (valid).")] = None,
    statistics: Annotated[Text, option(MODEL, "Batch norm's running statistics: corrected, keras or torch.")] = None,
    option_: Annotated[list[str] | None, option(MODEL, "Any option of the model: NAME=VALUE.", "--option")] = None,
    init: Annotated[Path | None, option(TRANSFER, "Begin with the weights of this run or safetensors file.")] = None,
    freeze: Freeze = None,
    freeze_statistics: FreezeStatistics = None,
    lr_for: Annotated[list[str] | None, option(TRANSFER, "Rate of layers: PATTERN=RATE; may be repeated.")] = None,
    epochs: Annotated[Number, option(LOOP, "Passes over the training set (20; without --data 12).")] = None,
    steps: Annotated[Number, option(LOOP, "Optimiser steps, instead of epochs.")] = None,
    batch: Annotated[Number, option(LOOP, "Images a step (128; without --data 32).")] = None,
    optimizer: Annotated[Text, option(LOOP, "adam, adamw, sgd, momentum, nesterov, rmsprop or adagrad (adam).")] = None,
    lr: Annotated[Real, option(LOOP, "Learning rate (0.001).")] = None,
    weight_decay: Annotated[Real, option(LOOP, "L2 penalty; decoupled with adamw (0).")] = None,
    schedule: Schedule = None,
    clip_norm: Annotated[Real, option(LOOP, "Largest norm of the gradients.")] = None,
    class_weights: Annotated[Text, option(LOOP, "In the loss: none, balanced, tempered or 1,3.5 (none).")] = None,
    balanced: Annotated[Switch, option(LOOP, "Draw every class equally often.", "--balanced")] = None,
    early_stop: Annotated[Number, option(LOOP, "Stop after so many epochs without improvement.")] = None,
    monitor: Annotated[Text, option(LOOP, "What improves: val_loss, val_accuracy or val_auc (val_loss).")] = None,
    keep: Keep = None,
    augment: Augment = None,
    flip: Annotated[Switch, option(AUGMENT, "Mirror left-right and up-down (done without --data).", "--flip")] = None,
    horizontal_flip: Annotated[Switch, option(AUGMENT, "Mirror left-right.", "--horizontal-flip")] = None,
    rotate: Annotated[Real, option(AUGMENT, "Up to so many degrees either way.")] = None,
    shift: Annotated[Real, option(AUGMENT, "Up to this fraction of the side.")] = None,
    scale: Annotated[Text, option(AUGMENT, "From and to, such as 0.9,1.1.")] = None,
    noise: Annotated[Real, option(AUGMENT, "Standard deviation, images being 0 to 1.")] = None,
    brightness: Annotated[Real, option(AUGMENT, "Added, up to this either way.")] = None,
    contrast: Annotated[Real, option(AUGMENT, "Factor 1 plus or minus up to this.")] = None,
    elastic: Annotated[Real, option(AUGMENT, "Bend: deviation in pixels of displacements on a coarse grid.")] = None,
    elastic_grid: Annotated[Number, option(AUGMENT, "Points a side of that grid (3).")] = None,
    labels: Annotated[Text, option(MASKS, "What the masks' values mean: 0=background,255=lesion.")] = None,
    ignore: Annotated[Number, option(MASKS, "Value of pixels that do not count.")] = None,
    loss: Annotated[Text, option(MASKS, "cross_entropy, dice_cross_entropy, dice, focal_tversky, ...")] = None,
    patch: Annotated[Text, option(MASKS, "Train on patches of this side, or sides: 48,64,48 (volumes always).")] = None,
    per_image: Annotated[Number, option(MASKS, "Patches of each image in an epoch (1).")] = None,
    foreground: Annotated[Real, option(MASKS, "Share of patches centred on a label (0.5).")] = None,
    overlap: Annotated[Real, option(MASKS, "Of neighbouring tiles in prediction (0.5).")] = None,
    blend: Annotated[Text, option(MASKS, "Of overlapping tiles: gaussian or uniform (gaussian).")] = None,
    border_weight: Annotated[Real, option(MASKS, "w0 of U-Net's weight map of borders (0: none).")] = None,
    border_sigma: Annotated[Real, option(MASKS, "Its sigma in pixels (5).")] = None,
    border_class: Annotated[Text, option(MASKS, "The class that cells have (all but the first).")] = None,
    auxiliary: Annotated[Real, option(MASKS, "Weight of the losses on further outputs of a network (0.3).")] = None,
    positive: Annotated[Text, option(RUN, "The class that sensitivity speaks of (the second class).")] = None,
    seed: Annotated[Number, option(RUN, "Of weights, order, augmentation, dropout and splits (0).")] = None,
    backend: Annotated[Text, option(RUN, "numba, loops, numpy, cuda, cupy, emulated (TINYMED_BACKEND, numba).")] = None,
    workers: Annotated[Number, option(RUN, "Threads that prepare images (2).")] = None,
    out: Annotated[Path | None, option(RUN, "The run's folder, new or empty (runs/MODEL-NUMBER).")] = None,
    resume: Annotated[Path | None, option(RUN, "Continue the run in this folder, to the same bits.")] = None,
    checkpoint_every: Annotated[Number, option(RUN, "Steps between checkpoints; 0: only after epochs (100).")] = None,
) -> None:
    """Train a network and leave a run folder with its log, checkpoints, metrics and pictures.

    An interrupted run (Ctrl-C, SIGTERM, a crash) continues with --resume and ends with the same weights, to the bit.
    """
    given = {name: value for name, value in locals().items() if value is not None}
    if "model_" in given:
        given["model"] = given.pop("model_")
    from .training import train_command

    raise typer.Exit(train_command(given))
