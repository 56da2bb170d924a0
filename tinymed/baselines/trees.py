"""Classification trees: one, a bag of them that votes, and a sequence in which each mends the ones before."""

from typing import Any, Literal

import numpy as np

from ..errors import UserError
from .library import library, vote_shares
from .registry import Baseline, check_rows, register

Criterion = Literal["gini", "entropy"]


class TreeBaseline(Baseline):
    """What all three share: a classifier of scikit-learn that gives shares of classes."""

    name = ""
    model: Any

    def build(self) -> Any:
        """Return the classifier of scikit-learn."""
        raise NotImplementedError

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "TreeBaseline":
        """Grow the trees."""
        x, y = check_rows(self.name, features, labels, classes)
        self.classes = classes
        self.model = self.build().fit(x, y)
        return self

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return the classes' shares, which add up to 1."""
        return vote_shares(self.model, np.asarray(features, np.float64), self.classes)


@register("cart", "Breiman et al. 1984", {"leaf": (20, 1, 5, 50), "criterion": ("gini", "entropy")}, library=True)
class CART(TreeBaseline):
    """One tree, grown until leaves are pure or small.

    Args:
        criterion: Impurity: gini or entropy.
        leaf: Least training rows in a leaf.
        depth: Most questions on the way to a leaf; None for as many as it takes.
        seed: Which of equally good splits is taken.

    Raises:
        UserError: An argument is out of range, or scikit-learn is not installed.

    Example:
        >>> x = np.array([[0.0], [1.0], [2.0]])
        >>> CART(leaf=1).fit(x, np.array([0, 1, 0]), 2).scores(x)[:, 1]
        array([0., 1., 0.])

    Reference:
        Breiman, Friedman, Olshen & Stone, Classification and Regression Trees, 1984.
    """

    name = "cart"

    def __init__(self, criterion: Criterion = "gini", leaf: int = 1, depth: int | None = None, seed: int = 0):
        if criterion not in ("gini", "entropy") or leaf < 1 or (depth is not None and depth < 1):
            raise UserError(
                f"cart: criterion is gini or entropy, leaf and depth are at least 1; got {criterion!r}, {leaf}, {depth}"
            )
        self.criterion, self.leaf, self.depth, self.seed = criterion, leaf, depth, seed

    def build(self) -> Any:
        """Return the tree."""
        return library("tree", self.name).DecisionTreeClassifier(
            criterion=self.criterion, min_samples_leaf=self.leaf, max_depth=self.depth, random_state=self.seed
        )


@register("bagging", "Breiman 1996", {"leaf": (1, 5)}, library=True)
class Bagging(TreeBaseline):
    """Trees of bootstrap samples, whose votes are averaged.

    Args:
        trees: How many.
        leaf: Least training rows in a leaf.
        columns: Share of the columns that a tree sees.
        seed: Of the samples.

    Raises:
        UserError: An argument is out of range, or scikit-learn is not installed.

    Example:
        >>> x = np.arange(40.0)[:, None]
        >>> model = Bagging(trees=50).fit(x, (x[:, 0] > 19).astype(int), 2)
        >>> model.scores(np.array([[0.0], [39.0]])).argmax(axis=1)
        array([0, 1])

    Reference:
        Breiman, "Bagging predictors", Machine Learning 24, 1996.
    """

    name = "bagging"

    def __init__(self, trees: int = 100, leaf: int = 1, columns: float = 1.0, seed: int = 0):
        if trees < 1 or leaf < 1 or not 0 < columns <= 1:
            raise UserError(
                f"bagging: trees and leaf are at least 1, columns lies in 0 ... 1; got {trees}, {leaf}, {columns}"
            )
        self.trees, self.leaf, self.columns, self.seed = trees, leaf, columns, seed

    def build(self) -> Any:
        """Return the bag."""
        tree = library("tree", self.name).DecisionTreeClassifier(min_samples_leaf=self.leaf)
        return library("ensemble", self.name).BaggingClassifier(
            tree, self.trees, max_features=self.columns, random_state=self.seed
        )

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "Bagging":
        """Grow the trees, and count how often those that did not see a row are wrong about it."""
        super().fit(features, labels, classes)
        x, votes = np.asarray(features, np.float64), np.zeros((len(features), classes))
        pairs = zip(
            self.model.estimators_, self.model.estimators_samples_, self.model.estimators_features_, strict=True
        )
        for tree, sample, columns in pairs:
            out = np.setdiff1d(np.arange(len(x)), sample)
            if out.size:
                votes[out] += vote_shares(tree, x[out][:, columns], classes)
        judged = votes.sum(axis=1) > 0
        wrong = votes[judged].argmax(axis=1) != np.asarray(labels)[judged]
        self.out_of_bag_error = float(wrong.mean()) if judged.any() else None
        return self

    def remarks(self) -> list[str]:
        """Return the out-of-bag error."""
        return [] if self.out_of_bag_error is None else [f"out-of-bag error {self.out_of_bag_error:.3f}"]


@register("boosting", "Freund & Schapire 1997; Zhu et al. 2009", {"depth": (1, 3)}, library=True)
class Boosting(TreeBaseline):
    """AdaBoost (SAMME): each tree is grown on rows weighted by the errors of those before.

    Args:
        trees: How many at most.
        depth: Questions of a tree; 1 is a stump.
        rate: Factor of each tree's weight.
        seed: Of the trees.

    Raises:
        UserError: An argument is out of range, or scikit-learn is not installed.

    Example:
        >>> x = np.arange(40.0)[:, None]
        >>> model = Boosting(trees=10).fit(x, (abs(x[:, 0] - 20) > 10).astype(int), 2)
        >>> model.scores(np.array([[1.0], [20.0], [39.0]])).argmax(axis=1)
        array([1, 0, 1])

    Reference:
        Freund & Schapire, "A decision-theoretic generalization of on-line learning", JCSS 55, 1997.
        Zhu, Zou, Rosset & Hastie, "Multi-class AdaBoost", Statistics and Its Interface 2, 2009.
    """

    name = "boosting"

    def __init__(self, trees: int = 100, depth: int = 1, rate: float = 1.0, seed: int = 0):
        if trees < 1 or depth < 1 or not 0 < rate < np.inf:
            raise UserError(f"boosting: trees and depth are at least 1, rate is positive; got {trees}, {depth}, {rate}")
        self.trees, self.depth, self.rate, self.seed = trees, depth, rate, seed

    def build(self) -> Any:
        """Return the sequence."""
        stump = library("tree", self.name).DecisionTreeClassifier(max_depth=self.depth)
        return library("ensemble", self.name).AdaBoostClassifier(
            stump, n_estimators=self.trees, learning_rate=self.rate, random_state=self.seed
        )
