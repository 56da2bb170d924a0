"""What the values of a label image mean: 0 and 255 in a mask, 0, 1, 2 in a volume, and one that is to be ignored."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..errors import UserAdvice, UserError

IGNORED = 255  # the class number of pixels that count neither in the loss nor in a metric
MOST = 64  # values that a mask may have before it is taken for a photograph
VOID = 255  # the value that published sets give to boundaries and to what nobody could tell
NEAR = 16  # of black and white: where a mask of both has values on either side, they come from compression or resizing


@dataclass(frozen=True)
class Labels:
    """Classes of pixels, numbered in the order of `names`; class 0 is the background.

    Args:
        values: Value in a mask -> name of its class; several values may share a name.
        ignore: The value of pixels that do not count, or None.
        regions: Region -> the classes inside it, which are measured together too.

    Raises:
        UserError: Fewer than 2 or more than 254 classes, or a value that is ignored and yet means something.

    Example:
        >>> labels = Labels({0: "background", 255: "lesion"}, ignore=128)
        >>> labels.numbers(np.array([[0, 255, 128]]), "a mask")
        array([[  0,   1, 255]], dtype=uint8)
    """

    values: Mapping[int, str]
    ignore: int | None = None
    regions: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.names) < 2 or len(self.names) >= IGNORED:
            raise UserError(f"labels: needs 2 to {IGNORED - 1} classes of pixels, got {list(self.names)}")
        if self.ignore is not None and self.ignore in self.values:
            raise UserError(f"labels: the value {self.ignore} is ignored and yet means {self.values[self.ignore]!r}")

    @property
    def names(self) -> list[str]:
        """Return the classes, each once, in the order of their first value."""
        return list(dict.fromkeys(self.values.values()))

    def numbers(self, raw: np.ndarray, where: object) -> np.ndarray:
        """Return class numbers, uint8 of the same shape, IGNORED where they do not count.

        Raises:
            UserError: A value has no meaning; names `where` and the first such value.
        """
        found = np.unique(raw)
        unknown = [v for v in found.tolist() if v != self.ignore and v not in self.values]
        if unknown:
            count = int((raw == unknown[0]).sum())
            known = ", ".join(f"{value} ({name})" for value, name in self.values.items())
            raise UserError(
                f"{where}: unknown label value {unknown[0]:g} at {count} of {raw.size} places; the values are {known}; "
                "correct the mask",
                {
                    f"labels={unknown[0]:g}=NAME,...": "or name every value with {}",
                    f"ignore={unknown[0]:g}": "or leave this one out with {}",
                },
            )
        number = {name: i for i, name in enumerate(self.names)}
        code = [IGNORED if v == self.ignore else number[self.values[v]] for v in found.tolist()]
        if found.size == 1:
            return np.full(raw.shape, code[0], np.uint8)
        coded: np.ndarray = np.array(code, np.uint8)[np.searchsorted(found, raw)]
        return coded

    def written(self, numbers: np.ndarray) -> np.ndarray:
        """Return the values to write for class numbers: of each class its first, uint8 where they fit, else int16."""
        first: dict[str, int] = {}
        for value, name in self.values.items():
            first.setdefault(name, value)
        kind = np.uint8 if min(first.values()) >= 0 and max(first.values()) <= 255 else np.int16
        codes: np.ndarray = np.array([first[name] for name in self.names], kind)[numbers]
        return codes


def parse_labels(text: str) -> dict[int, str]:
    """Return the values of --labels: "0=background,255=lesion", or names alone, which are numbered from 0."""
    parts = [part.strip() for part in text.split(",")]
    values: dict[int, str] = {}
    for place, part in enumerate(parts):
        value, equals, name = part.partition("=")
        number, name = (value.strip(), name.strip()) if equals else (str(place), part)
        if not name or not number.lstrip("-").isdecimal() or int(number) in values:
            raise UserError(f"--labels {text!r}: write VALUE=NAME,... such as 0=background,255=lesion, each value once")
        values[int(number)] = name
    return values


def guess_labels(found: Sequence[int], ignore: int | None, where: object) -> Labels:
    """Return the labels of values seen in the masks of the training set: two are background and foreground.

    Raises:
        UserError: One value only, values that are not whole numbers, more than MOST of them, or values beside 0 and
            beside 255, which compression or resizing makes.
    """
    values = sorted(v for v in found if v != ignore)
    if values and values[0] < 0:
        raise UserError(
            f"{where}: the masks hold the value {values[0]:g}, and what is below 0 is no class by itself",
            {
                f"ignore={values[0]:g}": "if it marks what does not count, say so with {}",
                f"labels={values[0]:g}=NAME,...": "or name every value with {}",
            },
        )
    if len(values) < 2:
        raise UserError(f"{where}: the masks hold only the value {values}, so there is nothing to learn")
    near_black, near_white = any(0 < v < NEAR for v in values), any(255 - NEAR < v < 255 for v in values)
    crowded = {0, 255} <= set(values) and near_black and near_white
    if len(values) > MOST or crowded or any(v != int(v) for v in values):
        raise UserError(
            f"{where}: the masks hold {len(values)} different values, such as {values[1]:g}; a mask has one value a "
            "class (a JPEG or a resized mask has others in between): save masks as PNG without smoothing"
        )
    whole = [int(v) for v in values]
    if len(whole) == 2:
        return Labels({whole[0]: "background", whole[1]: "foreground"}, ignore)
    warn_of_void(whole, where)
    return Labels({v: "background" if v == 0 else f"label {v}" for v in whole}, ignore)


def warn_of_void(values: Sequence[int], where: object) -> None:
    """Warn of 255 beside classes numbered from 0: it marks what does not count, or some masks have it for 1."""
    others = [v for v in values if v != VOID]
    if VOID not in values or others != list(range(len(others))):
        return
    message = f"{where}: the masks hold {VOID} beside 0 to {others[-1]}, and it is learnt as a class of its own"
    ways = {f"ignore={VOID}": "if it marks what does not count, say so with {}"}
    if len(others) == 2:
        same = f"labels=0=background,1=foreground,{VOID}=foreground"
        ways[same] = "if some masks have it for what is 1 in others, say {}"
    warnings.warn(UserAdvice(message, ways), stacklevel=4)
