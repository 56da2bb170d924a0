"""Tests of two methods on the same images: McNemar's for answers, DeLong's for areas under the ROC curve."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .area_intervals import auc_estimate
from .clusters import Estimate, student_quantile

__all__ = ["McNemar", "PairedAreas", "delong_test", "mcnemar_test"]


class McNemar(NamedTuple):
    """Images that one of two methods has right and the other wrong.

    Attributes:
        first: Right by the first alone.
        second: Right by the second alone.
        p: Two-sided, exact.

    Example:
        >>> McNemar(3, 1, 0.625).p
        0.625
    """

    first: int
    second: int
    p: float


def mcnemar_test(first: npt.ArrayLike, second: npt.ArrayLike) -> McNemar:
    """Test whether two methods are right equally often, by the exact binomial distribution of their disagreements.

    As `statsmodels.stats.contingency_tables.mcnemar(exact=True)`.  It takes images for independent: where they come in
    groups, look at the interval of the difference instead.

    Args:
        first: Whether the first is right, booleans (n,).
        second: The second, of the same images.

    Returns:
        McNemar; p is 1 where they never disagree.

    Raises:
        ValueError: The shapes differ.

    Example:
        >>> mcnemar_test([1, 1, 1, 1, 0], [0, 0, 0, 1, 1])
        McNemar(first=3, second=1, p=0.625)

    Reference:
        McNemar, Psychometrika 12, 1947.
    """
    a, b = np.asarray(first, bool), np.asarray(second, bool)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"mcnemar_test: needs two answers (n,) to the same images, got {a.shape} and {b.shape}")
    one, two = int((a & ~b).sum()), int((b & ~a).sum())
    n = one + two
    tail = sum(math.comb(n, k) for k in range(min(one, two) + 1))
    return McNemar(one, two, min(1.0, 2 * tail / 2**n))


class PairedAreas(NamedTuple):
    """Two areas under the ROC curve of the same images.

    Attributes:
        first: The first AUC.
        second: The second.
        z: Their difference over its standard error.
        p: Two-sided; by Student's distribution of the groups where there are any.

    Example:
        >>> PairedAreas(0.9, 0.8, 1.2, 0.23).first
        0.9
    """

    first: float
    second: float
    z: float
    p: float


def delong_test(
    labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, groups: npt.ArrayLike | None = None
) -> PairedAreas:
    """Test whether two scores of the same images have one AUC.

    Args:
        labels: Integers or booleans (n,), 1 for positive; both occur.
        first: Scores (n,) of the first method.
        second: Scores (n,) of the second.
        groups: Group of each image (n,), or None; with groups the variance is Obuchowski's.

    Returns:
        PairedAreas; p is 1 where the scores rank images alike.

    Raises:
        ValueError: Shapes differ, or a class is absent.

    Example:
        >>> found = delong_test([0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6], [1, 4, 5, 2, 3, 6])
        >>> round(found.first, 4), round(found.second, 4), found.p > 0.05
        (0.8889, 0.5556, True)

    Reference:
        DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988; Obuchowski, Biometrics 53, 1997.
    """
    one, two = auc_estimate(labels, first, groups), auc_estimate(labels, second, groups)
    if groups is None:
        variance = class_variance(labels, one, two)
        freedom = math.inf
    else:
        apart = Estimate(0.0, one.influence - two.influence)
        variance, freedom = apart.variance, apart.influence.size - 1.0
    if variance <= 0:
        return PairedAreas(one.value, two.value, 0.0, 1.0)
    z = (one.value - two.value) / math.sqrt(variance)
    return PairedAreas(one.value, two.value, z, two_sided(abs(z), freedom))


def class_variance(labels: npt.ArrayLike, one: Estimate, two: Estimate) -> float:
    """Return DeLong's variance of a difference: of positives and of negatives, each about its own mean."""
    y = np.asarray(labels).astype(bool)
    apart = one.influence - two.influence
    return float(sum(np.sum((apart[side] - apart[side].mean()) ** 2) for side in (y, ~y)))


def two_sided(z: float, freedom: float) -> float:
    """Return P(|T| > z)."""
    if math.isinf(freedom):
        return math.erfc(z / math.sqrt(2))
    low, high = 1e-12, 1 - 1e-12
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_quantile(middle, freedom) < z else (low, middle)
    return 1 - (low + high) / 2
