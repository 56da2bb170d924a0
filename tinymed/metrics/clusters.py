"""Intervals that respect groups: images of one patient are alike, so they tell less than as many patients would.

Each measure is written as its value and what every image adds to it (its influence); the influences of a group are
summed, and the groups are what is counted on.  Without groups every image is a group of its own.  How often these
intervals hold the truth is simulated in `benchmarks/interval_coverage.py` and listed in docs/measures.md; where they
are known to fail, `warn` is called.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from .curves import Float, Warn, warn_undefined
from .intervals import UNDEFINED, Interval, normal_quantile

__all__ = [
    "Estimate",
    "difference_interval",
    "group_numbers",
    "mean_interval_by_groups",
    "proportion_interval",
    "student_quantile",
]

FEW_GROUPS = 30  # below, the variance between groups is poorly known
FEW_IMAGES = 100
FEW_INFORMATIVE = 10  # groups that hold both a right and a wrong answer's kind
PRIOR_CORRELATION = 0.5  # of the images of a group, while too few groups tell it


class Estimate(NamedTuple):
    """A measure of a set and what each group adds to it.

    Attributes:
        value: The measure.
        influence: float64 (groups,), summing to about 0.
        exact: The influences are those of a measure at its end (an AUC of 1), where they tell nothing.
        grouped: The influences are of groups, not of single images.

    Example:
        >>> Estimate(0.5, np.array([-0.1, 0.1])).variance > 0
        True
    """

    value: float
    influence: Float
    exact: bool = False
    grouped: bool = False

    @property
    def variance(self) -> float:
        """Return the variance of the value, from the groups alone."""
        count = self.influence.size
        return float(count / max(count - 1, 1) * np.sum(self.influence**2))

    @property
    def freedom(self) -> float:
        """Return the degrees of freedom of the variance: groups - 1, fewer where a few groups make most of it."""
        count, squares = self.influence.size, self.influence**2
        tails = count * np.sum(squares**2) / max(float(np.sum(squares)) ** 2, 1e-300) if self.grouped else 3.0
        return float(max(count - 1, 1) * min(1.0, 3 / max(tails, 1e-300)))


@lru_cache(maxsize=1024)
def student_quantile(level: float, freedom: float) -> float:
    """Return t with P(|T| <= t) = level for Student's T.

    As `scipy.stats.t.ppf(0.5 + level / 2, freedom)`.

    Args:
        level: Above 0 and below 1.
        freedom: Degrees of freedom, at least 1; inf gives the normal quantile.

    Returns:
        The quantile.

    Example:
        >>> round(student_quantile(0.95, 9), 4), round(student_quantile(0.95, float("inf")), 4)
        (2.2622, 1.96)
    """
    z = normal_quantile(level)
    if not freedom >= 1:
        raise ValueError(f"student_quantile: degrees of freedom are at least 1, got {freedom}")
    if freedom > 300:  # Cornish and Fisher's expansion: right to 1e-8 there
        terms = (z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
        return z + sum(term / freedom ** (i + 1) for i, term in enumerate(terms))
    nodes, weights = legendre()
    scale = 2 * math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    angle = math.atan(z / math.sqrt(freedom))  # T = sqrt(freedom) tan(angle)
    for _ in range(30):  # Newton's steps: P(|angle| <= a) rises ever more slowly with a, so that none goes too far
        inside = scale * angle / 2 * float(np.sum(weights * np.cos(angle * (nodes + 1) / 2) ** (freedom - 1)))
        step = (level - inside) / (scale * math.cos(angle) ** (freedom - 1))
        angle += step
        if abs(step) < 1e-14:
            break
    return math.sqrt(freedom) * math.tan(angle)


@lru_cache(maxsize=1)
def legendre() -> tuple[Float, Float]:
    """Return nodes and weights of Gauss and Legendre's rule on -1 to 1."""
    nodes, weights = np.polynomial.legendre.leggauss(96)
    return nodes, weights


def group_numbers(groups: npt.ArrayLike | None, n: int) -> npt.NDArray[np.int64]:
    """Return the group of each image as a number from 0; without groups each image is one.

    Args:
        groups: Names or numbers (n,), or None.
        n: Number of images.

    Returns:
        int64 (n,).

    Raises:
        ValueError: There are not as many groups as images.

    Example:
        >>> group_numbers(["b", "a", "b"], 3)
        array([1, 0, 1])
    """
    if groups is None:
        return np.arange(n)
    named = np.asarray(groups)
    if named.shape != (n,):
        raise ValueError(f"groups: one for each of {n} images, got shape {named.shape}")
    return np.unique(named, return_inverse=True)[1].reshape(-1).astype(np.int64)


def summed(values: Float, numbers: npt.NDArray[np.int64]) -> Float:
    """Return the sum of the values of each group."""
    totals: Float = np.bincount(numbers, weights=values).astype(np.float64)
    return totals


def mean_estimate(values: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Estimate:
    """Return the mean of values (n,) with what each group adds to it."""
    v = np.asarray(values, np.float64)
    return Estimate(float(v.mean()), summed((v - v.mean()) / v.size, group_numbers(groups, v.size)))


# ------------------------------------------------------------------------------------------- a share of images


def proportion_interval(
    right: npt.ArrayLike, groups: npt.ArrayLike | None = None, level: float = 0.95, warn: Warn = warn_undefined
) -> Interval:
    """Compute the interval of a share of images, such as accuracy, where images come in groups.

    Wilson's score interval with n / d for n and Student's quantile for the normal one, with fewer degrees of freedom
    than groups where a few of these make most of the variance.  d, the design
    effect, is how much the groups' sums vary beyond those of independent images, at least 1.  Where only k groups hold
    the rarer answer they hardly tell it: it is then mixed with that of a correlation of 1/2, whose weight falls with k
    (as 1 / (k + 1)^2 from 30 groups on, more slowly with fewer).

    Args:
        right: Booleans (n,).
        groups: Group of each image (n,), or None: then it is Wilson's interval.
        level: Confidence level, above 0 and below 1.
        warn: Called with a message where the interval is known to be rough.

    Returns:
        (low, high); (nan, nan) without images.

    Example:
        >>> low, high = proportion_interval([1, 1, 1, 0, 1, 0], ["p", "p", "p", "q", "q", "q"], warn=print)
        2 groups in 6 images: with fewer than 30 groups or 100 images an interval is rough (see docs/measures.md)
        1 of 2 groups holds the rarer answer: too few to tell how alike a group is; the interval is wide on purpose
        >>> 0 <= low < 4 / 6 < high <= 1
        True

    Reference:
        Wilson, JASA 22, 1927; Korn & Graubard, Survey Methodology 24, 1998, for the design effect.
    """
    v = np.asarray(right, np.float64)
    if v.size == 0:
        normal_quantile(level)
        return UNDEFINED
    numbers = group_numbers(groups, v.size)
    count = int(numbers.max()) + 1
    p = float(v.mean())
    warn_few(count, v.size, warn)
    if count == v.size:
        return score_interval(p, v.size, normal_quantile(level))
    if count == 1:
        return 0.0, 1.0
    rare = int(min(np.count_nonzero(summed(v, numbers)), np.count_nonzero(summed(1 - v, numbers))))
    if rare < FEW_INFORMATIVE:
        held = "holds" if rare == 1 else "hold"
        warn(
            f"{rare} of {count} groups {held} the rarer answer: too few to tell how alike a group is; "
            "the interval is wide on purpose"
        )
    sizes = np.bincount(numbers)
    size = float(np.sum(sizes.astype(np.float64) ** 2) / v.size)  # of the group of a typical image
    spread = p * (1 - p) / v.size
    estimate = mean_estimate(v, numbers)._replace(grouped=True)
    seen = max(estimate.variance / spread, 1.0) if spread else 1.0
    assumed = 1 + (size - 1) * PRIOR_CORRELATION
    doubt = (rare + 1.0) ** -(1 + min(count / FEW_GROUPS, 1.0))
    effect = (1 - doubt) * seen + doubt * assumed
    freedom = estimate.freedom if spread else count - 1.0
    return score_interval(p, v.size / effect, student_quantile(level, max(freedom, 1.0)))


def score_interval(p: float, n: float, z: float) -> Interval:
    """Return Wilson's interval of a share p of n images, where n need not be whole."""
    scale = 1 + z * z / n
    centre, half = (p + z * z / (2 * n)) / scale, z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return (0.0 if p == 0 else max(0.0, centre - half)), (1.0 if p == 1 else min(1.0, centre + half))


def warn_few(groups: int, images: int, warn: Warn) -> None:
    """Warn where simulated coverage is not near its level: few groups, or few images."""
    if groups < FEW_GROUPS or images < FEW_IMAGES:
        what = f"{groups} groups in {images} images" if groups < images else f"{images} images"
        warn(
            f"{what}: with fewer than {FEW_GROUPS} groups or {FEW_IMAGES} images an interval is rough "
            "(see docs/measures.md)"
        )


# ------------------------------------------------------------------------------------------- a mean over cases


def mean_interval_by_groups(
    values: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    warn: Warn = warn_undefined,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Compute the interval of the mean of a measure of each case, such as Dice, where cases come in groups.

    Student's t on the sums of groups, with Hall's cubic transformation against their skewness: Dice near 1 has a long
    lower tail, which a symmetric interval misses.

    Args:
        values: Numbers (n,).
        groups: Group of each case (n,), or None.
        level: Confidence level, above 0 and below 1.
        warn: Called with a message where the interval is known to be rough.
        bounds: The least and largest possible mean.

    Returns:
        (low, high); (nan, nan) with fewer than two groups.

    Example:
        >>> low, high = mean_interval_by_groups(np.linspace(0.8, 1.0, 101), bounds=(0, 1))
        >>> round(low, 3), round(high, 3)
        (0.888, 0.912)

    Reference:
        Hall, Journal of the Royal Statistical Society B 54, 1992.
    """
    estimate = mean_estimate(values, groups)
    count = estimate.influence.size
    warn_few(count, np.size(values), warn)
    if count < 2:
        warn("an interval of a mean needs two groups or more")
        return UNDEFINED
    deviation, t = math.sqrt(estimate.variance), student_quantile(level, count - 1)
    if deviation <= 1e-12 * max(abs(estimate.value), 1.0):
        warn(f"every group gives {estimate.value:.4g}; an interval without width says nothing")
        return estimate.value, estimate.value
    low, high = unskewed_ends(estimate, t)
    return max(low, bounds[0]), min(high, bounds[1])


def unskewed_ends(estimate: Estimate, t: float) -> Interval:
    """Return Student's interval, transformed as Hall does against the skewness of the influences."""
    deviation, count = math.sqrt(estimate.variance), estimate.influence.size
    skewness = float(np.mean(estimate.influence**3) / np.mean(estimate.influence**2) ** 1.5) / math.sqrt(count)
    return estimate.value - deviation * unskewed(t, skewness), estimate.value - deviation * unskewed(-t, skewness)


def unskewed(x: float, skewness: float) -> float:
    """Return the inverse of Hall's g(T) = T + s T^2/3 + s^2 T^3/27 + s/6 at x; s: skewness / sqrt(groups)."""
    if abs(skewness) < 1e-9:
        return x
    return float(3 / skewness * (np.cbrt(1 + skewness * (x - skewness / 6)) - 1))


# ------------------------------------------------------------------------------------------- differences


def difference_interval(one: Estimate, other: Estimate, level: float = 0.95, floor: float = 0.0) -> Interval:
    """Compute the interval of the difference of two measures of the same images: Student's t on the groups' sums.

    Args:
        one: The first measure.
        other: The second, with the same groups.
        level: Confidence level, above 0 and below 1.
        floor: Added to the variance; 1 / n^2 of shares of n images, half a disagreement either way, so that two methods
            that never disagree keep an interval.

    Returns:
        (low, high) of one - other.

    Raises:
        ValueError: The groups differ in number.

    Example:
        >>> one, other = mean_estimate([1, 1, 0, 1]), mean_estimate([1, 0, 0, 1])
        >>> low, high = difference_interval(one, other, floor=1 / 16)
        >>> low < 0.25 < high
        True

    Reference:
        Bonett & Price, Biometrical Journal 54, 2012, for what is added.
    """
    if one.influence.shape != other.influence.shape:
        raise ValueError(f"difference_interval: {one.influence.size} and {other.influence.size} groups")
    apart = Estimate(one.value - other.value, one.influence - other.influence)
    t = student_quantile(level, max(apart.influence.size - 1, 1))
    half = t * math.sqrt(apart.variance + floor)
    return apart.value - half, apart.value + half


def resample_groups(groups: npt.ArrayLike | None, n: int, resamples: int, seed: int) -> Sequence[Float]:
    """Return weights float64 [r, n], in blocks: how often each image is drawn when whole groups are drawn.

    Args:
        groups: Group of each image (n,), or None.
        n: Number of images.
        resamples: Number of resamples.
        seed: The same seed gives the same bits.
    """
    from .intervals import count_cells, resample

    numbers = group_numbers(groups, n)
    count = int(numbers.max()) + 1
    return [
        count_cells(rows, count).astype(np.float64)[:, numbers]
        for rows in resample(np.zeros(count, np.int64), resamples, seed)
    ]
