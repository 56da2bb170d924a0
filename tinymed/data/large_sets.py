"""Large sets are opened by names, headers and bytes; their pixels are compared with the first decoding.

Decoding 100,000 pictures before the first step would take minutes, and the first epoch decodes them anyway.  Copies and
leaks that are copies of whole files are found at once.  The others, one picture in two files, are found when all have
been decoded: `compare_pixels` is called before the first validation.  Files of DICOM are always decoded at once.
"""

import hashlib
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from .dataset import Dataset
from .decoded import FILE_HASH, Decoded, Form, Pending
from .dicom.privacy import is_hidden
from .image import MAX_PIXELS, read_image
from .remarks import remark_on_pixels
from .splits import leak_check

LARGE = 20_000  # files from which on a set is opened so
T = TypeVar("T")


def is_large(sets: Mapping[str, Dataset]) -> bool:
    """Return whether the pictures of a set are many, and none is an array or DICOM."""
    samples = [part.samples for part in sets.values()]
    if not all(isinstance(files, list) for files in samples) or sum(map(len, samples)) < LARGE:
        return False
    return not any(is_hidden(file) for files in samples for file in files)


def check_files(sets: Mapping[str, Dataset], leaks: str, form: Form | None) -> dict[str, Any]:
    """Return a large set with the hashes of its files, each header checked, and leaks of whole files refused.

    Raises:
        UserError: A file is unreadable by its header (names it), or the parts share a file.
    """
    kept = Decoded(form)
    kept.pending = Pending(leaks)
    count, checked = sum(map(len, sets.values())), {}
    files = watched("checking files", count, [(part, file) for part in sets.values() for file in part.samples])
    hashes = iter([file_hash(file, part.page) for part, file in files])
    for name, part in sets.items():
        checked[name] = replace(part, hashes=[next(hashes) for _ in range(len(part))], decoded=kept)
    leak_check(checked, rule=leaks)
    return checked


def file_hash(path: Path, page: int | None) -> bytes:
    """Return FILE_HASH bytes of BLAKE2b of a picture's file, once its header is checked.  Raises UserError."""
    found: list[bytes] = []

    def note(_: Path, image: Any, __: str) -> Any:
        read = image.fp.getbuffer() if isinstance(image.fp, io.BytesIO) else None
        if read is None:
            with path.open("rb") as file:
                found.append(hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=FILE_HASH)).digest())
        else:
            found.append(hashlib.blake2b(read, digest_size=FILE_HASH).digest())

    read_image(path, MAX_PIXELS, note, page)
    return found[0]


def is_pending(sets: Mapping[str, Any]) -> bool:
    """Return whether the pixels of a set are still to be compared."""
    return any(part.is_pending for part in sets.values() if isinstance(part, Dataset))


def compare_pixels(sets: Mapping[str, Any]) -> None:
    """Decode what of a large set was not decoded yet, and look for pictures in two parts and under two labels.

    Args:
        sets: The parts, as `open_dataset` or a division of it returns them; their hashes become those of pixels.  Of a
            small set, whose pixels were compared when it was opened, nothing is done.

    Raises:
        UserError: A picture is unreadable, or two parts share one and leaks are errors.

    Example:
        >>> data = Dataset(np.zeros((2, 8, 8), np.uint8), [0, 1], ["a", "b"])
        >>> compare_pixels({"all": data})
        >>> data.is_pending
        False
    """
    if not is_pending(sets):
        return
    parts = {name: part for name, part in sets.items() if isinstance(part, Dataset) and part.is_pending}
    noted = {name: part.decoded.pending for name, part in parts.items() if part.decoded and part.decoded.pending}
    waiting = [
        (part, i)
        for name, part in parts.items()
        for i, file in enumerate(part.samples)
        if file not in noted[name].hashes
    ]
    for part, i in watched("comparing pictures", len(waiting), waiting):
        part.image(i)
    for name, part in parts.items():
        part.hashes = [noted[name].hashes[file] for file in part.samples]
        part.brightest = max((b for b in map(noted[name].brightest.get, part.samples) if b is not None), default=None)
    leak_check(parts, rule=next(iter(noted.values())).leaks)
    remark_on_pixels(next(iter(parts.values())).source, parts)


def watched(what: str, count: int, items: Iterable[T]) -> Iterable[T]:
    """Return the items, with a bar on a terminal that shows how far they are used."""
    if not sys.stderr.isatty():
        return items
    from rich.console import Console
    from rich.progress import track

    return track(items, what, count, console=Console(stderr=True), transient=True)
