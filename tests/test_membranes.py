"""Rand's error and the warping error of membranes: other implementations, all orders of tiny images, and by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed.metrics.membranes import AROUND, rand_error, separated, simple_pixels, warped, warping_error

SHAPE = (3, 4)
PIXELS = SHAPE[0] * SHAPE[1]


def image(code):
    """The mask whose pixels are the bits of a number."""
    return np.array([code >> i & 1 for i in range(PIXELS)], np.uint8).reshape(SHAPE)


def euler(mask):
    """(objects by edges of pixels, holes by corners) of a mask, by flood."""
    wide = np.pad(mask.astype(bool), 1)

    def count(inside, diagonal):
        left, found = {tuple(p) for p in np.argwhere(inside).tolist()}, 0
        while left:
            found, todo = found + 1, [left.pop()]
            while todo:
                r, c = todo.pop()
                near = [(r + y, c + x) for y, x in AROUND if diagonal or not (y and x)]
                todo += [p for p in near if p in left]
                left -= set(near)
        return found

    return count(wide, False), count(~wide, True) - 1


def least_by_any_order(start, end):
    """The fewest pixels at which two images can differ after simple pixels were turned over towards the second."""
    seen, todo, least = {start}, [start], PIXELS
    while todo:
        now = todo.pop()
        least = min(least, (now ^ end).bit_count())
        for i in range(PIXELS):
            other = now ^ (1 << i)
            if (now ^ end) >> i & 1 and other not in seen and euler_kept(now, i):
                seen.add(other)
                todo.append(other)
    return least


def euler_kept(code, i):
    """Whether a pixel may be turned over, by counting pieces within its neighbourhood."""
    wide = np.pad(image(code), 1)
    r, c = divmod(i, SHAPE[1])
    near = wide[r : r + 3, c : c + 3].astype(bool)
    on, off = near.copy(), near.copy()
    on[1, 1], off[1, 1] = True, False
    return euler(on) == euler(off) and touching(near) == 1 and on.sum() > 1


def touching(near):
    """How many pieces of a neighbourhood touch its middle by an edge."""
    ring = [bool(near[1 + y, 1 + x]) for y, x in AROUND]
    edges = [i for i in (1, 3, 5, 7) if ring[i]]
    return len(edges) - sum(ring[i] and ring[(i + 1) % 8] and ring[(i + 2) % 8] for i in (1, 3, 5, 7))


class TestRand:
    @given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
    def test_it_is_that_of_scikit_image(self, seed, first, second):
        oracle = pytest.importorskip("skimage.metrics", reason="scikit-image is the oracle").adapted_rand_error
        rng = np.random.default_rng(seed)
        truth, found = rng.integers(0, first + 1, (9, 7)), rng.integers(0, second + 1, (9, 7))
        with np.errstate(all="ignore"):
            wanted = oracle(truth, found)[0]
        assert rand_error(truth, found) == pytest.approx(0 if np.isnan(wanted) else wanted, abs=1e-12)

    def test_outside_the_true_objects_nothing_counts(self):
        truth = np.array([[1, 1, 0, 2, 2]])
        assert rand_error(truth, np.array([[3, 3, 9, 4, 4]])) == 0
        assert rand_error(truth, np.ones((1, 5), int)) == pytest.approx(1 - 2 * 4 / (4 + 12))
        assert rand_error(np.zeros((2, 2), int), np.ones((2, 2), int)) == 0

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(ValueError, match="must be equal"):
            rand_error(np.zeros(3, int), np.zeros(4, int))
        with pytest.raises(ValueError, match="positive"):
            rand_error(np.zeros(3, int), np.array([0, -1, 0]))
        with pytest.raises(ValueError, match="whole numbers"):
            rand_error(np.zeros(3, int), np.zeros(3))


class TestWarping:
    def test_a_pixel_is_simple_where_pieces_and_holes_stay_as_many(self):
        for code in range(256):
            near = np.zeros((3, 3), bool)
            for i, (y, x) in enumerate(AROUND):
                near[1 + y, 1 + x] = code >> i & 1
            on, off = near.copy(), near.copy()
            on[1, 1] = True
            kept = euler(on) == euler(off) and touching(near) == 1
            assert simple_pixels()[code] == kept, code

    @settings(max_examples=60)
    @given(st.integers(0, 2**PIXELS - 1), st.integers(0, 2**PIXELS - 1))
    def test_no_order_leaves_fewer_pixels_on_a_tiny_image_than_the_least_of_all(self, first, second):
        left = round(warping_error(image(first), image(second)) * PIXELS)
        assert least_by_any_order(first, second) <= left <= (first ^ second).bit_count()

    def test_of_tiny_images_most_are_warped_as_far_as_any_order_could(self):
        pairs = np.random.default_rng(0).integers(0, 2**PIXELS, (150, 2)).tolist()
        same = [least_by_any_order(a, b) == round(warping_error(image(a), image(b)) * PIXELS) for a, b in pairs]
        assert np.mean(same) > 0.85

    @given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9))
    def test_the_warped_truth_has_the_same_objects_and_holes(self, seed, share):
        rng = np.random.default_rng(seed)
        first, second = (np.pad(rng.random((8, 9)) < share, 1) for _ in range(2))
        for way in (1, -1):
            assert euler(warped(first, second, way)) == euler(first)

    def test_a_membrane_that_lies_elsewhere_costs_nothing_and_a_gap_does(self):
        truth = np.ones((12, 20), int)
        truth[:, 10] = 0
        beside, away, gap = np.ones((12, 20), int), np.ones((12, 20), int), truth.copy()
        beside[:, 9], away[:, 7] = 0, 0
        gap[5, 10] = 1
        assert warping_error(truth, beside) == 0
        assert warping_error(truth, away) > 0  # between the two lie pixels that agree, and those are not turned over
        assert warping_error(truth, gap) == pytest.approx(1 / 240)
        assert warping_error(truth, np.ones((12, 20), int)) >= 1 / 240

    def test_touching_objects_are_kept_apart(self):
        objects = np.repeat([[1, 1, 1, 2, 2, 2]], 4, axis=0)
        assert separated(objects)[0].astype(int).tolist() == [1, 1, 0, 1, 1, 1]
        assert warping_error(objects, np.where(separated(objects), 1, 0)) == 0
        assert warping_error(objects, np.ones_like(objects)) > 0

    def test_volumes_are_refused(self):
        with pytest.raises(ValueError, match="slice by slice"):
            warping_error(np.zeros((2, 2, 2), int), np.zeros((2, 2, 2), int))
