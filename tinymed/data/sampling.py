"""How often an epoch shows each class: as they are, over- or under-sampled, balanced, by effective number.

    over         every class as often as the most frequent one: images are repeated
    under        every class as often as the rarest one: another part of the others each epoch
    balanced     as many images as the set has, an equal share of them for each class
    effective    as many images as the set has, shares between the natural and the balanced ones (Cui et al. 2019)

A sampling only says how many images of each class an epoch has; `draw_epoch` says which, by Philox, as a function of
(seed, epoch) alone.  Within a class images come in whole rounds, so none is repeated before all were seen.
"""

from collections.abc import Sequence

import numpy as np

from .. import random
from ..errors import UserError

__all__ = ["SAMPLINGS", "class_quotas", "draw_epoch", "effective_number"]

SAMPLINGS = ("over", "under", "balanced", "effective")
BETA = 0.999  # of the effective number


def effective_number(count: int, beta: float = BETA) -> float:
    """Compute the effective number of n samples, E = (1 - beta^n) / (1 - beta).

    It is n where beta is near 1 and 1 where beta is 0: each further sample adds less, since samples overlap.

    Args:
        count: How many samples there are.
        beta: From 0 to below 1; (N - 1) / N for N prototypes that samples may cover.

    Returns:
        A number from 1 to `count`; 0 of no samples.

    Raises:
        UserError: beta lies outside its range.

    Example:
        >>> effective_number(10, 0), round(effective_number(2, 0.9), 6)
        (1.0, 1.9)

    Reference:
        Cui, Jia, Lin, Song & Belongie, "Class-balanced loss based on effective number of samples", CVPR 2019.
    """
    if not 0 <= beta < 1:
        raise UserError(f"beta of the effective number lies from 0 to below 1, got {beta}")
    return float((1 - beta**count) / (1 - beta))


def class_quotas(sampling: str, counts: Sequence[int], beta: float = BETA) -> list[int]:
    """Return how many images of each class an epoch shows.

    Args:
        sampling: One of SAMPLINGS.
        counts: Images of each class; a class without images gets none.
        beta: Of "effective": 0 leaves the classes as they are, near 1 balances them.

    Returns:
        A number for each class; "balanced" and "effective" hand the images that equal shares leave over to the classes
        with the largest remainders.

    Raises:
        UserError: The sampling is unknown, or beta lies outside its range.

    Example:
        >>> [class_quotas(kind, [6, 2], beta=0.8) for kind in SAMPLINGS]
        [[6, 6], [2, 2], [4, 4], [5, 3]]
    """
    there = [n for n in counts if n]
    if sampling == "over":
        return [max(there) if n else 0 for n in counts]
    if sampling == "under":
        return [min(there) if n else 0 for n in counts]
    if sampling == "balanced":
        return largest_remainder([1.0 if n else 0.0 for n in counts], sum(counts))
    if sampling == "effective":
        return largest_remainder([n / effective_number(n, beta) if n else 0.0 for n in counts], sum(counts))
    raise UserError(f"sampling {sampling!r} is unknown; choose one of {', '.join(SAMPLINGS)}")


def largest_remainder(shares: Sequence[float], total: int) -> list[int]:
    """Divide a total by shares into whole numbers: rounded down, the rest to the largest remainders (Hamilton)."""
    exact = np.asarray(shares, np.float64) / sum(shares) * total
    whole = np.floor(exact + 1e-9).astype(np.int64)
    rest = total - int(whole.sum())
    whole[np.argsort(-(exact - whole), kind="stable")[:rest]] += 1
    quotas: list[int] = whole.tolist()
    return quotas


def draw_epoch(labels: np.ndarray, quotas: Sequence[int], seed: int, epoch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the images of an epoch, and the number that each one's augmentation is drawn with.

    Args:
        labels: Class numbers of all images.
        quotas: How many images of each class are shown.
        seed: Seed of the order.
        epoch: Which epoch; each has another order, and shows another part of what it shows in part.

    Returns:
        (indices, keys), int64: the key is the index, and the c-th repeat of an image adds c times the size of the set.

    Example:
        >>> indices, keys = draw_epoch(np.array([0, 0, 0, 1]), [2, 2], seed=0, epoch=0)
        >>> sorted(np.array([0, 0, 0, 1])[indices].tolist()), sorted(keys.tolist())[2:]
        ([0, 0, 1, 1], [3, 7])
    """
    count = len(labels)
    shuffled = random.permutation(count, seed, random.SHUFFLE, epoch)
    keys = []
    for label, quota in enumerate(quotas):  # whole rounds, then a random part of one more
        members = shuffled[labels[shuffled] == label]
        if len(members):
            round_number, place = np.divmod(np.arange(quota), len(members))
            keys.append(members[place] + round_number * count)
    drawn = np.concatenate(keys)
    mixed = drawn[random.permutation(len(drawn), seed, random.SHUFFLE, 2**32 + epoch)]
    return mixed % count, mixed
