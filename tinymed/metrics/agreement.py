"""How far predicted numbers agree with true ones: errors, correlation, agreement, limits, each with its interval.

    mae, rmse, median_error    sizes of the errors, in the unit of the numbers
    r2                         1 - squared errors / those of predicting the mean of the measured set
    pearson                    linear correlation: blind to a bias and to a scale
    ccc                        Lin's concordance: pearson, less what bias and scale cost (Biometrics 45, 1989)
    icc                        ICC(2,1), absolute agreement of single measurements (Shrout & Fleiss 1979)
    bias, limits               Bland & Altman (Lancet 1986): mean difference, and bias -+ 1.96 standard deviations

Intervals are of the bootstrap over images, but for those of bias and limits, which are Student's t, and for shares of
images within a tolerance, which are Wilson's.  `evaluate_values` is the one call.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .classification import to_json
from .curves import Float, Warn
from .intervals import (
    Statistic,
    bootstrap_values,
    normal_quantile,
    percentile_interval,
    wilson_interval,
)

__all__ = [
    "bland_altman",
    "concordance",
    "evaluate_values",
    "intraclass_correlation",
    "mean_absolute_error",
    "pearson",
    "r2",
    "root_mean_squared_error",
    "within",
]

Measure = Callable[[Float, Float], Float]  # (truth, predicted) [..., n] -> [...]
TOLERANCES = (0.5, 1.0)  # of Gao, Lin & Wong 2015, for grades


def check_values(name: str, truth: npt.ArrayLike, predicted: npt.ArrayLike) -> tuple[Float, Float]:
    """Return both as float64 of one shape (..., n), n >= 1, all finite; raise ValueError otherwise."""
    t, p = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    if t.shape != p.shape or t.ndim < 1 or t.shape[-1] < 1:
        raise ValueError(f"{name}: needs truth and predicted of one shape (n,) with n >= 1, got {t.shape}, {p.shape}")
    for what, values in (("truth", t), ("predicted", p)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name}: {int((~np.isfinite(values)).sum())} of {what} are not finite")
    return t, p


def divided(numerator: Float, denominator: Float) -> Float:
    """Return the quotient, nan for 0/0 and x/0."""
    undefined = denominator == 0
    result: Float = np.where(undefined, np.nan, numerator / np.where(undefined, 1.0, denominator))
    return result


def mean_absolute_error(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute the mean of |predicted - truth| over the last axis.

    As `sklearn.metrics.mean_absolute_error`.

    Args:
        truth: Numbers (..., n).
        predicted: Numbers (..., n).

    Returns:
        float64 (...).

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> float(mean_absolute_error([1.0, 2.0], [1.5, 2.5]))
        0.5
    """
    t, p = check_values("mean_absolute_error", truth, predicted)
    return np.mean(np.abs(p - t), axis=-1)


def root_mean_squared_error(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute the root of the mean of (predicted - truth)^2 over the last axis.

    Args:
        truth: Numbers (..., n).
        predicted: Numbers (..., n).

    Returns:
        float64 (...).

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> float(root_mean_squared_error([0.0, 0.0], [3.0, -3.0]))
        3.0
    """
    t, p = check_values("root_mean_squared_error", truth, predicted)
    return np.sqrt(np.mean((p - t) ** 2, axis=-1))


def r2(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute 1 - sum (predicted - truth)^2 / sum (truth - its mean)^2 over the last axis.

    As `sklearn.metrics.r2_score`, which answers 0 or 1 for constant truth.

    Args:
        truth: Numbers (..., n).
        predicted: Numbers (..., n).

    Returns:
        float64 (...), at most 1, negative where the mean of the truth is nearer; nan for constant truth.

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> float(r2([1.0, 2.0, 3.0], [1.0, 2.0, 4.0]))
        0.5
    """
    t, p = check_values("r2", truth, predicted)
    spread = np.sum((t - t.mean(axis=-1, keepdims=True)) ** 2, axis=-1)
    return 1 - divided(np.sum((p - t) ** 2, axis=-1), spread)


def moments(t: Float, p: Float) -> tuple[Float, Float, Float, Float]:
    """Return (variance of t, of p, their covariance, the difference of their means), by n, over the last axis."""
    dt, dp = t - t.mean(axis=-1, keepdims=True), p - p.mean(axis=-1, keepdims=True)
    shift = p.mean(axis=-1) - t.mean(axis=-1)
    return np.mean(dt * dt, axis=-1), np.mean(dp * dp, axis=-1), np.mean(dt * dp, axis=-1), shift


def pearson(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute Pearson's correlation over the last axis.

    As `scipy.stats.pearsonr`.

    Args:
        truth: Numbers (..., n).
        predicted: Numbers (..., n).

    Returns:
        float64 (...) from -1 to 1; nan where either is constant.

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> round(float(pearson([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])), 9)
        1.0
    """
    vt, vp, both, _ = moments(*check_values("pearson", truth, predicted))
    return divided(both, np.sqrt(vt * vp))


def concordance(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute Lin's concordance correlation coefficient: 2 cov / (var + var + (difference of the means)^2).

    Args:
        truth: Numbers (..., n).
        predicted: Numbers (..., n).

    Returns:
        float64 (...) from -1 to 1, at most |pearson|; nan where both are one and the same constant.

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> round(float(concordance([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])), 3)
        0.571

    Reference:
        Lin, Biometrics 45, 1989.
    """
    vt, vp, both, shift = moments(*check_values("concordance", truth, predicted))
    return divided(2 * both, vt + vp + shift * shift)


def intraclass_correlation(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> Any:
    """Compute ICC(2,1) of the two columns: two-way random effects, absolute agreement, single measurements.

    (MS_images - MS_error) / (MS_images + MS_error + 2 (MS_columns - MS_error) / n)

    Args:
        truth: Numbers (..., n), n >= 2.
        predicted: Numbers (..., n).

    Returns:
        float64 (...), at most 1; nan where it is 0/0 and with fewer than two images.

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> round(float(intraclass_correlation([1.0, 2.0, 3.0], [2.0, 3.0, 4.0])), 3)
        0.667

    Reference:
        Shrout & Fleiss, Psychological Bulletin 86, 1979, case 2.
    """
    t, p = check_values("intraclass_correlation", truth, predicted)
    n = t.shape[-1]
    if n < 2:
        return np.full(t.shape[:-1], np.nan)
    rows = (t + p) / 2
    whole = rows.mean(axis=-1, keepdims=True)
    columns = np.stack([t.mean(axis=-1), p.mean(axis=-1)], axis=-1)
    images = 2 * np.sum((rows - whole) ** 2, axis=-1) / (n - 1)
    between = n * np.sum((columns - whole) ** 2, axis=-1)
    total = np.sum((t - whole) ** 2, axis=-1) + np.sum((p - whole) ** 2, axis=-1)
    error = np.maximum(total - images * (n - 1) - between, 0) / (n - 1)
    return divided(images - error, images + error + 2 * (between - error) / n)


def within(truth: npt.ArrayLike, predicted: npt.ArrayLike, tolerance: float) -> npt.NDArray[np.bool_]:
    """Say of which images the error is at most a tolerance.

    Args:
        truth: Numbers (n,).
        predicted: Numbers (n,).
        tolerance: In the unit of the numbers; rounding by 1e-9 of it does not count.

    Returns:
        bool (n,).

    Raises:
        ValueError: Shapes differ, or a number is not finite.

    Example:
        >>> within([1.0, 2.0], [1.5, 3.0], 0.5)
        array([ True, False])
    """
    t, p = check_values("within", truth, predicted)
    inside: npt.NDArray[np.bool_] = np.abs(p - t) <= tolerance * (1 + 1e-9)
    return inside


def bland_altman(truth: npt.ArrayLike, predicted: npt.ArrayLike, level: float = 0.95) -> dict[str, Any]:
    """Compute the bias and the limits of agreement of predicted - truth, with their intervals.

    The limits are bias -+ 1.96 s, whatever the level of the intervals: between them lie 95 % of differences that are
    normal.  The standard error of the bias is s / sqrt(n), of a limit s sqrt(1 / n + 1.96^2 / (2 (n - 1))).

    Args:
        truth: Numbers (n,).
        predicted: Numbers (n,).
        level: Confidence level of the intervals, above 0 and below 1.

    Returns:
        bias, sd, limits (low, high), and bias_interval, lower_limit_interval, upper_limit_interval; nan with fewer
        than two images.

    Raises:
        ValueError: Shapes differ, a number is not finite, or the level is not between 0 and 1.

    Example:
        >>> found = bland_altman([1.0, 2.0, 3.0], [2.0, 2.0, 5.0])
        >>> found["bias"], [round(limit, 2) for limit in found["limits"]]
        (1.0, [-0.96, 2.96])

    Reference:
        Bland & Altman, Lancet 327, 1986; Statistical Methods in Medical Research 8, 1999, for the standard errors.
    """
    t, p = check_values("bland_altman", truth, predicted)
    difference, n = p - t, t.size
    z = normal_quantile(0.95)
    bias = float(difference.mean())
    sd = float(difference.std(ddof=1)) if n > 1 else math.nan
    quantile = student_quantile(level, n - 1) if n > 1 else math.nan
    of_bias = quantile * sd / math.sqrt(n)
    of_limit = quantile * sd * math.sqrt(1 / n + z * z / (2 * (n - 1))) if n > 1 else math.nan
    low, high = bias - z * sd, bias + z * sd
    return {
        "bias": bias,
        "bias_interval": (bias - of_bias, bias + of_bias),
        "sd": sd,
        "limits": (low, high),
        "lower_limit_interval": (low - of_limit, low + of_limit),
        "upper_limit_interval": (high - of_limit, high + of_limit),
    }


def student_quantile(level: float, freedom: int) -> float:
    """Return t with P(|T| <= t) = level for Student's T, by bisection of its distribution.

    P(|T| <= t) = 1 - I_x(freedom / 2, 1 / 2) at x = freedom / (freedom + t^2), and the regularised incomplete beta
    function at b = 1/2 is a finite sum for every whole number of degrees of freedom (Abramowitz & Stegun 26.7.3-4).
    """
    low, high = 0.0, 2.0
    normal_quantile(level)  # checks the level
    while student_inside(high, freedom) < level:
        high *= 2
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if student_inside(middle, freedom) < level else (low, middle)
    return (low + high) / 2


def student_inside(t: float, freedom: int) -> float:
    """Return P(|T| <= t) of Student's T with a whole number of degrees of freedom."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term, total = (cosine if odd else 1.0), 0.0
    for k in range(1, 2 * (freedom // 2), 2):
        total += term
        step = (k + 1) / (k + 2) if odd else k / (k + 1)
        term *= step * cosine * cosine
    if odd:
        return 2 / math.pi * (angle + sine * total)
    return sine * total


MEASURES: dict[str, Measure] = {
    "mae": mean_absolute_error,
    "rmse": root_mean_squared_error,
    "median_error": lambda t, p: np.asarray(np.median(np.abs(p - t), axis=-1)),
    "r2": r2,
    "pearson": pearson,
    "ccc": concordance,
    "icc": intraclass_correlation,
}


def evaluate_values(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    seed: int = 0,
    *,
    floors: Mapping[str, float] | None = None,
    tolerances: Sequence[float] = TOLERANCES,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute every measure of predicted numbers over a whole set, ready for JSON.

    Args:
        predicted: Numbers (n,), in the unit of the truth.
        truth: Numbers (n,).
        seed: Seed of the bootstrap.
        floors: Name -> the one number that a trivial method always predicts, such as the training set's median.
        tolerances: Errors that count as near enough, in the unit.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves those intervals out (None).

    Returns:
        A dictionary of numbers, lists and None (undefined): each of MEASURES and `<name>_interval`; bias, sd, limits;
        "within": {tolerance: share, with its interval} and "exact" of the rounded numbers; "floors": of each its
        value, mae, rmse, and gain, the floor's mae less that of the predictions, with the interval of the paired
        bootstrap; "warnings".

    Raises:
        UserError: A prediction is not finite.
        ValueError: Shapes do not fit, or the level is not between 0 and 1.

    Example:
        >>> result = evaluate_values([1.0, 2.0, 3.5], [1.0, 2.5, 3.0], floors={"median": 2.5}, resamples=0)
        >>> round(result["mae"], 4), result["within"]["0.5"]["share"], round(result["floors"]["median"]["gain"], 4)
        (0.3333, 1.0, 0.3333)
    """
    p = np.asarray(predicted, np.float64)
    if p.size and not np.isfinite(p).all():
        raise UserError(
            f"{int((~np.isfinite(p)).sum())} of {p.size} predictions are nan or infinite: the training has diverged "
            "(try a lower learning rate) or the weights are damaged"
        )
    t, p = check_values("evaluate_values", truth, p)
    notes: list[str] = []
    result: dict[str, Any] = {"n": int(t.size), "level": level}
    for name, measure in MEASURES.items():
        result[name], result[f"{name}_interval"] = float(measure(t, p)), None
        if math.isnan(result[name]):
            notes.append(f"{name} is 0/0: there are too few images, or the numbers do not vary")
    result |= bland_altman(t, p, level)
    result["exact"] = share(np.rint(p) == np.rint(t), level)
    result["within"] = {f"{tolerance:g}": share(within(t, p, tolerance), level) for tolerance in tolerances}
    result["floors"] = {
        name: {
            "value": value,
            "mae": float(mean_absolute_error(t, np.full_like(t, value))),
            "rmse": float(root_mean_squared_error(t, np.full_like(t, value))),
            "gain": float(np.mean(np.abs(t - value) - np.abs(t - p))),
            "gain_interval": None,
        }
        for name, value in (floors or {}).items()
    }
    if resamples > 0:
        add_intervals(result, t, p, seed, resamples, notes.append)
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def share(right: npt.NDArray[np.bool_], level: float) -> dict[str, Any]:
    """Return the share of images that are right, with Wilson's interval."""
    return {"share": float(right.mean()), "interval": wilson_interval(int(right.sum()), right.size, level)}


def add_intervals(result: dict[str, Any], t: Float, p: Float, seed: int, resamples: int, warn: Warn) -> None:
    """Fill in the bootstrap's intervals, all from one set of resamples."""

    def of(measure: Measure) -> Statistic:
        return lambda rows: measure(t[rows], p[rows])

    def gain(value: float) -> Statistic:
        better = np.abs(t - value) - np.abs(t - p)
        return lambda rows: np.asarray(better[rows].mean(axis=1))

    statistics = {name: of(measure) for name, measure in MEASURES.items() if not math.isnan(result[name])}
    gains = {f"floor {name}": gain(floor["value"]) for name, floor in result["floors"].items()}
    drawn = bootstrap_values(statistics | gains, t.size, resamples=resamples, seed=seed)
    for name in statistics:
        result[f"{name}_interval"] = percentile_interval(name, drawn[name], result["level"], warn)
    for name, floor in result["floors"].items():
        floor["gain_interval"] = percentile_interval(f"gain over {name}", drawn[f"floor {name}"], result["level"], warn)
        if not floor["gain_interval"][0] > 0:
            warn(f"the mean error is not below that of the floor {name!r}: the interval of the gain holds 0 or less")
