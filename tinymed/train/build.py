"""From a configuration to its parts: data sets, loaders, model, optimiser, schedule, trainer."""

import hashlib
import inspect
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from .. import device, random
from ..data.augment import Augment
from ..data.dataset import Dataset
from ..data.loader import Loader
from ..data.readers import open_dataset
from ..data.splits import leak_check, split_dataset
from ..data.synthetic import synthetic_smear
from ..errors import UserError
from . import transfer
from .callbacks import Schedule
from .config import AugmentConfig, DataConfig, RunConfig
from .heads import Head, SigmoidHead, SoftmaxHead, make_head
from .trainer import Batches, Callback, Measure, Trainer

Splits = dict[str, Dataset]


def open_splits(data: DataConfig, seed: int) -> Splits:
    """The images as {"train": ..., "val": ..., perhaps "test": ...}.

    Splits that the data names are kept; what has none is divided by data.split and the fractions.  Raises UserError.
    """
    if data.path is None:
        whole = synthetic_smear(data.synthetic_images, data.size, seed, data.difficulty)
        return divide({"all": whole}, data, seed)
    sets = open_dataset(
        data.path,
        label_column=data.label_column,
        group_column=data.group_column,
        merge=data.merge or None,
        classes=data.classes or None,
        skip_bad=data.skip_bad,
        leaks=data.leaks,
    )
    skipped = [item for dataset in sets.values() for item in dataset.skipped]
    parts = divide(sets, data, seed)
    for name, dataset in parts.items():
        dataset.skipped = skipped if name == "train" else []
    return parts


def divide(sets: Splits, data: DataConfig, seed: int) -> Splits:
    """Cut off a validation set, and a test set where nothing is divided yet, unless they are given."""
    where = data.path or "the synthetic set"
    if "train" in sets and "val" in sets:
        return sets
    if "train" in sets:
        shares = {"train": 1 - data.val_fraction, "val": data.val_fraction}
        cut = check_parts(split_dataset(sets["train"], shares, seed, data.split), where, data.leaks)
        return cut | {name: s for name, s in sets.items() if name != "train"}
    if "all" not in sets:
        raise UserError(f"{where}: has {', '.join(sets)} but no train images to learn from")
    rest = 1 - data.val_fraction - data.test_fraction
    if rest <= 0:
        raise UserError(
            f"parts of {data.val_fraction} for val and {data.test_fraction} for test leave nothing to train on"
        )
    shares = {"train": rest, "val": data.val_fraction, "test": data.test_fraction}
    cut = split_dataset(sets["all"], {k: v for k, v in shares.items() if v > 0}, seed, data.split)
    return check_parts(cut, where, data.leaks)


def check_parts(parts: Splits, where: str, leaks: str) -> Splits:
    """Raise UserError if a part that was cut off lacks a class ("last" does that to a set sorted by class) or leaks."""
    for name, part in parts.items():
        absent = [label for label, n in part.counts().items() if n == 0]
        if absent:
            raise UserError(
                f"{where}: the {name} part has no image of class {', '.join(absent)}; "
                "use --split stratified, or other fractions"
            )
    if any(part.hashes is not None for part in parts.values()):
        leak_check(parts, rule=leaks)
    return parts


def fingerprint(sets: Splits, root: str | None) -> str:
    """SHA-256, in hex, of every image's name below `root` (or pixels, of an array) and label, split by split."""
    sha = hashlib.sha256()
    for name, dataset in sets.items():
        sha.update(f"{name} {len(dataset)} {dataset.classes}\n".encode())
        if isinstance(dataset.samples, np.ndarray):
            sha.update(np.ascontiguousarray(dataset.samples).data)
        else:
            base = Path(root or ".")
            for path in map(Path, dataset.samples):
                shown = path.relative_to(base) if path.is_relative_to(base) else path
                sha.update(os.fsencode(f"{shown.as_posix()}\n"))
        sha.update(dataset.labels.astype("<i8").data)
    return sha.hexdigest()


def make_loader(dataset: Dataset, config: RunConfig, *, training: bool = False) -> Loader:
    """The loader of a set; shuffled, augmented and perhaps balanced for training."""
    data = config.data
    augment = Augment(**config.augment.model_dump()) if training and config.augment != AugmentConfig() else None
    return Loader(
        dataset,
        config.batch,
        data.size,
        data.channels,
        shuffle=training,
        augment=augment,
        seed=config.seed,
        workers=config.workers,
        mean=data.mean,
        std=data.std,
        balanced=training and config.balanced,
    )


def make_model(config: RunConfig) -> Any:
    """A new network with initial weights drawn by the run's seed.  Raises UserError for a name or option it lacks.

    While the configuration knows no classes, the network has as many as by default.
    """
    from .. import models

    random.manual_seed(config.seed)
    data = config.data
    takes = models.entry(config.model).options
    check_options(config.model, config.model_options)
    wanted: dict[str, Any] = {"in_channels": data.channels * config.mask.planes, "size": data.size, "head": config.head}
    if data.classes:
        wanted["num_classes"] = config.outputs
    if config.task == "segmentation" and config.mask.auxiliary:
        wanted["auxiliary"] = True  # further outputs of networks that have them
    options = {name: value for name, value in wanted.items() if name in takes} | config.model_options
    try:
        return models.create(config.model, **options).to(device.default())
    except UserError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"model {config.model}: {error}") from None


def check_options(model: str, options: dict[str, Any]) -> None:
    """Raise UserError for a value of another kind than the option's default: text for a number, one for several."""
    from .. import models

    for name, parameter in inspect.signature(models.entry(model).build).parameters.items():
        default, value = parameter.default, options.get(name, parameter.default)
        number = isinstance(default, int | float) and not isinstance(default, bool)
        if number and not (isinstance(value, int | float) and not isinstance(value, bool)):
            raise UserError(f"model {model}: {name} is a number such as {default:g}, got {value!r}")
        if isinstance(default, tuple) and not (isinstance(value, list | tuple) and len(value) == len(default)):
            raise UserError(f"model {model}: {name} is a list such as {list(default)}, got {value!r}")


def make_run_head(config: RunConfig, model: Any) -> SigmoidHead | SoftmaxHead:
    """The classifier's head that the configuration names, for a network."""
    return make_head(config.head, len(config.data.classes), config.class_weights, model)


def make_optimizer(config: RunConfig, model: Any) -> Any:
    """The optimiser of a configuration; Adam with Keras's epsilon of 1e-7, as in the papers' recipe."""
    from .. import optim

    parameters, lr, decay = transfer.groups(config, model), config.lr, config.weight_decay
    if config.optimizer in ("adam", "adamw"):
        kind = optim.Adam if config.optimizer == "adam" else optim.AdamW
        return kind(parameters, lr=lr, eps=1e-7, weight_decay=decay)
    if config.optimizer in ("sgd", "momentum", "nesterov"):
        momentum, nesterov = 0.0 if config.optimizer == "sgd" else 0.9, config.optimizer == "nesterov"
        return optim.SGD(parameters, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=decay)
    if config.optimizer == "rmsprop":
        return optim.RMSprop(parameters, lr=lr, weight_decay=decay)
    return optim.Adagrad(parameters, lr=lr, weight_decay=decay)


def make_schedule(config: RunConfig, optimizer: Any, batches: int) -> list[Callback]:
    """The schedule of a configuration: none, a half cosine to 0 over all steps, or a tenth at every plateau."""
    from ..optim import lr_scheduler

    if config.schedule == "cosine":
        total = int(min(config.steps or math.inf, (config.epochs or math.inf) * batches))
        return [Schedule(lr_scheduler.CosineAnnealingLR(optimizer, total), every="step")]
    if config.schedule == "plateau":
        mode = "min" if config.monitor == "val_loss" else "max"
        scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, mode=mode, factor=0.1, patience=3)
        return [Schedule(scheduler, monitor=config.monitor)]
    return []


def make_trainer(config: RunConfig, sets: Splits, callbacks: list[Callback]) -> Trainer:
    """Everything of a classification put together."""
    model = make_model(config)
    train, val = make_loader(sets["train"], config, training=True), make_loader(sets["val"], config)
    return assemble(config, model, make_run_head(config, model), train, val, callbacks)


def assemble(
    config: RunConfig,
    model: Any,
    head: Head,
    train: Batches,
    val: Batches | None,
    callbacks: list[Callback],
    measure: Measure | None = None,
) -> Trainer:
    """A trainer of any task's parts; `callbacks` come after those that the configuration asks for."""
    from .callbacks import EarlyStopping

    transfer.freeze(config, model)
    optimizer = make_optimizer(config, model)
    own = make_schedule(config, optimizer, len(train))
    if config.early_stop is not None:
        own.append(EarlyStopping(config.early_stop, config.monitor))
    return Trainer(
        model,
        optimizer,
        head,
        train,
        val,
        callbacks=[*own, *callbacks],
        clip_norm=config.clip_norm,
        positive=config.positive,
        measure=measure,
    )
