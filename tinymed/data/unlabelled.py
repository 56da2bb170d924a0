"""Images without labels: any folder of pictures, any list, MNIST's files, and patches of volumes or large pictures.

Labels that a set has are not read.  A volume is cut into patches of its slices across the last axis (axial ones of the
head); three channels are three neighbouring slices.  Its values are scaled between their 0.5th and 99.5th percentiles.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from .. import random
from ..errors import UserError
from .arrays import MAX_BYTES, read_npz
from .dataset import Dataset, Reading, read_by
from .folders import SPLIT_NAMES
from .image import is_picture, prepare, with_channels
from .lists import read_table
from .patients import identify
from .readers import read as read_labelled
from .readers import verify_sets
from .remarks import remark
from .splits import leak_check
from .tables import IDX_COLUMNS, Columns, existing, find_roles, read_items, refuse_columns
from .transform import to_float, to_nchw
from .volumes import is_volume, read_volume
from .walk import Account, files_below, folders_in

LAYOUTS = (
    "a folder of pictures or volumes, perhaps in train, val and test; one of them; a .csv list with a column of paths; "
    "a folder with splits.csv; a MedMNIST-style .npz; or the MNIST idx files"
)
NAMES = ["image"]  # the one class of images that nothing tells apart
PARTS = ("train", "val", "test", "all")
PERCENTILES = (0.5, 99.5)


@dataclass(repr=False)
class UnlabelledDataset(Dataset):
    """Images that nothing is known of.

    Args:
        samples: Image files, or one array of images.
        labels: Zeros.
        classes: One name.
        groups: Patient or file of each image, or None.
        split: "train", "val", "test" or "all".
        source: Where the set came from, for messages.
        skipped: (name, reason) of what was left out.
        hashes: Of the decoded pixels, where they were computed.
        account: The files that were seen, taken and left out.
        white: See `decode`.
        window: Likewise.
        page: Likewise.
        group_column: The list's column that `groups` come from.
        divided: The rule by which the set was cut from a whole.
        brightest: The brightest pixel of deep pictures.
        contradictions: None, since there are no labels.
        origins: The file that each patch was cut from; empty of whole images.

    Example:
        >>> data = UnlabelledDataset(np.zeros((2, 8, 8), np.uint8), [0, 0], ["image"])
        >>> data
        UnlabelledDataset(2 images, all, of an array: image)
    """

    origins: list[str] = field(default_factory=list)

    def name(self, index: int) -> str:
        """Return what to call an image in a message: its path, or the patch's number and its file."""
        return f"{self.origins[index]} patch {index}" if self.origins else super().name(index)

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the origins at `rows`."""
        return {"origins": [self.origins[i] for i in rows] if self.origins else []}


def open_unlabelled(
    path: str | Path,
    *,
    path_column: str | None = None,
    group_column: str | None = None,
    split_column: str | None = None,
    suffix: str | None = None,
    skip_bad: bool = False,
    verify: bool = True,
    leaks: str = "error",
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
    patches: int | None = None,
    size: int = 32,
    channels: int = 1,
    seed: int = 0,
) -> dict[str, UnlabelledDataset]:
    """Open a set of images without labels; what a path holds is found out from what is there.

    Args:
        path: A folder, a list, an .npz or MNIST's files; see the module.
        path_column: Column of the image's path; by default the first of a usual name.
        group_column: Column of the patient, who is never divided.
        split_column: Column of the part.
        suffix: Ending that the list leaves out of the names of images, such as ".jpg".
        skip_bad: Leave unreadable and missing files out and list them in `skipped`.
        verify: Decode every picture now and compare the parts; without it volumes need not be cut into patches.
        leaks: "error", "warn" or "ignore" when an image or a patient is in two parts.
        white: The value that is white in pictures deeper than 8 bits, see `decode`.
        window: Instead of white, (centre, width), see `decode`.
        page: Of TIFF and DICOM files of several pages, see `decode`.
        patches: So many patches of each picture or volume, drawn at random; None: whole pictures.
        size: Side of a patch in pixels.
        channels: 1, or 3: colours of a picture, neighbouring slices of a volume.
        seed: Of the places of patches.

    Returns:
        {"train": ..., "val": ..., "test": ...} as far as the data are divided, or {"all": ...}.  Patches have their
        file, or its patient, as group.

    Raises:
        UserError: Names the file and the remedy.

    Example:
        >>> from PIL import Image
        >>> Image.new("L", (8, 8)).save("a.png")
        >>> len(open_unlabelled(".")["all"]), len(open_unlabelled(".", patches=5, size=4)["all"])
        (1, 5)
    """
    path = Path(path)
    columns = Columns(path_column, None, group_column, split_column, suffix)
    sets = read(path, columns, skip_bad, page)
    read_by(sets, Reading(white, window, page))
    identify(path, sets, group_column)
    for part in sets.values():
        if not len(part):
            raise UserError(f"{path} [{part.split}]: no image; {len(part.skipped)} skipped; give {LAYOUTS}")
    if not verify:
        pass
    elif not any(holds_volumes(part) for part in sets.values()):
        sets = verify_sets(sets, skip_bad, leaks, at_once=True)  # type: ignore[arg-type, assignment]
    elif patches is None:
        raise UserError(
            f"{path}: holds volumes, which are learnt in patches: say how many of each with --patches",
            {"page=NUMBER": "or, of TIFF files, read one page of each with {}"},
        )
    elif any(value is not None for value in (white, window, page)):
        raise UserError(
            "--white, --window, --page: have no effect here: volumes are scaled by their own values; leave them out"
        )
    else:
        for part in sets.values():
            part.hashes = [hashlib.sha256(file.read_bytes()).digest() for file in part.samples]
        leak_check(sets, rule=leaks)
    if patches is not None:
        sets = {name: cut_patches(part, patches, size, channels, seed, skip_bad) for name, part in sets.items()}
    remark(path, sets)
    return sets


def holds_volumes(part: Dataset) -> bool:
    """Return whether a set's files are volumes."""
    return not isinstance(part.samples, np.ndarray) and any(is_volume(file, part.page) for file in part.samples)


def read(path: Path, columns: Columns, skip_bad: bool, page: int | None) -> dict[str, UnlabelledDataset]:
    """Choose the reader by what is at `path`."""
    if not path.exists():
        raise UserError(f"{path}: no such file or directory; give {LAYOUTS}")
    table = path / "splits.csv" if path.is_dir() else path
    if table.is_file() and table.suffix.lower() in (".csv", ".tsv"):
        if set(read_table(table).header) >= IDX_COLUMNS:
            return stripped(read_labelled(path, columns, skip_bad, MAX_BYTES))
        return read_list(table, columns, skip_bad)
    refuse_columns(path, columns)
    if path.is_dir():
        idx = any(path.glob("*-images-idx3-ubyte*"))
        return stripped(read_labelled(path, columns, skip_bad, MAX_BYTES)) if idx else read_folder(path, page)
    if path.suffix.lower() == ".npz":
        return stripped(read_npz(path))
    if is_picture(path) or is_volume(path):
        return {"all": UnlabelledDataset([path], np.zeros(1, np.int64), NAMES, source=str(path))}
    raise UserError(f"{path}: not a data set; give {LAYOUTS}")


def stripped(sets: Mapping[str, Dataset]) -> dict[str, UnlabelledDataset]:
    """Return labelled sets without their labels."""
    return {
        name: UnlabelledDataset(
            part.samples, np.zeros(len(part), np.int64), NAMES, part.groups, part.split, part.source, part.skipped
        )
        for name, part in sets.items()
    }


def read_list(path: Path, columns: Columns, skip_bad: bool) -> dict[str, UnlabelledDataset]:
    """Return the images of a list, each once."""
    table = read_table(path)
    roles = find_roles(table, columns)
    found = {}
    for name, items in read_items(table, roles, [0] * len(table.rows), skip_bad).items():
        once = list({str(item.file): item for item in items}.values())
        files = existing(once, roles.group)
        zeros = np.zeros(len(files.samples), np.int64)
        found[name] = UnlabelledDataset(
            files.samples, zeros, NAMES, files.groups, name, str(path), files.skipped, group_column=roles.group or ""
        )
    return found


def read_folder(path: Path, page: int | None) -> dict[str, UnlabelledDataset]:
    """Return all pictures, or all volumes, below a folder, by the part that its own folders are named for."""
    named = {SPLIT_NAMES[f.name.lower()]: f for f in folders_in(path) if f.name.lower() in SPLIT_NAMES}
    folders = {part: named[part] for part in PARTS if part in named} or {"all": path}
    found = {}
    for part, folder in folders.items():
        account = Account()
        files = files_below(folder, lambda file: is_picture(file) or is_volume(file), account)
        volumes = [file for file in files if is_volume(file, page)]
        if volumes and len(volumes) < len(files):
            pictures = len(files) - len(volumes)
            raise UserError(
                f"{folder}: holds {len(volumes)} volumes and {pictures} pictures; give a folder of one kind"
            )
        zeros = np.zeros(len(files), np.int64)
        found[part] = UnlabelledDataset(files, zeros, NAMES, split=part, source=str(path), account=account)
    return found


def cut_patches(
    part: UnlabelledDataset, count: int, size: int, channels: int, seed: int, skip_bad: bool
) -> UnlabelledDataset:
    """Return patches of each picture or volume of a part, uint8 [n, size, size, channels].

    Where they lie is a function of (seed, part, number of the image), so other images change nothing.
    """
    patches, groups, origins, skipped = [], [], [], list(part.skipped)
    for index in range(len(part)):
        try:
            stack = slices_of(part, index, channels)
        except UserError as error:
            if not skip_bad:
                raise
            skipped.append((part.name(index), str(error)))
            continue
        step = PARTS.index(part.split) << 32 | index
        patches.append(draw_patches(stack, count, size, channels, seed, step))
        groups += [part.name(index) if part.groups is None else str(part.groups[index])] * count
        origins += [part.name(index)] * count
    if not patches:
        raise UserError(f"{part.source} [{part.split}]: no image left; {len(skipped)} skipped")
    samples = np.concatenate(patches)
    zeros = np.zeros(len(samples), np.int64)
    return UnlabelledDataset(
        samples,
        zeros,
        NAMES,
        np.array(groups),
        part.split,
        part.source,
        skipped,
        account=part.account,
        group_column=part.group_column or "file",
        origins=origins,
    )


def slices_of(part: UnlabelledDataset, index: int, channels: int) -> np.ndarray:
    """Return uint8 [slices, height, width, 1 or 3]: of a picture itself, of a volume all slices in grey."""
    sample = part.samples[index]
    if isinstance(sample, np.ndarray):
        return with_channels(part.image(index), channels)[None]
    if not is_volume(sample, part.page):
        return with_channels(part.image(index), channels)[None]
    values = read_volume(sample).values[..., 0]
    low, high = np.percentile(values, PERCENTILES)
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    pixels: np.ndarray = np.rint(255 * scaled).astype(np.uint8)
    return pixels.transpose(2, 0, 1)[..., None]


def draw_patches(stack: np.ndarray, count: int, size: int, channels: int, seed: int, step: int) -> np.ndarray:
    """Return patches drawn from slices [slices, height, width, 1 or 3]; what is too small is mirrored at its border."""
    sides = np.array(stack.shape[1:3])
    missing = np.maximum(size - sides, 0)
    if missing.any():
        if (missing >= 2 * sides).any():
            raise UserError(f"patches of {size} pixels are more than twice as large as an image of {sides.tolist()}")
        before = missing // 2
        around = [(0, 0), *((int(b), int(m - b)) for b, m in zip(before, missing, strict=True)), (0, 0)]
        stack = np.pad(stack, around, mode="symmetric")
    neighbours = channels // stack.shape[3] // 2  # slices beside the middle one: 1 for three channels of a volume
    depth = len(stack) - 2 * neighbours
    if depth < 1:
        raise UserError(f"{channels} neighbouring slices are wanted of a volume of {len(stack)}")
    room = np.array([depth, *(np.array(stack.shape[1:3]) - size + 1)])
    drawn = random.uniform(3 * count, seed, random.PATCHES, step).reshape(count, 3)
    found = []
    for z, top, left in np.minimum((drawn * room).astype(np.int64), room - 1):
        window = stack[z : z + 2 * neighbours + 1, top : top + size, left : left + size]
        found.append(window[0] if not neighbours else np.moveaxis(window[..., 0], 0, -1))
    return np.stack(found)


def pixels_of(dataset: Dataset, rows: Sequence[int] | np.ndarray, size: int, channels: int) -> np.ndarray:
    """Return images as rows of pixels from 0 to 1, float32 [n, channels * size * size], channels first."""
    images = [to_float(prepare(dataset.image(int(i)), size, channels)) for i in rows]
    found: np.ndarray = to_nchw(np.stack(images)).reshape(len(images), -1)
    return found
