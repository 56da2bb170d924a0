"""A measure of many images that can be taken of all, of a subgroup, or of two networks' answers to the same images.

Each knows its value, its interval over groups, and the interval of its difference to another of the same images.
`tasks` say which measures a task has; `evaluate --subgroup`, `cv` and `compare RUN RUN` take them.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .area_intervals import auc_difference_interval, auc_ends, auc_estimate
from .clusters import (
    Estimate,
    difference_interval,
    group_numbers,
    mean_estimate,
    mean_interval_by_groups,
    proportion_interval,
    resample_groups,
    warn_few,
)
from .curves import Float, Warn, warn_undefined
from .intervals import UNDEFINED, Interval, percentile_interval

__all__ = ["Area", "Figure", "Mean", "Measure", "Share", "Weighted", "intervals_by_groups", "tables_by_groups"]

Mask = npt.NDArray[np.bool_]
RESAMPLES = 1000


class Figure(NamedTuple):
    """A measure as it is shown.

    Attributes:
        value: The measure, or None where it is 0/0.
        interval: (low, high), or None.
        n: Images that it is of.

    Example:
        >>> Figure(0.5, (0.2, 0.8), 10).n
        10
    """

    value: float | None
    interval: Interval | None
    n: int

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"value": self.value, "interval": None if self.interval is None else list(self.interval), "n": self.n}


def figure(value: float, interval: Interval, n: int) -> Figure:
    """Return a figure; nan becomes None."""
    known = not math.isnan(value)
    ends = interval if known and not any(map(math.isnan, interval)) else None
    return Figure(float(value) if known else None, ends, n)


class Measure:
    """What all measures have.  `counted` says of each image whether it is among those that are measured.

    Example:
        >>> Share(np.array([1, 0, 1, 1])).figure(None, warn=lambda remark: None).value
        0.75
    """

    counted: Any
    lower_is_better = False

    def value(self) -> float:
        """Return the measure; nan where it is 0/0."""
        raise NotImplementedError

    def figure(self, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined) -> Figure:
        """Return the measure with its interval; groups: of each image, or None."""
        raise NotImplementedError

    def within(self, chosen: Mask) -> "Measure":
        """Return the measure of some of the images."""
        raise NotImplementedError

    def against(
        self, other: Any, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined
    ) -> Figure:
        """Return this measure less another of the same images, with the interval of the difference."""
        raise NotImplementedError

    @property
    def in_closed_form(self) -> bool:
        """Say whether the interval is a formula where every image is a group of its own: nothing is drawn for it."""
        return True

    def groups_of(self, groups: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Return the groups of the images that are counted."""
        return group_numbers(None if groups is None else np.asarray(groups)[self.counted], int(self.counted.sum()))


@dataclass(eq=False)
class Share(Measure):
    """A share of images: accuracy, or, counting the images of one class, its sensitivity.

    Args:
        right: Booleans (n,).
        counted: Booleans (n,), by default every image.

    Example:
        >>> Share(np.array([1, 0, 1, 1]), np.array([True, True, False, False])).value()
        0.5
    """

    right: npt.NDArray[Any]
    counted: Any = None

    def __post_init__(self) -> None:
        self.right = np.asarray(self.right, bool)
        self.counted = np.ones(self.right.size, bool) if self.counted is None else self.counted

    def value(self) -> float:
        return float(self.right[self.counted].mean()) if self.counted.any() else math.nan

    def figure(self, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined) -> Figure:
        if not self.counted.any():
            return Figure(None, None, 0)
        ends = proportion_interval(self.right[self.counted], self.groups_of(groups), level, warn)
        return figure(self.value(), ends, int(self.counted.sum()))

    def within(self, chosen: Mask) -> "Share":
        return Share(self.right, self.counted & chosen)

    def against(
        self, other: Any, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined
    ) -> Figure:
        n = int(self.counted.sum())
        if not n:
            return Figure(None, None, 0)
        numbers = self.groups_of(groups)
        warn_few(int(numbers.max()) + 1, n, warn)
        one, two = (mean_estimate(m.right[self.counted], numbers) for m in (self, other))
        return figure(one.value - two.value, difference_interval(one, two, level, floor=1 / n**2), n)


@dataclass(eq=False)
class Mean(Measure):
    """The mean over images of a number that each has, such as Dice.

    Args:
        values: Numbers (n,); nan where an image has none.
        bounds: The least and largest possible.
        lower_is_better: Whether it is an error.

    Example:
        >>> Mean(np.array([1.0, np.nan, 0.5])).value()
        0.75
    """

    values: Float
    bounds: tuple[float, float] = (-math.inf, math.inf)
    lower_is_better: bool = False

    def __post_init__(self) -> None:
        self.counted = np.isfinite(self.values)

    def value(self) -> float:
        return float(self.values[self.counted].mean()) if self.counted.any() else math.nan

    def figure(self, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined) -> Figure:
        if not self.counted.any():
            return Figure(None, None, 0)
        kept = self.values[self.counted]
        ends = mean_interval_by_groups(kept, self.groups_of(groups), level, warn, self.bounds)
        return figure(self.value(), ends, kept.size)

    def within(self, chosen: Mask) -> "Mean":
        return Mean(np.where(chosen, self.values, np.nan), self.bounds, self.lower_is_better)

    def against(
        self, other: Any, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined
    ) -> Figure:
        both = Mean(self.values - other.values)
        if not both.counted.any():
            return Figure(None, None, 0)
        numbers = both.groups_of(groups)
        warn_few(int(numbers.max()) + 1, int(both.counted.sum()), warn)
        one, two = (mean_estimate(m.values[both.counted], numbers) for m in (self, other))
        return figure(one.value - two.value, difference_interval(one, two, level), int(both.counted.sum()))


@dataclass(eq=False)
class Area(Measure):
    """The area under the ROC curve, or the mean of several: of classes against the rest, of folds each by itself.

    Images are ranked within a fold only, since the scores of another fold are another network's.

    Args:
        pairs: (labels (n,), scores (n,)) of each class; labels are 1, 0, or nan where it is not known.
        folds: Fold of each image (n,), or None.

    Example:
        >>> Area([(np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.35, 0.8]))]).value()
        0.75

    Reference:
        LeDell, Petersen & van der Laan, Electronic Journal of Statistics 9, 2015, for the mean over folds.
    """

    pairs: Sequence[tuple[npt.NDArray[Any], Float]]
    folds: npt.NDArray[Any] | None = None
    counted: Any = None

    def __post_init__(self) -> None:
        if self.counted is None:
            self.counted = np.ones(len(self.pairs[0][0]), bool)

    def estimate(self, numbers: npt.NDArray[np.int64]) -> Estimate | None:
        """Return the mean area with what each group adds to it; None where no area is defined."""
        folds = np.zeros(self.counted.size, np.int64) if self.folds is None else self.folds
        count = int(numbers.max()) + 1
        parts, exact = [], True
        for (labels, scores), fold in ((pair, f) for pair in self.pairs for f in np.unique(folds[self.counted])):
            chosen = self.counted & (folds == fold) & np.isfinite(labels.astype(np.float64))
            y = labels[chosen] == 1
            if y.all() or not y.any():
                continue
            mine, place = np.unique(numbers[chosen], return_inverse=True)
            found = auc_estimate(y, scores[chosen], None if mine.size == y.size else place)
            influence = np.zeros(count)
            influence[numbers[chosen] if mine.size == y.size else mine] = found.influence
            parts.append((found.value, influence))
            exact &= found.exact
        if not parts:
            return None
        value = float(np.mean([part[0] for part in parts]))
        mean: Float = np.mean([part[1] for part in parts], axis=0)
        return Estimate(value, mean, exact, count < self.counted.size)

    def numbers(self, groups: npt.ArrayLike | None) -> npt.NDArray[np.int64]:
        """Return the groups of all images, numbered through."""
        return group_numbers(groups, self.counted.size)

    def units(self, numbers: npt.NDArray[np.int64]) -> int:
        """Return the groups of the class that is found in the fewest."""
        sides = [
            np.unique(numbers[self.counted & (labels == side)]).size for labels, _ in self.pairs for side in (0, 1)
        ]
        return max(1, min((side for side in sides if side), default=1))

    def value(self) -> float:
        found = self.estimate(self.numbers(None)) if self.counted.any() else None
        return math.nan if found is None else found.value

    def figure(self, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined) -> Figure:
        n = int(self.counted.sum())
        found = self.estimate(numbers := self.numbers(groups)) if n else None
        if found is None:
            return Figure(None, None, n)
        warn_few(np.unique(numbers[self.counted]).size, n, warn)
        return figure(found.value, auc_ends(found, self.units(numbers), level), n)

    def within(self, chosen: Mask) -> "Area":
        return Area(self.pairs, self.folds, self.counted & chosen)

    def against(
        self, other: Any, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined
    ) -> Figure:
        numbers, n = self.numbers(groups), int(self.counted.sum())
        one, two = (m.estimate(numbers) for m in (self, other))
        if one is None or two is None:
            return Figure(None, None, n)
        warn_few(np.unique(numbers[self.counted]).size, n, warn)
        return figure(one.value - two.value, auc_difference_interval(one, two, self.units(numbers), level), n)


@dataclass(eq=False)
class Weighted(Measure):
    """A measure that is a function of how often each image counts, such as kappa: whole groups are bootstrapped.

    Args:
        function: From weights (r, n) to values (r,); nan where it is 0/0.
        counted: Booleans (n,).
        lower_is_better: Whether it is an error.
        seed: Of the bootstrap.
        formula: From booleans (n,), which images count, and a level to the interval of a measure that has one in closed
            form where every image is a group of its own, such as Wilson's of a precision; then nothing is drawn.

    Example:
        >>> values = np.array([1.0, 2.0, 6.0])
        >>> Weighted(lambda w: w @ values / w.sum(axis=1), np.ones(3, bool)).value()
        3.0
    """

    function: Callable[[Float], Float]
    counted: Mask
    lower_is_better: bool = False
    seed: int = 0
    formula: Callable[[Mask, float], Interval] | None = None

    @property
    def in_closed_form(self) -> bool:
        return self.formula is not None

    def value(self) -> float:
        return float(self.function(self.counted.astype(np.float64)[None])[0]) if self.counted.any() else math.nan

    def drawn(self, groups: npt.ArrayLike | None) -> Float:
        """Return the values of the resamples."""
        kept = np.flatnonzero(self.counted)
        values = []
        for block in resample_groups(self.groups_of(groups), kept.size, RESAMPLES, self.seed):
            weights = np.zeros((len(block), self.counted.size))
            weights[:, kept] = block
            values.append(self.function(weights))
        return np.concatenate(values)

    def figure(self, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined) -> Figure:
        value, n = self.value(), int(self.counted.sum())
        count = int(self.groups_of(groups).max()) + 1 if n else 0
        if n:
            warn_few(count, n, warn)
        if n and count == n and self.formula is not None:
            return figure(value, self.formula(self.counted, level), n)
        ends = UNDEFINED if math.isnan(value) else percentile_interval("measure", self.drawn(groups), level, ignore)
        return figure(value, ends, n)

    def within(self, chosen: Mask) -> "Weighted":
        return Weighted(self.function, self.counted & chosen, self.lower_is_better, self.seed, self.formula)

    def against(
        self, other: Any, groups: npt.ArrayLike | None, level: float = 0.95, warn: Warn = warn_undefined
    ) -> Figure:
        apart = Weighted(lambda w: self.function(w) - other.function(w), self.counted, seed=self.seed)
        return apart.figure(groups, level, warn)


def ignore(message: str) -> None:
    """Take a remark of the bootstrap on resamples that are undefined: the figure shows no interval where none is."""


def intervals_by_groups(
    result: Mapping[str, Any], measures: Mapping[str, Measure], groups: npt.ArrayLike | None
) -> dict[str, Any]:
    """Return the intervals of an evaluation anew, from its groups, with what is to be said of them.

    Without groups only those that have a formula: an evaluation has drawn the others already.  Of few images it is said
    that their intervals are rough.

    Args:
        result: An evaluation with "n", "warnings" and `<name>_interval`.
        measures: Measures of the same images by name; those that the evaluation has no interval of are left out.
        groups: Group of each image (n,), or None.

    Returns:
        What is to be replaced in the evaluation.

    Example:
        >>> result = {"n": 4, "accuracy_interval": [0.3, 0.95], "warnings": []}
        >>> found = intervals_by_groups(result, {"accuracy": Share(np.array([1, 1, 0, 1]))}, ["p", "p", "q", "q"])
        >>> found["groups"], found["warnings"][0]
        (2, 'intervals count patients or other groups, 2 in 4 images')
    """
    if groups is None:
        found, few = anew(result, measures, None, result.get("level", 0.95), ignore), list[str]()
        if measures and "warnings" in result:
            warn_few(result["n"], result["n"], few.append)
            found["warnings"] = list(dict.fromkeys([*result["warnings"], *few]))
        return found
    count = len(np.unique(np.asarray(groups)))
    notes = [f"intervals count patients or other groups, {count} in {result['n']} images"]
    found = {"groups": count} | anew(result, measures, groups, result.get("level", 0.95), notes.append)
    return found | {"warnings": list(dict.fromkeys([*notes, *result["warnings"]]))}


def tables_by_groups(
    result: Mapping[str, Any], tables: Mapping[str, Mapping[str, Mapping[str, Measure]]], groups: npt.ArrayLike | None
) -> dict[str, Any]:
    """Return the tables of an evaluation, such as that of each class, with their intervals anew from its groups.

    Args:
        result: An evaluation with tables {row: {measure: ..., measure_interval: ...}}.
        tables: Table -> row -> measures of the same images by name; what the evaluation has not is left out.
        groups: Group of each image (n,), or None.

    Returns:
        The tables that are to be replaced in the evaluation.

    Example:
        >>> result = {"per_class": {"lesion": {"dice": 0.5, "dice_interval": [0.4, 0.6]}}}
        >>> each = {"per_class": {"lesion": {"dice": Mean(np.array([0.2, 0.2, 0.8, 0.8]), (0, 1))}}}
        >>> low, high = tables_by_groups(result, each, ["p", "p", "q", "q"])["per_class"]["lesion"]["dice_interval"]
        >>> low < 0.4 and high > 0.6
        True
    """
    level = result.get("level", 0.95)
    return {
        table: result[table]
        | {
            row: result[table][row] | anew(result[table][row], each, groups, level, ignore)
            for row, each in rows.items()
        }
        for table, rows in tables.items()
        if table in result
    }


def anew(
    row: Mapping[str, Any], measures: Mapping[str, Measure], groups: npt.ArrayLike | None, level: float, warn: Warn
) -> dict[str, Any]:
    """Return the intervals that a row has, from groups; without groups those that have a formula."""
    ends = {
        name: measure.figure(groups, level, warn).interval
        for name, measure in measures.items()
        if row.get(f"{name}_interval") is not None and (groups is not None or measure.in_closed_form)
    }
    return {f"{name}_interval": None if each is None else list(each) for name, each in ends.items()}
