"""Class folders: DIR/<class>/* and DIR/{train,val,test}/<class>/*."""

import os
from pathlib import Path

import numpy as np

from tinymed.data.dataset import Dataset
from tinymed.data.image import SUFFIXES
from tinymed.errors import UserError

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


def folders_in(path: Path) -> list[Path]:
    """Visible directories in `path`, by name."""
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith((".", "__MACOSX")))


def images_in(path: Path) -> list[Path]:
    """Image files anywhere below `path`, by path; hidden files and other suffixes are passed over."""
    found = []
    for folder, _, files in os.walk(path):
        found += [Path(folder, name) for name in files if Path(name).suffix.lower() in SUFFIXES and name[0] != "."]
    return sorted(found)


def sort_classes(names: set[str]) -> list[str]:
    """By name, as torchvision's ImageFolder; by value when all are numbers, so that 10 comes after 9."""
    if all(name.isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def read_class_folders(path: Path) -> dict[str, Dataset]:
    """Split folders if `path` has them, class folders otherwise.  Raises UserError for an empty or unknown class."""
    splits: dict[str, Path] = {}
    for folder in folders_in(path):
        name = SPLIT_NAMES.get(folder.name.lower())
        if name is None or not folders_in(folder):
            continue
        if name in splits:
            raise UserError(f"{path}: {splits[name].name} and {folder.name} both mean {name}; keep one")
        splits[name] = folder
    if not splits:
        splits = {"all": path}
    found = {name: {c.name: images_in(c) for c in folders_in(folder)} for name, folder in splits.items()}
    for name, folder in splits.items():
        check_found(folder, found[name])
    classes = sort_classes(set(found["train"] if "train" in found else set().union(*found.values())))
    result = {}
    for name in sorted(splits, key=["train", "val", "test", "all"].index):
        result[name] = build(path, splits[name], name, found[name], classes)
    return result


def check_found(folder: Path, found: dict[str, list[Path]]) -> None:
    """Raise UserError if there is no class folder, or one without images."""
    if not found:
        hint = "images lie here without class folders; " if images_in(folder) else ""
        raise UserError(f"{folder}: no class folders; {hint}make one folder a class with its images in it")
    empty = [name for name, images in found.items() if not images]
    if empty:
        kinds = " ".join(sorted(SUFFIXES))
        raise UserError(
            f"{folder / empty[0]}: class {empty[0]!r} has no images ({kinds}); add some or remove the folder"
        )


def build(root: Path, folder: Path, split: str, found: dict[str, list[Path]], classes: list[str]) -> Dataset:
    """One split of class folders.  Raises UserError for a class that train does not have."""
    unknown = sorted(set(found) - set(classes))
    if unknown:
        raise UserError(
            f"{folder / unknown[0]}: class {unknown[0]!r} is not among those of train ({', '.join(classes)}); "
            "rename the folder or add the class to train"
        )
    samples = [p for name in classes for p in found.get(name, [])]
    labels = np.repeat(np.arange(len(classes)), [len(found.get(name, [])) for name in classes])
    return Dataset(samples, labels, classes, split=split, source=str(root))
