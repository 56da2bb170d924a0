"""Transfer learning in a run: initial weights from elsewhere, frozen layers, learning rates by pattern."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..nn.transfer import describe_load, fitting, load_matching, parameter_groups
from .checkpoint import digest
from .config import RunConfig
from .weights import read_weights


def initial_state(config: RunConfig, model: Any) -> Mapping[str, Any]:
    """The weights that the run begins with, under the network's names.

    A network with a method `adapted_state` turns another's into its own: FCN takes VGG's dense layers.  Raises
    UserError if they are not those the run was begun with.
    """
    if config.init is None:
        raise ValueError("initial_state: the run has no init")
    state = read_weights(config.init)
    if config.init_sha256 and digest(state) != config.init_sha256:
        raise UserError(f"{config.init}: holds other weights than those the run was begun with; begin a new run")
    adapt = getattr(model, "adapted_state", None)
    adapted: Mapping[str, Any] = adapt(state) if adapt else state
    return adapted


def initialise(config: RunConfig, model: Any, copy: bool = True) -> str:
    """Load the initial weights that fit, or only see whether they do; returns a report, "" without any.

    What is frozen must be loaded: initial values drawn at random must not stay.  Raises UserError.
    """
    if config.init is None:
        return ""
    state = initial_state(config, model)
    try:
        result = (load_matching if copy else fitting)(model, state, config.freeze)
    except ValueError as error:
        reason = str(error).removeprefix("load_matching: ")
        raise UserError(f"--init {config.init}: {reason}") from None
    return f"initial weights from {config.init}: {describe_load(result, len(model.state_dict()))}"


def freeze(config: RunConfig, model: Any) -> None:
    """Stop what the configuration freezes from learning.  Raises UserError for a pattern that nothing matches."""
    for pattern in config.freeze:
        try:
            model.freeze(pattern, statistics=config.freeze_statistics)
        except ValueError as error:
            raise UserError(f"--freeze {pattern}: {error}") from None
    if not any(p.requires_grad for p in model.parameters()):
        raise UserError(f"--freeze {' '.join(config.freeze)}: leaves nothing to learn")


def groups(config: RunConfig, model: Any) -> Any:
    """The parameters, or groups of them with learning rates of their own."""
    if not config.lr_for:
        return model.parameters()
    try:
        return parameter_groups(model, config.lr, config.lr_for)
    except ValueError as error:
        raise UserError(f"--lr-for: {str(error).removeprefix('parameter_groups: ')}") from None


def check_transfer(config: RunConfig, model: Any) -> None:
    """Raise UserError for a pattern that nothing matches and, once the classes are known, weights that do not fit.

    model: one of its own, perhaps without memory; it is frozen by the way.
    """
    freeze(config, model)
    groups(config, model)
    if config.data.classes:
        initialise(config, model, copy=False)


def transfer_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """--init, --freeze, --freeze-statistics and --lr-for as the configuration takes them."""
    chosen = {name: given[name] for name in ("freeze", "freeze_statistics") if name in given}
    if "lr_for" in given:
        chosen["lr_for"] = parse_rates(given["lr_for"])
    if "init" in given:
        path = Path(given["init"]).absolute()
        chosen |= {"init": str(path), "init_sha256": digest(read_weights(path))}
    return chosen


def parse_rates(items: list[str]) -> dict[str, float]:
    """--lr-for PATTERN=LR, repeated, as {pattern: rate}."""
    rates = {}
    for item in items:
        pattern, equals, value = item.rpartition("=")
        try:
            rates[pattern] = float(value)
        except ValueError:
            equals = ""
        if not (equals and pattern):
            raise UserError(f"--lr-for {item!r}: write PATTERN=RATE, such as 'features.*=1e-4'")
        if not (rates[pattern] > 0 and math.isfinite(rates[pattern])):
            raise UserError(
                f"--lr-for {item!r}: a learning rate is positive; --freeze {pattern} stops it from learning"
            )
    return rates
