"""From a configuration to its trainer: loaders, optimiser, schedule, early stopping."""

import math
from typing import Any

from .. import tasks
from ..data.large_sets import is_pending
from ..metrics import lower_is_better
from ..optim.choice import choose_optimizer
from .averaging import WeightAverage
from .callbacks import EarlyStopping, PixelCheck, Schedule
from .trainer import Callback, Trainer
from .transfer import freeze, parameter_rates


def make_trainer(config: Any, sets: dict[str, Any], callbacks: list[Callback]) -> Trainer:
    """Return the trainer of a run; `callbacks` come after those that the configuration asks for."""
    task = tasks.find(config.task)
    model = task.make_model(config)
    train = task.training_batches(config, sets["train"], model)
    val, measure = task.validation(config, sets["val"])
    freeze(config, model)
    optimizer = task.optimizer(config, model) or choose_optimizer(config, parameter_rates(config, model))
    trainer = Trainer(
        model,
        optimizer,
        task.head(config, model),
        train,
        val,
        accumulate=config.accumulate,
        clip_norm=config.clip_norm,
        positive=getattr(config, "positive", None),
        step=task.step(config, model, optimizer),
        measure=measure,
    )
    own = make_schedule(config, trainer.optimizer, trainer.steps_per_epoch)
    if config.average is not None:
        own.append(make_average(config, trainer))
    if config.early_stop is not None:
        own.append(EarlyStopping(config.early_stop, config.monitor))
    if is_pending(sets):
        own.append(PixelCheck(sets))
    trainer.callbacks = [*own, *callbacks]
    return trainer


def make_average(config: Any, trainer: Trainer) -> WeightAverage:
    """Return what averages the weights: from the first step on, or from a share of the epochs on."""
    epochs = math.ceil(total_steps(config, trainer.steps_per_epoch) / trainer.steps_per_epoch)
    start = min(int(config.average_start * epochs), epochs - 1)
    return WeightAverage(trainer.model, config.average, config.average_decay, start)


def total_steps(config: Any, per_epoch: int) -> int:
    """Return the optimiser steps of a whole run; per_epoch: those of an epoch."""
    return int(min(config.steps or math.inf, (config.epochs or math.inf) * per_epoch))


def make_schedule(config: Any, optimizer: Any, per_epoch: int) -> list[Callback]:
    """Return the schedule of a configuration: none, a half cosine over all steps, or a tenth at every plateau."""
    from ..optim import lr_scheduler, warmup

    if config.schedule == "cosine":
        total = total_steps(config, per_epoch)
        if config.warmup:
            rising = min(round(config.warmup * total), total - 1)
            return [Schedule(warmup.WarmupCosineLR(optimizer, total, rising, lowest=0.001), every="step")]
        return [Schedule(lr_scheduler.CosineAnnealingLR(optimizer, total), every="step")]
    if config.schedule == "plateau":
        mode = "min" if lower_is_better(config.monitor) else "max"
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, factor=0.1, patience=3)
        return [Schedule(scheduler, monitor=config.monitor)]
    return []


def describe_rest(trainer: Trainer, config: Any, before: Any) -> str:
    """Say that the schedule was planned anew, where a restored run is to end at another step than when it was saved.

    `Schedule.restore` has done it: evaluated beyond the end that it was made for, a cosine would rise again.
    """
    per_epoch, step = trainer.steps_per_epoch, trainer.progress.step
    total = total_steps(config, per_epoch)
    if config.schedule != "cosine" or total == total_steps(before, per_epoch) or step >= total:
        return ""
    rate = f"{trainer.learning_rate:.3g}"
    if step >= total_steps(before, per_epoch):  # where it ended is where it stays: see `Schedule.restore`
        return f"the schedule has ended; its last rate, {rate}, serves the {total - step:,} steps that remain"
    return (
        f"the cosine schedule is planned anew over the {total - step:,} steps that remain, from its rate of now, {rate}"
    )
