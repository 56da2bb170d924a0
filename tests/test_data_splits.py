"""Splits are partitions, keep the classes' proportions, never divide a patient, and leaks are found."""

from pathlib import Path

import numpy as np
import pytest
from datasets import picture, write_image
from hypothesis import given
from hypothesis import strategies as st

from tinymed.data import (
    Dataset,
    find_leaks,
    grouped_split,
    k_fold,
    last_fraction_split,
    leak_check,
    split_dataset,
    stratified_split,
)
from tinymed.data.splits import image_hashes
from tinymed.errors import UserError

FRACTIONS = st.lists(st.integers(1, 20), min_size=1, max_size=5).map(lambda w: [v / sum(w) for v in w])


def is_partition(parts: list[np.ndarray], count: int) -> bool:
    return np.array_equal(np.sort(np.concatenate(parts)), np.arange(count))


class TestStratified:
    @given(FRACTIONS, st.lists(st.integers(5, 60), min_size=1, max_size=6), st.integers(0, 2**63))
    def test_partition_with_every_class_in_proportion(self, fractions, sizes, seed) -> None:
        labels = np.random.default_rng(seed % 1000).permutation(np.repeat(np.arange(len(sizes)), sizes))
        parts = stratified_split(labels, fractions, seed)
        assert is_partition(parts, len(labels))
        for part, fraction in zip(parts, fractions, strict=True):
            assert np.array_equal(part, np.sort(part))
            for label, size in enumerate(sizes):
                count = np.count_nonzero(labels[part] == label)
                exact = fraction * size
                few = min(fractions) * size < 1  # a share that would be empty takes from the largest
                assert count >= 1
                assert abs(count - exact) < (1 if not few else len(fractions) + 1)

    @given(st.lists(st.integers(20, 60), min_size=1, max_size=12), st.integers(0, 99))
    def test_totals_are_right_as_well(self, sizes, seed) -> None:
        labels = np.repeat(np.arange(len(sizes)), sizes)
        for part, fraction in zip(stratified_split(labels, [0.7, 0.15, 0.15], seed), [0.7, 0.15, 0.15], strict=True):
            assert abs(len(part) - fraction * len(labels)) < 2

    def test_deterministic_and_seeded(self) -> None:
        labels = np.arange(200) % 2
        first = stratified_split(labels, [0.5, 0.5], 1)
        assert all(np.array_equal(a, b) for a, b in zip(first, stratified_split(labels, [0.5, 0.5], 1), strict=True))
        assert not np.array_equal(first[0], stratified_split(labels, [0.5, 0.5], 2)[0])

    def test_is_random_within_a_class(self) -> None:
        first = stratified_split(np.zeros(1000, int), [0.5, 0.5], 0)[0]
        assert len(first) == 500
        assert 180 < np.count_nonzero(first < 500) < 320

    @pytest.mark.parametrize("fractions", [[], [0.5, 0.6], [1.0, 0.0], [-0.5, 1.5], [float("nan"), 1]])
    def test_wrong_fractions(self, fractions) -> None:
        with pytest.raises(UserError, match="add up to 1"):
            stratified_split(np.arange(10) % 2, fractions)

    def test_class_too_small(self) -> None:
        with pytest.raises(UserError, match="class 1 has 2 image"):
            stratified_split(np.array([0, 0, 0, 1, 1]), [0.4, 0.3, 0.3])


class TestGrouped:
    @given(FRACTIONS, st.integers(5, 60), st.integers(1, 4), st.integers(0, 2**63))
    def test_no_group_is_divided(self, fractions, count, kinds, seed) -> None:
        rng = np.random.default_rng(seed % 1000)
        groups = rng.permutation(np.concatenate([np.arange(count), rng.integers(0, count, 3 * count)]))
        labels = rng.integers(0, kinds, len(groups))
        parts = grouped_split(groups, labels, fractions, seed)
        assert is_partition(parts, len(groups))
        owners = [set(groups[part].tolist()) for part in parts]
        assert all(owners)
        assert sum(map(len, owners)) == count

    @pytest.mark.parametrize("seed", range(5))
    def test_classes_are_balanced(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        sizes = rng.integers(1, 30, 120)
        groups = np.repeat([f"P{i}" for i in range(120)], sizes)
        labels = np.repeat(rng.random(120) < 0.3, sizes).astype(int)  # as in malaria: a patient has one class
        for part, fraction in zip(grouped_split(groups, labels, [0.7, 0.1, 0.2], seed), [0.7, 0.1, 0.2], strict=True):
            for label in (0, 1):
                share = np.count_nonzero(labels[part] == label) / np.count_nonzero(labels == label)
                assert abs(share - fraction) < 0.01

    def test_too_few_groups(self) -> None:
        with pytest.raises(UserError, match=r"2 group\(s\) cannot fill 3"):
            grouped_split(np.array(["a", "b", "a"]), np.array([0, 1, 0]), [0.4, 0.3, 0.3])


class TestLastFraction:
    @given(st.integers(4, 5000), st.sampled_from([0.1, 0.2, 0.3, 0.5]))
    def test_is_kerass_rule(self, count, fraction) -> None:
        cut = int(np.floor(count * (1.0 - fraction)))  # keras: train_validation_split
        train, val = last_fraction_split(count, fraction)
        assert train.tolist() == list(range(cut))
        assert val.tolist() == list(range(cut, count))

    @pytest.mark.parametrize(("count", "fraction"), [(1, 0.3), (10, 0.0), (10, 1.0)])
    def test_refuses_an_empty_part(self, count, fraction) -> None:
        with pytest.raises(UserError):
            last_fraction_split(count, fraction)


class TestKFold:
    @given(st.integers(2, 6), st.integers(0, 99), st.booleans())
    def test_every_image_is_tested_once(self, folds, seed, grouped) -> None:
        rng = np.random.default_rng(seed)
        labels = rng.permutation(np.arange(90) % 3)
        groups = rng.permutation(np.arange(90) % 15) if grouped else None
        pairs = k_fold(labels, folds, seed, groups)
        assert len(pairs) == folds
        assert is_partition([test for _, test in pairs], 90)
        for train, test in pairs:
            assert is_partition([train, test], 90)
            if groups is not None:
                assert not set(groups[train].tolist()) & set(groups[test].tolist())
            else:
                assert np.abs(np.bincount(labels[test], minlength=3) - 30 / folds).max() < 1

    def test_one_fold_is_refused(self) -> None:
        with pytest.raises(UserError, match="at least 2"):
            k_fold(np.arange(4) % 2, 1)


def dataset(count: int = 60, grouped: bool = True) -> Dataset:
    images = np.stack([picture(i) for i in range(count)])
    groups = np.array([f"P{i // 3}" for i in range(count)]) if grouped else None
    return Dataset(images, np.arange(count) % 2, ["no", "yes"], groups)


class TestSplitDataset:
    def test_groups_are_kept_whole_by_default(self) -> None:
        parts = split_dataset(dataset(), seed=3)
        assert list(parts) == ["train", "val", "test"]
        assert [p.split for p in parts.values()] == ["train", "val", "test"]
        assert sum(map(len, parts.values())) == 60
        leak_check(parts)

    def test_last(self) -> None:
        parts = split_dataset(dataset(), {"train": 0.7, "val": 0.3}, rule="last")
        assert len(parts["train"]) == 42
        assert np.array_equal(parts["val"].samples, dataset().samples[42:])

    def test_refusals(self) -> None:
        with pytest.raises(UserError, match="patient or group column"):
            split_dataset(dataset(grouped=False), rule="grouped")
        with pytest.raises(UserError, match="'last' with 3 parts"):
            split_dataset(dataset(), rule="last")
        with pytest.raises(UserError, match="'alphabetical'"):
            split_dataset(dataset(), rule="alphabetical")


class TestLeaks:
    def test_clean(self) -> None:
        parts = split_dataset(dataset(grouped=False), seed=1)
        assert find_leaks(parts) == []

    def test_same_image_under_another_name_and_format(self, tmp_path: Path) -> None:
        one = write_image(tmp_path / "one.png", picture(1))
        two = write_image(tmp_path / "two.bmp", picture(1))
        other = write_image(tmp_path / "other.png", picture(2))
        parts = {
            "train": Dataset([one, other], np.array([0, 1]), ["a", "b"], split="train"),
            "test": Dataset([two], np.array([0]), ["a", "b"], split="test"),
        }
        with pytest.raises(UserError) as caught:
            leak_check(parts)
        assert str(one) in str(caught.value)
        assert str(two) in str(caught.value)

    def test_grey_saved_as_rgb_counts_as_the_same(self, tmp_path: Path) -> None:
        grey = picture(3, channels=1)
        one = write_image(tmp_path / "one.png", grey)
        two = write_image(tmp_path / "two.png", np.stack([grey] * 3, axis=2))
        parts = {n: Dataset([p], np.zeros(1), ["a", "b"], split=n) for n, p in (("train", one), ("val", two))}
        assert len(find_leaks(parts)) == 1

    def test_same_bytes_in_another_shape_are_another_image(self) -> None:
        pixels = picture(4, 6, 8)
        parts = {
            "train": Dataset(pixels[None], np.zeros(1), ["a"], split="train"),
            "test": Dataset(pixels.reshape(1, 8, 6, 3), np.zeros(1), ["a"], split="test"),
        }
        assert find_leaks(parts) == []

    def test_group_on_both_sides(self) -> None:
        whole = dataset()
        parts = {"train": whole.subset(range(31), "train"), "test": whole.subset(range(31, 60), "test")}
        assert find_leaks(parts) == ["group P10 is in both train and test"]


class TestCopies:
    """The same image twice in a set that is not divided yet."""

    def copies(self) -> Dataset:
        """40 images of two classes, of which the last 20 repeat the first 20."""
        pixels = np.stack([picture(i, 6, 6) for i in range(20)] * 2)
        return image_hashes(Dataset(pixels, np.arange(40) % 2, ["a", "b"]))[0]

    def test_a_stratified_split_keeps_them_on_one_side(self) -> None:
        for seed in range(5):
            parts = split_dataset(self.copies(), seed=seed)
            assert sum(map(len, parts.values())) == 40
            assert find_leaks(parts) == []

    def test_they_leak_where_the_rule_cannot_move_them(self) -> None:
        parts = split_dataset(self.copies(), {"train": 0.7, "val": 0.3}, rule="last")
        with pytest.raises(UserError, match=r"same image \(and 11 more\).*leaks='warn'"):
            leak_check(parts)
        with pytest.warns(UserWarning, match="same image"):
            leak_check(parts, rule="warn")
        leak_check(parts, rule="ignore")

    def test_a_subset_keeps_the_hashes_of_its_images(self) -> None:
        whole = self.copies()
        assert whole.hashes is not None
        part = whole.subset([3, 23, 4])
        assert part.hashes == [whole.hashes[i] for i in (3, 23, 4)]
        assert part.hashes[0] == part.hashes[1] != part.hashes[2]
