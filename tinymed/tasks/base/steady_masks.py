"""What a segmentation trains where the options do not say: the recipe "steady", and "paper" of networks by name.

    steady   AdamW, a rate that rises and then falls along a cosine, mild augmentation, the statistics of the training
             set, as many epochs as the number of images asks for, the best epoch kept.  Pictures are resized, unless
             their masks are too fine for it: then patches are learnt, at the resolution of the images
    paper    Adam, 40 epochs, images as they are: what is measured in docs/systems.md

Every value is an option of `tinymed train`, and an option that is given outranks the recipe's.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from ...data.mask_loader import nearest
from ...data.masks import MaskDataset
from ...errors import UserError
from .network import classifies_middle
from .options import Options
from .recipes import mirrored, recipe_network
from .steady import BY_THE_USER, orientation, upright_line

# Small batches, since an image is as many examples as it has pixels.
PAPER: dict[str, Any] = {
    "head": "softmax",
    "batch": 8,
    "epochs": 40,
    "loss": "dice_cross_entropy",
    "monitor": "val_dice",
    "keep": "best",
    "schedule": "cosine",
}
STEADY: dict[str, Any] = {"optimizer": "adamw", "weight_decay": 0.01, "warmup": 0.05}
VOLUMES: dict[str, Any] = {"batch": 2}
# The network of each recipe where none is named, with its options: of pictures, of volumes.
NETWORKS: dict[str, tuple[tuple[str, None, dict[str, Any]], tuple[str, None, dict[str, Any]]]] = {
    "steady": (("unet_bn", None, {"base": 8}), ("unet3d", None, {"base": 8})),
    "paper": (("unet_small", None, {}), ("unet3d", None, {})),
}
# Volumes lie as the scanner says: none is mirrored.
TURNED: dict[str, Any] = {"rotate": 10.0, "scale": (0.9, 1.1), "brightness": 0.05, "contrast": 0.1}
SIDE, STEP, SMALLEST = 128, 16, 32  # pixels of a picture, or of a patch of it
FINE = 0.9  # the overlap that a class keeps when masks are resized to SIDE and back, below which patches are learnt
LOOKED_AT = 16  # masks that this is measured on
SHOWN = {2: 15_000, 3: 2_000}  # pictures, or patches of volumes, that are shown in all
FEWEST, MOST, MOST_PATCHES = 10, 100, 16  # epochs; patches of an image in one


def chosen_recipe(given: Options) -> str:
    """Return the recipe that trains: "steady", unless another or a network is named.  Raises UserError."""
    recipe = given.get("recipe", "paper" if "model" in given else "steady")
    if recipe not in NETWORKS:
        raise UserError(f"--recipe {recipe!r}: a segmentation has {' or '.join(NETWORKS)}")
    return str(recipe)


def mask_defaults(recipe: str, given: Options, first: MaskDataset) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (options, the network's own) that a recipe sets and the given ones leave in place.

    Args:
        recipe: its name.
        given: the options that the user gave, which outrank the recipe's.
        first: the first part of the data.
    """
    volumes = first.dimensions == 3
    model, sized, own = recipe_network(recipe, given, "segmentation", {recipe: NETWORKS[recipe][volumes]})
    wanted = PAPER | (VOLUMES if volumes else {}) | {"model": model, "recipe": recipe} | sized
    if recipe == "steady":
        turned = volumes and given.get("augment", True) and not classifies_middle(model)
        wanted |= STEADY | (TURNED if turned else {} if volumes else {"augment": True})
        if given.get("schedule", "cosine") != "cosine":
            del wanted["warmup"]
        if "optimizer" in given:  # its decay is another one's
            del wanted["weight_decay"]
        if not volumes and "model" not in given and not {"size", "patch", "init"} & given.keys():
            wanted |= picture_form(first)
    return wanted | dict(given), own


def picture_form(first: MaskDataset) -> dict[str, Any]:
    """Return the size that pictures are resized to, or the patches that are learnt where masks are too fine for it."""
    count = min(len(first), LOOKED_AT)
    looked = np.rint(np.linspace(0, len(first) - 1, count)).astype(int).tolist()
    shapes = np.array([first.space(index) for index in looked])
    middle = int(np.ceil(np.median(shapes.max(axis=1)) / STEP)) * STEP
    side = min(SIDE, max(SMALLEST, middle))
    if side == middle or kept_overlap(first, looked, side) >= FINE:
        return {"size": side}
    pieces = int(np.ceil(np.median(shapes.prod(axis=1)) / side**2))
    return {"size": side, "patch": str(side), "per_image": min(MOST_PATCHES, pieces)}


def kept_overlap(first: MaskDataset, looked: list[int], side: int) -> float:
    """Return the Dice of masks with themselves, resized to a side and back, of the class that keeps least."""
    both, total = (np.zeros(len(first.classes)) for _ in range(2))
    for index in looked:
        mask = first.mask(index)
        again = nearest(nearest(mask, (side, side)), mask.shape)
        for k in range(len(first.classes)):
            both[k] += 2 * np.count_nonzero((mask == k) & (again == k))
            total[k] += np.count_nonzero(mask == k) + np.count_nonzero(again == k)
    return float(np.min(both[total > 0] / total[total > 0]))


def planned_epochs(train: MaskDataset, per_image: int) -> int:
    """Return how many epochs the steady recipe trains: about 15,000 pictures in all, or 2,000 patches of volumes."""
    shown = SHOWN[train.dimensions] / max(1, len(train) * per_image)
    return min(MOST, max(FEWEST, round(shown)))


def mask_values(config: Any, train: MaskDataset, given: Options) -> dict[str, Any]:
    """Return what the steady recipe decides by the training set, as far as the options leave it open."""
    values: dict[str, Any] = {}
    if "epochs" not in given and "steps" not in given:
        values["epochs"] = planned_epochs(train, config.mask.per_image if config.mask.patch else 1)
    changed: Mapping[str, bool] = {}
    if not BY_THE_USER & given.keys():
        if train.dimensions == 2 and not train.more:
            changed = orientation(config, train)
        elif config.augment.vertical_flip:  # whether several modalities have an up is not looked at
            changed = dict.fromkeys(mirrored(train.classes), False) | {"vertical_flip": False}
    augment = config.augment.model_dump()
    return values | {"augment": augment | {name: value for name, value in changed.items() if name not in given}}


def steady_lines(before: Any, after: Any, given: Options) -> list[str]:
    """Return what the steady recipe has decided by the images, in lines."""
    lines = []
    if after.mask.patch is not None and after.mask.dimensions == 2 and "patch" not in given:
        side = after.data.size
        lines.append(
            f"the masks are too fine to be resized to {side} px: patches at the images' own resolution, "
            f"{after.mask.per_image} of each in an epoch (--size {side} resizes them all the same)"
        )
    return lines + (upright_line(before, after) if after.mask.dimensions == 2 else [])
