"""What `tinymed train` does: options to a configuration, a run folder, the training, its results."""

import signal
import sys
import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from .. import tasks
from ..data.remarks import split_text
from ..errors import UserError
from ..files import claim_folder, new_folder, refuse_occupied
from ..nn.init import no_weights
from ..nn.norm import StatisticsWarning
from ..report.plots import save_curves
from ..report.samples import save_samples
from ..runs.advice import advice
from ..runs.events import TensorBoard
from ..runs.waiting import LongRun, SlowStart
from ..tasks.base.options import own_ways
from ..tasks.base.preprocess import preset
from ..tasks.base.task import refuse_divided
from ..train.callbacks import Interrupt
from ..train.checkpoint import is_checkpoint
from ..train.display import Lines
from ..train.run import CHANGEABLE, PREDICTIONS, Run, choose_backend
from ..train.trainer import Callback
from ..train.transfer import check_transfer, initial_weights, initialise
from ..weights.names import imagenet_classifier
from ..weights.reading import read_arrays
from .app import say, slow_note
from .environment import note_environment, other_path
from .options import Given

RGB = 3
ROWS, PREVIEWED = 6, 10  # epochs and images of each that --preview draws


def train_command(given: Given) -> int:
    """Begin or continue a run; returns the exit code."""
    if "preview" in given and "resume" not in given:
        return preview(given)
    events = given.pop("tensorboard", None)
    watchers = [] if events is None else [TensorBoard(events)]
    run, sets = resume_run(given) if "resume" in given else start_run(given)
    code = fit(run, sets, resumed="resume" in given, shown=True, watchers=watchers)
    if not code:
        say(f"run folder: {run.folder}")
    return code


def fit(run: Run, sets: Any, *, resumed: bool, shown: bool, watchers: Sequence[Callback] = ()) -> int:
    """Train a run to its end, measure it and write its results; returns the exit code.

    resumed: the run may have been trained in part.  shown: print its tables.  watchers: further callbacks.
    """
    choose_backend(run.config.backend, run.config.precision)
    if resumed and (moved := other_path(run.folder, run.config.backend, run.config.precision)):
        say(moved)
    note_environment(run.folder, run.config.backend, run.config.precision)
    trainer, interrupt = run.trainer(sets, [display(run.config.monitor), SlowStart(say), LongRun(say), *watchers])
    for note in trainer.notes:
        say(note)
    if resumed:
        note = run.restore(trainer)
        if note:
            say(note)
        if trainer.progress.step:
            say(f"continuing {run.folder} at step {trainer.progress.step}, epoch {trainer.progress.epoch}")
    elif report := initialise(run.config, trainer.model):
        say(report)
    try:
        with warnings.catch_warnings():  # of epochs on the way: the weights that are kept are looked at below
            warnings.simplefilter("ignore", StatisticsWarning)
            trainer.fit(run.config.epochs, run.config.steps)
    except OSError as error:
        raise UserError(
            f"{error.filename or run.folder}: {error.strerror}, at step {trainer.progress.step}; what was saved before "
            f"is whole. Make room, then continue with: tinymed train --resume {run.folder}"
        ) from None
    if trainer.interrupted:
        return report_interrupt(run, interrupt, trainer.progress.step)
    if trainer.progress.stopped:
        say(f"stopped early: {trainer.progress.stopped}")
    say("measuring the weights that are kept, with intervals ...")
    curves = run.folder / "curves.png"
    with ThreadPoolExecutor(1, thread_name_prefix="tinymed-pictures") as beside:  # it draws while others are measured
        drawn = beside.submit(save_curves, trainer.progress.history, curves, run.config.model, run.config.monitor)
        result, details = run.finish(trainer, sets)
        if shown:
            for name in details:
                print(run.task.text(run.config, result[name], f"{name}, {result['weights']} weights"), end="\n\n")
            sys.stdout.flush()  # figures are there before the pictures
        drawn.result()
    save_results(run, trainer.model, result, details, sets)
    if shown:
        for line in advice(run.folder, run.config, trainer.progress.history, result[measured_part(details)]):
            say(f"next: {line}")
    return 0


def preview(given: Given) -> int:
    """Draw the first images of some epochs as training would see them; returns the exit code."""
    path = given["preview"]
    given = {name: value for name, value in given.items() if name not in ("preview", "out")}
    config = config_from_options(given)
    sets = open_sets(config, given)
    config, _ = with_data_fields(config, sets, given)
    task = tasks.find(config.task)
    with no_weights():
        batches = task.training_batches(config, sets["train"], task.make_model(config))
    rows = [next(iter(batches.epoch(epoch)))[0][:PREVIEWED] for epoch in range(ROWS)]
    if getattr(config.data, "whole", False):  # the middle plane of each volume
        rows = [row[:, :, row.shape[2] // 2] for row in rows]
    say(f"picture: {save_samples(rows, path, config.data.mean, config.data.std)}")
    return 0


def save_results(run: Run, model: Any, result: dict[str, Any], details: dict[str, Any], sets: Any) -> None:
    """Let the task of a finished run draw and list its test part, or val where there is no test."""
    part = measured_part(details)
    title = f"{run.config.model} on {part}"
    run.task.save_results(run.folder, run.config, model, sets[part], result[part], details[part], title)
    for name, found in details.items():
        run.list_cases(sets[name], found, run.folder / (PREDICTIONS if name == part else f"predictions-{name}.csv"))


def measured_part(details: dict[str, Any]) -> str:
    """Return the part that the figures are reported of."""
    return "test" if "test" in details else "val"


def report_interrupt(run: Run, interrupt: Interrupt, step: int) -> int:
    """Say how to go on; returns 128 + the signal's number, as shells count."""
    name = signal.Signals(interrupt.signal).name if interrupt.signal else "a callback"
    say(f"stopped by {name} after step {step}; nothing is lost. Continue with: tinymed train --resume {run.folder}")
    return 128 + interrupt.signal


def report_stopped(interrupt: Interrupt) -> int:
    """Say that a command ended with nothing to go on with; returns 128 + the signal's number."""
    say(f"stopped by {signal.Signals(interrupt.signal).name}; nothing was written")
    return 128 + interrupt.signal


def display(monitor: str = "val_loss") -> Callback:
    """Return what shows a run: a dashboard on a terminal, plain lines elsewhere."""
    if not sys.stderr.isatty():
        return Lines()
    from rich.console import Console

    from ..runs.dashboard import Dashboard

    return Dashboard(Console(stderr=True), monitor)


def ask_user() -> Any:
    """Return the function that puts a question to the user; None where nobody is there to answer."""
    return (lambda question: input(f"{question} ")) if sys.stdin.isatty() else None


# ------------------------------------------------------------------------------------------------ a new run


def config_from_options(given: Given) -> Any:
    """Return the configuration as far as the options decide it, before images are read.  Raises UserError."""
    task = tasks.find(given.get("task", tasks.DEFAULT))
    if task.needs and "data" not in given:
        raise UserError(f"--task {task.name} needs --data: {task.needs}")
    known = initial_weights(given.get("init"))  # read first: a file that cannot be is the first thing to say
    try:
        with own_ways(task.options):
            made = task.config_from_options({name: value for name, value in given.items() if name != "out"})
    except UserError as error:  # of tasks that look at the data before they choose their defaults
        of_data = "data" in given and error.message.startswith(str(given["data"]))
        raise UserError(
            error.message, error.ways | (other_tasks(task.name, given["data"]) if of_data else {})
        ) from None
    config = made.model_copy(update=known)
    choose_backend(config.backend, config.precision)
    check_weights(config)
    return config


def check_weights(config: Any) -> None:
    """Raise UserError for a pattern of layers that matches nothing and, once classes are known, weights of others."""
    with no_weights():
        check_transfer(config, tasks.find(config.task).make_model(config))


def with_data_fields(config: Any, sets: Any, given: Given) -> tuple[Any, list[str]]:
    """Return (the configuration with what depends on the images, what to say of them)."""
    task = tasks.find(config.task)
    with own_ways(task.options):
        result, lines = task.complete(config, sets, given, ask_user())
    check_weights(result)
    if result.data.channels == RGB and not {"normalise", "preprocess"} & set(given) and begins_from_imagenet(result):
        data = result.data.model_copy(update=preset("imagenet", RGB))
        result = result.model_copy(update={"data": data})
        lines = [
            *lines,
            "preprocess: imagenet, as the initial weights are of its classes (--preprocess chooses another)",
        ]
    return result, lines


def begins_from_imagenet(config: Any) -> bool:
    """Say whether a run begins with a file of others, of a classifier of ImageNet's 1,000 classes."""
    path = Path(config.init or ".")
    return path.is_file() and not is_checkpoint(path) and imagenet_classifier(read_arrays(path))


def open_sets(config: Any, given: Given) -> Any:
    """Return the images, divided.  Raises UserError for options of a division that the data have already."""
    task = tasks.find(config.task)
    try:
        with own_ways(task.options):
            sets = task.read_data(config)
    except UserError as error:
        raise UserError(error.message, error.ways | other_tasks(config.task, config.data.path)) from None
    refuse_divided(given, list(sets), str(given.get("data", "the synthetic set")))
    return task.divide(config, sets)


def other_tasks(task: str, data: Any) -> dict[str, str]:
    """Return the tasks that data which cannot be read speak for, but that one, as ways out of a UserError."""
    try:
        found = tasks.suggested(Path(data), task) if data else []
    except OSError:  # the folder cannot be opened: the error has said so
        return {}
    return {f"task='{name}'": "these data look like those of another task: {}" for name in found}


def run_name(config: Any) -> str:
    """Return what the folder of a run is called: by its network, and by mixed precision."""
    return f"{config.model}-bf16" if config.precision == "bf16" else str(config.model)


def start_run(given: Given) -> tuple[Run, Any]:
    """Return a new run of the task that the options name, and its data."""
    config = config_from_options(given)
    folder = given.get("out") or new_folder(Path("runs"), run_name(config))
    refuse_occupied(folder)  # before images are read
    with slow_note(f"reading every image of {given['data']} once ...") if "data" in given else nullcontext():
        sets = open_sets(config, given)
        config, lines = with_data_fields(config, sets, given)
    for line in [split_text(sets), *lines]:
        say(line)
    if "out" not in given:
        folder = claim_folder(Path("runs"), run_name(config))  # another run may have begun since
    return Run.create(folder, config), sets


# ----------------------------------------------------------------------------------------- an interrupted one


def resume_run(given: Given) -> tuple[Run, Any]:
    """Return the run to continue, with the options that may change applied, and its images."""
    run = Run.open(given["resume"])
    changes = {name: value for name, value in given.items() if name != "resume"}
    fixed = sorted(set(changes) - CHANGEABLE)
    if fixed:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in fixed)
        raise UserError(
            f"--resume continues a run as it was begun, so {options} cannot be given; "
            f"only {', '.join('--' + name.replace('_', '-') for name in sorted(CHANGEABLE))} may change"
        )
    if "steps" in changes and "epochs" not in changes:
        changes["epochs"] = None
    if changes:
        run.update(**changes)
    return run, run.splits()
