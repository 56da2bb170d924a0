"""From a configuration to its trainer: loaders, optimiser, schedule, early stopping."""

import math
from typing import Any

from .. import tasks
from ..metrics import lower_is_better
from .callbacks import EarlyStopping, Schedule
from .trainer import Callback, Trainer
from .transfer import freeze, parameter_rates


def make_trainer(config: Any, sets: dict[str, Any], callbacks: list[Callback]) -> Trainer:
    """Return the trainer of a run; `callbacks` come after those that the configuration asks for."""
    task = tasks.find(config.task)
    model = task.make_model(config)
    train = task.training_batches(config, sets["train"], model)
    val, measure = task.validation(config, sets["val"])
    freeze(config, model)
    trainer = Trainer(
        model,
        make_optimizer(config, model),
        task.head(config, model),
        train,
        val,
        clip_norm=config.clip_norm,
        positive=getattr(config, "positive", None),
        measure=measure,
    )
    own = make_schedule(config, trainer.optimizer, len(trainer.train_loader))
    if config.early_stop is not None:
        own.append(EarlyStopping(config.early_stop, config.monitor))
    trainer.callbacks = [*own, *callbacks]
    return trainer


def make_optimizer(config: Any, model: Any) -> Any:
    """Return the optimiser of a configuration; Adam with Keras's epsilon of 1e-7, as in the papers' recipe."""
    from .. import optim

    parameters, lr, decay = parameter_rates(config, model), config.lr, config.weight_decay
    if config.optimizer in ("adam", "adamw"):
        kind = optim.Adam if config.optimizer == "adam" else optim.AdamW
        return kind(parameters, lr=lr, eps=1e-7, weight_decay=decay)
    if config.optimizer in ("sgd", "momentum", "nesterov"):
        momentum, nesterov = 0.0 if config.optimizer == "sgd" else 0.9, config.optimizer == "nesterov"
        return optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    if config.optimizer == "rmsprop":
        return optim.RMSprop(parameters, lr=lr, weight_decay=decay)
    return optim.Adagrad(parameters, lr=lr, weight_decay=decay)


def total_steps(config: Any, batches: int) -> int:
    """Return the steps of a whole run; batches: of an epoch."""
    return int(min(config.steps or math.inf, (config.epochs or math.inf) * batches))


def make_schedule(config: Any, optimizer: Any, batches: int) -> list[Callback]:
    """Return the schedule of a configuration: none, a half cosine to 0 over all steps, or a tenth at every plateau."""
    from ..optim import lr_scheduler

    if config.schedule == "cosine":
        total = total_steps(config, batches)
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
    batches, step = len(trainer.train_loader), trainer.progress.step
    total = total_steps(config, batches)
    if config.schedule != "cosine" or total == total_steps(before, batches) or step >= total:
        return ""
    return (
        f"the cosine schedule is planned anew over the {total - step:,} steps that remain, "
        f"from the rate of now, {trainer.learning_rate:.3g}, to 0"
    )
