"""Images that come as arrays: MedMNIST's NPZ and MNIST's idx.  Headers are checked before anything is inflated."""

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from ..errors import UserError
from .dataset import Dataset
from .folders import SPLIT_NAMES

MAX_BYTES = 4 << 30
SPLITS = ("train", "val", "test")
IDX_FILES = {"train": "train", "test": "t10k"}
DAMAGED = (
    OSError,
    EOFError,
    ValueError,
    struct.error,
    zlib.error,
)
PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # what NumPy writes
DEFLATE = 1032  # bytes that a deflated byte can stand for at most


def is_archive(path: str | Path | None) -> bool:
    """Return whether a path is that of an archive of NumPy, as MedMNIST's are."""
    return path is not None and Path(path).suffix.lower() == ".npz"


def read_npz(path: Path, max_bytes: int = MAX_BYTES, volumes: str = "") -> dict[str, Dataset]:
    """Read a MedMNIST-style archive: <split>_images uint8 [n, h, w(, 3)] and <split>_labels integers [n] or [n, 1].

    Classes are named by their numbers.  Volumes are refused by their shape, unless volumes are read, see `Dataset`.

    Raises:
        UserError: The archive is damaged, holds pickled objects or more than max_bytes, or labels do not fit.
    """
    arrays = read_arrays(path, max_bytes)
    splits = [s for s in SPLITS if f"{s}_images" in arrays]
    labels = {s: flat_labels(path, s, arrays[f"{s}_labels"]) for s in splits}
    return number_classes(path, {s: arrays[f"{s}_images"] for s in splits}, labels, volumes)


def read_arrays(path: Path, max_bytes: int) -> dict[str, np.ndarray]:
    """Return <split>_images and <split>_labels of an archive.

    Raises:
        UserError: The archive is damaged, holds pickled objects or more than max_bytes.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = {n.removesuffix(".npy") for n in archive.namelist()}
            splits = [s for s in SPLITS if {f"{s}_images", f"{s}_labels"} <= names]
            if not splits:
                raise UserError(f"{path}: needs train_images and train_labels (val_, test_), has {sorted(names)[:8]}")
            left = max_bytes
            arrays: dict[str, np.ndarray] = {}
            for key in [f"{s}_{kind}" for s in splits for kind in ("images", "labels")]:
                left -= check_member(path, archive, key, left)
            for key in [f"{s}_{kind}" for s in splits for kind in ("images", "labels")]:
                with archive.open(f"{key}.npy") as member:
                    arrays[key] = np.lib.format.read_array(member, allow_pickle=False)
    except UserError:
        raise
    except Exception as error:  # zipfile and NumPy's reader of headers raise nearly anything for damaged files
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: not a readable NPZ archive ({why}); make or download it again") from error
    return arrays


def image_shapes(path: Path) -> list[tuple[int, ...]]:
    """Return the shapes of the images in an archive by their headers; nothing of one that cannot be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [member_header(archive, name)[0] for name in archive.namelist() if name.endswith("_images.npy")]
    except Exception:  # as in `read_arrays`, which says what is wrong
        return []


def member_header(archive: zipfile.ZipFile, name: str) -> tuple[tuple[int, ...], np.dtype, int]:
    """Return (shape, type, bytes of the header) of an array in an archive."""
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        reader: Callable[..., tuple[tuple[int, ...], bool, np.dtype]] = (
            np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        )
        shape, _, dtype = reader(member)
        return shape, dtype, member.tell()


def check_member(path: Path, archive: zipfile.ZipFile, key: str, budget: int) -> int:
    """Return the bytes an array will take by its headers alone; raise UserError for objects, lies, or too many."""
    info = archive.getinfo(f"{key}.npy")
    if info.compress_type not in PACKINGS:
        raise UserError(f"{path}: {key} is not packed as NumPy does; save it with numpy.savez_compressed")
    if info.file_size > info.compress_size * DEFLATE + 1024:
        raise UserError(
            f"{path}: {key} claims {info.file_size:,} bytes, but holds {info.compress_size:,} compressed; make it again"
        )
    shape, dtype, header = member_header(archive, info.filename)
    if dtype.hasobject:
        raise UserError(f"{path}: {key} holds pickled Python objects, which can run code; save it as a plain array")
    size = math.prod(shape) * dtype.itemsize
    if size > budget:
        raise UserError(
            f"{path}: {key} would take {size:,} bytes, {budget:,} are left; raise max_bytes if you trust it"
        )
    if size + header != info.file_size:
        raise UserError(
            f"{path}: {key} says {shape} {dtype} but holds {info.file_size - header:,} bytes; make it again"
        )
    return size


def flat_labels(where: Path, split: str, labels: np.ndarray) -> np.ndarray:
    """Return integers [n] from [n] or [n, 1]; raise UserError for several labels per image, or fractions."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise UserError(
            f"{where} [{split}]: labels of shape {labels.shape} and type {labels.dtype}; "
            "expected one integer an image (several labels an image are learnt with --task multilabel)"
        )
    if labels.size and int(labels.max()) > np.iinfo(np.int64).max:
        raise UserError(f"{where} [{split}]: label {labels.max()} is out of range")
    return labels.astype(np.int64)


def number_classes(
    where: Path, images: dict[str, np.ndarray], labels: dict[str, np.ndarray], volumes: str = ""
) -> dict[str, Dataset]:
    """Return data sets whose classes are 0 ... K - 1, K from train (or from all where there is no train)."""
    for name, values in labels.items():
        if values.size and values.min() < 0:
            raise UserError(f"{where} [{name}]: label {values.min()} is out of range: labels start at 0")
    known = labels["train"] if "train" in labels else np.concatenate(list(labels.values()))
    if not known.size:
        raise UserError(f"{where}: no images")
    present = np.unique(known)
    if len(present) != int(present[-1]) + 1:
        gap = int(np.flatnonzero(present != np.arange(len(present)))[0])
        raise UserError(
            f"{where}: no image of class {gap} although labels go up to {present[-1]}; number them 0 to K-1"
        )
    classes = [str(label) for label in present]
    return {
        name: Dataset(images[name], labels[name], classes, split=name, source=str(where), volumes=volumes)
        for name in images
    }


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read, inflated on the way if its name ends in .gz."""
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def read_idx(path: Path, dimensions: int, max_bytes: int = MAX_BYTES) -> np.ndarray:
    """Read an idx file of unsigned bytes, compressed by gzip or not: uint8 with `dimensions` axes (3 images, 1 labels).

    Format: two zero bytes, 8 (unsigned byte), the number of axes, each length as a big-endian uint32, then the data.

    Raises:
        UserError: The file does not hold exactly what its header says.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file; the four idx files of MNIST lie together in one directory")
    try:
        with open_bytes(path) as file:
            magic = file.read(4)
            if magic != bytes((0, 0, 8, dimensions)):
                raise UserError(
                    f"{path}: starts with {magic.hex()}, expected 000008{dimensions:02x} (idx, unsigned bytes)"
                )
            shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
            size = math.prod(shape)
            if size > max_bytes:
                raise UserError(f"{path}: its header claims {size:,} bytes, the limit is {max_bytes:,}")
            held = path.stat().st_size
            if size > (held * DEFLATE if path.suffix == ".gz" else held) + 1024:
                raise UserError(
                    f"{path}: its header promises {shape}, {size:,} bytes, but it has {held:,}; download it again"
                )
            data = file.read(size + 1)
    except UserError:
        raise
    except DAMAGED as error:
        raise UserError(f"{path}: not a readable idx file ({error}); download it again") from error
    if len(data) != size:
        more = "more" if len(data) > size else f"{len(data):,}"
        raise UserError(f"{path}: its header promises {shape}, {size:,} bytes, but it holds {more}; download it again")
    return np.frombuffer(data, np.uint8).reshape(shape)


def read_idx_pair(images: Path, labels: Path, max_bytes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return images [n, h, w] and their labels [n]; raise UserError if the numbers differ."""
    pictures, numbers = read_idx(images, 3, max_bytes), read_idx(labels, 1, max_bytes)
    if len(pictures) != len(numbers):
        raise UserError(f"{images} holds {len(pictures)} images but {labels} {len(numbers)} labels; they are no pair")
    return pictures, numbers.astype(np.int64)


def read_idx_directory(path: Path, max_bytes: int) -> dict[str, Dataset]:
    """Return MNIST's train and t10k files in `path`; {} if there are none."""
    images: dict[str, np.ndarray] = {}
    labels: dict[str, np.ndarray] = {}
    for split, prefix in IDX_FILES.items():
        for ending in ("", ".gz"):
            file = path / f"{prefix}-images-idx3-ubyte{ending}"
            if file.is_file():
                other = path / f"{prefix}-labels-idx1-ubyte"
                other = other if other.is_file() else path / f"{other.name}.gz"
                images[split], labels[split] = read_idx_pair(file, other, max_bytes)
                break
    return number_classes(path, images, labels) if images else {}


def read_idx_rows(table: Path, rows: Sequence[dict[str, str]], max_bytes: int) -> dict[str, Dataset]:
    """Return idx files cut by a list with the columns images, labels, start, stop, split: rows start <= i < stop."""
    files: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = {}
    images: dict[str, list[np.ndarray]] = {}
    labels: dict[str, list[np.ndarray]] = {}
    for line, row in enumerate(rows, start=2):
        pair = row["images"], row["labels"]
        if pair not in files:
            files[pair] = read_idx_pair(table.parent / pair[0], table.parent / pair[1], max_bytes)
        split = SPLIT_NAMES.get(row["split"].lower())
        if split is None:
            raise UserError(f"{table}, line {line}: split {row['split']!r} is none of train, val, test")
        cut = row_range(table, line, row, len(files[pair][0]))
        images.setdefault(split, []).append(files[pair][0][cut])
        labels.setdefault(split, []).append(files[pair][1][cut])
    joined = {name: parts[0] if len(parts) == 1 else np.concatenate(parts) for name, parts in images.items()}
    return number_classes(table, joined, {name: np.concatenate(parts) for name, parts in labels.items()})


def row_range(table: Path, line: int, row: dict[str, str], count: int) -> slice:
    """Return the slice [start, stop) of a row; raise UserError unless it lies in the file."""
    if not (row["start"].isdecimal() and row["stop"].isdecimal()):
        raise UserError(
            f"{table}, line {line}: start and stop are whole numbers, got {row['start']!r}, {row['stop']!r}"
        )
    start, stop = int(row["start"]), int(row["stop"])
    if not start < stop <= count:
        raise UserError(f"{table}, line {line}: rows {start} to {stop} do not lie in a file of {count} images")
    return slice(start, stop)
