"""What `tinymed train` does: options to a configuration, a run folder, the training, its results."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Dataset, parse_merge
from ..errors import UserError
from ..nn.init import no_weights
from ..report.plots import save_confusion, save_curves, save_roc
from ..train.build import fingerprint, make_model, make_run_head, open_splits
from ..train.callbacks import Interrupt
from ..train.config import RunConfig, checked
from ..train.display import Bar, Lines
from ..train.heads import parse_weights
from ..train.positive import choose_positive
from ..train.run import CHANGEABLE, Run, choose_backend, new_folder, refuse_occupied
from ..train.trainer import Callback
from ..train.transfer import check_transfer, initialise, transfer_options
from .app import say
from .tables import metrics_text

MIXTURE = {
    "horizontal_flip": True,
    "vertical_flip": True,
    "rotate": 15.0,
    "shift": 0.05,
    "scale": (0.9, 1.1),
    "brightness": 0.05,
    "contrast": 0.1,
}
# Without --data: a minute or two on two cores.  So few steps ask for batch norm statistics that follow quickly; dropout
# before batch norm makes single epochs evaluate badly all the same, so the best one on val is kept.
QUICK = {"epochs": 12, "batch": 32, "schedule": "cosine", "keep": "best", "flip": True}
QUICK_OPTIONS = {"dcnn": {"bn_momentum": 0.1}}
# What a network's paper feeds it: white -0.1, black 1.175 (LeCun et al. 1998, section III.A; MNIST's ink is 1).
INPUTS = {"lenet5": {"mean": [0.1 / 1.275], "std": [1 / 1.275]}}
DATA_NAMES = (
    "label_column",
    "group_column",
    "skip_bad",
    "leaks",
    "split",
    "val_fraction",
    "test_fraction",
    "difficulty",
)
LOOP_NAMES = (
    "head",
    "epochs",
    "steps",
    "batch",
    "optimizer",
    "lr",
    "weight_decay",
    "schedule",
    "clip_norm",
    "balanced",
    "early_stop",
    "monitor",
    "keep",
    "seed",
    "backend",
    "workers",
    "checkpoint_every",
)


def train_command(given: dict[str, Any]) -> int:
    """Begin or continue a run; returns the exit code."""
    run, sets = resumed(given) if "resume" in given else begin(given)
    choose_backend(run.config.backend)
    trainer, interrupt = run.trainer(sets, [display()])
    if "resume" in given:
        note = run.restore(trainer)
        if note:
            say(note)
        if trainer.progress.step:
            say(f"continuing {run.folder} at step {trainer.progress.step}, epoch {trainer.progress.epoch}")
    elif report := initialise(run.config, trainer.model):
        say(report)
    trainer.fit(run.config.epochs, run.config.steps)
    if trainer.interrupted:
        return goodbye(run, interrupt, trainer.progress.step)
    if trainer.progress.stopped:
        say(f"stopped early: {trainer.progress.stopped}")
    result, scores = run.finish(trainer, sets)
    save_curves(trainer.progress.history, run.folder / "curves.png", run.config.model)
    show_results(run, trainer.model, result, scores, sets)
    say(f"run folder: {run.folder}")
    return 0


def show_results(run: Run, model: Any, result: dict[str, Any], scores: Any, sets: Any) -> None:
    """Print the tables of a finished run and draw its pictures, by its task."""
    if run.config.task == "segmentation":
        from .segmenting import show_segmentation

        return show_segmentation(run, model, result, scores, sets)
    if run.config.task == "detection":
        from .detecting import show_detection

        return show_detection(run, model, result, scores, sets)
    for name in scores:
        print(metrics_text(result[name], f"{name}, {result['weights']} weights"), end="\n\n")
    part = "test" if "test" in scores else "val"
    return pictures(run.folder, result[part], scores[part], sets[part], f"{run.config.model} on {part}")


def pictures(folder: Path, metrics: dict[str, Any], scores: np.ndarray, dataset: Dataset, title: str) -> None:
    """The ROC curve, where the set has both kinds of images, and the confusion matrix."""
    classes, positive = dataset.classes, metrics["positive"]
    save_roc(scores, dataset.labels, classes, positive, folder / "roc.png", metrics)
    save_confusion(metrics["confusion"], classes, folder / "confusion.png", title)


def goodbye(run: Run, interrupt: Interrupt, step: int) -> int:
    """Say how to go on; returns 128 + the signal's number, as shells count."""
    name = signal.Signals(interrupt.signal).name if interrupt.signal else "a callback"
    say(f"stopped by {name} after step {step}; nothing is lost. Continue with: tinymed train --resume {run.folder}")
    return 128 + interrupt.signal


def display() -> Callback:
    """A progress bar on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console

    return Bar(Console(stderr=True))


# ------------------------------------------------------------------------------------------------ a new run


def begin(given: dict[str, Any]) -> tuple[Run, Any]:
    """A new run of the task that the options name, and its data."""
    task = given.get("task", "classification")
    if task == "segmentation":
        from .segmenting import begun_segmentation

        return begun_segmentation(given)
    if task == "detection":
        from .detecting import begun_detection

        return begun_detection(given)
    if task != "classification":
        raise UserError(f"--task {task!r} is unknown; choose classification, segmentation or detection")
    return begun(given)


def begun(given: dict[str, Any]) -> tuple[Run, Any]:
    """A new run folder from the options, and its images."""
    config = draft(given)
    folder = given.get("out") or new_folder(Path("runs"), config.model)
    refuse_occupied(folder)  # before images are read
    sets = open_splits(config.data, config.seed)
    for dataset in sets.values():
        for name, reason in dataset.skipped:
            say(f"skipped {name}: {reason}")
    hashes = [key for part in sets.values() for key in part.hashes or ()]
    if copies := len(hashes) - len(set(hashes)):
        say(f"note: {copies} images are copies of others, pixel for pixel")
    config = completed(config, sets, given)
    shown = ", ".join(f"{name} {len(dataset)}" for name, dataset in sets.items())
    say(f"{config.model}, {shown} images of {config.data.size} px, classes {', '.join(config.data.classes)}")
    say(f"positive class: {config.positive} (sensitivity is the share of it that is found)")
    return Run.create(folder, config), sets


def draft(given: dict[str, Any]) -> RunConfig:
    """The configuration as far as the options decide it, before an image is read."""
    from ..models import default_size

    model, last = given.get("model", "dcnn"), given.get("split") == "last"
    data: dict[str, Any] = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15}
    data |= {name: given[name] for name in DATA_NAMES if name in given}
    if "data" in given:
        data["path"] = str(Path(given["data"]).absolute())
    data |= {"size": given.get("size") or default_size(model), "channels": channels(given, model)}
    data["merge"] = parse_merge(given.get("merge", ()))
    data |= INPUTS.get(model, {})
    wanted = given if "data" in given else QUICK | given
    loop: dict[str, Any] = {name: wanted[name] for name in LOOP_NAMES if name in wanted}
    if "steps" in given and "epochs" not in given:
        loop["epochs"] = None
    if "early_stop" in given:
        loop.setdefault("keep", "best")
    options = ({} if "data" in given else QUICK_OPTIONS.get(model, {})) | model_options(given)
    content = {"model": model, "model_options": options, "augment": augmentation(wanted)}
    content |= {name: given[name] for name in ("task", "mask", "boxes") if name in given}
    content |= {"data": data} | loop | transfer_options(given)
    config: RunConfig = checked(lambda: RunConfig.model_validate(content))
    choose_backend(config.backend)
    return try_model(config, "head" in given)  # a wrong option is refused before images are read


def channels(given: dict[str, Any], model: str) -> int:
    """1 with --grey, 3 with --rgb, else what the network takes by default."""
    from ..models import entry
    from ..models.summary import input_shapes

    if "channels" in given:  # counted in the data
        return int(given["channels"])
    if given.get("grey") is None:
        return input_shapes(entry(model).input)[0][0]
    return 1 if given["grey"] else 3


def try_model(config: RunConfig, fixed: bool = True) -> RunConfig:
    """The configuration, once a network could be made by it; its head is the network's own loss if not `fixed`."""
    with no_weights():
        model = make_model(config)
    check_transfer(config, model)
    if config.task != "classification":
        return config
    if not fixed and hasattr(model, "loss"):
        config = config.model_copy(update={"head": "own"})
    make_run_head(config.model_copy(update={"class_weights": None}) if not config.data.classes else config, model)
    return config


def completed(config: RunConfig, sets: Any, given: dict[str, Any]) -> RunConfig:
    """The configuration with what depends on the images: classes, positive class, weights, statistics."""
    from ..data.loader import channel_statistics

    train = sets["train"]
    ask = (lambda question: input(f"{question} ")) if sys.stdin.isatty() else None
    data = config.data.model_dump() | {"classes": train.classes, "fingerprint": fingerprint(sets, config.data.path)}
    if given.get("normalise"):
        data["mean"], data["std"] = channel_statistics(train, config.data.size, config.data.channels)
    content = config.model_dump() | {
        "data": data,
        "positive": choose_positive(train.classes, given.get("positive"), ask),
        "class_weights": parse_weights(given.get("class_weights", "none"), train.classes, train.counts()),
    }
    result: RunConfig = checked(lambda: RunConfig.model_validate(content))
    return try_model(result)


def model_options(given: dict[str, Any]) -> dict[str, Any]:
    """--padding, --statistics and --option NAME=VALUE as the model's keyword arguments."""
    options: dict[str, Any] = {name: given[name] for name in ("padding", "statistics") if name in given}
    for item in given.get("option_", ()):
        name, equals, value = item.partition("=")
        if not equals or not name.isidentifier():
            raise UserError(f"--option {item!r}: write NAME=VALUE, such as dense_activation=elu")
        try:
            options[name] = json.loads(value)
        except ValueError:
            options[name] = value
    return options


def augmentation(given: dict[str, Any]) -> dict[str, Any]:
    """The augmentation options as AugmentConfig takes them."""
    chosen: dict[str, Any] = dict(MIXTURE) if given.get("augment") else {}
    if given.get("flip"):
        chosen |= {"horizontal_flip": True, "vertical_flip": True}
    names = ("horizontal_flip", "rotate", "shift", "noise", "brightness", "contrast", "elastic", "elastic_grid")
    chosen |= {name: given[name] for name in names if name in given}
    if "scale" in given:
        try:
            low, high = (float(part) for part in given["scale"].split(","))
        except ValueError:
            raise UserError(f"--scale {given['scale']!r}: write LOW,HIGH such as 0.9,1.1") from None
        chosen["scale"] = (low, high)
    return chosen


# ----------------------------------------------------------------------------------------- an interrupted one


def resumed(given: dict[str, Any]) -> tuple[Run, Any]:
    """The run to continue, with the options that may change applied, and its images."""
    run = Run.open(given["resume"])
    changes = {name: value for name, value in given.items() if name != "resume"}
    fixed = sorted(set(changes) - CHANGEABLE)
    if fixed:
        options = ", ".join(name if name == "model" else f"--{name.rstrip('_').replace('_', '-')}" for name in fixed)
        raise UserError(
            f"--resume continues a run as it was begun, so {options} cannot be given; "
            f"only {', '.join('--' + name.replace('_', '-') for name in sorted(CHANGEABLE))} may change"
        )
    if "steps" in changes and "epochs" not in changes:
        changes["epochs"] = None
    if changes:
        run.update(**changes)
    return run, run.splits()
