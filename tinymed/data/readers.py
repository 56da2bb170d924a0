"""`open_dataset`: what a path holds, found out from what is there."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import UserError
from .arrays import MAX_BYTES, read_idx_directory, read_npz
from .dataset import Dataset, Reading, check_classes, merge_classes, read_by
from .decoded import Decoded
from .folders import read_class_folders
from .large_sets import check_files, is_large
from .patients import identify
from .remarks import remark
from .splits import image_hashes, leak_check
from .tables import Columns, read_csv, refuse_columns

LISTS = (".csv", ".tsv")
LAYOUTS = (
    "class folders DIR/<class>/*, split folders DIR/{train,val,test}/<class>/*, DIR/splits.csv, a .csv list, "
    "a MedMNIST-style .npz, or the four MNIST idx files"
)


def open_dataset(
    path: str | Path,
    *,
    path_column: str | None = None,
    label_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    merge: Mapping[str, Sequence[str]] | None = None,
    classes: Sequence[str] | None = None,
    skip_bad: bool = False,
    verify: bool = True,
    leaks: str = "error",
    max_bytes: int = MAX_BYTES,
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
    form: tuple[int, int] | None = None,
    planes: bool = False,
    whole: bool = False,
) -> dict[str, Dataset]:
    """Open a set of labelled images; what a path holds is found out from what is there.

    Args:
        path: Class folders, split folders, a directory with splits.csv (which then decides), a CSV list (columns
            path, label and perhaps split, patient), an NPZ with train_images, train_labels, ..., or MNIST's idx
            files.
        path_column: Column of the image's path; by default the first of a usual name, such as file or "Image Index",
            as for the other columns.
        label_column: Column of the class.
        group_column: Column of the patient, who is never divided.
        split_column: Column of the part.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        merge: Old classes put together, see `merge_classes`.
        classes: The classes and their order, from a trained run; classes without images are then allowed, unknown
            ones are not.
        skip_bad: Leave unreadable and missing files out and list them in `Dataset.skipped`.
        verify: Decode every image now, so that damage and leaks show before training; of 20,000 files or more look at
            headers and bytes only, unless skip_bad: their pixels are compared by `compare_pixels`.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two splits.
        max_bytes: Limit in bytes on what an NPZ or idx file may inflate to.
        white: The value that is white in pictures deeper than 8 bits, see `decode`.
        window: Instead of white, (centre, width), see `decode`.
        page: Of TIFF and DICOM files of several pages, see `decode`.
        form: (side in pixels, channels) in which pictures will be asked for: so they are kept once decoded.
        planes: The set is of volumes: read their three middle planes as the channels of a picture.
        whole: The set is of volumes: read all of them, as images [depth, height, width, 1].

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.  Warns (`UserAdvice`)
        of files that were left out, of one picture under two labels, and of deep pictures that are all dark.

    Raises:
        UserError: Names the file and the remedy.

    Example:
        >>> from PIL import Image
        >>> for number, name in enumerate(("benign", "malignant")):
        ...     Path(name).mkdir()
        ...     Image.new("L", (8, 8), number).save(f"{name}/a.png")
        >>> open_dataset(".")["all"].counts()
        {'benign': 1, 'malignant': 1}
    """
    path = Path(path)
    columns = Columns(path_column, label_column, group_column, split_column, suffix)
    sets = read(path, columns, skip_bad, max_bytes, "planes" if planes else "whole" if whole else "")
    read_by(sets, Reading(white, window, page))
    identify(path, sets, group_column)
    for name, dataset in sets.items():
        merged = merge_classes(dataset, merge) if merge else dataset
        sets[name] = merged if classes is None else with_classes(merged, list(classes))
    if verify:
        sets = verify_sets(sets, skip_bad, leaks, form)
    for name, dataset in sets.items():
        if not len(dataset):
            raise UserError(f"{path} [{name}]: no image left; {len(dataset.skipped)} skipped")
        if classes is None and name in ("train", "all"):
            check_classes(dataset)
    remark(path, sets)
    return sets


def read(path: Path, columns: Columns, skip_bad: bool, max_bytes: int, volumes: str = "") -> dict[str, Dataset]:
    """Choose the reader by what is at `path`; volumes: see `Dataset`."""
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    table = path / "splits.csv" if path.is_dir() else path
    if table.suffix.lower() in LISTS and table.is_file():
        return as_volumes(read_csv(table, columns, skip_bad, max_bytes), volumes)
    refuse_columns(path, columns)
    if path.is_dir():
        return as_volumes(read_idx_directory(path, max_bytes) or read_class_folders(path, bool(volumes)), volumes)
    if path.suffix.lower() == ".npz":
        return read_npz(path, max_bytes, volumes)
    raise UserError(f"{path}: not a data set; give {LAYOUTS}")


def as_volumes(sets: dict[str, Dataset], volumes: str) -> dict[str, Dataset]:
    """Return sets whose images are made of volumes, if asked; raise UserError for arrays of pictures."""
    return {name: replace(dataset, volumes=volumes) for name, dataset in sets.items()} if volumes else sets


def with_classes(dataset: Dataset, classes: list[str]) -> Dataset:
    """Return the same images, labels renumbered to `classes`; raise UserError for an image of an unknown class."""
    unknown = [name for name, n in dataset.counts().items() if n and name not in classes]
    if unknown:
        raise UserError(
            f"{dataset.source} [{dataset.split}]: class {', '.join(unknown)} is unknown, expected "
            f"{', '.join(classes)}; rename the class",
            {"merge=NEW=OLD,OLD": "or put it into one of these with {}"},
        )
    number = {name: i for i, name in enumerate(classes)}
    table = np.array([number.get(name, -1) for name in dataset.classes], np.int64)
    return replace(dataset, labels=table[dataset.labels], classes=classes)


def verify_sets(
    sets: dict[str, Dataset],
    skip_bad: bool,
    leaks: str,
    form: tuple[int, int] | None = None,
    at_once: bool = False,
) -> dict[str, Dataset]:
    """Return every image decoded once: bad ones raised or left out, and the splits compared by content hash.

    What is decoded is kept; form: see `open_dataset`.  Of a large set only headers and files are looked at, see
    `large_sets`, unless bad images are to be left out, or all is to be known at once.
    """
    wanted = None if form is None else (next(iter(sets.values())).sides(form[0]), form[1])
    volumes = any(part.volumes for part in sets.values())  # whose headers are not those of pictures
    if is_large(sets) and not (skip_bad or at_once or volumes):
        return check_files(sets, leaks, wanted)
    kept = Decoded(wanted)
    opened = {name: replace(dataset, decoded=kept) for name, dataset in sets.items()}
    checked = {name: image_hashes(dataset, skip_bad=skip_bad)[0] for name, dataset in opened.items()}
    for name, dataset in checked.items():
        left_out = dataset.skipped[len(sets[name].skipped) :]
        if dataset.account is not None and left_out:
            dataset.account.taken -= len(left_out)
            for bad, _ in left_out:
                dataset.account.leave_out(bad, "unreadable", quiet=True)
    leak_check(checked, rule=leaks)
    return checked
