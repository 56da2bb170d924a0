"""Augmentation: what each parameter does to the pixels, and that it depends on (seed, epoch, image) alone."""

import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from datasets import picture
from hypothesis import given
from hypothesis import strategies as st

from tinymed import random
from tinymed.data import Augment, Parameters, apply_geometry, apply_intensity, augment_image, parameters, to_float
from tinymed.data.augment import WORDS, draw, step_of
from tinymed.errors import UserError

SIDES = st.integers(1, 17)
FULL = Augment(
    horizontal_flip=True,
    vertical_flip=True,
    rotate=30,
    shift=0.2,
    scale=(0.7, 1.4),
    noise=0.05,
    brightness=0.2,
    contrast=0.3,
)


def image(height: int = 9, width: int = 12, number: int = 0) -> np.ndarray:
    return to_float(picture(number, height, width))


class TestGeometry:
    @given(SIDES, SIDES)
    def test_identity_gives_the_same_bits(self, height, width) -> None:
        x = image(height, width)
        assert np.array_equal(apply_geometry(x, Parameters()), x)
        resampled = apply_geometry(x, Parameters(scale=1.0, shift_x=1e-300))  # not the short cut
        assert np.array_equal(resampled, x)

    @given(SIDES, SIDES, st.booleans(), st.booleans())
    def test_flips(self, height, width, flip_x, flip_y) -> None:
        x, drawn = image(height, width), Parameters(flip_x=flip_x, flip_y=flip_y)
        want = x[:, ::-1] if flip_x else x
        want = want[::-1] if flip_y else want
        once = apply_geometry(x, drawn)
        assert np.array_equal(once, want)
        assert np.array_equal(apply_geometry(once, drawn), x)
        assert np.array_equal(apply_geometry(x, replace(drawn, shift_x=1e-300)), want)  # by resampling, too

    @pytest.mark.parametrize("turns", [1, 2, 3])
    def test_right_angles_are_anticlockwise_turns(self, turns: int) -> None:
        x = image(11, 11)
        got = apply_geometry(x, Parameters(angle=turns * math.pi / 2))
        assert np.abs(got - np.rot90(x, turns)).max() < 1e-6

    @pytest.mark.parametrize(("shift_y", "shift_x", "rows", "columns"), [(0.25, 0, 2, 0), (-0.125, 0.5, -1, 5)])
    def test_whole_pixel_shifts_move_down_and_right(self, shift_y, shift_x, rows, columns) -> None:
        x = image(8, 10)
        got = apply_geometry(x, Parameters(shift_y=shift_y, shift_x=shift_x, border="constant", fill=0.5))
        want = np.full_like(x, 0.5)
        want[max(rows, 0) : 8 + min(rows, 0), columns:] = x[max(-rows, 0) : 8 - max(rows, 0), : 10 - columns]
        assert np.abs(got - want).max() < 1e-6

    def test_scale_two_shows_things_twice_as_large(self) -> None:
        x = np.zeros((21, 21, 1), np.float32)
        x[8:13, 8:13] = 1
        assert apply_geometry(x, Parameters(scale=2.0)).sum() == pytest.approx(4 * x.sum(), rel=0.02)
        assert apply_geometry(x, Parameters(scale=0.5, border="constant")).sum() == pytest.approx(x.sum() / 4, rel=0.5)

    @given(
        st.integers(2, 15),
        st.integers(2, 15),
        st.floats(-3, 3),
        st.floats(-0.4, 0.4),
        st.floats(-0.4, 0.4),
        st.floats(0.5, 2),
        st.booleans(),
        st.booleans(),
        st.sampled_from([("reflect", "mirror"), ("edge", "nearest")]),
        st.sampled_from([0, 1]),
    )
    def test_against_scipy(self, height, width, angle, dy, dx, scale, flip_x, flip_y, border, order) -> None:
        x = image(height, width).astype(np.float64)
        drawn = Parameters(flip_x, flip_y, angle, dx, dy, scale, border=border[0])
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        forward = scale * turn @ np.diag([-1.0 if flip_y else 1.0, -1.0 if flip_x else 1.0])
        inverse = np.linalg.inv(forward)
        centre = np.array([(height - 1) / 2, (width - 1) / 2])
        offset = centre - inverse @ (centre + np.array([dy * height, dx * width]))
        grid = np.stack(np.mgrid[:height, :width], axis=-1) @ inverse.T + offset
        tie = np.abs(grid - np.floor(grid) - 0.5) < 1e-6  # where SciPy and NumPy may round to different neighbours
        decided = np.ones((height, width), bool) if order else ~tie.any(axis=-1)
        got = apply_geometry(x, drawn, order)
        for channel in range(3):
            want = scipy.ndimage.affine_transform(x[:, :, channel], inverse, offset, order=order, mode=border[1])
            assert np.abs(got[:, :, channel] - want)[decided].max(initial=0) < 1e-9

    def test_mask_follows_its_image_and_gets_no_new_values(self) -> None:
        mask = (picture(5, 20, 20, 1)[:, :, None] > 128).astype(np.uint8) * 255
        drawn = parameters(FULL, 0, 1, 2)
        moved = apply_geometry(mask, drawn, order=0)
        assert moved.dtype == np.uint8
        assert set(np.unique(moved)) <= {0, 255}
        smooth = apply_geometry(mask.astype(np.float32), drawn)
        assert np.corrcoef(moved.ravel(), smooth.ravel())[0, 1] > 0.6

    def test_refusals(self) -> None:
        with pytest.raises(ValueError, match=r"order is 0 .* or 1"):
            apply_geometry(image(), Parameters(), order=3)
        with pytest.raises(ValueError, match="float image"):
            apply_geometry(picture(0), Parameters(angle=1))


class TestIntensity:
    def test_nothing_drawn_nothing_changed(self) -> None:
        x = image()
        assert apply_intensity(x, Parameters()) is x

    def test_brightness_adds_and_clips(self) -> None:
        x = image()
        got = apply_intensity(x, Parameters(brightness=0.25))
        assert got.dtype == np.float32
        assert np.allclose(got, np.minimum(x + 0.25, 1))

    def test_contrast_scales_about_the_mean(self) -> None:
        x = image() * 0.2 + 0.4
        got = apply_intensity(x, Parameters(contrast=0.5))
        assert np.allclose(got, x.mean() + 0.5 * (x - x.mean()), atol=1e-6)

    def test_noise_has_its_deviation_and_its_own_ticket(self) -> None:
        x = np.full((80, 80, 3), 0.5, np.float32)
        one, two = (apply_intensity(x, Parameters(noise=0.05, ticket=(7, step))) for step in (1, 2))
        assert (one - x).std() == pytest.approx(0.05, rel=0.03)
        assert abs((one - x).mean()) < 0.002
        assert not np.array_equal(one, two)
        assert np.array_equal(one, apply_intensity(x, Parameters(noise=0.05, ticket=(7, 1))))


class TestDrawing:
    @given(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.lists(st.integers(0, 2**32 - 1), max_size=5))
    def test_a_batch_draws_what_each_image_draws_alone(self, seed, epoch, indices) -> None:
        rows = draw(seed, epoch, np.array(indices, np.int64))
        for row, index in zip(rows, indices, strict=True):
            alone = random.uniform(WORDS, seed, random.AUGMENT, epoch << 32 | index)
            assert np.array_equal(row, alone)
            assert parameters(FULL, seed, epoch, index) == parameters(FULL, seed, epoch, index, row)

    def test_epoch_index_and_seed_all_matter(self) -> None:
        drawn = {parameters(FULL, s, e, i).angle for s in (0, 1) for e in (0, 1) for i in (0, 1)}
        assert len(drawn) == 8

    def test_ranges(self) -> None:
        many = [parameters(FULL, 3, 0, i) for i in range(400)]
        for name, low, high in (
            ("angle", -math.pi / 6, math.pi / 6),
            ("shift_x", -0.2, 0.2),
            ("shift_y", -0.2, 0.2),
            ("scale", 0.7, 1.4),
            ("brightness", -0.2, 0.2),
            ("contrast", 0.7, 1.3),
        ):
            values = np.array([getattr(p, name) for p in many])
            assert low <= values.min() < low + 0.05 * (high - low), name
            assert high - 0.05 * (high - low) < values.max() <= high, name
            assert values.mean() == pytest.approx((low + high) / 2, abs=0.1 * (high - low)), name
        assert 150 < sum(p.flip_x for p in many) < 250
        assert 150 < sum(p.flip_y for p in many) < 250

    def test_switching_one_change_on_leaves_the_others(self) -> None:
        one, two = Augment(rotate=20), Augment(rotate=20, horizontal_flip=True, noise=0.1)
        assert [parameters(one, 0, 0, i).angle for i in range(9)] == [parameters(two, 0, 0, i).angle for i in range(9)]

    def test_default_changes_nothing(self) -> None:
        x = image()
        assert all(np.array_equal(augment_image(x, Augment(), 0, 0, i), x) for i in range(20))

    def test_step_range(self) -> None:
        assert step_of(2**32 - 1, 2**32 - 1) == 2**64 - 1
        for epoch, index in ((-1, 0), (0, 2**32), (2**32, 0)):
            with pytest.raises(ValueError, match="epoch and index"):
                step_of(epoch, index)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"rotate": -1},
            {"noise": math.nan},
            {"shift": math.inf},
            {"scale": (0, 1)},
            {"scale": (2, 1)},
            {"scale": (1, 2, 3)},
            {"contrast": 1.5},
            {"border": "wrap"},
        ],
    )
    def test_refusals(self, wrong) -> None:
        with pytest.raises(UserError, match=f"augment: {next(iter(wrong))}"):
            Augment(**wrong)

    def test_from_json(self) -> None:
        assert Augment(scale=[0.5, 2]) == Augment(scale=(0.5, 2))  # type: ignore[arg-type]
