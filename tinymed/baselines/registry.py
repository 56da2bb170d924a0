"""Classical classifiers by name.  Each file of this room registers its own; no other list names them."""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError


class Baseline(ABC):
    """A classifier of rows of numbers.

    Example:
        >>> model = create("majority").fit(np.zeros((3, 2)), np.array([0, 1, 1]), classes=2)
        >>> model.scores(np.zeros((1, 2))).round(2).tolist()
        [[0.33, 0.67]]
    """

    @abstractmethod
    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "Baseline":
        """Learn from rows [n, d] with class numbers [n] of 0 ... classes - 1; return this classifier."""

    @abstractmethod
    def scores(self, features: np.ndarray) -> np.ndarray:
        """Return a score for each row and class, float64 [n, classes]; the highest is the prediction."""

    def remarks(self) -> list[str]:
        """Return what a fitted classifier has to say of itself, such as an out-of-bag error."""
        return []


class Entry(NamedTuple):
    """What the registry knows of a classifier.

    Attributes:
        name: What `create` calls it.
        build: The class that makes it; its arguments are the options.
        source: The publication.
        grid: Option -> the values to try, the plainest first.
        library: Whether it needs scikit-learn.

    Example:
        >>> entry("elm").options
        ['hidden', 'C', 'activation', 'scale', 'seed']
    """

    name: str
    build: Callable[..., Baseline]
    source: str
    grid: Mapping[str, Sequence[Any]]
    library: bool

    @property
    def options(self) -> list[str]:
        """Return the names of the arguments that `create` passes on."""
        return list(inspect.signature(self.build).parameters)

    def candidates(self) -> list[dict[str, Any]]:
        """Return every combination of the grid's values, the plainest first."""
        return [dict(zip(self.grid, values, strict=True)) for values in product(*self.grid.values())]


registry: dict[str, Entry] = {}


def register(
    name: str, source: str, grid: Mapping[str, Sequence[Any]] | None = None, *, library: bool = False
) -> Callable[[type[Baseline]], type[Baseline]]:
    """Register a classifier, so that `create(name)` and `tinymed compare` find it.

    Args:
        name: What it is called; no network has the same name.
        source: The publication.
        grid: Option -> the values to try, the plainest first; {} where there is nothing to choose.
        library: Whether it needs scikit-learn.

    Returns:
        A decorator that gives back the class.

    Raises:
        ValueError: The name belongs to a classifier of another module.

    Example:
        >>> @register("always_zero", "this docstring")
        ... class AlwaysZero(Baseline):
        ...     def fit(self, features, labels, classes):
        ...         self.classes = classes
        ...         return self
        ...     def scores(self, features):
        ...         return np.eye(self.classes)[np.zeros(len(features), int)]
        >>> create("always_zero").fit(np.zeros((2, 1)), np.array([0, 1]), 2).scores(np.zeros((1, 1)))
        array([[1., 0.]])
        >>> del registry["always_zero"]
    """

    def add(build: type[Baseline]) -> type[Baseline]:
        if name in registry and registry[name].build.__module__ != build.__module__:
            raise ValueError(f"baselines: the name {name!r} is taken by {registry[name].build.__module__}")
        registry[name] = Entry(name, build, source, grid or {}, library)
        return build

    return add


def read_room() -> None:
    """Import every file of this room, each of which registers its classifiers."""
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__package__}.{path.stem}")


def available() -> list[str]:
    """Return the names of all classifiers, sorted.

    Returns:
        Names that `create` takes.

    Example:
        >>> "pnn" in available(), "svm" in available()
        (True, True)
    """
    read_room()
    return sorted(registry)


def entry(name: str) -> Entry:
    """Return what the registry knows of a classifier.

    Args:
        name: One of `available()`.

    Returns:
        An Entry: name, build, source, grid, options.

    Raises:
        UserError: The name is unknown.

    Example:
        >>> entry("knn").grid["k"]
        (1, 3, 5, 9, 15, 25)
    """
    known = available()
    if name not in registry:
        raise UserError(f"baseline {name!r} is unknown; choose one of {', '.join(known)}")
    return registry[name]


def create(name: str, **options: Any) -> Baseline:
    """Make a classifier that has learned nothing yet.

    Args:
        name: One of `available()`.
        options: Arguments of the classifier; see `entry(name).options`.

    Returns:
        A Baseline.

    Raises:
        UserError: The name is unknown, or the classifier lacks an option.

    Example:
        >>> create("knn", k=3).k
        3
    """
    known = entry(name)
    if unknown := [option for option in options if option not in known.options]:
        taken = f"its options are {', '.join(known.options)}" if known.options else "it takes none"
        raise UserError(f"baseline {name!r} does not take {', '.join(unknown)}; {taken}")
    return known.build(**options)


def check_rows(name: str, features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return rows as float64 [n, d] and labels as int64 [n].

    Raises:
        UserError: A number is nan or infinite, or a class has no row.
        ValueError: Shapes or labels do not fit.
    """
    x, y = np.asarray(features, np.float64), np.asarray(labels)
    if x.ndim != 2 or y.shape != (len(x),) or not x.size:
        raise ValueError(f"{name}: needs rows [n, d] and labels [n], got {x.shape} and {y.shape}")
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= classes:
        raise ValueError(f"{name}: labels are integers from 0 to {classes - 1}, got {y.dtype} up to {y.max()}")
    if bad := int((~np.isfinite(x)).any(axis=1).sum()):
        raise UserError(
            f"{name}: {bad} of {len(x)} rows hold nan or infinity; look at the images or the run they are of"
        )
    missing = np.flatnonzero(np.bincount(y, minlength=classes) == 0)
    if missing.size:
        raise UserError(f"{name}: no row of class number {int(missing[0])} to learn from; every class needs one")
    return x, y.astype(np.int64)
