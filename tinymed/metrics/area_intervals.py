"""Intervals of the area under the ROC curve and of the difference of two, where images come in groups.

DeLong's placements of the images are summed over groups, as Obuchowski does, without bias in each class.  Ends are
taken on the logit scale; the end that is nearer to 1/2 reaches at least as far as Hall's against skewness: an area near
1 varies little where it is too large, and a symmetric interval then misses.
"""

import math

import numpy as np
import numpy.typing as npt

from .clusters import FEW_GROUPS, Estimate, group_numbers, student_quantile, summed, unskewed_ends, warn_few
from .curves import Float, Warn, check_binary, warn_undefined
from .intervals import UNDEFINED, Interval, normal_quantile

__all__ = ["auc_difference_interval", "auc_ends", "auc_estimate", "auc_interval_by_groups"]


def auc_estimate(labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike | None = None) -> Estimate:
    """Return the AUC with what each group adds to it: DeLong's placements, summed over groups as Obuchowski does.

    What a group adds to a class of which it has the share h counts 1 / sqrt(1 - h): where all groups are alike, the
    variance of each class is then unbiased, as DeLong's is.

    Args:
        labels: Integers or booleans (n,), 1 for positive; both occur.
        scores: Numbers (n,), higher for more positive.
        groups: Group of each image (n,), or None.

    Returns:
        The AUC and the influences (groups,).  Without groups its variance is DeLong's.

    Raises:
        ValueError: Shapes differ, labels are not 0 or 1, or a class is absent.

    Example:
        >>> round(auc_estimate([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).value, 4)
        0.75

    Reference:
        DeLong, DeLong & Clarke-Pearson, Biometrics 44, 1988; Obuchowski, Biometrics 53, 1997.
    """
    y, s = check_binary("auc_estimate", labels, scores)
    positives, negatives = int(y.sum()), int((~y).sum())
    if not positives or not negatives:
        raise ValueError(f"auc_estimate: needs both classes, {positives} of {y.size} images are positive")
    placement = np.empty(y.size)
    placement[y] = below(s[y], s[~y]) / negatives
    placement[~y] = 1 - below(s[~y], s[y]) / positives
    value = float(placement[y].mean())
    share = np.where(y, 1 / positives, 1 / negatives)
    numbers = group_numbers(groups, y.size)
    if groups is None:
        inflated = np.where(y, inflation(positives), inflation(negatives))
        influence = summed((placement - value) * share * inflated, numbers)
    else:
        sides = [
            unbiased(summed((placement - value) * share * side, numbers), summed(share * side, numbers))
            for side in (y, ~y)
        ]
        influence = (sides[0] + sides[1]) / inflation(sides[0].size)
    return Estimate(value, influence, value in (0.0, 1.0), influence.size < y.size)


def unbiased(added: Float, share: Float) -> Float:
    """Return what each group adds to a mean over the root of 1 - its share; a group that is all of it adds nothing."""
    scaled: Float = added / np.sqrt(np.where(share < 1, 1 - share, 1))
    return scaled


def inflation(count: int) -> float:
    """Return what makes a sum of squares over `count` images DeLong's unbiased variance of them."""
    return math.sqrt(count / max(count - 1, 1))


def below(scores: Float, others: Float) -> Float:
    """Return how many of the others each score is above, equal ones counting half."""
    ranked = np.sort(others)
    count: Float = (np.searchsorted(ranked, scores, "left") + np.searchsorted(ranked, scores, "right")) / 2
    return count


def auc_interval_by_groups(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    warn: Warn = warn_undefined,
) -> Interval:
    """Compute the interval of the AUC on the logit scale, from DeLong's variance or, with groups, Obuchowski's.

    Student's quantile has fewer degrees of freedom where a few groups make most of the variance.  The end nearer to 1/2
    is Hall's against skewness where that is further.  An AUC of 1 has no variance to see; its lower end is then where
    Hanley and McNeil's variance would just allow it.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        groups: Group of each image (n,), or None.
        level: Confidence level, above 0 and below 1.
        warn: Called with a message where the interval is known to be rough.

    Returns:
        (low, high) in 0 to 1; (nan, nan) if a class is absent.

    Example:
        >>> low, high = auc_interval_by_groups([0] * 50 + [1] * 50, np.arange(100) % 70)
        >>> round(low, 3), round(high, 3)
        (0.458, 0.693)

    Reference:
        Pepe, The Statistical Evaluation of Medical Tests, 2003, section 5.2.4; Hanley & McNeil, Radiology 143, 1982.
    """
    y, s = check_binary("auc_interval_by_groups", labels, scores)
    if y.all() or not y.any():
        warn(f"AUC interval needs both classes; {int(y.sum())} of {y.size} images are positive, set to nan")
        return UNDEFINED
    numbers = None if groups is None else group_numbers(groups, y.size)
    warn_few(y.size if numbers is None else int(numbers.max()) + 1, y.size, warn)
    units = [y.sum(), (~y).sum()] if numbers is None else [np.unique(numbers[y == side]).size for side in (True, False)]
    if numbers is not None and min(units) < FEW_GROUPS / 2:
        warn(f"a class is found in {min(units)} groups only: the AUC's interval is rough")
    return auc_ends(auc_estimate(y, s, numbers), int(min(units)), level)


def auc_ends(estimate: Estimate, units: int, level: float) -> Interval:
    """Return the interval of an AUC; units: images, or groups, of the class that has fewer."""
    low, high = logit_ends(estimate, units, level, estimate.freedom)
    if estimate.exact or estimate.variance == 0:
        return low, high
    leaning = unskewed_ends(estimate, student_quantile(level, max(estimate.influence.size - 1, 1)))
    if estimate.value >= 0.5:
        return max(min(low, leaning[0]), 0.0), high
    return low, min(max(high, leaning[1]), 1.0)


def logit_ends(estimate: Estimate, units: int, level: float, freedom: float) -> Interval:
    """Return Student's interval of an AUC on the logit scale; of 0 and 1 Hanley and McNeil's.

    Scores that are all the same have an AUC of 1/2 whatever the images: it is both ends.
    """
    value = estimate.value
    if estimate.exact:
        end = hanley_end(units, normal_quantile(level))
        return (1 - end, 1.0) if value >= 0.5 else (0.0, end)
    if estimate.variance == 0:
        return value, value
    half = student_quantile(level, max(freedom, 1.0)) * math.sqrt(estimate.variance) / (value * (1 - value))
    centre = math.log(value / (1 - value))
    return 1 / (1 + math.exp(min(half - centre, 700))), 1 / (1 + math.exp(max(-centre - half, -700)))


def hanley_end(units: int, z: float) -> float:
    """Return how far from 1 an AUC may lie that gives 1 in `units` positives and as many negatives."""
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        area = 1 - middle
        pairs = (1 + (units - 1) * ((1 - area) / (2 - area) + area / (1 + area))) / units**2
        low, high = (middle, high) if middle < z * math.sqrt(area * middle * pairs) else (low, middle)
    return high


def auc_difference_interval(one: Estimate, other: Estimate, units: int, level: float = 0.95) -> Interval:
    """Compute the interval of the difference of two AUCs of the same images from the intervals of both.

    The distances from each AUC to its own ends on the logit scale are combined by Pythagoras, less what the correlation
    of the two explains, so that the interval leans where those of the AUCs lean.  The degrees of freedom are those of
    the difference.

    Args:
        one: The first, see `auc_estimate`.
        other: The second, of the same images and groups.
        units: Images, or groups, of the class that has fewer.
        level: Confidence level, above 0 and below 1.

    Returns:
        (low, high) of one - other.

    Example:
        >>> labels = [0, 0, 0, 1, 1, 1]
        >>> one, other = auc_estimate(labels, [1, 2, 4, 3, 5, 6]), auc_estimate(labels, [1, 4, 5, 2, 3, 6])
        >>> low, high = auc_difference_interval(one, other, 3)
        >>> low < one.value - other.value < high
        True

    Reference:
        Zou, Psychological Methods 12, 2007.
    """
    apart = Estimate(0.0, one.influence - other.influence, grouped=one.grouped)
    ends = [logit_ends(each, units, level, apart.freedom) for each in (one, other)]
    return combined(one.value, ends[0], other.value, ends[1], alike(one, other))


def combined(one: float, ends: Interval, other: float, others: Interval, correlation: float) -> Interval:
    """Return the interval of one - other from those of both and their correlation."""

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(a * a + b * b - 2 * correlation * a * b, 0.0))

    apart = one - other
    return apart - reach(one - ends[0], others[1] - other), apart + reach(ends[1] - one, other - others[0])


def alike(one: Estimate, other: Estimate) -> float:
    """Return the correlation of two measures over the groups; 0 where one of them does not vary."""
    scale = math.sqrt(float(np.sum(one.influence**2) * np.sum(other.influence**2)))
    return float(np.sum(one.influence * other.influence)) / scale if scale > 0 else 0.0
