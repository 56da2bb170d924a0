"""What each change of an image is, by formulas and libraries that share no code with it."""

import colorsys
import math
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from tinymed.data import Augment, Parameters, apply_geometry, apply_intensity, parameters
from tinymed.data.augment.colour import STAINS
from tinymed.errors import UserError

COLOURS = np.random.default_rng(0).random((8, 9, 3), np.float32)


class TestGeometry:
    @settings(max_examples=40)
    @given(
        st.integers(2, 12), st.integers(2, 12), st.floats(-1, 1), st.floats(0.3, 1), st.integers(0, 3), st.booleans()
    )
    def test_shear_crop_and_turns_against_scipy(self, height, width, shear, crop, turns, flip):
        image = np.random.default_rng(height).random((height, width, 2))
        at = (0.1 * (1 - crop), -0.4 * (1 - crop), 0.0)
        drawn = Parameters(flip, False, 0.3, 0.1, -0.2, 1.2, shear=shear, crop=crop, crop_at=at, turns=turns)
        quarters = turns if height == width else turns & 2
        c, s = round(math.cos(quarters * math.pi / 2)), round(math.sin(quarters * math.pi / 2))
        turn, rotation = np.array([[c, -s], [s, c]]), np.array([[math.cos(0.3), -math.sin(0.3)]] * 2)
        rotation[1] = math.sin(0.3), math.cos(0.3)
        forward = rotation * 1.2 @ [[1, 0], [math.tan(shear), 1]] @ np.diag([1, -1 if flip else 1]) @ turn / crop
        sides, middle = np.array([height, width]), (np.array([height, width]) - 1) / 2
        inverse = np.linalg.inv(forward)
        offset = middle + np.array(at[1::-1]) * sides - inverse @ (middle + np.array([-0.2, 0.1]) * sides)
        got = apply_geometry(image, drawn)
        for channel in range(2):
            want = scipy.ndimage.affine_transform(image[:, :, channel], inverse, offset, order=1, mode="mirror")
            assert np.abs(got[:, :, channel] - want).max() < 1e-9

    @given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
    def test_quarter_turns(self, height, width, turns):
        image, drawn = np.random.default_rng(1).random((height, width, 2), np.float32), Parameters(turns=turns)
        once = apply_geometry(image, drawn)
        assert np.array_equal(once, np.rot90(image, turns if height == width else turns & 2))
        four = image
        for _ in range(4):
            four = apply_geometry(four, drawn)
        assert np.array_equal(four, image)
        if height == width:  # by resampling, too
            moved = apply_geometry(image, replace(drawn, shift_x=1e-300))
            assert np.array_equal(moved, once)

    def test_a_crop_shows_what_it_keeps(self):
        image = np.arange(64.0).reshape(8, 8, 1)
        drawn = Parameters(crop=0.5, crop_at=(0.25, -0.25, 0.0))  # the upper right quarter
        shown = apply_geometry(image, drawn)[..., 0]
        assert shown.min() >= image[0, 3, 0]
        assert shown[4, 3] == pytest.approx(1.75 * 8 + 5.25)

    def test_crops_lie_in_the_image_and_differ(self):
        many = [parameters(Augment(crop=0.5), 0, 0, i) for i in range(300)]
        shares = np.array([p.crop for p in many])
        places = np.array([p.crop_at for p in many])
        assert 0.5 <= shares.min() < 0.52
        assert 0.98 < shares.max() <= 1
        assert (np.abs(places) <= (1 - shares[:, None]) / 2 + 1e-12).all()
        assert np.abs(np.corrcoef(places.T) - np.eye(3)).max() < 0.2

    def test_outside_a_mask_is_the_background(self):
        mask = np.ones((8, 8, 1), np.uint8)
        drawn = Parameters(shift_x=0.5, border="constant", fill=0.7)
        moved = apply_geometry(mask, drawn, order=0)[..., 0]
        assert not moved[:, :4].any()
        assert moved[:, 4:].all()
        assert apply_geometry(mask, drawn, order=0, fill=7)[0, 0, 0] == 7


class TestColour:
    @given(st.floats(-0.5, 0.5))
    def test_hue_as_colorsys_turns_it(self, turns):
        got = apply_intensity(COLOURS, Parameters(hue=turns))
        for pixel, changed in zip(COLOURS.reshape(-1, 3)[:20], got.reshape(-1, 3), strict=False):
            h, s, v = colorsys.rgb_to_hsv(*map(float, pixel))
            assert np.allclose(changed, colorsys.hsv_to_rgb((h + turns) % 1, s, v), atol=5e-6)

    def test_greys_have_no_hue(self):
        grey = np.repeat(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4, 1), 3, axis=2)
        assert np.array_equal(apply_intensity(grey, Parameters(hue=0.3)), grey)

    @pytest.mark.parametrize("factor", [0.0, 0.4, 1.6])
    def test_saturation_as_pillow_changes_it(self, factor):
        pixels = (COLOURS * 255).astype(np.uint8)
        theirs = np.asarray(ImageEnhance.Color(Image.fromarray(pixels)).enhance(factor), np.float32)
        ours = apply_intensity(pixels.astype(np.float32) / 255, Parameters(saturation=factor)) * 255
        assert np.abs(ours - theirs).max() < 2.1  # Pillow rounds grey, and then the result

    def test_gamma_is_a_power(self):
        got = apply_intensity(COLOURS, Parameters(gamma=1.5))
        assert np.allclose(got, COLOURS.astype(np.float64) ** 1.5, atol=1e-6)
        exponents = np.log([parameters(Augment(gamma=1), 0, 0, i).gamma for i in range(300)]) / math.log(2)
        assert -1 <= exponents.min() < -0.95
        assert 0.95 < exponents.max() <= 1
        assert abs(exponents.mean()) < 0.1

    def test_stains_by_their_formula(self):
        """Concentrations of haematoxylin, eosin and DAB become factor times themselves plus an offset."""
        image = 0.2 + 0.5 * COLOURS
        factor, offset = (0.9, 1.1, 1.05), (0.01, -0.02, 0.03)
        changed = apply_intensity(image, Parameters(stain_factor=factor, stain_offset=offset))
        assert changed.max() < 1, "nothing is clipped, so that the formula can be undone"

        def concentrations(rgb):
            return np.linalg.solve(STAINS.T, -np.log10(rgb.reshape(-1, 3).astype(np.float64)).T).T

        assert np.allclose(concentrations(changed), concentrations(image) * factor + np.array(offset), atol=1e-5)

    def test_more_eosin_is_pinker(self):
        image = np.full((4, 4, 3), (0.8, 0.5, 0.7), np.float32)
        more = apply_intensity(image, Parameters(stain_offset=(0.0, 0.1, 0.0)))
        assert (image - more)[0, 0].argmax() == 1, "eosin takes green away"

    def test_principal_colours(self):
        """A shift along the axes of the colours' covariance, in shares of their deviations there."""
        pixels = 0.5 + 0.05 * np.random.default_rng(3).normal(size=(40, 50, 3)) @ np.diag([3, 1, 0.3])
        image = pixels.astype(np.float32)
        shift = (apply_intensity(image, Parameters(pca_colour=(0.5, 0.0, 0.0))) - image)[20, 20]
        assert shift == pytest.approx([0.5 * image[..., 0].std(), 0, 0], abs=0.003)
        flat = np.full((5, 5, 3), 0.5, np.float32)
        assert np.allclose(apply_intensity(flat, Parameters(pca_colour=(1.0, 1.0, 1.0))), 0.5, atol=1e-6)

    def test_shares_of_principal_colours_are_normal(self):
        drawn = np.array([parameters(Augment(pca_colour=0.2), 0, 0, i).pca_colour for i in range(500)])
        assert drawn.std(axis=0) == pytest.approx([0.2] * 3, rel=0.12)
        assert np.abs(np.corrcoef(drawn.T) - np.eye(3)).max() < 0.15


class TestCutout:
    def test_a_square_of_the_mean(self):
        drawn = Parameters(cutout=0.5, cutout_at=(0.5, 0.25, 0.0))
        covered = apply_intensity(COLOURS[:8, :8], drawn)
        changed = (covered != COLOURS[:8, :8]).any(axis=-1)
        assert changed[0:4, 2:6].all()
        assert changed.sum() == 16
        assert np.allclose(covered[0, 2], COLOURS[:8, :8].mean(), atol=1e-6)

    def test_what_lies_outside_is_cut_and_the_middle_is_anywhere(self):
        sizes = []
        for i in range(100):
            drawn = parameters(Augment(cutout=0.5), 0, 0, i)
            sizes.append((apply_intensity(COLOURS[:8, :8], drawn) != COLOURS[:8, :8]).any(axis=-1).sum())
        assert min(sizes) >= 4
        assert max(sizes) == 16


class TestSettings:
    @pytest.mark.parametrize(
        "wrong",
        [
            {"shear": 90},
            {"crop": 0},
            {"crop": 1.1},
            {"gamma": -1},
            {"saturation": 1.5},
            {"hue": 0.6},
            {"stain": 2},
            {"cutout": 1.5},
            {"fill": math.nan},
            {"pca_colour": math.inf},
        ],
    )
    def test_refusals(self, wrong):
        with pytest.raises(UserError, match=f"augment: {next(iter(wrong))}"):
            Augment(**wrong)

    def test_old_streams_have_not_moved(self):
        """Runs of earlier versions draw what they drew: the first eight numbers, in this order."""
        augment = Augment(True, True, 30, 0.2, (0.7, 1.4), 0.05, 0.2, 0.3)
        drawn = parameters(replace(augment, shear=10, crop=0.5, gamma=0.3, hue=0.1, turns=True), 7, 3, 11)
        alone = parameters(augment, 7, 3, 11)
        for name in ("flip_x", "flip_y", "angle", "shift_x", "shift_y", "scale", "brightness", "contrast", "ticket"):
            assert getattr(drawn, name) == getattr(alone, name)
        assert drawn.angle == pytest.approx(math.radians(30) * (2 * first_uniform(7, 3, 11)[2] - 1), abs=1e-15)


def first_uniform(seed, epoch, index):
    """The row of uniform numbers as it was drawn before there were more than eight."""
    from tinymed import random

    return random.uniform(8, seed, random.AUGMENT, epoch << 32 | index)
