"""The extreme learning machine: a random hidden layer that never learns, and output weights in one solution.

    H = g(X W + b)                      W, b random and fixed, one column for each hidden unit
    beta = H^+ T                        the least-squares solution of least length (no C), or
    beta = (H^T H + I / C)^-1 H^T T     ridge regression; for fewer rows than units H^T (H H^T + I / C)^-1 T

T is 1 for a row's class and -1 for the others; the highest output is the prediction (Huang, Zhu & Siew, 2006; with C
Huang, Zhou, Ding & Zhang, 2012).  The authors draw W from -1 ... 1 for inputs of a few columns; here its deviation
falls with the square root of the columns, so that the sums have deviation `scale` for any number of columns of
deviation 1.
"""

from typing import Literal

import numpy as np

from .. import random
from ..errors import UserError
from .registry import Baseline, check_rows, register

Activation = Literal["sigmoid", "tanh", "relu"]


@register("elm", "Huang, Zhu & Siew 2006", {"hidden": (200, 1000), "C": (0.1, 0.001, 0.01, 1.0, 10.0)})
class ELM(Baseline):
    """A network of one random hidden layer.

    Args:
        hidden: Hidden units.
        C: Weight of the errors against the length of beta; None takes the pseudo-inverse.
        activation: g: sigmoid, tanh or relu.
        scale: Deviation of the sums that g sees, for rows of deviation 1.
        seed: Of the random layer.

    Raises:
        UserError: An argument is out of range.

    Example:
        >>> x = np.array([[0.0, 0.0], [1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])
        >>> ELM(hidden=20, C=None).fit(x, np.array([0, 0, 1, 1]), 2).scores(x).argmax(axis=1)
        array([0, 0, 1, 1])

    Reference:
        Huang, Zhu & Siew, "Extreme learning machine: theory and applications", Neurocomputing 70, 2006.
        Huang, Zhou, Ding & Zhang, "Extreme learning machine for regression and multiclass classification", 2012.
    """

    def __init__(
        self,
        hidden: int = 1000,
        C: float | None = 1.0,
        activation: Activation = "sigmoid",
        scale: float = 1.0,
        seed: int = 0,
    ):
        if hidden < 1 or not (C is None or 0 < C < np.inf) or not 0 < scale < np.inf:
            raise UserError(f"elm: hidden is at least 1, C and scale are positive, got {hidden}, {C} and {scale}")
        if activation not in ("sigmoid", "tanh", "relu"):
            raise UserError(f"elm: activation is sigmoid, tanh or relu, got {activation!r}")
        self.hidden, self.C, self.activation, self.scale, self.seed = hidden, C, activation, scale, seed

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "ELM":
        """Draw the hidden layer, and solve for the output weights."""
        x, y = check_rows("elm", features, labels, classes)
        columns = x.shape[1]
        drawn = 2 * random.uniform((columns + 1) * self.hidden, self.seed, random.INITIALISE) - 1
        self.bias = drawn[: self.hidden]
        self.weight = drawn[self.hidden :].reshape(columns, self.hidden) * self.scale * np.sqrt(3 / columns)
        self.beta = solve(self.layer(x), np.where(np.arange(classes) == y[:, None], 1.0, -1.0), self.C)
        return self

    def layer(self, features: np.ndarray) -> np.ndarray:
        """Return the hidden layer's outputs, float64 [n, hidden]."""
        sums: np.ndarray = np.asarray(features, np.float64) @ self.weight + self.bias
        if self.activation == "relu":
            positive: np.ndarray = np.maximum(sums, 0)
            return positive
        steep = 1 if self.activation == "tanh" else 2  # the sigmoid of s is (1 + tanh(s / 2)) / 2
        curve: np.ndarray = np.tanh(sums / steep)
        return curve if steep == 1 else (1 + curve) / 2

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the outputs; 1 is certain, -1 excluded, and both may be passed."""
        outputs: np.ndarray = self.layer(features) @ self.beta
        return outputs


def solve(layer: np.ndarray, targets: np.ndarray, C: float | None) -> np.ndarray:
    """Return beta [hidden, classes] by the smaller of the two systems, or by the pseudo-inverse."""
    rows, hidden = layer.shape
    if C is None:
        beta: np.ndarray = np.linalg.pinv(layer) @ targets
    elif rows < hidden:
        beta = layer.T @ np.linalg.solve(layer @ layer.T + np.eye(rows) / C, targets)
    else:
        beta = np.linalg.solve(layer.T @ layer + np.eye(hidden) / C, layer.T @ targets)
    return beta
