"""Classes with few images: which they are, and what can be done about them."""

from collections.abc import Mapping
from typing import Any

from .options import Options

SHARE, FEW = 0.3, 20  # of an equal share of the images, below which a class is rare; images too few to tell
MEASURES = ("sampling", "balanced", "class_weights", "focal")


def rare_classes(counts: Mapping[str, int]) -> list[str]:
    """Return the classes that have few images beside the others.

    Example:
        >>> rare_classes({"clear": 900, "ill": 40}), rare_classes({"clear": 9, "ill": 9})
        (['ill'], [])
    """
    equal = sum(counts.values()) / max(len(counts), 1)
    return [name for name, n in counts.items() if n < SHARE * equal]


def rare_lines(
    train: Mapping[str, int], parts: Mapping[str, Mapping[str, int]], config: Any, given: Options
) -> list[str]:
    """Return lines that warn of rare classes and say what is done or could be done.

    Args:
        train: images of each class in the training set.
        parts: the same of the parts that are measured, by name.
        config: the configuration.
        given: the options that the user gave.
    """
    rare, total = rare_classes(train), sum(train.values())
    lines = []
    if rare:
        shown = ", ".join(f"{name} {train[name]} of {total}" for name in rare)
        lines.append(f"rare in the training set: {shown}; {remedy(config, given)}")
    few = []
    for part, counts in {"train": train, **parts}.items():
        thin = [f"{name} {n}" for name, n in counts.items() if n < FEW]
        few += [f"{part} {', '.join(thin)}"] if thin else []
    if few:
        lines.append(f"few images of a class: {'; '.join(few)}: what is learnt or measured of them is uncertain")
    return lines


def remedy(config: Any, given: Options) -> str:
    """Return what is done about rare classes, or what to try."""
    if config.sampling and "sampling" not in given:
        return f"the recipe shows them more often (--sampling {config.sampling}); --merge puts classes together"
    if any(given.get(name) for name in MEASURES):
        return "--merge puts classes together"
    return "try --sampling balanced, --class-weights balanced or effective, --focal 2, or --merge NEW=OLD,OLD"
