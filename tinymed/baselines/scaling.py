"""Bringing rows to one scale, by what the training rows say and nothing else."""

import numpy as np


class Columns:
    """Bring each column to mean 0 and deviation 1; a column that does not vary becomes 0.

    Args:
        features: Training rows [n, d].

    Example:
        >>> Columns(np.array([[1.0, 5.0], [3.0, 5.0]])).apply(np.array([[3.0, 6.0]]))
        array([[1., 0.]])
    """

    def __init__(self, features: np.ndarray):
        x = np.asarray(features, np.float64)
        self.mean, deviation = x.mean(axis=0), x.std(axis=0)
        varies = deviation > 1e-12 * np.maximum(1, np.abs(self.mean))
        self.factor = np.divide(1, deviation, out=np.zeros_like(deviation), where=varies)

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return rows on the new scale, float64 of the same shape."""
        scaled: np.ndarray = (np.asarray(features, np.float64) - self.mean) * self.factor
        return scaled


class Overall:
    """Bring all columns together to mean 0 and a mean squared deviation of 1, so that they keep their proportions.

    This is for rows of unit length: columns that vary little stay small.

    Args:
        features: Training rows [n, d].

    Example:
        >>> Overall(np.array([[0.0, 0.0], [2.0, 0.0]])).apply(np.array([[2.0, 0.0]])).round(3)
        array([[1.414, 0.   ]])
    """

    def __init__(self, features: np.ndarray):
        x = np.asarray(features, np.float64)
        self.mean = x.mean(axis=0)
        deviation = float(np.sqrt(np.mean((x - self.mean) ** 2)))
        self.factor = 1 / deviation if deviation > 0 else 0.0

    def apply(self, features: np.ndarray) -> np.ndarray:
        """Return rows on the new scale, float64 of the same shape."""
        scaled: np.ndarray = (np.asarray(features, np.float64) - self.mean) * self.factor
        return scaled
