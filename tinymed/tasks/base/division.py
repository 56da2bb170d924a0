"""How the images of a run are divided where the data do not divide them themselves."""

from typing import Any

from ...data.folds import cut_fold, join
from ...data.splits import leak_check, split_dataset
from ...errors import UserError
from .config import DataConfig

Sets = dict[str, Any]


def share_skipped(sets: Sets, divided: Sets) -> Sets:
    """Let the training part name all files that were left out, and the others none."""
    skipped = [item for dataset in sets.values() for item in dataset.skipped]
    for name, dataset in divided.items():
        dataset.skipped = skipped if name == "train" else []
    return divided


def divide(sets: Sets, data: DataConfig, seed: int, every_class: bool = True) -> Sets:
    """Cut off a validation set, and a test set where nothing is divided yet, unless they are given.

    every_class: whether each part that is cut off must have an image of every class.  Raises UserError.
    """
    where = data.path or "the synthetic set"
    if "train" in sets and "val" in sets:
        return sets
    if "train" in sets:
        shares = {"train": 1 - data.val_fraction, "val": data.val_fraction}
        cut = split_dataset(sets["train"], shares, seed, data.split)
        check_division(cut, where, data.leaks, every_class)
        return cut | {name: s for name, s in sets.items() if name != "train"}
    if "all" not in sets:
        raise UserError(f"{where}: has {', '.join(sets)} but no train images to learn from")
    rest = 1 - data.val_fraction - data.test_fraction
    if rest <= 0:
        raise UserError(
            f"--val-fraction {data.val_fraction:g} and --test-fraction {data.test_fraction:g} leave nothing to "
            "train on; give parts that add up to less than 1"
        )
    shares = {"train": rest, "val": data.val_fraction, "test": data.test_fraction}
    cut = split_dataset(sets["all"], {k: v for k, v in shares.items() if v > 0}, seed, data.split)
    return check_division(cut, where, data.leaks, every_class)


def fold_of(sets: Sets, data: DataConfig, seed: int) -> Sets:
    """Return the sets as they are or, in a run of a cross-validation, {"train": ..., "test": its fold}.

    Raises UserError: too few images or groups, a class that is in one fold alone, an image or patient on both sides.
    """
    place = data.fold
    if place is None:
        return sets
    train = join([sets[name] for name in place.parts])
    train, test, _ = cut_fold(train, place.folds, place.fold, seed + place.repeat - 1, data.split)
    if place.inner_folds:
        train, test, _ = cut_fold(train, place.inner_folds, place.inner, seed + place.repeat - 1, data.split)
    absent = [name for name, count in train.counts().items() if not count] if train.tells_classes else []
    if absent:
        raise UserError(
            f"{data.path or 'the synthetic set'}: class {', '.join(absent)} is in fold {place.fold} alone, so that it "
            "cannot be learnt there; use fewer folds, or --split stratified"
        )
    if train.hashes is not None:
        leak_check({"train": train, "test": test}, rule=data.leaks)
    return {"train": train, "test": test}


def check_division(divided: Sets, where: str, leaks: str, every_class: bool = True) -> Sets:
    """Raise UserError if a part that was cut off lacks a class ("last" does that to a set sorted by class) or leaks."""
    for name, part in divided.items():
        absent = [label for label, n in part.counts().items() if n == 0] if every_class else []
        if absent:
            raise UserError(
                f"{where}: the {name} part has no image of class {', '.join(absent)}; "
                "use --split stratified, or other fractions"
            )
    if any(part.hashes is not None for part in divided.values()):
        leak_check(divided, rule=leaks)
    return divided
