"""Transfer learning in a run: initial weights from elsewhere, frozen layers, learning rates by pattern."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..nn.transfer import describe_load, fitting, load_matching, parameter_groups
from ..tasks import read_config
from ..tasks.base.config import RunConfig
from ..weights import WeightFile, read_file
from ..weights.names import aligned
from .averaging import evaluated_weights
from .checkpoint import BEST, NEWEST, digest, is_checkpoint, load_checkpoint

CONFIG, CHECKPOINTS = "config.json", "checkpoints"  # in a run folder


def initial_state(config: RunConfig, model: Any) -> WeightFile:
    """Return the weights that the run begins with, under the network's names, and how they were understood.

    A network with a method `adapted_state` turns another's into its own: FCN takes VGG's dense layers.  Raises
    UserError if they are not those the run began with.
    """
    if config.init is None:
        raise ValueError("initial_state: the run has no init")
    state, notes = read_source(config.init)
    if config.init_sha256 and digest(state) != config.init_sha256:
        raise UserError(f"{config.init}: holds other weights than those the run began with; begin a new run")
    adapted: Mapping[str, Any] = getattr(model, "adapted_state", dict)(state)
    renamed, note = aligned({name: tensor.shape for name, tensor in model.state_dict().items()}, adapted)
    return WeightFile(renamed, [*notes, *([note] if note else [])])


def initialise(config: RunConfig, model: Any, copy: bool = True) -> str:
    """Load the initial weights that fit, or only see whether they do; returns a report, "" without any.

    What is frozen must be loaded: initial values drawn at random must not stay.  Raises UserError.
    """
    if config.init is None:
        return ""
    file = initial_state(config, model)
    try:
        result = (load_matching if copy else fitting)(model, file.arrays, config.freeze)
    except ValueError as error:
        reason = str(error).removeprefix("load_matching: ")
        raise UserError(f"--init {config.init}: {reason}{own_network(Path(config.init), config.model)}") from None
    told = "; ".join([describe_load(result, len(model.state_dict())), *file.notes])
    return f"initial weights from {config.init}: {told}"


def freeze(config: RunConfig, model: Any) -> None:
    """Stop what the configuration freezes from learning.  Raises UserError for a pattern that nothing matches."""
    for pattern in config.freeze:
        try:
            model.freeze(pattern, statistics=config.freeze_statistics)
        except ValueError as error:
            raise UserError(f"--freeze {pattern}: {error}") from None
    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"--freeze {' '.join(config.freeze)}: leaves nothing to learn")


def own_network(path: Path, model: str) -> str:
    """Return how to begin with weights that do not fit a network: by the one they are of."""
    folder = path if path.is_dir() else path.parent.parent
    if not (folder / CONFIG).is_file():
        return f". The network is {model}: name the one that the weights are of, tinymed train NETWORK"
    there = read_config(folder / CONFIG).model
    return "" if there == model else f". They are of {there}, and the network is {model}: tinymed train {there}"


def parameter_rates(config: RunConfig, model: Any) -> Any:
    """Return the parameters, or groups of them with learning rates of their own."""
    if not config.lr_for:
        return model.parameters()
    try:
        return parameter_groups(model, config.lr, config.lr_for)
    except ValueError as error:
        raise UserError(f"--lr-for: {str(error).removeprefix('parameter_groups: ')}") from None


def check_transfer(config: RunConfig, model: Any) -> None:
    """Raise UserError for a pattern that nothing matches and, once the classes are known, weights that do not fit.

    model: a throw-away instance, perhaps without memory; it is frozen as a side effect.
    """
    freeze(config, model)
    parameter_rates(config, model)
    if config.data.classes:
        initialise(config, model, copy=False)


def initial_weights(source: str | None) -> dict[str, str]:
    """Return what a configuration says of the weights that a run begins with: absolute path and SHA-256; {} of none."""
    if source is None:
        return {}
    path = Path(source).absolute()
    return {"init": str(path), "init_sha256": digest(read_weights(path))}


def read_source(source: str | Path) -> WeightFile:
    """Return a network's state from a run folder (those it keeps), a checkpoint, or a file that `tinymed.load` reads.

    Raises UserError naming the folder or file.
    """
    path = Path(source)
    if path.is_dir():
        path = kept_checkpoint(path)
    return WeightFile(evaluated_weights(load_checkpoint(path)), []) if is_checkpoint(path) else read_file(path)


def read_weights(source: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of `read_source`."""
    return read_source(source).arrays


def kept_checkpoint(folder: Path) -> Path:
    """Return the checkpoint with the weights that a run keeps."""
    config, checkpoints = read_config(folder / CONFIG), folder / CHECKPOINTS
    best = checkpoints / BEST
    path = best if config.keep == "best" and best.exists() else checkpoints / NEWEST
    if not path.exists():
        raise UserError(f"{folder}: has no checkpoint yet; train it first")
    return path
