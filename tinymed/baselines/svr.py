"""Support vector regression of the class number, for grades that have an order (Gao, Lin & Wong, 2015)."""

import numpy as np

from ..errors import UserError
from .library import library
from .registry import Baseline, check_rows, register


@register("svr", "Drucker et al. 1997; Gao, Lin & Wong 2015", {"C": (1.0, 0.03, 0.1, 0.3, 3.0, 10.0)}, library=True)
class SVR(Baseline):
    """Predict a number with a Gaussian kernel, and take the nearest class.

    Args:
        C: Weight of the errors.
        epsilon: Error that costs nothing, in classes.
        gamma: Inverse width, in units of 1 / (columns * variance of the rows).

    Raises:
        UserError: An argument is out of range, or scikit-learn is not installed.

    Example:
        >>> x = np.arange(6.0)[:, None]
        >>> model = SVR(C=100).fit(x, np.array([0, 0, 1, 1, 2, 2]), 3)
        >>> model.scores(np.array([[5.0]])).argmax()
        np.int64(2)

    Reference:
        Drucker et al., "Support vector regression machines", NIPS 1997.
        Gao, Lin & Wong, "Automatic feature learning to grade nuclear cataracts based on deep learning", 2015.
    """

    def __init__(self, C: float = 1.0, epsilon: float = 0.1, gamma: float = 1.0):
        if not 0 < C < np.inf or epsilon < 0 or not 0 < gamma < np.inf:
            raise UserError(f"svr: C and gamma are positive, epsilon is at least 0; got {C}, {gamma} and {epsilon}")
        self.C, self.epsilon, self.gamma = C, epsilon, gamma

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "SVR":
        """Fit the regression to the class numbers."""
        machines = library("svm", "svr")
        x, y = check_rows("svr", features, labels, classes)
        self.classes = classes
        width = self.gamma / (x.shape[1] * float(x.var()) or 1.0)
        self.machine = machines.SVR(C=self.C, epsilon=self.epsilon, gamma=width, cache_size=500).fit(x, y)
        return self

    def values(self, features: np.ndarray) -> np.ndarray:
        """Return the predicted numbers, float64 [n]."""
        predicted: np.ndarray = self.machine.predict(np.asarray(features, np.float64))
        return predicted

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return minus the distance from the predicted number to each class's."""
        distances: np.ndarray = np.abs(self.values(features)[:, None] - np.arange(self.classes))
        return -distances
