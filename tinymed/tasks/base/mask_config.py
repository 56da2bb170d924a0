"""What a configuration says of masks: what they mean, how they are learnt, how images are cut and put together."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BeforeValidator, Field

from ...data.masks import MaskDataset, by, with_boundary
from ...data.organs import Organs
from ...data.slices import with_slices
from ...schema import Strict, setting
from .patches import parse_patch


class MaskConfig(Strict):
    """What a segmentation has beyond other tasks."""

    panel: ClassVar[str] = "Segmentation"
    values: list[tuple[int, str]] = []  # what the values in the masks mean, in the order of the classes
    regions: dict[str, list[str]] = {}  # of a dataset.json -> the classes inside each, which are measured together too
    ignore: int | None = setting(None, "Value of pixels that do not count.")
    dimensions: Literal[2, 3] = 2
    modalities: int = Field(default=1, ge=1)  # files of a case
    planes: Literal[1, 3] = 1  # through a voxel of a volume, for networks that classify the middle of a patch
    slices: bool = False  # the network answers for the slices of a volume, not for its voxels
    loss: Literal["cross_entropy", "dice_cross_entropy", "focal", "dice", "jaccard", "tversky", "focal_tversky"] = (
        setting("cross_entropy", "What is minimised.", shown="dice_cross_entropy")
    )
    include_background: bool = setting(
        False,
        "Count the background among the classes whose overlap --loss takes.",
        switch="--include-background/--no-include-background",
        shown="done where --loss is an overlap alone",
    )
    auxiliary: float = setting(0.3, "Weight of the losses on further outputs of a network.", ge=0, allow_inf_nan=False)
    patch: Annotated[list[int] | None, BeforeValidator(parse_patch)] = setting(
        None, "Train on patches of this side, or sides: 48,64,48 (volumes always); None: whole images, resized."
    )
    per_image: int = setting(1, "Patches of each image in an epoch.", ge=1)
    foreground: float = setting(0.5, "Share of patches centred on a class other than the background.", ge=0, le=1)
    overlap: float = setting(0.5, "Of neighbouring tiles in prediction.", ge=0, lt=1)
    blend: Literal["gaussian", "uniform"] = setting("gaussian", "Of overlapping tiles.")
    border_weight: float = setting(0.0, "w0 of U-Net's weight map of borders; 0: none.", ge=0, allow_inf_nan=False)
    border_sigma: float = setting(5.0, "Sigma of the weight map in pixels.", gt=0, allow_inf_nan=False)
    boundary: int = setting(
        0, "Tell the last pixels of objects before their border apart, so many of them, as a third class.", ge=0, le=16
    )
    inside: str | None = setting(
        None, "Look only inside an organ: folder of its masks, named as the images, which `tinymed predict` wrote."
    )
    inside_margin: int = setting(2, "Pixels around the organ that belong to it.", ge=0, le=64)
    contour: int | None = setting(
        None,
        "Of a network with a head for contours: their reach from a border, in pixels.",
        ge=1,
        le=16,
        shown="2",
    )
    border_class: str | None = setting(None, "The class that cells have; without it all but the background.")


def region_numbers(values: Sequence[tuple[int, str]], regions: Mapping[str, Sequence[str]]) -> dict[str, list[int]]:
    """Return region -> the numbers of the classes inside it."""
    names = list(dict.fromkeys(name for _, name in values))
    return {region: [names.index(name) for name in inside] for region, inside in regions.items()}


def with_settings(sets: dict[str, MaskDataset], mask: MaskConfig) -> dict[str, MaskDataset]:
    """Return sets as the configuration says: by slices, with a boundary of objects, seen inside an organ."""
    if mask.slices:
        sets = with_slices(sets)
    if mask.inside is not None:
        organs = Organs(Path(mask.inside), mask.inside_margin)
        sets = {name: replace(part, organs=organs) for name, part in sets.items()}
    return with_boundary(sets, mask.boundary) if mask.boundary else sets


def why_no_maps(mask: MaskConfig, model: str, form: str) -> str:
    """Return why a network that segments has no map of a whole image, and how one of a place is asked for.

    form: of a place, as --at takes it.
    """
    if mask.patch is not None:
        why = f"it sees patches of {by(mask.patch)}"
    elif mask.modalities > 1:
        why = f"its images have {mask.modalities} files each"
    else:
        why = f"{model} answers for the middle of a patch"
    return f"{why}; tinymed explain RUN IMAGE --at {form} draws what the class of one place rests on"


def mask_lines(config: Any, sets: Mapping[str, MaskDataset], pixels: np.ndarray) -> list[str]:
    """Return lines that say what will be learnt; pixels: of each class in each training mask."""
    mask, kind = config.mask, "volumes" if config.mask.dimensions == 3 else "images"
    counts = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
    share = pixels.sum(axis=0) / max(pixels.sum(), 1)
    shown = (f"{value} {name} {100 * s:.2f} %" for (value, name), s in zip(mask.values, share, strict=False))
    ignored = f"; {mask.ignore} ignored" if mask.ignore is not None else ""
    source, channels = sets["train"].source, config.data.channels
    return [
        f"{config.model}, {counts} {kind} with masks from {source}, {channels} channel(s)",
        f"labels: {', '.join(shown)}{ignored}",
        f"whole images of {config.data.size} px" if mask.patch is None else f"patches of {mask.patch}",
    ]
