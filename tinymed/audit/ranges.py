"""What rounded rates can stand for, and what they then imply: the arithmetic of the audit.

A printed number is a range, so every conclusion is a range too; two ranges without a common value contradict.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from itertools import product
from typing import NamedTuple

SLACK = 1e-9  # floating-point error of the formulas below, far under any printed digit


class Range(NamedTuple):
    """All values a printed number can stand for."""

    low: float
    high: float

    def meets(self, other: "Range") -> bool:
        """Return whether the two ranges have a value in common."""
        return self.low <= other.high + SLACK and other.low <= self.high + SLACK


def rounding_range(value: Decimal, unit: float) -> Range:
    """Return the fractions that round to a printed `value`: value +- half a unit of its last digit, times `unit`.

    unit is 0.01 for percentages and 1 for fractions.  96.80 in percent is [0.96795, 0.96805].
    """
    exponent = value.as_tuple().exponent
    half = 0.5 * 10.0 ** int(exponent if isinstance(exponent, int) else 0)
    return Range((float(value) - half) * unit, (float(value) + half) * unit)


def implied_prevalence(sensitivity: Range, specificity: Range, accuracy: Range) -> Range | None:
    """Return the positive fractions p with accuracy = p sensitivity + (1 - p) specificity; None if there is none.

    p = (acc - spec) / (sens - spec).  Monotone in each argument, so its extremes over the rounding box are at
    the corners; where sensitivity and specificity may be equal every p fits.
    """
    low = min(sensitivity.low, specificity.low)
    high = max(sensitivity.high, specificity.high)
    if not accuracy.meets(Range(low, high)):
        return None
    if sensitivity.meets(specificity):
        return Range(0.0, 1.0)
    corners = [(a - p) / (s - p) for s, p, a in product(sensitivity, specificity, accuracy)]
    return Range(clip(min(corners)), clip(max(corners)))


def clip(value: float) -> float:
    """Return the nearest number in [0, 1]."""
    return min(max(value, 0.0), 1.0)


def possible_rates(r: Mapping[str, Range], prevalence: Range | None) -> dict[str, Range]:
    """Return what the other claimed rates allow for balanced accuracy, precision, npv and F1.

    precision = p s / (p s + (1-p)(1-c)), npv = (1-p) c / ((1-p) c + p (1-s)), F1 = 2 precision s / (precision
    + s), with prevalence p, sensitivity s, specificity c; all are monotone in each argument, so corners
    suffice.
    """
    possible: dict[str, Range] = {}
    s, c = r.get("sensitivity"), r.get("specificity")
    if s and c:
        possible["balanced_accuracy"] = Range((s.low + c.low) / 2, (s.high + c.high) / 2)
        if prevalence:
            box = [tuple(clip(v) for v in corner) for corner in product(prevalence, s, c)]
            possible["precision"] = ratio_range((p * a, (1 - p) * (1 - b)) for p, a, b in box)
            possible["npv"] = ratio_range(((1 - p) * b, p * (1 - a)) for p, a, b in box)
    precision = r.get("precision", possible.get("precision"))
    if s and precision:
        values = [2 * a * b / (a + b) if a + b > 0 else 0.0 for a, b in product(s, precision)]
        possible["f1"] = Range(min(values), max(values))
    return possible


def ratio_range(parts: Iterable[tuple[float, float]]) -> Range:
    """Return the range of a / (a + b) over corners (a, b); a corner of 0/0 allows everything."""
    pairs = list(parts)
    if any(a + b <= 0 for a, b in pairs):
        return Range(0.0, 1.0)
    values = [a / (a + b) for a, b in pairs]
    return Range(min(values), max(values))


def whole_numbers_fit(r: Mapping[str, Range], n: int) -> bool:
    """Return whether a confusion matrix of n samples has these rates; every possible number of positives is tried."""
    if not {"sensitivity", "specificity", "accuracy"} <= r.keys():
        return True
    right = whole_range(r["accuracy"], n)
    prevalence = implied_prevalence(r["sensitivity"], r["specificity"], r["accuracy"])
    if prevalence is None:
        return False
    for positives in range(max(0, int(prevalence.low * n) - 1), min(n, int(prevalence.high * n) + 1) + 1):
        tp = whole_range(r["sensitivity"], positives)
        tn = whole_range(r["specificity"], n - positives)
        if tp and tn and right and tp[0] + tn[0] <= right[1] and right[0] <= tp[1] + tn[1]:
            return True
    return False


def whole_range(rate: Range, n: int) -> tuple[int, int] | None:
    """Return the least and greatest k with k / n in `rate`, or None; with n = 0 the rate is 0/0 and k = 0 fits."""
    if n == 0:
        return 0, 0
    low, high = max(0, -int(-(rate.low * n - SLACK) // 1)), min(n, int((rate.high * n + SLACK) // 1))
    return (low, high) if low <= high else None
