"""What options of augmentation stand for, and when they have an effect."""

from collections.abc import Mapping
from typing import Any

MIXTURE: dict[str, Any] = {
    "horizontal_flip": True,
    "vertical_flip": True,
    "rotate": 15.0,
    "shift": 0.05,
    "scale": (0.9, 1.1),
    "brightness": 0.05,
    "contrast": 0.1,
}
FLIPS = ("horizontal_flip", "vertical_flip")
COLOURS = ("saturation", "hue", "stain", "pca_colour")
MOVES = (
    *("horizontal_flip", "vertical_flip", "flip", "turns", "rotate", "shear"),
    *("scale", "crop", "shift", "elastic", "border"),
)


def augmentation(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what --augment and --flip stand for; --no-flip takes the flips out of the mixture."""
    chosen: dict[str, Any] = dict(MIXTURE) if given.get("augment") else {}
    return chosen | (dict.fromkeys(FLIPS, bool(given["flip"])) if "flip" in given else {})


def augmentation_rules(
    given: Mapping[str, Any], volumes: bool = False, planes: bool = False
) -> dict[str, tuple[bool, str]]:
    """Return when options of augmentation have an effect, as `refuse_idle` takes it.

    Args:
        given: the options that the user gave.
        volumes: images are volumes.
        planes: a network sees planes of a volume about one voxel, of which only intensities change.
    """
    return {
        "elastic_grid": (bool(given.get("elastic")), "it is of --elastic"),
        "fill": (given.get("border") == "constant", "it is of --border constant"),
        **dict.fromkeys(COLOURS, (not volumes, "volumes have no colours")),
        **dict.fromkeys(MOVES, (not planes, "of the planes about a voxel only the intensities change")),
    }
