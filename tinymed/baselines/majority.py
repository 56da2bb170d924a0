"""The floor: the classes' frequencies in training, whatever the row."""

import numpy as np

from .registry import Baseline, check_rows, register


@register("majority", "the frequencies of the classes in training")
class Majority(Baseline):
    """Score each class by its share of the training rows.

    Example:
        >>> Majority().fit(np.zeros((4, 1)), np.array([0, 0, 0, 1]), 2).scores(np.zeros((1, 1)))
        array([[0.75, 0.25]])
    """

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "Majority":
        """Count the classes."""
        _, y = check_rows("majority", features, labels, classes)
        self.shares = np.bincount(y, minlength=classes) / len(y)
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the shares, once for each row."""
        return np.tile(self.shares, (len(features), 1))
