"""`open_segmentation`: pairs of images and masks, found by what lies at a path.

DIR/splits.csv or a .csv list    columns path, mask, perhaps split, patient; "a.png;b.png" are two modalities
DIR/images/* and DIR/masks/*     the same name, or the mask's with _mask, _segmentation, ... behind it
DIR/{train,val,test}/images ...  the same, divided already
DIR/images/<case>/* of DICOM     a series of slices a case, and its mask DIR/masks/<case>.nii.gz
DIR/images/*.tif of many pages   volumes; their masks have as many pages
DIR/imagesTr and DIR/labelsTr    volumes of the Medical Segmentation Decathlon and nnU-Net: case_0000, case_0001 are
                                 the modalities of a case; dataset.json names labels and regions, see `dataset_json`
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ..errors import UserError
from .dataset import Reading, read_by
from .dataset_json import listed_pairs, named_labels, whole_regions
from .decoded import Decoded
from .dicom.files import is_dicom
from .folders import SPLIT_NAMES, leave_folder
from .image import SUFFIXES, is_picture
from .labels import Labels, guess_labels
from .lists import MASKS as MASK_NAMES
from .lists import PATHS, Finder, group_column, group_of, read_table, split_column
from .masks import MaskDataset, values_in
from .patients import identify
from .remarks import remark
from .splits import image_hashes, leak_check
from .tables import split_of
from .tiff import is_stack
from .volumes import SUFFIXES as VOLUMES
from .volumes import is_volume, stem
from .walk import Account, files_below, folders_in, loose_files

IMAGES = ("images", "image", "imgs", "img", "imagestr")
MASKS = ("masks", "mask", "labels", "label", "segmentations", "annotations", "gt", "labelstr")
ENDINGS = re.compile(r"([_-](masks?|segmentation|seg|labels?|gt|annotation))$", re.IGNORECASE)
MODALITY = re.compile(r"_\d{4}$")
LAYOUTS = (
    "DIR/images and DIR/masks (or labels), these in DIR/{train,val,test}, DIR/splits.csv with the columns path and "
    "mask, or a .csv list of that form"
)


class Case(NamedTuple):
    """One image of perhaps several files, its mask and its patient."""

    images: list[Path]
    mask: Path
    group: str = ""


class Columns(NamedTuple):
    """Which columns of a list mean what.  None: the first of the usual names, see `lists`."""

    path: str | None = None
    mask: str | None = None
    group: str | None = None
    split: str | None = None
    suffix: str | None = None


class Part(NamedTuple):
    """The cases of a part, the column that names their patients, and the files that were seen where folders were."""

    cases: list[Case]
    group: str = ""
    account: Account | None = None


def open_segmentation(
    path: str | Path,
    *,
    values: Mapping[int, str] | None = None,
    ignore: int | None = None,
    path_column: str | None = None,
    mask_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    leaks: str = "error",
    verify: bool = True,
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> dict[str, MaskDataset]:
    """Open a set of images or volumes with masks.

    Args:
        path: A folder with images/ and masks/ (or other usual names), divided or not, or a list.
        values: What the values in the masks mean; without it a dataset.json says so, or they are looked up in the
            training masks (two are background and foreground).
        ignore: A value that does not count; the label "ignore" of a dataset.json is one.
        path_column: Column of the image's path; by default the first of a usual name, as for the other columns.
        mask_column: Column of the mask's path.
        group_column: Column of the patient.
        split_column: Column of the part.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        verify: Decode every image, compare the headers of volumes and masks, and the splits.
        white: See `decode`.
        window: Likewise.
        page: Likewise.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.  Warns (`UserAdvice`)
        of files that were left out, and of one image with two masks.

    Raises:
        UserError: Names the file: no mask for an image, no image for a mask, unreadable, masks that lie elsewhere.

    Example:
        >>> from PIL import Image
        >>> for folder, value in (("images", 7), ("masks", 0)):
        ...     Path(folder).mkdir()
        ...     Image.new("L", (4, 4), value).save(f"{folder}/a.png")
        >>> data = open_segmentation(".", values={0: "background", 255: "lesion"})["all"]
        >>> len(data), data.classes
        (1, ['background', 'lesion'])
    """
    path = Path(path)
    parts = find_cases(path, Columns(path_column, mask_column, group_column, split_column, suffix))
    regions: Mapping[str, Sequence[str]] = {}
    if values is None:
        values, void = named_labels(path)
        ignore, regions = void if ignore is None else ignore, whole_regions(path)
    known = [case.mask for name in ("train", "all") for case in parts.get(name, Part([])).cases]
    if values is None and not known:
        raise UserError(
            f"{path}: has {', '.join(parts)} but no train images to learn the values in masks from",
            {"values={0: 'NAME', ...}": "say what they mean with {}"},
        )
    meaning = replace(labels_of(path, values, ignore, known), regions=regions)
    sets = {name: dataset_of(path, name, part, meaning) for name, part in parts.items()}
    channels = {len(case.images) for part in parts.values() for case in part.cases}
    if len(channels) > 1:
        raise UserError(f"{path}: some cases have {min(channels)} modalities, others {max(channels)}; give all of each")
    read_by(sets, Reading(white, window, page))
    identify(path, sets, group_column)
    check_one_kind(path, sets)
    if verify:
        kept = Decoded()
        for dataset in sets.values():
            dataset.decoded = kept
            for index in range(len(dataset)):
                dataset.check_headers(index)
            checked, dataset.hashes = image_hashes(dataset)
            dataset.brightest = checked.brightest
        leak_check(sets, rule=leaks)
        remark(path, sets)
    return sets


def check_one_kind(path: Path, sets: Mapping[str, MaskDataset]) -> None:
    """Raise UserError where some images are volumes and others pictures."""
    first: dict[bool, Path] = {}
    for dataset in sets.values():
        for file in map(Path, dataset.samples):
            first.setdefault(dataset.is_volume(file), file)
    if len(first) > 1:
        raise UserError(
            f"{path}: {first[True]} is a volume and {first[False]} a picture; give a folder of one kind",
            {"page=NUMBER": "or, of TIFF files, read one page of each with {}"} if is_stack(first[True]) else {},
        )


def labels_of(path: Path, values: Mapping[int, str] | None, ignore: int | None, masks: Sequence[Path]) -> Labels:
    """Return the labels that the caller names, else those of the values in the masks; may raise UserError."""
    if values is None:
        return guess_labels(values_in(masks), ignore, path)
    try:
        return Labels(values, ignore)
    except UserError as error:
        raise UserError(f"{path}: {error.message}") from None


def dataset_of(path: Path, split: str, part: Part, meaning: Labels) -> MaskDataset:
    """Return one part as a data set."""
    cases = part.cases
    groups = np.array([case.group for case in cases], str) if part.group else None
    files = [case.images for case in cases]
    return MaskDataset(
        [images[0] for images in files],
        np.zeros(len(cases), np.int64),
        meaning.names,
        groups,
        split,
        str(path),
        masks=[case.mask for case in cases],
        meaning=meaning,
        more=[[images[m] for images in files if m < len(images)] for m in range(1, len(files[0]))],
        account=part.account,
        group_column=part.group,
    )


def find_cases(path: Path, columns: Columns) -> dict[str, Part]:
    """Return the pairs of each part; raise UserError for a path that has none of the layouts."""
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    if path.is_file():
        if path.suffix.lower() not in (".csv", ".tsv"):
            raise UserError(f"{path}: not a data set for segmentation; give {LAYOUTS}")
        return read_list(path, columns)
    if (path / "splits.csv").is_file():
        return read_list(path / "splits.csv", columns)
    if named := next((name for name in columns._replace(group=None) if name), None):
        raise UserError(f"{path}: {named!r} was given, but there is no list with columns here; give a list")
    if pairs := listed_pairs(path):
        return {"all": read_pairs(path, pairs)}
    folders = {name: p for p in folders_in(path) if (name := SPLIT_NAMES.get(p.name.lower())) and has_pairs(p)}
    if not folders:
        folders = {"all": path}
    order = sorted(folders, key=["train", "val", "test", "all"].index)
    parts = {name: match_pairs(folders[name]) for name in order}
    if "all" not in folders:
        leave_others(path, set(folders.values()), parts[order[0]].account)
    return parts


def read_pairs(path: Path, pairs: Sequence[tuple[Path, Path]]) -> Part:
    """Return the pairs that a dataset.json lists; other files in its folders are left out."""
    account, taken = Account(kind="images and masks"), {file for pair in pairs for file in pair}
    if len(taken) < 2 * len(pairs):
        raise UserError(f"{path}: its dataset.json lists a file twice under training; list each image and label once")
    others = Account()
    for file in files_below(path, is_image, others):
        if file not in taken:
            account.leave_out(file, "images that dataset.json does not list as training")
    account.add(others)
    account.taken = len(taken)
    return Part([Case([image], mask) for image, mask in pairs], "", account)


def folder_named(path: Path, names: Sequence[str]) -> Path | None:
    """Return the first folder in `path` whose name is one of these."""
    found = {p.name.lower(): p for p in folders_in(path)}
    return next((found[name] for name in names if name in found), None)


def has_pairs(path: Path) -> bool:
    """Return whether a folder holds images and masks."""
    return folder_named(path, IMAGES) is not None and folder_named(path, MASKS) is not None


def is_image(path: Path) -> bool:
    """Return whether a file's name is that of an image or a volume."""
    return is_picture(path) or is_volume(path)


def leave_others(path: Path, taken: set[Path], account: Account | None) -> None:
    """Put what lies beside the folders that are read into the account."""
    if account is None:
        return
    loose_files(path, is_image, account, "images beside the folders")
    for folder in folders_in(path):
        if folder not in taken:
            leave_folder(folder, account, f"images in {folder.name}", is_image)


def by_stem(files: Iterable[Path], folder: Path, cut: re.Pattern[str] | None = None) -> dict[str, list[Path]]:
    """Return relative folder and stem, perhaps with an ending cut off -> files."""
    found: dict[str, list[Path]] = {}
    for file in files:
        name = stem(file) if cut is None else cut.sub("", stem(file))
        found.setdefault(str(file.parent.relative_to(folder) / name), []).append(file)
    return found


def series_folders(files: Sequence[Path], folder: Path) -> list[Path]:
    """Return the folders below `folder` in which DICOM slices lie, in place of these files."""
    return sorted({file.parent if file.parent != folder and is_dicom(file) else file for file in files})


def match_pairs(path: Path) -> Part:
    """Return the images and masks of two folders, matched by name."""
    images, masks = folder_named(path, IMAGES), folder_named(path, MASKS)
    if images is None or masks is None:
        missing = f"no folder {' or '.join(IMAGES[:2])}" if images is None else f"no folder {' or '.join(MASKS[:4])}"
        raise UserError(f"{path}: {missing}; give {LAYOUTS}")
    account = Account(kind="images and masks")
    mask_files, image_files = files_below(masks, is_image, account), files_below(images, is_image, account)
    leave_others(path, {images, masks}, account)
    labels = by_stem(mask_files, masks)
    cases = by_stem(image_files, images)
    if not set(cases) & set(labels):  # names that differ by an ending only
        labels = by_stem(mask_files, masks, ENDINGS)
    if not set(cases) & set(labels):
        cases = by_stem(image_files, images, MODALITY)
        check_modalities(image_files)
    check_one_of_a_name(image_files, images)
    if not set(cases) & set(labels):  # a folder of DICOM slices a case
        image_files = series_folders(image_files, images)
        cases = by_stem(image_files, images)
    if not cases:
        left = f"; left out: {account.left()}" if account.left_out else ""
        raise UserError(f"{images}: no images ({' '.join(sorted(SUFFIXES))} {' '.join(VOLUMES)}){left}")
    for name, files in labels.items():
        if len(files) > 1:
            raise UserError(f"{files[0]} and {files[1]}: two masks for one image; merge them into one")
        if name not in cases:
            raise UserError(f"{files[0]}: no image {name} in {images} for this mask; add it or remove the mask")
    for name, files in cases.items():
        if name not in labels:
            raise UserError(f"{files[0]}: no mask {name} in {masks} for this image; add it or remove the image")
    return Part([Case(files, labels[name][0]) for name, files in cases.items()], "", account)


def read_list(path: Path, columns: Columns) -> dict[str, Part]:
    """Return the pairs that a list names; raise UserError for a missing column or file, or an unknown split."""
    table = read_table(path)
    split, group = split_column(table, columns.split, list(SPLIT_NAMES)), group_column(table, columns.group)
    name = table.needed("path_column", columns.path, PATHS, "the image path")
    mask = table.needed("mask_column", columns.mask, MASK_NAMES, "the mask")
    find, parts = Finder(path, columns.suffix or ""), dict[str, list[Case]]()
    for where, row in table.numbered():
        part = split_of(where, row, split)
        images = [file_in_row(find, where, file.strip(), "image") for file in row[name].split(";")]
        case = Case(
            images, file_in_row(find, where, row[mask], "mask"), group_of(row, group, row[name]) if group else ""
        )
        parts.setdefault(part, []).append(case)
    return {name: Part(parts[name], group or "") for name in ("train", "val", "test", "all") if name in parts}


def check_one_of_a_name(files: Sequence[Path], folder: Path) -> None:
    """Raise UserError for images that differ in their suffix only: they would be taken for modalities of one case."""
    for same in by_stem(files, folder).values():
        if len(same) > 1:
            raise UserError(f"{same[0]} and {same[1]}: two images of one name; keep one")


def check_modalities(files: Sequence[Path]) -> None:
    """Raise UserError unless every case has the same modalities: _0000 and _0002 are not _0000 and _0001."""
    numbers: dict[Path, list[str]] = {}
    for file in files:
        ending = MODALITY.search(stem(file))
        case = file.with_name(MODALITY.sub("", stem(file)))
        numbers.setdefault(case, []).append(ending[0] if ending else "")
    first = next(iter(numbers), None)
    for case, found in numbers.items():
        if first is not None and found != numbers[first]:
            raise UserError(
                f"{case}: has the modalities {' '.join(found)}, but {first.name} {' '.join(numbers[first])}; "
                "give every case all of them"
            )


def file_in_row(find: Finder, where: str, name: str, what: str) -> Path:
    """Return the file of a name in a row; raise UserError naming the row."""
    try:
        return find(name, what)
    except UserError as error:
        raise UserError(f"{where}: there is no {what} {error.message}") from None
