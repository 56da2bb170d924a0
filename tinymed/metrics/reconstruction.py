"""How near reconstructed images are to their originals: mean squared error and peak signal-to-noise ratio.

    mse     mean over pixels of (original - reconstructed)^2, of images from 0 to 1
    psnr    10 log10(1 / mse) in decibels; 6 dB halve the error

Both are means over images.  Intervals are of the bootstrap over images, or over groups of them (patients, files that
patches were cut from), which depend on each other.  `evaluate_reconstruction` is the one call.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .classification import to_json
from .curves import Float
from .intervals import Statistic, bootstrap_values, percentile_interval

__all__ = ["evaluate_reconstruction", "mean_squared_errors", "peak_signal_to_noise"]

LEAST = 1e-10  # squared error that counts as none: 100 dB


def mean_squared_errors(truth: npt.ArrayLike, found: npt.ArrayLike) -> Float:
    """Compute the mean squared error of each image.

    Args:
        truth: Images (n, ...), from 0 to 1.
        found: Images of the same shape.

    Returns:
        float64 (n,).

    Raises:
        ValueError: Shapes differ.

    Example:
        >>> mean_squared_errors(np.zeros((2, 1, 2, 2)), np.full((2, 1, 2, 2), 0.5)).tolist()
        [0.25, 0.25]
    """
    t, f = np.asarray(truth, np.float64), np.asarray(found, np.float64)
    if t.shape != f.shape or not t.ndim:
        raise ValueError(f"mean_squared_errors: needs images of one shape, got {t.shape} and {f.shape}")
    errors: Float = ((t - f) ** 2).reshape(len(t), -1).mean(axis=1)
    return errors


def peak_signal_to_noise(errors: npt.ArrayLike) -> Float:
    """Compute the peak signal-to-noise ratio of images from 0 to 1, at most 100 dB.

    As `skimage.metrics.peak_signal_noise_ratio` with data_range 1.

    Args:
        errors: Mean squared errors (n,).

    Returns:
        Decibels, float64 (n,).

    Example:
        >>> peak_signal_to_noise([0.01, 0.0]).tolist()
        [20.0, 100.0]
    """
    found: Float = -10 * np.log10(np.maximum(np.asarray(errors, np.float64), LEAST))
    return found


def evaluate_reconstruction(
    errors: npt.ArrayLike,
    floors: Mapping[str, npt.ArrayLike] | None = None,
    groups: npt.ArrayLike | None = None,
    seed: int = 0,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute the measures of reconstructed images over a whole set, ready for JSON.

    Args:
        errors: Mean squared error of each image (n,).
        floors: Name -> the errors of a trivial method on the same images.
        groups: What images depend on each other, such as their patients, (n,); None: each stands alone.
        seed: Seed of the bootstrap.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves the intervals out (None).

    Returns:
        A dictionary: n, groups, level, mse, psnr, each with `<name>_interval`; "floors": of each its mse and psnr, and
        gain, the decibels that the network is better, with the interval of the paired bootstrap; "warnings".

    Raises:
        UserError: An error is not finite.

    Example:
        >>> result = evaluate_reconstruction([0.01, 0.01], {"mean image": [0.1, 0.1]}, resamples=0)
        >>> result["psnr"], result["floors"]["mean image"]["gain"]
        (20.0, 10.0)
    """
    e = np.asarray(errors, np.float64)
    if not np.isfinite(e).all() or not e.size:
        raise UserError(
            f"{int((~np.isfinite(e)).sum())} of {e.size} reconstructions are not finite: the training has diverged "
            "(try a lower learning rate) or the weights are damaged"
        )
    units = np.arange(e.size) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1].ravel()
    notes: list[str] = []
    psnr = peak_signal_to_noise(e)
    series = {"mse": e, "psnr": psnr}
    result: dict[str, Any] = {"n": int(e.size), "groups": int(units.max()) + 1, "level": level, "floors": {}}
    for name, values in (floors or {}).items():
        f = np.asarray(values, np.float64)
        gain = psnr - peak_signal_to_noise(f)
        series[f"floor {name}"] = gain
        result["floors"][name] = {
            "mse": float(f.mean()),
            "psnr": float(peak_signal_to_noise(f).mean()),
            "gain": float(gain.mean()),
            "gain_interval": None,
        }
    for name in ("mse", "psnr"):
        result[name], result[f"{name}_interval"] = float(series[name].mean()), None
    if resamples:
        intervals = group_intervals(series, units, seed, level, resamples, notes)
        for name in ("mse", "psnr"):
            result[f"{name}_interval"] = intervals[name]
        for name, floor in result["floors"].items():
            floor["gain_interval"] = intervals[f"floor {name}"]
            if not floor["gain_interval"][0] > 0:
                notes.append(f"not above the floor {name!r}: the interval of the gain holds 0 or less")
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def group_intervals(
    series: Mapping[str, Float], units: npt.NDArray[np.int64], seed: int, level: float, resamples: int, notes: list[str]
) -> dict[str, tuple[float, float]]:
    """Return the interval of the mean of each series over images, from resamples of whole groups of them."""
    sizes = np.bincount(units).astype(np.float64)

    def mean_of(values: Float) -> Statistic:
        sums = np.bincount(units, values)
        return lambda rows: np.asarray(sums[rows].sum(axis=1) / sizes[rows].sum(axis=1))

    statistics = {name: mean_of(values) for name, values in series.items()}
    drawn = bootstrap_values(statistics, len(sizes), resamples=resamples, seed=seed)
    return {name: percentile_interval(name, values, level, notes.append) for name, values in drawn.items()}
