"""Class folders: DIR/<class>/* and DIR/{train,val,test}/<class>/*."""

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..errors import UserAdvice, UserError
from .dataset import Dataset
from .image import NEEDED, SUFFIXES, is_picture
from .planes import is_readable, volume_files
from .walk import Account, files_below, folders_in, loose_files

SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}


def sort_classes(names: set[str]) -> list[str]:
    """Sort by name, as torchvision's ImageFolder; by value when all are numbers, so that 10 comes after 9."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def read_class_folders(path: Path, volumes: bool = False) -> dict[str, Dataset]:
    """Read split folders if `path` has them, class folders otherwise; raise UserError for another layout.

    volumes: The samples are volumes, of which a folder of DICOM slices is one.
    """
    readable = is_readable if volumes else is_picture
    splits = split_folders(path)
    accounts = {name: Account() for name in splits}
    first = accounts[next(iter(splits))]
    if "all" not in splits:
        loose_files(path, readable, first, "images beside the split folders")
        for folder in folders_in(path):
            if folder not in splits.values():
                leave_folder(folder, first, f"images in {folder.name}, beside {' and '.join(sorted(splits))}")
    found: dict[str, dict[str, list[Path]]] = {}
    for name, folder in splits.items():
        loose = loose_files(folder, readable, accounts[name], "images outside the class folders")
        found[name] = {}
        for c in folders_in(folder):
            own = Account()
            files = files_below(c, readable, own)
            found[name][c.name] = volume_files(c, files) if volumes else files
            check_not_empty(c, own, volumes)
            accounts[name].add(own)
        if not found[name]:
            hint = "images lie here without class folders; " if loose else ""
            raise UserError(f"{folder}: no class folders; {hint}make one folder a class with its images in it")
    classes = sort_classes(set(found["train"] if "train" in found else set().union(*found.values())))
    result = {}
    for name in sorted(splits, key=["train", "val", "test", "all"].index):
        result[name] = build(path, splits[name], name, found[name], classes)
        result[name].account = accounts[name]
    if "all" in found:
        warn_of_nested(path, found["all"])
    return result


def warn_of_nested(path: Path, found: dict[str, list[Path]]) -> None:
    """Warn where all classes hold the same folders and nothing beside: most likely those are the classes."""
    below = [{file.relative_to(path / name).parts[0] for file in files} for name, files in found.items()]
    same = below[0] if below else set()
    deep = all(len(file.relative_to(path / name).parts) > 1 for name, files in found.items() for file in files)
    if len(below) > 1 and len(same) > 1 and deep and all(names == same for names in below):
        message = (
            f"{path}: the classes {', '.join(found)} hold the same folders {', '.join(sorted(same)[:4])}; if those are "
            "the classes and these the parts, call the parts train, val and test"
        )
        warnings.warn(UserAdvice(message), stacklevel=4)


def split_folders(path: Path) -> dict[str, Path]:
    """Return the folders train, val, test by any of their names; without one {"all": path}."""
    splits: dict[str, Path] = {}
    for folder in folders_in(path):
        name = SPLIT_NAMES.get(folder.name.lower())
        if name is None or not folders_in(folder):
            continue
        if name in splits:
            raise UserError(f"{path}: {splits[name].name} and {folder.name} both mean {name}; keep one")
        splits[name] = folder
    return splits or {"all": path}


def leave_folder(folder: Path, account: Account, place: str, readable: Callable[[Path], bool] = is_picture) -> None:
    """Put all files of a folder that is not read into the account; `place` is what its images are called."""
    own = Account()
    for file in files_below(folder, readable, own):
        own.leave_out(file, place)
    own.taken = 0
    account.add(own)


def check_not_empty(folder: Path, account: Account, volumes: bool = False) -> None:
    """Raise UserError for a class without images, or without volumes; it says what lies there instead."""
    if account.taken:
        return
    kinds = "volumes: .nii .nii.gz, TIFF of pages, DICOM" if volumes else " ".join(sorted(SUFFIXES))
    instead = f"; it holds {account.left()}" if account.left_out else ""
    raise UserError(
        f"{folder}: class {folder.name!r} has no images ({kinds}){instead}; add some or remove the folder",
        NEEDED if {".nii", ".nii.gz"} & set(account.left_out) else {},
    )


def build(root: Path, folder: Path, split: str, found: dict[str, list[Path]], classes: list[str]) -> Dataset:
    """Return one split of class folders; raise UserError for a class that train does not have."""
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise UserError(
            f"{folder / unknown[0]}: class {unknown[0]!r} is not among those of train ({', '.join(classes)}); "
            "rename the folder or add the class to train"
        )
    samples = [p for name in classes for p in found.get(name, [])]
    labels = np.repeat(np.arange(len(classes)), [len(found.get(name, [])) for name in classes])
    return Dataset(samples, labels, classes, split=split, source=str(root))
