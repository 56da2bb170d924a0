"""Overlaps and surface distances against their definitions by brute force, and the table for empty masks."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from tinymed.errors import UserError
from tinymed.metrics import segmentation as metrics
from tinymed.metrics.curves import UndefinedMetricWarning
from tinymed.metrics.distance_transform import distance_transform

EXACT = {"rtol": 1e-12, "atol": 1e-12}


def draw_masks(seed: int, empty: bool = True) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Two masks of one to three axes (sides from 1), dense, sparse or empty, and a spacing."""
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    shape = tuple(rng.integers(1, 8 if axes == 3 else 14, axes))
    masks = [rng.random(shape) < rng.choice([0.02, 0.2, 0.5, 0.9, 1.0]) for _ in range(2)]
    if not empty:
        for mask in masks:
            mask.flat[rng.integers(mask.size)] = True
    return masks[0], masks[1], tuple(rng.uniform(0.3, 3, axes))


class TestDistanceTransform:
    @given(st.integers(0, 10_000))
    def test_is_scipys(self, seed: int) -> None:
        mask, _, spacing = draw_masks(seed)
        ours = distance_transform(mask, spacing)
        if mask.any():
            np.testing.assert_allclose(ours, ndimage.distance_transform_edt(~mask, sampling=spacing), **EXACT)
        else:
            assert np.isposinf(ours).all()

    def test_is_the_nearest_pixel_by_definition(self) -> None:
        mask, _, spacing = draw_masks(2, empty=False)
        places = np.argwhere(mask) * spacing
        ours = distance_transform(mask, spacing)
        for at in np.ndindex(mask.shape):
            assert ours[at] == pytest.approx(np.sqrt(((np.array(at) * spacing - places) ** 2).sum(1)).min(), rel=1e-12)

    def test_forms(self) -> None:
        mask = np.eye(3, dtype=int)
        np.testing.assert_array_equal(distance_transform(mask, 2), 2 * distance_transform(mask))
        assert distance_transform(np.zeros((0, 3))).shape == (0, 3)
        assert distance_transform(True).shape == ()
        assert distance_transform(mask).flags.c_contiguous
        for spacing in ((1.0, 2.0, 3.0), 0.0, (1.0, -1.0), math.inf):
            with pytest.raises(UserError, match="expected one positive number, or 2 of them"):
                distance_transform(mask, spacing)


def true_surface(mask: np.ndarray) -> np.ndarray:
    """Places of a mask with a face neighbour outside, by looking at each."""
    found = []
    for at in map(tuple, np.argwhere(mask)):
        for axis, step in itertools.product(range(mask.ndim), (-1, 1)):
            near = list(at)
            near[axis] += step
            if not 0 <= near[axis] < mask.shape[axis] or not mask[tuple(near)]:
                found.append(at)
                break
    return np.array(found, float).reshape(-1, mask.ndim)


def true_distances(a: np.ndarray, b: np.ndarray, spacing: tuple[float, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel of one surface against every pixel of the other."""
    one, two = true_surface(a) * spacing, true_surface(b) * spacing
    table = np.sqrt(((one[:, None] - two[None]) ** 2).sum(-1))
    return table.min(1), table.min(0)


class TestSurfaces:
    @given(st.integers(0, 10_000))
    def test_distances_are_those_of_the_definition(self, seed: int) -> None:
        a, b, spacing = draw_masks(seed, empty=False)
        near, far = true_distances(a, b, spacing)
        mine = metrics.surface_distances(a, b, spacing)
        np.testing.assert_allclose(np.sort(mine[0]), np.sort(near), **EXACT)
        np.testing.assert_allclose(np.sort(mine[1]), np.sort(far), **EXACT)
        hd95 = max(np.percentile(near, 95), np.percentile(far, 95))
        assert metrics.hausdorff(a, b, spacing) == pytest.approx(hd95, rel=1e-12)
        assert metrics.hausdorff(a, b, spacing, 100) == pytest.approx(max(near.max(), far.max()), rel=1e-12)
        both = np.concatenate([near, far])
        assert metrics.average_surface_distance(a, b, spacing) == pytest.approx(both.mean(), rel=1e-12)
        assert metrics.hausdorff(b, a, spacing) == metrics.hausdorff(a, b, spacing)

    @given(st.integers(0, 10_000))
    def test_both_ways_to_the_distances_have_the_same_bits(self, seed: int) -> None:
        a, b, spacing = draw_masks(seed, empty=False)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(metrics, "FEW", 0)
            by_transform = metrics.surface_distances(a, b, spacing)
            patched.setattr(metrics, "FEW", a.size * b.size)
            patched.setattr(metrics, "HELD", 5)  # a few rows at a time
            by_pairs = metrics.surface_distances(a, b, spacing)
        for one, other in zip(by_transform, by_pairs, strict=True):
            np.testing.assert_array_equal(one, other)

    @given(st.integers(0, 10_000))
    def test_surface_is_the_mask_less_its_erosion(self, seed: int) -> None:
        mask, _, _ = draw_masks(seed)
        np.testing.assert_array_equal(metrics.surface(mask), mask & ~ndimage.binary_erosion(mask))

    def test_two_cubes_by_hand(self) -> None:
        a, b = np.zeros((9, 9, 9), bool), np.zeros((9, 9, 9), bool)
        a[2:5, 2:5, 2:5], b[2:5, 2:5, 4:7] = True, True  # shifted by two pixels of 1.5 mm
        assert metrics.hausdorff(a, b, (1, 1, 1.5), 100) == 3.0
        assert metrics.hausdorff(a, a, (1, 1, 1.5)) == metrics.average_surface_distance(a, a) == 0.0

    def test_a_larger_background_changes_nothing(self) -> None:
        a, b, spacing = draw_masks(7, empty=False)
        wide = [np.pad(m, 4) for m in (a, b)]
        assert metrics.hausdorff(*(np.pad(m, 1) for m in (a, b)), spacing) == metrics.hausdorff(*wide, spacing)


class TestOverlaps:
    @given(st.integers(0, 10_000))
    def test_are_those_of_sets(self, seed: int) -> None:
        a, b, _ = draw_masks(seed, empty=False)
        one, two = (set(map(tuple, np.argwhere(m))) for m in (a, b))
        assert metrics.dice(a, b, quietly) == pytest.approx(2 * len(one & two) / (len(one) + len(two)), rel=1e-15)
        if one & two:
            assert metrics.conformity(a, b, quietly) == pytest.approx(1 - len(one ^ two) / len(one & two), rel=1e-15)
        assert metrics.jaccard(a, b, quietly) == pytest.approx(len(one & two) / len(one | two), rel=1e-15)
        assert metrics.tanimoto(a, b, quietly) == pytest.approx(metrics.jaccard(a, b, quietly), rel=1e-15)
        assert metrics.volume_error(a, b) == pytest.approx(len(two) / len(one) - 1, abs=1e-15)

    def test_tanimoto_of_grey_images(self) -> None:
        a, b = np.array([0.5, 1.0]), np.array([1.0, 0.25])
        assert metrics.tanimoto(a, b) == pytest.approx(0.75 / (1.25 + 1.0625 - 0.75))

    def test_wrong_arguments(self) -> None:
        with pytest.raises(ValueError, match=r"found \(3,\); they must be equal"):
            metrics.dice(np.ones(2), np.ones(3))
        with pytest.raises(ValueError, match="compare with a label first"):
            metrics.jaccard(np.arange(3), np.arange(3))
        with pytest.raises(ValueError, match="finite images of one shape"):
            metrics.tanimoto([math.nan], [1.0])
        with pytest.raises(ValueError, match="from 0 to 100"):
            metrics.hausdorff([1], [1], percentile=101)


def quietly(message: str) -> None:
    pass


class TestEmptyMasks:
    """The table in the module's docstring."""

    SOME, NONE = np.eye(3, dtype=bool), np.zeros((3, 3), bool)

    @pytest.mark.parametrize(
        ("truth", "found", "overlap", "distance", "volume"),
        [
            (NONE, NONE, math.nan, math.nan, math.nan),
            (NONE, SOME, 0.0, math.inf, math.inf),
            (SOME, NONE, 0.0, math.inf, -1.0),
        ],
    )
    def test_values_and_warnings(self, truth, found, overlap, distance, volume) -> None:
        for metric, expected in (
            (metrics.dice, overlap),
            (metrics.jaccard, overlap),
            (metrics.tanimoto, overlap),
            (metrics.hausdorff, distance),
            (metrics.average_surface_distance, distance),
            (metrics.volume_error, volume),
        ):
            with pytest.warns(UndefinedMetricWarning, match=r"empty|zero everywhere"):
                np.testing.assert_equal(metric(truth, found), expected)

    def test_no_warning_where_both_have_pixels(self) -> None:
        assert metrics.dice(self.SOME, ~self.SOME) == 0.0  # warnings are errors here

    def test_a_table_of_labels_has_none(self) -> None:
        truth, found = np.array([[0, 0, 1, 1]]), np.array([[0, 0, 1, 2]])
        rows = metrics.label_metrics(truth, found, 4, (1.0, 2.0))
        assert rows["dice"] == [1.0, pytest.approx(2 / 3), 0.0, None]
        assert rows["hd95"] == [0.0, pytest.approx(1.9), None, None]
        assert rows["volume_error"] == [0.0, -0.5, None, None]
        assert metrics.mean_over_labels(rows["dice"]) == pytest.approx(1 / 3)
        assert metrics.mean_over_labels(rows["dice"], None) == pytest.approx(5 / 9)
        assert metrics.mean_over_labels([1.0, None]) is None
        with pytest.raises(ValueError, match="class numbers of one shape"):
            metrics.label_metrics(truth, found[:, :2], 4)


@given(st.integers(0, 10_000))
def test_labels_are_measured_one_by_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(2, 7, 3))
    truth, found = rng.integers(0, 3, shape), rng.integers(0, 3, shape)
    truth[rng.random(shape) < 0.1] = 255
    rows = metrics.label_metrics(truth, found, 3, (1, 2, 3), ignored=255)
    for label in range(3):
        a, b = truth == label, (found == label) & (truth != 255)
        if a.any() and b.any():
            assert rows["dice"][label] == metrics.dice(a, b)
            assert rows["jaccard"][label] == metrics.jaccard(a, b)
            assert rows["hd95"][label] == metrics.hausdorff(a, b, (1, 2, 3))
            assert rows["asd"][label] == pytest.approx(metrics.average_surface_distance(a, b, (1, 2, 3)), rel=1e-12)
