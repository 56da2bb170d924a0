"""Pictures that were decoded, kept for whoever asks next: a file is decoded once, by whom it is needed first.

Checking a set, the training set's statistics, the first epoch, every validation and the figures in the end ask for the
same pictures.  All parts of a set share one store, of at most KEPT_BYTES; what has no room is decoded again.  Pictures
and volumes with masks, the masks and pictures with boxes are kept whole: pixels of both are put side by side.
"""

import hashlib
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np

from .image import prepare

KEPT_BYTES = 1 << 30
PIXEL_HASH, FILE_HASH = 16, 20  # bytes of BLAKE2b: one is never taken for the other

Form = tuple[tuple[int, ...], int]  # (height, width), of volumes (depth, height, width), and channels
Key = tuple[str | Path, Hashable]  # a file, and how it is read: another window is another picture


class Held(NamedTuple):
    """A picture: as it lies in the file (whole), or as a network takes it, or both at once."""

    pixels: np.ndarray
    whole: bool


class Decoded:
    """Pictures by their files, within a number of bytes.  Several threads may ask at once.

    Args:
        form: In which form they will be asked for, where that is known: larger ones are kept in that form only.
        most_bytes: What all pictures take at most.

    Example:
        >>> kept = Decoded(((4, 4), 1))
        >>> kept.prepared(Path("a.png"), ((4, 4), 1), lambda: np.zeros((8, 8, 3), np.uint8)).shape
        (4, 4, 1)
        >>> kept.prepared(Path("a.png"), ((4, 4), 1), lambda: print("decoded again")).shape, kept.nbytes
        ((4, 4, 1), 16)
    """

    def __init__(self, form: Form | None = None, most_bytes: int = KEPT_BYTES):
        self.form, self.most_bytes, self.nbytes = form, most_bytes, 0
        self.held: dict[Key, Held] = {}
        self.lock = Lock()
        self.pending: Pending | None = None

    def image(self, path: str | Path, read: Callable[[], np.ndarray], reading: Hashable = None) -> np.ndarray:
        """Return the pixels of a file as they lie in it; read: decodes them, in the way that `reading` stands for."""
        key = path, reading
        held = self.held.get(key)
        if held is not None and held.whole:
            return held.pixels
        pixels = self.decode(path, read)
        if held is None:
            self.keep(key, pixels if self.form is None else prepare(pixels, *self.form), pixels)
        return pixels

    def prepared(
        self, path: str | Path, form: Form, read: Callable[[], np.ndarray], reading: Hashable = None
    ) -> np.ndarray:
        """Return the pixels of a file as a network takes them; read and reading: see `image`."""
        key = path, reading
        held = self.held.get(key)
        if held is not None and has_form(held.pixels, form) and (held.whole or form == self.form):
            return held.pixels
        pixels = held.pixels if held is not None and held.whole else self.decode(path, read)
        made = prepare(pixels, *form)
        if self.form is None:
            self.form = form
        if form == self.form:
            self.keep(key, made, pixels)
        return made

    def decode(self, path: str | Path, read: Callable[[], np.ndarray]) -> np.ndarray:
        """Return the pixels of a file, and note their hash where pixels are still to be compared."""
        pixels = read()
        if self.pending is not None:
            self.pending.note(path, pixels)
        return pixels

    def keep(self, key: Key, made: np.ndarray, pixels: np.ndarray) -> None:
        """Keep a picture in place of what is held of its file, if there is room.  made: of pixels, or pixels.

        Nobody can write to what is kept: whoever asks next would see it.
        """
        with self.lock:
            before = self.held.get(key)
            more = made.nbytes - (0 if before is None else before.pixels.nbytes)
            if self.nbytes + more <= self.most_bytes:
                made = made if made.flags.owndata else made.copy()  # a view would keep all that it is a part of
                made.flags.writeable = False
                self.held[key] = Held(made, made.shape == pixels.shape)
                self.nbytes += more


def has_form(pixels: np.ndarray, form: Form) -> bool:
    """Return whether pixels have a network's size and channels."""
    return pixels.shape == (*form[0], form[1])


class Pending:
    """The hashes of a large set's pixels, noted as they are decoded; how leaks among them are answered."""

    def __init__(self, leaks: str):
        self.leaks = leaks
        self.hashes: dict[str | Path, bytes] = {}
        self.brightest: dict[str | Path, float] = {}

    def note(self, path: str | Path, pixels: np.ndarray) -> None:
        """Note a picture that was decoded."""
        self.hashes[path] = pixel_hash(pixels)
        if pixels.dtype != np.uint8:
            self.brightest[path] = float(pixels.max())


def pixel_hash(pixels: np.ndarray) -> bytes:
    """Return PIXEL_HASH bytes of BLAKE2b over size and pixels; grey stored as RGB counts as grey."""
    coloured = pixels.ndim == 3 and pixels.shape[2] == 3
    if coloured and is_grey(pixels[:1]) and is_grey(pixels):  # most colours show in the first row
        pixels = pixels[:, :, :1]
    digest = hashlib.blake2b(repr(pixels.shape).encode(), digest_size=PIXEL_HASH)
    digest.update(np.ascontiguousarray(pixels).data)
    return digest.digest()


def is_grey(pixels: np.ndarray) -> bool:
    """Return whether all channels are equal."""
    return bool((pixels == pixels[:, :, :1]).all())
