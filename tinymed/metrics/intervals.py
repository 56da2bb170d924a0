"""Confidence intervals: Wilson for proportions, square-and-add for their means, the bootstrap for the rest.

Every interval is (low, high) at `level`, 0.95 unless told, and nan, nan where the metric itself is undefined.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from .. import random
from .curves import Warn, check_binary, warn_undefined

__all__ = ["auc_interval", "bootstrap_values", "f1_interval", "mean_interval", "percentile_interval", "wilson_interval"]

Interval = tuple[float, float]
Indices = npt.NDArray[np.int64]
Statistic = Callable[[Indices], npt.NDArray[np.float64]]

UNDEFINED: Interval = (math.nan, math.nan)
BLOCK = 1 << 21  # drawn indices held at a time: 16 MiB


def normal_quantile(level: float) -> float:
    """Return z with P(|Z| <= z) = level for a standard normal Z; 1.95996 at 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"confidence level: a number between 0 and 1 such as 0.95, got {level}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Compute Wilson's score interval of a proportion k/n, without continuity correction.

    centre = (p + z^2/2n) / (1 + z^2/n), half width = z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n).

    Args:
        successes: k.
        trials: n.
        level: Confidence level, above 0 and below 1.

    Returns:
        (low, high) in 0 to 1; (nan, nan) for n = 0.

    Raises:
        ValueError: Not 0 <= successes <= trials, or the level is not between 0 and 1.

    Example:
        >>> [round(end, 4) for end in wilson_interval(8, 10)]
        [0.4902, 0.9433]

    Reference:
        Wilson, JASA 22, 1927; Brown, Cai & DasGupta, Statistical Science 16, 2001, for why not p +- z sqrt(pq/n).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"wilson_interval: needs 0 <= successes <= trials, got {successes} of {trials}")
    z2 = normal_quantile(level) ** 2
    if trials == 0:
        return UNDEFINED
    p, scale = successes / trials, 1 + z2 / trials
    centre = (p + z2 / (2 * trials)) / scale
    half = math.sqrt(z2) * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials * trials)) / scale
    low = 0.0 if successes == 0 else max(0.0, centre - half)  # exact at the ends, not 1e-17
    return low, 1.0 if successes == trials else min(1.0, centre + half)


def f1_interval(tp: int, fp: int, fn: int, level: float = 0.95) -> Interval:
    """Compute the interval of F1 = 2 TP / (2 TP + FP + FN), from Wilson's of J = TP / (TP + FP + FN).

    F1 = 2 J / (1 + J) rises with J, and TP is binomial given TP + FP + FN, so the ends map one to one.

    Args:
        tp: True positives.
        fp: False positives.
        fn: False negatives.
        level: Confidence level, above 0 and below 1.

    Returns:
        (low, high) in 0 to 1; (nan, nan) where all counts are 0.

    Raises:
        ValueError: A count is negative, or the level is not between 0 and 1.

    Example:
        >>> [round(end, 3) for end in f1_interval(8, 1, 1)]
        [0.658, 0.971]
    """
    low, high = wilson_interval(tp, tp + fp + fn, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_interval(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Compute the interval of the mean of K independent proportions, such as balanced accuracy, by square-and-add.

    low = m - sqrt(sum (p_k - l_k)^2) / K, high likewise, with Wilson's l_k.

    Args:
        successes: Counts (K,).
        trials: Counts (K,); proportions with 0 trials are left out.
        level: Confidence level, above 0 and below 1.

    Returns:
        (low, high) in 0 to 1; (nan, nan) without any trial.

    Raises:
        ValueError: Not 0 <= successes <= trials, or the level is not between 0 and 1.

    Example:
        >>> [round(end, 3) for end in mean_interval([8, 9], [10, 10])]
        [0.633, 0.933]

    Reference:
        Newcombe, Statistics in Medicine 17, 1998; Zou & Donner, Statistics in Medicine 27, 2008.
    """
    k, n = np.asarray(successes), np.asarray(trials)
    k, n = k[n > 0], n[n > 0]
    if n.size == 0:
        return UNDEFINED
    p = k / n
    ends = np.array([wilson_interval(int(a), int(b), level) for a, b in zip(k, n, strict=True)])
    below, above = (np.sqrt(np.sum((p - ends[:, i]) ** 2)) / n.size for i in (0, 1))
    return float(max(0.0, p.mean() - below)), float(min(1.0, p.mean() + above))


def draw_indices(count: int, first: int, resamples: int, seed: int) -> npt.NDArray[np.uint64]:
    """Return random words, uint64 [resamples, count]: row r is `random.bits(count, seed, BOOTSTRAP, first + r)`.

    All rows come from one call, and a row does not depend on how many are drawn with it.
    """
    blocks = np.arange((count + 3) // 4, dtype=np.uint64)[None, :]
    steps = np.arange(first, first + resamples, dtype=np.uint64)[:, None]
    seed &= 2**64 - 1
    counter = (blocks, steps, np.uint64(0), np.uint64(random.BOOTSTRAP))
    four = random.philox4x32(np, counter, (np.uint64(seed & random.MASK), np.uint64(seed >> 32)))
    words = np.stack(np.broadcast_arrays(*four), axis=-1).reshape(resamples, -1)
    return words[:, :count].astype(np.uint64)


def resample(groups: npt.NDArray[np.int64], resamples: int, seed: int) -> Iterator[Indices]:
    """Yield blocks int64 [r, n] of indices drawn with replacement inside each group, until `resamples` rows are out.

    groups: (n,) integers from 0; a sample is only replaced by one of its own group, so group sizes stay.
    """
    n = groups.size
    order = np.argsort(groups, kind="stable")
    sizes = np.bincount(groups)
    size = np.repeat(sizes, sizes).astype(np.uint64)
    start = np.repeat(np.cumsum(sizes) - sizes, sizes).astype(np.uint64)
    rows = max(1, BLOCK // n)
    for first in range(0, resamples, rows):
        words = draw_indices(n, first, min(rows, resamples - first), seed)
        # floor(word * size / 2^32): uniform to within size / 2^32 (Lemire 2019, without the rejection)
        yield order[(start + ((words * size) >> np.uint64(32))).astype(np.int64)]


def bootstrap_values(
    statistics: Mapping[str, Statistic],
    n: int,
    *,
    groups: npt.ArrayLike | None = None,
    resamples: int = 1000,
    seed: int = 0,
) -> dict[str, npt.NDArray[np.float64]]:
    """Compute several statistics of n samples on the same bootstrap resamples.

    Args:
        statistics: Name -> function of indices int64 [r, n] giving float64 [r], one value per resample.
        n: Number of samples.
        groups: Class numbers (n,) to resample within (stratified), or None for all samples alike.
        resamples: Number of bootstrap resamples.
        seed: The same seed gives the same bits.

    Returns:
        Name -> float64 [resamples].

    Raises:
        ValueError: n or resamples is below 1.

    Example:
        >>> values = np.array([1.0, 2.0, 4.0])
        >>> drawn = bootstrap_values({"mean": lambda rows: values[rows].mean(axis=1)}, 3, resamples=5)
        >>> drawn["mean"].shape
        (5,)

    Reference:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    if n < 1 or resamples < 1:
        raise ValueError(f"bootstrap_values: needs n >= 1 and resamples >= 1, got {n} and {resamples}")
    strata = np.zeros(n, np.int64) if groups is None else np.asarray(groups, np.int64)
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in statistics}
    for block in resample(strata, resamples, seed):
        for name, statistic in statistics.items():
            drawn[name].append(statistic(block))
    return {name: np.concatenate(values) for name, values in drawn.items()}


def percentile_interval(
    name: str, values: npt.NDArray[np.float64], level: float = 0.95, warn: Warn = warn_undefined
) -> Interval:
    """Return the middle `level` of bootstrap values.

    Args:
        name: What the warnings call the statistic.
        values: float64 [resamples]; nan is left out, with a warning.
        level: Confidence level, above 0 and below 1.
        warn: Called with a message where values are left out or all alike; by default it issues
            UndefinedMetricWarning.

    Returns:
        (low, high); (nan, nan) when no value is left.  Where every resample gives one value (an AUC of 1) the
        interval has no width and says nothing: a warning, too.

    Raises:
        ValueError: The level is not between 0 and 1.

    Example:
        >>> [round(end, 3) for end in percentile_interval("mean", np.arange(101.0), 0.9)]
        [5.0, 95.0]
    """
    normal_quantile(level)  # checks the level
    kept = values[np.isfinite(values)]
    if kept.size < values.size:
        warn(f"{name}: undefined in {values.size - kept.size} of {values.size} bootstrap resamples, left out")
    if kept.size == 0:
        return UNDEFINED
    low, high = np.quantile(kept, [(1 - level) / 2, (1 + level) / 2])
    if low == high:
        warn(f"{name}: every bootstrap resample gives {low:.4g}; an interval without width says nothing")
    return float(low), float(high)


def means_of(
    columns: Mapping[str, npt.NDArray[np.float64]], *, seed: int, level: float, resamples: int, warn: Warn
) -> dict[str, tuple[float | None, Interval | None]]:
    """Return {name: (mean, its bootstrap interval)} of columns; those of one length share their resamples.

    The mean of an empty column is None, and so is an interval without resamples.
    """

    def mean_of(column: npt.NDArray[np.float64]) -> Statistic:
        return lambda rows: np.asarray(column[rows].mean(axis=1))

    found: dict[str, tuple[float | None, Interval | None]] = {}
    for size in {column.size for column in columns.values()}:
        same = {name: column for name, column in columns.items() if column.size == size}
        if not size or not resamples:
            found |= {name: (float(column.mean()) if size else None, None) for name, column in same.items()}
            continue
        drawn = bootstrap_values({n: mean_of(c) for n, c in same.items()}, size, resamples=resamples, seed=seed)
        for name, column in same.items():
            found[name] = float(column.mean()), percentile_interval(name, drawn[name], level, warn)
    return found


def resampled_auc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Return the AUC of resamples as a `statistic`: the scores are ranked once, each resample is then only counted.

    AUC = sum over distinct scores of positives x (negatives below + half the negatives equal) / (P N).
    """
    y, s = check_binary("resampled_auc", labels, scores)
    distinct, rank = np.unique(s, return_inverse=True)
    cell = rank + np.where(y, distinct.size, 0)  # negatives first, then positives

    def statistic(indices: Indices) -> npt.NDArray[np.float64]:
        counts = count_cells(cell[indices], 2 * distinct.size)
        negative, positive = counts[:, : distinct.size], counts[:, distinct.size :]
        twice_below = 2 * np.cumsum(negative, axis=1) - negative
        pairs = positive.sum(axis=1) * negative.sum(axis=1)
        undefined = pairs == 0
        area = np.einsum("ru,ru->r", positive, twice_below) / np.where(undefined, 1, 2 * pairs)
        return np.where(undefined, np.nan, area)

    return statistic


def resampled_average_precision(labels: npt.ArrayLike, scores: npt.ArrayLike) -> Statistic:
    """Return the average precision of resamples as a `statistic`; nan for a resample without positives."""
    y, s = check_binary("resampled_average_precision", labels, scores)
    distinct, rank = np.unique(-s, return_inverse=True)  # highest score first
    cell = rank + np.where(y, distinct.size, 0)

    def statistic(indices: Indices) -> npt.NDArray[np.float64]:
        counts = count_cells(cell[indices], 2 * distinct.size)
        negative, positive = counts[:, : distinct.size], counts[:, distinct.size :]
        tp = np.cumsum(positive, axis=1)
        called = np.maximum(tp + np.cumsum(negative, axis=1), 1)  # no 0/0 before the first resampled score
        total = tp[:, -1]
        area = np.einsum("ru,ru->r", positive, tp / called) / np.maximum(total, 1)
        return np.where(total == 0, np.nan, area)

    return statistic


def count_cells(cells: npt.NDArray[np.int64], size: int) -> npt.NDArray[np.int64]:
    """Return how often each of 0 ... size - 1 stands in each row: int64 [r, n] -> int64 [r, size]."""
    rows = cells.shape[0]
    flat = cells + np.arange(rows, dtype=np.int64)[:, None] * size
    return np.bincount(flat.ravel(), minlength=rows * size).reshape(rows, size)


def auc_interval(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    *,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    warn: Warn = warn_undefined,
) -> Interval:
    """Compute the bootstrap interval of the AUC, resampled inside each class.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,), higher for more positive.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples.
        seed: Seed of the bootstrap.
        warn: Called with a message where the metric is undefined; by default it issues UndefinedMetricWarning.

    Returns:
        (low, high) in 0 to 1; (nan, nan) with a warning if a class is absent.

    Raises:
        ValueError: Shapes differ, labels are not 0 or 1, scores are not finite, or the level is not between 0 and 1.

    Example:
        >>> low, high = auc_interval([0, 0, 0, 1, 1, 1], [0.1, 0.3, 0.6, 0.4, 0.8, 0.9], resamples=200)
        >>> 0 <= low < 8 / 9 < high <= 1
        True

    Reference:
        Efron & Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13.
    """
    y, s = check_binary("auc_interval", labels, scores)
    if y.all() or not y.any():
        warn(f"AUC interval needs both classes; {int(y.sum())} of {y.size} samples are positive, set to nan")
        return UNDEFINED
    values = bootstrap_values({"auc": resampled_auc(y, s)}, y.size, groups=y, resamples=resamples, seed=seed)
    return percentile_interval("auc", values["auc"], level, warn)
