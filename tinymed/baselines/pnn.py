"""The probabilistic neural network: a Gaussian bump on each training row, summed by class (Specht, 1990).

    pattern layer     k_i(x) = exp(-||x - x_i||^2 / (2 sigma^2))     one unit for each training row
    summation layer   f_c(x) = mean of k_i over the rows of class c
    output            arg max of  prior_c * loss_c * f_c(x)

f_c is Parzen's estimate of the class's density; the factor (2 pi sigma^2)^(-d/2) is the same for all classes and left
out.  Far from every row all f_c underflow, so logarithms are summed.
"""

from collections.abc import Sequence

import numpy as np

from ..errors import UserError
from .registry import Baseline, check_rows, register

BLOCK = 1 << 22  # distances held at a time: 32 MiB


@register("pnn", "Specht 1990", {"factor": (1.0, 0.7, 0.5, 0.35, 0.25, 1.4, 2.0)})
class PNN(Baseline):
    """Bayes's rule on Parzen densities.

    Args:
        sigma: Width of the bumps, in the unit of the rows; None takes `factor` of the mean distance from a row to the
            nearest other row of its class.
        factor: See sigma.
        priors: Probability of each class before the row is seen; None takes the frequencies of training.
        losses: Cost of missing each class, by which its density is weighted; None takes 1 for all.

    Raises:
        UserError: A width, prior or loss is not positive, or there is not one for each class.

    Example:
        >>> model = PNN(sigma=1.0).fit(np.array([[0.0], [4.0]]), np.array([0, 1]), 2)
        >>> model.scores(np.array([[0.0], [2.0]])).round(4).tolist()
        [[0.9997, 0.0003], [0.5, 0.5]]

    Reference:
        Specht, "Probabilistic neural networks", Neural Networks 3, 1990.
        Specht, "Enhancements to probabilistic neural networks", IJCNN 1992, for widths from nearest neighbours.
    """

    def __init__(
        self,
        sigma: float | None = None,
        factor: float = 1.0,
        priors: Sequence[float] | None = None,
        losses: Sequence[float] | None = None,
    ):
        if not (sigma is None or 0 < sigma < np.inf) or not 0 < factor < np.inf:
            raise UserError(f"pnn: sigma and factor are positive, got {sigma} and {factor}")
        self.sigma, self.factor, self.priors, self.losses = sigma, factor, priors, losses

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "PNN":
        """Keep the training rows, and find the width."""
        self.rows, self.labels = check_rows("pnn", features, labels, classes)
        counts = np.bincount(self.labels, minlength=classes)
        priors = weights("priors", self.priors, counts / counts.sum())
        losses = weights("losses", self.losses, np.ones(classes))
        self.bias = np.log(priors) + np.log(losses) - np.log(counts)
        self.width = self.sigma or self.factor * neighbour_distance(self.rows, self.labels)
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return prior * loss * density of each class, divided by their sum: with losses 1 the posteriors."""
        x = np.asarray(features, np.float64)
        result = np.empty((len(x), len(self.bias)))
        step = max(1, BLOCK // len(self.rows))
        for start in range(0, len(x), step):
            exponents = squared_distances(x[start : start + step], self.rows) / (-2 * self.width**2)
            for c in range(len(self.bias)):
                result[start : start + step, c] = log_sum(exponents[:, self.labels == c]) + self.bias[c]
        likelihood = np.exp(result - result.max(axis=1, keepdims=True))
        posteriors: np.ndarray = likelihood / likelihood.sum(axis=1, keepdims=True)
        return posteriors


def weights(name: str, given: Sequence[float] | None, default: np.ndarray) -> np.ndarray:
    """Return one positive weight for each class.  Raises UserError."""
    values = default if given is None else np.asarray(given, np.float64)
    if values.shape != default.shape or not (np.isfinite(values) & (values > 0)).all():
        raise UserError(f"pnn: {name} are {len(default)} positive numbers, one for each class, got {given}")
    return values


def squared_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ||a_i - b_j||^2, float64 [n, m], by one product; rounding below 0 is cut off.

    The common centre is taken off first, since the product loses digits where rows lie far from 0.
    """
    centre = b.mean(axis=0)
    a, b = a - centre, b - centre
    lengths = np.einsum("ij,ij->i", a, a)[:, None] + np.einsum("ij,ij->i", b, b)[None]
    distances: np.ndarray = np.maximum(lengths - 2 * (a @ b.T), 0)
    return distances


def log_sum(exponents: np.ndarray) -> np.ndarray:
    """Return log sum exp along the last axis, which does not underflow."""
    top = exponents.max(axis=1)
    total: np.ndarray = top + np.log(np.exp(exponents - top[:, None]).sum(axis=1))
    return total


def neighbour_distance(rows: np.ndarray, labels: np.ndarray) -> float:
    """Return the mean distance from a row to the nearest other row of its class; 1 where every class is one point."""
    nearest = []
    for c in np.unique(labels):
        own = rows[labels == c]
        step = max(1, BLOCK // len(own))
        for start in range(0, len(own), step):
            distances = squared_distances(own[start : start + step], own)
            distances[np.arange(len(distances)), start + np.arange(len(distances))] = np.inf
            nearest.append(distances.min(axis=1))
    found = np.sqrt(np.concatenate(nearest))
    found = found[np.isfinite(found)]
    return float(found.mean()) or 1.0 if found.size else 1.0
