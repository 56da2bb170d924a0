"""Fitting a classifier with the options that serve best: on validation rows, or in inner folds of the training rows.

The rows that a figure is reported of choose nothing: neither options nor the scale.
"""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np

from ..data.splits import k_fold, leave_one_out
from ..metrics.classification import class_scores
from ..metrics.confusion_metrics import balanced_accuracy, confusion_matrix
from ..metrics.curves import roc_auc
from .registry import Baseline, create, entry
from .scaling import Columns, Overall

Scale = Literal["columns", "overall", "none"]
SCALES: dict[str, Callable[[np.ndarray], Columns | Overall]] = {"columns": Columns, "overall": Overall}
Part = tuple[np.ndarray, np.ndarray]  # rows [n, d] and their class numbers [n]


class Tried(NamedTuple):
    """What options gave on rows that were not learned from.

    Attributes:
        options: The classifier's arguments.
        balanced_accuracy: Mean share of each class that is found; it decides.
        auc: Mean area under the curve of each class against the rest; it decides between equals.

    Example:
        >>> Tried({"k": 3}, balanced_accuracy=0.9, auc=0.95).options
        {'k': 3}
    """

    options: dict[str, Any]
    balanced_accuracy: float
    auc: float


class Fitted(NamedTuple):
    """A classifier that has learned, with the scale of its rows.

    Attributes:
        name: Of the classifier.
        model: The classifier.
        scaling: What brings rows to its scale, or None.
        options: Its arguments.
        tried: Every choice with what it gave; [] where there was none.
        chosen_on: "val", "5 folds of train" or "".

    Example:
        >>> fitted = fit_best("majority", np.zeros((4, 1)), np.array([0, 0, 0, 1]), 2)
        >>> fitted.scores(np.zeros((1, 1))), fitted.options
        (array([[0.75, 0.25]]), {})
    """

    name: str
    model: Baseline
    scaling: Columns | Overall | None
    options: dict[str, Any]
    tried: list[Tried]
    chosen_on: str

    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return a score for each row and class, float64 [n, classes]."""
        return self.model.scores(features if self.scaling is None else self.scaling.apply(features))

    def text(self) -> str:
        """Return in words what was chosen, and what the classifier says of itself."""
        chosen = ", ".join(
            f"{name} {value:g}" if isinstance(value, float) else f"{name} {value}"
            for name, value in self.options.items()
            if name != "seed"
        )
        how = f", chosen on {self.chosen_on} from {len(self.tried)}" if self.tried else ""
        return "; ".join(filter(None, [f"{chosen}{how}" if chosen else "", *self.model.remarks()]))


def fit_best(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    val: Part | None = None,
    groups: np.ndarray | None = None,
    folds: int = 5,
    seed: int = 0,
    scale: Scale = "columns",
    options: dict[str, Any] | None = None,
) -> Fitted:
    """Fit a classifier with each combination of its grid, and keep the one of best balanced accuracy.

    Args:
        name: One of `available()`.
        features: Training rows [n, d].
        labels: Their class numbers [n].
        classes: Number of classes.
        val: Rows and class numbers to choose on; without them inner folds of the training rows are used, and the
            classifier is then fitted to all of them.
        groups: Patient of each training row [n], whom no fold divides.
        folds: Inner folds.
        seed: Of the folds, and of classifiers that draw.
        scale: How rows are brought to one scale by the training rows: each column ("columns"), all together
            ("overall"), or not ("none").
        options: Arguments that are fixed and not chosen.

    Returns:
        The classifier, its options and what each choice gave.

    Raises:
        UserError: The classifier or an option is unknown, a row is not finite, a class has too few rows, or
            scikit-learn is needed and absent.

    Example:
        >>> rows = np.concatenate([np.random.default_rng(c).normal(3 * c, 1, (20, 2)) for c in (0, 1)])
        >>> fitted = fit_best("pnn", rows, np.repeat([0, 1], 20), 2, folds=4)
        >>> fitted.chosen_on, len(fitted.tried), fitted.scores(np.array([[3.0, 3.0]])).argmax()
        ('4 folds of train', 7, np.int64(1))
    """
    fixed = dict(options or {}) | ({"seed": seed} if "seed" in entry(name).options else {})
    create(name, **fixed)  # an unknown option is refused before anything is fitted
    choices = [fixed | {k: v for k, v in c.items() if k not in fixed} for c in entry(name).candidates()]
    choices = [choice for i, choice in enumerate(choices) if choice not in choices[:i]]
    if len(choices) == 1:
        return fit_one(name, choices[0], (features, labels), classes, scale)
    y = np.asarray(labels)
    if val is not None:
        fits = [fit_one(name, choice, (features, labels), classes, scale) for choice in choices]
        tried = [judged(f.options, f.scores(val[0]), np.asarray(val[1])) for f in fits]
        best = fits[most(tried)]
        return best._replace(tried=tried, chosen_on="val")
    parts = k_fold(y, folds, seed, groups)
    tried = [judged(c, held_out(name, c, (features, y), classes, scale, parts), y) for c in choices]
    best = fit_one(name, choices[most(tried)], (features, labels), classes, scale)
    return best._replace(tried=tried, chosen_on=f"{folds} folds of train")


def fit_one(name: str, options: dict[str, Any], train: Part, classes: int, scale: Scale) -> Fitted:
    """Return a classifier with these options, fitted to rows that are brought to one scale."""
    scaling = SCALES[scale](train[0]) if scale in SCALES else None
    rows = train[0] if scaling is None else scaling.apply(train[0])
    return Fitted(name, create(name, **options).fit(rows, train[1], classes), scaling, options, [], "")


def held_out(
    name: str,
    options: dict[str, Any],
    train: Part,
    classes: int,
    scale: Scale,
    parts: list[tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Return the scores of each row by the classifier of the fold that left it out."""
    x, y = np.asarray(train[0]), train[1]
    scores = np.empty((len(x), classes))
    for inside, outside in parts:
        scores[outside] = fit_one(name, options, (x[inside], y[inside]), classes, scale).scores(x[outside])
    return scores


def judged(options: dict[str, Any], scores: np.ndarray, labels: np.ndarray) -> Tried:
    """Return what decides between choices, of the classes that the rows have."""
    classes = scores.shape[1]
    present = [c for c in range(classes) if 0 < np.count_nonzero(labels == c) < len(labels)]
    areas = [roc_auc(labels == c, class_scores(scores, c)) for c in present]
    confusion = confusion_matrix(labels, scores.argmax(axis=1), classes)
    balanced = balanced_accuracy(confusion, lambda _: None)
    return Tried(options, float(balanced), float(np.mean(areas)) if areas else 0.0)


def most(tried: list[Tried]) -> int:
    """Return the place of the best choice; of equals the first, which is the plainest."""
    return max(range(len(tried)), key=lambda i: (round(tried[i].balanced_accuracy, 9), round(tried[i].auc, 9), -i))


def cross_validate(
    name: str,
    features: np.ndarray,
    labels: np.ndarray,
    classes: int,
    *,
    folds: int | None = 10,
    inner: int = 5,
    groups: np.ndarray | None = None,
    seed: int = 0,
    scale: Scale = "columns",
    options: dict[str, Any] | None = None,
) -> tuple[np.ndarray, list[Fitted]]:
    """Score each row by a classifier that was fitted, scaled and chosen without it.

    Args:
        name: One of `available()`.
        features: Rows [n, d].
        labels: Their class numbers [n].
        classes: Number of classes.
        folds: Parts, each of which is left out once; None leaves out each row, or each group, by itself.
        inner: Folds of what is left in, in which options are chosen.
        groups: Patient of each row [n], whom no fold divides.
        seed: Of the folds, and of classifiers that draw.
        scale: See `fit_best`.
        options: Arguments that are fixed and not chosen.

    Returns:
        (scores float64 [n, classes], the classifier of each fold).

    Raises:
        UserError: As `fit_best`.

    Example:
        >>> rows = np.concatenate([np.random.default_rng(c).normal(3 * c, 1, (20, 2)) for c in (0, 1)])
        >>> scores, fitted = cross_validate("pnn", rows, np.repeat([0, 1], 20), 2, folds=4, inner=3)
        >>> scores.shape, len(fitted)
        ((40, 2), 4)
    """
    x, y = np.asarray(features), np.asarray(labels)
    scores = np.empty((len(x), classes))
    found = []
    parts = leave_one_out(len(y), groups) if folds is None else k_fold(y, folds, seed, groups)
    for number, (inside, outside) in enumerate(parts):
        own = None if groups is None else np.asarray(groups)[inside]
        fitted = fit_best(
            name,
            x[inside],
            y[inside],
            classes,
            groups=own,
            folds=inner,
            seed=seed + 1 + number,
            scale=scale,
            options=options,
        )
        scores[outside] = fitted.scores(x[outside])
        found.append(fitted)
    return scores, found
