"""What the steady recipe decides by the training set: network, length, how often it shows classes, flips and turns."""

from typing import Any

from ...data.dataset import Dataset
from ...data.upright import across, shared_by_all
from ...models import entry
from .options import Options
from .recipes import mirrored, planned_epochs, recipe_model_options, unequal

FEW = 1_000  # images, below which the network is a shallower one, where none is named
SHALLOW = "dcnn"
CHOSEN = ("model", "size", "option", "padding", "statistics", "init")  # options that speak of a network
UPRIGHT = 0.01  # share that pictures have in common of what tells them from their upside-down mirrors
CHANCE = 2.0  # over the number of pictures: what few pictures share by chance, of which a few may differ most
BY_THE_USER = {"flip", "augment"}  # options that say which flips are meant


def steady_values(config: Any, train: Dataset, given: Options) -> dict[str, Any]:
    """Return what the steady recipe decides by the training set, as far as the options leave it open."""
    values: dict[str, Any] = {}
    fold = config.data.fold
    images = len(train) if fold is None or fold.images is None else fold.images  # one network in all folds
    if images < FEW and not any(name in given for name in CHOSEN):
        values |= {"model": SHALLOW, "model_options": recipe_model_options("steady", SHALLOW, entry(SHALLOW).options)}
    if "epochs" not in given and "steps" not in given:
        values["epochs"] = planned_epochs(len(train))
    counts = train.counts()
    if unequal(counts) and not {"sampling", "balanced", "class_weights"} & given.keys():
        values["sampling"] = "balanced"
    if unequal(counts) and len(counts) == 2 and "monitor" not in given:
        values["monitor"] = "val_auc"  # always answering the frequent class has a high accuracy
    augment = config.augment.model_dump()
    changed = {} if BY_THE_USER & given.keys() else orientation(config, train)
    return values | {"augment": augment | {name: value for name, value in changed.items() if name not in given}}


def orientation(config: Any, train: Dataset) -> dict[str, bool]:
    """Return flips that are left out and turns that are added.

    Left out is what exchanges classes by their names, and up-down where pictures are upright; turns of 90 degrees are
    added where pictures lie any way round.
    """
    found = dict.fromkeys(mirrored(train.classes), False)
    if found or getattr(config.data, "whole", False) or not config.augment.vertical_flip:
        return found
    seen = train, config.data.size, config.data.channels
    if shared_by_all(*seen) >= max(UPRIGHT, CHANCE / len(train)):
        return {"vertical_flip": False}
    return {"turns": True} if shared_by_all(*seen, across) < UPRIGHT else {}


def upright_line(before: Any, after: Any) -> list[str]:
    """Return a line where a configuration has lost its flip up-down though no name of a class asks for it."""
    lost = before.augment.vertical_flip and not after.augment.vertical_flip
    if not lost or "vertical_flip" in mirrored(after.data.classes):
        return []
    return ["the images have an up and a down: no vertical flip (--vertical-flip has it all the same)"]
