"""Calibration: whether what is called 80 % likely is there in 80 of 100 images, and how to make it so.

Everything here is of one yes-or-no question (probability, answer), but for the temperature, which is of all classes.
"""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .curves import Float, check_binary

__all__ = [
    "Bin",
    "apply_temperature",
    "brier_decomposition",
    "calibration_error",
    "describe_calibration",
    "fit_temperature",
    "reliability_bins",
]

BINS = 10
LEAST = 1e-12  # probability that stands for 0, whose logarithm is not finite


class Bin(NamedTuple):
    """Images whose probabilities are near each other.

    Attributes:
        low: Least probability in it.
        high: Largest.
        images: Their number.
        predicted: Their mean probability.
        observed: The share that are positive.

    Example:
        >>> Bin(0.0, 0.5, 4, 0.25, 0.5).observed
        0.5
    """

    low: float
    high: float
    images: int
    predicted: float
    observed: float


def check_probabilities(name: str, labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Any, Float]:
    """Return labels as bool, probabilities as float64; raise ValueError for values outside 0 to 1."""
    y, p = check_binary(name, labels, probabilities)
    if p.min() < 0 or p.max() > 1:
        raise ValueError(f"{name}: probabilities lie in 0 to 1, got {p.min():g} to {p.max():g}")
    return y, p


def reliability_bins(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS, equal: str = "width"
) -> list[Bin]:
    """Sort images into bins of their probability.

    As `sklearn.calibration.calibration_curve`, strategy "uniform" (equal="width") or "quantile" (equal="mass").

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        probabilities: Numbers (n,) in 0 to 1.
        bins: Their number.
        equal: "width": of equal width; "mass": of as many images, but equal probabilities stay together.

    Returns:
        The bins that hold an image, lowest first.

    Raises:
        ValueError: Shapes or values do not fit, or equal is neither.

    Example:
        >>> [b.images for b in reliability_bins([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], bins=2)]
        [2, 2]
    """
    y, p = check_probabilities("reliability_bins", labels, probabilities)
    if equal not in ("width", "mass") or bins < 1:
        raise ValueError(f"reliability_bins: equal is width or mass and bins at least 1, got {equal!r} and {bins}")
    edges = np.linspace(0, 1, bins + 1) if equal == "width" else np.quantile(p, np.linspace(0, 1, bins + 1))
    place = np.searchsorted(edges[1:-1], p)
    return [
        Bin(float(p[i].min()), float(p[i].max()), int(i.sum()), float(p[i].mean()), float(y[i].mean()))
        for i in (place == number for number in range(bins))
        if i.any()
    ]


def calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS, equal: str = "width"
) -> float:
    """Compute the expected calibration error: the mean over images of |observed - predicted| of their bin.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        probabilities: Numbers (n,) in 0 to 1.
        bins: Number of bins.
        equal: See `reliability_bins`.

    Returns:
        0 is perfect.  It falls and rises with the number of bins, which has to be told with it.

    Example:
        >>> round(calibration_error([0, 0, 1, 1], [0.1, 0.2, 0.7, 0.9], bins=2), 4)
        0.175

    Reference:
        Naeini, Cooper & Hauskrecht, AAAI 2015; Nixon et al., CVPR workshops 2019, for bins of equal mass.
    """
    found = reliability_bins(labels, probabilities, bins, equal)
    total = sum(b.images for b in found)
    return sum(b.images * abs(b.observed - b.predicted) for b in found) / total


def brier_decomposition(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> dict[str, float]:
    """Divide the Brier score of a yes-or-no question into what it comes from.

    brier = reliability - resolution + uncertainty + within: with bins of equal width, `within` is what probabilities
    vary inside a bin, less what they say by it.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        probabilities: Numbers (n,) in 0 to 1.
        bins: Number of bins.

    Returns:
        {"brier", "reliability" (0 is perfect), "resolution" (large is good), "uncertainty" (of the set), "within"}.

    Example:
        >>> parts = brier_decomposition([0, 0, 1, 1], [0.2, 0.2, 0.8, 0.8])
        >>> {name: abs(round(part, 4)) for name, part in parts.items()}
        {'brier': 0.04, 'reliability': 0.04, 'resolution': 0.25, 'uncertainty': 0.25, 'within': 0.0}

    Reference:
        Murphy, Journal of Applied Meteorology 12, 1973; Stephenson, Coelho & Jolliffe, Weather and Forecasting 23,
        2008.
    """
    y, p = check_probabilities("brier_decomposition", labels, probabilities)
    found, n, base = reliability_bins(y, p, bins), y.size, float(y.mean())
    reliability = sum(b.images * (b.predicted - b.observed) ** 2 for b in found) / n
    resolution = sum(b.images * (b.observed - base) ** 2 for b in found) / n
    brier, uncertainty = float(np.mean((p - y) ** 2)), base * (1 - base)
    within = brier - (reliability - resolution + uncertainty)
    parts = {"brier": brier, "reliability": reliability, "resolution": resolution}
    return parts | {"uncertainty": uncertainty, "within": within}


def describe_calibration(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = BINS) -> dict[str, Any]:
    """Return everything here of one question, ready for JSON.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        probabilities: Numbers (n,) in 0 to 1.
        bins: Number of bins.

    Returns:
        {"bins", "ece" (equal width), "ece_mass" (as many images), "brier": `brier_decomposition`, "reliability": bins}.

    Example:
        >>> describe_calibration([0, 1], [0.0, 1.0])["ece"]
        0.0
    """
    found = reliability_bins(labels, probabilities, bins)
    return {
        "bins": bins,
        "ece": calibration_error(labels, probabilities, bins),
        "ece_mass": calibration_error(labels, probabilities, bins, "mass"),
        "brier": brier_decomposition(labels, probabilities, bins),
        "reliability": [b._asdict() for b in found],
    }


# ------------------------------------------------------------------------------------------------- temperature


def apply_temperature(probabilities: npt.ArrayLike, temperature: float) -> Float:
    """Return probabilities whose logarithms are divided by a temperature: above 1 they come nearer to each other.

    Of a softmax it is the softmax of the outputs over the temperature.  The order of classes stays.

    Args:
        probabilities: Numbers (n, classes), rows summing to 1.
        temperature: Above 0; 1 changes nothing.

    Returns:
        float64 (n, classes), rows summing to 1.

    Example:
        >>> apply_temperature([[0.8, 0.2]], 2.0).round(4)
        array([[0.6667, 0.3333]])
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"apply_temperature: a temperature is positive, got {temperature}")
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), LEAST)) / temperature
    scaled = np.exp(logs - logs.max(axis=1, keepdims=True))
    result: Float = scaled / scaled.sum(axis=1, keepdims=True)
    return result


def fit_temperature(probabilities: npt.ArrayLike, labels: npt.ArrayLike) -> float:
    """Find the temperature at which the labels are most likely.

    The negative log-likelihood is convex in 1 / temperature; its slope is bisected.

    Args:
        probabilities: Numbers (n, classes), rows summing to 1, of images that the network did not learn from.
        labels: Class numbers (n,).

    Returns:
        The temperature, from 0.01 to 100.

    Raises:
        UserError: No finite temperature is best: every image is right, or the network knows less than nothing.

    Example:
        >>> p = [[0.9, 0.1]] * 10
        >>> round(fit_temperature(p, [0] * 7 + [1] * 3), 4)  # 0.9 becomes 0.7
        2.5932

    Reference:
        Guo, Pleiss, Sun & Weinberger, ICML 2017.
    """
    logs = np.log(np.maximum(np.asarray(probabilities, np.float64), LEAST))
    truth = logs[np.arange(len(logs)), np.asarray(labels)]

    def slope(inverse: float) -> float:
        weights = np.exp(inverse * (logs - logs.max(axis=1, keepdims=True)))
        expected = (weights * logs).sum(axis=1) / weights.sum(axis=1)
        return float(np.mean(expected - truth))

    low, high = math.log(0.01), math.log(100.0)
    if slope(math.exp(low)) >= 0 or slope(math.exp(high)) <= 0:
        why = "every image is right" if slope(math.exp(high)) <= 0 else "its probabilities say nothing of the classes"
        raise UserError(f"no temperature can be fitted to {len(logs)} images: {why}; use more validation images")
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp(-(low + high) / 2)
