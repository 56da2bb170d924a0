"""Support vector machines: linear in the primal, and with a Gaussian kernel by SMO; one class against the rest."""

from typing import Any

import numpy as np

from ..errors import UserError
from .library import library
from .registry import Baseline, check_rows, register

COSTS = (1.0, 0.01, 0.1, 10.0, 100.0)
LINEAR_COSTS = (1e-2, 1e-4, 1e-3, 1e-1, 1.0)  # of standardised rows, of which there are hundreds of columns


class OneVersusRest(Baseline):
    """What both machines share: a machine for each class, and distances or Platt's probabilities as scores."""

    name = ""

    def __init__(self, C: float, probabilities: bool):
        if not 0 < C < np.inf:
            raise UserError(f"{self.name}: C is positive, got {C}")
        self.C, self.probabilities = C, probabilities

    def machine(self) -> Any:
        """Return a machine of scikit-learn for two classes."""
        raise NotImplementedError

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "OneVersusRest":
        """Fit one machine for each class; of two classes one machine serves both."""
        x, y = check_rows(self.name, features, labels, classes)
        wanted = [1] if classes == 2 else range(classes)
        self.machines = [self.machine().fit(x, y == c) for c in wanted]
        self.sigmoids = [self.platt(x, y == c) for c in wanted] if self.probabilities else []
        return self

    def platt(self, x: np.ndarray, mine: np.ndarray) -> Any:
        """Return Platt's sigmoid of the machine's distance, fitted on distances of rows that were left out."""
        selection = library("model_selection", self.name)
        if min(mine.sum(), (~mine).sum()) < 3:
            raise UserError(f"{self.name}: probabilities need three rows or more of each class, and of the others")
        distance = selection.cross_val_predict(self.machine(), x, mine, cv=3, method="decision_function")
        fitted = library("linear_model", self.name).LogisticRegression(C=1e6).fit(distance[:, None], mine)
        return fitted

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return signed distances from the margins' middle, or with `probabilities` Platt's."""
        x = np.asarray(features, np.float64)
        columns = np.stack([m.decision_function(x) for m in self.machines], axis=1)
        if self.probabilities:
            pairs = zip(self.sigmoids, columns.T, strict=True)
            columns = np.stack([s.predict_proba(c[:, None])[:, 1] for s, c in pairs], axis=1)
            return np.concatenate([1 - columns, columns], axis=1) if columns.shape[1] == 1 else columns
        return np.concatenate([-columns, columns], axis=1) if columns.shape[1] == 1 else columns


@register("svm_linear", "Cortes & Vapnik 1995; Fan et al. 2008", {"C": LINEAR_COSTS}, library=True)
class LinearSVM(OneVersusRest):
    """A linear support vector machine, squared hinge loss, solved in the primal or the dual, whichever is smaller.

    Args:
        C: Weight of the errors against the margin.
        probabilities: Platt's probabilities as scores, instead of distances.
        seed: Of the solver's order.

    Raises:
        UserError: C is not positive, or scikit-learn is not installed.

    Example:
        >>> LinearSVM(C=10).fit(np.array([[0.0], [1.0]]), np.array([0, 1]), 2).scores(np.array([[2.0]])).argmax()
        np.int64(1)

    Reference:
        Fan et al., "LIBLINEAR: a library for large linear classification", JMLR 9, 2008.
    """

    name = "svm_linear"

    def __init__(self, C: float = 1.0, probabilities: bool = False, seed: int = 0):
        super().__init__(C, probabilities)
        self.seed = seed

    def machine(self) -> Any:
        """Return LIBLINEAR's machine."""
        machines = library("svm", self.name)
        return machines.LinearSVC(C=self.C, dual="auto", max_iter=20_000, random_state=self.seed)


@register("svm", "Cortes & Vapnik 1995", {"C": COSTS, "gamma": (1.0, 0.1, 0.3, 3.0)}, library=True)
class KernelSVM(OneVersusRest):
    """A support vector machine with the kernel exp(-gamma ||x - y||^2 / d), solved by SMO.

    Args:
        C: Weight of the errors against the margin.
        gamma: Inverse width, in units of 1 / (columns * variance of the rows).
        probabilities: Platt's probabilities as scores, instead of distances.

    Raises:
        UserError: C or gamma is not positive, or scikit-learn is not installed.

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> KernelSVM(C=100).fit(x, np.array([0, 1, 0]), 2).scores(x).argmax(axis=1)
        array([0, 1, 0])

    Reference:
        Cortes & Vapnik, "Support-vector networks", Machine Learning 20, 1995.
        Platt, "Probabilistic outputs for support vector machines", 1999.
    """

    name = "svm"

    def __init__(self, C: float = 1.0, gamma: float = 1.0, probabilities: bool = False):
        super().__init__(C, probabilities)
        if not 0 < gamma < np.inf:
            raise UserError(f"svm: gamma is positive, got {gamma}")
        self.gamma = gamma

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> OneVersusRest:
        """Turn gamma into the kernel's unit, and fit."""
        x = np.asarray(features, np.float64)
        self.width = self.gamma / (x.shape[1] * float(x.var()) or 1.0)
        return super().fit(x, labels, classes)

    def machine(self) -> Any:
        """Return LIBSVM's machine."""
        return library("svm", self.name).SVC(C=self.C, gamma=self.width, cache_size=500)
