"""What is worth saying about a set that was opened: files left out, pictures under two labels, darkness, the split."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from ..errors import UserAdvice
from .dataset import Dataset
from .image import MAX_16_BIT, is_picture, orientation
from .lists import PATIENTS, UNKNOWN, as_seen, canonical_name, likeness
from .patients import files_of
from .tiff import unsaid_text
from .volumes import SUFFIXES as VOLUMES
from .volumes import two_places
from .walk import total

DARK = 1 / 8  # of the range, below which deep pictures are taken to have fewer bits than their files


def account_text(sets: Mapping[str, Dataset]) -> str:
    """Return how many files were seen, taken and left out for which reason, in one line; nothing without folders.

    Args:
        sets: The parts of a data set, as the functions that open one return them.

    Returns:
        One line, or an empty text.

    Example:
        >>> from tinymed.data import Account
        >>> data = Dataset(np.zeros((2, 8, 8), np.uint8), [0, 1], ["a", "b"], account=Account(taken=2))
        >>> account_text({"all": data})
        '2 files: 2 images taken'
    """
    known = [dataset.account for dataset in sets.values() if dataset.account is not None]
    return total(known).line() if known else ""


def split_text(sets: Mapping[str, Dataset]) -> str:
    """Return by what a set was divided: "split by patient (118/25/26), column 'PatientID'".

    Args:
        sets: The parts, divided.  Numbers are those of the patients in each.

    Returns:
        One line.

    Example:
        >>> part = Dataset(np.zeros((2, 8, 8), np.uint8), [0, 1], ["a", "b"], np.array(["p1", "p2"]))
        >>> split_text({"train": part, "test": part})
        'the parts are taken as they are given, by patient 2/2'
    """
    column = next(iter(sets.values())).group_column
    who = "patient" if canonical_name(column) in PATIENTS or not column else repr(column)
    named = f", column {column!r}" if who == "patient" and column else ""
    rules = {dataset.divided for dataset in sets.values()} - {""}
    if any(dataset.groups is None for dataset in sets.values()):
        return "no patient column: " + ("split by image" if rules else "the parts are taken as they are given")
    counts = "/".join(str(len(np.unique(d.groups))) for d in sets.values() if d.groups is not None)
    if not rules:
        return f"the parts are taken as they are given, by {who} {counts}{named}"
    if rules == {"grouped"}:
        return f"split by {who} ({counts}){named}"
    return f"split by image, not by {who} ({counts}{named})"


def patients_of(dataset: Dataset) -> np.ndarray | None:
    """Return the patient of each image; None where nothing says who that is, or groups are of another kind.

    Example:
        >>> images = np.zeros((2, 8, 8), np.uint8)
        >>> patients_of(Dataset(images, [0, 1], ["a", "b"], np.array(["p", "q"]), group_column="Patient ID")).tolist()
        ['p', 'q']
    """
    return dataset.groups if canonical_name(dataset.group_column) in PATIENTS else None


def remark(where: object, sets: Mapping[str, Dataset]) -> None:
    """Warn of what was left out, of pictures under two labels and of dark deep pictures; note it on the sets."""
    account = total(dataset.account for dataset in sets.values())
    if account.remarkable:
        warnings.warn(UserAdvice(f"{where}: {account.line()}"), stacklevel=3)
    warn_of_unsaid_spacing(where, sets)
    warn_of_two_places(where, sets)
    warn_of_turned(where, sets)
    first = next(iter(sets.values()))
    warn_of_alike(where, first.classes, "classes", "write them alike")
    people = "patients" if canonical_name(first.group_column) in PATIENTS else "groups"
    warn_of_alike(where, named_groups(sets), people, "one may be learnt from and one tested")
    remark_on_pixels(where, sets)


def remark_on_pixels(where: object, sets: Mapping[str, Dataset]) -> None:
    """Warn of pictures under two labels and of dark deep pictures, as far as they were decoded; note it on the sets."""
    for dataset in sets.values():
        dataset.contradictions = contradictions(dataset)
    pairs = [pair for dataset in sets.values() for pair in dataset.contradictions]
    if pairs:
        one, two = pairs[0]
        more = "1 picture is" if len(pairs) == 1 else f"{len(pairs):,} pictures are"
        warnings.warn(
            UserAdvice(
                f"{where}: {more} there twice under two labels, such as {one} and {two}: identical pictures that "
                "contradict each other; remove one of each pair, or both"
            ),
            stacklevel=4,
        )
    warn_of_dark(where, list(sets.values()))


def warn_of_unsaid_spacing(where: object, sets: Mapping[str, Dataset]) -> None:
    """Warn of volumes in TIFF that do not say how far their voxels are apart."""
    spaced = [d for d in sets.values() if d.page is None and not d.tells_classes]
    files = [path for d in spaced if not isinstance(d.samples, np.ndarray) for path in d.samples]
    if text := unsaid_text(map(Path, files)):
        warnings.warn(UserAdvice(f"{where}: {text}"), stacklevel=4)


def warn_of_two_places(where: object, sets: Mapping[str, Dataset]) -> None:
    """Warn of NIfTI volumes whose headers place them twice: other programs may see them mirrored or stretched."""
    files = [path for dataset in sets.values() for path in files_of(dataset)]
    volumes = [path for path in files if path.name.lower().endswith(VOLUMES)]
    told = [(path, text) for path in volumes if (text := two_places(path))]
    if told:
        path, text = told[0]
        many = f"{len(told):,} volumes have headers that give" if len(told) > 1 else "a volume has a header that gives"
        message = (
            f"{where}: {many} two places in space, such as {path} ({text}); sform is used, and a program that prefers "
            "qform sees other sides or sizes: set both to the right one, in masks too"
        )
        warnings.warn(UserAdvice(message), stacklevel=4)


def warn_of_turned(where: object, sets: Mapping[str, Dataset]) -> None:
    """Warn of pictures that EXIF turns or mirrors while their masks stay: drawn on which of the two, no size tells."""
    pairs = [pair for d in sets.values() for pair in zip(d.samples, getattr(d, "masks", ()), strict=False)]
    pictures = [(Path(image), mask) for image, mask in pairs if is_picture(image) and is_picture(mask)]
    turned = [image for image, mask in pictures if orientation(image) != orientation(mask)]
    if turned:
        many = f"{len(turned):,} pictures are" if len(turned) > 1 else "a picture is"
        message = (
            f"{where}: {many} turned or mirrored by EXIF, such as {turned[0]}, and the mask is not: it is laid over "
            "the picture as it is seen; if it was drawn on the pixels as they lie in the file, write the pictures "
            "without EXIF"
        )
        warnings.warn(UserAdvice(message), stacklevel=4)


def contradictions(dataset: Dataset) -> list[tuple[str, str]]:
    """Return ("a.png (benign)", "b.png (malignant)") of every picture that repeats an earlier one under another label.

    Pictures are compared by the hashes that the data set holds; without them there is nothing to compare.
    """
    if dataset.hashes is None:
        return []
    return [
        (f"{dataset.name(i)} ({dataset.label_text(i)})", f"{dataset.name(j)} ({dataset.label_text(j)})")
        for i, j in copies(dataset.hashes)
        if not dataset.same_label(i, j)
    ]


def copies(hashes: Sequence[bytes]) -> Iterable[tuple[int, int]]:
    """Yield (first, later) of every picture that is there before."""
    first: dict[bytes, int] = {}
    for j, key in enumerate(hashes):
        i = first.setdefault(key, j)
        if i != j:
            yield i, j


def warn_of_alike(where: object, names: Iterable[str], what: str, result: str) -> None:
    """Warn of classes or patients that are most likely one, written in two ways."""
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(likeness(name), name)
        if other != name:
            shown = ascii if as_seen(other) == as_seen(name) else repr
            pair = f"{shown(other)} and {shown(name)}"
            message = f"{where}: the {what} {pair} differ in case, spaces or form only, and count as two: {result}"
            warnings.warn(UserAdvice(message), stacklevel=4)
            return


def named_groups(sets: Mapping[str, Dataset]) -> list[str]:
    """Return the groups that a list names, each once, in order."""
    groups = {str(group) for d in sets.values() if d.groups is not None for group in np.unique(d.groups)}
    return sorted(group for group in groups if not group.startswith(UNKNOWN))


def warn_of_dark(where: object, sets: Sequence[Dataset]) -> None:
    """Warn where all deep pictures of a set stay in the lowest eighth of their range: fewer bits than their files."""
    bright = [dataset.brightest for dataset in sets if dataset.brightest is not None]
    if not bright or max(bright) >= 255 * DARK:
        return
    top = next((dataset.white for dataset in sets if dataset.white is not None), float(MAX_16_BIT))
    value = round(max(bright) / 255 * top)
    likely = 2 ** max(value, 1).bit_length() - 1
    warnings.warn(
        UserAdvice(
            f"{where}: the pictures deeper than 8 bits stay below 1/8 of their range: the brightest pixel is {value:,} "
            f"of {top:,.0f}, so they are nearly black to a network",
            {f"white={likely}": f"if {likely:,} is white in them, say so with {{}}"},
        ),
        stacklevel=4,
    )
