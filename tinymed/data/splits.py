"""Train, validation and test: who goes where, and whether anything is on both sides."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations

import numpy as np

from .. import random
from ..errors import UserAdvice, UserError
from .dataset import Dataset, verify
from .decoded import pixel_hash

LEAKS = ("error", "warn", "ignore")
FRACTIONS = {"train": 0.7, "val": 0.15, "test": 0.15}


def check_fractions(fractions: Sequence[float]) -> np.ndarray:
    """Return the fractions as float64; raise UserError unless all are positive and they add up to 1."""
    shares = np.asarray(fractions, np.float64)
    if shares.ndim != 1 or not shares.size or not (shares > 0).all() or abs(shares.sum() - 1) > 1e-6:
        raise UserError(f"fractions are positive and add up to 1, got {list(fractions)}")
    normalised: np.ndarray = shares / shares.sum()
    return normalised


def apportion(count: int, shares: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Return whole numbers that add up to `count`, each less than 1 from share * count, none 0 if count allows.

    owed [splits]: what earlier classes were rounded against; it decides who gets the remainders now, and is updated,
    so the totals over all classes stay right as well.
    """
    exact = shares * count
    number = np.floor(exact + 1e-9).astype(np.int64)
    order = np.argsort(-(exact - number + owed), kind="stable")
    number[order[: count - int(number.sum())]] += 1
    for split in np.flatnonzero(number == 0):
        if count >= len(shares):
            number[np.argmax(number)] -= 1
            number[split] = 1
    owed += exact - number
    return number


def stratified_split(
    labels: np.ndarray, fractions: Sequence[float], seed: int = 0, classes: Sequence[str] | None = None
) -> list[np.ndarray]:
    """Divide images at random, every class in the same proportions to the nearest image.

    As `sklearn.model_selection.train_test_split(stratify=labels)`, for any number of parts.

    Args:
        labels: Integers [n].
        fractions: Of the parts: positive, adding up to 1.
        seed: The same seed gives the same parts.
        classes: Names of the classes, for messages.

    Returns:
        Sorted indices of each part, int64.

    Raises:
        UserError: A class has fewer images than there are parts, because a part without it cannot be trained on or
            scored; or the fractions do not add up.

    Example:
        >>> train, test = stratified_split(np.array([0] * 6 + [1] * 4), [0.5, 0.5])
        >>> len(train), len(test), int(sum(train < 6))
        (5, 5, 3)
    """
    labels, shares = np.asarray(labels), check_fractions(fractions)
    parts: list[list[np.ndarray]] = [[] for _ in shares]
    order = random.permutation(len(labels), seed, random.SPLIT)
    owed = np.zeros(len(shares))
    for label in np.unique(labels):
        members = order[labels[order] == label]
        if len(members) < len(shares):
            raise UserError(
                f"class {classes[label] if classes else label} has {len(members)} image(s), too few for "
                f"{len(shares)} parts; add images, or ask for fewer parts",
                {"merge=NEW=OLD,OLD": "or put it together with another by {}", "folds=NUMBER": "or choose {}"},
            )
        ends = np.cumsum(apportion(len(members), shares, owed))
        for part, chunk in zip(parts, np.split(members, ends[:-1]), strict=True):
            part.append(chunk)
    return [np.sort(np.concatenate(part)) if part else np.zeros(0, np.int64) for part in parts]


def grouped_split(
    groups: np.ndarray, labels: np.ndarray, fractions: Sequence[float], seed: int = 0
) -> list[np.ndarray]:
    """Divide images at random so that a group (patient) is never divided; class counts come as near as groups allow.

    Groups are placed largest first, in random order among equals, where they lower chi2 = sum over parts, classes of
    (count - target)^2 / target most; then single groups are moved while that lowers it.  As the aim of
    `sklearn.model_selection.StratifiedGroupKFold`.

    Args:
        groups: Group of each image [n].
        labels: Class of each image [n].
        fractions: Of the parts: positive, adding up to 1.
        seed: The same seed gives the same parts.

    Returns:
        Sorted indices of each part, int64.

    Raises:
        UserError: There are fewer groups than parts, or the fractions do not add up.

    Example:
        >>> parts = grouped_split(np.array(["p1", "p1", "p2", "p3"]), np.array([0, 1, 0, 1]), [0.5, 0.5])
        >>> sorted(map(len, parts))
        [2, 2]
    """
    shares = check_fractions(fractions)
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    if len(names) < len(shares):
        raise UserError(f"{len(names)} group(s) cannot fill {len(shares)} parts; ask for fewer, or split by image")
    kinds, label_of = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.zeros((len(names), len(kinds)))
    np.add.at(counts, (group_of.reshape(-1), label_of.reshape(-1)), 1)
    place = place_groups(counts, shares, random.permutation(len(names), seed, random.SPLIT))
    return [np.flatnonzero(place[group_of.reshape(-1)] == part) for part in range(len(shares))]


def place_groups(counts: np.ndarray, shares: np.ndarray, order: np.ndarray, passes: int = 10) -> np.ndarray:
    """Return the part of each group.  counts: images [groups, classes]; shares [parts]; order: the groups, shuffled."""
    target = shares[:, None] * counts.sum(axis=0)
    have = np.zeros_like(target)
    place = np.full(len(counts), -1)
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]

    def change(group: int) -> np.ndarray:  # of chi2, for each part that might take the group
        added = counts[group]
        result: np.ndarray = (added * (2 * (have - target) + added) / target).sum(axis=1)
        return result

    for number, group in enumerate(order):
        cost = change(group)
        empty = np.setdiff1d(np.arange(len(shares)), place)
        if len(order) - number <= len(empty):  # the last groups go where nobody is yet
            cost[np.setdiff1d(np.arange(len(shares)), empty)] = np.inf
        place[group] = int(np.argmin(cost))
        have[place[group]] += counts[group]
    for _ in range(passes):
        moved = False
        for group in order:
            old = place[group]
            if np.count_nonzero(place == old) == 1:
                continue
            have[old] -= counts[group]
            cost = change(group)
            best = int(np.argmin(cost))
            place[group] = best if cost[best] < cost[old] - 1e-9 else old
            have[place[group]] += counts[group]
            moved |= bool(place[group] != old)
        if not moved:
            break
    return place


def last_fraction_split(count: int, fraction: float = 0.3) -> list[np.ndarray]:
    """Divide 0 ... count - 1 in order into the first part and the last `fraction`: Keras's `validation_split`.

    Keras cuts at floor(count * (1 - fraction)) before any shuffling.  On a set that is sorted by class the last part
    then holds the last class only, so shuffle such a set first, or use `stratified_split`.

    Args:
        count: Number of images.
        fraction: Of the second part, above 0 and below 1.

    Returns:
        Indices of both parts.

    Raises:
        UserError: The fraction is out of range, or a part would be empty.

    Example:
        >>> [part.tolist() for part in last_fraction_split(5, 0.4)]
        [[0, 1, 2], [3, 4]]
    """
    if not 0 < fraction < 1:
        raise UserError(f"the last fraction is between 0 and 1, got {fraction}")
    cut = math.floor(count * (1.0 - fraction))
    if cut == 0 or cut == count:
        raise UserError(f"the last {fraction:g} of {count} image(s) leaves one part empty; use more images")
    return [np.arange(cut), np.arange(cut, count)]


def k_fold(
    labels: np.ndarray, folds: int = 5, seed: int = 0, groups: np.ndarray | None = None
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide images for cross-validation, stratified by class; every image is tested exactly once.

    Args:
        labels: Integers [n].
        folds: Number of folds, at least 2.
        seed: The same seed gives the same folds.
        groups: Group of each image [n]; no group is then on both sides.

    Returns:
        (train indices, test indices) of each fold.

    Raises:
        UserError: Fewer than 2 folds, or images or groups too few.

    Example:
        >>> [len(test) for train, test in k_fold(np.array([0, 1] * 6), folds=3)]
        [4, 4, 4]
    """
    if folds < 2:
        raise UserError(f"cross-validation needs at least 2 folds, got {folds}")
    shares = [1 / folds] * folds
    parts = stratified_split(labels, shares, seed) if groups is None else grouped_split(groups, labels, shares, seed)
    everything = np.arange(len(labels))
    return [(np.setdiff1d(everything, part), part) for part in parts]


def leave_one_out(count: int, groups: np.ndarray | None = None) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide images for cross-validation so that each, or each group, is tested by itself.

    Args:
        count: Number of images.
        groups: Group of each image [count], left out together.

    Returns:
        (train indices, test indices) of each fold.

    Raises:
        UserError: Fewer than 2 images or groups.

    Example:
        >>> [test.tolist() for train, test in leave_one_out(3)]
        [[0], [1], [2]]
    """
    names = np.arange(count) if groups is None else np.asarray(groups)
    parts = [np.flatnonzero(names == name) for name in np.unique(names)]
    if len(parts) < 2:
        raise UserError(f"leaving one out needs at least 2 images or groups, got {len(parts)}")
    return [(np.setdiff1d(np.arange(count), part), part) for part in parts]


def split_dataset(
    dataset: Dataset, fractions: Mapping[str, float] | None = None, seed: int = 0, rule: str = "auto"
) -> dict[str, Dataset]:
    """Cut a whole set into named parts.

    Args:
        dataset: The images.
        fractions: Name -> share; train .7, val .15, test .15 by default.
        seed: The same seed gives the same parts.
        rule: "stratified" (all copies of an image stay in one part, where the set knows its hashes), "grouped",
            "last" (Keras's; two parts), or "auto": grouped when the set has groups.

    Returns:
        Name -> data set.

    Raises:
        UserError: The rule is unknown or does not fit, or images or groups are too few.

    Example:
        >>> from tinymed.data import synthetic_smear
        >>> parts = split_dataset(synthetic_smear(20, size=16))
        >>> {name: len(part) for name, part in parts.items()}
        {'train': 14, 'val': 3, 'test': 3}
    """
    shares = dict(FRACTIONS if fractions is None else fractions)
    rule = chosen_rule(dataset, rule)
    parts = part_indices(dataset, list(shares.values()), seed, rule)
    cut = {name: dataset.subset(part, split=name) for name, part in zip(shares, parts, strict=True)}
    for part in cut.values():
        part.divided = rule
    return cut


def chosen_rule(dataset: Dataset, rule: str) -> str:
    """Return what "auto" stands for: grouped where the set has groups."""
    if rule != "auto":
        return rule
    return "stratified" if dataset.groups is None else "grouped"


def part_indices(dataset: Dataset, fractions: Sequence[float], seed: int, rule: str) -> list[np.ndarray]:
    """Return the indices of each part of a set that is divided by a rule, see `split_dataset`.  Raises UserError."""
    values = list(fractions)
    if rule == "stratified":
        if dataset.hashes is None:
            return stratified_split(dataset.labels, values, seed, dataset.classes)
        return split_with_copies(dataset.labels, dataset.hashes, values, seed, dataset.classes)
    if rule == "grouped":
        if dataset.groups is None:
            raise UserError(
                f"{dataset.source or 'data'}: a grouped split needs a patient or group column",
                {"group_column='NAME'": "name it with {}"},
            )
        return grouped_split(dataset.groups, dataset.labels, values, seed)
    if rule == "last" and len(values) == 2:
        check_fractions(values)
        return last_fraction_split(len(dataset), values[1])
    raise UserError(f"split rule {rule!r} with {len(values)} parts; use auto, stratified, grouped, or last with two")


def split_with_copies(
    labels: np.ndarray, hashes: Sequence[bytes], fractions: Sequence[float], seed: int, classes: Sequence[str]
) -> list[np.ndarray]:
    """Return a stratified split of the different images; each copy follows its first, so that none is on two sides."""
    first: dict[bytes, int] = {}
    original = np.array([first.setdefault(key, i) for i, key in enumerate(hashes)], np.int64)
    different = np.unique(original)
    place = np.empty(len(labels), np.int64)
    for number, part in enumerate(stratified_split(labels[different], fractions, seed, classes)):
        place[different[part]] = number
    return [np.flatnonzero(place[original] == number) for number in range(len(fractions))]


def image_hashes(dataset: Dataset, *, skip_bad: bool = False) -> tuple[Dataset, list[bytes]]:
    """Return the data set without its unreadable images (see `verify`), and the hash of every image left."""
    hashes: list[bytes] = []
    deep: list[float] = []

    def visit(_: int, pixels: np.ndarray) -> None:
        hashes.append(pixel_hash(pixels))
        if pixels.dtype != np.uint8 and pixels.ndim == 3:
            deep.append(float(pixels.max()))

    checked = verify(dataset, skip_bad=skip_bad, visit=visit)
    return replace(checked, hashes=hashes, brightest=max(deep, default=None)), hashes


def find_leaks(datasets: Mapping[str, Dataset], hashes: Mapping[str, Sequence[bytes]] | None = None) -> list[str]:
    """Find images that occur, pixel for pixel, in two splits, and groups in two splits.

    Args:
        datasets: Name of the split -> data set.
        hashes: Name of the split -> hashes of its pixels; those that the sets hold, or new ones, by default.

    Returns:
        One sentence for each leak.

    Raises:
        UserError: An image is unreadable.

    Example:
        >>> data = Dataset(np.zeros((1, 8, 8), np.uint8), [0], ["a"], source="x")
        >>> find_leaks({"train": data, "test": data})
        ['x [all] image 0 (train) and x [all] image 0 (test) are the same image']
    """
    keys = hashes or {name: dataset.hashes or image_hashes(dataset)[1] for name, dataset in datasets.items()}
    leaks = []
    for (first, one), (second, two) in combinations(datasets.items(), 2):
        seen = {key: i for i, key in reversed(list(enumerate(keys[first])))}
        for j, key in enumerate(keys[second]):
            if key in seen:
                leaks.append(f"{one.name(seen[key])} ({first}) and {two.name(j)} ({second}) are the same image")
        if one.groups is not None and two.groups is not None:
            shared = sorted(set(one.groups.tolist()) & set(two.groups.tolist()))
            leaks += [f"group {group} is in both {first} and {second}" for group in shared]
    return leaks


def leak_check(
    datasets: Mapping[str, Dataset], hashes: Mapping[str, Sequence[bytes]] | None = None, rule: str = "error"
) -> None:
    """Look for an image or a group in two splits: a score on the second would be too good.

    Args:
        datasets: Name of the split -> data set.
        hashes: See `find_leaks`.
        rule: "error" raises, "warn" warns (`UserAdvice`), "ignore" does not look.

    Raises:
        UserError: There is a leak and the rule is "error", or the rule is unknown.

    Example:
        >>> images = np.arange(2 * 64, dtype=np.uint8).reshape(2, 8, 8)
        >>> train, test = (Dataset(images[i : i + 1], [0], ["a"]) for i in (0, 1))
        >>> leak_check({"train": train, "test": test})
    """
    if rule not in LEAKS:
        raise UserError(f"leaks is {', '.join(LEAKS[:-1])} or {LEAKS[-1]}, got {rule!r}")
    leaks = [] if rule == "ignore" else find_leaks(datasets, hashes)
    if leaks:
        more = f" (and {len(leaks) - 1} more)" if len(leaks) > 1 else ""
        message = f"the splits leak: {leaks[0]}{more}; remove one copy or move the group to one side"
        if rule == "error":
            raise UserError(message, {"leaks='warn'": "or go on all the same with {}"})
        warnings.warn(UserAdvice(message), stacklevel=2)
