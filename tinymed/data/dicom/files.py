"""Which files are DICOM, and what their headers say.  Limits are checked before a pixel is decoded."""

import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import UserError
from ..walk import ADVICE, DOCUMENTS, suffix_of
from .library import SKIP, guarded, pydicom
from .privacy import hide

SUFFIXES = (".dcm", ".dicom", ".ima")
MAGIC, MAGIC_AT = b"DICM", 128
DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_FILE = 4 << 30
MAX_INFLATED = 1 << 30  # bytes that a deflated file may hold
MAX_FRAMES = 100_000
OTHERS = DOCUMENTS | {s for s in ADVICE if s not in SUFFIXES} | {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
OTHERS |= {".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm", ".npz", ".npy", ".nii", ".zip", ".safetensors"}
PICTURES = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")


def is_dicom(path: str | Path) -> bool:
    """Return whether a file is DICOM: by its suffix, else by its first bytes, since many have no suffix.

    A list of other files on a disc (DICOMDIR) is none.  What is found is called by its number from then on.
    """
    path = path if isinstance(path, Path) else Path(path)
    suffix = suffix_of(path)
    if suffix in OTHERS or path.name.upper() == "DICOMDIR":
        return False
    found = suffix in SUFFIXES or begins_as_dicom(str(path))
    if found:
        hide([path])
    return found


@lru_cache(1 << 16)
def begins_as_dicom(path: str) -> bool:
    """Return whether a file has DICOM's mark behind its first 128 bytes."""
    try:
        with open(path, "rb") as file:
            file.seek(MAGIC_AT)
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False


def read(path: Path, pixels: bool = True) -> Any:
    """Return a file as a pydicom Dataset, its pixels not decoded yet.

    Args:
        path: The file.
        pixels: Read the packed pixels too, not only the header.

    Raises:
        UserError: It is not there, damaged, too large, or holds no picture; says which object it is.
    """
    pydicom()
    check_size(path)
    with guarded(path, "the DICOM file"):
        check_inflated(path)
        found = pydicom().dcmread(path, force=True, stop_before_pixels=not pixels)
        check_picture(path, found, pixels)
    return found


def check_size(path: Path) -> None:
    """Raise UserError for what is not a file, or more bytes than a file may have."""
    if not path.is_file():
        what = "a folder, not a DICOM file" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}; correct the path or the list that names it")
    if path.stat().st_size > MAX_FILE:
        raise UserError(f"{path}: {path.stat().st_size:,} bytes are more than the limit of {MAX_FILE:,}", SKIP)


def check_inflated(path: Path) -> None:
    """Raise UserError for a deflated file that would hold more than MAX_INFLATED bytes; other files pass."""
    with open(path, "rb") as file:
        head = file.read(MAGIC_AT + len(MAGIC) + 12)
        if head[MAGIC_AT : MAGIC_AT + len(MAGIC)] != MAGIC:
            return
        meta = pydicom().filereader.read_file_meta_info(path)
        if meta.get("TransferSyntaxUID") != DEFLATED:
            return
        file.seek(len(head) + int(meta.FileMetaInformationGroupLength))
        inflate, total = zlib.decompressobj(-zlib.MAX_WBITS), 0
        while not inflate.eof and (packed := inflate.unconsumed_tail or file.read(1 << 16)):
            total += len(inflate.decompress(packed, 1 << 20))
            if total > MAX_INFLATED:
                raise UserError(f"{path}: it would inflate to more than {MAX_INFLATED:,} bytes; it is refused", SKIP)


def check_picture(path: Path, found: Any, pixels: bool) -> None:
    """Raise UserError for a file without pixels, such as a report or a treatment plan; it names the kind of object."""
    sized = int(found.get("Rows") or 0) > 0 and int(found.get("Columns") or 0) > 0
    if sized and (not pixels or any(name in found for name in PICTURES)):
        return
    kind = found.get("SOPClassUID")
    name = getattr(kind, "name", "") if getattr(kind, "is_private", True) is False else ""
    what = f"it is {name!r}" if name and name != str(kind) else "it may be no DICOM file at all"
    raise UserError(f"{path}: holds no picture: {what}; remove it", SKIP)


# ---------------------------------------------------------------------------------------------- what headers say


def frame_count(found: Any) -> int:
    """Return the frames that a header claims, at least 1."""
    count = int(found.get("NumberOfFrames") or 1)
    if not 1 <= count <= MAX_FRAMES:
        raise ValueError("number of frames")
    return count


def of_frame(found: Any, group: str, frame: int) -> Any:
    """Return a functional group of a frame of a multi-frame object: its own, else the shared one; else the header."""
    for name, item in (("PerFrameFunctionalGroupsSequence", frame), ("SharedFunctionalGroupsSequence", 0)):
        sequence = found.get(name)
        if sequence is not None and len(sequence) > item:
            inner = sequence[item].get(group)
            if inner:
                return inner[0]
    return found


def numbers_in(value: Any, count: int) -> tuple[float, ...] | None:
    """Return the numbers of a field, None where it has not so many."""
    if value is None or isinstance(value, str | int | float) or len(value) != count:
        return None
    return tuple(float(v) for v in value)


@dataclass(frozen=True)
class Place:
    """Where a frame lies in the patient, in millimetres (DICOM's axes: to the left, to the back, to the head).

    Attributes:
        position: Of the middle of the first pixel.
        rows: Direction in which the columns are counted, along a row.
        columns: Direction in which the rows are counted.
        spacing: Between rows, and between columns.
    """

    position: tuple[float, ...]
    rows: tuple[float, ...]
    columns: tuple[float, ...]
    spacing: tuple[float, ...]


def place_of(found: Any, frame: int) -> Place | None:
    """Return where a frame lies; None where the header does not say."""
    position = numbers_in(of_frame(found, "PlanePositionSequence", frame).get("ImagePositionPatient"), 3)
    turned = numbers_in(of_frame(found, "PlaneOrientationSequence", frame).get("ImageOrientationPatient"), 6)
    spacing = numbers_in(of_frame(found, "PixelMeasuresSequence", frame).get("PixelSpacing"), 2)
    if position is None or turned is None or spacing is None:
        return None
    return Place(position, turned[:3], turned[3:], spacing)
