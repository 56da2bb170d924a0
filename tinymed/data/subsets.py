"""Parts and sums of anything with a length and items, under PyTorch's names.

For labelled images on disk use `split_dataset` and `grouped_split`, which keep a patient's images together.
"""

import math
import operator
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from .. import random


class Subset:
    """Some items of a data set, by their numbers.

    As `torch.utils.data.Subset`.

    Args:
        dataset: Anything with a length and items.
        indices: The numbers of the items, in the order wanted.

    Example:
        >>> list(Subset("abcde", [3, 0]))
        ['d', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]):
        self.dataset, self.indices = dataset, indices

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, list):
            return [self.dataset[self.indices[i]] for i in index]
        return self.dataset[self.indices[operator.index(index)]]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))


class ConcatDataset:
    """Several data sets, one after the other.

    As `torch.utils.data.ConcatDataset`.

    Args:
        datasets: Anything with a length and items; at least one.

    Raises:
        ValueError: There is no data set.
        TypeError: One has no length.

    Example:
        >>> both = ConcatDataset(["ab", "cde"])
        >>> len(both), both[2], both[-1]
        (5, 'c', 'e')
    """

    def __init__(self, datasets: Iterable[Any]):
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: takes at least one data set, got none")
        without = [type(d).__name__ for d in self.datasets if not hasattr(d, "__len__")]
        if without:
            raise TypeError(f"ConcatDataset: takes data sets with a length, got {', '.join(without)}")
        self.cumulative_sizes = list(accumulate(map(len, self.datasets)))

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, index: Any) -> Any:
        i = operator.index(index)
        if not -len(self) <= i < len(self):
            raise IndexError(f"ConcatDataset: index {i} is out of range; there are {len(self)} items")
        i %= len(self)
        which = bisect_right(self.cumulative_sizes, i)
        return self.datasets[which][i - (self.cumulative_sizes[which - 1] if which else 0)]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __add__(self, other: Any) -> "ConcatDataset":
        return ConcatDataset([self, other])


def random_split(dataset: Any, lengths: Sequence[float], generator: None = None) -> list[Subset]:
    """Divide a data set at random into parts that do not overlap, by numbers from manual_seed's generator.

    As `torch.utils.data.random_split`, without generator objects; the numbers drawn are not PyTorch's.

    Args:
        dataset: Anything with a length and items.
        lengths: Of the parts: integers that add up to its length, or shares that add up to 1; what is left over by
            rounding shares down goes to the first parts, one item each.
        generator: PyTorch's generator objects do not exist here; None.

    Returns:
        One Subset for each length.

    Raises:
        ValueError: Lengths do not add up, or shares lie outside 0 to 1.
        TypeError: A generator is given.

    Example:
        >>> one, two = random_split("abcde", [3, 2])
        >>> len(one), len(two), sorted([*one, *two])
        (3, 2, ['a', 'b', 'c', 'd', 'e'])
    """
    if generator is not None:
        raise TypeError("random_split: generator= is not supported; seed with tinymed.manual_seed(n)")
    n, sizes = len(dataset), [v.item() if isinstance(v, np.generic) else v for v in lengths]
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1:
        if any(not 0 <= share <= 1 for share in sizes):
            raise ValueError(f"random_split: shares lie in 0 to 1, got {sizes}")
        counts = [math.floor(n * share) for share in sizes]
        for i in range(n - sum(counts)):
            counts[i % len(counts)] += 1
    else:
        counts = sizes
    if any(not isinstance(c, int) or c < 0 for c in counts) or sum(counts) != n:
        raise ValueError(
            f"random_split: lengths {sizes} do not add up to the {n} items of the data set, nor to 1 as shares"
        )
    order = random.permutation(n, *random.init_generator.ticket()).tolist()
    ends = list(accumulate(counts))
    return [Subset(dataset, order[end - count : end]) for end, count in zip(ends, counts, strict=True)]
