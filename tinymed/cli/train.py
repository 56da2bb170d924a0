"""`tinymed train`: its options are the schema's.  What it does is in `start_run.py`, imported when it runs."""

from typing import Annotated, Any

import typer

from ..errors import UserError
from .app import Computing, app, examples
from .options import Given, all_options, parameter, path_option, with_options


def train(given: Given) -> int:
    """Train a network and leave a run folder with its log, checkpoints, metrics and pictures.

    An interrupted run (Ctrl-C, SIGTERM, a crash) continues with --resume and ends with the same weights, to the bit.
    """
    network = given.pop("network", None)
    if network is not None and given.setdefault("model", network) != network:
        raise UserError(f"train {network} --model {given['model']}: two networks are named; leave one out")
    from .start_run import train_command

    return train_command(given)


def networks(incomplete: str) -> list[str]:
    """Return the networks whose names begin as a word does, for completion by a shell."""
    from ..models import available

    return [name for name in available() if name.startswith(incomplete)]


NETWORK: Any = Annotated[
    str | None,
    typer.Argument(
        help="The network, see `tinymed models` (the recipe's, or the task's).",
        show_default=False,
        autocompletion=networks,
    ),
]
OPTIONS = all_options()
PATHS = {
    "out": path_option("Run", "The run's folder, new or empty (runs/MODEL-NUMBER)."),
    "preview": path_option(
        "Augmentation", "Draw what training would see into this PNG, a row an epoch, and train nothing."
    ),
    "tensorboard": path_option("Run", "Also write TensorBoard's events into this folder, while it trains."),
    "resume": path_option("Run", "Continue the run in this folder, to the same bits."),
}

command = with_options(train, {"network": NETWORK, **PATHS}, [parameter(option) for option in OPTIONS.values()])
app.command(
    cls=Computing,
    name="train",
    epilog=examples(
        "tinymed train",
        "tinymed train --data DIR --positive parasitized --epochs 20 --batch 128",
        "tinymed train lenet5 --data MNIST --positive 1 --epochs 5",
        "tinymed train --data DIR --steps 3000 --batch 32 --flip --early-stop 5",
        "tinymed train --data DIR --augment --turns --stain 0.03 --mixup 0.2 --preview seen.png",
        "tinymed train --task segmentation --data DIR --labels 0=skin,255=lesion",
        "tinymed train dcnn --data DIR --init runs/dcnn-001 --freeze features --lr-for classifier=1e-4",
        "tinymed train --task detection --data DIR --model unet_bn --option base=16 --flip",
        "tinymed train --task regression --data list.csv --label-column boneage --unit months",
        "tinymed train --task ordinal --data DIR --grades none,mild,moderate,severe",
        "tinymed train dcnn --task multilabel --data list.csv --label-column 'Finding Labels'",
        "tinymed train --data DIR --recipe paper --tensorboard events",
        "tinymed train --config experiment.toml --seed 1",
        "tinymed train --resume runs/dcnn-001",
    ),
)(command)
