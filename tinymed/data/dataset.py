"""A labelled set of images that stay on disk (or in one array) until they are asked for."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from ..errors import UserError, printable
from .decoded import FILE_HASH, Decoded
from .image import NEEDED, decode, prepare, size_pair
from .planes import array_planes, is_array_of_volumes, read_planes
from .walk import Account
from .whole import array_whole, read_whole

Samples = Sequence[Path] | np.ndarray
Sides = int | tuple[int, ...]  # a side in pixels, or one for each axis


class Reading(NamedTuple):
    """How files become pictures, see `decode`: what is white, or a window, and which page of several."""

    white: float | None = None
    window: tuple[float, float] | None = None
    page: int | None = None


@dataclass(repr=False)
class Dataset:
    """Images with a class each, which stay on disk (or in one array) until they are asked for.

    Args:
        samples: Paths, or one uint8 array [n, height, width] or [n, height, width, 1 or 3].
        labels: Integers [n], indices into `classes`.
        classes: Names of the classes.
        groups: Patient (or similar) of each image, an array of str, or None.
        split: "train", "val", "test" or "all".
        source: Where the set came from, for messages.
        skipped: (name, reason) of what `skip_bad` left out.
        hashes: Of the decoded pixels, where they were computed.
        account: The files that were seen, taken and left out, where folders were walked.
        white: See `decode`.
        window: Likewise.
        page: Likewise.
        group_column: The list's column that `groups` come from.
        divided: The rule by which the set was cut from a whole.
        brightest: The brightest pixel (white: 255) of pictures deeper than 8 bits that were decoded.
        contradictions: Pairs of names of one picture under two labels, where pixels were compared.
        decoded: Pictures that were decoded, which all parts share, or None.
        volumes: What images are of samples that are volumes: "planes", the three middle ones, see `data/planes.py`, or
            "whole", see `data/whole.py`; "" where samples are pictures.

    Raises:
        UserError: The parts do not fit: lengths, labels out of range, an array that is not an image.

    Example:
        >>> data = Dataset(np.zeros((3, 8, 8), np.uint8), [0, 1, 1], ["benign", "malignant"])
        >>> data
        Dataset(3 images, all, of an array: benign 1, malignant 2)
        >>> data.image(0).shape, data.counts()
        ((8, 8, 1), {'benign': 1, 'malignant': 2})
    """

    samples: Samples
    labels: np.ndarray
    classes: list[str]
    groups: np.ndarray | None = None
    split: str = "all"
    source: str = ""
    skipped: list[tuple[str, str]] = field(default_factory=list)
    hashes: list[bytes] | None = None
    account: Account | None = None
    white: float | None = None
    window: tuple[float, float] | None = None
    page: int | None = None
    group_column: str = ""
    divided: str = ""
    brightest: float | None = None
    contradictions: list[tuple[str, str]] = field(default_factory=list)
    decoded: Decoded | None = None
    volumes: str = ""

    def __repr__(self) -> str:
        """Return what it holds, in one line."""
        counts = [f"{name} {n:,}" for name, n in self.counts().items()] if self.tells_classes else self.classes
        shown = ", ".join(counts if len(counts) <= 6 else [*counts[:6], f"and {len(counts) - 6} more"])
        where = f"{self.split}, of {self.source or 'an array'}"
        return printable(f"{type(self).__name__}({len(self):,} images, {where}: {shown})")

    @property
    def tells_classes(self) -> bool:
        """Return whether every image has a class of its own; images with masks or boxes have not."""
        return type(self) is Dataset

    def __post_init__(self) -> None:
        self.labels = np.asarray(self.labels, np.int64)
        where = f"{self.source or 'data'} [{self.split}]"
        if self.labels.shape != (len(self.samples),):
            raise UserError(f"{where}: {len(self.samples)} images but labels of shape {self.labels.shape}")
        if self.groups is not None and len(self.groups) != len(self.samples):
            raise UserError(f"{where}: {len(self.samples)} images but {len(self.groups)} groups")
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.classes)))
        if wrong.size:
            i = int(wrong[0])
            raise UserError(
                f"{self.name(i)}: label {self.labels[i]} is out of range: the {len(self.classes)} classes are numbered "
                f"0 to {len(self.classes) - 1}; correct the label or the list of classes"
            )
        if isinstance(self.samples, np.ndarray):
            self.check_array(where, self.samples)

    def check_array(self, where: str, samples: np.ndarray) -> None:
        """Raise UserError unless the samples are uint8 images, or volumes where volumes are read."""
        shape, dtype = samples.shape, samples.dtype
        volumes = is_array_of_volumes(shape)
        if dtype == np.uint8 and volumes and self.volumes:
            return
        if dtype != np.uint8 or len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] not in (1, 3)):
            raise UserError(
                f"{where}: images of shape {shape} and type {dtype}; "
                "expected uint8 [n, height, width] or [n, height, width, 1 or 3]",
                NEEDED if volumes and dtype == np.uint8 else {},
            )
        if self.volumes:
            raise UserError(
                f"{where}: pictures of shape {shape}, and volumes are wanted; choose a network of pictures, without "
                "--planes"
            )

    def __len__(self) -> int:
        return len(self.samples)

    def image(self, index: int) -> np.ndarray:
        """Return the decoded pixels of one image at its own size [height, width, 1 or 3], see `decode`.

        Of a volume that is seen whole, its voxels [depth, height, width, 1].
        """
        sample = self.samples[index]
        if isinstance(sample, np.ndarray):
            if self.volumes:
                return array_planes(sample) if self.volumes == "planes" else array_whole(sample)
            return sample if sample.ndim == 3 else sample[:, :, None]
        return self.opened(sample)

    def opened(self, path: str | Path) -> np.ndarray:
        """Return the pixels of a file, from what is kept where it was decoded before."""
        if self.decoded is None:
            return self.read(path)
        return self.decoded.image(path, lambda: self.read(path), self.reading)

    def read(self, path: str | Path) -> np.ndarray:
        """Decode a file."""
        if self.volumes:
            return (read_planes if self.volumes == "planes" else read_whole)(Path(path), self.window)
        return decode(path, white=self.white, window=self.window, page=self.page)

    def sides(self, size: Sides) -> tuple[int, ...]:
        """Return (height, width) of a side or a pair, or (depth, height, width) of volumes that are seen whole."""
        if self.volumes != "whole":
            return size_pair(size)
        return (size,) * 3 if isinstance(size, int) else size

    def prepared(self, index: int, size: Sides, channels: int) -> np.ndarray:
        """Return one image as a network takes it [*size, channels], see `prepare`."""
        form = self.sides(size), channels
        if not self.keeps_pictures or self.decoded is None:
            return prepare(self.image(index), *form)
        path = self.samples[index]
        return self.decoded.prepared(path, form, lambda: self.read(path), self.reading)

    @property
    def reading(self) -> tuple[Any, ...]:
        """Return what decides the pixels of a file: the range of values, the page, what is seen of volumes."""
        return self.white, self.window, self.page, self.volumes

    @property
    def keeps_pictures(self) -> bool:
        """Return whether pictures lie in files and are kept once decoded, in the form that a network takes."""
        return self.decoded is not None and not isinstance(self.samples, np.ndarray)

    @property
    def is_pending(self) -> bool:
        """Return whether `hashes` are of files, because pixels are compared with the first decoding."""
        return bool(self.hashes) and len(self.hashes[0]) == FILE_HASH  # type: ignore[index]

    def name(self, index: int) -> str:
        """Return what to call an image in a message: its path, or its place in the array."""
        if isinstance(self.samples, np.ndarray):
            return f"{self.source or 'array'} [{self.split}] image {index}"
        return printable(self.samples[index])

    def label_text(self, index: int) -> str:
        """Return what an image is labelled as, for a message."""
        return self.classes[int(self.labels[index])]

    def same_label(self, first: int, second: int) -> bool:
        """Return whether two images are labelled alike."""
        return bool(self.labels[first] == self.labels[second])

    def targets(self, indices: np.ndarray) -> np.ndarray:
        """Return what is to be learnt of the images at `indices`: here their class numbers, int64 [n]."""
        wanted: np.ndarray = self.labels[indices]
        return wanted

    def subset(self, indices: Iterable[int] | np.ndarray, split: str | None = None) -> Self:
        """Return the images at `indices`, in that order; the classes keep their numbers and nothing is decoded."""
        rows = np.asarray(indices if isinstance(indices, np.ndarray) else list(indices), np.int64)
        samples = self.samples[rows] if isinstance(self.samples, np.ndarray) else [self.samples[i] for i in rows]
        groups = None if self.groups is None else self.groups[rows]
        return replace(
            self,
            samples=samples,
            labels=self.labels[rows],
            groups=groups,
            split=split or self.split,
            skipped=[],
            contradictions=[],
            hashes=None if self.hashes is None else [self.hashes[i] for i in rows],
            **self.further(rows),
        )

    def further(self, rows: np.ndarray) -> dict[str, Any]:
        """Return the fields that a subclass adds with one entry an image, at `rows`: what `subset` takes along."""
        return {}

    def counts(self) -> dict[str, int]:
        """Return the number of images of each class, in class order."""
        number = np.bincount(self.labels, minlength=len(self.classes))
        return {name: int(n) for name, n in zip(self.classes, number, strict=True)}


def read_by(sets: Mapping[str, Dataset], reading: Reading) -> None:
    """Let the images of sets be read so, in place."""
    for dataset in sets.values():
        dataset.white, dataset.window, dataset.page = reading


def check_classes(dataset: Dataset) -> None:
    """Raise UserError unless there are at least two classes and every class has an image."""
    where = f"{dataset.source or 'data'} [{dataset.split}]"
    if len(dataset.classes) < 2:
        raise UserError(
            f"{where}: only one class ({', '.join(dataset.classes) or 'none'}); a classifier needs two or more: "
            "one folder (or one value in the label column) a class"
        )
    empty = [name for name, n in dataset.counts().items() if n == 0]
    if empty:
        raise UserError(f"{where}: no image of class {', '.join(empty)}; add images, or remove or merge the class")


def merge_classes(dataset: Dataset, merge: Mapping[str, Sequence[str]]) -> Dataset:
    """Return the same images under new classes.

    Args:
        dataset: The images.
        merge: New class -> its old classes, such as {"referable": ["grade2", "grade3"], "other": ["grade0",
            "grade1"]}; the new classes are numbered in this order.

    Returns:
        A new data set over the same images.

    Raises:
        UserError: An old class is named twice or not at all, or does not exist.

    Example:
        >>> data = Dataset(np.zeros((3, 8, 8), np.uint8), [0, 1, 2], ["grade0", "grade1", "grade2"])
        >>> merge_classes(data, {"healthy": ["grade0"], "sick": ["grade1", "grade2"]}).counts()
        {'healthy': 1, 'sick': 2}
    """
    target: dict[str, int] = {}
    for number, (new, olds) in enumerate(merge.items()):
        for old in olds:
            if old not in dataset.classes:
                raise UserError(f"merge {new}: there is no class {old!r}; the classes are {', '.join(dataset.classes)}")
            if old in target:
                raise UserError(f"merge {new}: class {old!r} is already in {list(merge)[target[old]]!r}")
            target[old] = number
    left = [name for name in dataset.classes if name not in target]
    if left:
        raise UserError(f"merge: class {', '.join(left)} is in no new class; name every class once")
    table = np.array([target[name] for name in dataset.classes], np.int64)
    return replace(dataset, labels=table[dataset.labels], classes=list(merge))


def parse_merge(items: Iterable[str]) -> dict[str, list[str]]:
    """Return the command line's ["new=old,old", ...] as the mapping that `merge_classes` takes.

    Args:
        items: Texts "NEW=OLD,OLD,...", each new class once.

    Returns:
        New class -> its old classes.

    Raises:
        UserError: A text has another form, or a new class occurs twice.

    Example:
        >>> parse_merge(["referable=grade2,grade3", "other=grade0"])
        {'referable': ['grade2', 'grade3'], 'other': ['grade0']}
    """
    merge: dict[str, list[str]] = {}
    for item in items:
        new, equals, olds = item.partition("=")
        names = [name.strip() for name in olds.split(",") if name.strip()]
        if not equals or not new.strip() or not names:
            raise UserError(f"merge {item!r}: write NEW=OLD,OLD,... such as referable=grade2,grade3,grade4")
        if new.strip() in merge:
            raise UserError(f"merge {item!r}: {new.strip()!r} is given twice; list all its classes in one place")
        merge[new.strip()] = names
    return merge


def verify(
    dataset: Dataset,
    *,
    skip_bad: bool = False,
    visit: Callable[[int, np.ndarray], None] | None = None,
    workers: int = 2,
) -> Dataset:
    """Decode every image once, to find the unreadable ones.

    Args:
        dataset: The images.
        skip_bad: Leave unreadable images out and list them in `skipped`, instead of raising.
        visit: Called as visit(index, pixels) for every good image in order, with its index in the returned set.
        workers: Threads that decode.

    Returns:
        The data set without its unreadable images.

    Raises:
        UserError: An image is unreadable (names it).

    Example:
        >>> data = Dataset(["missing.png"], [0], ["a", "b"])
        >>> verify(data, skip_bad=True).skipped
        [('missing.png', ...)]
    """
    if isinstance(dataset.samples, np.ndarray):
        if visit:
            for i in range(len(dataset)):
                visit(i, dataset.image(i))
        return dataset
    good: list[int] = []
    bad: list[tuple[str, str]] = []
    for i, pixels in enumerate(decode_all(dataset, workers)):
        if isinstance(pixels, UserError):
            if not skip_bad:
                raise pixels
            bad.append((dataset.name(i), str(pixels)))
            continue
        if visit:
            visit(len(good), pixels)
        good.append(i)
    if not bad:
        return dataset
    return replace(dataset.subset(good), skipped=dataset.skipped + bad)


def decode_all(dataset: Dataset, workers: int) -> Iterable[np.ndarray | UserError]:
    """Yield the pixels, or the error, of every image in order; a bounded number are held at a time."""

    def attempt(index: int) -> np.ndarray | UserError:
        try:
            return dataset.image(index)
        except UserError as error:
            return error

    block = 16 * workers
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(dataset), block):
            yield from pool.map(attempt, range(start, min(start + block, len(dataset))))
