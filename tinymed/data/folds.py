"""Folds of a cross-validation: the parts of a set put together, and divided so that each image is tested once."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..errors import UserError
from .dataset import Dataset
from .splits import chosen_rule, part_indices

__all__ = ["cut_fold", "fold_indices", "join"]


def join(datasets: Sequence[Dataset]) -> Dataset:
    """Put parts of one set together again.

    Args:
        datasets: Parts with the same classes, in order.

    Returns:
        One set of all their images, of the split "all".

    Example:
        >>> one = Dataset(np.zeros((2, 8, 8), np.uint8), [0, 1], ["a", "b"])
        >>> join([one, one.subset([1])]).counts()
        {'a': 1, 'b': 2}
    """
    first = datasets[0]
    if len(datasets) == 1:
        return first
    further = [part.further(np.arange(len(part))) for part in datasets]
    grouped = all(part.groups is not None for part in datasets)
    hashed = all(part.hashes is not None for part in datasets)
    whole = replace(
        first,
        samples=together([part.samples for part in datasets]),
        labels=np.concatenate([part.labels for part in datasets]),
        groups=np.concatenate([part.groups for part in datasets]) if grouped else None,
        hashes=[key for part in datasets for key in part.hashes or ()] if hashed else None,
        split="all",
        skipped=[item for part in datasets for item in part.skipped],
        **{name: merged([values[name] for values in further]) for name in further[0]},
    )
    whole.divided = ""
    return whole


def together(values: Sequence[Any]) -> Any:
    """Return arrays or lists with an entry an image as one."""
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else [item for part in values for item in part]


def merged(values: Sequence[Any]) -> Any:
    """Return a further field of several sets as one: an entry an image, or a list of such lists (one a modality)."""
    if isinstance(values[0], list) and all(isinstance(item, list) for item in values[0]):
        return [together(parts) for parts in zip(*values, strict=True)]
    return together(values)


def fold_indices(dataset: Dataset, folds: int, seed: int = 0, rule: str = "auto") -> list[np.ndarray]:
    """Return the images of each fold: every image in one, every patient whole, classes in equal shares.

    Args:
        dataset: The images.
        folds: Number of folds, at least 2.
        seed: The same seed gives the same folds.
        rule: "stratified", "grouped", or "auto": grouped where the set has groups.

    Returns:
        Sorted indices of each fold, int64.

    Raises:
        UserError: Fewer than 2 folds, images or groups too few, a rule that makes no folds.

    Example:
        >>> data = Dataset(np.zeros((6, 8, 8), np.uint8), [0, 1] * 3, ["a", "b"])
        >>> [len(fold) for fold in fold_indices(data, 3)]
        [2, 2, 2]
    """
    if folds < 2:
        raise UserError(f"cross-validation needs at least 2 folds, got {folds}")
    chosen = chosen_rule(dataset, rule)
    if chosen == "last":
        raise UserError("--split last makes no folds; use --split stratified or grouped")
    return part_indices(dataset, [1 / folds] * folds, seed, chosen)


def cut_fold(
    dataset: Dataset, folds: int, fold: int, seed: int = 0, rule: str = "auto"
) -> tuple[Dataset, Dataset, np.ndarray]:
    """Return (the images to learn from, those of a fold, their indices).

    Args:
        dataset: The images.
        folds: Number of folds.
        fold: Which of them, from 1.
        seed: The same seed gives the same folds.
        rule: See `fold_indices`.

    Returns:
        The sets "train" and "test", and the indices of the second in the whole.

    Raises:
        UserError: See `fold_indices`.

    Example:
        >>> data = Dataset(np.zeros((6, 8, 8), np.uint8), [0, 1] * 3, ["a", "b"])
        >>> train, test, indices = cut_fold(data, 3, 1)
        >>> len(train), len(test), len(indices)
        (4, 2, 2)
    """
    tested = fold_indices(dataset, folds, seed, rule)[fold - 1]
    learnt = np.setdiff1d(np.arange(len(dataset)), tested)
    train, test = dataset.subset(learnt, split="train"), dataset.subset(tested, split="test")
    train.divided = test.divided = chosen_rule(dataset, rule)
    return train, test, tested
