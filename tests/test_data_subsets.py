"""random_split, Subset and ConcatDataset beside PyTorch's."""

import numpy as np
import pytest
import torch.utils.data as theirs

import tinymed
from tinymed.data import ConcatDataset, Subset, random_split


@pytest.mark.parametrize(
    "lengths", [[7, 3], [0.5, 0.25, 0.25], [0.3, 0.3, 0.4], [10], [np.int64(4), np.int64(6)], [0, 10]]
)
def test_random_split(lengths):
    tinymed.manual_seed(1)
    items = list("abcdefghij")
    parts = random_split(items, lengths)
    assert [len(p) for p in parts] == [len(p) for p in theirs.random_split(items, lengths)]
    assert sorted(i for p in parts for i in p) == items
    tinymed.manual_seed(1)
    assert [list(p) for p in random_split(items, lengths)] == [list(p) for p in parts]
    assert [list(p) for p in random_split(items, lengths)] != [list(p) for p in parts] or len(items) < 5


@pytest.mark.parametrize("lengths", [[7, 4], [0.5, 0.6], [1.5, -0.5], [7.0, 3.5]])
def test_lengths_that_do_not_add_up(lengths):
    with pytest.raises(ValueError, match="random_split"):
        random_split(range(10), lengths)
    with pytest.raises((ValueError, TypeError)):
        theirs.random_split(range(10), lengths)


def test_subset_and_concat():
    for lib in (tinymed.data, theirs):
        both = lib.ConcatDataset([list("ab"), list("cde"), lib.Subset(list("fgh"), [2, 0])])
        assert [both[i] for i in range(len(both))] == list("abcdehf")
        assert (both[-1], both[-7]) == ("f", "a")
        assert both.cumulative_sizes == [2, 5, 7]
        for index in (7, -8):
            with pytest.raises((IndexError, ValueError)):
                both[index]
    assert Subset([1, 2, 3], [0, 2])[[0, 1]] == [1, 3]
    with pytest.raises(ValueError, match="at least one"):
        ConcatDataset([])
