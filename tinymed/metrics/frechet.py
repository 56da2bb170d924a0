"""The Frechet distance between two sets of rows, each taken for a normal distribution: how far pictures are from real.

    d^2 = |m1 - m2|^2 + tr(S1 + S2 - 2 (S1^1/2 S2 S1^1/2)^1/2)

m are means and S covariances of features of the pictures.  It falls with the number of rows, so that only sets of the
same size are compared with one reference.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .curves import Float
from .intervals import Statistic, bootstrap_values, percentile_interval

__all__ = ["Gaussian", "compare_samplers", "frechet_distance"]


class Gaussian:
    """The mean and covariance of rows of features, and the root of the covariance.

    Args:
        rows: Features (n, d), n >= 2.

    Attributes:
        mean: (d,).
        covariance: (d, d), divided by n - 1.

    Raises:
        UserError: There are fewer than two rows, or a number is not finite.

    Example:
        >>> Gaussian([[0.0], [2.0]]).covariance.tolist()
        [[2.0]]
    """

    def __init__(self, rows: npt.ArrayLike):
        x = np.asarray(rows, np.float64)
        if x.ndim != 2 or len(x) < 2:
            raise UserError(f"Frechet distance: needs at least two rows of features, got an array {x.shape}")
        if not np.isfinite(x).all():
            raise UserError(
                "Frechet distance: a feature is not finite: the training has diverged, or weights are damaged"
            )
        self.mean: Float = x.mean(axis=0)
        self.covariance: Float = np.atleast_2d(np.cov(x, rowvar=False))

    def root(self) -> Float:
        """Return the symmetric square root of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        found: Float = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return found


def frechet_distance(one: npt.ArrayLike, other: npt.ArrayLike) -> float:
    """Compute the squared Frechet distance between the normal distributions of two sets of rows.

    Args:
        one: Features (n, d).
        other: Features (m, d).

    Returns:
        d^2 as in the module's formula, in squared units of the features; 0 for the same mean and covariance.

    Raises:
        UserError: A set has fewer than two rows, or a number is not finite.
        ValueError: The columns differ.

    Example:
        >>> round(frechet_distance([[0.0], [2.0]], [[3.0], [5.0]]), 9)
        9.0

    Reference:
        Dowson & Landau, Journal of Multivariate Analysis 12, 1982; of features: Heusel et al., NeurIPS 2017.
    """
    a, b = Gaussian(one), Gaussian(other)
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"frechet_distance: {a.mean.size} and {b.mean.size} columns; features must be the same")
    return between(a, a.root(), b)


def between(reference: Gaussian, root: Float, other: Gaussian) -> float:
    """Return the squared distance; root: that of the reference's covariance, which many comparisons share."""
    inner = np.linalg.eigvalsh(root @ other.covariance @ root)
    shift = float(((reference.mean - other.mean) ** 2).sum())
    spread = float(
        np.trace(reference.covariance) + np.trace(other.covariance) - 2 * np.sqrt(np.maximum(inner, 0)).sum()
    )
    return max(shift + spread, 0.0)


def compare_samplers(
    reference: npt.ArrayLike,
    generated: npt.ArrayLike,
    others: Mapping[str, npt.ArrayLike],
    seed: int = 0,
    *,
    level: float = 0.95,
    resamples: int = 200,
) -> dict[str, Any]:
    """Compare what a generator draws with what others draw, each by its distance to the same reference.

    Args:
        reference: Features of real pictures (m, d).
        generated: Features of generated pictures (n, d).
        others: Name -> features of the same number of pictures from elsewhere: a trivial sampler, real ones held out.
        seed: Seed of the bootstrap.
        level: Confidence level, above 0 and below 1.
        resamples: Number of bootstrap resamples of the n pictures; 0 leaves the intervals out (None).

    Returns:
        A dictionary: n, level, frechet with frechet_interval; "others": of each its frechet, and gain, by how much
        the generator's is smaller, with gain_interval; "warnings".

    Raises:
        UserError: As `frechet_distance`, or the numbers of pictures differ.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(50, 2))
        >>> result = compare_samplers(rows, rows, {"shifted": rows + 1}, resamples=0)
        >>> round(result["frechet"], 6), round(result["others"]["shifted"]["gain"], 6)
        (0.0, 2.0)
    """
    sets: dict[str, Float] = {"": np.asarray(generated, np.float64)}
    sets |= {name: np.asarray(rows, np.float64) for name, rows in others.items()}
    count = len(sets[""])
    if any(len(rows) != count for rows in sets.values()):
        sizes = ", ".join(f"{name or 'generated'} {len(rows)}" for name, rows in sets.items())
        raise UserError(f"Frechet distance: it falls with the number of pictures, so give as many of each; got {sizes}")
    ideal = Gaussian(reference)
    root = ideal.root()
    found = {name: between(ideal, root, Gaussian(rows)) for name, rows in sets.items()}
    notes: list[str] = []
    result: dict[str, Any] = {"n": count, "level": level, "frechet": found[""], "frechet_interval": None}
    result["others"] = {
        name: {"frechet": found[name], "gain": found[name] - found[""], "gain_interval": None} for name in others
    }
    if resamples:
        drawn = bootstrap_values(
            {name: resampled(ideal, root, rows) for name, rows in sets.items()}, count, resamples=resamples, seed=seed
        )
        result["frechet_interval"] = percentile_interval("frechet", drawn[""], level, notes.append)
        for name, other in result["others"].items():
            other["gain_interval"] = percentile_interval(name, drawn[name] - drawn[""], level, notes.append)
    return result | {"warnings": list(dict.fromkeys(notes))}


def resampled(ideal: Gaussian, root: Float, rows: Float) -> Statistic:
    """Return the distance of resamples of a set, as the bootstrap asks for it."""
    return lambda chosen: np.array([between(ideal, root, Gaussian(rows[picked])) for picked in chosen])
