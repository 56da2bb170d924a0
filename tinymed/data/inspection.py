"""What a path holds, whatever it is: files read and left out, sizes, depths, spacings, classes, patients, leaks.

Nothing is refused that another look may explain: what cannot be read is listed with its reason.
"""

import os
import warnings
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError, printable
from .arrays import image_shapes
from .box_formats import coco_files, yolo_folders
from .boxes import BoxDataset, account_for_unlisted, open_boxes
from .dataset import Dataset
from .decoded import pixel_hash
from .dicom.files import read
from .dicom.library import guarded
from .dicom.people import facts_of
from .dicom.privacy import hidden_names
from .dicom.series import is_series, series_files
from .dicom.syntaxes import syntax_of
from .findings import open_findings
from .lists import LABELS, MASKS, read_table
from .masks import MaskDataset, by
from .patients import files_of, is_from_dicom
from .planes import NETWORK, is_array_of_volumes
from .readers import open_dataset
from .remarks import contradictions, copies, split_text
from .segmentation_layouts import has_pairs, is_image, open_segmentation
from .splits import find_leaks
from .tiff import is_stack, stack_of
from .unlabelled import open_unlabelled
from .values import open_values
from .volumes import is_volume, nibabel, open_image, read_volume
from .walk import Account, files_below, total

Opened = Mapping[str, Any]
KINDS: dict[str, Callable[[Path], Opened]] = {
    "classes": lambda path: open_dataset(path, skip_bad=True, verify=False, whole=holds_volumes(path)),
    "findings": lambda path: open_findings(path, skip_bad=True, verify=False),
    "numbers": lambda path: open_values(path, skip_bad=True, verify=False),
    "masks": lambda path: open_segmentation(path, verify=False),
    "boxes": lambda path: open_boxes(path, verify=False),
    "images": lambda path: open_unlabelled(path, skip_bad=True, verify=False),
}


def holds_volumes(path: Path) -> bool:
    """Return whether class folders, or an archive of arrays, hold volumes and no pictures."""
    if path.suffix.lower() == ".npz":
        return any(is_array_of_volumes(shape) for shape in image_shapes(path))
    if not path.is_dir() or (path / "splits.csv").is_file():
        return False
    files = files_below(path, is_image, Account())
    return bool(files) and all(is_volume(file) for file in files)


SHOWN = 5  # names of files for one reason
CODES = {"unreadable": 1, "leaks": 1, "contradictions": 1}


class Seen(NamedTuple):
    """One image: its size, depth, spacing, orientation and hash, or why it cannot be read."""

    size: str = ""
    depth: str = ""
    spacing: str = ""
    orientation: str = ""
    key: bytes = b""
    classes: tuple[int, ...] = ()  # that its mask holds
    error: str = ""


def guess_kind(path: Path) -> str:
    """Return how a path is opened, by what lies there: one of KINDS.  Raises UserError for what is not there."""
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give a folder of images, a list, an .npz or an idx folder")
    if path.is_dir():
        return kind_of_folder(path)
    if path.suffix.lower() not in (".csv", ".tsv"):
        return "images" if is_image(path) else "boxes" if path.suffix.lower() in (".json", ".yaml") else "classes"
    return kind_of_list(path)


def kind_of_folder(path: Path) -> str:
    """Return how a folder is opened."""
    if (path / "boxes.csv").is_file() or coco_files(path) or yolo_folders(path):
        return "boxes"
    if (path / "splits.csv").is_file():
        return kind_of_list(path / "splits.csv")
    if has_pairs(path) or any(has_pairs(folder) for folder in path.iterdir() if folder.is_dir()):
        return "masks"
    if is_series(path) or not any(folder.is_dir() and not folder.name.startswith(".") for folder in path.iterdir()):
        return "classes" if any(path.glob("*-ubyte*")) else "images"
    return "classes"


def kind_of_list(path: Path) -> str:
    """Return how a list is opened, by its columns."""
    table = read_table(path)
    if table.column("mask_column", None, MASKS) is not None:
        return "masks"
    if {"xmin", "ymin", "xmax", "ymax"} <= {name.lower() for name in table.header}:
        return "boxes"
    label = table.column("label_column", None, LABELS)
    if label is None:
        return "classes" if {"images", "labels"} <= set(table.header) else "findings"
    return "findings" if any("|" in row[label] for row in table.rows) else "classes"


def inspect(path: Path, kind: str | None = None) -> dict[str, Any]:
    """Return what a path holds, for JSON.

    Args:
        path: A folder, a list, an archive or a single image.
        kind: One of KINDS; None: by what lies there.

    Raises:
        UserError: There is nothing there, or nothing that can be opened.
    """
    if kind not in (None, *KINDS):
        raise UserError(f"--kind {kind!r}: choose one of {', '.join(KINDS)}")
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        kind = kind or guess_kind(path)
        sets = KINDS[kind](path)
    notes += dict.fromkeys(printable(warning.message) for warning in heard)
    images = {name: look_at(dataset) for name, dataset in sets.items()}
    good = {name: keep_good(sets[name], images[name]) for name in sets}
    called = hidden_names(str(path)) if path.is_file() else str(path)  # a DICOM file is called by its number
    result: dict[str, Any] = {"path": called, "kind": kind}
    result["parts"] = {name: len(dataset) for name, dataset in sets.items()}
    result["unreadable"] = [
        {"file": dataset.name(i), "reason": each.error}
        for name, dataset in sets.items()
        for i, each in enumerate(images[name])
        if each.error
    ] + [{"file": file, "reason": reason} for dataset in sets.values() for file, reason in dataset.skipped]
    bad = [dataset.name(i) for name, dataset in sets.items() for i, each in enumerate(images[name]) if each.error]
    result["files"] = files_seen(path, sets, bad)
    seen = [each for part in images.values() for each in part if not each.error]
    for field in ("size", "depth", "spacing", "orientation"):
        counted = Counter(getattr(each, field) for each in seen if getattr(each, field))
        result[f"{field}s"] = dict(counted.most_common())
    result["classes"] = classes_of(sets, images)
    result["patients"] = patients_of(good)
    result |= copies_and_leaks(good)
    result["dicom"] = dicom_facts(sets)
    if kind == "classes" and any(each.size.count(" x ") > 1 for each in seen):
        notes.append(f"volumes are classified whole by a network of volumes (train --model {NETWORK}), or by --planes")
    result["notes"] = notes
    return result


def look_at(dataset: Dataset, workers: int = 2) -> list[Seen]:
    """Return what every image of a set is, in order."""

    def look(index: int) -> Seen:
        try:
            pixels, classes = image_of(dataset, index)
            spacing, orientation = placement_of(dataset, index)
        except UserError as error:
            return Seen(error=str(error).partition("; ")[0])
        key = pixel_hash(pixels) if pixels.ndim == 3 else pixel_hash(pixels.reshape(*pixels.shape[:2], -1))
        size, depth = by(pixels.shape[:-1]) + channels_of(pixels), depth_of(dataset, index, pixels)
        return Seen(size, depth, spacing, orientation, key, classes)

    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(look, range(len(dataset))))


def image_of(dataset: Dataset, index: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return the pixels of an image, or the voxels of a volume, and the numbers of the classes that its mask holds."""
    if isinstance(dataset, MaskDataset):
        pixels, mask = dataset.pair(index)
        return pixels, tuple(np.unique(mask).tolist())
    sample = dataset.samples[index]
    if isinstance(sample, np.ndarray) or not is_volume(Path(sample)):
        return dataset.image(index), ()
    return read_volume(Path(sample)).values, ()


def channels_of(pixels: np.ndarray) -> str:
    """Return how many channels there are, in words."""
    count = pixels.shape[-1]
    return {1: ", grey", 3: ", colour"}.get(count, f", {count} channels")


def depth_of(dataset: Dataset, index: int, pixels: np.ndarray) -> str:
    """Return how deep an image is: the type in a NIfTI file, stored bits of DICOM, else 8 bits or more."""
    sample = dataset.samples[index]
    if not isinstance(sample, np.ndarray):
        path = Path(sample)
        if is_from_dicom(path):
            return packing_of(series_files(path)[0])
        if is_volume(path):
            return str(open_image(path).get_data_dtype())
    return "8 bits" if pixels.dtype == np.uint8 else "more than 8 bits"


def packing_of(path: Path) -> str:
    """Return how many bits of a DICOM file's pixels are stored, and how they are packed."""
    header = read(path, pixels=False)
    with guarded(path, "its header"):
        return f"{int(header.get('BitsStored') or 32)} bits in DICOM, {syntax_of(path, header)[1].name}"


def placement_of(dataset: Dataset, index: int) -> tuple[str, str]:
    """Return (spacing, orientation) of a volume in its file; nothing of a picture; TIFF has no orientation."""
    sample = dataset.samples[index]
    if isinstance(sample, np.ndarray) or not is_volume(Path(sample)):
        return "", ""
    affine = open_image(Path(sample)).affine
    spacing = " x ".join(f"{value:.3g}" for value in np.linalg.norm(affine[:3, :3], axis=0)) + " mm"
    if is_stack(Path(sample)):
        unsaid = ", ".join(stack_of(Path(sample)).unsaid)
        return spacing + (f" ({unsaid} not said: taken as 1)" if unsaid else ""), ""
    return spacing, "".join(code or "?" for code in nibabel().aff2axcodes(affine))


def keep_good(dataset: Any, seen: list[Seen]) -> Any:
    """Return the readable images of a set with their hashes."""
    index = [i for i, each in enumerate(seen) if not each.error]
    kept = dataset.subset(index)
    kept.hashes = [seen[i].key for i in index]
    return kept


def files_seen(path: Path, sets: Opened, unreadable: list[str]) -> dict[str, Any]:
    """Return how many files there are, were taken, and were left out for which reason, with some of their names."""
    accounts = [dataset.account for dataset in sets.values()]
    if not any(accounts):
        accounts = [account_of_list(path, sets)]
    account = total(accounts)
    for name in unreadable:
        account.taken -= 1
        account.leave_out(name, "unreadable")
    from_dicom = any(is_from_dicom(file) for dataset in sets.values() for file in files_of(dataset)[:1])
    left = {
        reason: {"files": len(names), "such_as": [] if from_dicom else [printable(name) for name in names[:SHOWN]]}
        for reason, names in account.left_out.items()
    }
    return {"seen": account.seen, "taken": account.taken, "left_out": left, "text": account.line()}


def account_of_list(path: Path, sets: Opened) -> Account:
    """Return the files in the folder of a list: those that it names, and the others; of an archive its images."""
    account = Account()
    files = {file for dataset in sets.values() for file in files_of(dataset)}
    folder = path if path.is_dir() else path.parent
    if files and (path.is_dir() or path.suffix.lower() in (".csv", ".tsv")):
        account_for_unlisted(folder, files, account, is_image)
    else:
        account.taken = sum(len(dataset) for dataset in sets.values())
    return account


def classes_of(sets: Opened, seen: Mapping[str, list[Seen]]) -> dict[str, dict[str, int]]:
    """Return part -> class -> images (of boxes, boxes; of masks, masks with it; of findings, images with it)."""
    found: dict[str, dict[str, int]] = {}
    for name, dataset in sets.items():
        if isinstance(dataset, BoxDataset):
            found[name] = dataset.box_counts()
        elif isinstance(dataset, MaskDataset):
            held = [number for each in seen[name] for number in each.classes]
            found[name] = {label: held.count(number) for number, label in enumerate(dataset.classes)}
        else:
            found[name] = dataset.counts()
    return found


def patients_of(sets: Opened) -> dict[str, Any]:
    """Return how many patients each part has, by which column."""
    column = next((dataset.group_column for dataset in sets.values() if dataset.group_column), "")
    counts = {n: len(np.unique(d.groups)) for n, d in sets.items() if d.groups is not None}
    return {"column": column, "counts": counts, "text": split_text(sets) if len(sets) > 1 else ""}


def copies_and_leaks(sets: Opened) -> dict[str, Any]:
    """Return duplicates within and across parts, pictures under two labels, and leaks between parts."""
    keys = [key for dataset in sets.values() for key in dataset.hashes]
    pairs = [[dataset.name(i), dataset.name(j)] for dataset in sets.values() for i, j in copies(dataset.hashes)]
    return {
        "duplicates": {"images": len(keys) - len(set(keys)), "such_as": pairs[:SHOWN]},
        "contradictions": [list(pair) for dataset in sets.values() for pair in contradictions(dataset)],
        "leaks": find_leaks(sets, {name: dataset.hashes for name, dataset in sets.items()}),
    }


def dicom_facts(sets: Opened) -> dict[str, dict[str, int]]:
    """Return how often the headers of DICOM files say what of the side, the view, the kind, burned-in text."""
    files = [Path(p) for d in sets.values() if not isinstance(d.samples, np.ndarray) for p in d.samples]
    facts = [facts_of(file) for file in files if is_from_dicom(file)]
    if not facts:
        return {}
    found = {
        name: dict(Counter(getattr(fact, name) or "not said" for fact in facts).most_common())
        for name in ("modality", "laterality", "view", "sex", "burned_in")
    }
    found["studies"] = {"number": len({fact.study for fact in facts if fact.study})}
    return found


def exit_code(result: Mapping[str, Any]) -> int:
    """Return 0, or 1 where something is to be mended before the data are learnt from: see CODES."""
    return max((code for name, code in CODES.items() if result[name]), default=0)


def list_images(path: Path, kind: str | None, out: Path) -> list[dict[str, Any]]:
    """Return the images of a path as rows of a list at `out`: path, label, split, and what DICOM headers say.

    DICOM files appear as numbers, which the reader of lists finds again with the user's own key beside them.

    Raises:
        UserError: The images have no class of their own, or are no files.
    """
    sets = KINDS[kind or guess_kind(path)](path)
    rows = []
    for name, dataset in sets.items():
        if isinstance(dataset.samples, np.ndarray) or isinstance(dataset, MaskDataset | BoxDataset):
            raise UserError(
                f"{path}: a list has one image file a row with its class; masks, boxes and arrays have none"
            )
        for index, sample in enumerate(map(Path, dataset.samples)):
            row = {"path": place_in(sample, dataset.name(index), out)}
            row |= {"label": dataset.label_text(index)} if dataset.tells_classes else {}
            row |= {"split": name} if name != "all" else {}
            rows.append(row | (facts_of(sample)._asdict() if is_from_dicom(sample) else {}))
    names = list(dict.fromkeys(key for row in rows for key in row))
    filled = {name for name in names if any(row.get(name) for row in rows)}
    return [{name: row.get(name, "") for name in names if name in filled} for row in rows]


def place_in(sample: Path, name: str, out: Path) -> str:
    """Return how a list calls a file: relative to the list, or the number of one whose name is hidden."""
    if name != printable(str(sample)) or is_from_dicom(sample):
        return name
    return Path(os.path.relpath(sample, out.parent)).as_posix()
