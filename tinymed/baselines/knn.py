"""The k nearest neighbours, whose equal votes the distances decide."""

from typing import Literal

import numpy as np

from ..errors import UserError
from .library import library
from .registry import Baseline, check_rows, register


@register("knn", "Cover & Hart 1967", {"k": (1, 3, 5, 9, 15, 25)}, library=True)
class KNN(Baseline):
    """Vote of the nearest training rows; neighbours are found by scikit-learn.

    Args:
        k: Neighbours that vote; all rows where there are fewer.
        metric: euclidean, manhattan, cosine or chebyshev.

    Raises:
        UserError: k is below 1, the metric is unknown, or scikit-learn is not installed.

    Example:
        >>> model = KNN(k=2).fit(np.array([[0.0], [3.0]]), np.array([0, 1]), 2)
        >>> model.scores(np.array([[1.0]])).argmax()  # one vote each; the nearer one decides
        np.int64(0)

    Reference:
        Cover & Hart, "Nearest neighbor pattern classification", IEEE Trans. Information Theory 13, 1967.
    """

    def __init__(self, k: int = 5, metric: Literal["euclidean", "manhattan", "cosine", "chebyshev"] = "euclidean"):
        if k < 1 or metric not in ("euclidean", "manhattan", "cosine", "chebyshev"):
            raise UserError(
                f"knn: k is at least 1, metric euclidean, manhattan, cosine or chebyshev; got {k} and {metric!r}"
            )
        self.k, self.metric = k, metric

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "KNN":
        """Keep the training rows."""
        neighbors = library("neighbors", "knn")
        x, self.labels = check_rows("knn", features, labels, classes)
        self.classes, self.votes = classes, min(self.k, len(x))
        self.index = neighbors.NearestNeighbors(n_neighbors=self.votes, metric=self.metric).fit(x)
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return (votes + closeness) / (k + 1), which add up to 1.

        A class's closeness is its share of the neighbours' inverse distances: below 1 where two classes vote, so that
        it decides between equal votes only.
        """
        distance, neighbour = self.index.kneighbors(np.asarray(features, np.float64))
        mine = self.labels[neighbour][:, :, None] == np.arange(self.classes)
        inverse = 1 / np.maximum(distance, 1e-12 * (1 + distance.max()))
        closeness = (mine * inverse[:, :, None]).sum(axis=1) / inverse.sum(axis=1, keepdims=True)
        shares: np.ndarray = (mine.sum(axis=1) + closeness) / (self.votes + 1)
        return shares
