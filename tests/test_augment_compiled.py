"""The compiled loops of augmentation against their definitions in NumPy: geometry to the bit, values to rounding."""

import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed import random
from tinymed.data import Augment, Mixing, Parameters, apply_geometry, apply_intensity, augment_volume, mix_batch
from tinymed.data.augment import BORDERS, draw, parameters
from tinymed.data.augment.loops_noise import noise, normal

EVERYTHING = Augment(
    horizontal_flip=True,
    vertical_flip=True,
    turns=True,
    rotate=40,
    shear=20,
    crop=0.6,
    shift=0.2,
    scale=(0.6, 1.5),
    elastic=2,
    noise=0.05,
    brightness=0.2,
    contrast=0.3,
    gamma=0.4,
    saturation=0.5,
    hue=0.2,
    pca_colour=0.3,
    stain=0.1,
    cutout=0.4,
)
CHANGES = {  # one at a time: (what is drawn, the largest difference that rounding may make)
    "contrast": (Parameters(contrast=1.3), 0),
    "brightness": (Parameters(brightness=-0.2), 0),
    "noise": (Parameters(noise=0.1, ticket=(3, 2**40 + 5)), 3e-7),
    "gamma below 1": (Parameters(gamma=0.6), 1e-6),
    "gamma above 1": (Parameters(gamma=1.7), 1e-6),
    "saturation": (Parameters(saturation=0.3), 1e-6),
    "hue": (Parameters(hue=-0.31), 3e-6),
    "stain": (Parameters(stain_factor=(0.8, 1.1, 1.2), stain_offset=(0.05, -0.1, 0.02)), 1e-6),
    "principal colours": (Parameters(pca_colour=(0.5, -1.0, 0.2)), 1e-6),
    "cutout": (Parameters(cutout=0.5, cutout_at=(0.9, 0.2, 0.5)), 0),
}


def picture(height=17, width=12, channels=3, seed=0):
    """float32 noise with exact blacks, whites and greys among it."""
    made = np.random.default_rng(seed).random((height, width, channels), np.float32)
    made[0, 0], made[0, -1], made[-1, 0] = 0, 1, 0.5
    return made


@st.composite
def drawn_geometry(draw_one):
    """Parameters of any geometry, borders and shares included."""
    number = st.floats(-1, 1)
    return Parameters(
        flip_x=draw_one(st.booleans()),
        flip_y=draw_one(st.booleans()),
        turns=draw_one(st.integers(0, 3)),
        angle=3 * draw_one(number),
        shear=draw_one(number),
        shift_x=draw_one(number),
        shift_y=draw_one(number),
        scale=draw_one(st.floats(0.3, 3)),
        crop=draw_one(st.floats(0.2, 1)),
        crop_at=(0.3 * draw_one(number), 0.3 * draw_one(number), 0.1),
        elastic=draw_one(st.sampled_from([0.0, 2.0])),
        ticket=(1, draw_one(st.integers(0, 2**64 - 1))),
        border=draw_one(st.sampled_from(BORDERS)),
        fill=0.3,
    )


class TestGeometry:
    @settings(max_examples=60)
    @given(drawn_geometry(), st.integers(1, 13), st.integers(1, 13), st.integers(1, 4))
    def test_an_image_has_the_bits_of_the_definition(self, drawn, height, width, channels):
        drawn = replace(drawn, elastic=0.0)
        image = picture(height, width, channels)
        wanted = apply_geometry(image, drawn, reference=True)
        assert np.array_equal(apply_geometry(image, drawn), wanted)
        assert np.array_equal(apply_geometry(image[::-1, ::-1], drawn), apply_geometry(image[::-1, ::-1].copy(), drawn))

    @settings(max_examples=40)
    @given(drawn_geometry(), st.integers(1, 13), st.integers(1, 13), st.sampled_from(["u1", "?", "i4"]))
    def test_a_mask_has_the_bits_of_the_definition(self, drawn, height, width, dtype):
        drawn = replace(drawn, elastic=0.0)
        mask = np.random.default_rng(0).integers(0, 5, (height, width, 1)).astype(dtype)
        moved = apply_geometry(mask, drawn, order=0)
        assert moved.dtype == mask.dtype
        assert np.array_equal(moved, apply_geometry(mask, drawn, order=0, reference=True))

    @settings(max_examples=20)
    @given(drawn_geometry(), st.integers(2, 13))
    def test_bending_is_that_of_the_definition(self, drawn, side):
        """Its random numbers are equal to rounding, so a nearest pixel may differ where two are equally near."""
        drawn, image = replace(drawn, elastic=2.0), picture(side, side)
        rough = np.abs(np.diff(image, axis=0)).max(initial=1)
        assert np.abs(apply_geometry(image, drawn) - apply_geometry(image, drawn, reference=True)).max() < 1e-6 * rough

    @settings(max_examples=40)
    @given(drawn_geometry(), st.integers(1, 7), st.integers(1, 7), st.integers(1, 5), st.integers(1, 2))
    def test_a_volume_and_its_mask_have_the_bits_of_the_definition(self, drawn, a, b, c, channels):
        drawn = replace(drawn, elastic=0.0)
        rng = np.random.default_rng(1)
        image, mask = rng.random((a, b, c, channels), np.float32), rng.integers(0, 3, (a, b, c)).astype(np.uint8)
        for got, wanted in zip(
            augment_volume(image, mask, drawn), augment_volume(image, mask, drawn, reference=True), strict=True
        ):
            assert np.array_equal(got, wanted)

    def test_float64_is_computed_by_the_definition(self):
        image, drawn = picture().astype(np.float64), Parameters(angle=0.3)
        assert apply_geometry(image, drawn).dtype == np.float64
        assert np.array_equal(apply_geometry(image, drawn), apply_geometry(image, drawn, reference=True))


class TestIntensity:
    @pytest.mark.parametrize("name", CHANGES)
    def test_each_change_is_that_of_the_definition(self, name):
        drawn, tolerance = CHANGES[name]
        for image in (picture(), picture(1, 1), picture(64, 64, seed=4)[:, ::-1]):
            before = image.copy()
            got, wanted = apply_intensity(image, drawn), apply_intensity(image, drawn, reference=True)
            assert got.dtype == wanted.dtype == np.float32
            assert np.abs(got - wanted).max() <= tolerance
            assert 0 <= got.min() <= got.max() <= 1
            assert np.array_equal(image, before), "what was given is not changed"

    @pytest.mark.parametrize("channels", [1, 2, 5])
    def test_other_numbers_of_channels(self, channels):
        image = picture(channels=channels)
        for name in ("contrast", "noise", "gamma above 1", "principal colours", "cutout"):
            drawn, tolerance = CHANGES[name]
            got, wanted = apply_intensity(image, drawn), apply_intensity(image, drawn, reference=True)
            assert np.abs(got - wanted).max() <= tolerance
        for name in ("saturation", "hue", "stain"):
            with pytest.raises(ValueError, match="red, green and blue"):
                apply_intensity(image, CHANGES[name][0])

    @given(st.integers(0, 2**32))
    @settings(max_examples=15)
    def test_all_together(self, index):
        image = picture(24, 24)
        drawn = replace(parameters(EVERYTHING, 3, 1, index % 2**31), elastic=0.0)
        got = apply_intensity(apply_geometry(image, drawn), drawn)
        wanted = apply_intensity(apply_geometry(image, drawn, reference=True), drawn, reference=True)
        assert np.abs(got - wanted).max() < 3e-5  # a gamma near black is steep

    def test_volumes(self):
        rng = np.random.default_rng(2)
        image, mask = rng.normal(size=(6, 5, 4, 2)).astype(np.float32), np.zeros((6, 5, 4), np.uint8)
        for name in ("contrast", "brightness", "noise", "gamma above 1", "cutout"):
            drawn, _ = CHANGES[name]
            got, wanted = (augment_volume(image, mask, drawn, reference=r)[0] for r in (False, True))
            assert np.abs(got - wanted).max() < 1e-6 * np.abs(image).max()
        with pytest.raises(ValueError, match="no colours"):
            augment_volume(image, mask, CHANGES["hue"][0])


class TestNoise:
    @given(st.integers(1, 41), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
    def test_the_numbers_are_those_of_random_normal(self, count, seed, step):
        wanted = random.normal(count, seed, random.NOISE, step)
        assert np.allclose(normal(count, seed, random.NOISE, step), wanted, rtol=1e-12, atol=1e-12)
        assert np.abs(noise(count, 2.0, seed, random.NOISE, step) - 2 * wanted).max() < 4e-6

    def test_a_long_draw_and_its_tails(self):
        wanted = random.normal(2_000_001, 5, random.NOISE, 7)
        got = noise(len(wanted), 1.0, 5, random.NOISE, 7)
        assert np.abs(got - wanted).max() < 2e-6
        assert wanted.max() > 4.5
        small = np.argsort(np.abs(wanted))[:1000]  # radii near 0 come of uniform numbers near 1
        assert np.allclose(got[small], wanted[small], rtol=0, atol=3e-7)


class TestMixing:
    @pytest.mark.parametrize("mixing", [Mixing(mixup=0.3), Mixing(cutmix=1.0), Mixing(0.3, 1.0)])
    @pytest.mark.parametrize("count", [1, 2, 7])
    def test_a_batch_has_the_bits_of_the_definition(self, mixing, count):
        images = np.random.default_rng(count).random((count, 9, 6, 3), np.float32)
        labels = np.eye(4, dtype=np.float32)[np.arange(count) % 4]
        rows = draw(1, 2, np.arange(count))
        got, wanted = (mix_batch(images, labels, mixing, rows, reference=r) for r in (False, True))
        assert np.array_equal(got[0], wanted[0])
        assert np.array_equal(got[1], wanted[1])


def test_nothing_is_compiled_before_it_is_used():
    code = (
        "import sys, tinymed.data as d; d.Augment(rotate=3); d.Mixing(mixup=1); d.Loader; d.PatchLoader;"
        "print({'numba', 'llvmlite', 'tinymed.cpu'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_everything_is_everything():
    """A new setting must be added to the test of all together, or it would not be compared."""
    for name, value in vars(Augment()).items():
        if name not in ("border", "fill", "elastic_grid"):
            assert getattr(EVERYTHING, name) != value, name
    assert not math.isnan(EVERYTHING.crop)
