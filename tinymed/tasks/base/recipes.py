"""Recipes: how a network is trained where the options do not say.

    steady   for images of your own: AdamW, a rate that rises and then falls along a cosine, the training set's
             statistics, mild augmentation, as many epochs as the number of images asks for, the best epoch kept, rare
             classes shown more often
    paper    what the papers did: Adam at a constant rate, 20 epochs of batches of 128, the last weights
    quick    for the built-in synthetic smears: a minute or two on two cores

Every value of a recipe is an option of `tinymed train`, and an option that is given outranks the recipe's.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from .config import read_run_config

Recipe = Literal["steady", "paper", "quick"]
# The network that a recipe trains where none is named, the side of its images and its options.
NETWORKS: dict[str, tuple[str, int | None, dict[str, Any]]] = {
    "steady": ("resnet18", 96, {"width": 0.25}),
    "paper": ("dcnn", None, {}),
    "quick": ("dcnn", None, {}),
}
STEADY: dict[str, Any] = {
    "batch": 32,
    "head": "softmax",
    "optimizer": "adamw",
    "weight_decay": 0.01,
    "schedule": "cosine",
    "warmup": 0.05,
    "augment": True,
    "average_flips": True,
    "normalise": True,
    "keep": "best",
    "monitor": "val_accuracy",
}
QUICK: dict[str, Any] = {"epochs": 12, "batch": 32, "schedule": "cosine", "keep": "best", "flip": True}
RECIPES: dict[str, dict[str, Any]] = {"steady": STEADY, "paper": {}, "quick": QUICK}
MOMENTUM = {"bn_momentum": 0.1}  # running statistics that follow sooner than Keras's .01: a recipe has few steps
# No dropout before a batch norm, which would measure other activations in training than it meets in evaluation (X. Li
# et al., "Understanding the disharmony between dropout and batch normalization by variance shift", 2019).
LAYERS: dict[str, dict[str, Any]] = {"dcnn": {"dropout": [0.0, 0.5]}}
SHOWN, FEWEST, MOST = 45_000, 10, 100  # images that "steady" shows in all, and its epochs
UNEQUAL = 3.0  # the most frequent class over the rarest, from which on "steady" shows rare ones more often
# Names of classes that a mirror would exchange.
MIRRORED = {
    "horizontal_flip": (("left", "right"), ("l", "r"), ("sinister", "dexter"), ("os", "od")),
    "vertical_flip": (
        ("upper", "lower"),
        ("anterior", "posterior"),
        ("up", "down"),
        ("top", "bottom"),
        ("superior", "inferior"),
    ),
}


def recipe_options(recipe: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a recipe that the given ones leave in place.

    Args:
        recipe: its name.
        given: the options that the user gave, which outrank the recipe's.
    """
    options = dict(RECIPES[recipe])
    if given.get("schedule", "cosine") != "cosine":
        options.pop("warmup", None)
    if "optimizer" in given:  # its decay is another one's
        options.pop("weight_decay", None)
    if given.get("augment") is False:
        options.pop("flip", None)
    return options | dict(given)


def recipe_network(
    recipe: str,
    given: Mapping[str, Any],
    kind: str,
    networks: Mapping[str, tuple[str, int | None, dict[str, Any]]] = NETWORKS,
) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the network that is named, or the recipe's, with the options and those of the network that go with it.

    Without a name, weights of another run bring their network.

    Args:
        recipe: its name.
        given: the options that the user gave.
        kind: the name of the task; a run of another one brings weights alone.
        networks: of each recipe (the network, the side of its images or None, its options).
    """
    if "model" in given:
        return given["model"], {}, {}
    if "init" in given and (Path(given["init"]) / "config.json").is_file():
        before = read_run_config(Path(given["init"]) / "config.json")
        if before.get("task", kind) == kind:
            return before["model"], {"size": before["data"]["size"]}, dict(before.get("model_options", {}))
    model, size, options = networks[recipe]
    return model, {} if size is None else {"size": size}, dict(options)


def recipe_model_options(recipe: str, model: str, taken: Sequence[str]) -> dict[str, Any]:
    """Return the options of a network that a recipe sets.

    Args:
        recipe: its name.
        model: the network's name.
        taken: the options that the network takes.
    """
    if recipe == "paper":
        return {}
    layers = LAYERS.get(model, {}) if recipe == "steady" else {}
    return layers | {name: value for name, value in MOMENTUM.items() if name in taken}


def planned_epochs(images: int) -> int:
    """Return how many epochs the steady recipe trains: about 45,000 images in all, from 10 to 100 epochs.

    Example:
        >>> [planned_epochs(n) for n in (100, 2_000, 50_000)]
        [100, 22, 10]
    """
    return min(MOST, max(FEWEST, round(SHOWN / max(images, 1))))


def unequal(counts: Mapping[str, int]) -> bool:
    """Say whether classes differ so much in number that the steady recipe shows rare ones more often.

    Example:
        >>> unequal({"benign": 90, "malignant": 60}), unequal({"benign": 90, "malignant": 10})
        (False, True)
    """
    there = [n for n in counts.values() if n]
    return len(there) > 1 and max(there) >= UNEQUAL * min(there)


def mirrored(classes: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the flips that would turn images of one class into another's: {"horizontal_flip": ("left", "right")}.

    Example:
        >>> mirrored(["left lung", "right lung"]), mirrored(["clear", "copyright"])
        ({'horizontal_flip': ('left', 'right')}, {})
    """
    words = {word for name in classes for word in re.split(r"[^a-z]+", name.casefold())}
    return {flip: pair for flip, pairs in MIRRORED.items() for pair in pairs if words >= set(pair)}


def recipe_line(config: Any) -> str:
    """Return in one line how a configuration trains."""
    count, unit = (config.steps, "step") if config.epochs is None else (config.epochs, "epoch")
    length = f"{count} {unit}{'' if count == 1 else 's'}"
    parts = [f"recipe {config.recipe}: {length} of batches of {config.batch}"]
    parts += [f"{config.optimizer}, rate {config.lr:g}, {config.schedule}; keeps the {config.keep} weights"]
    left_out = [name for name in mirrored(config.data.classes) if not getattr(config.augment, name)]
    if left_out and config.augment.settings():
        flips = " or ".join(name.replace("_", " ") for name in left_out)
        parts.append(f"no {flips}, which would exchange classes, by their names")
    return ", ".join(parts)
