"""How close a restored picture is to the clean one: PSNR and SSIM, with intervals, and the gain over a floor.

    psnr    10 log10(data_range^2 / mean squared error), in dB
    ssim    structural similarity under a Gaussian window of 1.5 pixels (Wang, Bovik, Sheikh & Simoncelli 2004)

A set's figures are means over pictures with the interval of the bootstrap over pictures; a gain is the mean of the
differences picture by picture, with its paired interval.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .classification import to_json
from .intervals import means_of

__all__ = ["evaluate_restoration", "psnr", "ssim"]

SIGMA, RADIUS = 1.5, 5  # of the window, in pixels: 11 x 11
K1, K2 = 0.01, 0.03
MEASURES = ("psnr", "ssim")


def pair(name: str, clean: npt.ArrayLike, restored: npt.ArrayLike, data_range: float) -> tuple[Any, Any]:
    """Return both as float64.  Raises ValueError for shapes that differ, or a range that is not positive."""
    x, y = np.asarray(clean, np.float64), np.asarray(restored, np.float64)
    if x.shape != y.shape or not x.size:
        raise ValueError(f"{name}: needs two pictures of one shape, got {x.shape} and {y.shape}")
    if not 0 < data_range < math.inf:
        raise ValueError(f"{name}: data_range is the distance from black to white, above 0; got {data_range}")
    return x, y


def psnr(clean: npt.ArrayLike, restored: npt.ArrayLike, data_range: float) -> float:
    """Compute the peak signal-to-noise ratio of a picture, in decibels.

    As `skimage.metrics.peak_signal_noise_ratio`.

    Args:
        clean: The picture as it should be.
        restored: The picture to judge, of the same shape.
        data_range: Distance from black to white: 1 of pictures in 0...1, 255 of 8 bits.

    Returns:
        10 log10(data_range^2 / mean squared error); infinity for equal pictures.

    Raises:
        ValueError: The shapes differ, or data_range is not positive.

    Example:
        >>> round(psnr([[0.0, 1.0]], [[0.1, 0.9]], data_range=1), 6)
        20.0
    """
    x, y = pair("psnr", clean, restored, data_range)
    error = float(np.mean((x - y) ** 2))
    return math.inf if error == 0 else 10 * math.log10(data_range**2 / error)


def ssim(clean: npt.ArrayLike, restored: npt.ArrayLike, data_range: float) -> float:
    """Compute the structural similarity of a picture: 1 for equal ones.

    As `skimage.metrics.structural_similarity(gaussian_weights=True, sigma=1.5, use_sample_covariance=False)`: the mean
    over the pixels whose window lies in the picture, and over the channels.

    Args:
        clean: The picture as it should be, [height, width] or [height, width, channels].
        restored: The picture to judge, of the same shape.
        data_range: Distance from black to white: 1 of pictures in 0...1, 255 of 8 bits.

    Returns:
        A number from -1 to 1.

    Raises:
        ValueError: The shapes differ or are no picture's, a side is below 11 pixels, or data_range is not positive.

    Example:
        >>> picture = np.arange(144.0).reshape(12, 12)
        >>> ssim(picture, picture, data_range=143)
        1.0

    Reference:
        Wang, Bovik, Sheikh & Simoncelli, IEEE Transactions on Image Processing 13(4), 2004.
    """
    x, y = pair("ssim", clean, restored, data_range)
    if x.ndim not in (2, 3) or min(x.shape[:2]) < 2 * RADIUS + 1:
        raise ValueError(
            f"ssim: needs [height, width] or [height, width, channels] with sides of at least {2 * RADIUS + 1} pixels, "
            f"got {x.shape}"
        )
    mean_x, mean_y = blurred(x), blurred(y)
    variance_x, variance_y = blurred(x * x) - mean_x**2, blurred(y * y) - mean_y**2
    covariance = blurred(x * y) - mean_x * mean_y
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    likeness = (2 * mean_x * mean_y + c1) * (2 * covariance + c2)
    return float(np.mean(likeness / ((mean_x**2 + mean_y**2 + c1) * (variance_x + variance_y + c2))))


def blurred(image: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the Gaussian mean about each pixel whose window lies in the picture."""
    weights = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        size = image.shape[axis] - 2 * RADIUS
        image = sum(w * np.take(image, range(i, i + size), axis) for i, w in enumerate(weights.tolist()))
    return image


def evaluate_restoration(
    restored: Mapping[str, Sequence[float]],
    floors: Mapping[str, Mapping[str, Sequence[float]]],
    seed: int = 0,
    *,
    level: float = 0.95,
    resamples: int = 1000,
) -> dict[str, Any]:
    """Compute means over pictures with intervals, and the gains over floors, ready for JSON.

    Args:
        restored: {"psnr": of each picture, "ssim": of each picture}; finite, or infinite for a picture that is equal.
        floors: Name -> the same of what a trivial method gives, picture by picture.
        seed: Seed of the bootstrap.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples; 0 leaves the intervals out (None).

    Returns:
        A dictionary: n, level; psnr and ssim with `<name>_interval`; "floors": of each its psnr and ssim, and
        `<name>_gain` with `<name>_gain_interval`; "warnings".  Pictures of infinite PSNR are left out, with a warning.

    Raises:
        ValueError: The numbers of pictures differ, or the level is not between 0 and 1.

    Example:
        >>> found = {"psnr": [30.0, 31.0, 29.0], "ssim": [0.9, 0.92, 0.88]}
        >>> noisy = {"psnr": [20.0, 22.0, 20.0], "ssim": [0.5, 0.52, 0.48]}
        >>> result = evaluate_restoration(found, {"noisy": noisy})
        >>> result["psnr"], round(result["floors"]["noisy"]["psnr_gain"], 4)
        (30.0, 9.3333)
    """
    columns = {"": restored, **floors}
    values = {(name, m): np.asarray(column[m], np.float64) for name, column in columns.items() for m in MEASURES}
    n = values["", "psnr"].size
    if any(v.shape != (n,) for v in values.values()) or not n:
        raise ValueError(f"evaluate_restoration: as many figures of each kind as pictures, got {n} and others")
    notes: list[str] = []
    kept = np.logical_and.reduce([np.isfinite(v) for v in values.values()])
    if not kept.all():
        notes.append(f"{int((~kept).sum())} of {n} pictures equal the clean one: their PSNR is infinite, left out")
    values = {key: v[kept] for key, v in values.items()}
    result: dict[str, Any] = {"n": n, "level": level}
    statistics: dict[str, np.ndarray] = {m: values["", m] for m in MEASURES}
    for name in floors:
        statistics |= {f"{name} {m}_gain": values["", m] - values[name, m] for m in MEASURES}
    summary = means_of(statistics, seed=seed, level=level, resamples=resamples, warn=notes.append)
    result |= {m: summary[m][0] for m in MEASURES} | {f"{m}_interval": summary[m][1] for m in MEASURES}
    result["floors"] = {}
    for name in floors:
        row: dict[str, Any] = {m: float(values[name, m].mean()) if kept.any() else None for m in MEASURES}
        for m in MEASURES:
            row[f"{m}_gain"], row[f"{m}_gain_interval"] = summary[f"{name} {m}_gain"]
            if resamples and row[f"{m}_gain_interval"] is not None and not row[f"{m}_gain_interval"][0] > 0:
                notes.append(f"{m}: not above the floor {name!r}: the interval of the gain holds 0 or less")
        result["floors"][name] = row
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}
