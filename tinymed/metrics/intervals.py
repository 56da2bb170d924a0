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

Interval = tuple[float, float]
Indices = npt.NDArray[np.int64]
Statistic = Callable[[Indices], npt.NDArray[np.float64]]

UNDEFINED: Interval = (math.nan, math.nan)
BLOCK = 1 << 21  # drawn indices held at a time: 16 MiB


def normal_quantile(level: float) -> float:
    """z with P(|Z| <= z) = level for a standard normal Z; 1.95996 at 0.95."""
    if not 0 < level < 1:
        raise ValueError(f"confidence level: a number between 0 and 1 such as 0.95, got {level}")
    return NormalDist().inv_cdf(0.5 + level / 2)


def wilson_interval(successes: int, trials: int, level: float = 0.95) -> Interval:
    """Wilson score interval of a proportion k/n, without continuity correction; (nan, nan) for n = 0.

    centre = (p + z^2/2n) / (1 + z^2/n), half width = z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n). Wilson, JASA
    22, 1927; Brown, Cai and DasGupta, Statistical Science 16, 2001 for why not p +- z sqrt(pq/n).
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
    """Return interval of F1 = 2 TP / (2 TP + FP + FN), from Wilson's of the proportion J = TP / (TP + FP + FN).

    F1 = 2 J / (1 + J) rises with J, and TP is binomial given TP + FP + FN, so the ends map one to one.
    """
    low, high = wilson_interval(tp, tp + fp + fn, level)
    return 2 * low / (1 + low), 2 * high / (1 + high)


def mean_interval(successes: npt.ArrayLike, trials: npt.ArrayLike, level: float = 0.95) -> Interval:
    """Return interval of the mean of K independent proportions, such as balanced accuracy.

    Those with n = 0 are left out. low = m - sqrt(sum (p_k - l_k)^2) / K, high likewise, with Wilson's l_k:
    square-and-add, Newcombe, Statistics in Medicine 17, 1998; Zou and Donner 2008.
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
    """Random words, uint64[resamples, count]: row r is `random.bits(count, seed, BOOTSTRAP, first + r)`.

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
    """Return blocks int64[r, n] of indices drawn with replacement inside each group, until `resamples` rows are out.

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
    """Several statistics of n samples on the same resamples: name -> float64[resamples].

    statistics: name -> function of indices int64[r, n] giving float64[r], one value per resample.  groups:
    (n,) class numbers to resample within (stratified), or None for all samples alike.  Efron and Tibshirani
    1993, chapter 13. The same seed gives the same bits.
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
    """Return the middle `level` of bootstrap values; `name` stands in the warnings.

    Resamples where the value is nan are left out, with a warning; (nan, nan) when none is left.  Where every
    resample gives one value (an AUC of 1) the interval has no width and says nothing: a warning, too.
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
    """Return how often each of 0 ... size - 1 stands in each row: int64[r, n] -> int64[r, size]."""
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
    """Bootstrap interval of the AUC, resampled inside each class; nan with a warning if one is absent."""
    y, s = check_binary("auc_interval", labels, scores)
    if y.all() or not y.any():
        warn(f"AUC interval needs both classes; {int(y.sum())} of {y.size} samples are positive, set to nan")
        return UNDEFINED
    values = bootstrap_values({"auc": resampled_auc(y, s)}, y.size, groups=y, resamples=resamples, seed=seed)
    return percentile_interval("auc", values["auc"], level, warn)
