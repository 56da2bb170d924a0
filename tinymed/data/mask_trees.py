"""`open_segmentation`: pairs of images and masks, found by what lies at a path.

DIR/splits.csv or a .csv list    columns path, mask, perhaps split, patient; "a.png;b.png" are two modalities
DIR/images/* and DIR/masks/*     the same name, or the mask's with _mask, _segmentation, ... behind it
DIR/{train,val,test}/images ...  the same, divided already
DIR/imagesTr and DIR/labelsTr    volumes of the Medical Segmentation Decathlon and nnU-Net: case_0000, case_0001 are
                                 the modalities of a case; dataset.json names the labels
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinymed.data.folders import SPLIT_NAMES, folders_in
from tinymed.data.image import SUFFIXES
from tinymed.data.labels import Labels, guess_labels
from tinymed.data.masks import MaskDataset, values_in
from tinymed.data.splits import image_hashes, leak_check
from tinymed.data.tables import GROUP_COLUMNS, read_rows
from tinymed.data.volumes import SUFFIXES as VOLUMES
from tinymed.data.volumes import is_volume
from tinymed.errors import UserError

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


def open_segmentation(
    path: str | Path,
    *,
    values: Mapping[int, str] | None = None,
    ignore: int | None = None,
    leaks: str = "error",
    verify: bool = True,
) -> dict[str, MaskDataset]:
    """{"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.

    values: what the values in the masks mean; without it a dataset.json says so, or they are looked up in the training
    masks (two are background and foreground).  ignore: a value that does not count.  verify: decode every image and
    compare the splits.  Raises UserError naming the file: no mask for an image, no image for a mask, unreadable.
    """
    path = Path(path)
    parts = find_cases(path)
    if values is None:
        values = named_labels(path)
    known = [case.mask for name in ("train", "all") for case in parts.get(name, ())]
    if values is None and not known:
        raise UserError(
            f"{path}: has {', '.join(parts)} but no train images, and --labels does not say what values mean"
        )
    meaning = Labels(values, ignore) if values is not None else guess_labels(values_in(known), ignore, path)
    sets = {name: dataset_of(path, name, cases, meaning) for name, cases in parts.items()}
    channels = {len(case.images) for cases in parts.values() for case in cases}
    if len(channels) > 1:
        raise UserError(f"{path}: some cases have {min(channels)} modalities, others {max(channels)}; give all of each")
    if verify:
        for dataset in sets.values():
            dataset.hashes = image_hashes(dataset)[1]
        leak_check(sets, rule=leaks)
    return sets


def dataset_of(path: Path, split: str, cases: Sequence[Case], meaning: Labels) -> MaskDataset:
    """One part as a data set."""
    groups = np.array([case.group for case in cases], str) if all(case.group for case in cases) else None
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
    )


def find_cases(path: Path) -> dict[str, list[Case]]:
    """The pairs of each part.  Raises UserError for a path that has none of the layouts."""
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    if path.is_file():
        if path.suffix.lower() != ".csv":
            raise UserError(f"{path}: not a data set for segmentation; give {LAYOUTS}")
        return listed(path)
    if (path / "splits.csv").is_file():
        return listed(path / "splits.csv")
    folders = {name: p for p in folders_in(path) if (name := SPLIT_NAMES.get(p.name.lower())) and has_pairs(p)}
    if not folders:
        folders = {"all": path}
    order = sorted(folders, key=["train", "val", "test", "all"].index)
    return {name: paired(folders[name]) for name in order}


def folder_named(path: Path, names: Sequence[str]) -> Path | None:
    """The first folder in `path` whose name is one of these."""
    found = {p.name.lower(): p for p in folders_in(path)}
    return next((found[name] for name in names if name in found), None)


def has_pairs(path: Path) -> bool:
    """Whether a folder holds images and masks."""
    return folder_named(path, IMAGES) is not None and folder_named(path, MASKS) is not None


def stem(path: Path) -> str:
    """A file's name without its suffix, .nii.gz being one."""
    lower = path.name.lower()
    ending = next((s for s in VOLUMES if lower.endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def pictures(folder: Path) -> list[Path]:
    """Images and volumes in a folder and below it, by path; hidden files are passed over."""
    files = (p for p in folder.rglob("*") if p.is_file() and not p.name.startswith("."))
    return sorted(p for p in files if p.suffix.lower() in SUFFIXES or is_volume(p))


def by_stem(files: Iterable[Path], folder: Path, cut: re.Pattern[str] | None = None) -> dict[str, list[Path]]:
    """relative folder and stem, perhaps with an ending cut off -> files."""
    found: dict[str, list[Path]] = {}
    for file in files:
        name = stem(file) if cut is None else cut.sub("", stem(file))
        found.setdefault(str(file.parent.relative_to(folder) / name), []).append(file)
    return found


def paired(path: Path) -> list[Case]:
    """The images and masks of two folders, matched by name."""
    images, masks = folder_named(path, IMAGES), folder_named(path, MASKS)
    if images is None or masks is None:
        missing = f"no folder {' or '.join(IMAGES[:2])}" if images is None else f"no folder {' or '.join(MASKS[:4])}"
        raise UserError(f"{path}: {missing}; give {LAYOUTS}")
    labels = by_stem(pictures(masks), masks)
    cases = by_stem(pictures(images), images)
    if not set(cases) & set(labels):  # names that differ by an ending only
        labels = by_stem(pictures(masks), masks, ENDINGS)
    if not set(cases) & set(labels):
        cases = by_stem(pictures(images), images, MODALITY)
    if not cases:
        raise UserError(f"{images}: no images ({' '.join(sorted(SUFFIXES))} {' '.join(VOLUMES)})")
    for name, files in labels.items():
        if len(files) > 1:
            raise UserError(f"{files[0]} and {files[1]}: two masks for one image; merge them into one")
        if name not in cases:
            raise UserError(f"{files[0]}: no image {name} in {images} for this mask; add it or remove the mask")
    for name, files in cases.items():
        if name not in labels:
            raise UserError(f"{files[0]}: no mask {name} in {masks} for this image; add it or remove the image")
    return [Case(files, labels[name][0]) for name, files in cases.items()]


def listed(table: Path) -> dict[str, list[Case]]:
    """The pairs that a list names.  Raises UserError: no such column, a missing file, an unknown split."""
    rows, header = read_rows(table)
    for column in ("path", "mask"):
        if column not in header:
            raise UserError(
                f"{table}: no column {column!r} (it has {', '.join(header)}); segmentation needs path and mask"
            )
    group = next((column for column in GROUP_COLUMNS if column in header), None)
    parts: dict[str, list[Case]] = {}
    for line, row in enumerate(rows, start=2):
        split = SPLIT_NAMES.get(row["split"].lower()) if "split" in header else "all"
        if split is None:
            raise UserError(f"{table}, line {line}: split {row['split']!r} is none of train, val, test")
        images = [table.parent / name.strip() for name in row["path"].split(";")]
        mask = table.parent / row["mask"]
        for kind, file, field in [*(("image", image, row["path"]) for image in images), ("mask", mask, row["mask"])]:
            if not field or not file.is_file():
                raise UserError(f"{table}, line {line}: there is no {kind} {file}; correct the list or add the file")
        parts.setdefault(split, []).append(Case(images, mask, row[group] if group else ""))
    return {name: parts[name] for name in ("train", "val", "test", "all") if name in parts}


def named_labels(path: Path) -> dict[int, str] | None:
    """What a dataset.json says of the labels: {"0": "background"} (Decathlon) or {"background": 0} (nnU-Net)."""
    file = path / "dataset.json"
    if not file.is_file():
        return None
    try:
        labels = json.loads(file.read_text("utf-8")).get("labels")
        pairs = [(int(k), str(v)) if str(k).isdecimal() else (int(v), str(k)) for k, v in labels.items()]
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f'{file}: cannot be read ({error}); it needs labels as {{"0": "background", ...}}') from None
    return dict(sorted(pairs))
