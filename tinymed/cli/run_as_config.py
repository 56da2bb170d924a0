"""The configuration file that repeats a run: its config.json as options of `tinymed train`."""

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from .. import tasks
from ..errors import UserError
from ..models import entry
from ..tasks.base.options import Option
from ..tasks.base.preprocess import PRESETS, preset
from ..train.run import Run
from .config_file import table_text

# What tasks and recipes set where nothing is said, so that a default must be written down too.
ALWAYS = (
    "task",
    "model",
    "epochs",
    "steps",
    "batch",
    "optimizer",
    "lr",
    "schedule",
    "keep",
    "head",
    "monitor",
    "size",
    "seed",
)
FRACTIONS = {"val_fraction": {"last": 0.3}, "test_fraction": {"last": 0.0}}  # by --split; .15 of every other


def run_table(folder: Path) -> str:
    """Return the table [train] that repeats a run: every value that is not what the options have by default.

    A classification names the papers' recipe, whose values are those defaults.  Raises UserError.
    """
    config = Run.open(folder).config
    content = config.model_dump()
    options = tasks.find(config.task).options
    values: dict[str, Any] = {}
    for option in options.values():
        value = lookup(content, option.path) if option.path else None
        if value not in (None, {}, []) and (option.name in ALWAYS or value != default_of(config, option)):
            values[option.name] = as_option(option, value)
    if "recipe" in options:
        values["recipe"] = "paper"
    values |= {name: value for name, value in of_data(content).items() if name in options}
    if "patch_side" in options or (content.get("mask", {}).get("patch") and not sized(config.model, values)):
        values.pop("size", None)  # images keep their own size
    if config.model_options:
        values["option"] = [f"{name}={json.dumps(value)}" for name, value in config.model_options.items()]
    if content.get("class_weights"):
        values["class_weights"] = ",".join(f"{weight!r}" for weight in content["class_weights"])
    return table_text("train", values)


def default_of(config: Any, option: Option) -> Any:
    """Return an option's default in the schema."""
    if option.name in FRACTIONS:
        return FRACTIONS[option.name].get(config.data.split, 0.15)
    kind: Any = type(config)
    for key in option.path[:-1]:
        kind = kind.model_fields[key].annotation
    return kind.model_fields[option.path[-1]].get_default(call_default_factory=True)


def lookup(content: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    """Return the value at a path of a configuration."""
    place: Any = content
    for key in path:
        place = place.get(key) if isinstance(place, Mapping) else None
    return place


def as_option(option: Option, value: Any) -> Any:
    """Return a value as the option takes it."""
    if isinstance(value, Mapping):
        return [f"{name}={','.join(each) if isinstance(each, list) else each}" for name, each in value.items()]
    if option.repeat:
        return [str(each) for each in value]
    if isinstance(value, list | tuple):
        return ",".join(f"{each:g}" if isinstance(each, float) else str(each) for each in value)
    return value if option.kind in (bool, int, float) else str(value)


def of_data(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the data decided as options: colours, the training set's statistics, what masks' values mean."""
    data = content["data"]
    values: dict[str, Any] = {}
    if data["channels"] in (1, 3):
        values["grey"] = data["channels"] == 1
    if data.get("mean") is not None:
        name = preset_of(data)
        values |= {"preprocess": name} if name else {"normalise": True}
    for part in (content.get("mask", {}), content.get("field", {})):
        if (labels := part.get("values")) and not part.get("regions"):  # regions are of a dataset.json, which says both
            values["labels"] = ",".join(f"{value}={name}" for value, name in labels)
    return values


def preset_of(data: Mapping[str, Any]) -> str:
    """Return the name of the public weights' statistics that a run has; "" of others."""
    for name in PRESETS:
        with suppress(UserError):  # those of RGB are none of grey images
            if preset(name, data["channels"]) == {"mean": data["mean"], "std": data["std"]}:
                return name
    return ""


def sized(model: str, values: Mapping[str, Any]) -> bool:
    """Return whether a size is asked for beside patches: by the network, or for the statistics of that size."""
    return "normalise" in values or "size" in entry(model).options
